/**
 * Traced requests as the body of an OTLP/HTTP export in JSON (opentelemetry-proto, trace service v1): a SERVER span
 * for the request, a CLIENT span for each question to a node. Attributes are those of the semantic conventions for
 * database calls, and some of our own under `zdm.`. Pure.
 */
import type { TracedLeg, TracedRequest } from './traced-request.ts'

const SPAN_KIND_SERVER = 2
const SPAN_KIND_CLIENT = 3
const STATUS_ERROR = 2
const NS_PER_MS = 1_000_000

type Value = { readonly stringValue: string } | { readonly intValue: string }
type Attribute = { readonly key: string; readonly value: Value }

/** Attributes without value are left out. */
const attributes = (values: Readonly<Record<string, string | number | null>>): Attribute[] =>
  Object.entries(values).flatMap(([key, value]) => {
    if (value === null || value === '') return []
    return typeof value === 'number'
      ? { key, value: { intValue: String(value) } }
      : { key, value: { stringValue: value } }
  })

/** A double cannot hold nanoseconds since 1970: whole milliseconds and their fraction apart. */
const nanoseconds = (ms: number): string => {
  const whole = Math.floor(ms)
  return String(BigInt(whole) * BigInt(NS_PER_MS) + BigInt(Math.floor((ms - whole) * NS_PER_MS)))
}

/** `address:port`, `[address]:port`; what is neither, such as the host id of a node behind a router, is an address. */
const endpointOf = (label: string): readonly [address: string, port: number | null] => {
  const [, address, port] = /^\[?([^\]]+?)\]?:(\d+)$/.exec(label) ?? []
  return address === undefined ? [label, null] : [address, Number(port)]
}

const statusOf = (error: string | null): object =>
  error === null ? {} : { code: STATUS_ERROR, message: error }

const codeOf = (error: string | null): string | null => (error?.startsWith('0x') ? error : null)

const database = ({ operation, keyspace }: TracedRequest) => ({
  'db.system.name': 'cassandra',
  'db.operation.name': operation,
  'db.namespace': keyspace,
})

const outcome = (error: string | null) => ({
  'db.response.status_code': codeOf(error),
  'error.type': error,
})

const nameOf = ({ operation, opcode, keyspace }: TracedRequest): string =>
  [operation ?? opcode, keyspace ?? ''].filter((word) => word !== '').join(' ')

const serverSpan = (request: TracedRequest): object => {
  const [address, port] = endpointOf(request.client)
  return {
    traceId: request.traceId,
    spanId: request.spanId,
    parentSpanId: request.parentSpanId,
    name: nameOf(request),
    kind: SPAN_KIND_SERVER,
    startTimeUnixNano: nanoseconds(request.startMs),
    endTimeUnixNano: nanoseconds(request.endMs),
    attributes: attributes({
      ...database(request),
      'client.address': address,
      'client.port': port,
      'zdm.opcode': request.opcode,
      'zdm.request_id': request.requestId,
      ...outcome(request.error),
    }),
    status: statusOf(request.error),
  }
}

const clientSpan = (request: TracedRequest, leg: TracedLeg): object => {
  const [address, port] = endpointOf(leg.node)
  return {
    traceId: request.traceId,
    spanId: leg.spanId,
    parentSpanId: request.spanId,
    name: `${leg.cluster} ${nameOf(request)}`,
    kind: SPAN_KIND_CLIENT,
    startTimeUnixNano: nanoseconds(leg.startMs),
    endTimeUnixNano: nanoseconds(leg.endMs),
    attributes: attributes({
      ...database(request),
      'server.address': address,
      'server.port': port,
      'zdm.cluster': leg.cluster,
      ...outcome(leg.error),
    }),
    status: statusOf(leg.error),
  }
}

/** Who sends: `service.instance.id` tells instances apart. */
export type TraceResource = { readonly version: string; readonly instance: string }

/** An ExportTraceServiceRequest as JSON (OTLP 1): a span per request and one per cluster that was asked. */
export const otlpBody = (requests: readonly TracedRequest[], of: TraceResource): string =>
  JSON.stringify({
    resourceSpans: [
      {
        resource: {
          attributes: attributes({
            'service.name': 'zdm-proxy',
            'service.version': of.version,
            'service.instance.id': of.instance,
          }),
        },
        scopeSpans: [
          {
            scope: { name: 'zdm-proxy', version: of.version },
            spans: requests.flatMap((request) => [
              serverSpan(request),
              ...request.legs.map((leg) => clientSpan(request, leg)),
            ]),
          },
        ],
      },
    ],
  })
