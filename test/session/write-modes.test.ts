/** Writes to one cluster only, and the record of writes that one cluster lacks. */
import { describe, expect, test } from 'vitest'
import { ErrorCode, Opcode } from '../../src/cql/protocol.ts'
import type { WriteMode } from '../../src/routing/routing-state.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { readError } from '../support/fake-cluster/request-bodies.ts'
import { drop, respondError } from '../support/fake-cluster/script.ts'
import { type PlaneRig, startPlane } from '../support/plane.ts'

const setWrites = (rig: PlaneRig, writeMode: WriteMode): void => {
  const primary = writeMode === 'target_only' ? 1 : 0
  void rig.plane.setRouting({ ...rig.plane.routing, primary, writeMode })
}

const asked = ({ origin, target }: PlaneRig): string[] => [
  ...origin.received.map(({ opcode }) => `origin ${opcode}`),
  ...target.received.map(({ opcode }) => `target ${opcode}`),
]

describe.each([
  ['origin_only', 'origin', 'target'],
  ['target_only', 'target', 'origin'],
] as const)('writes %s', (writeMode, only, other) => {
  test('leave the other cluster alone, whatever they are', async () => {
    const rig = await startPlane()
    const client = await rig.client()
    setWrites(rig, writeMode)
    // The other cluster says nothing any more: nobody may wait for it.
    rig[other].on({}, drop())
    rig.clear()
    const prepared = await client.prepare('INSERT INTO ks.t (k) VALUES (1)')
    const answers = [
      await client.execute(prepared),
      await client.query('UPDATE ks.t SET v = 1'),
      await client.query('CREATE TABLE ks.u (k int PRIMARY KEY)'),
      await client.batch([{ id: prepared.id }, { text: 'DELETE FROM ks.t WHERE k = 1' }]),
      await client.query('SELECT * FROM ks.t'),
    ]
    expect(answers.map(({ opcode }) => opcode)).toEqual(Array(5).fill(Opcode.RESULT))
    const opcodes = [Opcode.PREPARE, Opcode.EXECUTE, Opcode.QUERY, Opcode.QUERY, Opcode.BATCH]
    expect(asked(rig)).toEqual([...opcodes, Opcode.QUERY].map((opcode) => `${only} ${opcode}`))
    expect(rig.series().requestDuration.writes.count).toBe(4)
    expect(rig.series().inflight).toEqual({ readsOrigin: 0, readsTarget: 0, writes: 0 })
    await rig.idle()
  })

  test('are executed on both when both take writes again, prepared though they were on one', async () => {
    const rig = await startPlane()
    const client = await rig.client()
    setWrites(rig, writeMode)
    const prepared = await client.prepare('INSERT INTO ks.t (k) VALUES (1)')
    setWrites(rig, 'both')
    rig.clear()
    expect((await client.execute(prepared)).opcode).toBe(Opcode.RESULT)
    const executed = rig[other].received.filter(({ opcode }) => opcode === Opcode.EXECUTE)
    expect(executed.length).toBeGreaterThan(0)
    await rig.idle()
  })

  test('that time out are write time-outs: a driver must not repeat them like a read', async () => {
    const clock = new FakeClock()
    const rig = await startPlane({ clock })
    const client = await rig.client()
    setWrites(rig, writeMode)
    rig[only].on({ opcode: Opcode.QUERY }, drop())
    const write = client.query('UPDATE ks.t SET v = v + 1')
    await rig[only].waitFor(({ text }) => text?.startsWith('UPDATE') === true)
    clock.advance(11_000)
    expect(readError(await write).code).toBe(ErrorCode.WRITE_TIMEOUT)
    expect(rig.series().inflight.writes).toBe(0)
    // Nobody expects it on the other cluster: it lacks nothing that was promised.
    expect(rig.series().failedTables).toEqual([])
  })
})

describe('a write that one cluster lacks', () => {
  const summary = (rig: PlaneRig): string[] =>
    rig
      .series()
      .failedTables.map(
        ({ keyspace, table, originOnly, targetOnly, both }) =>
          `${keyspace}.${table} ${originOnly} ${targetOnly} ${both}`,
      )

  test('is recorded by table, however it came', async () => {
    const rig = await startPlane()
    const client = await rig.client(4, { keyspace: 'own' })
    const prepared = await client.prepare('INSERT INTO ks.prepared (k) VALUES (1)')
    rig.target.on({ opcode: Opcode.QUERY }, respondError(ErrorCode.WRITE_TIMEOUT))
    rig.target.on({ opcode: Opcode.EXECUTE }, respondError(ErrorCode.OVERLOADED))
    rig.target.on({ opcode: Opcode.BATCH }, respondError(ErrorCode.UNAVAILABLE))
    await client.query('UPDATE plain SET v = 1')
    await client.query('UPDATE ks.plain SET v = 1')
    await client.query('UPDATE ks.plain SET v = 2')
    await client.query('CREATE TABLE ks.u (k int PRIMARY KEY)')
    await client.execute(prepared)
    await client.batch([
      { id: prepared.id },
      { id: prepared.id },
      { text: 'DELETE FROM child WHERE k = 1' },
    ])
    await client.query('SELECT * FROM ks.t')
    expect(summary(rig)).toEqual([
      'own.plain 0 1 0',
      'ks.plain 0 2 0',
      '. 0 1 0',
      'ks.prepared 0 2 0',
      'own.child 0 1 0',
    ])
  })

  test('is told apart from one that both lack, and from none', async () => {
    const rig = await startPlane()
    const client = await rig.client()
    await client.query('UPDATE ks.fine SET v = 1')
    rig.origin.on({ text: /ks.o/ }, respondError(ErrorCode.WRITE_FAILURE))
    rig.origin.on({ text: /ks.b/ }, respondError(ErrorCode.WRITE_FAILURE))
    rig.target.on({ text: /ks.b/ }, respondError(ErrorCode.WRITE_FAILURE))
    await client.query('UPDATE ks.o SET v = 1')
    await client.query('UPDATE ks.b SET v = 1')
    expect(summary(rig)).toEqual(['ks.o 1 0 0', 'ks.b 0 0 1'])
  })

  test('may be one that a cluster did not answer in time', async () => {
    const clock = new FakeClock()
    const rig = await startPlane({ clock })
    const client = await rig.client()
    rig.origin.on({ text: /late/ }, drop())
    const write = client.query('UPDATE ks.late SET v = 1')
    await rig.target.waitFor(({ text }) => text?.includes('late') === true)
    await client.query('SELECT * FROM ks.t')
    clock.advance(11_000)
    await write
    expect(summary(rig)).toEqual(['ks.late 1 0 0'])
  })

  test('is recorded within bounds', async () => {
    const rig = await startPlane()
    const client = await rig.client()
    rig.target.on({ text: /UPDATE/ }, respondError(ErrorCode.OVERLOADED))
    const writes = Array.from({ length: 600 }, (_, i) => client.query(`UPDATE ks.t${i} SET v = 1`))
    await Promise.all(writes)
    const tables = rig.series().failedTables
    expect(tables.length).toBe(501)
    expect(tables.reduce((sum, { targetOnly }) => sum + targetOnly, 0)).toBe(600)
  })
})
