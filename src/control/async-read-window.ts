/**
 * What mirrored reads have shown lately, from counters that only grow: the difference of two samples. Who
 * takes the samples is the instance's business. Pure but for the samples it keeps.
 */
import type { PlaneSeries } from '../metrics/plane-series.ts'
import type { AsyncReadEvidence } from './report.ts'

type Sample = {
  readonly atMs: number
  readonly reads: number
  readonly errors: number
  readonly compared: number
  readonly mismatches: number
  readonly dropped: number
}

/** Long enough to hold a few thousand reads of a quiet application. */
const WINDOW_MS = 600_000
/** Samples closer together than this tell nothing more. */
const SAMPLE_PERIOD_MS = 5_000
const MS_PER_SECOND = 1000

const countsOf = (planes: readonly PlaneSeries[], atMs: number): Sample => {
  const nodes = planes.flatMap(({ asyncReads }) => asyncReads.nodes)
  const errors = nodes.reduce(
    (sum, { failed }) => sum + failed.reduce((total, count) => total + count, 0),
    0,
  )
  const answered = nodes.reduce(
    (sum, { requestDurationReads }) => sum + requestDurationReads.count,
    0,
  )
  const sum = (read: (series: PlaneSeries['asyncReads']) => number): number =>
    planes.reduce((all, { asyncReads }) => all + read(asyncReads), 0)
  return {
    atMs,
    reads: Math.max(answered, errors),
    errors,
    compared: sum(({ compared: { equal, equalLater, mismatch } }) => equal + equalLater + mismatch),
    mismatches: sum(({ compared }) => compared.mismatch),
    dropped: sum(({ dropped }) => Object.values(dropped).reduce((all, count) => all + count, 0)),
  }
}

const NOT_COMPARED = 'answers not compared (compare_async_reads: true compares them)'

/** Nothing was found where nothing was looked for: what was not compared is said. */
export const describeMirroredReads = (
  { reads, errors, compared, mismatches, dropped }: Omit<AsyncReadEvidence, 'windowSeconds'>,
  format: (count: number) => string = String,
): string => {
  const differences =
    compared === 0 ? NOT_COMPARED : `${format(mismatches)} of ${format(compared)} compared differed`
  const lost = dropped === 0 ? '' : `; ${format(dropped)} copies dropped, which tell nothing`
  return `${format(reads)} mirrored reads, ${format(errors)} failed; ${differences}${lost}`
}

export class AsyncReadWindow {
  readonly #samples: Sample[] = []
  #latest: Sample | null = null

  /** Takes the counters of all planes as they were at `nowMs`, monotonic. */
  sample(planes: readonly PlaneSeries[], nowMs: number): void {
    const sample = countsOf(planes, nowMs)
    this.#latest = sample
    const last = this.#samples.at(-1)
    if (last !== undefined && nowMs - last.atMs < SAMPLE_PERIOD_MS) return
    this.#samples.push(sample)
    // The one just outside the window is its beginning.
    while (this.#samples.length > 2 && nowMs - this.#samples[1]!.atMs >= WINDOW_MS) {
      this.#samples.shift()
    }
  }

  /** Null where no read has been copied since the start, nor a copy dropped. */
  read(): AsyncReadEvidence | null {
    const last = this.#latest
    const first = this.#samples[0]
    if (last === null || first === undefined || last.reads + last.dropped === 0) return null
    return {
      windowSeconds: (last.atMs - first.atMs) / MS_PER_SECOND,
      reads: last.reads - first.reads,
      errors: last.errors - first.errors,
      compared: last.compared - first.compared,
      mismatches: last.mismatches - first.mismatches,
      dropped: last.dropped - first.dropped,
    }
  }
}
