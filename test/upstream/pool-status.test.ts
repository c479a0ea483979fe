/** What a cluster says of its nodes, and what a pool makes of it. */
import { describe, expect, test } from 'vitest'
import { Opcode } from '../../src/cql/protocol.ts'
import type { UpstreamConnection } from '../../src/upstream/connection.ts'
import { ClusterError, ClusterErrorCode } from '../../src/upstream/errors.ts'
import { type Node, SIGN_OF_LIFE_MS, UpstreamPool } from '../../src/upstream/pool.ts'
import { afterTest } from '../support/after-test.ts'
import { FakeCluster } from '../support/fake-cluster/cluster.ts'
import { drop } from '../support/fake-cluster/script.ts'
import { Harness } from './node-connections.ts'

const until = async (isDone: () => boolean): Promise<void> => {
  while (!isDone()) await new Promise((resolve) => setImmediate(resolve))
}

const start = async () => {
  const cluster = await FakeCluster.start({ name: 'origin', nodes: 2 })
  const harness = new Harness()
  const nodes: Node[] = cluster.nodes.map(({ address, port }, index) => ({
    hostId: `host ${index}`,
    label: `n${index}`,
    endpoint: { address, port },
  }))
  const called: string[] = []
  const failed: string[] = []
  const failing = new Set<string>()
  const pool = new UpstreamPool(
    {
      cluster: 0,
      connectionsPerNodeMax: 2,
      isExclusive: false,
      clock: harness.clock,
      open: (node) => {
        called.push(node.label)
        if (!failing.has(node.label)) {
          return harness.openReady(cluster, { endpoint: node.endpoint, node: node.label })
        }
        const error = new ClusterError(ClusterErrorCode.CONNECT_FAILED, 0, `${node.label} is down`)
        return Promise.reject(error)
      },
      onExclusiveLost: () => {},
      onReconnectFailed: (node) => failed.push(node.label),
    },
    nodes,
  )
  afterTest(
    () => cluster.stop(),
    () => harness.close(),
    () => pool.close(),
  )
  await pool.ready(0)
  await until(() => harness.opened.filter(({ isUsable }) => isUsable).length === 2)
  const to = (label: string): UpstreamConnection =>
    harness.opened.find((connection) => connection.node === label)!
  return { cluster, harness, pool, called, failed, failing, to, clock: harness.clock }
}

describe('a node that is said to be down', () => {
  test('is passed over at once, and its silent connection is given up soon', async () => {
    const { cluster, harness, pool, clock, to } = await start()
    cluster.on({ opcode: Opcode.OPTIONS }, drop())
    const request = to('n0').slots.take(7)
    expect(pool.pick(0)?.node).toBe('n0')
    pool.setNodeStatus('host 0', false)
    expect(pool.pick(0)?.node).toBe('n1')
    await cluster.waitFor(({ opcode }) => opcode === Opcode.OPTIONS)
    clock.advance(SIGN_OF_LIFE_MS - 1)
    expect(to('n0').isUsable).toBe(true)
    clock.advance(1)
    expect(to('n0').state).toBe('closed')
    expect(harness.listener.lost.map(({ requests }) => requests)).toEqual([[7]])
    expect(harness.listener.lost[0]!.cause?.message).toContain('says that the node is down')
    expect(request).toBeGreaterThan(0)
  })

  test('is used again as soon as it shows that it lives', async () => {
    const { cluster, pool, clock } = await start()
    pool.setNodeStatus('host 0', false)
    await cluster.waitFor(({ opcode }) => opcode === Opcode.OPTIONS)
    await until(() => pool.pick(0)?.node === 'n0')
    clock.advance(SIGN_OF_LIFE_MS)
    expect(pool.pick(0)?.isUsable).toBe(true)
  })

  test('is better than none', async () => {
    const { cluster, pool } = await start()
    cluster.on({ opcode: Opcode.OPTIONS }, drop())
    pool.setNodeStatus('host 0', false)
    pool.setNodeStatus('host 1', false)
    expect(pool.pick(1)?.node).toBe('n1')
  })

  test('may be one that the pool does not know', async () => {
    const { pool } = await start()
    pool.setNodeStatus('host 9', false)
    expect(pool.pick(0)?.node).toBe('n0')
  })
})

describe('a node that is said to be up', () => {
  test('is called at once, whatever the back-off', async () => {
    const { pool, failed, failing, to, clock } = await start()
    failing.add('n0')
    to('n0').fail(new Error('lost'))
    clock.advance(100)
    await until(() => failed.includes('n0'))
    failing.delete('n0')
    // Without time passing.
    pool.setNodeStatus('host 0', true)
    await until(() => pool.pick(0)?.node === 'n0')
  })

  test('is left as it is where it has a connection', async () => {
    const { pool, called } = await start()
    const before = called.length
    pool.setNodeStatus('host 0', true)
    expect(pool.pick(0)?.node).toBe('n0')
    expect(called).toHaveLength(before)
  })
})
