import { describe, expect, test } from 'vitest'
import { HEADER_LENGTH } from '../../src/cql/envelope.ts'
import { EnvelopeFlag, Opcode, Version, versionTraits } from '../../src/cql/protocol.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import { PreparedCache } from '../../src/prepared/cache.ts'
import { PreparedStatement } from '../../src/prepared/statement.ts'
import { BatchIds } from '../../src/session/batch-ids.ts'
import { RequestKind, RequestTable } from '../../src/session/request-table.ts'
import { messageStart, sendRequest } from '../../src/session/upstream-request.ts'
import { StatementClass } from '../../src/statement/classify.ts'
import type { UpstreamConnection } from '../../src/upstream/connection.ts'
import { afterTest } from '../support/after-test.ts'
import { FakeCluster } from '../support/fake-cluster/cluster.ts'
import { batchBody, executeBody, queryBody } from '../support/fake-cluster/request-bodies.ts'
import { drop, type Received } from '../support/fake-cluster/script.ts'
import { buildEnvelope } from '../support/fake-cluster/wire.ts'
import { Harness } from '../upstream/node-connections.ts'

const VERSIONS = [Version.V3, Version.V4, Version.V5] as const

const idOf = (seed: number, length = 16): Uint8Array =>
  new Uint8Array(length).map((_, i) => (seed * 37 + i * 11) & 0xff)

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

type Ids = {
  readonly id: Uint8Array
  readonly target?: Uint8Array
  readonly otherColumns?: boolean
}

/** Target's id is `target`, else Origin's; so are the columns of its rows, unless they are others. */
const statementOf = ({ id, target = id, otherColumns = false }: Ids): PreparedStatement =>
  new PreparedStatement(
    {
      id,
      ids: [id, target],
      columnDigests: [idOf(101), idOf(otherColumns ? 102 : 101)],
      statementClass: StatementClass.WRITE,
      text: new Uint8Array(0),
      keyspace: null,
    },
    0,
  )

/** A connection to a node that answers nothing, which stands for the given cluster. */
const connect = async (version: Version, cluster: 0 | 1) => {
  const node = await FakeCluster.start({
    name: 'a cluster',
    minVersion: Version.V2,
    maxVersion: Version.DSE_V2,
  })
  const harness = new Harness()
  afterTest(
    () => node.stop(),
    () => harness.close(),
  )
  const connection = await harness.openReady(node, { traits: versionTraits(version)!, cluster })
  node.on({}, drop())
  return { node, connection, requests: new RequestTable() }
}

type Sending = Awaited<ReturnType<typeof connect>>

/** Puts an envelope that lies inside a larger chunk onto the connection; what the node got of it. */
const forward = async (
  { node, connection, requests }: Sending,
  envelope: Uint8Array,
  options: { statement?: PreparedStatement; batch?: BatchIds } = {},
): Promise<Received> => {
  const chunk = Buffer.concat([Buffer.alloc(13, 1), envelope, Buffer.alloc(13, 2)])
  const before = chunk.toString('hex')
  const request = requests.take()
  requests.kind[request] = RequestKind.ON_BOTH
  requests.chunk[request] = chunk
  requests.chunkStart[request] = 13
  requests.chunkEnd[request] = 13 + envelope.length
  requests.statement[request] = options.statement ?? null
  const count = node.received.length
  // A neighbour in the same buffer, which must not be touched.
  sendQuery(connection)
  sendRequest(requests, request, connection, options.batch ?? null)
  sendQuery(connection)
  await node.waitUntil(() => node.received.length === count + 3)
  const slot = requests.slot(request, connection.cluster)
  expect(requests.connection(request, connection.cluster)).toBe(connection)
  expect(connection.slots.ownerOf(slot)).toBe(request)
  expect(chunk.toString('hex')).toBe(before)
  const [one, sent, two] = node.received.slice(count)
  expect([one!.text, two!.text]).toEqual(['SELECT neighbour', 'SELECT neighbour'])
  expect(sent!.streamId).toBe(slot)
  expect(node.violations).toEqual([])
  return sent!
}

const sendQuery = (connection: UpstreamConnection): void => {
  const { version } = connection.traits
  const body = queryBody(version, 'SELECT neighbour')
  const envelope = buildEnvelope(version, 0, 0, Opcode.QUERY, body)
  connection.send(connection.slots.take(9999), envelope, 0, envelope.length)
}

const readBatch = (envelope: Uint8Array, version: Version, statements: PreparedStatement[]) => {
  const cache = new PreparedCache(100)
  for (const statement of statements) cache.add(statement)
  // The batch's offsets are those of the chunk that `forward` makes.
  const chunk = Buffer.concat([Buffer.alloc(13), envelope])
  const batch = new BatchIds()
  batch.read(chunk, 13 + HEADER_LENGTH, chunk.length, versionTraits(version)!, cache)
  return batch
}

const executeOf = (version: Version, id: Uint8Array, options: { payload?: boolean } = {}) => {
  const body = executeBody(
    version,
    { id: Buffer.from(id), resultMetadataId: Buffer.from(idOf(101)) },
    { values: ['v'.repeat(50), null] },
  )
  if (options.payload !== true) return buildEnvelope(version, 0, 5, Opcode.EXECUTE, body)
  const payload = new BodyWriter().writeBytesMap(new Map([['key', idOf(55)]])).toBytes()
  const flags = EnvelopeFlag.CUSTOM_PAYLOAD
  return buildEnvelope(version, flags, 5, Opcode.EXECUTE, Buffer.concat([payload, body]))
}

describe('what is not changed', () => {
  test.each(VERSIONS)(
    'v%i: a QUERY goes out byte for byte but for its stream id',
    async (version) => {
      const sending = await connect(version, 1)
      const envelope = buildEnvelope(
        version,
        0,
        5,
        Opcode.QUERY,
        queryBody(version, 'SELECT k FROM t'),
      )
      const sent = await forward(sending, envelope)
      expect(hex(sent.envelope.body)).toBe(hex(envelope.subarray(HEADER_LENGTH)))
    },
  )

  test.each(VERSIONS)('v%i: so does an EXECUTE whose ids are the same there', async (version) => {
    const sending = await connect(version, 1)
    const envelope = executeOf(version, idOf(1))
    const sent = await forward(sending, envelope, { statement: statementOf({ id: idOf(1) }) })
    expect(hex(sent.envelope.body)).toBe(hex(envelope.subarray(HEADER_LENGTH)))
  })

  test.each(VERSIONS)('v%i: so does a BATCH whose ids are the same there', async (version) => {
    const sending = await connect(version, 1)
    const body = batchBody(version, [{ id: idOf(1) }, { text: 'INSERT' }])
    const envelope = buildEnvelope(version, 0, 5, Opcode.BATCH, body)
    const batch = readBatch(envelope, version, [statementOf({ id: idOf(1) })])
    const sent = await forward(sending, envelope, { batch })
    expect(hex(sent.envelope.body)).toBe(hex(body))
  })
})

describe('an EXECUTE', () => {
  const IDS = { 'of the same length': idOf(2), shorter: idOf(2, 8), longer: idOf(2, 31) }
  const cases = VERSIONS.flatMap((version) =>
    Object.entries(IDS).flatMap(([name, target]) =>
      [false, true]
        .filter((payload) => !payload || version >= Version.V4)
        .map((payload) => ({ version, name, target, payload })),
    ),
  )

  test.each(cases)('v$version: its id on Target $name (custom payload $payload)', async (given) => {
    const { version, target, payload } = given
    const sending = await connect(version, 1)
    const envelope = executeOf(version, idOf(1), { payload })
    const sent = await forward(sending, envelope, {
      statement: statementOf({ id: idOf(1), target }),
    })
    const expected = executeOf(version, target, { payload })
    expect(hex(sent.envelope.body)).toBe(hex(expected.subarray(HEADER_LENGTH)))
    expect(sent.statementId).toBe(hex(target))
    if (payload) expect(hex(sent.customPayload!.get('key')!)).toBe(hex(idOf(55)))
  })

  test.each(VERSIONS)(
    'v%i: its id on Origin stays where only Target’s differs',
    async (version) => {
      const sending = await connect(version, 0)
      const statement = statementOf({ id: idOf(1), target: idOf(2), otherColumns: true })
      const sent = await forward(sending, executeOf(version, idOf(1)), { statement })
      expect(sent.statementId).toBe(hex(idOf(1)))
    },
  )

  const COLUMNS = [Version.V3, Version.V4, Version.DSE_V1].flatMap((version) =>
    [idOf(1), idOf(2), idOf(2, 9)].map((target) => ({ version, target, length: target.length })),
  )
  const skipping = (version: Version, id: Uint8Array, skipMetadata: boolean): Uint8Array =>
    buildEnvelope(
      version,
      0,
      5,
      Opcode.EXECUTE,
      executeBody(version, { id: Buffer.from(id) }, { values: ['v', null], skipMetadata }),
    )

  test.each(COLUMNS)(
    'v$version: asks for metadata where the rows have other columns there (an id of $length bytes)',
    async ({ version, target }) => {
      for (const [cluster, asks] of [
        [0, false],
        [1, true],
      ] as const) {
        const sending = await connect(version, cluster)
        const statement = statementOf({ id: idOf(1), target, otherColumns: true })
        const sent = await forward(sending, skipping(version, idOf(1), true), { statement })
        const expected = skipping(version, cluster === 0 ? idOf(1) : target, !asks)
        expect(hex(sent.envelope.body)).toBe(hex(expected.subarray(HEADER_LENGTH)))
      }
    },
  )

  test('v5: the client’s result metadata id tells the node, and stays', async () => {
    const sending = await connect(Version.V5, 1)
    const statement = statementOf({ id: idOf(1), target: idOf(2), otherColumns: true })
    const sent = await forward(sending, executeOf(Version.V5, idOf(1)), { statement })
    const expected = executeOf(Version.V5, idOf(2))
    expect(hex(sent.envelope.body)).toBe(hex(expected.subarray(HEADER_LENGTH)))
  })

  test.each(VERSIONS)(
    'v%i: one that is cut off behind its id is left to the node',
    async (version) => {
      const sending = await connect(version, 1)
      const statement = statementOf({ id: idOf(1), target: idOf(2), otherColumns: true })
      const body = new BodyWriter().writeShortBytes(idOf(1)).toBytes()
      // The whole one first, so that its bytes lie behind in the reused buffer.
      await forward(sending, executeOf(version, idOf(1)), { statement })
      const sent = await forward(sending, buildEnvelope(version, 0, 5, Opcode.EXECUTE, body), {
        statement,
      })
      expect(hex(sent.envelope.body)).toBe(hex(new BodyWriter().writeShortBytes(idOf(2)).toBytes()))
    },
  )
})

describe('a BATCH', () => {
  const IDS = { 'of the same length': 16, shorter: 3, longer: 40 }
  const cases = VERSIONS.flatMap((version) =>
    Object.entries(IDS).map(([name, length]) => ({ version, name, length })),
  )

  test.each(cases)(
    'v$version: each child has its id on Target, $name',
    async ({ version, length }) => {
      const sending = await connect(version, 1)
      const statements = [
        statementOf({ id: idOf(1), target: idOf(21, length) }),
        statementOf({ id: idOf(2) }),
        statementOf({ id: idOf(3), target: idOf(23, length) }),
      ]
      const children = (ids: readonly Uint8Array[]) =>
        batchBody(version, [
          { id: ids[0]!, values: ['a'] },
          { text: 'INSERT INTO ks.t (k) VALUES (?)', values: ['b', null] },
          { id: ids[1]! },
          { id: ids[2]!, values: ['c'.repeat(300)] },
          { id: ids[0]! },
        ])
      const body = children([idOf(1), idOf(2), idOf(3)])
      const envelope = buildEnvelope(version, 0, 5, Opcode.BATCH, body)
      const batch = readBatch(envelope, version, statements)
      const sent = await forward(sending, envelope, { batch })
      const expected = children([idOf(21, length), idOf(2), idOf(23, length)])
      expect(hex(sent.envelope.body)).toBe(hex(expected))
    },
  )
})

describe('messageStart', () => {
  test('is behind the header, or behind a custom payload', () => {
    const plain = executeOf(Version.V4, idOf(1))
    const paid = executeOf(Version.V4, idOf(1), { payload: true })
    expect(messageStart(plain, 0, plain.length)).toBe(HEADER_LENGTH)
    const start = messageStart(paid, 0, paid.length)
    expect(hex(paid.subarray(start))).toBe(hex(plain.subarray(HEADER_LENGTH)))
  })
})
