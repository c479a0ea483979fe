import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatBound, histogramPoints } from '../../src/metrics/family.ts'
import { boundsInSeconds, LatencyHistogram } from '../../src/metrics/histogram.ts'

describe('LatencyHistogram', () => {
  test.each([
    { seconds: 0, bucket: 0 },
    { seconds: 0.001, bucket: 0 },
    { seconds: 0.0011, bucket: 1 },
    { seconds: 0.01, bucket: 1 },
    { seconds: 0.011, bucket: 2 },
    { seconds: 3600, bucket: 2 },
  ])('$seconds s fall into bucket $bucket', ({ seconds, bucket }) => {
    const histogram = new LatencyHistogram([0.001, 0.01])
    histogram.observe(seconds)
    const buckets = [0, 0, 0]
    buckets[bucket] = 1
    expect(histogram.snapshot()).toEqual({ buckets, sumSeconds: seconds, count: 1 })
  })

  test('a snapshot is a copy', () => {
    const histogram = new LatencyHistogram([1])
    const before = histogram.snapshot()
    histogram.observe(0.5)
    expect(before).toEqual({ buckets: [0, 0], sumSeconds: 0, count: 0 })
  })

  test('buckets are what counting each value against each bound gives', () => {
    const bounds = fc.uniqueArray(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 })
    const values = fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 60 })
    fc.assert(
      fc.property(bounds, values, (unsorted, observed) => {
        const rising = [...unsorted].sort((a, b) => a - b)
        const histogram = new LatencyHistogram(rising)
        for (const value of observed) histogram.observe(value)
        const points = histogramPoints({}, rising, [histogram.snapshot()])
        const expected = [
          ...rising.map((bound) => observed.filter((value) => value <= bound).length),
          observed.length,
          observed.reduce((sum, value) => sum + value, 0),
          observed.length,
        ]
        expect(points.map(({ value }) => value)).toEqual(expected)
      }),
    )
  })

  test('bounds of settings become seconds', () => {
    expect(boundsInSeconds([1, 4, 15_000])).toEqual([0.001, 0.004, 15])
  })
})

describe('a bound is written as Go writes it', () => {
  test.each([
    [0.001, '0.001'],
    [0.025, '0.025'],
    [1, '1'],
    [2.5, '2.5'],
    [15, '15'],
    [999_999, '999999'],
    [1_000_000, '1e+06'],
    [1_234_567, '1.234567e+06'],
    [0.0001, '0.0001'],
    [0.00005, '5e-05'],
    [0.000_000_000_012, '1.2e-11'],
  ])('%d as %s', (bound, text) => {
    expect(formatBound(bound)).toBe(text)
  })
})
