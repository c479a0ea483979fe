/**
 * Asynchronous dual reads on two real clusters, their answers compared: rows that are the same, rows
 * that were changed or deleted behind the proxy's back, pages, and what may differ without a fault.
 */
import type { Client } from 'cassandra-driver'
import { beforeAll, describe, expect, test } from 'vitest'
import type { AsyncSeries } from '../../src/metrics/plane-series.ts'
import {
  connectDirect,
  connectDriver,
  createKeyspace,
  newKeyspaceName,
  type RealInstance,
  startRealInstance,
} from '../support/real-instance.ts'

const COMPARED = {
  readMode: 'DUAL_ASYNC_ON_SECONDARY',
  compareAsyncReads: true,
  compareAsyncReadsRecheckMs: 300,
  dataPlaneThreads: 1,
} as const

const seriesOf = async ({ instance }: RealInstance): Promise<AsyncSeries> =>
  (await instance.series()!)[0]!.asyncReads

const settled = ({ compared, skipped }: AsyncSeries): number =>
  [...Object.values(compared), ...Object.values(skipped)].reduce((a, b) => a + b)

describe.each([
  { version: 4, primaryCluster: 'ORIGIN' },
  { version: 3, primaryCluster: 'TARGET' },
] as const)('protocol v$version, primary $primaryCluster', ({ version, primaryCluster }) => {
  const keyspace = newKeyspaceName()
  const table = `${keyspace}.t`
  let proxy: RealInstance
  let driver: Client
  let secondary: Client

  /** What comparing says of the reads that `work` does. */
  const countedIn = async (work: () => Promise<unknown>): Promise<Record<string, number>> => {
    const before = await seriesOf(proxy)
    await work()
    const startMs = performance.now()
    let after = await seriesOf(proxy)
    while (settled(after) === settled(before) && performance.now() - startMs < 20_000) {
      await new Promise((resolve) => setTimeout(resolve, 50))
      after = await seriesOf(proxy)
    }
    const counts = { ...after.compared, ...after.skipped }
    const earlier: Record<string, number> = { ...before.compared, ...before.skipped }
    return Object.fromEntries(
      Object.entries(counts)
        .map(([name, count]) => [name, count - earlier[name]!] as const)
        .filter(([, count]) => count !== 0),
    )
  }
  const read = (text: string, values: unknown[] = [], prepare = values.length > 0) =>
    driver.execute(text, values, { prepare })

  beforeAll(async () => {
    proxy = await startRealInstance({ ...COMPARED, primaryCluster })
    const options = { protocolOptions: { maxVersion: version }, isMetadataSyncEnabled: false }
    driver = await connectDriver(`127.0.0.1:${proxy.port}`, options)
    const direct = await connectDirect()
    secondary = primaryCluster === 'ORIGIN' ? direct.target : direct.origin
    await driver.execute(createKeyspace(keyspace))
    await driver.execute(
      `CREATE TABLE ${table} (p int, c int, v text, s set<int>, PRIMARY KEY (p, c))`,
    )
    const insert = `INSERT INTO ${table} (p, c, v, s) VALUES (?, ?, ?, ?)`
    for (let p = 0; p < 20; p++) {
      for (let c = 0; c < 10; c++) {
        await driver.execute(insert, [p, c, `value ${p}/${c}`, [3, 1, 2]], { prepare: true })
      }
    }
    // The first reads open the connections for copies.
    while (settled(await seriesOf(proxy)) === 0) {
      await read(`SELECT * FROM ${table} WHERE p = 0`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  })

  test.each([
    ['one partition', 'SELECT * FROM $ WHERE p = ?', [1]],
    ['a row that is not there', 'SELECT * FROM $ WHERE p = ? AND c = ?', [1, 99]],
    ['several partitions', 'SELECT * FROM $ WHERE p IN (?, ?)', [1, 2]],
    ['the whole table', 'SELECT * FROM $', []],
    ['an aggregate', 'SELECT count(*), max(c) FROM $', []],
    ['an order', 'SELECT c, v FROM $ WHERE p = ? ORDER BY c DESC', [3]],
    ['a limit', 'SELECT * FROM $ LIMIT 7', []],
    ['JSON', 'SELECT JSON * FROM $ WHERE p = ?', [4]],
  ] as const)('%s: equal', async (_, text, values) => {
    const counted = await countedIn(() => read(text.replace('$', table), [...values]))
    expect(counted).toEqual({ equal: 1 })
  })

  test('every page of a table: equal', async () => {
    let rows = 0
    const counted = await countedIn(async () => {
      for (
        let pageState: string | undefined, isFirst = true;
        isFirst || pageState;
        isFirst = false
      ) {
        const options = { prepare: true, fetchSize: 30, ...(pageState && { pageState }) }
        const page = await driver.execute(`SELECT * FROM ${table}`, [], options)
        rows += page.rowLength
        pageState = page.pageState
      }
      await new Promise((resolve) => setTimeout(resolve, 300))
    })
    expect(rows).toBe(200)
    expect(counted).toEqual({ equal: expect.any(Number) })
    expect(counted['equal']).toBeGreaterThanOrEqual(7)
  })

  test('values of the moment are not compared', async () => {
    const counted = await countedIn(() => read(`SELECT now() FROM ${table} WHERE p = 1 LIMIT 1`))
    expect(counted).toEqual({ notComparable: 1 })
  })

  test('what the secondary has otherwise, less and more is found, without a value', async () => {
    await secondary.execute(`UPDATE ${table} SET v = 'changed' WHERE p = 10 AND c = 1`)
    await secondary.execute(`DELETE FROM ${table} WHERE p = 10 AND c = 2`)
    await secondary.execute(`INSERT INTO ${table} (p, c, v) VALUES (11, 77, 'extra')`)
    const select = `SELECT * FROM ${table} WHERE p = ?`
    expect(await countedIn(() => read(select, [10]))).toEqual({ mismatch: 1 })
    expect(await countedIn(() => read(select, [11]))).toEqual({ mismatch: 1 })
    expect(await countedIn(() => read(select, [12]))).toEqual({ equal: 1 })
    expect((await seriesOf(proxy)).mismatches).toEqual([{ keyspace, table: 't', count: 2 }])
    const [newest, older] = await proxy.instance.mismatches()
    const common = { keyspace, table: 't', statement: `SELECT * FROM ${table} WHERE p = ?` }
    expect(older).toMatchObject({
      ...common,
      primary: primaryCluster.toLowerCase(),
      changedRows: 1,
      missingOnSecondary: 1,
      missingOnPrimary: 0,
      columns: ['v'],
      keyOf: version >= 4 ? 'partition_key' : 'bound_values',
    })
    expect(newest).toMatchObject({ ...common, changedRows: 0, missingOnPrimary: 1 })
    expect(newest!.keyHash).not.toBe(older!.keyHash)
    expect(JSON.stringify([newest, older])).not.toMatch(/value \d|changed"|extra/)
  })

  test('a difference that is repaired before the second look does not count', async () => {
    await secondary.execute(`UPDATE ${table} SET v = 'late' WHERE p = 15 AND c = 1`)
    const counted = await countedIn(async () => {
      await read(`SELECT * FROM ${table} WHERE p = ?`, [15])
      await secondary.execute(`UPDATE ${table} SET v = 'value 15/1' WHERE p = 15 AND c = 1`)
    })
    expect(counted).toEqual({ equalLater: 1 })
  })
})
