import { describe, expect, test } from 'vitest'
import { readClusterTopology } from '../../src/cluster/topology-query.ts'
import { ProtocolError } from '../../src/cql/errors.ts'
import {
  Consistency,
  EnvelopeFlag,
  ErrorCode,
  Opcode,
  Version,
  versionTraits,
} from '../../src/cql/protocol.ts'
import { BodyReader } from '../../src/cql/reader.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import { ClusterError, ClusterErrorCode } from '../../src/upstream/errors.ts'
import { afterTest } from '../support/after-test.ts'
import { FakeCluster, type FakeClusterOptions } from '../support/fake-cluster/cluster.ts'
import { rowsAnswer, setKeyspaceAnswer, voidAnswer } from '../support/fake-cluster/results.ts'
import {
  closeSocket,
  forgeHeader,
  type Reaction,
  respond,
  respondError,
} from '../support/fake-cluster/script.ts'
import { Harness } from '../upstream/node-connections.ts'

const start = async (options: Partial<FakeClusterOptions> = {}, version: Version = Version.V4) => {
  const cluster = await FakeCluster.start({ name: 'origin', ...options })
  const harness = new Harness()
  afterTest(
    () => cluster.stop(),
    () => harness.close(),
  )
  const connection = await harness.openReady(cluster, { traits: versionTraits(version)! })
  let resolutions = 0
  const places = () => {
    resolutions++
    return Promise.resolve([{ address: '127.0.0.2', port: cluster.port }])
  }
  const read = (previousDatacenter: string | null = null) =>
    readClusterTopology(connection, {
      cluster: 'origin',
      contactEndpoint: { address: '127.0.0.1', port: cluster.port },
      configuredPort: 9042,
      configuredDatacenter: null,
      isStrictDatacenter: false,
      contacts: { places },
      previousDatacenter,
    })
  return { cluster, read, resolutions: () => resolutions }
}

const topologyOf = async (reading: ReturnType<typeof readClusterTopology>) => {
  const result = await reading
  if (!result.ok) throw new Error(result.reason)
  return result.topology
}

const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'it did not reject',
    (error: unknown) => error,
  )

describe('the contact points', () => {
  const TWO = [{ datacenter: 'dc1' }, { datacenter: 'dc2' }]
  test.each([
    { what: 'several datacenters', nodes: TWO, previous: null, asked: 1, expected: 'dc2' },
    { what: 'one datacenter', nodes: 2, previous: null, asked: 0, expected: 'datacenter1' },
    { what: 'a datacenter in use', nodes: TWO, previous: 'dc1', asked: 0, expected: 'dc1' },
  ])('with $what are looked up $asked times', async ({ nodes, previous, asked, expected }) => {
    const { read, resolutions } = await start({ nodes })
    expect((await topologyOf(read(previous))).localDatacenter).toBe(expected)
    expect(resolutions()).toBe(asked)
  })
})

describe('the tables that describe a cluster', () => {
  test.each([Version.V3, Version.V4, Version.V5])(
    'v%i: are read one after the other, at ONE and without pages',
    async (version) => {
      const { cluster, read } = await start({ nodes: 3 }, version)
      const topology = await topologyOf(read())
      const queries = cluster.received.filter(({ opcode }) => opcode === Opcode.QUERY)
      expect(queries.map(({ text }) => text)).toEqual([
        'SELECT * FROM system.local',
        'SELECT * FROM system.peers',
        'SELECT * FROM system.peers_v2',
      ])
      for (const { envelope } of queries) {
        const body = new BodyReader(envelope.body)
        body.readLongString()
        expect(body.readShort()).toBe(Consistency.ONE)
        expect(version === Version.V5 ? body.readInt() : body.readByte()).toBe(0)
        expect(body.remaining).toBe(0)
      }
      expect(topology.hosts.map(({ address, port }) => [address, port])).toEqual(
        [1, 2, 3].map((n) => [`127.0.0.${n}`, cluster.port]),
      )
      expect(topology.hasPeersV2).toBe(true)
      expect(cluster.violations).toEqual([])
    },
  )

  test('before Cassandra 4 there is no system.peers_v2, and the configured port is that of all', async () => {
    const { read } = await start({ nodes: 2, releaseVersion: '3.11.19' })
    const topology = await topologyOf(read())
    expect(topology).toMatchObject({ hasPeersV2: false, peersV2Columns: null })
    expect(topology.hosts.map(({ address, port }) => `${address}:${port}`)).toEqual([
      '127.0.0.1:9042',
      '127.0.0.2:9042',
    ])
  })

  test('warnings in front of the rows are passed over', async () => {
    const { cluster, read } = await start({ nodes: 2 })
    const body = new BodyWriter()
      .writeStringList(['read of too many tombstones'])
      .writeRaw(
        rowsAnswer({ name: { keyspace: 'system', table: 'peers' }, columns: [], rows: [] }).body,
      )
      .toBytes()
    const answer = { opcode: Opcode.RESULT, body, flags: EnvelopeFlag.WARNING }
    cluster.on({ text: /peers/ }, respond(answer))
    const topology = await topologyOf(read())
    expect(topology.hosts.map(({ address }) => address)).toEqual(['127.0.0.1'])
  })

  test('a topology that cannot be used comes with its reason', async () => {
    const { read } = await start()
    expect(await read('dc-that-is-gone')).toMatchObject({
      ok: false,
      reason: expect.stringContaining('dc-that-is-gone'),
    })
  })
})

describe('a node that does not tell', () => {
  const { SERVER_ERROR, UNAUTHORIZED, INVALID, OVERLOADED } = ErrorCode
  const { UNEXPECTED, CONNECTION_LOST } = ClusterErrorCode

  const REFUSALS: readonly (readonly [string, RegExp, Reaction, ClusterErrorCode, string])[] = [
    ['SERVER_ERROR', /local/, respondError(SERVER_ERROR, 'why'), UNEXPECTED, 'system.local: why'],
    ['UNAUTHORIZED', /peers$/, respondError(UNAUTHORIZED), UNEXPECTED, 'system.peers: scripted'],
    ['INVALID', /peers$/, respondError(INVALID, 'no table'), UNEXPECTED, 'system.peers: no table'],
    ['OVERLOADED', /peers_v2/, respondError(OVERLOADED), UNEXPECTED, 'system.peers_v2: scripted'],
    ['VOID', /local/, respond(voidAnswer()), UNEXPECTED, 'a result of kind 1'],
    ['VOID', /peers_v2/, respond(voidAnswer()), UNEXPECTED, 'a result of kind 1'],
    ['SET_KEYSPACE', /peers$/, respond(setKeyspaceAnswer('ks')), UNEXPECTED, 'kind 3'],
    ['READY', /local/, forgeHeader({ opcode: Opcode.READY }), UNEXPECTED, 'with READY'],
    ['its end', /peers$/, closeSocket(), CONNECTION_LOST, 'was lost'],
  ]

  test.each(REFUSALS)('%s to %s is an error', async (_name, text, reaction, code, said) => {
    const { cluster, read } = await start()
    cluster.on({ text }, reaction)
    const error = await rejection(read())
    expect(error).toBeInstanceOf(ClusterError)
    expect(error).toMatchObject({ code, message: expect.stringContaining(said) })
    expect(error).toMatchObject({ message: expect.stringContaining(`127.0.0.1:${cluster.port}`) })
  })

  test.each([/local/, /peers$/, /peers_v2/])(
    'rows to %s that cannot be read are an error',
    async (text) => {
      const { cluster, read } = await start()
      const body = rowsAnswer({
        name: { keyspace: 'system', table: 'local' },
        columns: [{ name: 'key', type: 'varchar' }],
        rows: [['local']],
      }).body
      cluster.on({ text }, respond({ opcode: Opcode.RESULT, body: body.subarray(0, -1) }))
      expect(await rejection(read())).toBeInstanceOf(ProtocolError)
    },
  )
})
