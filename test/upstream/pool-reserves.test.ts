/** Nodes of other racks than the one that was asked for: only while none of that rack is up. */
import { describe, expect, test } from 'vitest'
import { Opcode } from '../../src/cql/protocol.ts'
import {
  inTurn,
  type Node,
  RECONNECT_DELAY_MAX_MS,
  STABLE_AFTER_MS,
} from '../../src/upstream/pool.ts'
import { drop } from '../support/fake-cluster/script.ts'
import { type PoolHarness, start, turns, until } from './pool-harness.ts'

describe('reserves', () => {
  const usable = ({ opened }: PoolHarness): string =>
    opened
      .filter(({ isUsable }) => isUsable)
      .map(({ node }) => node)
      .sort()
      .join(' ')

  /** n0 and n1 are of the rack, n2 is a reserve. */
  const startRack = async (): Promise<PoolHarness> => {
    const harness = await start({ nodeCount: 3, reserves: 1 })
    await harness.pool.ready(2)
    await until(() => usable(harness) === 'n0 n1')
    harness.clock.advance(STABLE_AFTER_MS)
    return harness
  }

  test('are neither opened nor used while a node of the rack is up', async () => {
    const harness = await startRack()
    const { pool, called } = harness
    harness.fail('n0')
    harness.lose(0)
    await until(() => pool.pick(0)?.node === 'n1')
    for (let preferred = 0; preferred < 6; preferred++) {
      expect(pool.pick(preferred)?.node).toBe('n1')
    }
    await turns()
    expect(called).not.toContain('n2')
  })

  test('take over at once when the last node of the rack is lost, and go when one is back', async () => {
    const harness = await startRack()
    const { pool } = harness
    for (const node of [0, 1]) {
      harness.fail(`n${node}`)
      harness.lose(node)
    }
    await until(() => pool.pick(0)?.node === 'n2')
    harness.failing.clear()
    harness.clock.advance(RECONNECT_DELAY_MAX_MS)
    await until(() => pool.pick(0)?.node !== 'n2')
    pool.sweep()
    await until(() => harness.openTo(2) === 0)
    await turns()
    expect(harness.openTo(2)).toBe(0)
    expect(pool.pick(2)?.node).not.toBe('n2')
  })

  test('take over again without a pause', async () => {
    const harness = await startRack()
    const { pool, called } = harness
    for (let round = 1; round <= 2; round++) {
      for (const node of [0, 1]) {
        harness.fail(`n${node}`)
        harness.lose(node)
      }
      await until(() => pool.pick(0)?.node === 'n2')
      expect(called.filter((label) => label === 'n2')).toHaveLength(round)
      harness.failing.clear()
      harness.clock.advance(RECONNECT_DELAY_MAX_MS)
      await until(() => usable(harness) === 'n0 n1 n2')
      pool.sweep()
      await until(() => usable(harness) === 'n0 n1' && harness.openTo(2) === 0)
    }
  })

  test('are used while all of the rack are said to be down', async () => {
    const harness = await startRack()
    const { pool } = harness
    harness.cluster.on({ opcode: Opcode.OPTIONS }, drop())
    for (const node of [0, 1]) pool.setNodeStatus(`host ${node}`, false)
    expect(pool.pick(0)?.node).toBe('n0')
    await until(() => pool.pick(0)?.node === 'n2')
  })

  test('take a client whose handshake reached no other node, and no other client', async () => {
    const harness = await startRack()
    const { pool } = harness
    const unneeded = await harness.connect(2)
    pool.adopt(unneeded)
    expect(unneeded.isUsable).toBe(false)
    for (const node of [0, 1]) {
      harness.fail(`n${node}`)
      harness.lose(node)
    }
    await until(() => pool.pick(0)?.node === 'n2')
    const needed = await harness.connect(2)
    pool.adopt(needed)
    expect(needed.isUsable).toBe(true)
  })

  test('keep the client that has a connection of its own there', async () => {
    const harness = await start({ nodeCount: 2, reserves: 1, isExclusive: true })
    const { pool } = harness
    harness.fail('n0')
    expect((await pool.ready(0)).node).toBe('n1')
    harness.failing.clear()
    pool.sweep()
    await turns()
    expect(pool.pick(0)?.node).toBe('n1')
  })

  test('come last for the first connection', () => {
    const node = (label: string, isReserve = false): Node => ({
      hostId: label,
      label,
      endpoint: { address: '127.0.0.1', port: 1 },
      ...(isReserve ? { isReserve } : {}),
    })
    const nodes = [node('a'), node('b'), node('c', true), node('d', true)]
    const labels = (preferred: number): string =>
      inTurn(nodes, preferred)
        .map(({ label }) => label)
        .join('')
    expect([0, 1, 2, 3].map(labels)).toEqual(['abcd', 'badc', 'abcd', 'badc'])
  })
})
