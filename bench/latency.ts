/**
 * A histogram of latencies in preallocated buckets: recording costs a few nanoseconds, so that the
 * load generator does not measure itself. Buckets are 1 µs wide up to 128 µs and 1.6 % of their
 * value above.
 */

const SUB_BITS = 6
const SUB_BUCKETS = 1 << SUB_BITS
const LINEAR_BUCKETS = SUB_BUCKETS * 2
const MICROSECONDS_MAX = 2 ** 31 - 1
const SHIFTS = 31 - SUB_BITS - 1

export class LatencyHistogram {
  readonly #buckets = new Float64Array(LINEAR_BUCKETS + SHIFTS * SUB_BUCKETS)
  #count = 0

  get count(): number {
    return this.#count
  }

  record(milliseconds: number): void {
    const us = milliseconds * 1000
    const value = us <= 0 ? 0 : us >= MICROSECONDS_MAX ? MICROSECONDS_MAX : us | 0
    this.#buckets[bucketOf(value)]!++
    this.#count++
  }

  reset(): void {
    this.#buckets.fill(0)
    this.#count = 0
  }

  /**
   * The latency in milliseconds that `fraction` (0 to 1) of the recorded ones do not exceed, as the
   * upper edge of its bucket; 0 when nothing was recorded.
   */
  percentileMs(fraction: number): number {
    let left = Math.max(1, Math.ceil(this.#count * fraction))
    for (let bucket = 0; bucket < this.#buckets.length; bucket++) {
      left -= this.#buckets[bucket]!
      if (left <= 0) return upperEdgeOf(bucket) / 1000
    }
    return 0
  }
}

const bucketOf = (us: number): number => {
  if (us < LINEAR_BUCKETS) return us
  const shift = 31 - Math.clz32(us) - SUB_BITS
  return LINEAR_BUCKETS + (shift - 1) * SUB_BUCKETS + (us >>> shift) - SUB_BUCKETS
}

const upperEdgeOf = (bucket: number): number => {
  if (bucket < LINEAR_BUCKETS) return bucket + 1
  const shift = ((bucket - LINEAR_BUCKETS) >>> SUB_BITS) + 1
  const sub = ((bucket - LINEAR_BUCKETS) & (SUB_BUCKETS - 1)) + SUB_BUCKETS
  return (sub + 1) * 2 ** shift
}
