import { describe, expect, test } from 'vitest'
import { Opcode } from '../../src/cql/protocol.ts'
import { GROW_ABOVE_IN_FLIGHT, type UpstreamConnection } from '../../src/upstream/connection.ts'
import { ClusterError, ClusterErrorCode } from '../../src/upstream/errors.ts'
import { NEXT_NODE_AFTER_MS } from '../../src/upstream/first-to-open.ts'
import { ORPHANS_MAX, RECONNECT_DELAY_MAX_MS, STABLE_AFTER_MS } from '../../src/upstream/pool.ts'
import { queryBody } from '../support/fake-cluster/request-bodies.ts'
import { delay, drop } from '../support/fake-cluster/script.ts'
import { buildEnvelope } from '../support/fake-cluster/wire.ts'

import { type PoolHarness, start, startReady, turns, until } from './pool-harness.ts'

/** Takes so many slots, as requests in flight do. */
const load = (connection: UpstreamConnection, count: number): number[] =>
  Array.from({ length: count }, (_, i) => connection.slots.take(i))

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'opened',
    (error: unknown) => (error instanceof ClusterError ? error.code : String(error)),
  )

describe('a first connection', () => {
  test('is to the preferred node; the others follow by themselves', async () => {
    const { pool, called, opened } = await start({ nodeCount: 3 })
    expect(pool.pick(0)).toBeNull()
    expect(called).toEqual([])
    const connection = await pool.ready(4)
    expect(connection.node).toBe('n1')
    await until(() => opened.filter(({ isUsable }) => isUsable).length === 3)
    expect(called).toEqual(['n1', 'n0', 'n2'])
    expect([0, 1, 2, 3].map((preferred) => pool.pick(preferred)?.node)).toEqual([
      'n0',
      'n1',
      'n2',
      'n0',
    ])
  })

  test('is one for all who wait', async () => {
    const { pool, called } = await start()
    const waiting = [pool.ready(0), pool.ready(0), pool.ready(1)]
    const connections = await Promise.all(waiting)
    expect(new Set(connections).size).toBe(1)
    expect(called).toEqual(['n0'])
    expect(await pool.ready(0)).toBe(connections[0])
  })

  test('comes from the next node when one is down', async () => {
    const harness = await start({ nodeCount: 3 })
    harness.fail('n0')
    expect((await harness.pool.ready(0)).node).toBe('n1')
  })

  test('comes from the next node when one says nothing; it joins when it does', async () => {
    const harness = await start({ nodeCount: 2 })
    const { pool, clock } = harness
    const answer = harness.hold('n0')
    const ready = pool.ready(0)
    clock.advance(NEXT_NODE_AFTER_MS - 1)
    expect(harness.called).toEqual(['n0'])
    clock.advance(1)
    expect((await ready).node).toBe('n1')
    expect(pool.pick(0)?.node).toBe('n1')
    answer()
    await until(() => pool.pick(0)?.node === 'n0')
    expect(harness.called).toEqual(['n0', 'n1'])
  })

  test('that cannot be had rejects all who wait with what the last node said', async () => {
    const harness = await start({ nodeCount: 2 })
    harness.fail('n0')
    harness.fail('n1')
    const waiting = [harness.pool.ready(1), harness.pool.ready(0)]
    for (const promise of waiting) await expect(promise).rejects.toThrow('n0 is down')
    expect(harness.called).toEqual(['n1', 'n0'])
    // The session that asked is told; without one nobody needs this profile.
    expect(harness.clock.pendingTimers).toBe(0)
    harness.failing.clear()
    expect((await harness.pool.ready(1)).node).toBe('n1')
  })

  test('that a node refuses is asked of no other', async () => {
    const { pool, called, clock } = await start({ nodeCount: 3, keyspaces: ['ks'], keyspace: 'no' })
    await expect(pool.ready(0)).rejects.toThrow("Keyspace 'no' does not exist")
    expect(called).toEqual(['n0'])
    expect(clock.pendingTimers).toBe(0)
  })

  test('cannot be had without nodes', async () => {
    const { pool } = await start({ known: 0 })
    await expect(pool.ready(0)).rejects.toThrow('no node of Origin is known to this instance')
  })

  test('of a node that has just failed is tried last', async () => {
    const harness = await startReady({ nodeCount: 2 })
    const { pool, clock, called } = harness
    clock.advance(STABLE_AFTER_MS)
    harness.fail('n0')
    harness.lose(0)
    await until(() => harness.told.length === 1)
    const answer = harness.hold('n1')
    harness.lose(1)
    await until(() => called.at(-1) === 'n1')
    const before = called.length
    const ready = pool.ready(0)
    await turns()
    expect(called.slice(before)).toEqual([])
    answer()
    expect((await ready).node).toBe('n1')
  })
})

describe('a node that is lost', () => {
  test('is skipped at once, and called again at once when it had been stable', async () => {
    const harness = await startReady({ nodeCount: 2 })
    const { pool, clock, called } = harness
    clock.advance(STABLE_AFTER_MS)
    called.length = 0
    const back = harness.hold('n0')
    harness.lose(0)
    await until(() => called.length === 1)
    expect(pool.pick(0)?.node).toBe('n1')
    back()
    await until(() => pool.pick(0)?.node === 'n0')
    expect(called).toEqual(['n0'])
    expect(harness.told).toEqual([])
  })

  test('is called with growing pauses while it is down, 100 ms to 10 s', async () => {
    const harness = await startReady()
    const { clock, called, told } = harness
    clock.advance(STABLE_AFTER_MS)
    harness.fail('n0')
    called.length = 0
    harness.lose(0)
    await until(() => told.length === 1)
    const pauses: number[] = []
    for (let attempt = 2; attempt <= 10; attempt++) {
      const beforeMs = clock.now()
      while (called.length < attempt) clock.advance(50)
      pauses.push(clock.now() - beforeMs)
      await until(() => told.length === attempt)
    }
    expect(pauses).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000])
    expect(clock.pendingTimers).toBe(1)
  })

  test('that accepts and closes again is not called without a pause', async () => {
    const harness = await startReady()
    const { clock, called, pool } = harness
    const pauses: number[] = []
    for (let attempt = 2; attempt <= 5; attempt++) {
      harness.lose(0)
      await until(() => pool.pick(0) === null)
      await turns()
      const beforeMs = clock.now()
      while (called.length < attempt) clock.advance(50)
      pauses.push(clock.now() - beforeMs)
      await until(() => pool.pick(0) !== null)
    }
    expect(pauses).toEqual([100, 200, 400, 800])
    clock.advance(STABLE_AFTER_MS)
    harness.lose(0)
    await until(() => called.length === 6)
    await until(() => pool.pick(0) !== null)
    harness.lose(0)
    await until(() => pool.pick(0) === null)
    clock.advance(99)
    expect(called).toHaveLength(6)
    clock.advance(1)
    expect(called).toHaveLength(7)
  })

  test('is not called by every client that comes while it pauses', async () => {
    const harness = await startReady({ nodeCount: 2 })
    const { pool, clock, told, called } = harness
    clock.advance(STABLE_AFTER_MS)
    harness.fail('n0')
    harness.lose(0)
    await until(() => told.length === 1)
    called.length = 0
    for (let client = 0; client < 5; client++) {
      await pool.ready(0)
      pool.adopt(await harness.connect(1))
      pool.pick(0)
    }
    await turns()
    expect(called).toEqual([])
  })

  test('comes back although somebody else’s opening was the one that failed', async () => {
    const harness = await startReady()
    const { pool, clock, told } = harness
    clock.advance(STABLE_AFTER_MS)
    const fail = harness.hold('n0')
    harness.fail('n0')
    harness.lose(0)
    await until(() => harness.called.length === 2)
    const asked = codeOf(pool.connectionTo('n0'))
    fail()
    expect(await asked).toBe(ClusterErrorCode.CONNECT_FAILED)
    expect(told).toEqual(['failed n0'])
    harness.failing.clear()
    clock.advance(100)
    await until(() => pool.pick(0) !== null)
  })
})

describe('growth', () => {
  test('adds a connection when many requests are in flight, one at a time, up to the bound', async () => {
    const harness = await startReady({ connectionsPerNodeMax: 3, streamIdsMax: 1000 })
    const { pool, called } = harness
    const first = pool.pick(0)!
    load(first, GROW_ABOVE_IN_FLIGHT - 1)
    pool.pick(0)
    expect(called).toHaveLength(1)
    load(first, 1)
    for (let i = 0; i < 5; i++) expect(pool.pick(0)).toBe(first)
    expect(called).toHaveLength(2)
    await until(() => pool.pick(0) !== first)
    const second = pool.pick(0)!
    load(second, 200)
    pool.pick(0)
    await until(() => called.length === 3)
    await until(() => ![first, second].includes(pool.pick(0)!))
    load(pool.pick(0)!, 300)
    expect(pool.pick(0)).toBe(first)
    await turns()
    expect(called).toHaveLength(3)
  })

  test('that fails is tried again after a pause, not at every request', async () => {
    const harness = await startReady({ streamIdsMax: 1000 })
    const { pool, called, clock } = harness
    const connection = pool.pick(0)!
    load(connection, 500)
    harness.fail('n0')
    for (let i = 0; i < 50; i++) {
      expect(pool.pick(0)).toBe(connection)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(called).toHaveLength(2)
    expect(harness.told).toEqual(['failed n0'])
    harness.failing.clear()
    clock.advance(100)
    pool.pick(0)
    await until(() => pool.pick(0) !== connection)
  })

  test('is due as well when fewer stream ids than that are there, and all are taken', async () => {
    const { pool } = await startReady({ streamIdsMax: 10 })
    const first = pool.pick(0)!
    load(first, 10)
    expect(pool.pick(0)).toBe(first)
    await until(() => pool.pick(0) !== first)
  })
})

describe('the choice', () => {
  test('falls on the connection with the fewest stream ids taken, orphans included', async () => {
    const { pool } = await startReady({ streamIdsMax: 1000 })
    const first = pool.pick(0)!
    const slots = load(first, GROW_ABOVE_IN_FLIGHT)
    await until(() => pool.pick(0) !== first)
    const second = pool.pick(0)!
    for (const slot of slots) first.slots.orphan(slot)
    load(second, 100)
    expect(pool.pick(0)).toBe(second)
    load(second, 100)
    expect(pool.pick(0)).toBe(first)
  })

  test('falls on another node before a connection without a free stream id', async () => {
    const { pool } = await startReady({ nodeCount: 2, connectionsPerNodeMax: 1, streamIdsMax: 5 })
    const [first, second] = [pool.pick(0)!, pool.pick(1)!]
    load(first, 5)
    expect(pool.pick(0)).toBe(second)
    load(second, 5)
    expect(pool.pick(0)).toBe(first)
    expect(pool.pick(1)).toBe(second)
  })
})

describe('orphans', () => {
  test.each([
    { streamIdsMax: 3000, allowed: ORPHANS_MAX },
    { streamIdsMax: 10, allowed: 5 },
  ])(
    'more than $allowed of $streamIdsMax replace the connection, the new one first',
    async (given) => {
      const { streamIdsMax, allowed } = given
      const harness = await startReady({ connectionsPerNodeMax: 1, streamIdsMax })
      const { pool, told } = harness
      const old = pool.pick(0)!
      for (const slot of load(old, allowed)) old.slots.orphan(slot)
      const live = old.slots.take(4711)
      pool.sweep()
      await turns()
      expect(harness.called).toHaveLength(1)
      old.slots.orphan(old.slots.take(0))
      const arrive = harness.hold('n0')
      pool.sweep()
      pool.sweep()
      expect(pool.pick(0)).toBe(old)
      arrive()
      await until(() => told.length > 0)
      expect(told).toEqual(['replaced n0'])
      const fresh = pool.pick(0)
      expect(fresh).not.toBe(old)
      // A request is still in flight on it.
      expect(old.state).toBe('draining')
      old.slots.release(live)
      old.sweep(0)
      await until(() => old.state === 'closed')
      expect(pool.pick(0)).toBe(fresh)
      expect(harness.called).toHaveLength(2)
    },
  )

  test('keep the old connection while the node takes no new one', async () => {
    const harness = await startReady({ connectionsPerNodeMax: 1, streamIdsMax: 10 })
    const { pool, told, clock } = harness
    const old = pool.pick(0)!
    for (const slot of load(old, 6)) old.slots.orphan(slot)
    harness.fail('n0')
    pool.sweep()
    await until(() => told.length === 1)
    pool.sweep()
    await turns()
    expect(harness.called).toHaveLength(2)
    expect(pool.pick(0)).toBe(old)
    harness.failing.clear()
    clock.advance(100)
    pool.sweep()
    await until(() => told.length === 2)
    expect(told).toEqual(['failed n0', 'replaced n0'])
  })
})

describe('new nodes', () => {
  test('keep the connections of those that stay, drain the others, connect to what is new', async () => {
    const harness = await startReady({ nodeCount: 3, known: 2 })
    const { pool, nodes } = harness
    const [gone, stays] = [pool.pick(0)!, pool.pick(1)!]
    const slot = gone.slots.take(1)
    pool.setNodes([nodes[1]!, nodes[2]!])
    expect(pool.pick(0)).toBe(stays)
    expect(gone.state).toBe('draining')
    await until(() => pool.pick(1)?.node === 'n2')
    gone.slots.release(slot)
    gone.sweep(0)
    await until(() => harness.openTo(0) === 0)
    await turns()
    expect(harness.called).toEqual(['n0', 'n1', 'n2'])
  })

  test('are connected to when nothing else has changed', async () => {
    const harness = await startReady({ nodeCount: 2, known: 1 })
    harness.pool.setNodes(harness.nodes)
    await until(() => harness.pool.pick(1)?.node === 'n1')
  })

  test('are connected to when all that were known are down', async () => {
    const harness = await startReady({ nodeCount: 2, known: 1 })
    const { pool, nodes, clock, told } = harness
    clock.advance(STABLE_AFTER_MS)
    harness.fail('n0')
    harness.lose(0)
    await until(() => told.length === 1)
    pool.setNodes([nodes[1]!])
    expect(clock.pendingTimers).toBe(0)
    await until(() => pool.pick(0)?.node === 'n1')
  })

  test('are left alone while nobody has asked for a connection', async () => {
    const harness = await start({ nodeCount: 2, known: 1 })
    harness.pool.setNodes(harness.nodes)
    await turns()
    expect(harness.called).toEqual([])
  })

  test('of a known host at another address are new', async () => {
    const harness = await startReady({ nodeCount: 2, known: 1 })
    const { pool, nodes } = harness
    const before = pool.pick(0)!
    pool.setNodes([{ ...nodes[1]!, hostId: nodes[0]!.hostId }])
    expect(before.isUsable).toBe(false)
    await until(() => pool.pick(0)?.node === 'n1')
  })

  test('waste an opening to a node that was removed meanwhile', async () => {
    const harness = await start({ nodeCount: 2, known: 1 })
    const { pool, nodes } = harness
    const arrive = harness.hold('n0')
    const ready = codeOf(pool.ready(0))
    pool.setNodes([nodes[1]!])
    arrive()
    expect(await ready).toBe(ClusterErrorCode.UNAVAILABLE)
    await until(() => harness.opened.length === 1 && harness.openTo(0) === 0)
    expect(pool.pick(0)).toBeNull()
  })
})

describe('an exclusive pool', () => {
  const EXCLUSIVE = { isExclusive: true, connectionsPerNodeMax: 1 }

  test('has one connection, to one node, however busy it is', async () => {
    const harness = await startReady({ ...EXCLUSIVE, nodeCount: 3, streamIdsMax: 1000 })
    const connection = harness.pool.pick(1)!
    load(connection, 500)
    expect(harness.pool.pick(2)).toBe(connection)
    await turns()
    expect(harness.called).toEqual(['n0'])
  })

  test('tells that its connection is lost, once, and calls nobody', async () => {
    const harness = await startReady({ ...EXCLUSIVE, nodeCount: 2 })
    harness.lose(0)
    await until(() => harness.told.length > 0)
    await turns()
    expect(harness.told).toEqual(['exclusive lost'])
    expect(harness.called).toEqual(['n0'])
    expect(harness.clock.pendingTimers).toBe(0)
  })

  test('tells that its node was removed, and finishes what is in flight', async () => {
    const harness = await startReady({ ...EXCLUSIVE, nodeCount: 2 })
    const { pool, nodes } = harness
    const connection = pool.pick(0)!
    const slot = connection.slots.take(1)
    pool.setNodes([nodes[1]!])
    expect(harness.told).toEqual(['exclusive removed'])
    expect(connection.state).toBe('draining')
    connection.slots.release(slot)
    connection.sweep(0)
    await until(() => connection.state === 'closed')
    expect(harness.told).toHaveLength(1)
  })

  test('is not concerned by other nodes', async () => {
    const harness = await startReady({ ...EXCLUSIVE, nodeCount: 3, known: 2 })
    const { pool, nodes } = harness
    pool.setNodes([nodes[2]!, nodes[0]!])
    await turns()
    expect(harness.told).toEqual([])
    expect(harness.called).toEqual(['n0'])
  })

  test('keeps the first of two nodes that were tried at once', async () => {
    const harness = await start({ ...EXCLUSIVE, nodeCount: 2 })
    const { pool, clock } = harness
    const answer = harness.hold('n0')
    const ready = pool.ready(0)
    clock.advance(NEXT_NODE_AFTER_MS)
    const kept = await ready
    answer()
    await until(() => harness.opened.length === 2 && harness.openTo(0) === 0)
    expect(pool.pick(0)).toBe(kept)
    expect(harness.told).toEqual([])
  })

  test('with too many orphans ends, and with it its session', async () => {
    const harness = await startReady({ ...EXCLUSIVE, streamIdsMax: 10 })
    const connection = harness.pool.pick(0)!
    for (const slot of load(connection, 6)) connection.slots.orphan(slot)
    harness.pool.sweep()
    await until(() => harness.told.length > 0)
    expect(harness.told).toEqual(['exclusive lost'])
  })

  test('says nothing when it is closed', async () => {
    const harness = await startReady(EXCLUSIVE)
    harness.pool.close()
    await until(() => harness.openTo(0) === 0)
    await turns()
    expect(harness.told).toEqual([])
  })

  test('adopts the connection of its client', async () => {
    const harness = await start({ ...EXCLUSIVE, nodeCount: 2 })
    const connection = await harness.connect(1)
    harness.pool.adopt(connection)
    expect(await harness.pool.ready(0)).toBe(connection)
    await turns()
    expect(harness.called).toEqual([])
  })
})

describe('an adopted connection', () => {
  test('is used, and makes the pool connect to the other nodes', async () => {
    const harness = await start({ nodeCount: 2 })
    const connection = await harness.connect(1)
    harness.pool.adopt(connection)
    expect(harness.pool.pick(0)).toBe(connection)
    await until(() => harness.pool.pick(0)?.node === 'n0')
    expect(harness.called).toEqual(['n0'])
  })

  test('becomes ready by it', async () => {
    const harness = await start()
    const [node] = harness.nodes
    const connection = await harness.open(harness.cluster, { node: node!.label })
    harness.pool.adopt(connection)
    expect(connection.state).toBe('ready')
    expect(harness.pool.pick(0)).toBe(connection)
  })

  test('that is one too many is closed', async () => {
    const harness = await startReady({ connectionsPerNodeMax: 1 })
    const before = harness.pool.pick(0)
    harness.pool.adopt(await harness.connect(0))
    await until(() => harness.openTo(0) === 1)
    expect(harness.pool.pick(0)).toBe(before)
    expect(before?.isUsable).toBe(true)
  })

  test.each([
    ['of a node that is not used', (harness: PoolHarness) => harness.pool.setNodes([])],
    ['of a closed pool', (harness: PoolHarness) => harness.pool.close()],
  ])('%s is closed', async (_name, prepare) => {
    const harness = await start()
    const connection = await harness.connect(0)
    prepare(harness)
    harness.pool.adopt(connection)
    await until(() => harness.openTo(0) === 0)
    expect(harness.pool.pick(0)).toBeNull()
  })

  test('that is lost already is not brought back to life', async () => {
    const harness = await start()
    const connection = await harness.open(harness.cluster, { node: 'n0' })
    harness.lose(0)
    await until(() => connection.state === 'closed')
    harness.pool.adopt(connection)
    expect(harness.pool.pick(0)).toBeNull()
    expect(connection.state).toBe('closed')
    expect((await harness.pool.ready(0)).isUsable).toBe(true)
  })
})

describe('a connection to a certain node', () => {
  test('is the one that is there', async () => {
    const harness = await startReady({ nodeCount: 2 })
    expect(await harness.pool.connectionTo('n1')).toBe(harness.pool.pick(1))
    expect(harness.called).toHaveLength(2)
  })

  test('is opened once for all who ask, and to no other node', async () => {
    const harness = await start({ nodeCount: 2 })
    const { pool } = harness
    const asked = ['n1', 'n1', 'n1'].map((label) => pool.connectionTo(label))
    const connections = await Promise.all(asked)
    expect(new Set(connections).size).toBe(1)
    await turns()
    expect(harness.called).toEqual(['n1'])
  })

  test('serves the pool from then on, which connects to the others when it is wanted', async () => {
    const harness = await start({ nodeCount: 2 })
    const connection = await harness.pool.connectionTo('n1')
    expect(await harness.pool.ready(0)).toBe(connection)
    await until(() => harness.pool.pick(0)?.node === 'n0')
  })

  test('that the pool does not know is refused', async () => {
    const { pool } = await start()
    await expect(pool.connectionTo('elsewhere')).rejects.toThrow('elsewhere is not used any more')
  })

  test('that is down rejects', async () => {
    const harness = await start()
    harness.fail('n0')
    const asked = [harness.pool.connectionTo('n0'), harness.pool.connectionTo('n0')]
    for (const promise of asked) {
      expect(await codeOf(promise)).toBe(ClusterErrorCode.CONNECT_FAILED)
    }
    expect(harness.clock.pendingTimers).toBe(0)
  })
})

describe('closing', () => {
  test('lets what is in flight finish', async () => {
    const harness = await startReady()
    const { cluster, pool, listener } = harness
    const held = delay()
    cluster.on({ opcode: Opcode.QUERY }, held)
    const connection = pool.pick(0)!
    const envelope = buildEnvelope(4, 0, 0, Opcode.QUERY, queryBody(4, 'SELECT * FROM ks.t'))
    connection.send(connection.slots.take(7), envelope, 0, envelope.length)
    await cluster.waitFor(({ opcode }) => opcode === Opcode.QUERY)
    pool.close()
    expect(pool.pick(0)).toBeNull()
    held.release()
    await listener.until(() => listener.lost.length > 0)
    expect(listener.told).toEqual(['answer 7', 'lost'])
  })

  test('aborts openings, and rejects who waits for them', async () => {
    const harness = await start({ nodeCount: 2 })
    const { pool, clock } = harness
    const arrive = harness.hold('n0')
    harness.hold('n1')
    const waiting = [codeOf(pool.ready(0)), codeOf(pool.ready(0)), codeOf(pool.connectionTo('n0'))]
    pool.close()
    arrive()
    expect(await Promise.all(waiting)).toEqual([
      ClusterErrorCode.UNAVAILABLE,
      ClusterErrorCode.UNAVAILABLE,
      ClusterErrorCode.CONNECT_FAILED,
    ])
    expect(harness.opened).toEqual([])
    expect(clock.pendingTimers).toBe(0)
  })

  test('closes a connection whose handshake was complete only afterwards', async () => {
    const harness = await start()
    const { cluster, pool } = harness
    const held = delay()
    cluster.on({ opcode: Opcode.STARTUP }, held)
    const ready = codeOf(pool.ready(0))
    await cluster.waitFor(({ opcode }) => opcode === Opcode.STARTUP)
    pool.close()
    held.release()
    expect(await ready).toBe(ClusterErrorCode.UNAVAILABLE)
    await until(() => harness.openTo(0) === 0)
  })

  test('ends the calling of nodes that are down', async () => {
    const harness = await startReady()
    harness.clock.advance(STABLE_AFTER_MS)
    harness.fail('n0')
    harness.lose(0)
    await until(() => harness.told.length === 1)
    harness.pool.close()
    expect(harness.clock.pendingTimers).toBe(0)
    harness.clock.advance(RECONNECT_DELAY_MAX_MS)
    await turns()
    expect(harness.called).toHaveLength(2)
    expect(await codeOf(harness.pool.ready(0))).toBe(ClusterErrorCode.UNAVAILABLE)
  })

  test('while nothing is answered leaves no connection behind when the time is over', async () => {
    const harness = await startReady()
    const { cluster, pool, clock } = harness
    cluster.on({ opcode: Opcode.QUERY }, drop())
    const connection = pool.pick(0)!
    const call = codeOf(
      connection.callEnvelope(buildEnvelope(4, 0, 0, Opcode.QUERY, queryBody(4, 'SELECT 1'))),
    )
    pool.close()
    clock.advance(10_000)
    harness.sweep()
    expect(await call).toBe(ClusterErrorCode.TIMEOUT)
    await until(() => harness.openTo(0) === 0)
  })
})
