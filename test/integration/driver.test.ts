/**
 * What an application does, through the proxy on two real clusters, with cassandra-driver: every write is
 * in both clusters with the same values and write times, every read comes from the primary.
 */
import { type Client, errors, types } from 'cassandra-driver'
import { beforeAll, describe, expect, test } from 'vitest'
import { ErrorCode } from '../../src/cql/protocol.ts'
import {
  connectDirect,
  connectDriver,
  createKeyspace,
  newKeyspaceName,
  plainRows,
  type RealInstance,
  startRealInstance,
} from '../support/real-instance.ts'

const CONFIGURATIONS = [
  { version: 4, primaryCluster: 'ORIGIN', upstreamConnections: 'shared', dataPlaneThreads: 1 },
  { version: 4, primaryCluster: 'TARGET', upstreamConnections: 'shared', dataPlaneThreads: 2 },
  { version: 4, primaryCluster: 'TARGET', upstreamConnections: 'per_client', dataPlaneThreads: 1 },
  { version: 3, primaryCluster: 'ORIGIN', upstreamConnections: 'shared', dataPlaneThreads: 2 },
  { version: 3, primaryCluster: 'TARGET', upstreamConnections: 'per_client', dataPlaneThreads: 1 },
] as const

type Direct = { readonly origin: Client; readonly target: Client }

/** The rows of a query in both clusters; fails where they differ. */
const storedInBoth = async (direct: Direct, text: string): Promise<Record<string, unknown>[]> => {
  const [origin, target] = await Promise.all([
    direct.origin.execute(text),
    direct.target.execute(text),
  ])
  expect(plainRows(target)).toEqual(plainRows(origin))
  return plainRows(origin)
}

describe.each(CONFIGURATIONS)(
  'protocol v$version, primary $primaryCluster, $upstreamConnections connections, $dataPlaneThreads threads',
  ({ version, ...settings }) => {
    const keyspace = newKeyspaceName()
    let driver: Client
    let direct: Direct
    let real: RealInstance
    let contactPoint: string

    beforeAll(async () => {
      real = await startRealInstance(settings)
      contactPoint = `127.0.0.1:${real.port}`
      driver = await connectDriver(contactPoint, { protocolOptions: { maxVersion: version } })
      direct = await connectDirect()
      await driver.execute(createKeyspace(keyspace))
      await driver.execute(
        `CREATE TABLE ${keyspace}.t (k int, c int, v text, s int static, PRIMARY KEY (k, c))`,
      )
      await driver.execute(`CREATE TABLE ${keyspace}.counters (k int PRIMARY KEY, n counter)`)
    })

    test('the driver speaks the version that it was told to', () => {
      // biome-ignore lint/suspicious/noExplicitAny: the driver's types leave it out.
      expect((driver as any).controlConnection.protocolVersion).toBe(version)
    })

    test('the driver sees the proxy as a cluster of one node', () => {
      expect(driver.hosts.values().map(({ address }) => address)).toEqual([contactPoint])
    })

    test('a simple write is in both clusters with the same write time', async () => {
      await driver.execute(`INSERT INTO ${keyspace}.t (k, c, v) VALUES (1, 1, 'é ✓')`)
      const rows = await storedInBoth(
        direct,
        `SELECT k, c, v, writetime(v) AS w FROM ${keyspace}.t WHERE k = 1`,
      )
      expect(rows).toMatchObject([{ k: 1, c: 1, v: 'é ✓' }])
    })

    test('a hundred prepared writes at once are in both clusters', async () => {
      const text = `INSERT INTO ${keyspace}.t (k, c, v) VALUES (?, ?, ?)`
      await Promise.all(
        Array.from({ length: 100 }, (_, c) =>
          driver.execute(text, [2, c, `value ${c}`], { prepare: true }),
        ),
      )
      const rows = await storedInBoth(
        direct,
        `SELECT c, v, writetime(v) AS w FROM ${keyspace}.t WHERE k = 2`,
      )
      expect(rows.map(({ v }) => v)).toEqual(Array.from({ length: 100 }, (_, c) => `value ${c}`))
    })

    test('null deletes and unset leaves alone, in both clusters', async () => {
      const insert = `INSERT INTO ${keyspace}.t (k, c, v, s) VALUES (?, ?, ?, ?)`
      await driver.execute(insert, [3, 1, 'stays', 7], { prepare: true })
      await driver.execute(insert, [3, 2, null, null], { prepare: true })
      if (version >= 4) {
        await driver.execute(insert, [3, 1, types.unset, 8], { prepare: true })
      }
      const rows = await storedInBoth(direct, `SELECT c, v, s FROM ${keyspace}.t WHERE k = 3`)
      expect(rows).toEqual([
        { c: 1, v: 'stays', s: version >= 4 ? 8 : null },
        { c: 2, v: null, s: version >= 4 ? 8 : null },
      ])
    })

    test.each([
      { without: 'target', prepare: false },
      { without: 'target', prepare: true },
      { without: 'origin', prepare: false },
      { without: 'origin', prepare: true },
    ] as const)(
      'a conditional write that $without alone refuses counts as missing there (prepared: $prepare)',
      async ({ without, prepare }) => {
        const k = 1000 + (without === 'origin' ? 1 : 0) + (prepare ? 2 : 0)
        await direct[without].execute(`INSERT INTO ${keyspace}.t (k, c, v) VALUES (${k}, 1, 'own')`)
        const countsOf = async (): Promise<number> =>
          (await real.instance.series())!
            .flatMap(({ failedTables }) => failedTables)
            .filter((row) => row.keyspace === keyspace && row.table === 't')
            .reduce((sum, row) => sum + row[`${without}Only`], 0)
        const before = await countsOf()
        const insert = `INSERT INTO ${keyspace}.t (k, c, v) VALUES (?, 1, 'new') IF NOT EXISTS`
        const params = prepare ? [k] : []
        const text = prepare ? insert : insert.replace('?', `${k}`)
        const result = await driver.execute(text, params, { prepare })
        expect(result.wasApplied()).toBe(without !== settings.primaryCluster.toLowerCase())
        expect((await countsOf()) - before).toBe(1)
      },
    )

    test('a column that Target alone has moves no value into another, whoever is primary', async () => {
      const table = `${keyspace}.evolved`
      await driver.execute(`CREATE TABLE ${table} (k int PRIMARY KEY, b text, c text)`)
      await direct.target.execute(`ALTER TABLE ${table} ADD a text`)
      await driver.execute(`INSERT INTO ${table} (k, b, c) VALUES (1, 'b', 'c')`)
      await direct.target.execute(`UPDATE ${table} SET a = 'a' WHERE k = 1`)
      const select = `SELECT * FROM ${table} WHERE k = ?`
      for (let i = 0; i < 3; i++) {
        const { rows } = await driver.execute(select, [1], { prepare: true })
        const extra = settings.primaryCluster === 'TARGET' ? { a: 'a' } : {}
        expect({ ...rows[0] }).toEqual({ k: 1, b: 'b', c: 'c', ...extra })
      }
    })

    test('batches of texts, of prepared statements and of both are in both clusters', async () => {
      const prepared = `INSERT INTO ${keyspace}.t (k, c, v) VALUES (?, ?, ?)`
      await driver.batch(
        [
          { query: prepared, params: [4, 1, 'prepared'] },
          { query: `UPDATE ${keyspace}.t SET v = ? WHERE k = ? AND c = ?`, params: ['b', 4, 2] },
        ],
        { prepare: true, logged: true },
      )
      await driver.batch([`INSERT INTO ${keyspace}.t (k, c, v) VALUES (4, 3, 'text')`], {
        logged: false,
      })
      await driver.execute(
        `BEGIN BATCH INSERT INTO ${keyspace}.t (k, c, v) VALUES (4, 4, 'x'); DELETE FROM ${keyspace}.t WHERE k = 4 AND c = 3; APPLY BATCH`,
      )
      const rows = await storedInBoth(direct, `SELECT c, v FROM ${keyspace}.t WHERE k = 4`)
      expect(rows).toEqual([
        { c: 1, v: 'prepared' },
        { c: 2, v: 'b' },
        { c: 4, v: 'x' },
      ])
    })

    test('counters count once in each cluster', async () => {
      const text = `UPDATE ${keyspace}.counters SET n = n + ? WHERE k = 1`
      for (let i = 0; i < 5; i++) await driver.execute(text, [3], { prepare: true })
      const rows = await storedInBoth(direct, `SELECT k, n FROM ${keyspace}.counters`)
      expect(rows).toEqual([{ k: 1, n: '"15"' }])
    })

    test('a conditional write is applied in both clusters and answered once', async () => {
      const insert = `INSERT INTO ${keyspace}.t (k, c, v) VALUES (5, 1, 'first') IF NOT EXISTS`
      expect((await driver.execute(insert)).wasApplied()).toBe(true)
      expect((await driver.execute(insert)).wasApplied()).toBe(false)
      const rows = await storedInBoth(direct, `SELECT v FROM ${keyspace}.t WHERE k = 5`)
      expect(rows).toEqual([{ v: 'first' }])
    })

    test('reads come from the primary: a marker that differs tells where', async () => {
      const marker = (where: string): string =>
        `INSERT INTO ${keyspace}.t (k, c, v) VALUES (6, 1, '${where}')`
      await direct.origin.execute(marker('ORIGIN'))
      await direct.target.execute(marker('TARGET'))
      const select = `SELECT v FROM ${keyspace}.t WHERE k = ?`
      const simple = await driver.execute(`SELECT v FROM ${keyspace}.t WHERE k = 6`)
      const prepared = await driver.execute(select, [6], { prepare: true })
      const functions = await driver.execute(
        `SELECT token(k), v FROM ${keyspace}.t WHERE token(k) = token(6) -- a comment\n`,
      )
      for (const result of [simple, prepared, functions]) {
        expect(result.first().get('v')).toBe(settings.primaryCluster)
      }
    })

    test('a result of many pages comes whole', async () => {
      const insert = `INSERT INTO ${keyspace}.t (k, c, v) VALUES (7, ?, ?)`
      await Promise.all(
        Array.from({ length: 1000 }, (_, c) =>
          driver.execute(insert, [c, String(c)], { prepare: true }),
        ),
      )
      const seen: number[] = []
      for (
        let pageState: string | undefined, isFirst = true;
        isFirst || pageState !== undefined;
      ) {
        isFirst = false
        const page = await driver.execute(`SELECT c FROM ${keyspace}.t WHERE k = 7`, [], {
          prepare: true,
          fetchSize: 100,
          ...(pageState === undefined ? {} : { pageState }),
        })
        seen.push(...page.rows.map((row) => row.get('c')))
        pageState = page.pageState ?? undefined
      }
      expect(seen).toEqual(Array.from({ length: 1000 }, (_, c) => c))
    })

    test('USE sets the keyspace of one driver and of no other', async () => {
      const other = await connectDriver(contactPoint, {
        keyspace,
        protocolOptions: { maxVersion: version },
      })
      await other.execute(`INSERT INTO t (k, c, v) VALUES (8, 1, 'unqualified')`)
      const rows = await storedInBoth(direct, `SELECT v FROM ${keyspace}.t WHERE k = 8`)
      expect(rows).toEqual([{ v: 'unqualified' }])
      await expect(driver.execute('SELECT v FROM t WHERE k = 8')).rejects.toThrow(/keyspace/i)
    })

    test('values of one mebibyte survive both ways', async () => {
      const value = 'x'.repeat(1024 * 1024)
      await driver.execute(`INSERT INTO ${keyspace}.t (k, c, v) VALUES (9, 1, ?)`, [value], {
        prepare: true,
      })
      const back = await driver.execute(`SELECT v FROM ${keyspace}.t WHERE k = 9`)
      expect(back.first().get('v')).toBe(value)
      await storedInBoth(direct, `SELECT v FROM ${keyspace}.t WHERE k = 9`)
    })

    test.each([
      ['a syntax error', 'SELEC nothing', ErrorCode.SYNTAX_ERROR],
      ['an unknown table', `SELECT * FROM ${keyspace}.nowhere`, ErrorCode.INVALID],
      ['an unknown table, written', `INSERT INTO ${keyspace}.no (k) VALUES (1)`, ErrorCode.INVALID],
      ['a keyspace that is there', createKeyspace(keyspace), ErrorCode.ALREADY_EXISTS],
    ])('%s is answered with the code of the cluster', async (_, text, code) => {
      const error: unknown = await driver.execute(text).catch((caught: unknown) => caught)
      expect(error).toBeInstanceOf(errors.ResponseError)
      expect(error).toMatchObject({ code })
    })

    test('a table that is changed can be read with its new column', async () => {
      await driver.execute(`CREATE TABLE ${keyspace}.changing (k int PRIMARY KEY, a text)`)
      const select = `SELECT * FROM ${keyspace}.changing WHERE k = 1`
      await driver.execute(`INSERT INTO ${keyspace}.changing (k, a) VALUES (1, 'a')`)
      expect((await driver.execute(select, [], { prepare: true })).first().get('a')).toBe('a')
      await driver.execute(`ALTER TABLE ${keyspace}.changing ADD b text`)
      await driver.execute(`UPDATE ${keyspace}.changing SET b = 'b' WHERE k = 1`)
      const text = `SELECT k, a, b FROM ${keyspace}.changing WHERE k = 1`
      expect((await driver.execute(text, [], { prepare: true })).first().get('b')).toBe('b')
    })
  },
)
