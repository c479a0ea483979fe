/**
 * What Cassandra 5.0 has beyond 4.1 and a driver sees as a type: vectors. The run's Origin cannot have a table with one,
 * so that Origin is a second 5.0 here. Compared with the same runs directly, and row by row.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Client } from 'cassandra-driver'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import type { RunningCluster } from '../../clusters/cluster.ts'
import { startCluster } from '../../clusters/start.ts'
import { afterFile } from '../support/after-test.ts'
import type { DriverProgram, Language } from '../support/driver-programs.ts'
import { differences, type RunResults, runSuite, type SuiteRun } from '../support/driver-runs.ts'
import { ReEncoder } from '../support/re-encoder.ts'
import {
  connectDirect,
  connectDriver,
  createKeyspace,
  newKeyspaceName,
  plainRows,
  startInstanceBetween,
} from '../support/real-instance.ts'

const SUITES_TIMEOUT_MS = 600_000
const START_TIMEOUT_MS = 300_000
const SUITE = join(import.meta.dirname, '../drivers/suite-5.0.json')
const {
  tables,
  types,
  cases,
}: {
  readonly tables: readonly string[]
  readonly types: readonly { readonly name: string; readonly cql: string }[]
  readonly cases: readonly { readonly name: string }[]
} = JSON.parse(readFileSync(SUITE, 'utf8'))

/** Metadata names a vector by its Java class, the same in all of them. */
const VERSIONS: Readonly<Record<Language, readonly number[]>> = {
  python: [4, 5],
  java: [4, 5],
  go: [4, 5],
  node: [4],
}

const WAYS = ['directly', 'through the proxy', 'with every message encoded again'] as const
type Way = (typeof WAYS)[number]

const labelOf = (way: Way, version: number): string => `${way} v${version}`

/** Who has no toolchain here is told before the tests (support/real-clusters.ts). */
const PROGRAMS = Object.entries(inject('driverPrograms')).filter(
  (entry): entry is [Language, DriverProgram] => !('unavailable' in entry[1]),
)

/** Tables that the suite has written. */
const WRITTEN = ['types', 'near'] as const

const keyspaces: string[] = []
let cluster: RunningCluster
let origin: Client
let target: Client

/** A keyspace with the tables of the suite, for one run. */
const makeKeyspace = async (): Promise<string> => {
  const keyspace = newKeyspaceName()
  keyspaces.push(keyspace)
  const columns = types.map(({ name, cql }) => `c_${name} ${cql}`).join(', ')
  const made = [`CREATE TABLE types (k int PRIMARY KEY, ${columns})`, ...tables]
  const all = [createKeyspace(keyspace), `USE ${keyspace}`, ...made]
  await Promise.all(
    [origin, target].map(async (client) => {
      for (const cql of all) await client.execute(cql)
    }),
  )
  return keyspace
}

beforeAll(async () => {
  cluster = await startCluster({ name: 'origin-5.0', version: '5.0' })
  afterFile(() => cluster.stop())
  const { address, port } = cluster.contactPoints[0]!
  origin = await connectDriver(`${address}:${port}`)
  target = (await connectDirect()).target
}, START_TIMEOUT_MS)

afterAll(async () => {
  for (const keyspace of keyspaces) await target.execute(`DROP KEYSPACE IF EXISTS ${keyspace}`)
})

describe.each(PROGRAMS)('%s', (language, program) => {
  const encoder = new ReEncoder()
  let found: ReadonlyMap<string, RunResults>

  beforeAll(async () => {
    const other = inject('clusters').target
    const asIs = await startInstanceBetween(cluster, other)
    const reEncoding = await startInstanceBetween(cluster, other, {}, encoder.rewrite)
    const { address, port } = cluster.contactPoints[0]!
    const places: Readonly<Record<Way, { readonly host: string; readonly port: number }>> = {
      directly: { host: address, port },
      'through the proxy': { host: '127.0.0.1', port: asIs.port },
      'with every message encoded again': { host: '127.0.0.1', port: reEncoding.port },
    }
    const runs: SuiteRun[] = []
    for (const version of VERSIONS[language]) {
      for (const way of WAYS) {
        const run = { label: labelOf(way, version), suite: SUITE, ...places[way], version }
        runs.push({ ...run, compression: null, keyspace: await makeKeyspace() })
      }
    }
    const results = await runSuite(program, runs)
    found = new Map(runs.map((run) => [run.label, { run, results: results.get(run.label)! }]))
  }, SUITES_TIMEOUT_MS)

  describe.each(VERSIONS[language])('protocol v%i', (version) => {
    test('every case is run, meets no error, and every value comes back as it was written', () => {
      for (const way of WAYS) {
        const { results } = found.get(labelOf(way, version))!
        expect(results.map((one) => one.case)).toEqual(cases.map(({ name }) => name))
        const wrong = results.filter(
          (result) => !result.ok || JSON.stringify(result).includes('"error":'),
        )
        expect(wrong).toEqual([])
      }
    })

    test.each(WAYS.slice(1))('all cases tell the same %s', (way) => {
      const direct = found.get(labelOf('directly', version))!
      expect(differences(direct, found.get(labelOf(way, version))!)).toEqual([])
    })

    test.each(WAYS.slice(1))('both clusters hold the same rows: %s', async (way) => {
      const { keyspace } = found.get(labelOf(way, version))!.run
      for (const table of WRITTEN) {
        const select = `SELECT JSON * FROM ${keyspace}.${table}`
        const [inOrigin, inTarget] = await Promise.all([
          origin.execute(select),
          target.execute(select),
        ])
        expect(inOrigin.rowLength).toBeGreaterThan(0)
        expect(plainRows(inTarget)).toEqual(plainRows(inOrigin))
      }
    })
  })

  test('no message was another after it had been encoded again', () => {
    expect(encoder.passed).toBe(0)
    expect(encoder.differences).toEqual([])
  })
})
