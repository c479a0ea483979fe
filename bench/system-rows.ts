/**
 * The system tables of a fake cluster with one node, as much of them as a proxy's or driver's control
 * connection asks for.
 */
import { createHash } from 'node:crypto'
import type { ColumnSpec } from '../src/cql/messages/metadata.ts'
import { type RowsResult, rowsResult } from '../src/cql/messages/result.ts'
import { TypeId } from '../src/cql/protocol.ts'
import { nativeType, type TypeOption } from '../src/cql/type-option.ts'
import { encodeInet, encodeInt, encodeText, encodeTextSet } from '../src/cql/values.ts'

type Cell = { readonly type: TypeOption; readonly value: Uint8Array }

const text = (value: string): Cell => ({
  type: nativeType(TypeId.VARCHAR),
  value: encodeText(value),
})
const int = (value: number): Cell => ({ type: nativeType(TypeId.INT), value: encodeInt(value) })
const inet = (value: string): Cell => ({ type: nativeType(TypeId.INET), value: encodeInet(value) })
const uuid = (name: string): Cell => ({
  type: nativeType(TypeId.UUID),
  value: createHash('md5').update(name).digest(),
})
const textSet = (...values: string[]): Cell => ({
  type: { kind: 'set', element: nativeType(TypeId.VARCHAR) },
  value: encodeTextSet(values),
})

const ADDRESS = '127.0.0.1'
const STORAGE_PORT = 7000

const localRow = (clusterName: string, port: number): Readonly<Record<string, Cell>> => ({
  key: text('local'),
  bootstrapped: text('COMPLETED'),
  broadcast_address: inet(ADDRESS),
  broadcast_port: int(STORAGE_PORT),
  cluster_name: text(clusterName),
  cql_version: text('3.4.6'),
  data_center: text('datacenter1'),
  gossip_generation: int(1_700_000_000),
  host_id: uuid(`${clusterName} host`),
  listen_address: inet(ADDRESS),
  listen_port: int(STORAGE_PORT),
  native_protocol_version: text('5'),
  partitioner: text('org.apache.cassandra.dht.Murmur3Partitioner'),
  rack: text('rack1'),
  release_version: text('4.1.0'),
  rpc_address: inet(ADDRESS),
  rpc_port: int(port),
  schema_version: uuid(`${clusterName} schema`),
  tokens: textSet('0'),
})

const PEERS_COLUMNS: Readonly<Record<string, TypeOption>> = {
  peer: nativeType(TypeId.INET),
  data_center: nativeType(TypeId.VARCHAR),
  host_id: nativeType(TypeId.UUID),
  preferred_ip: nativeType(TypeId.INET),
  rack: nativeType(TypeId.VARCHAR),
  release_version: nativeType(TypeId.VARCHAR),
  rpc_address: nativeType(TypeId.INET),
  schema_version: nativeType(TypeId.UUID),
  tokens: { kind: 'set', element: nativeType(TypeId.VARCHAR) },
}

const PEERS_V2_COLUMNS: Readonly<Record<string, TypeOption>> = {
  peer: nativeType(TypeId.INET),
  peer_port: nativeType(TypeId.INT),
  data_center: nativeType(TypeId.VARCHAR),
  host_id: nativeType(TypeId.UUID),
  native_address: nativeType(TypeId.INET),
  native_port: nativeType(TypeId.INT),
  rack: nativeType(TypeId.VARCHAR),
  release_version: nativeType(TypeId.VARCHAR),
  schema_version: nativeType(TypeId.UUID),
  tokens: { kind: 'set', element: nativeType(TypeId.VARCHAR) },
}

const columnsOf = (table: string, types: Readonly<Record<string, TypeOption>>): ColumnSpec[] =>
  Object.entries(types).map(([name, type]) => ({ keyspace: 'system', table, name, type }))

/** The names between SELECT and FROM; null for all of them. */
const selectedNames = (statement: string): string[] | null => {
  const list = /^\s*select\s+(.+?)\s+from\b/is.exec(statement)?.[1]?.trim()
  if (list === undefined || list === '*') return null
  return list.split(',').map((name) => name.trim().toLowerCase())
}

/** What a SELECT from a table of the keyspaces `system…` finds; null where a node has no such table. */
export const selectSystemRows = (
  statement: string,
  clusterName: string,
  port: number,
): RowsResult | null => {
  const named = /\bfrom\s+"?(system\w*)"?\."?(\w+)"?/i.exec(statement)
  if (named === null) return null
  const [, keyspace = '', table = ''] = named.map((name) => name.toLowerCase())
  if (keyspace !== 'system') {
    const type = nativeType(TypeId.VARCHAR)
    return rowsResult([{ keyspace, table, name: 'keyspace_name', type }], [])
  }
  if (table === 'peers') return rowsResult(columnsOf(table, PEERS_COLUMNS), [])
  if (table === 'peers_v2') return rowsResult(columnsOf(table, PEERS_V2_COLUMNS), [])
  if (table !== 'local') return null
  const row = localRow(clusterName, port)
  const cells = (selectedNames(statement) ?? Object.keys(row)).flatMap((name) => {
    const cell = row[name]
    return cell === undefined ? [] : [{ name, ...cell }]
  })
  const columns = cells.map(({ name, type }) => ({ keyspace, table, name, type }))
  return rowsResult(columns, [cells.map(({ value }) => value)])
}
