import { describe, expect, test } from 'vitest'
import { fromRandom, reopenCandidates } from '../../src/cluster/candidates.ts'
import type { Contacts } from '../../src/cluster/contacts.ts'
import { readTopology } from '../../src/cluster/host.ts'
import { CASSANDRA_3_11, localRow, peersRow } from './system-rows.ts'

describe('a list from a random element on', () => {
  test.each([
    { list: [1, 2, 3], random: 0, expected: [1, 2, 3] },
    { list: [1, 2, 3], random: 0.4, expected: [2, 3, 1] },
    { list: [1, 2, 3], random: 0.999, expected: [3, 1, 2] },
    { list: [], random: 0.5, expected: [] },
  ])('$list with $random: $expected', ({ list, random, expected }) => {
    expect(fromRandom<number>(list, () => random)).toEqual(expected)
  })
})

/** Hosts 10.0.0.1 to .3, of which the last is in another datacenter. */
const topology = () => {
  const reading = readTopology({
    cluster: 'origin',
    contactEndpoint: { address: '10.0.0.1', port: 9042 },
    configuredPort: 9042,
    configuredDatacenter: null,
    isStrictDatacenter: false,
    contactPlaces: [],
    previousDatacenter: null,
    localRows: [localRow(CASSANDRA_3_11, 1)],
    peersRows: [
      peersRow(CASSANDRA_3_11, 2),
      peersRow(CASSANDRA_3_11, 3, { data_center: 'elsewhere' }),
    ],
    peersV2Rows: null,
  })
  if (!reading.ok) throw new Error(reading.reason)
  return reading.topology
}

const CONTACT_POINTS = [
  { address: 'cassandra.example', port: 9042 },
  { address: '10.0.0.2', port: 9042 },
  { address: '10.0.0.3', port: 9043 },
]

const CONTACTS: Contacts = {
  endpoints: () => CONTACT_POINTS,
  places: () => Promise.resolve(CONTACT_POINTS),
  endpointOf: ({ address, port }) => ({ address, port }),
  refresh: null,
}

/** All nodes behind one address, told apart by name. */
const ROUTED: Contacts = {
  endpoints: () => [{ address: 'router.example', port: 29042, serverName: 'unknown-host' }],
  places: () => Promise.resolve([]),
  endpointOf: ({ hostId }) => ({ address: 'router.example', port: 29042, serverName: hostId }),
  refresh: null,
}

describe('where a lost control connection may lead', () => {
  test.each([
    {
      random: 0,
      expected: ['10.0.0.1', '10.0.0.2', '10.0.0.3', 'cassandra.example', '10.0.0.3'],
    },
    {
      random: 0.5,
      expected: ['10.0.0.2', '10.0.0.1', '10.0.0.3', '10.0.0.3', 'cassandra.example'],
    },
  ])('local nodes, remote nodes, other contact points, with $random', ({ random, expected }) => {
    const candidates = reopenCandidates(topology(), CONTACTS, null, () => random)
    expect(candidates.map(({ address }) => address)).toEqual(expected)
    expect(candidates.filter(({ port }) => port === 9043)).toEqual([CONTACT_POINTS[2]])
  })

  test('the node that was lost comes after the others of its datacenter', () => {
    const candidates = reopenCandidates(topology(), CONTACTS, '10.0.0.1:9042', () => 0)
    const addresses = candidates.map(({ address }) => address)
    expect(addresses.slice(0, 3)).toEqual(['10.0.0.2', '10.0.0.1', '10.0.0.3'])
  })

  test('contact points alone while no topology is known', () => {
    expect(reopenCandidates(null, CONTACTS, null, () => 0)).toEqual(CONTACT_POINTS)
  })

  test('behind a router: one address, every node under its host id', () => {
    const { localHosts, hosts } = topology()
    const candidates = reopenCandidates(topology(), ROUTED, null, () => 0)
    const hostIds = [...localHosts, hosts[2]!].map(({ hostId }) => hostId)
    expect(candidates.map(({ serverName }) => serverName)).toEqual([...hostIds, 'unknown-host'])
    expect(new Set(candidates.map(({ address }) => address))).toEqual(new Set(['router.example']))
  })
})
