/**
 * Takes a share of a stream at random, so that no pattern in the requests is met by a pattern here. A
 * xorshift generator: it costs less than a nanosecond and is good enough to choose.
 */
const SEED = 0x9e3779b9
const PERCENT = 100
const UINT32 = 2 ** 32

export class Sampler {
  /** Below it a number of 32 bits is taken. */
  #below = 0
  #state = SEED

  /** `percent`: 0 (nothing) to 100 (all). */
  constructor(percent: number) {
    this.setPercent(percent)
  }

  /** From the next one on. */
  setPercent(percent: number): void {
    this.#below = (percent / PERCENT) * UINT32
  }

  takes(): boolean {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return x >>> 0 < this.#below
  }
}
