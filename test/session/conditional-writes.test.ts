/** Conditional writes (LWT) that the two clusters decide differently: one lacks the write, and nobody would know. */
import { describe, expect, test } from 'vitest'
import { ResultKind, Version } from '../../src/cql/protocol.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { readTextRows, resultKind } from '../support/fake-cluster/request-bodies.ts'
import { type Answer, rowsAnswer, voidAnswer } from '../support/fake-cluster/results.ts'
import { respond } from '../support/fake-cluster/script.ts'
import { startPlane } from '../support/plane.ts'

const WRITE = "INSERT INTO ks.t (k, v) VALUES ('a', 'b') IF NOT EXISTS"
const READ = 'SELECT * FROM ks.t'
const name = { keyspace: 'ks', table: 't' }

const rows = (column: string, value: number | null): Answer =>
  rowsAnswer({
    name,
    columns: [{ name: column, type: 'boolean' }],
    rows: [[value === null ? null : Uint8Array.of(value)]],
  })

const APPLIED = rows('[applied]', 1)
const REFUSED = rows('[applied]', 0)

const CASES = [
  { origin: APPLIED, target: APPLIED, missing: null, title: 'applied on both' },
  { origin: REFUSED, target: REFUSED, missing: null, title: 'refused on both' },
  { origin: APPLIED, target: REFUSED, missing: 'target', title: 'applied on Origin only' },
  { origin: REFUSED, target: APPLIED, missing: 'origin', title: 'applied on Target only' },
  { origin: APPLIED, target: voidAnswer(), missing: null, title: 'unknown on Target' },
  { origin: APPLIED, target: rows('applied', 0), missing: null, title: 'a column of another name' },
  { origin: APPLIED, target: rows('[applied]', null), missing: null, title: 'null on Target' },
]

describe.each(['ORIGIN', 'TARGET'] as const)('primary %s', (primaryCluster) => {
  test.each(CASES)('$title: missing on $missing', async ({ origin, target, missing }) => {
    const rig = await startPlane({ settings: { primaryCluster } })
    rig.origin.on({ text: /IF NOT EXISTS/ }, respond(origin))
    rig.target.on({ text: /IF NOT EXISTS/ }, respond(target))
    const driver = await rig.client()
    const answer = await driver.query(WRITE)
    const isVoid = primaryCluster === 'TARGET' && target.body.length === voidAnswer().body.length
    expect(resultKind(answer)).toBe(isVoid ? ResultKind.VOID : ResultKind.ROWS)
    const tables = rig
      .series()
      .failedTables.map(({ keyspace, table, originOnly, targetOnly, both }) => ({
        keyspace,
        table,
        originOnly,
        targetOnly,
        both,
      }))
    const row = { ...{ keyspace: 'ks', table: 't', originOnly: 0, targetOnly: 0, both: 0 } }
    expect(tables).toEqual(missing === null ? [] : [{ ...row, [`${missing}Only`]: 1 }])
    const lines = rig.log.filter(({ code }) => code === 'CONDITIONAL_WRITE_DIVERGED')
    const line = { cluster: missing, keyspace: 'ks', table: 't', level: 'warn' }
    expect(lines).toMatchObject(missing === null ? [] : [line])
    await rig.idle()
  })
})

test('is told once a minute for each table and cluster that lacks it, with the number of the others', async () => {
  const clock = new FakeClock()
  const rig = await startPlane({ clock })
  rig.origin.on({ text: /IF NOT EXISTS/ }, respond(APPLIED))
  rig.target.on({ text: /IF NOT EXISTS/ }, respond(REFUSED))
  const driver = await rig.client()
  const told = () =>
    rig.log
      .filter(({ code }) => code === 'CONDITIONAL_WRITE_DIVERGED')
      .map(({ cluster, table, suppressed }) => ({ cluster, table, suppressed }))
  for (let i = 0; i < 5; i++) await driver.query(WRITE)
  await driver.query(WRITE.replace('ks.t', 'ks.u'))
  const first = [
    { cluster: 'target', table: 't' },
    { cluster: 'target', table: 'u' },
  ]
  expect(told()).toEqual(first)
  for (let i = 0; i < 61; i++) clock.advance(1_000)
  await driver.query(WRITE)
  expect(told()).toEqual([...first, { ...first[0], suppressed: 4 }])
})

test.each([Version.V4, Version.DSE_V1])(
  'v%i: compressed answers are looked into as well',
  async (version) => {
    const cluster = { compressions: ['lz4' as const], maxVersion: Version.DSE_V2 }
    const rig = await startPlane({ origin: cluster, target: cluster })
    rig.origin.on({ text: /IF NOT EXISTS/ }, respond(APPLIED))
    rig.target.on({ text: /IF NOT EXISTS/ }, respond(REFUSED))
    const driver = await rig.connect({ version, compression: 'lz4' })
    await driver.handshake()
    await driver.query(WRITE)
    expect(rig.series().failedTables).toMatchObject([{ keyspace: 'ks', table: 't', targetOnly: 1 }])
  },
)

test('rows of a read that differ are no conditional write', async () => {
  const rig = await startPlane()
  rig.origin.on({ text: /^SELECT/ }, respond(REFUSED))
  const driver = await rig.client()
  expect(readTextRows(await driver.query(READ)).rows).toHaveLength(1)
  expect(rig.series().failedTables).toEqual([])
})
