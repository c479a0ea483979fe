/** Reads the rows of the demo's table, page by page, from a cluster itself. */
import cassandra from 'cassandra-driver'
import type { ContactPoint } from '../clusters/cluster.ts'
import type { StoredRow } from './comparison.ts'
import { valuesOf } from './ledger.ts'
import { COLUMNS, type Column, orderKey, SELECT_ALL, SELECT_OF_CUSTOMER } from './schema.ts'

const PAGE_ROWS = 1000
const CONNECTIONS = 4

export const createClient = (
  { address, port }: ContactPoint,
  localDataCenter: string,
): cassandra.Client =>
  new cassandra.Client({
    contactPoints: [`${address}:${port}`],
    localDataCenter,
    // Of the other instances too: system.peers names no ports.
    protocolOptions: { port },
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

const readPages = async (
  client: cassandra.Client,
  query: string,
  params: readonly number[],
  signal: AbortSignal,
): Promise<[key: string, row: StoredRow][]> => {
  const rows: [string, StoredRow][] = []
  let pageState: string | undefined
  do {
    signal.throwIfAborted()
    const options = { prepare: true, fetchSize: PAGE_ROWS, ...(pageState && { pageState }) }
    const result = await client.execute(query, params, options)
    for (const row of result.rows) {
      // A customer without orders: the marker alone.
      if (row['order_no'] === null) continue
      const key = orderKey({ customer: row['customer'], orderNo: row['order_no'] })
      rows.push([key, storedRowOf(row)])
    }
    pageState = result.pageState
  } while (pageState !== undefined && pageState !== null)
  return rows
}

export const readAllRows = async (
  client: cassandra.Client,
  signal: AbortSignal,
): Promise<Map<string, StoredRow>> => new Map(await readPages(client, SELECT_ALL, [], signal))

export const readRowsOf = async (
  client: cassandra.Client,
  customers: readonly number[],
  signal: AbortSignal,
): Promise<Map<string, StoredRow>> => {
  const reads = customers.map((one) => readPages(client, SELECT_OF_CUSTOMER, [one], signal))
  return new Map((await Promise.all(reads)).flat())
}

export const readReleaseVersion = async (client: cassandra.Client): Promise<string> => {
  const result = await client.execute('SELECT release_version FROM system.local')
  return String(result.first()['release_version'])
}
