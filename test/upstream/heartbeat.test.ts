/** A node that says nothing for long is asked whether it lives. */
import { expect, test } from 'vitest'
import { Opcode } from '../../src/cql/protocol.ts'
import { FakeClock } from '../support/fake-clock.ts'
import type { FakeCluster } from '../support/fake-cluster/cluster.ts'
import { queryBody } from '../support/fake-cluster/request-bodies.ts'
import { drop } from '../support/fake-cluster/script.ts'
import { buildEnvelope } from '../support/fake-cluster/wire.ts'
import { eventually, someTurns, startPlane } from '../support/plane.ts'
import { start } from './node-connections.ts'

const INTERVAL_MS = 30_000
const CALL_TIMEOUT_MS = 10_000
const QUERY = buildEnvelope(4, 0, 0, Opcode.QUERY, queryBody(4, 'SELECT * FROM ks.t'))

const startBeating = async (options = { heartbeatIntervalMs: () => INTERVAL_MS }) => {
  const { cluster, harness, listener } = await start()
  const connection = await harness.openReady(cluster, options)
  const pass = (ms: number): void => {
    harness.clock.advance(ms)
    harness.sweep()
  }
  return { cluster, connection, listener, pass }
}

const heartbeats = (cluster: FakeCluster): number =>
  cluster.received.filter(({ opcode }) => opcode === Opcode.OPTIONS).length

test('once in each interval of silence', async () => {
  const { cluster, connection, pass } = await startBeating()
  pass(INTERVAL_MS - 1)
  await someTurns()
  expect(heartbeats(cluster)).toBe(0)
  for (let beats = 1; beats <= 3; beats++) {
    pass(1)
    pass(250)
    await eventually(() => heartbeats(cluster) === beats && connection.slots.used === 0)
    pass(INTERVAL_MS - 1)
    await someTurns()
    expect(heartbeats(cluster)).toBe(beats)
  }
  expect(connection.isUsable).toBe(true)
})

test('not while answers come', async () => {
  const { cluster, connection, pass } = await startBeating()
  for (let i = 0; i < 4; i++) {
    pass(INTERVAL_MS / 2)
    await connection.callEnvelope(QUERY)
  }
  expect(heartbeats(cluster)).toBe(0)
})

test('a node that stays silent is lost, with what it owes, and it is said why', async () => {
  const { cluster, connection, listener, pass } = await startBeating()
  const rule = cluster.on({ opcode: Opcode.OPTIONS }, drop())
  pass(INTERVAL_MS)
  await cluster.waitUntil(() => rule.hits === 1)
  connection.slots.take(7)
  pass(CALL_TIMEOUT_MS - 1)
  await someTurns()
  expect(connection.isUsable).toBe(true)
  pass(1)
  await listener.until(() => listener.lost.length > 0)
  expect(listener.lost[0]!.requests).toEqual([7])
  expect(listener.lost[0]!.cause?.message).toMatch(/^no heartbeat: .*OPTIONS within 10000 ms$/)
})

test('a node that answers something else meanwhile lives', async () => {
  const { cluster, connection, pass } = await startBeating()
  const rule = cluster.on({ opcode: Opcode.OPTIONS, times: 1 }, drop())
  pass(INTERVAL_MS)
  await cluster.waitUntil(() => rule.hits === 1)
  pass(1)
  await connection.callEnvelope(QUERY)
  pass(CALL_TIMEOUT_MS)
  await someTurns()
  expect(connection.isUsable).toBe(true)
  pass(INTERVAL_MS)
  await eventually(() => heartbeats(cluster) === 2)
})

test('none on a connection that has no interval', async () => {
  const { cluster, harness } = await start()
  await harness.openReady(cluster)
  harness.clock.advance(100 * INTERVAL_MS)
  harness.sweep()
  await someTurns()
  expect(heartbeats(cluster)).toBe(0)
})

test('heartbeat_interval_ms is that of requests’ connections and of copies’, and live', async () => {
  const clock = new FakeClock()
  const settings = { readMode: 'DUAL_ASYNC_ON_SECONDARY' } as const
  const rig = await startPlane({ clock, settings, plane: { heartbeatIntervalMs: 600_000 } })
  await rig.client()
  // Open, and its handshake done.
  await eventually(() =>
    rig
      .series()
      .asyncReads.nodes.some((node) => node.connections === 1 && node.usedStreamIds === 0),
  )
  rig.clear()
  clock.advance(INTERVAL_MS)
  await someTurns()
  expect([heartbeats(rig.origin), heartbeats(rig.target)]).toEqual([0, 0])
  rig.plane.setSettings({ ...rig.plane.settings, heartbeatIntervalMs: INTERVAL_MS })
  clock.advance(250)
  await eventually(() => heartbeats(rig.origin) === 1 && heartbeats(rig.target) === 2)
})
