/**
 * Origin's cache of prepared statements is full, and what it holds is in use: 4.1 then forgets a new
 * statement several times in a row before it keeps it. Each counter update goes through the proxy all the
 * same, and counts once on each cluster.
 */
import type { Client } from 'cassandra-driver'
import { beforeAll, expect, inject, test } from 'vitest'
import type { RunningCluster } from '../../clusters/cluster.ts'
import { startCluster } from '../../clusters/start.ts'
import { afterFile } from '../support/after-test.ts'
import {
  connectDirect,
  connectDriver,
  createKeyspace,
  newKeyspaceName,
  type RealInstance,
  startInstanceBetween,
} from '../support/real-instance.ts'

const START_TIMEOUT_MS = 300_000
const TEST_TIMEOUT_MS = 120_000
/** About what 1 MiB holds. */
const HOT_STATEMENTS = 320
/** How often each of them is used: what is new is kept when it was asked for more often. */
const HOT_USES = 5
const UPDATES = 20
/** So many that a statement is larger than the part of the cache that takes in what is new. */
const MARKERS = 300

const keyspace = newKeyspaceName()
let origin: RunningCluster
let proxy: RealInstance
let direct: { origin: Client; target: Client }

const endpointOf = ({ contactPoints }: RunningCluster): string =>
  `${contactPoints[0]!.address}:${contactPoints[0]!.port}`

beforeAll(async () => {
  origin = await startCluster({
    name: 'full-cache',
    version: '4.1',
    yaml: { prepared_statements_cache_size: '1MiB' },
  })
  afterFile(() => origin.stop())
  const { target } = await connectDirect()
  direct = { origin: await connectDriver(endpointOf(origin)), target }
  for (const cluster of [direct.origin, direct.target]) {
    await cluster.execute(createKeyspace(keyspace))
    await cluster.execute(`CREATE TABLE ${keyspace}.counters (k int PRIMARY KEY, n counter)`)
  }
  afterFile(() => direct.target.execute(`DROP KEYSPACE ${keyspace}`))
  proxy = await startInstanceBetween(origin, inject('clusters').target)
}, START_TIMEOUT_MS)

const fillOriginsCache = async (): Promise<void> => {
  for (let use = 0; use < HOT_USES; use++) {
    const texts = Array.from(
      { length: HOT_STATEMENTS },
      (_, i) => `SELECT n FROM ${keyspace}.counters WHERE k = ? /* ${i} */`,
    )
    const worker = async (): Promise<void> => {
      for (let text = texts.pop(); text !== undefined; text = texts.pop()) {
        await direct.origin.execute(text, [0], { prepare: true })
      }
    }
    await Promise.all(Array.from({ length: 8 }, worker))
  }
}

const countersOn = async (cluster: Client): Promise<Record<string, string>> => {
  const { rows } = await cluster.execute(`SELECT k, n FROM ${keyspace}.counters`)
  return Object.fromEntries(rows.map((row) => [String(row['k']), String(row['n'])]))
}

const healsOnOrigin = (): number =>
  proxy.log.filter(({ code, cluster }) => code === 'STATEMENT_HEALED' && cluster === 'origin')
    .length

test(
  'a full and busy cache of statements on Origin costs no client an error and no counter a count',
  async () => {
    await fillOriginsCache()
    const driver = await connectDriver(`127.0.0.1:${proxy.port}`)
    const markers = Array(MARKERS).fill('?').join(', ')
    const heals: number[] = []
    for (let k = 0; k < UPDATES; k++) {
      const before = healsOnOrigin()
      const text = `UPDATE ${keyspace}.counters SET n = n + ? WHERE k IN (${markers}) /* ${k} */`
      // One counter: a key that is named several times is one key.
      await driver.execute(text, [1, ...Array(MARKERS).fill(k)], { prepare: true })
      heals.push(healsOnOrigin() - before)
    }
    const once = Object.fromEntries(Array.from({ length: UPDATES }, (_, k) => [String(k), '1']))
    expect(await countersOn(direct.origin)).toEqual(once)
    expect(await countersOn(direct.target)).toEqual(once)
    // Otherwise the cache was not full of what is in use, and nothing was shown.
    expect(Math.max(...heals), `heals: ${heals}`).toBeGreaterThan(2)
  },
  TEST_TIMEOUT_MS,
)
