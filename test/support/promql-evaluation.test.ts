import { describe, expect, test } from 'vitest'
import { evaluate, type Series } from './promql-evaluation.ts'

const MINUTE = 60
const series = (
  labels: Readonly<Record<string, string>>,
  values: readonly number[],
  stepMinutes = 5,
): Series => ({
  labels,
  points: values.map((value, index) => [index * stepMinutes * MINUTE, value]),
})
const growing = Array.from({ length: 11 }, (_, index) => index * 10)
const SERIES: readonly Series[] = [
  series({ __name__: 'requests', path: '/steady' }, growing),
  series({ __name__: 'requests', path: '/reset' }, [0, 10, 20, 30, 40, 50, 0, 10, 20, 30, 40]),
  series(
    { __name__: 'limit', path: '/steady' },
    [200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200],
  ),
  series({ __name__: 'ended' }, [1, 1]),
  ...(
    [
      ['0.1', 50],
      ['0.2', 100],
      ['+Inf', 100],
    ] as const
  ).map(([le, count]) =>
    series(
      { __name__: 'seconds_bucket', le },
      Array.from({ length: 11 }, () => count),
    ),
  ),
]

/** At 50 minutes. Numbers of rate() and increase() are those of Prometheus' own tests for these series. */
describe('an expression comes to what Prometheus says', () => {
  test.each([
    ['requests{path="/steady"}', { '/steady': 100 }],
    ['requests{path!="/steady"}', { '/reset': 40 }],
    ['requests{path=~"/s.*"}', { '/steady': 100 }],
    ['requests > 50', { '/steady': 100 }],
    ['50 < requests', { '/steady': 100 }],
    ['requests / limit', { '/steady': 0.5 }],
    ['requests - 30 * 2', { '/steady': 40, '/reset': -20 }],
    ['increase(requests[50m])', { '/steady': 100, '/reset': 88.888_89 }],
    ['rate(requests[50m])', { '/steady': 0.033_33, '/reset': 0.029_63 }],
    ['changes(requests[50m])', { '/steady': 9, '/reset': 9 }],
    ['requests and limit', { '/steady': 100 }],
    ['requests unless limit', { '/reset': 40 }],
    ['requests unless on () limit', {}],
    ['requests and on (path) limit > 500', {}],
    ['limit or requests', { '/steady': 200, '/reset': 40 }],
    ['sum(requests)', { '': 140 }],
    ['count(requests == 100)', { '': 1 }],
    ['max by (path) (requests) - min by (path) (requests)', { '/steady': 0, '/reset': 0 }],
    ['sum without (path) (requests)', { '': 140 }],
    ['label_replace(limit, "path", "$1!", "path", "/(.*)")', { 'steady!': 200 }],
    ['time() - requests{path="/reset"}', { '/reset': 2960 }],
    ['absent(nothing{path="/x"})', { '/x': 1 }],
    ['absent(requests)', {}],
    ['ended', {}],
    ['histogram_quantile(0.75, seconds_bucket)', { '': 0.15 }],
  ])('%s', (expression, expected) => {
    const value = evaluate(expression, SERIES, 50 * MINUTE)
    if (typeof value === 'number') throw new Error('a number')
    const found = value.map((sample) => [sample.labels['path'] ?? '', sample.value] as const)
    expect(found.map(([path]) => path)).toEqual(Object.keys(expected))
    for (const [path, number] of found) {
      expect(number).toBeCloseTo(Object.entries(expected).find(([key]) => key === path)![1], 5)
    }
  })

  test('a counter that begins at 1 has not grown', () => {
    const born = [series({ __name__: 'events' }, [1, 1, 1])]
    expect(evaluate('increase(events[20m]) > 0', born, 10 * MINUTE)).toEqual([])
  })
})

test.each([
  'stddev(requests)',
  'avg_over_time(requests[5m])',
  'requests / on (path) limit',
  '-requests',
])('%s is refused, not guessed', (expression) => {
  expect(() => evaluate(expression, SERIES, 0)).toThrow('not evaluated here')
})
