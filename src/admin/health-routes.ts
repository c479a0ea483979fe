/**
 * The paths that automation and Prometheus ask: liveness, readiness, metrics (operations §4). What they say
 * comes from the views of whoever runs the proxy.
 */
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from '../log.ts'
import { OPEN, type ServerCredentials, showsCertificate, showsToken } from './credentials.ts'
import { createHttpApp, TEXT_PLAIN } from './http-server.ts'
import { isReady, type Readiness, renderReadiness } from './readiness.ts'
import type { ReadinessDetails } from './readiness-details.ts'

const compress = promisify(gzip)

const OK = 200
const UNAUTHORIZED = 401
const FORBIDDEN = 403
const NOT_FOUND = 404
const SERVICE_UNAVAILABLE = 503

export type MetricsAnswer = { readonly contentType: string; readonly body: string }

export type HealthViews = {
  readiness(): Readiness
  readinessDetails(): ReadinessDetails
  /** The exposition; or `starting` before both clusters were reached, `disabled` with metrics_enabled off. */
  metrics(): Promise<MetricsAnswer> | 'starting' | 'disabled'
}

/** Whether an Accept-Encoding header allows gzip (RFC 9110 §12.5.3). */
export const acceptsGzip = (header: string | undefined): boolean => {
  let fromWildcard = false
  for (const item of (header ?? '').split(',')) {
    const [coding, ...parameters] = item.split(';').map((part) => part.trim().toLowerCase())
    const weight = parameters.find((parameter) => /^q\s*=/.test(parameter))
    const isAllowed = weight === undefined || Number(weight.slice(weight.indexOf('=') + 1)) > 0
    if (coding === 'gzip' || coding === 'x-gzip') return isAllowed
    if (coding === '*') fromWildcard = isAllowed
  }
  return fromWildcard
}

/**
 * An app with the three paths, not yet listening. Only `/metrics` is guarded: probes have neither token nor
 * certificate, and what they are told is no secret.
 */
export const createHealthApp = (
  views: HealthViews,
  log: Logger,
  credentials: () => ServerCredentials = () => OPEN,
): FastifyInstance => {
  const { tls, hasMutualTls } = credentials()
  const asksForCertificate = { requestCert: hasMutualTls, rejectUnauthorized: false }
  const app = createHttpApp(log, { https: tls === null ? null : { ...tls, ...asksForCertificate } })
  // Before a body is looked at: alive is alive, whatever was sent along.
  const answerLiveness = async (_request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    await reply.code(OK).type(TEXT_PLAIN).send('OK')
  }
  const answerMetrics = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const refusal = refusalOf(request, credentials())
    if (refusal === null) await sendMetrics(views.metrics(), request, reply)
    else await refuse(refusal, request, reply, log)
  }
  app.all('/health/liveness', { onRequest: answerLiveness }, answerLiveness)
  app.all('/metrics', { onRequest: answerMetrics }, answerMetrics)
  app.get<{ Querystring: Readonly<Record<string, unknown>> }>(
    '/health/readiness',
    async (request, reply) => {
      const readiness = views.readiness()
      const details = 'details' in request.query ? views.readinessDetails() : null
      // As bytes, because a charset would be added to the type of a text.
      await reply
        .code(isReady(readiness) ? OK : SERVICE_UNAVAILABLE)
        .header('content-type', 'application/json')
        .send(Buffer.from(renderReadiness(readiness, details)))
    },
  )
  return app
}

type Refusal = { readonly status: number; readonly text: string }

const refusalOf = (
  request: FastifyRequest,
  { tokens, hasMutualTls }: ServerCredentials,
): Refusal | null => {
  if (hasMutualTls && !showsCertificate(request.raw.socket)) {
    return { status: FORBIDDEN, text: 'show a certificate of metrics_tls_client_ca_path' }
  }
  if (tokens === null || showsToken(request.headers, tokens)) return null
  return {
    status: UNAUTHORIZED,
    text: 'show a token of metrics_token_path: "authorization: Bearer …"',
  }
}

const refuse = async (
  { status, text }: Refusal,
  { ip: remote }: FastifyRequest,
  reply: FastifyReply,
  log: Logger,
): Promise<void> => {
  const fields = { code: 'UNAUTHORIZED', remote }
  log.limited(`metrics ${status}`, 'warn', fields, `metrics were asked for in vain: ${text}`)
  if (status === UNAUTHORIZED) reply.header('www-authenticate', 'Bearer')
  await reply.code(status).type(TEXT_PLAIN).send(`${text}\n`)
}

const sendMetrics = async (
  answer: ReturnType<HealthViews['metrics']>,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> => {
  if (answer === 'disabled') {
    await reply.code(NOT_FOUND).type(TEXT_PLAIN).send('metrics are disabled (metrics_enabled)\n')
    return
  }
  if (answer === 'starting') {
    await reply
      .code(SERVICE_UNAVAILABLE)
      .type(TEXT_PLAIN)
      .send('the proxy has not reached both clusters yet\n')
    return
  }
  const { contentType, body } = await answer
  reply.code(OK).header('content-type', contentType).header('vary', 'Accept-Encoding')
  if (!acceptsGzip(request.headers['accept-encoding'])) {
    await reply.send(body)
    return
  }
  const compressed = await compress(body)
  await reply.header('content-encoding', 'gzip').send(compressed)
}
