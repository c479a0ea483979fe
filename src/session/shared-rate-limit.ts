/**
 * A token bucket for all threads of the process, in one shared number: the time by which what was let
 * through would be over, had it come evenly (the generic cell rate algorithm). Rate and burst are the same.
 */
const NANOSECONDS_PER_MS = 1_000_000
const NANOSECONDS_PER_SECOND = 1_000_000_000n

export class SharedRateLimit {
  readonly #evenEnd: BigInt64Array
  /** What one costs, in nanoseconds. */
  readonly #cost: bigint

  /**
   * `shared` is the process's, see shared-state.ts. `perSecond` is at least 1; above a milliard a second
   * all are let through.
   */
  constructor(shared: SharedArrayBuffer, perSecond: number) {
    this.#evenEnd = new BigInt64Array(shared)
    this.#cost = NANOSECONDS_PER_SECOND / BigInt(perSecond)
  }

  /** Whether one more may pass now. Threads have no other clock in common than the wall's. */
  admits(wallMs: number): boolean {
    const now = BigInt(Math.floor(wallMs * NANOSECONDS_PER_MS))
    for (;;) {
      const before = Atomics.load(this.#evenEnd, 0)
      // Further ahead than a full bucket reaches: the wall clock went back.
      const isFresh = before < now || before - now > NANOSECONDS_PER_SECOND
      const after = (isFresh ? now : before) + this.#cost
      if (after - now > NANOSECONDS_PER_SECOND) return false
      if (Atomics.compareExchange(this.#evenEnd, 0, before, after) === before) return true
    }
  }
}
