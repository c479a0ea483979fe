/**
 * Latency per cluster out of the proxies' /metrics (operations §3.2): the histograms of all instances, nodes
 * and request types of a cluster added up, and what changed between two scrapes.
 */
import type { ContactPoint } from '../clusters/cluster.ts'

export interface Histogram {
  readonly count: number
  readonly sumSeconds: number
  /** Upper bounds in seconds, ascending, the last infinite; counts are cumulative, as exposed. */
  readonly buckets: readonly { readonly leSeconds: number; readonly count: number }[]
}

export interface ClusterLatencies {
  readonly origin: Histogram
  readonly target: Histogram
}

const EMPTY: Histogram = { count: 0, sumSeconds: 0, buckets: [] }

/** The histogram family `name` of a text exposition, added up over its label sets. */
export const parseHistogram = (exposition: string, name: string): Histogram => {
  const counts = new Map<number, number>()
  let { count, sumSeconds } = EMPTY
  for (const line of exposition.split('\n')) {
    if (!line.startsWith(`${name}_`)) continue
    const value = Number(line.slice(line.lastIndexOf(' ') + 1))
    const series = line.slice(name.length, line.search(/[{ ]/))
    if (series === '_sum') sumSeconds += value
    else if (series === '_count') count += value
    else if (series === '_bucket') {
      const le = /\ble="([^"]+)"/.exec(line)?.[1]
      const bound = le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le)
      counts.set(bound, (counts.get(bound) ?? 0) + value)
    }
  }
  const buckets = [...counts].map(([leSeconds, upTo]) => ({ leSeconds, count: upTo }))
  return { count, sumSeconds, buckets: buckets.sort((a, b) => a.leSeconds - b.leSeconds) }
}

/** What was observed after `before` was scraped. */
export const histogramDelta = (before: Histogram, after: Histogram): Histogram => {
  const earlier = new Map(before.buckets.map((bucket) => [bucket.leSeconds, bucket.count]))
  return {
    count: after.count - before.count,
    sumSeconds: after.sumSeconds - before.sumSeconds,
    buckets: after.buckets.map(({ leSeconds, count }) => ({
      leSeconds,
      count: count - (earlier.get(leSeconds) ?? 0),
    })),
  }
}

/**
 * The time below which a share `q` (0 to 1) of the observations lies, taken as spread evenly within a
 * bucket; undefined without observations. Beyond the last finite bound: that bound.
 */
export const quantileSeconds = ({ count, buckets }: Histogram, q: number): number | undefined => {
  if (count <= 0) return undefined
  const rank = q * count
  let [lower, countBelow] = [0, 0]
  for (const bucket of buckets) {
    if (bucket.count >= rank && bucket.count > countBelow) {
      if (bucket.leSeconds === Number.POSITIVE_INFINITY) return lower
      const share = (rank - countBelow) / (bucket.count - countBelow)
      return lower + (bucket.leSeconds - lower) * share
    }
    lower = bucket.leSeconds
    countBelow = bucket.count
  }
  return lower
}

const SCRAPE_TIMEOUT_MS = 2000

export const parseLatencies = (exposition: string): ClusterLatencies => ({
  origin: parseHistogram(exposition, 'zdm_origin_request_duration_seconds'),
  target: parseHistogram(exposition, 'zdm_target_request_duration_seconds'),
})

export const latenciesDelta = (
  before: ClusterLatencies,
  after: ClusterLatencies,
): ClusterLatencies => ({
  origin: histogramDelta(before.origin, after.origin),
  target: histogramDelta(before.target, after.target),
})

const scrape = async ({ address, port }: ContactPoint): Promise<string> => {
  const url = `http://${address}:${port}/metrics`
  const response = await fetch(url, { signal: AbortSignal.timeout(SCRAPE_TIMEOUT_MS) })
  if (!response.ok) throw new Error(`${url} answered ${response.status}`)
  return await response.text()
}

/** Of all instances together. Rejects if one of them does not answer with metrics in time. */
export const scrapeLatencies = async (
  instances: readonly ContactPoint[],
): Promise<ClusterLatencies> =>
  parseLatencies((await Promise.all(instances.map(scrape))).join('\n'))
