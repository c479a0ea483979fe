/**
 * A sampled request as its data plane hands it over when it is answered: a plain object that can cross threads.
 * Nothing of the data and no text of a statement is in it.
 */

/** One question to a node and its answer; several to one cluster where a statement had to be prepared again. */
export type TracedLeg = {
  readonly spanId: string
  readonly cluster: 'origin' | 'target'
  /** The node's label. */
  readonly node: string
  readonly startMs: number
  readonly endMs: number
  /** The protocol's error code as `0x1100`, `connection_lost` or `timeout`; null for a success. */
  readonly error: string | null
}

export type TracedRequest = {
  /** Hexadecimal, as W3C Trace Context has it: 32 and 16 digits. */
  readonly traceId: string
  readonly spanId: string
  /** The client's span; empty where it has shown none. */
  readonly parentSpanId: string
  /** `address:port` */
  readonly client: string
  readonly opcode: string
  /** The statement's verb; null where it is none that is known. */
  readonly operation: string | null
  readonly keyspace: string | null
  /** Of `tracing_enabled`, hexadecimal. */
  readonly requestId: string | null
  /** Milliseconds since 1970, with fraction. */
  readonly startMs: number
  readonly endMs: number
  /** What the client was answered, as in a leg. */
  readonly error: string | null
  readonly legs: readonly TracedLeg[]
}

export const spansOf = ({ legs }: TracedRequest): number => 1 + legs.length
