/**
 * An HTTP server as the proxy runs it: bounded in connections and in time, errors as plain text and in
 * our log, closed within a deadline. What it serves is registered by others (health-routes.ts).
 */
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import { type SecureContextOptions, Server as TlsServer } from 'node:tls'
import {
  type FastifyInstance,
  type FastifyReply,
  type FastifyServerFactory,
  fastify,
} from 'fastify'
import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import { messageOf } from '../message-of.ts'
import { formatEndpoint } from '../net/dialer.ts'
import { AdminError, AdminErrorCode } from './errors.ts'

/** From the first byte of a request to the last one of its headers. */
const HEADERS_TIMEOUT_MS = 5000
/** From the first byte of a request to the last one of its body. */
const REQUEST_TIMEOUT_MS = 10_000
/** How often Node looks for requests past those two. */
const TIMEOUT_CHECK_MS = 1000
/** From the first byte of a connection to the end of its TLS handshake. */
const TLS_HANDSHAKE_TIMEOUT_MS = 10_000
/** A client that takes nothing of an answer. */
const INACTIVITY_TIMEOUT_MS = 30_000
/** Longer than scrapes are usually apart, so that the scraper finds its connection open. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000
const CONNECTIONS_MAX = 1000
const BODY_BYTES_MAX = 64 * 1024
/** Operations §2.4. */
const CLOSE_TIMEOUT_MS = 5000

export const TEXT_PLAIN = 'text/plain; charset=utf-8'

const NOT_FOUND = 404
const INTERNAL_SERVER_ERROR = 500

const answerInText = (reply: FastifyReply, status: number, error: Error): void => {
  void reply.code(status).type(TEXT_PLAIN).send(`${error.message}\n`)
}

export type HttpAddress = {
  readonly address: string
  /** 0 for any free port. */
  readonly port: number
  /** What it is for and which settings say where, for the error: "health and metrics (metrics_address, metrics_port)". */
  readonly purpose: string
}

export type HttpServer = {
  /** The port that was bound. */
  readonly port: number
  /** From now on handshakes use it; nothing where it speaks plain HTTP. */
  setTls(options: SecureContextOptions): void
  /** Lets answers that have been begun end, for 5 s at most. Safe to call twice. */
  close(): Promise<void>
}

const statusOf = (error: unknown): number => {
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined
  return typeof status === 'number' ? status : INTERNAL_SERVER_ERROR
}

const HTTP_OPTIONS = {
  headersTimeout: HEADERS_TIMEOUT_MS,
  connectionsCheckingInterval: TIMEOUT_CHECK_MS,
}

/** fastify leaves the bounds of a server that it has not made alone. */
const tlsServerFactory =
  (https: ServerOptions): FastifyServerFactory =>
  (handler) => {
    const handshakeTimeout = TLS_HANDSHAKE_TIMEOUT_MS
    const server = createTlsServer({ ...https, ...HTTP_OPTIONS, handshakeTimeout }, handler)
    server.requestTimeout = REQUEST_TIMEOUT_MS
    server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS
    server.setTimeout(INACTIVITY_TIMEOUT_MS)
    return server
  }

/** What else an app may need than what all have. */
export type HttpAppOptions = {
  readonly https?: ServerOptions | null
  /** Writes an error's answer; plain text if absent. */
  readonly answerError?: (reply: FastifyReply, status: number, error: Error) => void
}

/** A server without routes. Nothing is bound yet. */
export const createHttpApp = (log: Logger, options: HttpAppOptions = {}): FastifyInstance => {
  const answerError = options.answerError ?? answerInText
  const app: FastifyInstance = fastify({
    logger: false,
    ...(options.https == null ? {} : { serverFactory: tlsServerFactory(options.https) }),
    // What is not described is refused, not left out.
    ajv: { customOptions: { removeAdditional: false } },
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: INACTIVITY_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    http: HTTP_OPTIONS,
  })
  app.server.maxConnections = CONNECTIONS_MAX
  app.setNotFoundHandler((_request, reply) => {
    answerError(reply, NOT_FOUND, new Error('404 page not found'))
  })
  app.setErrorHandler((error, request, reply) => {
    const status = statusOf(error)
    const text = messageOf(error)
    if (status >= INTERNAL_SERVER_ERROR) {
      const path = request.routeOptions.url ?? 'unknown'
      log.limited(
        `http ${path} ${text}`,
        'error',
        { code: 'HTTP_REQUEST_FAILED', path, error },
        `${request.method} ${path} could not be answered: ${text}`,
      )
    }
    answerError(reply, status, error instanceof Error ? error : new Error(text))
  })
  return app
}

/** Binds the address. Rejects with an AdminError that names it, having closed the app. */
export const listenHttp = async (
  app: FastifyInstance,
  { address, port, purpose }: HttpAddress,
  clock: Clock,
): Promise<HttpServer> => {
  try {
    await app.listen({ host: address, port })
  } catch (cause) {
    await app.close()
    const why = messageOf(cause)
    throw new AdminError(
      AdminErrorCode.BIND_FAILED,
      `cannot listen on ${formatEndpoint(address, port)} for ${purpose}: ${why}`,
      cause,
    )
  }
  const bound = app.server.address()
  let closing: Promise<void> | null = null
  return {
    port: bound !== null && typeof bound === 'object' ? bound.port : port,
    setTls: (options) => {
      if (app.server instanceof TlsServer) app.server.setSecureContext(options)
    },
    close: () => {
      closing ??= closeWithin(app, clock)
      return closing
    },
  }
}

/** Idle keep-alive connections are closed at once, the others when their answer is out or time is up. */
const closeWithin = async (app: FastifyInstance, clock: Clock): Promise<void> => {
  const timer = clock.setTimeout(() => app.server.closeAllConnections(), CLOSE_TIMEOUT_MS)
  try {
    await app.close()
  } finally {
    clock.clearTimeout(timer)
  }
}
