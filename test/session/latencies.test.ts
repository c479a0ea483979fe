/** What is measured of requests beyond the Go proxy's metrics. */
import { expect, test } from 'vitest'
import { Opcode } from '../../src/cql/protocol.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { delay } from '../support/fake-cluster/script.ts'
import { startRig } from '../support/instance.ts'
import { someTurns } from '../support/plane.ts'

const WRITE = 'INSERT INTO ks.t (k) VALUES (1)'

test.each(['origin', 'target'] as const)(
  'the gap between both answers to a write, where %s is the later one',
  async (slow) => {
    const clock = new FakeClock()
    const { origin, target, client, instance } = await startRig({ clock })
    const held = delay()
    const [late, early] = slow === 'origin' ? [origin, target] : [target, origin]
    late.on({ opcode: Opcode.QUERY, text: /INSERT/ }, held)
    const driver = await client()
    const answer = driver.query(WRITE)
    await late.waitFor(({ text }) => text === WRITE)
    await early.waitFor(({ text }) => text === WRITE)
    await someTurns()
    clock.advance(30)
    held.release()
    await answer
    const [plane] = (await instance.series()) ?? []
    const { writeGap, fineDuration } = plane!
    const first = slow === 'origin' ? 'target' : 'origin'
    expect(writeGap[first]).toMatchObject({ count: 1 })
    expect(writeGap[first].sumSeconds).toBeCloseTo(0.03)
    expect(writeGap[slow].count).toBe(0)
    expect(fineDuration.writes.count).toBe(1)
  },
)

test('turns are measured, and the stream ids of open connections counted', async () => {
  const { client, instance } = await startRig()
  const driver = await client()
  await driver.query('SELECT v FROM ks.t')
  const [plane] = (await instance.series()) ?? []
  expect(plane!.turnDuration.count).toBeGreaterThan(1)
  expect(plane!.turnDuration.sumSeconds).toBeGreaterThan(0)
  expect(plane!.fineDuration.readsOrigin.count).toBe(1)
  expect(plane!.upstreamStreamIds).toEqual({ origin: 32_767, target: 32_767 })
})
