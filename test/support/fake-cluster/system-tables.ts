/**
 * Rows of system.local, system.peers and system.peers_v2 as a fake cluster's nodes show them:
 * Cassandra's column names, types and order.
 */
import { createHash } from 'node:crypto'
import { ErrorCode } from '../../../src/cql/protocol.ts'
import { type Answer, type Cell, type Column, errorAnswer, type Selection } from './results.ts'

/** One node as the rows tell of it, whether or not anything listens there. */
export type NodeRow = {
  readonly address: string
  readonly port: number
  readonly hostId: string
  readonly datacenter: string
  readonly rack: string
  readonly releaseVersion: string
  readonly tokens: readonly string[]
  /** Cells to show instead of the usual ones, by column name. */
  readonly cells: Readonly<Record<string, Cell>>
}

export type SystemTables = {
  readonly clusterName: string
  readonly partitioner: string
  readonly schemaVersion: string
  readonly nativeProtocolVersion: string
  /** The node that answers. */
  readonly local: NodeRow
  readonly peers: readonly NodeRow[]
}

/** A stable UUID made from a name. */
export const uuidOf = (name: string): string => {
  const hex = createHash('md5').update(name).digest('hex')
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `4${hex.slice(13, 16)}`,
    `a${hex.slice(17, 20)}`,
  ]
  return `${parts.join('-')}-${hex.slice(20)}`
}

const column = (name: string, type: Column['type'] = 'varchar'): Column => ({ name, type })

/** Columns from release 4.0 on; earlier ones have neither ports nor peers_v2. */
const LOCAL_COLUMNS: readonly Column[] = [
  column('key'),
  column('bootstrapped'),
  column('broadcast_address', 'inet'),
  column('broadcast_port', 'int'),
  column('cluster_name'),
  column('cql_version'),
  column('data_center'),
  column('gossip_generation', 'int'),
  column('host_id', 'uuid'),
  column('listen_address', 'inet'),
  column('listen_port', 'int'),
  column('native_protocol_version'),
  column('partitioner'),
  column('rack'),
  column('release_version'),
  column('rpc_address', 'inet'),
  column('rpc_port', 'int'),
  column('schema_version', 'uuid'),
  column('tokens', 'set<varchar>'),
]

const PEERS_COLUMNS: readonly Column[] = [
  column('peer', 'inet'),
  column('data_center'),
  column('host_id', 'uuid'),
  column('preferred_ip', 'inet'),
  column('rack'),
  column('release_version'),
  column('rpc_address', 'inet'),
  column('schema_version', 'uuid'),
  column('tokens', 'set<varchar>'),
]

const PEERS_V2_COLUMNS: readonly Column[] = [
  column('peer', 'inet'),
  column('peer_port', 'int'),
  column('data_center'),
  column('host_id', 'uuid'),
  column('native_address', 'inet'),
  column('native_port', 'int'),
  column('preferred_ip', 'inet'),
  column('preferred_port', 'int'),
  column('rack'),
  column('release_version'),
  column('schema_version', 'uuid'),
  column('tokens', 'set<varchar>'),
]

const STORAGE_PORT = 7000

const cellsOf = (tables: SystemTables, node: NodeRow): Readonly<Record<string, Cell>> => ({
  key: 'local',
  bootstrapped: 'COMPLETED',
  broadcast_address: node.address,
  broadcast_port: STORAGE_PORT,
  cluster_name: tables.clusterName,
  cql_version: '3.4.6',
  data_center: node.datacenter,
  gossip_generation: 1_700_000_000,
  host_id: node.hostId,
  listen_address: node.address,
  listen_port: STORAGE_PORT,
  native_protocol_version: tables.nativeProtocolVersion,
  partitioner: tables.partitioner,
  rack: node.rack,
  release_version: node.releaseVersion,
  rpc_address: node.address,
  rpc_port: node.port,
  native_address: node.address,
  native_port: node.port,
  peer: node.address,
  peer_port: STORAGE_PORT,
  preferred_ip: null,
  preferred_port: null,
  schema_version: tables.schemaVersion,
  tokens: node.tokens,
  ...node.cells,
})

const hasPorts = (tables: SystemTables): boolean =>
  Number.parseInt(tables.local.releaseVersion, 10) >= 4

const columnsOf = (tables: SystemTables, table: string): readonly Column[] | undefined => {
  switch (table) {
    case 'local':
      if (hasPorts(tables)) return LOCAL_COLUMNS
      return LOCAL_COLUMNS.filter(({ name }) => !name.endsWith('_port'))
    case 'peers':
      return PEERS_COLUMNS
    case 'peers_v2':
      return hasPorts(tables) ? PEERS_V2_COLUMNS : undefined
    default:
      return undefined
  }
}

/** The plain column names between SELECT and FROM, or undefined for anything else (`*`, calls). */
const selectedNames = (text: string): readonly string[] | undefined => {
  const list = /^\s*select\s+(.+?)\s+from\b/is.exec(text)?.[1]
  const names = list?.split(',').map((name) => name.trim().toLowerCase())
  return names?.every((name) => /^\w+$/.test(name)) ? names : undefined
}

/** What a SELECT from keyspace `system` finds, or the ERROR that it gets. */
export const selectSystemTable = (
  tables: SystemTables,
  table: string,
  text: string,
): Selection | Answer => {
  const name = { keyspace: 'system', table }
  const all = columnsOf(tables, table)
  if (all === undefined) return errorAnswer(ErrorCode.INVALID, `unconfigured table ${table}`)
  const selected = selectedNames(text) ?? all.map((known) => known.name)
  const columns: Column[] = []
  for (const wanted of selected) {
    const known = all.find((candidate) => candidate.name === wanted)
    if (known === undefined) {
      const message = `Undefined column name ${wanted} in table system.${table}`
      return errorAnswer(ErrorCode.INVALID, message)
    }
    columns.push(known)
  }
  const nodes = table === 'local' ? [tables.local] : tables.peers
  const rows = nodes.map((node) => {
    const cells = cellsOf(tables, node)
    return columns.map((known) => cells[known.name] ?? null)
  })
  return { name, columns, rows }
}
