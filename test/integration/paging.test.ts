/**
 * Pages whose state comes from one cluster and whose continuation goes to the other: a driver that is in
 * the middle of a result when the primary is changed gets every row once.
 */
import { type Client, types } from 'cassandra-driver'
import { beforeAll, describe, expect, test } from 'vitest'
import type { ProxyInstance } from '../../src/proxy/instance.ts'
import { Cluster } from '../../src/routing/cluster.ts'
import {
  connectDriver,
  createKeyspace,
  newKeyspaceName,
  startRealInstance,
} from '../support/real-instance.ts'

const keyspace = newKeyspaceName()
const PARTITIONS = 12
const ROWS = 9
const VERSIONS = [3, 4] as const

let instance: ProxyInstance
const drivers = new Map<number, Client>()
let revision = 1

const setPrimary = async (primary: Cluster): Promise<void> => {
  await instance.setRouting({
    primary,
    readMode: 'PRIMARY_ONLY',
    writeMode: 'both',
    systemQueries: primary,
    revision: revision++,
  })
}

const other = (primary: Cluster): Cluster =>
  primary === Cluster.ORIGIN ? Cluster.TARGET : Cluster.ORIGIN

/** Every row, page by page; `betweenPages` runs before each page but the first. */
const readAll = async (
  driver: Client,
  text: string,
  fetchSize: number,
  betweenPages: () => Promise<void> = async () => {},
): Promise<{ readonly rows: readonly string[]; readonly pages: number }> => {
  const rows: string[] = []
  let pageState: string | undefined
  for (let pages = 1; ; pages++) {
    const options = {
      prepare: text.startsWith('SELECT'),
      fetchSize,
      consistency: types.consistencies.one,
    }
    const page = await driver.execute(
      text,
      [],
      pageState === undefined ? options : { ...options, pageState },
    )
    rows.push(...page.rows.map((row) => JSON.stringify(row.values())))
    pageState = page.pageState ?? undefined
    if (pageState === undefined) return { rows, pages }
    await betweenPages()
  }
}

beforeAll(async () => {
  const real = await startRealInstance()
  instance = real.instance
  for (const version of VERSIONS) {
    const driver = await connectDriver(`127.0.0.1:${real.port}`, {
      protocolOptions: { maxVersion: version },
    })
    drivers.set(version, driver)
  }
  const driver = drivers.get(4)!
  await driver.execute(createKeyspace(keyspace))
  await driver.execute(
    `CREATE TABLE ${keyspace}.t (p int, c int, s int static, v text, PRIMARY KEY (p, c))`,
  )
  await driver.execute(`CREATE INDEX ON ${keyspace}.t (v)`)
  const insert = `INSERT INTO ${keyspace}.t (p, c, s, v) VALUES (?, ?, ?, ?)`
  for (let p = 0; p < PARTITIONS; p++) {
    for (let c = 0; c < ROWS; c++) {
      await driver.execute(insert, [p, c, p, c % 2 === 0 ? 'even' : 'odd'], { prepare: true })
    }
  }
})

const SHAPES = [
  'SELECT * FROM t',
  'SELECT * FROM t WHERE p = 3',
  'SELECT * FROM t WHERE p IN (1, 5, 7)',
  'SELECT * FROM t WHERE p = 3 ORDER BY c DESC',
  "SELECT * FROM t WHERE v = 'even'",
  'SELECT DISTINCT p, s FROM t',
  'SELECT p, count(*) FROM t GROUP BY p',
  'SELECT * FROM t PER PARTITION LIMIT 2',
  'SELECT * FROM t LIMIT 31',
]

describe.each(VERSIONS)('v%i', (version) => {
  test.each(SHAPES)(
    'a change of the primary between any two pages loses and repeats nothing: %s',
    async (shape) => {
      const driver = drivers.get(version)!
      const text = shape.replace('FROM t', `FROM ${keyspace}.t`)
      for (const first of [Cluster.ORIGIN, Cluster.TARGET]) {
        let primary = first
        await setPrimary(primary)
        const whole = await readAll(driver, text, 1000)
        const paged = await readAll(driver, text, 4, async () => {
          primary = other(primary)
          await setPrimary(primary)
        })
        expect(paged.pages).toBeGreaterThan(1)
        expect(paged.rows).toEqual(whole.rows)
      }
    },
  )
})

test.each(['DESCRIBE TABLES', 'DESC FULL SCHEMA', `DESCRIBE KEYSPACE ${keyspace}`])(
  'the pages of %s all come from one cluster',
  async (text) => {
    const driver = drivers.get(4)!
    for (const primary of [Cluster.ORIGIN, Cluster.TARGET]) {
      await setPrimary(primary)
      const whole = await readAll(driver, text, 1000)
      const paged = await readAll(driver, text, 1)
      expect(paged.pages).toBeGreaterThan(1)
      expect(paged.rows).toEqual(whole.rows)
    }
  },
)
