/** Small virtual tables with every type that a statement can compare, for the tests of SELECTs on them. */
import type { VirtualTable, VirtualTables } from '../../src/cluster/virtual-tables.ts'
import { encode, type Plain, type TypeText, typeOf } from './system-rows.ts'

type Columns = readonly (readonly [name: string, type: TypeText])[]

const table = (
  name: string,
  partitionKey: string,
  columns: Columns,
  rows: readonly (readonly Plain[])[],
): VirtualTable => ({
  name,
  partitionKey,
  columns: columns.map(([column, type]) => ({ name: column, type: typeOf(type) })),
  rows: rows.map((row) => columns.map(([, type], at) => encode(type, row[at] ?? null))),
})

export const HOST_ID = '70ce2f37-9d6d-5010-98d8-80fe51a498ed'
export const OTHER_HOST_ID = '3d89fc3f-6076-51b1-9580-24975aa4ba0a'
export const THIRD_HOST_ID = 'bf7b13e3-4795-5e09-983f-378814fb0f2d'

const LOCAL = table(
  'local',
  'key',
  [
    ['key', 'text'],
    ['gossip_generation', 'int'],
    ['graph', 'boolean'],
    ['Odd"Name', 'text'],
    ['from', 'text'],
    ['tokens', 'set<text>'],
    ['truncated_at', 'map<uuid,blob>'],
  ],
  [['local', 7, true, 'it"s', 'x', ['-1', '2'], null]],
)

const PEERS_COLUMNS: Columns = [
  ['peer', 'inet'],
  ['rack', 'text'],
  ['host_id', 'uuid'],
  ['load', 'bigint'],
  ['port', 'int'],
  ['graph', 'boolean'],
]

const PEERS = table('peers', 'peer', PEERS_COLUMNS, [
  ['10.0.0.1', 'rack0', HOST_ID, -5, 9042, true],
  ['10.0.0.2', "r'1", OTHER_HOST_ID, 9_000_000_000, 9043, false],
  ['10.0.0.3', null, THIRD_HOST_ID, null, 9044, null],
])

const byName = (...tables: readonly VirtualTable[]): VirtualTables =>
  new Map(tables.map((one) => [one.name, one]))

/** As a cluster has them that knows no system.peers_v2. */
export const TABLES = byName(LOCAL, PEERS)

/** A proxy without siblings. */
export const TABLES_ALONE = byName(LOCAL, table('peers', 'peer', PEERS_COLUMNS, []))
