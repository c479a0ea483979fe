/**
 * The question to Astra's metadata service: GET /metadata over mutual TLS, its certificate verified
 * against its name (operations §7.3). Who asks when, and what follows, is astra-contacts.ts.
 */
import { Agent, request } from 'node:https'
import type { SecureConnectBundle } from '../certificates/bundle.ts'
import type { Clock } from '../clock.ts'
import { messageOf } from '../message-of.ts'
import { clientContext, explainTlsError } from '../net/tls.ts'

const METADATA_TIMEOUT_MS = 30_000
/** Contact points are host ids: a thousand of them are 40 KiB. */
const ANSWER_LENGTH_MAX = 1024 * 1024
/** Of an answer that is no metadata, in the error. */
const EXCERPT_LENGTH = 500

export type AstraMetadata = {
  readonly localDatacenter: string | null
  /** Takes the connections to all nodes; the server name tells which one is meant. */
  readonly router: { readonly address: string; readonly port: number }
  /** In lower case; at least one. */
  readonly hostIds: readonly string[]
}

export type MetadataService = {
  readonly bundle: SecureConnectBundle
  /** The setting that names the bundle, for errors. */
  readonly setting: string
  /** Whether the well-known authorities are trusted beside the bundle's. */
  readonly trustsWellKnownRoots: boolean
}

type Answer = { readonly status: number; readonly body: string }

const ask = (
  { bundle, trustsWellKnownRoots }: MetadataService,
  signal: AbortSignal,
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const { host, port } = bundle
    const secureContext = clientContext({ ...bundle, trustsWellKnownRoots, crls: [] })
    const question = request(
      {
        host,
        port,
        path: '/metadata',
        agent: new Agent({ keepAlive: false, secureContext }),
        signal,
        headers: { accept: 'application/json' },
      },
      (response) => {
        const chunks: Buffer[] = []
        let length = 0
        response.on('data', (chunk: Buffer) => {
          chunks.push(chunk)
          length += chunk.length
          if (length > ANSWER_LENGTH_MAX) response.destroy(new Error('the answer is above 1 MiB'))
        })
        response.on('end', () => {
          const body = Buffer.concat(chunks).toString('utf8')
          resolve({ status: response.statusCode ?? 0, body })
        })
        response.on('error', reject)
      },
    )
    question.on('error', reject)
    question.end()
  })

const textOf = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' ? value : null

const routerOf = (text: string): AstraMetadata['router'] | null => {
  const colon = text.lastIndexOf(':')
  const port = Number(text.slice(colon + 1))
  const address = text.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
  if (colon < 1 || address === '' || !Number.isInteger(port) || port < 1 || port > 65_535)
    return null
  return { address, port }
}

/** Throws an Error that says what is missing. */
export const parseAstraMetadata = (body: string): AstraMetadata => {
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch {
    throw new Error('it is not JSON')
  }
  const contact = Object(Object(parsed).contact_info)
  const proxy = textOf(contact.sni_proxy_address)
  if (proxy === null) throw new Error('it has no contact_info.sni_proxy_address')
  const router = routerOf(proxy)
  if (router === null) {
    throw new Error(`contact_info.sni_proxy_address is not a host and a port: ${proxy}`)
  }
  const points: unknown = contact.contact_points
  const hostIds = Array.isArray(points) ? points.flatMap((point) => textOf(point) ?? []) : []
  if (hostIds.length === 0) throw new Error('it has no contact_info.contact_points')
  return {
    localDatacenter: textOf(contact.local_dc),
    router,
    hostIds: hostIds.map((hostId) => hostId.toLowerCase()),
  }
}

/** What the service says now. Rejects with an error that names the service and the setting. */
export const fetchAstraMetadata = async (
  service: MetadataService,
  clock: Clock,
  signal: AbortSignal,
): Promise<AstraMetadata> => {
  const { bundle, setting } = service
  const url = `https://${bundle.host}:${bundle.port}/metadata`
  const fail = (detail: string, cause?: unknown): Error =>
    new Error(`${setting}: the metadata service ${url} ${detail}`, { cause })
  const tooLong = new AbortController()
  const timer = clock.setTimeout(() => tooLong.abort(), METADATA_TIMEOUT_MS)
  let answer: Answer
  try {
    answer = await ask(service, AbortSignal.any([signal, tooLong.signal]))
  } catch (error) {
    if (tooLong.signal.aborted) throw fail(`did not answer within ${METADATA_TIMEOUT_MS} ms`, error)
    const reason = error instanceof Error ? explainTlsError(error) : String(error)
    throw fail(`could not be asked: ${reason}`, error)
  } finally {
    clock.clearTimeout(timer)
  }
  const excerpt = answer.body.slice(0, EXCERPT_LENGTH)
  if (answer.status < 200 || answer.status > 299) {
    throw fail(`answered with status ${answer.status}: ${excerpt}`)
  }
  try {
    return parseAstraMetadata(answer.body)
  } catch (error) {
    const reason = messageOf(error)
    throw fail(`gave an answer that cannot be used: ${reason}: ${excerpt}`, error)
  }
}
