import { describe, expect, test } from 'vitest'
import {
  type ClusterTopology,
  readTopology,
  type TopologyInput,
  type TopologyReading,
} from '../../src/cluster/host.ts'
import {
  CASSANDRA_3_11,
  CASSANDRA_4_1,
  localRow,
  peersRow,
  peersV2Row,
  type Values,
  without,
} from './system-rows.ts'

const input = (overrides: Partial<TopologyInput> = {}): TopologyInput => ({
  cluster: 'origin',
  contactEndpoint: { address: '192.0.2.1', port: 9042 },
  configuredPort: 9042,
  configuredDatacenter: null,
  isStrictDatacenter: false,
  contactPlaces: [],
  previousDatacenter: null,
  localRows: [localRow(CASSANDRA_3_11, 1)],
  peersRows: [],
  peersV2Rows: null,
  ...overrides,
})

const usable = (
  reading: TopologyReading,
): { topology: ClusterTopology; warnings: readonly string[] } => {
  if (!reading.ok) throw new Error(reading.reason)
  return { ...reading, warnings: reading.warnings.map(({ text }) => text) }
}

const read = (overrides: Partial<TopologyInput>) => usable(readTopology(input(overrides)))

const refused = (overrides: Partial<TopologyInput>): string => {
  const reading = readTopology(input(overrides))
  return reading.ok ? 'not refused' : reading.reason
}

const addresses = (topology: ClusterTopology): string[] =>
  topology.hosts.map((host) => `${host.address}:${host.port}`)

describe('the node that was asked', () => {
  test('shows what it tells of itself', () => {
    const { topology, warnings } = read({})
    expect(topology).toMatchObject({
      clusterName: 'Production',
      partitioner: 'org.apache.cassandra.dht.RandomPartitioner',
      localDatacenter: 'dc1',
      hasPeersV2: false,
    })
    expect(topology.hosts).toMatchObject([
      {
        hostId: '00000000-0000-4000-8000-000000000001',
        address: '10.0.0.1',
        port: 9042,
        datacenter: 'dc1',
        rack: 'rack1',
        tokens: ['1000'],
        schemaVersion: '11111111-1111-4111-8111-111111111111',
        releaseVersion: '3.11.19',
      },
    ])
    expect(warnings).toEqual([])
  })

  test.each<{ name: string; values: Values; address: string }>([
    { name: 'rpc_address', values: {}, address: '10.0.0.1' },
    { name: 'the contact where it is null', values: { rpc_address: null }, address: '192.0.2.1' },
    {
      name: 'broadcast_address where it is 0.0.0.0',
      values: { rpc_address: '0.0.0.0', broadcast_address: '10.9.9.9' },
      address: '10.9.9.9',
    },
    {
      name: 'broadcast_address where it is ::',
      values: { rpc_address: '::', broadcast_address: '2001:db8::1' },
      address: '2001:db8::1',
    },
    {
      name: 'listen_address where broadcast_address is null too',
      values: { rpc_address: '0.0.0.0', broadcast_address: null, listen_address: '10.8.8.8' },
      address: '10.8.8.8',
    },
    {
      name: 'the contact where all of them are null',
      values: { rpc_address: '0.0.0.0', broadcast_address: null, listen_address: null },
      address: '192.0.2.1',
    },
  ])('is reached at $name', ({ values, address }) => {
    const { topology } = read({ localRows: [localRow(CASSANDRA_3_11, 1, values)] })
    expect(topology.hosts[0]?.address).toBe(address)
  })

  test('is reached at the contact where rpc_address does not exist', () => {
    const { topology } = read({ localRows: [without(localRow(CASSANDRA_3_11, 1), 'rpc_address')] })
    expect(topology.hosts[0]?.address).toBe('192.0.2.1')
  })

  test.each(['host_id', 'data_center', 'rack'])('without %s makes no topology', (column) => {
    const rows = [localRow(CASSANDRA_3_11, 1, { [column]: null })]
    expect(refused({ localRows: rows })).toBe(
      `origin: system.local: ${column} is missing (asked 192.0.2.1:9042)`,
    )
  })

  test('without any row makes no topology', () => {
    expect(refused({ localRows: [] })).toContain('system.local has no row')
  })

  test.each(['cluster_name', 'schema_version'])('without %s makes a warning', (column) => {
    const { warnings } = read({ localRows: [localRow(CASSANDRA_3_11, 1, { [column]: null })] })
    expect(warnings).toEqual([`origin: system.local: ${column} is missing`])
  })

  test('counts once where there are several rows', () => {
    const rows = [localRow(CASSANDRA_3_11, 1), localRow(CASSANDRA_3_11, 2)]
    const { topology, warnings } = read({ localRows: rows })
    expect(addresses(topology)).toEqual(['10.0.0.1:9042'])
    expect(warnings).toEqual(['origin: system.local has several rows: the first is used'])
  })

  test.each([
    ['org.apache.cassandra.dht.Murmur3Partitioner', true],
    ['org.apache.cassandra.dht.RandomPartitioner', true],
    ['com.example.Murmur3Partitioner$Custom', true],
    [null, true],
    ['org.apache.cassandra.dht.ByteOrderedPartitioner', false],
    ['org.apache.cassandra.dht.OrderPreservingPartitioner', false],
  ])('partitioner %s: %s', (partitioner, expected) => {
    const rows = [localRow(CASSANDRA_3_11, 1, { partitioner })]
    expect(readTopology(input({ localRows: rows })).ok).toBe(expected)
  })
})

describe('peers of system.peers', () => {
  const readPeer = (values: Values) => read({ peersRows: [peersRow(CASSANDRA_3_11, 2, values)] })

  test('are reached at rpc_address and the configured port', () => {
    const { topology, warnings } = read({
      configuredPort: 9999,
      peersRows: [peersRow(CASSANDRA_3_11, 2), peersRow(CASSANDRA_3_11, 3)],
    })
    expect(addresses(topology)).toEqual(['10.0.0.1:9999', '10.0.0.2:9999', '10.0.0.3:9999'])
    expect(warnings).toEqual([])
  })

  test.each(['0.0.0.0', '::'])('bound to %s are reached at peer', (rpcAddress) => {
    const { topology, warnings } = readPeer({ rpc_address: rpcAddress, peer: '10.7.7.7' })
    expect(addresses(topology)).toEqual(['10.0.0.1:9042', '10.7.7.7:9042'])
    expect(warnings).toEqual([])
  })

  test('without rpc_address are reached at peer, with a warning', () => {
    const { topology, warnings } = readPeer({ rpc_address: null, peer: '10.7.7.7' })
    expect(addresses(topology)).toEqual(['10.0.0.1:9042', '10.7.7.7:9042'])
    expect(warnings).toEqual([
      "origin: system.peers: peer 10.7.7.7: rpc_address is null, the peer's own address is used",
    ])
  })

  test('without any address are left out, with a warning', () => {
    const { topology, warnings } = readPeer({ rpc_address: null, peer: null })
    expect(topology.hosts).toHaveLength(1)
    expect(warnings).toEqual([
      'origin: system.peers: peer without address is ignored: neither rpc_address nor peer is set',
    ])
  })

  test.each(['host_id', 'data_center', 'rack'])(
    'without %s are left out, with a warning',
    (column) => {
      const { topology, warnings } = readPeer({ [column]: null })
      expect(topology.hosts).toHaveLength(1)
      expect(warnings).toEqual([
        `origin: system.peers: peer 10.0.0.2 is ignored: ${column} is missing`,
      ])
    },
  )

  test('may miss schema_version and tokens', () => {
    const { topology, warnings } = readPeer({ schema_version: null, tokens: null })
    expect(topology.hosts[1]).toMatchObject({ schemaVersion: null, tokens: [] })
    expect(warnings).toEqual([])
  })

  test('with the same host id: the last one counts', () => {
    const hostId = '00000000-0000-4000-8000-000000000002'
    const rows = [peersRow(CASSANDRA_3_11, 2), peersRow(CASSANDRA_3_11, 3, { host_id: hostId })]
    const { topology, warnings } = read({ peersRows: rows })
    expect(addresses(topology)).toEqual(['10.0.0.1:9042', '10.0.0.3:9042'])
    expect(warnings).toEqual([
      `origin: system.peers: peer 10.0.0.3 has the host id of another peer: ${hostId}`,
    ])
  })

  test('that are the node that was asked do not count', () => {
    const hostId = '00000000-0000-4000-8000-000000000001'
    const { topology, warnings } = readPeer({ host_id: hostId })
    expect(addresses(topology)).toEqual(['10.0.0.1:9042'])
    expect(warnings).toEqual([
      `origin: system.peers: peer 10.0.0.2 has the host id of the node that was asked: ${hostId}`,
    ])
  })
})

describe('peers of system.peers_v2', () => {
  const readV2 = (given: {
    contactPort?: number
    configuredPort?: number
    local?: Values
    peers: readonly Values[]
  }) =>
    read({
      contactEndpoint: { address: '192.0.2.1', port: given.contactPort ?? 9042 },
      configuredPort: given.configuredPort ?? 9042,
      localRows: [localRow(CASSANDRA_4_1, 1, given.local ?? {})],
      peersRows: given.peers.map((values, i) => peersRow(CASSANDRA_4_1, i + 2, values)),
      peersV2Rows: given.peers.map((values, i) => peersV2Row(CASSANDRA_4_1, i + 2, values)),
    })

  test('are reached at native_address and their own port', () => {
    const { topology, warnings } = readV2({
      peers: [{ native_address: '10.5.5.5', native_port: 9142 }, {}],
    })
    expect(addresses(topology)).toEqual(['10.0.0.1:9042', '10.5.5.5:9142', '10.0.0.3:9042'])
    expect(topology.hasPeersV2).toBe(true)
    expect(warnings).toEqual([])
  })

  test('share a port mapping with the node that was asked', () => {
    const { topology } = readV2({
      contactPort: 19042,
      configuredPort: 19042,
      peers: [{}, { native_port: 9142 }],
    })
    expect(addresses(topology)).toEqual(['10.0.0.1:19042', '10.0.0.2:19042', '10.0.0.3:9142'])
  })

  test('without native_port are reached at the configured port', () => {
    const { topology } = readV2({ configuredPort: 9055, peers: [{ native_port: null }] })
    expect(addresses(topology)).toEqual(['10.0.0.1:9042', '10.0.0.2:9055'])
  })

  test.each([
    { native: '0.0.0.0', warned: 0 },
    { native: null, warned: 1 },
  ])('with native_address $native are reached at peer', ({ native, warned }) => {
    const { topology, warnings } = readV2({
      peers: [{ native_address: native, peer: '10.7.7.7' }],
    })
    expect(addresses(topology)).toEqual(['10.0.0.1:9042', '10.7.7.7:9042'])
    expect(warnings).toHaveLength(warned)
  })

  test('keep their row of system.peers beside', () => {
    const { topology } = readV2({ peers: [{}] })
    expect(topology.hosts[1]?.row.has('rpc_address')).toBe(true)
    expect(topology.hosts[1]?.v2Row?.has('native_port')).toBe(true)
    expect([...topology.peersColumns.keys()]).toContain('rpc_address')
    expect([...(topology.peersV2Columns?.keys() ?? [])]).toContain('native_port')
  })

  test('are known where system.peers has no such row', () => {
    const { topology } = read({
      localRows: [localRow(CASSANDRA_4_1, 1)],
      peersV2Rows: [peersV2Row(CASSANDRA_4_1, 2)],
    })
    expect(addresses(topology)).toEqual(['10.0.0.1:9042', '10.0.0.2:9042'])
  })
})

describe('the local datacenter', () => {
  const twoDatacenters = {
    peersRows: [
      peersRow(CASSANDRA_3_11, 2, { data_center: 'dc2' }),
      peersRow(CASSANDRA_3_11, 3, { data_center: 'dc2', rack: 'rack0' }),
      peersRow(CASSANDRA_3_11, 4, { data_center: 'dc1' }),
    ],
  }

  test.each([
    { previous: null, configured: null, expected: 'dc1', warned: 1 },
    { previous: null, configured: '', expected: 'dc1', warned: 1 },
    { previous: null, configured: 'dc2', expected: 'dc2', warned: 0 },
    { previous: null, configured: 'DC2', expected: 'dc1', warned: 1 },
    { previous: 'dc2', configured: 'dc1', expected: 'dc2', warned: 0 },
    { previous: 'dc2', configured: null, expected: 'dc2', warned: 0 },
  ])('previous $previous, configured $configured: $expected', (given) => {
    const { topology, warnings } = read({
      ...twoDatacenters,
      previousDatacenter: given.previous,
      configuredDatacenter: given.configured,
    })
    expect(topology.localDatacenter).toBe(given.expected)
    expect(warnings).toHaveLength(given.warned)
  })

  const place = (address: string, port = 9042) => ({ address, port })
  const behindRouter = (serverName: string) => ({ ...place('router.example'), serverName })
  const HOST_2 = '00000000-0000-4000-8000-000000000002'
  test.each([
    { name: 'the first in the list', places: ['10.0.0.2', '10.0.0.1'].map((one) => place(one)) },
    { name: 'the first that is a node', places: [place('10.9.9.9'), place('10.0.0.3')] },
    { name: 'on another port, too', places: [place('10.0.0.2', 9142), place('10.0.0.1')] },
    { name: 'by its host id', places: [behindRouter('unknown'), behindRouter(HOST_2)] },
  ])('is that of a contact point, $name, whichever node was asked', ({ places }) => {
    for (const configuredDatacenter of [null, 'dc9']) {
      const { topology, warnings } = read({
        ...twoDatacenters,
        configuredDatacenter,
        contactPlaces: places,
      })
      expect(topology.localDatacenter).toBe('dc2')
      expect(warnings).toHaveLength(1)
      expect(warnings[0]).toContain('"dc2" is used, that of ')
    }
  })

  test('is that of the asked node where no contact point is a node', () => {
    const reading = readTopology(input({ ...twoDatacenters, contactPlaces: [place('10.9.9.9')] }))
    expect(reading).toMatchObject({
      ok: true,
      topology: { localDatacenter: 'dc1' },
      warnings: [
        {
          code: 'DATACENTER_INFERRED',
          text: 'origin: the cluster has several datacenters (dc1, dc2), and origin_local_datacenter names none: "dc1" is used, that of the node that was asked',
        },
      ],
    })
  })

  test('a name that no host has is told with a code of its own', () => {
    const reading = readTopology(input({ ...twoDatacenters, configuredDatacenter: 'DC2' }))
    expect(reading).toMatchObject({ warnings: [{ code: 'DATACENTER_UNKNOWN' }] })
  })

  test.each([
    {
      configured: null,
      reason:
        'the cluster has several datacenters (dc1, dc2), and origin_local_datacenter names none',
    },
    {
      configured: 'DC2',
      reason: 'no host in the configured local datacenter "DC2" (found: dc1, dc2)',
    },
  ])('strict, $configured is a permanent failure', ({ configured, reason }) => {
    const strict = { configuredDatacenter: configured, isStrictDatacenter: true }
    const reading = readTopology(input({ ...twoDatacenters, ...strict }))
    expect(reading).toMatchObject({
      ok: false,
      isPermanent: true,
      reason: expect.stringContaining(
        `${reason}; set origin_local_datacenter to one of them, or strict_local_datacenter to false`,
      ),
    })
  })

  test.each([
    { what: 'the configured one', given: { ...twoDatacenters, configuredDatacenter: 'dc2' } },
    { what: 'the only one', given: {} },
    { what: 'the one in use', given: { ...twoDatacenters, previousDatacenter: 'dc2' } },
  ])('strict, $what is taken', ({ given }) => {
    expect(read({ ...given, isStrictDatacenter: true }).warnings).toEqual([])
  })

  test('that has lost all hosts makes no topology', () => {
    expect(refused({ ...twoDatacenters, previousDatacenter: 'dc3' })).toContain(
      'no host is left in the datacenter in use, "dc3" (found: dc1, dc2)',
    )
  })

  test('its hosts are sorted by rack, then host id; others are only remembered', () => {
    const { topology } = read({ ...twoDatacenters, configuredDatacenter: 'dc2' })
    expect(topology.localHosts.map((host) => host.address)).toEqual(['10.0.0.3', '10.0.0.2'])
    expect(topology.hosts).toHaveLength(4)
  })
})
