/** metrics_keyspaces: requests by the keyspace that they are in. */
import { expect, test } from 'vitest'
import { Opcode, QueryFlag, Version } from '../../src/cql/protocol.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import { KEYSPACES_MAX } from '../../src/session/keyspace-requests.ts'
import { startPlane } from '../support/plane.ts'

const start = () => startPlane({ settings: { metricsKeyspaces: true } })
type Rig = Awaited<ReturnType<typeof start>>

const counts = (rig: Rig): Record<string, readonly [reads: number, writes: number]> =>
  Object.fromEntries(
    rig.series().keyspaceRequests.map((row) => [row.keyspace, [row.reads, row.writes]]),
  )

test('texts and prepared statements count in the keyspace that they name, else in the session’s', async () => {
  const rig = await start()
  const driver = await rig.client()
  await driver.query('SELECT v FROM a.t')
  await driver.query('SELECT v FROM t')
  await driver.query('SELECT * FROM system.local')
  const read = await driver.prepare('SELECT v FROM a.t')
  await driver.query('USE b')
  await driver.query('INSERT INTO t (k) VALUES (1)')
  const write = await driver.prepare('INSERT INTO t (k) VALUES (1)')
  for (let i = 0; i < 3; i++) await driver.execute(read)
  for (let i = 0; i < 2; i++) await driver.execute(write)
  expect(counts(rig)).toEqual({ '': [1, 0], a: [4, 0], b: [0, 3] })
})

test('a batch counts once, where its first statement does', async () => {
  const rig = await start()
  const driver = await rig.client()
  const prepared = await driver.prepare('INSERT INTO a.t (k) VALUES (1)')
  await driver.batch([{ id: prepared.id }, { text: 'INSERT INTO b.t (k) VALUES (1)' }])
  await driver.batch([{ text: 'INSERT INTO b.t (k) VALUES (1)' }, { id: prepared.id }])
  await driver.batch([{ text: 'INSERT INTO t (k) VALUES (1)' }])
  expect(counts(rig)).toEqual({ a: [0, 1], b: [0, 1], '': [0, 1] })
})

test('v5: a statement prepared in a keyspace of its own counts there', async () => {
  const rig = await start()
  const driver = await rig.client(Version.V5)
  await driver.execute(await driver.prepare('SELECT v FROM t', 'own'))
  expect(counts(rig)).toEqual({ own: [1, 0] })
})

test('more keyspaces than are told apart count as `other`', async () => {
  const rig = await start()
  const driver = await rig.client()
  for (let i = 0; i < KEYSPACES_MAX + 2; i++) await driver.query(`SELECT v FROM ks${i}.t`)
  await driver.query('SELECT v FROM ks0.t')
  const found = counts(rig)
  expect(Object.keys(found)).toHaveLength(KEYSPACES_MAX + 1)
  expect([found['ks0'], found['other']]).toEqual([
    [2, 0],
    [2, 0],
  ])
})

test('it can be turned on and off while clients are there; off is the default', async () => {
  const rig = await startPlane()
  const driver = await rig.client()
  await driver.query('SELECT v FROM a.t')
  expect(counts(rig)).toEqual({})
  rig.plane.setSettings({ ...rig.plane.settings, countsKeyspaces: true })
  await driver.query('SELECT v FROM a.t')
  rig.plane.setSettings({ ...rig.plane.settings, countsKeyspaces: false })
  await driver.query('SELECT v FROM a.t')
  expect(counts(rig)).toEqual({ a: [1, 0] })
})

test('a batch whose parameters are cut off counts, and is forgotten when it is answered', async () => {
  const rig = await start()
  const driver = await rig.client(Version.V5)
  const body = new BodyWriter()
    .writeByte(0)
    .writeShort(1)
    .writeByte(0)
    .writeLongString('INSERT INTO t (k) VALUES (1)')
    .writeShort(0)
    .writeShort(1)
    .writeInt(QueryFlag.KEYSPACE)
    .toBytes()
  await driver.request(Opcode.BATCH, body)
  expect(counts(rig)).toEqual({ '': [0, 1] })
  await rig.idle()
})
