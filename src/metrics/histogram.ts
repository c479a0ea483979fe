/**
 * A latency histogram over one preallocated array: observing costs a comparison or two and a few
 * stores, allocates nothing, and is read only when metrics are scraped.
 */

const MS_PER_SECOND = 1000

/** Bucket bounds as settings have them, in the unit in which they are exposed. */
export const boundsInSeconds = (boundsMs: readonly number[]): readonly number[] =>
  boundsMs.map((bound) => bound / MS_PER_SECOND)

/** The bounds in which reads from Target are measured: Origin's, unless metrics_honour_target_buckets is set. */
export const readsTargetBounds = (of: {
  readonly originBoundsSeconds: readonly number[]
  readonly targetBoundsSeconds: readonly number[]
  readonly honoursTargetBuckets?: boolean
}): readonly number[] =>
  of.honoursTargetBuckets === true ? of.targetBoundsSeconds : of.originBoundsSeconds

/** A copy of a histogram that can cross threads. */
export type HistogramSnapshot = {
  /** Observations per bucket, not cumulated; one more than there are bounds (the rest). */
  readonly buckets: readonly number[]
  readonly sumSeconds: number
  readonly count: number
}

export class LatencyHistogram {
  readonly boundsSeconds: readonly number[]
  readonly #bounds: Float64Array
  /** The buckets, the rest, the sum, the count. */
  readonly #values: Float64Array

  constructor(boundsSeconds: readonly number[]) {
    this.boundsSeconds = boundsSeconds
    this.#bounds = Float64Array.from(boundsSeconds)
    this.#values = new Float64Array(boundsSeconds.length + 3)
  }

  /** From the smallest bound: nearly all requests end in the first few buckets. */
  observe(seconds: number): void {
    const bounds = this.#bounds
    const values = this.#values
    const length = bounds.length
    let bucket = 0
    while (bucket < length && seconds > bounds[bucket]!) bucket++
    values[bucket]!++
    values[length + 1]! += seconds
    values[length + 2]!++
  }

  snapshot(): HistogramSnapshot {
    const rest = this.#bounds.length
    return {
      buckets: Array.from(this.#values.subarray(0, rest + 1)),
      sumSeconds: this.#values[rest + 1]!,
      count: this.#values[rest + 2]!,
    }
  }
}
