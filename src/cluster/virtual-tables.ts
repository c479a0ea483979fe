/**
 * system.local, system.peers and system.peers_v2 as clients see them: the proxy instances as the
 * cluster's nodes (operations §6.3, §6.4). Built anew from each topology; virtual-select.ts answers
 * statements from them.
 */
import type { TypeOption } from '../cql/type-option.ts'
import type { ClusterTopology, ColumnTypes } from './host.ts'
import type { Row } from './row.ts'
import {
  type ColumnRule,
  LOCAL_COLUMNS,
  PEERS_COLUMNS,
  PEERS_V2_COLUMNS,
  ruleForUnknown,
  type VirtualValue,
} from './virtual-columns.ts'
import type { VirtualHost } from './virtual-topology.ts'

export const VIRTUAL_KEYSPACE = 'system'

export type VirtualColumn = { readonly name: string; readonly type: TypeOption }

export type VirtualTable = {
  readonly name: string
  readonly columns: readonly VirtualColumn[]
  readonly partitionKey: string
  /** Values in the order of `columns`. */
  readonly rows: readonly (readonly VirtualValue[])[]
}

/** By name. A table that the backing cluster does not have is not there either. */
export type VirtualTables = ReadonlyMap<string, VirtualTable>

type Backing = {
  /** What the real table is known to have, and so the conditional columns of ours. */
  readonly columns: ColumnTypes
  readonly localRow: Row
  /** The real row of the table for the node that an instance is mapped to. */
  readonly rowOf: (host: VirtualHost) => Row
}

const isOffered = (rule: ColumnRule, backing: Backing): boolean =>
  rule.source.from === 'proxy' ||
  rule.source.from === 'mappedOrNull' ||
  backing.columns.has(rule.name)

const cellOf = (rule: ColumnRule, host: VirtualHost, backing: Backing): VirtualValue => {
  switch (rule.source.from) {
    case 'proxy':
    case 'proxyIfReal':
      return rule.source.value(host)
    case 'local':
      return backing.localRow.get(rule.name)?.value ?? null
    case 'mapped':
    case 'mappedOrNull':
      return backing.rowOf(host).get(rule.name)?.value ?? null
  }
}

const buildTable = (
  name: string,
  partitionKey: string,
  rules: readonly ColumnRule[],
  hosts: readonly VirtualHost[],
  backing: Backing,
): VirtualTable => {
  const offered = rules.filter((rule) => isOffered(rule, backing))
  return {
    name,
    partitionKey,
    columns: offered.map((rule) => ({
      name: rule.name,
      type: rule.source.from.startsWith('proxy')
        ? rule.type
        : (backing.columns.get(rule.name) ?? rule.type),
    })),
    rows: hosts.map((host) => offered.map((rule) => cellOf(rule, host, backing))),
  }
}

/** The reference's columns in its order, then those that only the real table has. */
const withUnknown = (
  rules: readonly ColumnRule[],
  real: ColumnTypes,
  from: 'local' | 'mapped',
): ColumnRule[] => {
  const known = new Set(rules.map((rule) => rule.name))
  const unknown = [...real].filter(([column]) => !known.has(column))
  return [...rules, ...unknown.map(([column, type]) => ruleForUnknown(column, type, from))]
}

const EMPTY_ROW: Row = new Map()

const typesOf = (row: Row): ColumnTypes =>
  new Map([...row].map(([column, cell]) => [column, cell.type]))

/**
 * The node that was asked shows its system.local; any other node is known by its row of
 * system.peers, which then decides on the columns that describe the node.
 */
const localBacking = (topology: ClusterTopology, self: readonly VirtualHost[]): Backing => {
  const columns = new Map(typesOf(topology.localRow))
  const mapped = new Map(self.flatMap((host) => [...typesOf(host.mapped.row)]))
  for (const { name, source } of LOCAL_COLUMNS) {
    if (source.from === 'local') continue
    const type = mapped.get(name)
    if (type === undefined) columns.delete(name)
    else columns.set(name, type)
  }
  return { columns, localRow: topology.localRow, rowOf: (host) => host.mapped.row }
}

/** A single real node leaves system.peers empty, and its own row decides. */
const peersBacking = (topology: ClusterTopology): Backing => ({
  columns: topology.peersColumns.size > 0 ? topology.peersColumns : typesOf(topology.localRow),
  localRow: topology.localRow,
  rowOf: (host) => host.mapped.row,
})

/**
 * `hosts` are all instances; this one's row is in system.local, the others' in the peers tables. `hasPeersV2`:
 * whether system.peers_v2 is there, if the backing cluster has it.
 */
export const virtualTables = (
  backing: ClusterTopology,
  hosts: readonly VirtualHost[],
  hasPeersV2: boolean,
): VirtualTables => {
  const self = hosts.filter((host) => host.isSelf)
  const others = hosts.filter((host) => !host.isSelf)
  const localRules = withUnknown(LOCAL_COLUMNS, typesOf(backing.localRow), 'local')
  const peersRules = withUnknown(PEERS_COLUMNS, backing.peersColumns, 'mapped')
  const tables = [
    buildTable('local', 'key', localRules, self, localBacking(backing, self)),
    buildTable('peers', 'peer', peersRules, others, peersBacking(backing)),
  ]
  if (hasPeersV2 && backing.peersV2Columns !== null) {
    const columns = backing.peersV2Columns
    const rules = withUnknown(PEERS_V2_COLUMNS, columns, 'mapped')
    const rowOf = ({ mapped }: VirtualHost): Row => mapped.v2Row ?? mapped.row
    const v2 = { columns, localRow: EMPTY_ROW, rowOf }
    tables.push(buildTable('peers_v2', 'peer', rules, others, v2))
  }
  return new Map(tables.map((table) => [table.name, table]))
}
