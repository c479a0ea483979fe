/**
 * A cluster's nodes, read from its system tables (operations §5.3, §5.4). Pure: rows in, an immutable
 * topology or the reason why there is none out. Who asks a node for the rows, when, and what follows
 * from a new topology is the control connection's business.
 */
import type { TypeOption } from '../cql/type-option.ts'
import {
  holdsAnyAddress,
  type Row,
  readAddress,
  readInt,
  readText,
  readTextSet,
  readUuid,
} from './row.ts'

export type Host = {
  /** Lower case, with hyphens. */
  readonly hostId: string
  /** Where it takes native protocol connections. */
  readonly address: string
  readonly port: number
  readonly datacenter: string
  readonly rack: string
  readonly tokens: readonly string[]
  readonly schemaVersion: string | null
  readonly releaseVersion: string | null
  /** Its row of system.local or system.peers, or of system.peers_v2 if only that has one. */
  readonly row: Row
  /** Its row of system.peers_v2; null for the node that was asked, and before Cassandra 4. */
  readonly v2Row: Row | null
}

/**
 * A node that is in both lists, so that both are of one cluster; undefined where there is none. A cloned machine has
 * the same host id at another address or port.
 */
export const nodeInBoth = (some: readonly Host[], others: readonly Host[]): Host | undefined => {
  const key = ({ hostId, address, port }: Host): string => `${hostId} ${address} ${port}`
  const known = new Set(some.map(key))
  return others.find((host) => known.has(key(host)))
}

export type ColumnTypes = ReadonlyMap<string, TypeOption>

export type ClusterTopology = {
  readonly clusterName: string | null
  readonly partitioner: string | null
  readonly localDatacenter: string
  /** Of every datacenter, the node that was asked first. */
  readonly hosts: readonly Host[]
  /** Of the local datacenter, sorted by rack, then host id; at least one. */
  readonly localHosts: readonly Host[]
  /** The row of system.local of the node that was asked. */
  readonly localRow: Row
  /** The columns of system.peers with their types; none where the cluster has a single node. */
  readonly peersColumns: ColumnTypes
  /** The same of system.peers_v2; null where there is no such table. */
  readonly peersV2Columns: ColumnTypes | null
  readonly hasPeersV2: boolean
}

export type TopologyInput = {
  readonly cluster: 'origin' | 'target'
  /** The node that was asked, as it was dialled. */
  readonly contactEndpoint: { readonly address: string; readonly port: number }
  readonly configuredPort: number
  readonly configuredDatacenter: string | null
  /** No other datacenter than the configured one, or the only one, may be chosen. */
  readonly isStrictDatacenter: boolean
  /** The contact points in the order of the settings, names resolved: alike on all instances of a fleet. */
  readonly contactPlaces: readonly ContactPlace[]
  /** The datacenter that an earlier read of this cluster settled on. */
  readonly previousDatacenter: string | null
  readonly localRows: readonly Row[]
  readonly peersRows: readonly Row[]
  /** Null where the cluster has no such table (before Cassandra 4). */
  readonly peersV2Rows: readonly Row[] | null
}

/** `serverName` is a host id, where nodes are told apart by that. */
export type ContactPlace = {
  readonly address: string
  readonly port: number
  readonly serverName?: string
}

export type TopologyWarning = {
  readonly code: 'TOPOLOGY_ODD' | 'DATACENTER_INFERRED' | 'DATACENTER_UNKNOWN'
  readonly text: string
}

export type TopologyReading =
  | {
      readonly ok: true
      readonly topology: ClusterTopology
      readonly warnings: readonly TopologyWarning[]
    }
  | {
      readonly ok: false
      readonly reason: string
      /** Any node would say the same, now and later. */
      readonly isPermanent: boolean
    }

const KNOWN_PARTITIONERS = ['Murmur3Partitioner', 'RandomPartitioner']

type Located = { readonly address: string; readonly port: number }

/** What all three tables tell of a node, or the first column that it misses. */
const hostFrom = (row: Row, v2Row: Row | null, located: Located): Host | string => {
  const leading = v2Row ?? row
  const hostId = readUuid(leading, 'host_id')
  const datacenter = readText(leading, 'data_center')
  const rack = readText(leading, 'rack')
  if (hostId === null) return 'host_id'
  if (datacenter === null) return 'data_center'
  if (rack === null) return 'rack'
  return {
    hostId,
    ...located,
    datacenter,
    rack,
    tokens: readTextSet(leading, 'tokens'),
    schemaVersion: readUuid(leading, 'schema_version'),
    releaseVersion: readText(leading, 'release_version'),
    row,
    v2Row,
  }
}

/** A node bound to "any address" is reached at the address that it tells other nodes. */
const localAddress = (row: Row, contact: string): string => {
  const rpcAddress = readAddress(row, 'rpc_address')
  if (rpcAddress !== null) return rpcAddress
  if (!holdsAnyAddress(row, 'rpc_address')) return contact
  return readAddress(row, 'broadcast_address') ?? readAddress(row, 'listen_address') ?? contact
}

/**
 * Cassandra 4 tells each node's own port. The port under which the asked node was reached stands for
 * its own and for all equal ones: where the two differ, there is a port mapping between us and the
 * cluster, or a separate TLS port that the tables do not show.
 */
const portTranslation = (input: TopologyInput, local: Row): ((own: number | null) => number) => {
  const localPort = readInt(local, 'rpc_port')
  return (own) => {
    if (own === null) return input.configuredPort
    return own === localPort ? input.contactEndpoint.port : own
  }
}

class PeersReader {
  readonly hosts = new Map<string, Host>()
  readonly warnings: string[]
  readonly #local: Host

  constructor(local: Host, warnings: string[]) {
    this.#local = local
    this.warnings = warnings
  }

  /** Adds one peer. `addressColumn` is where clients reach it, by the table's name for that. */
  add(table: string, addressColumn: string, row: Row, v2Row: Row | null, port: number): void {
    const leading = v2Row ?? row
    const peer = readAddress(leading, 'peer')
    const name = `${table}: peer ${peer ?? 'without address'}`
    const address = readAddress(leading, addressColumn) ?? peer
    if (address === null) {
      this.warnings.push(`${name} is ignored: neither ${addressColumn} nor peer is set`)
      return
    }
    const host = hostFrom(row, v2Row, { address, port })
    if (typeof host === 'string') {
      this.warnings.push(`${name} is ignored: ${host} is missing`)
      return
    }
    this.#warnOfOddities(name, addressColumn, leading, host)
    if (host.hostId !== this.#local.hostId) this.hosts.set(host.hostId, host)
  }

  #warnOfOddities(name: string, addressColumn: string, row: Row, host: Host): void {
    if (row.get(addressColumn)?.value == null) {
      this.warnings.push(`${name}: ${addressColumn} is null, the peer's own address is used`)
    }
    if (host.hostId === this.#local.hostId) {
      this.warnings.push(`${name} has the host id of the node that was asked: ${host.hostId}`)
    } else if (this.hosts.has(host.hostId)) {
      this.warnings.push(`${name} has the host id of another peer: ${host.hostId}`)
    }
  }
}

/** system.peers_v2 leads where it exists; what only system.peers knows of a node is kept. */
const readPeers = (input: TopologyInput, localRow: Row, reader: PeersReader): void => {
  if (input.peersV2Rows === null) {
    for (const row of input.peersRows) {
      reader.add('system.peers', 'rpc_address', row, null, input.configuredPort)
    }
    return
  }
  const translatePort = portTranslation(input, localRow)
  const byHostId = new Map(input.peersRows.map((row) => [readUuid(row, 'host_id'), row]))
  for (const v2Row of input.peersV2Rows) {
    const hostId = readUuid(v2Row, 'host_id')
    const row = hostId === null ? v2Row : (byHostId.get(hostId) ?? v2Row)
    const port = translatePort(readInt(v2Row, 'native_port'))
    reader.add('system.peers_v2', 'native_address', row, v2Row, port)
  }
}

type DatacenterChoice =
  | { readonly ok: true; readonly datacenter: string; readonly warning: TopologyWarning | null }
  | { readonly ok: false; readonly reason: string; readonly isPermanent: boolean }

/** The node that a contact point leads to, where the two have the same address or host id. */
const hostAt = (place: ContactPlace, hosts: readonly Host[]): Host | undefined => {
  if (place.serverName !== undefined) {
    return hosts.find(({ hostId }) => hostId === place.serverName)
  }
  const there = hosts.filter(({ address }) => address === place.address)
  return there.find(({ port }) => port === place.port) ?? there[0]
}

/** Alike on all instances with the same list, whichever node each of them has asked. */
const inferDatacenter = (
  { contactPlaces }: TopologyInput,
  local: Host,
  hosts: readonly Host[],
): { readonly datacenter: string; readonly why: string } => {
  for (const place of contactPlaces) {
    const host = hostAt(place, hosts)
    if (host === undefined) continue
    const why = `that of ${place.serverName ?? place.address}, the first contact point in the list that is a node`
    return { datacenter: host.datacenter, why }
  }
  return { datacenter: local.datacenter, why: 'that of the node that was asked' }
}

const chooseDatacenter = (
  input: TopologyInput,
  local: Host,
  hosts: readonly Host[],
): DatacenterChoice => {
  const { previousDatacenter: previous, isStrictDatacenter: isStrict } = input
  const configured = input.configuredDatacenter ?? ''
  const setting = `${input.cluster}_local_datacenter`
  const all = [...new Set(hosts.map((host) => host.datacenter))].sort(compareText)
  const found = all.join(', ')
  if (previous !== null) {
    if (all.includes(previous)) return { ok: true, datacenter: previous, warning: null }
    const reason = `no host is left in the datacenter in use, "${previous}" (found: ${found})`
    return { ok: false, reason, isPermanent: false }
  }
  if (all.includes(configured)) return { ok: true, datacenter: configured, warning: null }
  if (configured === '' && all.length === 1) {
    return { ok: true, datacenter: local.datacenter, warning: null }
  }
  const fault =
    configured === ''
      ? `the cluster has several datacenters (${found}), and ${setting} names none`
      : `no host in the configured local datacenter "${configured}" (found: ${found})`
  if (isStrict) {
    const reason = `${fault}; set ${setting} to one of them, or strict_local_datacenter to false`
    return { ok: false, reason, isPermanent: true }
  }
  const { datacenter, why } = inferDatacenter(input, local, hosts)
  const code = configured === '' ? 'DATACENTER_INFERRED' : 'DATACENTER_UNKNOWN'
  return {
    ok: true,
    datacenter,
    warning: { code, text: `${fault}: "${datacenter}" is used, ${why}` },
  }
}

const columnsOf = (rows: readonly Row[]): ColumnTypes =>
  new Map([...(rows[0] ?? [])].map(([name, cell]) => [name, cell.type]))

/** By bytes, as the reference does: all instances of a fleet must sort alike. */
const compareText = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

const byRackThenHostId = (a: Host, b: Host): number =>
  compareText(a.rack, b.rack) || compareText(a.hostId, b.hostId)

/** The asked node's own host, or why there is none. */
const readLocal = (input: TopologyInput, row: Row): Host | string => {
  const { contactEndpoint, configuredPort } = input
  const port = input.peersV2Rows === null ? configuredPort : contactEndpoint.port
  const address = localAddress(row, contactEndpoint.address)
  return hostFrom(row, null, { address, port })
}

const refusePartitioner = (partitioner: string | null): string | null => {
  if (partitioner === null) return null
  if (KNOWN_PARTITIONERS.some((known) => partitioner.includes(known))) return null
  return `partitioner ${partitioner} is not supported, only ${KNOWN_PARTITIONERS.join(' and ')} are`
}

/** A topology that can be used, with what is odd about it; or why it cannot. */
export const readTopology = (input: TopologyInput): TopologyReading => {
  const fail = (detail: string, isPermanent = false): TopologyReading => ({
    ok: false,
    isPermanent,
    reason: `${input.cluster}: ${detail} (asked ${input.contactEndpoint.address}:${input.contactEndpoint.port})`,
  })
  const warnings: string[] = []
  const localRow = input.localRows[0]
  if (localRow === undefined) return fail('system.local has no row')
  const local = readLocal(input, localRow)
  if (typeof local === 'string') return fail(`system.local: ${local} is missing`)
  const partitioner = readText(localRow, 'partitioner')
  const refusal = refusePartitioner(partitioner)
  if (refusal !== null) return fail(refusal, true)

  const clusterName = readText(localRow, 'cluster_name')
  if (input.localRows.length > 1) warnings.push('system.local has several rows: the first is used')
  if (clusterName === null) warnings.push('system.local: cluster_name is missing')
  if (local.schemaVersion === null) warnings.push('system.local: schema_version is missing')
  const peers = new PeersReader(local, warnings)
  readPeers(input, localRow, peers)

  const hosts = [local, ...peers.hosts.values()]
  const choice = chooseDatacenter(input, local, hosts)
  if (!choice.ok) return fail(choice.reason, choice.isPermanent)
  const topology: ClusterTopology = {
    clusterName,
    partitioner,
    localDatacenter: choice.datacenter,
    hosts,
    localHosts: hosts.filter((h) => h.datacenter === choice.datacenter).sort(byRackThenHostId),
    localRow,
    peersColumns: columnsOf(input.peersRows),
    peersV2Columns: input.peersV2Rows === null ? null : columnsOf(input.peersV2Rows),
    hasPeersV2: input.peersV2Rows !== null,
  }
  const odd = warnings.map((text): TopologyWarning => ({ code: 'TOPOLOGY_ODD', text }))
  const told = choice.warning === null ? odd : [...odd, choice.warning]
  const named = told.map(({ code, text }) => ({ code, text: `${input.cluster}: ${text}` }))
  return { ok: true, topology, warnings: named }
}
