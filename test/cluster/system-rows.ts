/**
 * Rows of system tables as clusters of several versions send them, for the tests of this folder:
 * column lists as data, values made up from a host's few attributes.
 */
import { parseAddress } from '../../src/cluster/address.ts'
import type { Cell, Row } from '../../src/cluster/row.ts'
import { TypeId } from '../../src/cql/protocol.ts'
import { nativeType, type TypeOption } from '../../src/cql/type-option.ts'
import { BodyWriter } from '../../src/cql/writer.ts'

const TYPES = {
  text: nativeType(TypeId.VARCHAR),
  int: nativeType(TypeId.INT),
  bigint: nativeType(TypeId.BIGINT),
  boolean: nativeType(TypeId.BOOLEAN),
  uuid: nativeType(TypeId.UUID),
  inet: nativeType(TypeId.INET),
  'set<text>': { kind: 'set', element: nativeType(TypeId.VARCHAR) },
  'map<uuid,blob>': {
    kind: 'map',
    key: nativeType(TypeId.UUID),
    value: nativeType(TypeId.BLOB),
  },
} satisfies Record<string, TypeOption>

export type TypeText = keyof typeof TYPES
export type Plain = string | number | boolean | readonly string[] | null

export const encode = (type: TypeText, value: Plain): Uint8Array | null => {
  if (value === null) return null
  const writer = new BodyWriter()
  if (typeof value === 'boolean') return writer.writeByte(value ? 1 : 0).toBytes()
  if (typeof value === 'number') {
    return (type === 'bigint' ? writer.writeLong(BigInt(value)) : writer.writeInt(value)).toBytes()
  }
  if (typeof value === 'string') {
    if (type === 'uuid') return Uint8Array.from(Buffer.from(value.replaceAll('-', ''), 'hex'))
    if (type === 'inet') return parseAddress(value)
    return Uint8Array.from(Buffer.from(value))
  }
  writer.writeInt(value.length)
  for (const element of value) writer.writeBytes(Buffer.from(element))
  return writer.toBytes()
}

export const typeOf = (type: TypeText): TypeOption => TYPES[type]

export type ColumnList = readonly (readonly [name: string, type: TypeText])[]
export type Values = Readonly<Record<string, Plain>>

/** Columns without a value are null. */
export const row = (columns: ColumnList, values: Values): Row =>
  new Map<string, Cell>(
    columns.map(([name, type]) => [
      name,
      { type: typeOf(type), value: encode(type, values[name] ?? null) },
    ]),
  )

/** The row without some of its columns. */
export const without = (from: Row, ...names: readonly string[]): Row =>
  new Map([...from].filter(([name]) => !names.includes(name)))

const LOCAL_3_11: ColumnList = [
  ['key', 'text'],
  ['bootstrapped', 'text'],
  ['broadcast_address', 'inet'],
  ['cluster_name', 'text'],
  ['cql_version', 'text'],
  ['data_center', 'text'],
  ['gossip_generation', 'int'],
  ['host_id', 'uuid'],
  ['listen_address', 'inet'],
  ['native_protocol_version', 'text'],
  ['partitioner', 'text'],
  ['rack', 'text'],
  ['release_version', 'text'],
  ['rpc_address', 'inet'],
  ['schema_version', 'uuid'],
  ['thrift_version', 'text'],
  ['tokens', 'set<text>'],
  ['truncated_at', 'map<uuid,blob>'],
]

const LOCAL_4_1: ColumnList = [
  ['key', 'text'],
  ['bootstrapped', 'text'],
  ['broadcast_address', 'inet'],
  ['broadcast_port', 'int'],
  ['cluster_name', 'text'],
  ['cql_version', 'text'],
  ['data_center', 'text'],
  ['gossip_generation', 'int'],
  ['host_id', 'uuid'],
  ['listen_address', 'inet'],
  ['listen_port', 'int'],
  ['native_protocol_version', 'text'],
  ['partitioner', 'text'],
  ['rack', 'text'],
  ['release_version', 'text'],
  ['rpc_address', 'inet'],
  ['rpc_port', 'int'],
  ['schema_version', 'uuid'],
  ['tokens', 'set<text>'],
  ['truncated_at', 'map<uuid,blob>'],
]

const LOCAL_DSE: ColumnList = [
  ['key', 'text'],
  ['bootstrapped', 'text'],
  ['broadcast_address', 'inet'],
  ['cluster_name', 'text'],
  ['cql_version', 'text'],
  ['data_center', 'text'],
  ['dse_version', 'text'],
  ['gossip_generation', 'int'],
  ['graph', 'boolean'],
  ['host_id', 'uuid'],
  ['jmx_port', 'int'],
  ['last_nodesync_checkpoint_time', 'bigint'],
  ['listen_address', 'inet'],
  ['native_protocol_version', 'text'],
  ['native_transport_address', 'inet'],
  ['native_transport_port', 'int'],
  ['native_transport_port_ssl', 'int'],
  ['partitioner', 'text'],
  ['rack', 'text'],
  ['release_version', 'text'],
  ['rpc_address', 'inet'],
  ['schema_version', 'uuid'],
  ['server_id', 'text'],
  ['storage_port', 'int'],
  ['storage_port_ssl', 'int'],
  ['thrift_version', 'text'],
  ['tokens', 'set<text>'],
  ['truncated_at', 'map<uuid,blob>'],
  ['workload', 'text'],
  ['workloads', 'set<text>'],
]

const PEERS: ColumnList = [
  ['peer', 'inet'],
  ['data_center', 'text'],
  ['host_id', 'uuid'],
  ['preferred_ip', 'inet'],
  ['rack', 'text'],
  ['release_version', 'text'],
  ['rpc_address', 'inet'],
  ['schema_version', 'uuid'],
  ['tokens', 'set<text>'],
]

const PEERS_DSE: ColumnList = [
  ['peer', 'inet'],
  ['data_center', 'text'],
  ['dse_version', 'text'],
  ['graph', 'boolean'],
  ['host_id', 'uuid'],
  ['jmx_port', 'int'],
  ['native_transport_address', 'inet'],
  ['native_transport_port', 'int'],
  ['native_transport_port_ssl', 'int'],
  ['preferred_ip', 'inet'],
  ['rack', 'text'],
  ['release_version', 'text'],
  ['rpc_address', 'inet'],
  ['schema_version', 'uuid'],
  ['server_id', 'text'],
  ['storage_port', 'int'],
  ['storage_port_ssl', 'int'],
  ['tokens', 'set<text>'],
  ['workload', 'text'],
  ['workloads', 'set<text>'],
]

const PEERS_V2: ColumnList = [
  ['peer', 'inet'],
  ['peer_port', 'int'],
  ['data_center', 'text'],
  ['host_id', 'uuid'],
  ['native_address', 'inet'],
  ['native_port', 'int'],
  ['preferred_ip', 'inet'],
  ['preferred_port', 'int'],
  ['rack', 'text'],
  ['release_version', 'text'],
  ['schema_version', 'uuid'],
  ['tokens', 'set<text>'],
]

export type Product = {
  readonly name: string
  readonly release: string
  readonly local: ColumnList
  readonly peers: ColumnList
  readonly peersV2: ColumnList | null
}

export const CASSANDRA_3_11: Product = {
  name: 'Cassandra 3.11',
  release: '3.11.19',
  local: LOCAL_3_11,
  peers: PEERS,
  peersV2: null,
}

export const CASSANDRA_4_1: Product = {
  name: 'Cassandra 4.1',
  release: '4.1.9',
  local: LOCAL_4_1,
  peers: PEERS,
  peersV2: PEERS_V2,
}

export const CASSANDRA_5_0: Product = { ...CASSANDRA_4_1, name: 'Cassandra 5.0', release: '5.0.5' }

export const DSE_6_8: Product = {
  name: 'DSE 6.8',
  release: '4.0.0.6825',
  local: LOCAL_DSE,
  peers: PEERS_DSE,
  peersV2: null,
}

/** Values of node `number` (10.0.0.number) under all names that any of the tables has. */
export const nodeValues = (product: Product, number: number, values: Values = {}): Values => {
  const address = `10.0.0.${number}`
  return {
    key: 'local',
    bootstrapped: 'COMPLETED',
    broadcast_address: address,
    broadcast_port: 7000,
    cluster_name: 'Production',
    cql_version: '3.4.5',
    data_center: 'dc1',
    dse_version: '6.8.25',
    gossip_generation: 1_700_000_000,
    graph: true,
    host_id: `00000000-0000-4000-8000-00000000000${number}`,
    jmx_port: 7199,
    last_nodesync_checkpoint_time: 1_700_000_000_000,
    listen_address: address,
    listen_port: 7000,
    native_address: address,
    native_port: 9042,
    native_protocol_version: '5',
    native_transport_address: address,
    native_transport_port: 9042,
    native_transport_port_ssl: 9042,
    partitioner: 'org.apache.cassandra.dht.RandomPartitioner',
    peer: address,
    peer_port: 7000,
    rack: 'rack1',
    release_version: product.release,
    rpc_address: address,
    rpc_port: 9042,
    schema_version: '11111111-1111-4111-8111-111111111111',
    server_id: `server-${number}`,
    storage_port: 7000,
    storage_port_ssl: 7001,
    thrift_version: '20.1.0',
    tokens: [`${number}000`],
    workload: 'Cassandra',
    workloads: ['Cassandra'],
    ...values,
  }
}

export const localRow = (product: Product, number: number, values: Values = {}): Row =>
  row(product.local, nodeValues(product, number, values))

export const peersRow = (product: Product, number: number, values: Values = {}): Row =>
  row(product.peers, nodeValues(product, number, values))

export const peersV2Row = (product: Product, number: number, values: Values = {}): Row =>
  row(product.peersV2 ?? [], nodeValues(product, number, values))
