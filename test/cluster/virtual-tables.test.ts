import { describe, expect, test } from 'vitest'
import { type ClusterTopology, readTopology } from '../../src/cluster/host.ts'
import type { Row } from '../../src/cluster/row.ts'
import {
  type VirtualTable,
  type VirtualTables,
  virtualTables,
} from '../../src/cluster/virtual-tables.ts'
import { virtualTokens, virtualTopology } from '../../src/cluster/virtual-topology.ts'
import {
  CASSANDRA_3_11,
  CASSANDRA_4_1,
  CASSANDRA_5_0,
  DSE_6_8,
  encode,
  localRow,
  type Plain,
  type Product,
  peersRow,
  peersV2Row,
  row,
  type TypeText,
  typeOf,
  type Values,
} from './system-rows.ts'

type Given = {
  readonly nodes: number
  readonly addresses: readonly string[] | null
  readonly index?: number
  readonly local?: Values
  readonly localRow?: Row
  readonly peersRows?: readonly Row[]
  readonly hasPeersV2?: boolean
}

const backing = (product: Product, given: Given): ClusterTopology => {
  const numbers = Array.from({ length: given.nodes - 1 }, (_, i) => i + 2)
  const reading = readTopology({
    cluster: 'target',
    contactEndpoint: { address: '10.0.0.1', port: 9042 },
    configuredPort: 9042,
    configuredDatacenter: null,
    isStrictDatacenter: false,
    contactPlaces: [],
    previousDatacenter: null,
    localRows: [given.localRow ?? localRow(product, 1, given.local)],
    peersRows: given.peersRows ?? numbers.map((number) => peersRow(product, number)),
    peersV2Rows:
      product.peersV2 === null ? null : numbers.map((number) => peersV2Row(product, number)),
  })
  if (!reading.ok) throw new Error(reading.reason)
  return reading.topology
}

const build = (product: Product, given: Given): VirtualTables => {
  const topology = backing(product, given)
  const hosts = virtualTopology({
    addresses: given.addresses,
    index: given.index ?? 0,
    numTokens: 8,
    implicitAddress: '127.0.0.1',
    proxyPort: 14002,
    backing: topology,
  })
  return virtualTables(topology, hosts, given.hasPeersV2 ?? true)
}

const table = (tables: VirtualTables, name: string): VirtualTable => {
  const found = tables.get(name)
  if (found === undefined) throw new Error(`no table ${name}`)
  return found
}

const names = (of: VirtualTable): string[] => of.columns.map((column) => column.name)

/** The bytes of a value by column name, in hex; null is null. */
const cells = (of: VirtualTable, at = 0): Record<string, string | null> =>
  Object.fromEntries(
    of.columns.map((column, i) => [column.name, of.rows[at]?.[i]?.toHex() ?? null]),
  )

const hex = (type: TypeText, value: Plain): string | null => encode(type, value)?.toHex() ?? null

const ONE: Given = { nodes: 1, addresses: null }
const THREE: Given = { nodes: 3, addresses: ['127.0.0.1', '127.0.0.2', '127.0.0.3'], index: 1 }

const LOCAL_3_11 = [
  'key',
  'bootstrapped',
  'broadcast_address',
  'cluster_name',
  'cql_version',
  'data_center',
  'gossip_generation',
  'host_id',
  'listen_address',
  'native_protocol_version',
  'partitioner',
  'rack',
  'release_version',
  'rpc_address',
  'schema_version',
  'thrift_version',
  'tokens',
  'truncated_at',
]
const LOCAL_4 = [
  ...LOCAL_3_11.filter((name) => name !== 'thrift_version'),
  'broadcast_port',
  'listen_port',
  'rpc_port',
]
const LOCAL_DSE = [
  'key',
  'bootstrapped',
  'broadcast_address',
  'cluster_name',
  'cql_version',
  'data_center',
  'dse_version',
  'gossip_generation',
  'graph',
  'host_id',
  'jmx_port',
  'last_nodesync_checkpoint_time',
  'listen_address',
  'native_protocol_version',
  'native_transport_port',
  'native_transport_port_ssl',
  'partitioner',
  'native_transport_address',
  'rack',
  'release_version',
  'rpc_address',
  'schema_version',
  'server_id',
  'storage_port',
  'storage_port_ssl',
  'thrift_version',
  'tokens',
  'truncated_at',
  'workload',
  'workloads',
]
const PEERS = [
  'peer',
  'data_center',
  'host_id',
  'preferred_ip',
  'rack',
  'release_version',
  'rpc_address',
  'schema_version',
  'tokens',
]
const PEERS_DSE = [
  'peer',
  'data_center',
  'dse_version',
  'graph',
  'host_id',
  'jmx_port',
  'native_transport_address',
  'native_transport_port',
  'native_transport_port_ssl',
  'preferred_ip',
  'rack',
  'release_version',
  'rpc_address',
  'schema_version',
  'server_id',
  'storage_port',
  'storage_port_ssl',
  'tokens',
  'workload',
  'workloads',
]
const PEERS_V2 = [
  'peer',
  'peer_port',
  'data_center',
  'host_id',
  'native_address',
  'native_port',
  'preferred_ip',
  'preferred_port',
  'rack',
  'release_version',
  'schema_version',
  'tokens',
]

describe('columns in the order of SELECT *', () => {
  const expected = [
    { product: CASSANDRA_3_11, local: LOCAL_3_11, peers: PEERS, peersV2: null },
    { product: CASSANDRA_4_1, local: LOCAL_4, peers: PEERS, peersV2: PEERS_V2 },
    { product: CASSANDRA_5_0, local: LOCAL_4, peers: PEERS, peersV2: PEERS_V2 },
    { product: DSE_6_8, local: LOCAL_DSE, peers: PEERS_DSE, peersV2: null },
  ]
  const shapes = [
    { shape: 'a single node, a single instance', given: ONE },
    { shape: 'three nodes, three instances', given: THREE },
    { shape: 'three nodes, a single instance', given: { ...ONE, nodes: 3 } },
    { shape: 'a single node, three instances', given: { ...THREE, nodes: 1 } },
  ]
  const cases = expected.flatMap((row) => shapes.map((shape) => ({ ...row, ...shape })))

  test.each(cases)('$product.name, $shape', ({ product, given, local, peers, peersV2 }) => {
    const tables = build(product, given)
    expect(names(table(tables, 'local'))).toEqual(local)
    expect(names(table(tables, 'peers'))).toEqual(peers)
    expect(tables.has('peers_v2')).toBe(peersV2 !== null)
    if (peersV2 !== null) expect(names(table(tables, 'peers_v2'))).toEqual(peersV2)
  })
})

describe('rows', () => {
  test.each([
    { given: ONE, others: 0 },
    { given: THREE, others: 2 },
  ])('local is this instance, peers are the $others others', ({ given, others }) => {
    const tables = build(CASSANDRA_4_1, given)
    expect(table(tables, 'local').rows).toHaveLength(1)
    expect(table(tables, 'peers').rows).toHaveLength(others)
    expect(table(tables, 'peers_v2').rows).toHaveLength(others)
  })

  test('local shows the proxy where clients would go past it, else the real node', () => {
    const own = cells(table(build(CASSANDRA_4_1, THREE), 'local'))
    const address = hex('inet', '127.0.0.2')
    expect(own).toEqual({
      key: hex('text', 'local'),
      bootstrapped: hex('text', 'COMPLETED'),
      broadcast_address: address,
      cluster_name: hex('text', 'Production'),
      cql_version: hex('text', '3.4.5'),
      data_center: hex('text', 'dc1'),
      gossip_generation: hex('int', 1_700_000_000),
      host_id: hex('uuid', '3d89fc3f-6076-51b1-9580-24975aa4ba0a'),
      listen_address: address,
      native_protocol_version: hex('text', '5'),
      partitioner: hex('text', 'org.apache.cassandra.dht.Murmur3Partitioner'),
      rack: hex('text', 'rack0'),
      release_version: hex('text', '4.1.9'),
      rpc_address: address,
      schema_version: hex('uuid', '11111111-1111-4111-8111-111111111111'),
      tokens: hex('set<text>', virtualTokens(8, 3, 1).sort()),
      truncated_at: null,
      broadcast_port: hex('int', 7000),
      listen_port: hex('int', 7000),
      rpc_port: hex('int', 14002),
    })
  })

  test('without peers_v2 there are the other two, whatever the cluster has', () => {
    const tables = build(CASSANDRA_5_0, { ...THREE, hasPeersV2: false })
    expect([...tables.keys()]).toEqual(['local', 'peers'])
    expect(names(table(tables, 'peers'))).toEqual(PEERS)
  })

  test('peers_v2 shows the port that clients connect to', () => {
    const peers = table(build(CASSANDRA_5_0, THREE), 'peers_v2')
    const address = hex('inet', '127.0.0.3')
    expect(cells(peers, 1)).toEqual({
      peer: address,
      peer_port: hex('int', 7000),
      data_center: hex('text', 'dc1'),
      host_id: hex('uuid', '1f7b13e3-4795-5e09-983f-378814fb0f2d'),
      native_address: address,
      native_port: hex('int', 14002),
      preferred_ip: address,
      preferred_port: hex('int', 7000),
      rack: hex('text', 'rack0'),
      release_version: hex('text', '5.0.5'),
      schema_version: hex('uuid', '11111111-1111-4111-8111-111111111111'),
      tokens: hex('set<text>', virtualTokens(8, 3, 2).sort()),
    })
  })

  test('of DSE carry the mapped node and the proxy address in every address column', () => {
    const tables = build(DSE_6_8, THREE)
    const address = hex('inet', '127.0.0.3')
    expect(cells(table(tables, 'peers'), 1)).toMatchObject({
      peer: address,
      preferred_ip: address,
      rpc_address: address,
      native_transport_address: address,
      native_transport_port: hex('int', 14002),
      native_transport_port_ssl: hex('int', 14002),
      server_id: hex('text', 'server-3'),
      dse_version: hex('text', '6.8.25'),
      graph: hex('boolean', true),
      workloads: hex('set<text>', ['Cassandra']),
      storage_port_ssl: hex('int', 7001),
    })
    expect(cells(table(tables, 'local'))).toMatchObject({
      server_id: hex('text', 'server-2'),
      last_nodesync_checkpoint_time: hex('bigint', 1_700_000_000_000),
    })
  })

  test('keep null where the real value is null', () => {
    const given = { ...ONE, local: { release_version: null, schema_version: null } }
    const own = cells(table(build(CASSANDRA_3_11, given), 'local'))
    expect(own).toMatchObject({ release_version: null, schema_version: null })
  })
})

describe('columns that no version had when this was written', () => {
  test('keep their type and value, but never lead past the proxy', () => {
    const columns = [
      ['key', 'text'],
      ['host_id', 'uuid'],
      ['data_center', 'text'],
      ['rack', 'text'],
      ['metadata_epoch', 'bigint'],
      ['native_transport_port_tls', 'int'],
      ['rpc_port', 'int'],
      ['gossip_address', 'inet'],
      ['native_quic_port', 'int'],
    ] as const
    const real = row(columns, {
      key: 'local',
      host_id: '00000000-0000-4000-8000-000000000001',
      data_center: 'dc1',
      rack: 'r',
      metadata_epoch: 7,
      rpc_port: 9042,
      gossip_address: '10.0.0.1',
      native_quic_port: 9043,
    })
    const local = table(build(CASSANDRA_3_11, { ...ONE, localRow: real }), 'local')
    expect(cells(local)).toMatchObject({
      metadata_epoch: hex('bigint', 7),
      rpc_port: hex('int', 14002),
      native_quic_port: hex('int', 14002),
      gossip_address: hex('inet', '127.0.0.1'),
    })
    expect(local.columns.at(-4)).toEqual({ name: 'native_transport_port_tls', type: typeOf('int') })
    expect(names(local)).not.toContain('release_version')
  })

  test('are offered in peers once a real peer has them', () => {
    const peers = [
      new Map([
        ...peersRow(CASSANDRA_3_11, 2),
        ...row(
          [
            ['load', 'text'],
            ['gossip_address', 'inet'],
          ],
          { load: 'low', gossip_address: '10.0.0.2' },
        ),
      ]),
    ]
    const given = { ...THREE, nodes: 2, peersRows: peers, index: 0 }
    const virtual = table(build(CASSANDRA_3_11, given), 'peers')
    expect(names(virtual)).toEqual([...PEERS, 'load', 'gossip_address'])
    expect(cells(virtual, 0)).toMatchObject({
      load: hex('text', 'low'),
      gossip_address: hex('inet', '127.0.0.2'),
    })
    expect(cells(virtual, 1)).toMatchObject({
      load: null,
      gossip_address: hex('inet', '127.0.0.3'),
    })
  })
})
