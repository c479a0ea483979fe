/**
 * What a metric family is, and the ways in which its points are made from what the data planes counted.
 * The families themselves: proxy-families.ts, node-families.ts, runtime-families.ts.
 */

import type { CertificateSeries } from './certificate-series.ts'
import type { ControlConnectionSeries } from './control-connection-series.ts'
import type { ControlSeries } from './control-series.ts'
import type { HistogramSnapshot } from './histogram.ts'
import type { PerCluster, PlaneSeries } from './plane-series.ts'
import type { ReloadSeries } from './reload-series.ts'
import type { ScrapeSeries } from './scrape-families.ts'
import type { ThreadSeries } from './thread-series.ts'
import type { TracingSeries } from './tracing-series.ts'

/** All that a scrape reads. */
export type Gathered = {
  readonly planes: readonly PlaneSeries[]
  /** Every thread once, the main one first. */
  readonly threads: readonly ThreadSeries[]
  /** How many of them do not answer; their series are what they said last. */
  readonly stuckThreads: number
  readonly originBoundsSeconds: readonly number[]
  readonly targetBoundsSeconds: readonly number[]
  readonly asyncBoundsSeconds: readonly number[]
  /** As the data planes' histograms were made. */
  readonly honoursTargetBuckets?: boolean
  readonly version: string
  /** Null where there is no switch. */
  readonly control: ControlSeries | null
  readonly certificates: CertificateSeries
  /** None before the first start attempt has succeeded. */
  readonly controlConnections: readonly ControlConnectionSeries[]
  /** Null where no spans are exported. */
  readonly tracing: TracingSeries | null
  /** Null where settings cannot be read again. */
  readonly reloads: ReloadSeries | null
  readonly scrapes: ScrapeSeries
  /** Null where the platform does not tell. */
  readonly addressSpaceMaxBytes: number | null
}

/** One line of the exposition. */
export type Point = {
  /** What follows the family's name in histograms and summaries. */
  readonly suffix?: '_bucket' | '_sum' | '_count'
  /** In the order in which they are written. */
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export type MetricFamily = {
  /** Without the prefix. */
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary'
  /** Whether `metrics_prefix` comes before the name. */
  readonly isPrefixed: boolean
  /** Whether dashboards made for the Go proxy know it. */
  readonly isReference: boolean
  /** By name, in alphabetical order: all values that there are, or what a value is. */
  readonly labels: Readonly<Record<string, readonly string[] | string>>
  readonly help: string
  read(gathered: Gathered): readonly Point[]
}

const EXPONENT_BELOW = 1e-4
const EXPONENT_FROM = 1e6

/** A bucket's bound as Go writes it: rules and dashboards match `le` as text. */
export const formatBound = (seconds: number): string => {
  const size = Math.abs(seconds)
  if (size === 0 || (size >= EXPONENT_BELOW && size < EXPONENT_FROM)) return String(seconds)
  // Go's exponents have two digits at least.
  return seconds.toExponential().replace(/([+-])(\d)$/, '$10$2')
}

/** One number of all planes. */
export const total = (
  planes: readonly PlaneSeries[],
  read: (plane: PlaneSeries) => number,
): number => planes.reduce((sum, plane) => sum + read(plane), 0)

/** A family's read function for a number per cluster, under the label `cluster`. */
export const readPerCluster =
  (read: (plane: PlaneSeries) => Readonly<PerCluster>): MetricFamily['read'] =>
  ({ planes }) => [
    { labels: { cluster: 'origin' }, value: total(planes, (plane) => read(plane).origin) },
    { labels: { cluster: 'target' }, value: total(planes, (plane) => read(plane).target) },
  ]

/** The lines of one histogram, its snapshots added up and its buckets cumulated. `le` comes last, as Go has it. */
export const histogramPoints = (
  labels: Readonly<Record<string, string>>,
  boundsSeconds: readonly number[],
  snapshots: readonly HistogramSnapshot[],
): readonly Point[] => {
  let observed = 0
  const points = [...boundsSeconds, Number.POSITIVE_INFINITY].map((bound, index): Point => {
    for (const { buckets } of snapshots) observed += buckets[index]!
    const le = bound === Number.POSITIVE_INFINITY ? '+Inf' : formatBound(bound)
    return { suffix: '_bucket', labels: { ...labels, le }, value: observed }
  })
  const sumSeconds = snapshots.reduce((sum, snapshot) => sum + snapshot.sumSeconds, 0)
  return [
    ...points,
    { suffix: '_sum', labels, value: sumSeconds },
    { suffix: '_count', labels, value: observed },
  ]
}
