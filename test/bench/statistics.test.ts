import { describe, expect, it } from 'vitest'
import { LatencyHistogram } from '../../bench/latency.ts'
import { formatNumber, formatSpread, formatTable, spreadOf } from '../../bench/statistics.ts'

describe('spreads', () => {
  it.each([
    [[], null],
    [[7], { min: 7, median: 7, max: 7 }],
    [[3, 1, 10], { min: 1, median: 3, max: 10 }],
    [[4, 1, 3, 2], { min: 1, median: 2.5, max: 4 }],
  ])('of %j', (values, expected) => {
    expect(spreadOf(values)).toEqual(expected)
  })

  it('are printed as median and range, as one number when there is one, as a dash when there is none', () => {
    expect(formatSpread({ min: 1, median: 2, max: 3 }, formatNumber)).toBe('2.00 [1.00–3.00]')
    expect(formatSpread({ min: 2, median: 2, max: 2 }, formatNumber)).toBe('2.00')
    expect(formatSpread(null, formatNumber)).toBe('–')
  })
})

describe('numbers', () => {
  it.each([
    [0, '0.00'],
    [0.0123, '0.012'],
    [0.5, '0.500'],
    [4.567, '4.57'],
    [12.34, '12.3'],
    [123.4, '123'],
    [1_234_567.8, '1,234,568'],
  ])('%d is printed as %s', (value, text) => {
    expect(formatNumber(value)).toBe(text)
  })
})

describe('tables', () => {
  it('align the first column left and the others right, under a line', () => {
    expect(
      formatTable([
        ['', 'a', 'long title'],
        ['direct', '1', '22'],
        ['x', '333', '–'],
      ]),
    ).toBe(
      [
        '          a  long title',
        '-----------------------',
        'direct    1          22',
        'x       333           –',
      ].join('\n'),
    )
  })
})

describe('the latency histogram', () => {
  it('gives percentiles within its buckets: 1 µs, or 1.6 % above 128 µs', () => {
    const histogram = new LatencyHistogram()
    const samplesMs = Array.from({ length: 10_000 }, (_, at) => (at + 1) / 100)
    for (const sample of samplesMs) histogram.record(sample)
    expect(histogram.count).toBe(10_000)
    for (const fraction of [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1]) {
      const exact = samplesMs[Math.ceil(fraction * 10_000) - 1]!
      const found = histogram.percentileMs(fraction)
      expect(found, `percentile ${fraction}`).toBeGreaterThan(exact - 0.001)
      expect(found, `percentile ${fraction}`).toBeLessThanOrEqual(exact * 1.016 + 0.001)
    }
  })

  it('finds a single slow request', () => {
    const histogram = new LatencyHistogram()
    for (let at = 0; at < 99; at++) histogram.record(0.0505)
    histogram.record(2000)
    expect(histogram.percentileMs(0.99)).toBe(0.051)
    expect(histogram.percentileMs(1)).toBeGreaterThanOrEqual(2000)
    expect(histogram.percentileMs(1)).toBeLessThan(2032)
  })

  it('takes extremes: nothing, less than nothing, more than it has buckets for', () => {
    const histogram = new LatencyHistogram()
    expect(histogram.percentileMs(0.5)).toBe(0)
    histogram.record(-1)
    expect(histogram.percentileMs(1)).toBe(0.001)
    histogram.record(1e12)
    expect(histogram.count).toBe(2)
    expect(histogram.percentileMs(1)).toBeGreaterThan(2_000_000)
    histogram.reset()
    expect(histogram.count).toBe(0)
  })
})
