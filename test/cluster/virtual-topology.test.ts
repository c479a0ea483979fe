import { describe, expect, test } from 'vitest'
import { type ClusterTopology, readTopology } from '../../src/cluster/host.ts'
import {
  type VirtualTopologyInput,
  virtualTokens,
  virtualTopology,
} from '../../src/cluster/virtual-topology.ts'
import { CASSANDRA_3_11, localRow, peersRow } from './system-rows.ts'

const backing = (nodes: number): ClusterTopology => {
  const peers = Array.from({ length: nodes - 1 }, (_, i) => peersRow(CASSANDRA_3_11, i + 2))
  const reading = readTopology({
    cluster: 'origin',
    contactEndpoint: { address: '10.0.0.1', port: 9042 },
    configuredPort: 9042,
    configuredDatacenter: null,
    isStrictDatacenter: false,
    contactPlaces: [],
    previousDatacenter: null,
    localRows: [localRow(CASSANDRA_3_11, 1)],
    peersRows: peers,
    peersV2Rows: null,
  })
  if (!reading.ok) throw new Error(reading.reason)
  return reading.topology
}

const build = (overrides: Partial<VirtualTopologyInput>) =>
  virtualTopology({
    addresses: null,
    index: 0,
    numTokens: 8,
    implicitAddress: '127.0.0.1',
    proxyPort: 14002,
    backing: backing(1),
    ...overrides,
  })

describe('host ids', () => {
  test.each([
    ['127.0.0.1', '70ce2f37-9d6d-5010-98d8-80fe51a498ed'],
    ['127.0.0.2', '3d89fc3f-6076-51b1-9580-24975aa4ba0a'],
    ['127.0.0.3', '1f7b13e3-4795-5e09-983f-378814fb0f2d'],
    ['10.0.0.1', '9abffbcc-1c82-54a7-a290-bf0a17776221'],
    ['::ffff:10.0.0.1', '9abffbcc-1c82-54a7-a290-bf0a17776221'],
  ])('of the configured address %s is %s', (address, hostId) => {
    const [host] = build({ addresses: [address] })
    expect(host?.hostId).toBe(hostId)
    expect(host?.hostIdBytes.toHex()).toBe(hostId.replaceAll('-', ''))
  })

  test.each([
    ['127.0.0.1', 'c9308a60-f574-524c-a3f7-02b92ce2a574'],
    ['0.0.0.0', '6768033e-2164-5824-bbd0-31a0a2d9876d'],
  ])('of the implicit address %s is %s', (implicitAddress, hostId) => {
    const [host] = build({ implicitAddress })
    expect(host).toMatchObject({ address: implicitAddress, hostId })
  })

  test('without any address are those of a configured 127.0.0.1', () => {
    expect(build({ implicitAddress: null })).toMatchObject([
      { address: '127.0.0.1', hostId: '70ce2f37-9d6d-5010-98d8-80fe51a498ed' },
    ])
  })

  test('differ for IPv6 addresses, which keep their 16 bytes', () => {
    const hosts = build({ addresses: ['2001:DB8::1', '2001:db8::2'], index: 1 })
    expect(hosts.map((host) => host.address)).toEqual(['2001:db8::1', '2001:db8::2'])
    expect(hosts.map((host) => host.addressBytes.length)).toEqual([16, 16])
    expect(new Set(hosts.map((host) => host.hostId)).size).toBe(2)
  })
})

describe('tokens', () => {
  test.each([
    {
      hosts: 1,
      host: 0,
      expected: [
        '-9223372036854775808',
        '-6917529027641081856',
        '-4611686018427387904',
        '-2305843009213693952',
        '0',
        '2305843009213693952',
        '4611686018427387904',
        '6917529027641081856',
      ],
    },
    {
      hosts: 3,
      host: 0,
      expected: [
        '-9223372036854775808',
        '-6917529027641081858',
        '-4611686018427387908',
        '-2305843009213693958',
        '-8',
        '2305843009213693942',
        '4611686018427387892',
        '6917529027641081842',
      ],
    },
  ])('of host $host of $hosts', ({ hosts, host, expected }) => {
    expect(virtualTokens(8, hosts, host)).toEqual(expected)
  })

  test('the last of three hosts and the second of two', () => {
    expect(virtualTokens(8, 3, 2).at(-1)).toBe('8454757700450211142')
    expect(virtualTokens(8, 2, 1).at(0)).toBe('-8070450532247928832')
  })

  test('are distinct over the ring and within 64 bits', () => {
    const tokens = [0, 1, 2, 3, 4].flatMap((host) => virtualTokens(256, 5, host)).map(BigInt)
    expect(new Set(tokens).size).toBe(5 * 256)
    expect(tokens.filter((token) => BigInt.asIntN(64, token) !== token)).toEqual([])
  })
})

describe('the virtual topology', () => {
  test('has one host for each address, mapped round the sorted real hosts', () => {
    const addresses = ['127.0.0.1', '127.0.0.2', '127.0.0.3']
    const hosts = build({ addresses, index: 1, backing: backing(2) })
    expect(hosts).toMatchObject([
      { index: 0, isSelf: false, address: '127.0.0.1', mapped: { address: '10.0.0.1' } },
      { index: 1, isSelf: true, address: '127.0.0.2', mapped: { address: '10.0.0.2' } },
      { index: 2, isSelf: false, address: '127.0.0.3', mapped: { address: '10.0.0.1' } },
    ])
    for (const host of hosts) {
      expect(host).toMatchObject({ rack: 'rack0', datacenter: 'dc1', port: 14002 })
    }
  })

  test.each([1, -1, Number.NaN])('refuses index %s of one', (index) => {
    expect(() => build({ index })).toThrow(
      expect.objectContaining({ code: 'VIRTUAL_TOPOLOGY_INVALID' }),
    )
  })

  test('refuses what is no address', () => {
    expect(() => build({ addresses: ['proxy-1'] })).toThrow('Cannot advertise "proxy-1"')
  })
})
