import { describe, expect, test } from 'vitest'
import { Version, versionTraits } from '../../src/cql/protocol.ts'
import { UpstreamPool } from '../../src/upstream/pool.ts'
import type { Profile } from '../../src/upstream/profile.ts'
import { PROFILE_LINGER_MS, ProfileRegistry } from '../../src/upstream/profile-registry.ts'
import { afterTest } from '../support/after-test.ts'
import { FakeCluster } from '../support/fake-cluster/cluster.ts'
import { Harness, STARTUP_OPTIONS } from './node-connections.ts'

const profile = (changes: Partial<Profile> = {}): Profile => ({
  traits: versionTraits(Version.V4)!,
  startupOptions: STARTUP_OPTIONS,
  credentials: [null, null],
  keyspace: null,
  exclusiveTo: null,
  ...changes,
})

/** A registry over one cluster that plays both. */
const start = async () => {
  const cluster = await FakeCluster.start({ name: 'both' })
  const harness = new Harness()
  const node = {
    hostId: 'host',
    label: 'node',
    endpoint: { address: '127.0.0.1', port: cluster.port },
  }
  const made: string[] = []
  const registry = new ProfileRegistry((which, { keyspace, exclusiveTo }) => {
    made.push(`${which} ${keyspace}`)
    return new UpstreamPool(
      {
        cluster: which,
        connectionsPerNodeMax: 1,
        isExclusive: exclusiveTo !== null,
        clock: harness.clock,
        open: () => harness.openReady(cluster, { node: node.label, cluster: which }),
        onExclusiveLost: () => {},
        onReconnectFailed: () => {},
      },
      [node],
    )
  })
  afterTest(
    () => cluster.stop(),
    () => harness.close(),
    () => registry.closeAll(),
  )
  const allGone = () => cluster.waitUntil(() => cluster.openConnections.length === 0)
  return { registry, made, cluster, harness, node, allGone }
}

describe('sessions', () => {
  test('with equal profiles share their pools', async () => {
    const { registry, made } = await start()
    const one = registry.acquire(profile())
    const two = registry.acquire(profile())
    expect(two).toBe(one)
    expect(made).toEqual(['0 null', '1 null'])
    expect(one.pools.map((pool) => pool.cluster)).toEqual([0, 1])
    expect(one.sessions).toBe(2)
  })

  test('with other profiles do not', async () => {
    const { registry } = await start()
    const one = registry.acquire(profile())
    const two = registry.acquire(profile({ keyspace: 'ks' }))
    expect(two).not.toBe(one)
    expect(registry.size).toBe(2)
  })
})

describe('a profile that nobody uses', () => {
  test('stays warm for a moment, then closes its pools', async () => {
    const { registry, allGone } = await start()
    const entry = registry.acquire(profile())
    const connection = await entry.pools[0].ready(0)
    registry.release(entry, 1000)
    registry.sweep(1000 + PROFILE_LINGER_MS)
    expect(registry.size).toBe(1)
    expect(connection.isUsable).toBe(true)
    expect(registry.acquire(profile())).toBe(entry)
    registry.release(entry, 2000)
    registry.sweep(2001 + PROFILE_LINGER_MS)
    expect(registry.size).toBe(0)
    await allGone()
    expect(registry.acquire(profile())).not.toBe(entry)
  })

  test('is not one that somebody else still uses', async () => {
    const { registry } = await start()
    const entry = registry.acquire(profile())
    registry.acquire(profile())
    registry.release(entry, 0)
    registry.sweep(10 * PROFILE_LINGER_MS)
    expect(registry.size).toBe(1)
    expect((await entry.pools[0].ready(0)).isUsable).toBe(true)
  })

  test('closes at once when it was of one session', async () => {
    const { registry, allGone } = await start()
    const entry = registry.acquire(profile({ exclusiveTo: 3 }))
    await Promise.all(entry.pools.map((pool) => pool.ready(0)))
    registry.release(entry, 0)
    expect(registry.size).toBe(0)
    await allGone()
  })
})

describe('the registry', () => {
  test('hands new nodes to the pools of one cluster', async () => {
    const { registry, node } = await start()
    const entry = registry.acquire(profile())
    const [origin, target] = await Promise.all(entry.pools.map((pool) => pool.ready(0)))
    registry.setNodes(1, [{ ...node, hostId: 'another', label: 'another' }])
    expect(origin!.isUsable).toBe(true)
    expect(target!.isUsable).toBe(false)
  })

  test('sweeps the pools that are in use', async () => {
    const { registry, harness } = await start()
    const entry = registry.acquire(profile())
    const connection = await entry.pools[0].ready(0)
    for (let i = 0; i < 100; i++) connection.slots.orphan(connection.slots.take(i))
    registry.sweep(0)
    await harness.listener.until(() => connection.state === 'closed')
    expect(entry.pools[0].pick(0)).not.toBe(connection)
  })

  test('closes all, and gives no working pool to who comes afterwards', async () => {
    const { registry, allGone, cluster } = await start()
    const entry = registry.acquire(profile())
    await Promise.all(entry.pools.map((pool) => pool.ready(0)))
    registry.closeAll()
    expect(registry.size).toBe(0)
    await allGone()
    registry.release(entry, 0)
    const late = registry.acquire(profile())
    await expect(late.pools[0].ready(0)).rejects.toThrow('no node of Origin')
    registry.release(late, 0)
    registry.closeAll()
    expect(registry.size).toBe(0)
    expect(cluster.connections).toHaveLength(2)
  })
})
