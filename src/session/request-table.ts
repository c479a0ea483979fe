/**
 * The requests in flight of one data plane thread, as parallel arrays: nothing is allocated per
 * request (performance-notes §4, last section). An index is taken when a request is forwarded and
 * given back when its last answer came or nobody waits any more; the upstream slots point here.
 */
import type { PreparedStatement } from '../prepared/statement.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { RequestSpan } from './request-spans.ts'
import type { Session } from './session.ts'

const CAPACITY_START = 1024

/** How the answers become the client's. */
export const RequestKind = {
  FREE: 0,
  /** One cluster was asked; its answer is the client's. */
  ON_ORIGIN: 1,
  ON_TARGET: 2,
  ON_BOTH: 3,
  /** A write that one cluster alone gets: the write mode says so. */
  WRITE_ON_ORIGIN: 4,
  WRITE_ON_TARGET: 5,
} as const

/** Whether one cluster alone was asked; writes and copies have kinds of their own. */
export const isRead = (kind: number): boolean =>
  kind === RequestKind.ON_ORIGIN || kind === RequestKind.ON_TARGET

/** Per cluster in the 16 bits of `heals`: counts up to 255. */
const HEAL_BITS = 8

/** Takes a look at the answer that a client gets, while its bytes are valid. Must not throw. */
export interface AnswerWatcher {
  /**
   * Null where the request ends without an answer of a cluster. Returns whether the watcher keeps the answer,
   * and replies with it itself, later.
   */
  onAnswer(bytes: Uint8Array | null, start: number, end: number): boolean
}

const bit = (cluster: number): number => 1 << cluster

export class RequestTable {
  kind = new Uint8Array(0)
  /** The client's stream id. */
  stream = new Int16Array(0)
  /** One bit per cluster that owes an answer. */
  outstanding = new Uint8Array(0)
  /** One bit per cluster whose answer was an ERROR. */
  failed = new Uint8Array(0)
  /** What the clusters made of a conditional write: an `Applied` in two bits for each. */
  applied = new Uint8Array(0)
  /** The primary when the request was routed: whose success counts. */
  primary = new Uint8Array(0)
  /** Counts the uses of an index, so that a heal that comes back late knows that it is too late. */
  generation = new Uint32Array(0)
  /** How often it was sent again after an UNPREPARED. */
  heals = new Uint16Array(0)
  startMs = new Float64Array(0)
  /** When the first answer of a BOTH request came. */
  firstAnswerMs = new Float64Array(0)
  /** Where the request's envelope lies in `chunk`. */
  chunkStart = new Int32Array(0)
  chunkEnd = new Int32Array(0)
  session: (Session | null)[] = []
  statement: (PreparedStatement | null)[] = []
  /** The client's bytes: a retry needs them, and a time-out reads the consistency from them. */
  chunk: (Uint8Array | null)[] = []
  /**
   * While a compressed request is dispatched: the decompressed envelope that the request's `chunk` is, and
   * what the client has sent. Who sends the one as it is may send the other in its place.
   */
  decompressed: Uint8Array | null = null
  asSent: Uint8Array | null = null
  asSentStart = 0
  asSentEnd = 0
  /** The first answer of a BOTH request, where it may be the one that is returned. */
  held: (Uint8Array | null)[] = []
  /** Set for reads whose answers are compared, and for what may change the schema; else null. */
  watcher: (AnswerWatcher | null)[] = []
  /** Set for what is traced (request-spans.ts), else null. */
  span: (RequestSpan | null)[] = []
  originConnection: (UpstreamConnection | null)[] = []
  targetConnection: (UpstreamConnection | null)[] = []
  originSlot = new Int32Array(0)
  targetSlot = new Int32Array(0)
  #free = new Int32Array(0)
  #freeCount = 0
  /** One above the highest index that was ever taken: where a sweep may stop. */
  highWater = 0

  constructor() {
    this.#growTo(CAPACITY_START)
  }

  get inFlight(): number {
    return this.kind.length - this.#freeCount
  }

  take(): number {
    if (this.#freeCount === 0) this.#growTo(this.kind.length * 2)
    const index = this.#free[--this.#freeCount]!
    if (index >= this.highWater) this.highWater = index + 1
    return index
  }

  /**
   * Forgets the request; references are dropped so that buffers can go. Throws when it was forgotten
   * already: two requests would share the index from then on.
   */
  release(index: number): void {
    if (this.kind[index] === RequestKind.FREE) {
      throw new Error(`request ${index} was released twice`)
    }
    this.kind[index] = RequestKind.FREE
    this.generation[index]!++
    this.session[index] = null
    this.statement[index] = null
    this.chunk[index] = null
    this.held[index] = null
    this.watcher[index] = null
    this.span[index] = null
    this.originConnection[index] = null
    this.targetConnection[index] = null
    this.#free[this.#freeCount++] = index
  }

  connection(index: number, cluster: number): UpstreamConnection | null {
    return cluster === 0 ? this.originConnection[index]! : this.targetConnection[index]!
  }

  slot(index: number, cluster: number): number {
    return cluster === 0 ? this.originSlot[index]! : this.targetSlot[index]!
  }

  setUpstream(
    index: number,
    cluster: number,
    connection: UpstreamConnection | null,
    slot: number,
  ): void {
    if (cluster === 0) {
      this.originConnection[index] = connection
      this.originSlot[index] = slot
    } else {
      this.targetConnection[index] = connection
      this.targetSlot[index] = slot
    }
  }

  /** How often a node of the cluster was taught for this request. */
  healsOn(index: number, cluster: number): number {
    return (this.heals[index]! >> (cluster * HEAL_BITS)) & ((1 << HEAL_BITS) - 1)
  }

  countHeal(index: number, cluster: number): void {
    this.heals[index]! += 1 << (cluster * HEAL_BITS)
  }

  owes(index: number, cluster: number): boolean {
    return (this.outstanding[index]! & bit(cluster)) !== 0
  }

  #growTo(capacity: number): void {
    const before = this.kind.length
    const grow = <
      T extends Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array | Float64Array,
    >(
      old: T,
      next: T,
    ): T => {
      next.set(old)
      return next
    }
    this.kind = grow(this.kind, new Uint8Array(capacity))
    this.stream = grow(this.stream, new Int16Array(capacity))
    this.outstanding = grow(this.outstanding, new Uint8Array(capacity))
    this.failed = grow(this.failed, new Uint8Array(capacity))
    this.applied = grow(this.applied, new Uint8Array(capacity))
    this.primary = grow(this.primary, new Uint8Array(capacity))
    this.generation = grow(this.generation, new Uint32Array(capacity))
    this.heals = grow(this.heals, new Uint16Array(capacity))
    this.startMs = grow(this.startMs, new Float64Array(capacity))
    this.firstAnswerMs = grow(this.firstAnswerMs, new Float64Array(capacity))
    this.chunkStart = grow(this.chunkStart, new Int32Array(capacity))
    this.chunkEnd = grow(this.chunkEnd, new Int32Array(capacity))
    this.originSlot = grow(this.originSlot, new Int32Array(capacity))
    this.targetSlot = grow(this.targetSlot, new Int32Array(capacity))
    for (let index = before; index < capacity; index++) {
      this.session.push(null)
      this.statement.push(null)
      this.chunk.push(null)
      this.held.push(null)
      this.watcher.push(null)
      this.span.push(null)
      this.originConnection.push(null)
      this.targetConnection.push(null)
    }
    this.#free = new Int32Array(capacity)
    for (let index = capacity - 1; index >= before; index--) this.#free[this.#freeCount++] = index
  }
}
