/**
 * The time of the current turn of the event loop: read once at the beginning of every callback that leads
 * to an answer (a read, a lost connection, a timer, another thread's word) and shared by all that happens in it. Reading a clock per request would cost more than the request.
 */
import type { Clock } from './clock.ts'

export class Turn {
  /** Monotonic milliseconds with fraction. */
  nowMs: number
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
    this.nowMs = clock.now()
  }

  begin(): number {
    this.nowMs = this.#clock.now()
    return this.nowMs
  }
}
