/**
 * The write times that the proxy gives to writes without one: microseconds since 1970, never the same
 * twice and never going back in one process, whichever thread asks. Two writes of one client are thus
 * ordered as they came, and so are those of different clients.
 */
const MICROSECONDS_PER_MS = 1000n

export class WriteClock {
  readonly #last: BigInt64Array

  /** `shared` is the process's, see shared-state.ts. */
  constructor(shared: SharedArrayBuffer) {
    this.#last = new BigInt64Array(shared)
  }

  /** The next write time. It runs ahead of a wall clock that went back until that has caught up. */
  next(wallMs: number): bigint {
    const now = BigInt(Math.floor(wallMs)) * MICROSECONDS_PER_MS
    for (;;) {
      const last = Atomics.load(this.#last, 0)
      const next = now > last ? now : last + 1n
      if (Atomics.compareExchange(this.#last, 0, last, next) === last) return next
    }
  }
}
