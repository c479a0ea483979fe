/** What is read of a schema, from a fake node; real ones are in test/integration/check.test.ts. */
import { expect, test } from 'vitest'
import { withProbe } from '../../src/check/probe.ts'
import type { Schema } from '../../src/check/schema.ts'
import { readSchema } from '../../src/check/schema-query.ts'
import { systemClock } from '../../src/clock.ts'
import { Version } from '../../src/cql/protocol.ts'
import { Cluster } from '../../src/routing/cluster.ts'
import { completeHandshake } from '../../src/upstream/handshake.ts'
import type { FakeCluster } from '../support/fake-cluster/cluster.ts'
import { rowsAnswer } from '../support/fake-cluster/results.ts'
import { respond } from '../support/fake-cluster/script.ts'
import { startCluster } from '../support/instance.ts'

const tell = (
  cluster: FakeCluster,
  text: RegExp,
  names: readonly string[],
  rows: readonly string[][],
): void => {
  const columns = names.map((name) => ({ name, type: 'varchar' }) as const)
  const name = { keyspace: 'system_schema', table: 't' }
  cluster.on({ text }, respond(rowsAnswer({ name, columns, rows })))
}

/** Keyspaces a, b and c with one table each: of two, three and one columns. */
const startSchema = async (): Promise<FakeCluster> => {
  const cluster = await startCluster({ name: 'origin' })
  const names = [['c'], ['a'], ['system'], ['system_auth'], ['b']]
  tell(cluster, /system_schema\.keyspaces/, ['keyspace_name'], names)
  for (const [keyspace, count] of Object.entries({ a: 2, b: 3, c: 1 })) {
    const rows = Array.from({ length: count }, (_, at) => ['t', `c${at}`, 'int'])
    const columns = ['table_name', 'column_name', 'type']
    tell(cluster, new RegExp(`system_schema\\.columns .*'${keyspace}'`), columns, rows)
    const tables = [[keyspace, 't']]
    const text = new RegExp(`system_schema\\.tables .*'${keyspace}'`)
    tell(cluster, text, ['keyspace_name', 'table_name'], tables)
  }
  tell(cluster, /system_schema/, ['keyspace_name'], [])
  return cluster
}

const read = async (
  cluster: FakeCluster,
  keyspaces: readonly string[],
  columnsMax?: number,
): Promise<Schema> =>
  withProbe(
    {
      cluster: Cluster.ORIGIN,
      endpoint: { address: cluster.contactPoints[0]!, port: cluster.port },
      tls: null,
      version: Version.V4,
      connectTimeoutMs: 5000,
      callTimeoutMs: 5000,
      signal: new AbortController().signal,
    },
    systemClock,
    async (connection) => {
      await completeHandshake(connection, new Map([['CQL_VERSION', '3.0.0']]), null, null)
      return readSchema(connection, keyspaces, columnsMax)
    },
  )

const keyspacesOf = ({ keyspaces }: Schema): string[] => keyspaces.map(({ name }) => name)

test('all keyspaces but the cluster’s own, by name, each table with its columns', async () => {
  const schema = await read(await startSchema(), [])
  expect(keyspacesOf(schema)).toEqual(['a', 'b', 'c'])
  expect(schema.unread).toEqual([])
  expect(schema.tables.map(({ keyspace, columns }) => `${keyspace} ${columns.length}`)).toEqual([
    'a 2',
    'b 3',
    'c 1',
  ])
})

test('those that are asked for alone, the cluster’s own too', async () => {
  expect(keyspacesOf(await read(await startSchema(), ['b', 'system_auth', 'nope']))).toEqual([
    'b',
    'system_auth',
  ])
})

test('what would be too much is left out as a whole, and named', async () => {
  const schema = await read(await startSchema(), [], 4)
  expect(keyspacesOf(schema)).toEqual(['a', 'b', 'c'])
  expect(schema.unread).toEqual(['b'])
  expect(schema.tables.map(({ keyspace }) => keyspace)).toEqual(['a', 'c'])
})
