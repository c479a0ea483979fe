/**
 * The columns of the virtual system tables, in the order of `SELECT *`, with where each value comes
 * from (operations §6.4). Data and the few encodings it needs; virtual-tables.ts makes rows of it.
 */
import { TypeId } from '../cql/protocol.ts'
import { nativeType, type TypeOption } from '../cql/type-option.ts'
import { encodeInt, encodeText, encodeTextSet } from '../cql/values.ts'
import { readInt } from './row.ts'
import { VIRTUAL_PARTITIONER, type VirtualHost } from './virtual-topology.ts'

export const TEXT = nativeType(TypeId.VARCHAR)
export const INT = nativeType(TypeId.INT)
export const BIGINT = nativeType(TypeId.BIGINT)
export const BOOLEAN = nativeType(TypeId.BOOLEAN)
export const UUID = nativeType(TypeId.UUID)
export const INET = nativeType(TypeId.INET)
const TEXT_SET: TypeOption = { kind: 'set', element: TEXT }
const TRUNCATION_MAP: TypeOption = { kind: 'map', key: UUID, value: nativeType(TypeId.BLOB) }

export type VirtualValue = Uint8Array | null

export type ColumnSource =
  /** The proxy's own value, in the table whatever the real one has. */
  | { readonly from: 'proxy'; readonly value: (host: VirtualHost) => VirtualValue }
  /** The proxy's own value, where the real table has the column. */
  | { readonly from: 'proxyIfReal'; readonly value: (host: VirtualHost) => VirtualValue }
  /** The value of the node that was asked, where it has the column. */
  | { readonly from: 'local' }
  /** The value of the node that the instance is mapped to, where the real table has the column. */
  | { readonly from: 'mapped' }
  /** The same, null where the real table has no such column. */
  | { readonly from: 'mappedOrNull' }

export type ColumnRule = {
  readonly name: string
  readonly type: TypeOption
  readonly source: ColumnSource
}

const address = (host: VirtualHost): VirtualValue => host.addressBytes
const port = (host: VirtualHost): VirtualValue => encodeInt(host.port)
const datacenter = (host: VirtualHost): VirtualValue => encodeText(host.datacenter)
const rack = (host: VirtualHost): VirtualValue => encodeText(host.rack)
const hostId = (host: VirtualHost): VirtualValue => host.hostIdBytes
const tokens = (host: VirtualHost): VirtualValue => encodeTextSet(host.tokens)

/** The port between nodes where no real node tells its own. */
const DEFAULT_STORAGE_PORT = 7000

const storagePort = ({ mapped }: VirtualHost): VirtualValue => {
  const told = mapped.v2Row === null ? null : readInt(mapped.v2Row, 'peer_port')
  return encodeInt(told ?? readInt(mapped.row, 'broadcast_port') ?? DEFAULT_STORAGE_PORT)
}

type ValueOf = (host: VirtualHost) => VirtualValue

const own = (name: string, type: TypeOption, value: ValueOf): ColumnRule => ({
  name,
  type,
  source: { from: 'proxy', value },
})

const ownIfReal = (name: string, type: TypeOption, value: ValueOf): ColumnRule => ({
  name,
  type,
  source: { from: 'proxyIfReal', value },
})

const local = (name: string, type: TypeOption): ColumnRule => ({
  name,
  type,
  source: { from: 'local' },
})

const mapped = (name: string, type: TypeOption): ColumnRule => ({
  name,
  type,
  source: { from: 'mapped' },
})

const mappedOrNull = (name: string, type: TypeOption): ColumnRule => ({
  name,
  type,
  source: { from: 'mappedOrNull' },
})

export const LOCAL_COLUMNS: readonly ColumnRule[] = [
  local('key', TEXT),
  local('bootstrapped', TEXT),
  own('broadcast_address', INET, address),
  local('cluster_name', TEXT),
  local('cql_version', TEXT),
  own('data_center', TEXT, datacenter),
  mapped('dse_version', TEXT),
  local('gossip_generation', INT),
  mapped('graph', BOOLEAN),
  own('host_id', UUID, hostId),
  mapped('jmx_port', INT),
  local('last_nodesync_checkpoint_time', BIGINT),
  own('listen_address', INET, address),
  local('native_protocol_version', TEXT),
  ownIfReal('native_transport_port', INT, port),
  ownIfReal('native_transport_port_ssl', INT, port),
  own('partitioner', TEXT, () => encodeText(VIRTUAL_PARTITIONER)),
  ownIfReal('native_transport_address', INET, address),
  own('rack', TEXT, rack),
  mapped('release_version', TEXT),
  own('rpc_address', INET, address),
  mappedOrNull('schema_version', UUID),
  mapped('server_id', TEXT),
  mapped('storage_port', INT),
  mapped('storage_port_ssl', INT),
  local('thrift_version', TEXT),
  own('tokens', TEXT_SET, tokens),
  own('truncated_at', TRUNCATION_MAP, () => null),
  mapped('workload', TEXT),
  mapped('workloads', TEXT_SET),
]

export const PEERS_COLUMNS: readonly ColumnRule[] = [
  own('peer', INET, address),
  own('data_center', TEXT, datacenter),
  mapped('dse_version', TEXT),
  mapped('graph', BOOLEAN),
  own('host_id', UUID, hostId),
  mapped('jmx_port', INT),
  ownIfReal('native_transport_address', INET, address),
  ownIfReal('native_transport_port', INT, port),
  ownIfReal('native_transport_port_ssl', INT, port),
  own('preferred_ip', INET, address),
  own('rack', TEXT, rack),
  mapped('release_version', TEXT),
  own('rpc_address', INET, address),
  mappedOrNull('schema_version', UUID),
  mapped('server_id', TEXT),
  mapped('storage_port', INT),
  mapped('storage_port_ssl', INT),
  own('tokens', TEXT_SET, tokens),
  mapped('workload', TEXT),
  mapped('workloads', TEXT_SET),
]

/** The reference has no such table: the order is Cassandra's. */
export const PEERS_V2_COLUMNS: readonly ColumnRule[] = [
  own('peer', INET, address),
  own('peer_port', INT, storagePort),
  own('data_center', TEXT, datacenter),
  own('host_id', UUID, hostId),
  own('native_address', INET, address),
  own('native_port', INT, port),
  own('preferred_ip', INET, address),
  own('preferred_port', INT, storagePort),
  own('rack', TEXT, rack),
  mappedOrNull('release_version', TEXT),
  mappedOrNull('schema_version', UUID),
  own('tokens', TEXT_SET, tokens),
]

const CLIENT_PORT = /^(rpc|native)_(.*_)?port(_|$)/

/**
 * The rule for a column that only the real table knows. Addresses and client ports must lead to the
 * proxy and not past it; all else is the real value.
 */
export const ruleForUnknown = (
  name: string,
  type: TypeOption,
  from: 'local' | 'mapped',
): ColumnRule => {
  const id = type.kind === 'native' ? type.id : null
  if (id === TypeId.INET) return ownIfReal(name, type, address)
  if (id === TypeId.INT && CLIENT_PORT.test(name)) return ownIfReal(name, type, port)
  return { name, type, source: { from } }
}
