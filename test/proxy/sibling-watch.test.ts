/** What one instance makes of its looks at another. */
import { describe, expect, test } from 'vitest'
import { SiblingWatch, siblingAt } from '../../src/proxy/sibling-watch.ts'
import { silentLog } from '../support/controlled.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { someTurns } from '../support/plane.ts'

const LOOK_EVERY_MS = 500

type Told = readonly [atMs: number, change: 'UP' | 'DOWN']

/** Looks that find somebody (`+`) or nobody (`-`), one after the other; then always as the last one. */
const watch = async (looks: string, forMs: number): Promise<{ told: Told[]; looks: number }> => {
  const clock = new FakeClock()
  const told: Told[] = []
  let looked = 0
  const siblings = new SiblingWatch([siblingAt(['10.0.0.1', '10.0.0.2'], 1, 9042)], {
    clock,
    log: silentLog(clock),
    look: async () => {
      const found = looks[Math.min(looked++, looks.length - 1)]
      if (found === '-') throw new Error('nobody there')
    },
    tell: (sibling, isUp) => {
      expect(sibling).toMatchObject({ address: '10.0.0.2', port: 9042 })
      told.push([clock.now(), isUp ? 'UP' : 'DOWN'])
    },
  })
  for (let ms = 0; ms < forMs; ms += 50) {
    await someTurns(2)
    clock.advance(50)
  }
  siblings.close()
  expect(clock.pendingTimers).toBe(0)
  return { told, looks: looked }
}

const CASES: readonly (readonly [string, string, readonly Told[]])[] = [
  ['there all the time: nothing to tell', '+', []],
  ['gone: told at the second failed look, within a second', '+-', [[750, 'DOWN']]],
  ['a single failed look is nothing', '+-+', []],
  ['nor are many with a good one in between', '+-+-+-+-+-+', []],
  [
    'back: told at the second good look',
    '+--+',
    [
      [750, 'DOWN'],
      [1750, 'UP'],
    ],
  ],
  ['a single good look is no return', '+--+-', [[750, 'DOWN']]],
  ['never seen: not said to be down', '-', []],
  ['started later than the one that watches: up', '---+', [[2000, 'UP']]],
]

describe('an instance', () => {
  test.each(CASES)('%s', async (_, looks, told) => {
    expect((await watch(looks, 5_000)).told).toEqual(told)
  })

  test('that comes and goes all the time is told of ever more seldom', async () => {
    const { told, looks } = await watch(`+${'--++++++++'.repeat(1000)}`, 300_000)
    expect(looks).toBeGreaterThan(500)
    expect(told.length).toBeGreaterThan(2)
    expect(told.length).toBeLessThan(10)
  })

  test('that went down again long after its return comes back as soon as the first time', async () => {
    const steady = '+'.repeat(60_000 / LOOK_EVERY_MS)
    const { told } = await watch(`+--++${steady}--+`, 70_000)
    const changes = told.map(([, change]) => change)
    expect(changes).toEqual(['DOWN', 'UP', 'DOWN', 'UP'])
    expect(told[3]![0] - told[2]![0]).toBe(1000)
  })
})

test('an address is spelled as the virtual system tables spell it', () => {
  const sibling = siblingAt(['2001:DB8:0::1'], 0, 9042)
  expect(sibling).toMatchObject({ address: '2001:db8::1', port: 9042 })
  expect(sibling.addressBytes).toHaveLength(16)
})
