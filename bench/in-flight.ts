/**
 * The requests that one connection waits for, by stream id, and the rule that makes a run worth
 * anything: each is answered exactly once, under its own id, with the kind of answer that it asked for.
 */

export const AnswerKind = { DONE: 1, ROWS: 2 } as const
export type AnswerKind = (typeof AnswerKind)[keyof typeof AnswerKind]

const kindName = (kind: number): string =>
  kind === AnswerKind.DONE ? 'VOID' : kind === AnswerKind.ROWS ? 'ROWS' : 'nothing'

/** The server has answered what it should not have; the run is void. */
export class WrongAnswerError extends Error {
  readonly code = 'BENCH_WRONG_ANSWER'
}

export class InFlight {
  /** Per stream id the AnswerKind that is due, or 0. */
  readonly #due: Uint8Array
  readonly #startMs: Float64Array
  /** The last one given back is the next one taken. */
  readonly #free: Uint16Array
  #freeCount: number

  /** Stream ids go from 0 to `capacity` − 1. */
  constructor(capacity: number) {
    this.#due = new Uint8Array(capacity)
    this.#startMs = new Float64Array(capacity)
    this.#free = new Uint16Array(capacity).map((_, index) => capacity - 1 - index)
    this.#freeCount = capacity
  }

  get count(): number {
    return this.#due.length - this.#freeCount
  }

  /** A stream id for a request, or -1 when all are in flight. */
  take(kind: AnswerKind, startMs: number): number {
    if (this.#freeCount === 0) return -1
    const streamId = this.#free[--this.#freeCount]!
    this.#due[streamId] = kind
    this.#startMs[streamId] = startMs
    return streamId
  }

  /** Takes an answer and returns when its request started. Throws a WrongAnswerError. */
  settle(streamId: number, kind: AnswerKind): number {
    const due = this.#due[streamId]
    if (due !== kind) {
      throw new WrongAnswerError(
        `stream ${streamId} was answered with ${kindName(kind)}, due was ${kindName(due ?? 0)}`,
      )
    }
    this.#due[streamId] = 0
    this.#free[this.#freeCount++] = streamId
    return this.#startMs[streamId]!
  }
}
