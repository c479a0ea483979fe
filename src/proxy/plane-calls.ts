/**
 * What the control plane has asked a data plane's thread and is waiting for. A thread that does not answer in
 * time is stuck: whoever asks is told so, and it counts as stuck until it has answered something.
 */
import type { Clock } from '../clock.ts'
import type { CallResult, PlaneAnswer, PlaneCall, ToPlane } from './plane-messages.ts'

type Pending = { resolve(result: CallResult): void; reject(error: Error): void }

/** A thread that works answers within milliseconds. */
export const ANSWER_TIMEOUT_MS = 2000

export class PlaneCalls {
  readonly #index: number
  readonly #post: (message: ToPlane) => void
  readonly #clock: Clock
  readonly #pending = new Map<number, Pending>()
  #nextCall = 0
  #isStuck = false
  #end: Error | null = null

  /** `index`: which of the threads it is, for what is said. */
  constructor(index: number, post: (message: ToPlane) => void, clock: Clock) {
    this.#index = index
    this.#post = post
    this.#clock = clock
  }

  /** Whether it owes an answer for longer than it was given. */
  get isStuck(): boolean {
    return this.#isStuck
  }

  /** Whether the thread is gone: nothing is answered any more. */
  get hasEnded(): boolean {
    return this.#end !== null
  }

  /**
   * Rejects after `timeoutMs`, and at once where the thread has ended; what was asked may be carried out all
   * the same when the thread goes on. Null: as long as it takes.
   */
  async call(what: PlaneCall, timeoutMs: number | null): Promise<CallResult> {
    if (this.#end !== null) throw this.#end
    const call = this.#nextCall++
    const { promise, resolve, reject } = Promise.withResolvers<CallResult>()
    this.#pending.set(call, { resolve, reject })
    this.#post({ kind: 'call', call, what })
    if (timeoutMs === null) return promise
    const timer = this.#clock.setTimeout(() => {
      this.#isStuck = true
      reject(this.#stuck(what, timeoutMs))
    }, timeoutMs)
    try {
      return await promise
    } finally {
      this.#clock.clearTimeout(timer)
    }
  }

  onAnswer(message: PlaneAnswer): void {
    const pending = this.#pending.get(message.call)
    this.#pending.delete(message.call)
    this.#isStuck = false
    if (message.kind === 'done') pending?.resolve(message.result)
    else pending?.reject(new Error(message.message))
  }

  /** The thread has ended. */
  fail(error: Error): void {
    this.#end = error
    for (const pending of this.#pending.values()) pending.reject(error)
    this.#pending.clear()
  }

  #stuck({ name }: PlaneCall, timeoutMs: number): Error {
    return new Error(
      `data plane thread ${this.#index} has not answered within ${timeoutMs} ms (${name}): it is stuck, and so are its clients; restart this instance if it stays so`,
    )
  }
}
