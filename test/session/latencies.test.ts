/** What is measured of requests beyond the Go proxy's metrics. */
import { expect, test } from 'vitest'
import { Opcode, versionTraits } from '../../src/cql/protocol.ts'
import type { SharedStatement } from '../../src/prepared/statement.ts'
import { statusChange } from '../../src/session/client-events.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { executeBody, registerBody } from '../support/fake-cluster/request-bodies.ts'
import { schemaChangeAnswer } from '../support/fake-cluster/results.ts'
import { delay, drop, respond } from '../support/fake-cluster/script.ts'
import { startRig } from '../support/instance.ts'
import { eventually, type PlaneRig, someTurns, startPlane } from '../support/plane.ts'
import type { RawClient } from '../support/raw-client.ts'

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

/** The other threads, which are asked for a statement. */
type Others = {
  readonly asked: Promise<void>
  readonly answer: PromiseWithResolvers<SharedStatement | null>
}

type Sent = {
  readonly what: string
  /** Resolves with what makes it happen. */
  readonly prepare: (rig: PlaneRig, driver: RawClient, others: Others) => Promise<() => void>
}

const READ_BY_NOBODY: readonly Sent[] = [
  {
    what: 'an event',
    prepare: async ({ plane }, driver) => {
      await driver.request(Opcode.REGISTER, registerBody(['STATUS_CHANGE']))
      return () => plane.announce(statusChange(Uint8Array.of(127, 0, 0, 1), 9042, true))
    },
  },
  {
    what: 'the error of a lost connection',
    prepare: async ({ origin }, driver) => {
      origin.on({ text: /lost/ }, drop())
      void driver.query('SELECT lost FROM ks.t')
      const { connection } = await origin.waitFor(({ text }) => text?.includes('lost') === true)
      return () => origin.connections[connection]!.destroy()
    },
  },
  {
    what: 'UNPREPARED, after other threads were asked',
    prepare: async (_rig, driver, { asked, answer }) => {
      void driver.request(Opcode.EXECUTE, executeBody(4, { id: new Uint8Array(16) }))
      await asked
      return () => answer.resolve(null)
    },
  },
  {
    what: 'the answer to a change of the schema, which both clusters agree on by now',
    prepare: async (rig, driver) => {
      const held = delay()
      const change = schemaChangeAnswer(versionTraits(4)!)
      for (const cluster of [rig.origin, rig.target]) {
        cluster.on({ text: /system\.(local|peers)/ }, held)
        cluster.on({ text: /CREATE/ }, respond(change))
      }
      void driver.query('CREATE TABLE ks.t (k int PRIMARY KEY)')
      await rig.target.waitFor(({ text }) => text?.includes('CREATE') === true)
      await rig.idle()
      return () => held.release()
    },
  },
]

test.each(READ_BY_NOBODY)(
  'the time since the last read does not count in the turn of $what',
  async ({ prepare }) => {
    const clock = new FakeClock()
    const asked = Promise.withResolvers<void>()
    const answer = Promise.withResolvers<SharedStatement | null>()
    const askOthers = (): Promise<SharedStatement | null> => {
      asked.resolve()
      return answer.promise
    }
    const rig = await startPlane({ clock, askOthers })
    const happen = await prepare(rig, await rig.client(4), { asked: asked.promise, answer })
    await someTurns()
    const before = rig.series().turnDuration
    // Less than until the next sweep.
    clock.advance(200)
    happen()
    await eventually(() => rig.series().turnDuration.count > before.count)
    expect(rig.series().turnDuration.sumSeconds).toBe(before.sumSeconds)
  },
)

test('a request that is lost with its connection has taken until then', async () => {
  const clock = new FakeClock()
  const rig = await startPlane({ clock })
  const driver = await rig.client(4)
  rig.origin.on({ text: /lost/ }, drop())
  const answer = driver.query('SELECT lost FROM ks.t')
  const { connection } = await rig.origin.waitFor(({ text }) => text?.includes('lost') === true)
  clock.advance(200)
  rig.origin.connections[connection]!.destroy()
  expect((await answer).opcode).toBe(Opcode.ERROR)
  expect(rig.series().fineDuration.readsOrigin.sumSeconds).toBeCloseTo(0.2)
})
