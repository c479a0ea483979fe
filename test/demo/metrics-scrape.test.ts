import { describe, expect, test } from 'vitest'
import {
  type Histogram,
  histogramDelta,
  parseHistogram,
  parseLatencies,
  quantileSeconds,
} from '../../demo/metrics-scrape.ts'

const EXPOSITION = `# HELP zdm_origin_request_duration_seconds Latency
# TYPE zdm_origin_request_duration_seconds histogram
zdm_origin_request_duration_seconds_bucket{le="0.001",node="127.0.0.2:9042",type="reads"} 3
zdm_origin_request_duration_seconds_bucket{le="0.004",node="127.0.0.2:9042",type="reads"} 5
zdm_origin_request_duration_seconds_bucket{le="+Inf",node="127.0.0.2:9042",type="reads"} 6
zdm_origin_request_duration_seconds_sum{node="127.0.0.2:9042",type="reads"} 0.5
zdm_origin_request_duration_seconds_count{node="127.0.0.2:9042",type="reads"} 6
zdm_origin_request_duration_seconds_bucket{node="127.0.0.2:9042",type="writes",le="0.001"} 10
zdm_origin_request_duration_seconds_bucket{node="127.0.0.2:9042",type="writes",le="0.004"} 10
zdm_origin_request_duration_seconds_bucket{node="127.0.0.2:9042",type="writes",le="+Inf"} 10
zdm_origin_request_duration_seconds_sum{node="127.0.0.2:9042",type="writes"} 2.5e-1
zdm_origin_request_duration_seconds_count{node="127.0.0.2:9042",type="writes"} 10
zdm_origin_requests_failed_total{node="127.0.0.2:9042",error="other"} 99
zdm_target_request_duration_seconds_count{node="127.0.0.3:9042",type="writes"} 7
`

const INFINITE = Number.POSITIVE_INFINITY
const histogram = (...buckets: readonly (readonly [leSeconds: number, count: number])[]) => ({
  count: buckets.at(-1)?.[1] ?? 0,
  sumSeconds: 0,
  buckets: buckets.map(([leSeconds, count]) => ({ leSeconds, count })),
})

describe('a histogram of the exposition', () => {
  test('is added up over nodes and request types', () => {
    expect(parseHistogram(EXPOSITION, 'zdm_origin_request_duration_seconds')).toEqual({
      count: 16,
      sumSeconds: 0.75,
      buckets: [
        { leSeconds: 0.001, count: 13 },
        { leSeconds: 0.004, count: 15 },
        { leSeconds: INFINITE, count: 16 },
      ],
    })
  })

  test('that is not there yet is empty', () => {
    expect(parseHistogram('', 'zdm_x')).toEqual({ count: 0, sumSeconds: 0, buckets: [] })
  })

  test('is read for each cluster', () => {
    const { origin, target } = parseLatencies(EXPOSITION)
    expect([origin.count, target.count]).toEqual([16, 7])
  })
})

describe('the difference of two scrapes', () => {
  test('is what was observed between them', () => {
    const before = histogram([0.001, 2], [INFINITE, 5])
    const after = histogram([0.001, 6], [INFINITE, 12])
    expect(histogramDelta(before, after)).toEqual(histogram([0.001, 4], [INFINITE, 7]))
  })

  test('from nothing is all of it: series begin with the first client', () => {
    const after = histogram([0.001, 6], [INFINITE, 12])
    expect(histogramDelta(histogram(), after)).toEqual(after)
  })
})

describe('a quantile', () => {
  test.each<{ what: string; of: Histogram; q: number; seconds: number | undefined }>([
    { what: 'of nothing', of: histogram(), q: 0.5, seconds: undefined },
    {
      what: 'of no observations',
      of: histogram([1, 0], [INFINITE, 0]),
      q: 0.5,
      seconds: undefined,
    },
    { what: 'in the first bucket', of: histogram([1, 10], [INFINITE, 10]), q: 0.5, seconds: 0.5 },
    { what: 'in a later one', of: histogram([1, 5], [3, 10], [INFINITE, 10]), q: 0.75, seconds: 2 },
    {
      what: 'past empty buckets',
      of: histogram([1, 0], [2, 0], [4, 10], [INFINITE, 10]),
      q: 0.5,
      seconds: 3,
    },
    {
      what: 'past the last bound',
      of: histogram([1, 5], [2, 6], [INFINITE, 10]),
      q: 0.99,
      seconds: 2,
    },
    { what: 'of one', of: histogram([1, 4], [INFINITE, 4]), q: 1, seconds: 1 },
  ])('$what', ({ of, q, seconds }) => {
    expect(quantileSeconds(of, q)).toBe(seconds)
  })
})
