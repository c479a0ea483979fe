/** One run for a burst of causes: a moment after the last of them, and within a bound after the first. */
import type { Clock, Timer } from '../clock.ts'

/** Events come in bursts (a node that restarts sends several): one refresh serves them all. */
const DELAY_MS = 100
/** A stream of events that never pauses must not put the refresh off for ever. */
const DELAY_MAX_MS = 1_000

export class BurstTimer {
  readonly #clock: Clock
  readonly #run: () => void
  #timer: Timer | null = null
  /** When it runs at the latest; null when it is not to run. */
  #byMs: number | null = null

  constructor(clock: Clock, run: () => void) {
    this.#clock = clock
    this.#run = run
  }

  schedule(): void {
    const nowMs = this.#clock.now()
    this.#byMs ??= nowMs + DELAY_MAX_MS
    const delayMs = Math.min(DELAY_MS, this.#byMs - nowMs)
    this.#clock.clearTimeout(this.#timer)
    this.#timer = this.#clock.setTimeout(() => {
      this.#byMs = null
      this.#run()
    }, delayMs)
  }

  cancel(): void {
    this.#clock.clearTimeout(this.#timer)
    this.#byMs = null
  }
}
