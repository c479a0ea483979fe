/**
 * Traced requests (`tracing_otlp_endpoint`): which ones are, and what is known of them while they are in flight.
 * Who is not sampled pays for the question. Those that are answered go to the control plane in batches, which exports
 * them (src/tracing/).
 */
import { randomBytes } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { FLAGS_OFFSET, OPCODE_OFFSET } from '../cql/envelope.ts'
import { ProtocolError } from '../cql/errors.ts'
import { payloadEntries } from '../cql/messages/custom-payload.ts'
import { EnvelopeFlag, Opcode, opcodeName } from '../cql/protocol.ts'
import { type Cluster, clusterLabel } from '../routing/cluster.ts'
import { Sampler } from '../sampler.ts'
import { operationName } from '../statement/operation-name.ts'
import { parseTraceParent, type TraceParent } from '../tracing/trace-parent.ts'
import { spansOf, type TracedLeg, type TracedRequest } from '../tracing/traced-request.ts'
import type { Turn } from '../turn.ts'
import type { KeyspaceRequests } from './keyspace-requests.ts'
import type { RequestTable } from './request-table.ts'

/** The key of the client's trace context in the custom payload. */
const TRACE_PARENT_KEY = 'traceparent'
/** Batches leave when they have so many, and with every sweep. */
const BATCH_MAX = 64
/** Between two sweeps; a control plane that cannot keep up must not be buried. */
export const TRACED_PER_SWEEP_MAX = 1000
const REQUEST_ID_LENGTH_MAX = 64
const TRACE_ID_LENGTH = 16
const SPAN_ID_LENGTH = 8

const encoder = new TextEncoder()
const PARENT_KEY = encoder.encode(TRACE_PARENT_KEY)

const newId = (length: number): string => randomBytes(length).toString('hex')

/** A traced request that is in flight; times in the turn's milliseconds until it is handed over. */
export class RequestSpan {
  readonly known: Omit<TracedRequest, 'endMs' | 'error' | 'legs'>
  readonly legs: TracedLeg[] = []
  /** From the turn's clock to milliseconds since 1970. */
  readonly wallOffsetMs: number

  constructor(known: RequestSpan['known'], wallOffsetMs: number) {
    this.known = known
    this.wallOffsetMs = wallOffsetMs
  }

  /** A node has answered, or what takes an answer's place: see `TracedLeg`. */
  onAnswer(cluster: Cluster, node: string, error: string | null, nowMs: number): void {
    const label = clusterLabel(cluster)
    const before = this.legs.findLast((leg) => leg.cluster === label)
    this.legs.push({
      spanId: newId(SPAN_ID_LENGTH),
      cluster: label,
      node,
      startMs: before?.endMs ?? this.known.startMs,
      endMs: this.wallOffsetMs + nowMs,
      error,
    })
  }
}

/** As spans have a CQL error code. */
export const spanError = (errorCode: number): string =>
  `0x${errorCode.toString(16).padStart(4, '0')}`

export type RequestSpansOptions = {
  readonly requests: RequestTable
  readonly keyspaces: KeyspaceRequests
  readonly turn: Turn
  readonly clock: Clock
  /** `tracing_request_id_key` */
  readonly requestIdKey: string
  readonly samplePercent: number
  /** Takes a batch of requests that are answered. */
  send(requests: readonly TracedRequest[]): void
  /** So many spans were not handed over. */
  onDropped(spans: number): void
}

export class RequestSpans {
  readonly #options: RequestSpansOptions
  readonly #sampler: Sampler
  readonly #requestIdKey: Uint8Array
  #batch: TracedRequest[] = []
  #sinceSweep = 0

  constructor(options: RequestSpansOptions) {
    this.#options = options
    this.#sampler = new Sampler(options.samplePercent)
    this.#requestIdKey = encoder.encode(options.requestIdKey)
  }

  setSamplePercent(percent: number): void {
    this.#sampler.setPercent(percent)
  }

  /** A request of the table is about to be sent on: from now on it is traced, if it is to be. */
  begin(request: number): void {
    const { requests } = this.#options
    const flags = requests.chunk[request]![requests.chunkStart[request]! + FLAGS_OFFSET]!
    const parent = (flags & EnvelopeFlag.CUSTOM_PAYLOAD) === 0 ? null : this.#parentOf(request)
    const isSampled = parent === null ? this.#sampler.takes() : parent.isSampled
    if (isSampled) requests.span[request] = this.#make(request, parent)
  }

  /** The client's answer is on its way, or the time is over. */
  end(request: number, isAnswered: boolean): void {
    const { requests, turn, onDropped, send } = this.#options
    const { known, legs, wallOffsetMs } = requests.span[request]!
    const hasFailed = requests.failed[request] !== 0
    const failure = hasFailed ? (legs.find(({ error }) => error !== null)?.error ?? null) : null
    const error = isAnswered ? failure : 'timeout'
    const traced = { ...known, endMs: wallOffsetMs + turn.nowMs, error, legs }
    if (++this.#sinceSweep > TRACED_PER_SWEEP_MAX) {
      onDropped(spansOf(traced))
      return
    }
    if (this.#batch.push(traced) < BATCH_MAX) return
    send(this.#batch)
    this.#batch = []
  }

  /** Hands over what there is. */
  sweep(): void {
    this.#sinceSweep = 0
    if (this.#batch.length === 0) return
    this.#options.send(this.#batch)
    this.#batch = []
  }

  #make(request: number, parent: TraceParent | null): RequestSpan {
    const { requests, keyspaces, turn, clock } = this.#options
    const opcode = requests.chunk[request]![requests.chunkStart[request]! + OPCODE_OFFSET]!
    const wallOffsetMs = clock.wallMs() - clock.now()
    const { text, keyspace } = keyspaces.describe(request)
    const known = {
      traceId: parent?.traceId ?? newId(TRACE_ID_LENGTH),
      spanId: newId(SPAN_ID_LENGTH),
      parentSpanId: parent?.spanId ?? '',
      client: requests.session[request]!.transport.peer,
      opcode: opcodeName(opcode),
      operation: opcode === Opcode.BATCH ? 'BATCH' : operationName(text),
      keyspace,
      requestId: this.#requestIdOf(request),
      startMs: wallOffsetMs + turn.nowMs,
    }
    return new RequestSpan(known, wallOffsetMs)
  }

  #parentOf(request: number): TraceParent | null {
    const value = this.#payloadValue(request, PARENT_KEY)
    return value === null ? null : parseTraceParent(Buffer.from(value).toString('latin1'))
  }

  #requestIdOf(request: number): string | null {
    const value = this.#payloadValue(request, this.#requestIdKey)
    if (value === null) return null
    return Buffer.from(value.subarray(0, REQUEST_ID_LENGTH_MAX)).toString('hex')
  }

  /** The last one, as a reader has it who puts them into a map; null also of a payload that cannot be read. */
  #payloadValue(request: number, key: Uint8Array): Uint8Array | null {
    const { requests } = this.#options
    const start = requests.chunkStart[request]!
    const end = requests.chunkEnd[request]!
    try {
      return payloadEntries(requests.chunk[request]!, start, end, key).named.at(-1)?.value ?? null
    } catch (error) {
      if (error instanceof ProtocolError) return null
      throw error
    }
  }
}
