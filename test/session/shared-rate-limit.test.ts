/** A rate for all threads of the process. */
import { expect, test } from 'vitest'
import { makeSharedState } from '../../src/proxy/shared-state.ts'
import { SharedRateLimit } from '../../src/session/shared-rate-limit.ts'

const NOW = Date.UTC(2026, 0, 1)

/** How many of `asked` pass at each time; two threads ask in turn. */
const passed = (perSecond: number, times: readonly number[], asked: number): number[] => {
  const { tracingLimit } = makeSharedState()
  const threads = [0, 1].map(() => new SharedRateLimit(tracingLimit, perSecond))
  return times.map(
    (ms) =>
      Array.from({ length: asked }).filter((_, at) => threads[at % 2]!.admits(NOW + ms)).length,
  )
}

const CASES: readonly (readonly [
  what: string,
  perSecond: number,
  times: readonly number[],
  passed: readonly number[],
])[] = [
  ['so many pass at once, and no more', 10, [0, 0, 0.5], [10, 0, 0]],
  ['room comes back evenly', 10, [0, 100, 350, 2000], [10, 1, 2, 10]],
  ['a long silence saves up one second’s worth', 10, [0, 3_600_000], [10, 10]],
  ['one a second', 1, [0, 999, 1000, 1999, 2000], [1, 0, 1, 0, 1]],
  ['a clock that goes back does not stop it', 10, [0, -3_600_000, -3_599_900], [10, 10, 1]],
  ['a rate beyond measure lets all pass', 9_007_199_254_740_991, [0, 0], [50, 50]],
]

test.each(CASES)('%s: %i a second', (_, perSecond, times, expected) => {
  expect(passed(perSecond, times, 50)).toEqual(expected)
})
