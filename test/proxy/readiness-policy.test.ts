/** With one cluster away: what readiness says by policy, and what clients get. */
import { expect, test } from 'vitest'
import { ErrorCode, ResultKind } from '../../src/cql/protocol.ts'
import { readinessDetailsNow, readinessNow } from '../../src/proxy/readiness-view.ts'
import { Cluster } from '../../src/routing/cluster.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { readError, resultKind } from '../support/fake-cluster/request-bodies.ts'
import { drop } from '../support/fake-cluster/script.ts'
import { startRig } from '../support/instance.ts'
import { eventually, someTurns } from '../support/plane.ts'

const READ = 'SELECT * FROM ks.t'
const WRITE = 'INSERT INTO ks.t (k) VALUES (1)'

test('reads survive, writes are refused at once by name, readiness follows policy and switch', async () => {
  const clock = new FakeClock()
  const rig = await startRig({ clock, settings: { readinessPolicy: 'primary' } })
  const { instance, target } = rig
  const client = await rig.client()
  expect(readinessNow(instance).Status).toBe('UP')
  expect(readinessDetailsNow(instance, clock)).toEqual({ Reason: null, Degraded: [] })
  await target.stopListening()
  await eventually(() => instance.health(Cluster.TARGET)!.failures > 0)
  expect(readinessNow(instance)).toMatchObject({ Status: 'UP', TargetStatus: { Status: 'DOWN' } })
  const { Reason, Degraded } = readinessDetailsNow(instance, clock)
  expect(Reason).toBeNull()
  expect(Degraded).toEqual([
    expect.stringMatching(/^Target has not been reached since .* Writes are refused\.$/),
  ])
  const at = clock.now()
  expect(resultKind(await client.query(READ))).toBe(ResultKind.ROWS)
  expect(readError(await client.query(WRITE))).toMatchObject({
    code: ErrorCode.OVERLOADED,
    message: 'Target: no connection is ready; nothing was sent to either cluster, try again',
  })
  expect(clock.now()).toBe(at)
  await instance.setRouting({ ...instance.routing, revision: 1, primary: Cluster.TARGET })
  expect(readinessNow(instance).Status).toBe('DOWN')
  expect(readinessDetailsNow(instance, clock).Reason).toMatch(/^Target has not been reached since /)
  await instance.setRouting({ ...instance.routing, revision: 2, primary: Cluster.ORIGIN })
  expect(readinessNow(instance).Status).toBe('UP')
  instance.reconfigure({ ...instance.settings, readinessPolicy: 'both' })
  expect(readinessNow(instance).Status).toBe('DOWN')
})

test('a cluster that takes connections and hangs: writes are refused as soon as that is known', async () => {
  const clock = new FakeClock()
  const rig = await startRig({ clock })
  const { instance, target } = rig
  const client = await rig.client()
  target.on({}, drop())
  target.openConnections.find(({ eventTypes }) => eventTypes.size > 0)!.destroy()
  await target.waitUntil(() => target.connections.length > 2)
  await someTurns()
  // The round of reopening is overdue, then the sign of life.
  clock.advance(5_000)
  await eventually(() => instance.health(Cluster.TARGET)!.failures > 0)
  await someTurns()
  clock.advance(2_000)
  await someTurns()
  expect(readError(await client.query(WRITE)).message).toContain('Target: no connection is ready')
  expect(resultKind(await client.query(READ))).toBe(ResultKind.ROWS)
})

test('a node that its cluster says is down is told until it is back', async () => {
  const clock = new FakeClock()
  const { instance, origin } = await startRig({ clock, origin: { nodes: 2 } })
  const node = { address: '127.0.0.2', port: origin.port }
  const down = (): readonly string[] => readinessDetailsNow(instance, clock).Degraded
  origin.pushEvent({ type: 'STATUS_CHANGE', change: 'DOWN', ...node })
  await eventually(() => down().length > 0)
  expect(down()).toEqual([`Origin says that nodes are down: 127.0.0.2:${origin.port}.`])
  expect(readinessNow(instance).Status).toBe('UP')
  origin.pushEvent({ type: 'STATUS_CHANGE', change: 'UP', ...node })
  await eventually(() => down().length === 0)
})
