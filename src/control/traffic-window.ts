/**
 * Rates and latencies of the last seconds, from counters that only grow: the difference of two samples. Who
 * takes the samples, and when, is the instance's business.
 */
import type { HistogramSnapshot } from '../metrics/histogram.ts'
import type { ClusterKey, PlaneSeries } from '../metrics/plane-series.ts'
import type { ClusterTraffic, Latency, Traffic } from './report.ts'

type Kind = 'readsOrigin' | 'readsTarget' | 'writes'
const KINDS: readonly Kind[] = ['readsOrigin', 'readsTarget', 'writes']

type Sample = {
  readonly atMs: number
  readonly clientConnections: number
  readonly inFlight: number
  readonly failedReads: number
  readonly failedWrites: number
  /** Per kind, of all planes: requests by bucket of their duration. */
  readonly buckets: Readonly<Record<Kind, readonly number[]>>
  /** Per cluster, of all its nodes. */
  readonly clusters: Readonly<Record<ClusterKey, ClusterCounts>>
}

type ClusterCounts = { readonly errors: number; readonly buckets: readonly number[] }

const WINDOW_MS = 10_000
const MS_PER_SECOND = 1000

const add = (snapshots: readonly HistogramSnapshot[]): number[] => {
  const sums: number[] = []
  for (const { buckets } of snapshots) {
    for (const [index, count] of buckets.entries()) sums[index] = (sums[index] ?? 0) + count
  }
  return sums
}

/** All answers of a cluster's nodes; errors are among them, but for the time-outs. */
const clusterCounts = (planes: readonly PlaneSeries[], cluster: ClusterKey): ClusterCounts => {
  const nodes = planes.flatMap((plane) => plane.nodes.filter((node) => node.cluster === cluster))
  return {
    errors: total(nodes.flatMap(({ failed }) => failed)),
    buckets: add(
      nodes.flatMap(({ requestDurationReads, requestDurationWrites }) => [
        requestDurationReads,
        requestDurationWrites,
      ]),
    ),
  }
}

const total = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0)

/** Of the durations' buckets, in seconds. */
export type TrafficBounds = {
  /** Of Origin's nodes, and of the proxy's own durations but for the next. */
  readonly origin: readonly number[]
  /** Of the proxy's own durations of reads from Target. */
  readonly readsTarget: readonly number[]
  /** Of Target's nodes. */
  readonly target: readonly number[]
}

export class TrafficWindow {
  readonly #bounds: TrafficBounds
  readonly #samples: Sample[] = []

  constructor(bounds: TrafficBounds) {
    this.#bounds = bounds
  }

  /** Takes the counters of all planes as they were at `nowMs`, monotonic. */
  sample(planes: readonly PlaneSeries[], nowMs: number): void {
    const sum = (read: (plane: PlaneSeries) => number): number => total(planes.map(read))
    const durations = (kind: Kind): number[] =>
      add(planes.map(({ requestDuration }) => requestDuration[kind]))
    this.#samples.push({
      atMs: nowMs,
      clientConnections: sum((plane) => plane.clientConnections),
      inFlight: sum(
        ({ inflight }) => inflight.readsOrigin + inflight.readsTarget + inflight.writes,
      ),
      failedReads: sum(({ failedReads }) => failedReads.origin + failedReads.target),
      failedWrites: sum(({ failedWrites: f }) => f.origin + f.target + f.both),
      buckets: {
        readsOrigin: durations('readsOrigin'),
        readsTarget: durations('readsTarget'),
        writes: durations('writes'),
      },
      clusters: {
        origin: clusterCounts(planes, 'origin'),
        target: clusterCounts(planes, 'target'),
      },
    })
    // The one just outside the window is its beginning.
    while (this.#samples.length > 2 && nowMs - this.#samples[1]!.atMs >= WINDOW_MS) {
      this.#samples.shift()
    }
  }

  /** Null before the first sample. `limitMs`: no request takes longer, whatever the bounds of the buckets are. */
  read(limitMs: number): Traffic | null {
    const last = this.#samples.at(-1)
    if (last === undefined) return null
    const first = this.#samples[0]!
    const seconds = (last.atMs - first.atMs) / MS_PER_SECOND
    const perSecond = (count: number): number => (seconds === 0 ? 0 : count / seconds)
    const grown = (kind: Kind): number[] =>
      last.buckets[kind].map((count, index) => count - (first.buckets[kind][index] ?? 0))
    const [readsOrigin, readsTarget, writes] = KINDS.map(grown)
    return {
      windowSeconds: seconds,
      clientConnections: last.clientConnections,
      inFlight: last.inFlight,
      rates: {
        readsOrigin: perSecond(total(readsOrigin!)),
        readsTarget: perSecond(total(readsTarget!)),
        writes: perSecond(total(writes!)),
        failedReads: perSecond(last.failedReads - first.failedReads),
        failedWrites: perSecond(last.failedWrites - first.failedWrites),
      },
      latency: {
        readsOrigin: latencyOf(readsOrigin!, this.#bounds.origin, limitMs),
        readsTarget: latencyOf(readsTarget!, this.#bounds.readsTarget, limitMs),
        writes: latencyOf(writes!, this.#bounds.origin, limitMs),
      },
      clusters: {
        origin: this.#cluster('origin', first, last, perSecond, limitMs),
        target: this.#cluster('target', first, last, perSecond, limitMs),
      },
    }
  }

  #cluster(
    cluster: ClusterKey,
    first: Sample,
    last: Sample,
    perSecond: (count: number) => number,
    limitMs: number,
  ): ClusterTraffic {
    const [before, after] = [first.clusters[cluster], last.clusters[cluster]]
    const grown = after.buckets.map((count, index) => count - (before.buckets[index] ?? 0))
    return {
      requestsPerSecond: perSecond(total(grown)),
      errorsPerSecond: perSecond(after.errors - before.errors),
      latency: latencyOf(grown, this.#bounds[cluster], limitMs),
    }
  }
}

const latencyOf = (
  buckets: readonly number[],
  bounds: readonly number[],
  limitMs: number,
): Latency => {
  const [p50Ms, p99Ms] = [0.5, 0.99].map((quantile) => {
    const ms = quantileOf(buckets, bounds, quantile)
    return ms === null ? null : Math.min(ms, limitMs)
  })
  return { p50Ms: p50Ms ?? null, p99Ms: p99Ms ?? null }
}

/** As Prometheus' histogram_quantile: linear within a bucket; beyond the last bound, that bound. */
const quantileOf = (
  buckets: readonly number[],
  bounds: readonly number[],
  quantile: number,
): number | null => {
  const wanted = total(buckets) * quantile
  if (wanted === 0) return null
  let before = 0
  for (const [index, count] of buckets.entries()) {
    const bound = bounds[index]
    if (bound === undefined) break
    if (before + count >= wanted) {
      const lower = index === 0 ? 0 : bounds[index - 1]!
      return (lower + ((bound - lower) * (wanted - before)) / count) * MS_PER_SECOND
    }
    before += count
  }
  return (bounds.at(-1) ?? 0) * MS_PER_SECOND
}
