/** Reads every row of the demo's table, page by page, from the cluster itself or through the proxy. */
import cassandra from 'cassandra-driver'
import type { ContactPoint } from '../clusters/cluster.ts'
import type { StoredRow } from './comparison.ts'
import { valuesOf } from './ledger.ts'
import { COLUMNS, type Column, orderKey, SELECT_ALL } from './schema.ts'

const PAGE_ROWS = 1000
const CONNECTIONS = 4

export const createClient = (
  { address, port }: ContactPoint,
  localDataCenter: string,
): cassandra.Client =>
  new cassandra.Client({
    contactPoints: [`${address}:${port}`],
    localDataCenter,
    pooling: { coreConnectionsPerHost: { [cassandra.types.distance.local]: CONNECTIONS } },
    // Write times are beyond what a double holds exactly.
    encoding: { useBigIntAsLong: true },
  })

const storedRowOf = (row: cassandra.types.Row): StoredRow => {
  const times = COLUMNS.map((column) => [column, String(row[`${column}_time`])] as const)
  return {
    values: valuesOf(row as unknown as Record<Column, unknown>),
    writeTimes: Object.fromEntries(times) as Record<Column, string>,
  }
}

export const readAllRows = async (
  client: cassandra.Client,
  signal: AbortSignal,
): Promise<Map<string, StoredRow>> => {
  const rows = new Map<string, StoredRow>()
  let pageState: string | undefined
  do {
    signal.throwIfAborted()
    const options = { prepare: true, fetchSize: PAGE_ROWS, ...(pageState && { pageState }) }
    const result = await client.execute(SELECT_ALL, [], options)
    for (const row of result.rows) {
      const key = orderKey({ customer: row['customer'], orderNo: row['order_no'] })
      rows.set(key, storedRowOf(row))
    }
    pageState = result.pageState
  } while (pageState !== undefined && pageState !== null)
  return rows
}

export const readReleaseVersion = async (client: cassandra.Client): Promise<string> => {
  const result = await client.execute('SELECT release_version FROM system.local')
  return String(result.first()['release_version'])
}
