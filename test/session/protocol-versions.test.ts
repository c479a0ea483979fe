/** Every protocol version through the proxy: what each has of its own, and what all have alike. */
import { describe, expect, test } from 'vitest'
import { decodeResult } from '../../src/cql/messages/result.ts'
import {
  EnvelopeFlag,
  ErrorCode,
  Opcode,
  ResultKind,
  Version,
  versionTraits,
} from '../../src/cql/protocol.ts'
import { BodyReader } from '../../src/cql/reader.ts'
import { widenCollection } from '../../src/cql/short-collections.ts'
import { decodeTextSet } from '../../src/cql/values.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import type { FakeCluster } from '../support/fake-cluster/cluster.ts'
import {
  executeBody,
  prepareBody,
  queryBody,
  readError,
  readPrepared,
  readSetKeyspace,
  readTextRows,
  registerBody,
  resultKind,
} from '../support/fake-cluster/request-bodies.ts'
import { delay, respond } from '../support/fake-cluster/script.ts'
import { buildEnvelope, type Envelope } from '../support/fake-cluster/wire.ts'
import { eventually, type PlaneRig, someTurns, startPlane } from '../support/plane.ts'

const READ = 'SELECT * FROM ks.t'
const WRITE = 'INSERT INTO ks.t (k) VALUES (?)'
const VERSIONS = [
  Version.V2,
  Version.V3,
  Version.V4,
  Version.V5,
  Version.DSE_V1,
  Version.DSE_V2,
] as const
const DSE_VERSIONS = [Version.DSE_V1, Version.DSE_V2] as const

/** Clusters that speak one version only, for the control connections as well. */
const startOf = (version: Version, options: Parameters<typeof startPlane>[0] = {}) =>
  startPlane({
    ...options,
    origin: { versions: [version], ...options.origin },
    target: { versions: [version], ...options.target },
    settings: { controlConnMaxProtocolVersion: 'DseV2', ...options.settings },
  })

const tokensIn = (answer: Envelope, version: Version): string[] => {
  const traits = versionTraits(version)!
  const result = decodeResult(new BodyReader(answer.body), traits)
  if (result.kind !== ResultKind.ROWS) throw new Error(`RESULT of kind ${result.kind}`)
  const column = result.metadata.columns![0]!
  const value = result.rows[0]![0]!
  return [...decodeTextSet(traits.hasIntCollections ? value : widenCollection(column.type, value)!)]
}

describe.each(VERSIONS)('v%i, spoken by both clusters and nothing else', (version) => {
  test('QUERY, USE, PREPARE, EXECUTE, BATCH, OPTIONS', async () => {
    const rig = await startOf(version)
    const driver = await rig.client(version)
    const rows = await driver.query(READ, { streamId: 127 })
    expect(rows).toMatchObject({ version, streamId: 127 })
    expect(readTextRows(rows).rows).toEqual([['origin']])
    expect(readSetKeyspace(await driver.query('USE ks1'))).toBe('ks1')
    const prepared = await driver.prepare('INSERT INTO t (k) VALUES (?)')
    expect(resultKind(await driver.execute(prepared, { values: ['1'] }))).toBe(ResultKind.VOID)
    const children = [{ id: prepared.id, values: ['2'] }, { text: 'DELETE FROM t WHERE k = 3' }]
    expect(resultKind(await driver.batch(children))).toBe(ResultKind.VOID)
    for (const { received, violations } of [rig.origin, rig.target]) {
      const batch = received.find(({ opcode }) => opcode === Opcode.BATCH)!
      expect(batch.children!.map(({ text }) => text)).toEqual([
        'INSERT INTO t (k) VALUES (?)',
        'DELETE FROM t WHERE k = 3',
      ])
      expect(batch).toMatchObject({ version, keyspace: 'ks1' })
      expect(received.find(({ opcode }) => opcode === Opcode.EXECUTE)!.values).toEqual([
        Buffer.from('1'),
      ])
      expect(violations).toEqual([])
    }
    const supported = await driver.request(Opcode.OPTIONS, new Uint8Array(0))
    expect(supported.body.toString()).toContain(String(version))
    await rig.idle()
  })

  test('an UNPREPARED of one node is healed', async () => {
    const rig = await startOf(version)
    const driver = await rig.client(version)
    const prepared = await driver.prepare(WRITE)
    rig.target.forgetPrepared()
    expect(resultKind(await driver.execute(prepared, { values: ['1'] }))).toBe(ResultKind.VOID)
    expect(resultKind(await driver.batch([{ id: prepared.id, values: ['1'] }]))).toBe(
      ResultKind.VOID,
    )
  })

  test('the virtual tables, with collections as the version writes them', async () => {
    const rig = await startOf(version)
    const driver = await rig.client(version)
    const select = 'SELECT tokens FROM system.local'
    const tokens = tokensIn(await driver.query(select), version)
    expect(tokens.length).toBe(8)
    expect(tokens.every((token) => /^-?\d+$/.test(token))).toBe(true)
    const prepared = await driver.prepare(select)
    expect(tokensIn(await driver.execute(prepared), version)).toEqual(tokens)
  })

  test('a schema change reaches the client in its version’s form', async () => {
    const rig = await startOf(version)
    const driver = await rig.client(version)
    await driver.request(Opcode.REGISTER, registerBody(['SCHEMA_CHANGE']))
    await eventually(() => rig.origin.openConnections.some(({ eventTypes }) => eventTypes.size > 0))
    const change = { type: 'SCHEMA_CHANGE', change: 'CREATED', keyspace: 'ks' } as const
    rig.origin.pushEvent({ ...change, target: 'TABLE', name: 't' })
    const event = await driver.next()
    expect(event).toMatchObject({ version, opcode: Opcode.EVENT, streamId: -1 })
    const expected = new BodyWriter().writeString('SCHEMA_CHANGE').writeString('CREATED')
    if (version !== Version.V2) expected.writeString('TABLE')
    expected.writeString('ks').writeString('t')
    expect(event.body.toString('hex')).toBe(Buffer.from(expected.toBytes()).toString('hex'))
  })

  test('tracing: the id of the cluster whose answer is returned', async () => {
    const rig = await startOf(version, { target: { nodes: 1 } })
    const driver = await rig.client(version)
    const answer = await driver.query(READ, { flags: EnvelopeFlag.TRACING })
    expect(answer.flags & EnvelopeFlag.TRACING).toBe(EnvelopeFlag.TRACING)
    expect(rig.origin.received.at(-1)!.flags & EnvelopeFlag.TRACING).toBe(EnvelopeFlag.TRACING)
    expect(readTextRows(answer).rows).toEqual([['origin']])
    expect(answer.body.subarray(0, 6).toString()).toBe('origin')
    const write = await driver.query('DELETE FROM ks.t WHERE k = 1', {
      flags: EnvelopeFlag.TRACING,
    })
    expect(resultKind(write)).toBe(ResultKind.VOID)
    expect(write.body.length).toBe(16 + 4)
    for (const { received } of [rig.origin, rig.target]) {
      expect(received.at(-1)!.flags & EnvelopeFlag.TRACING).toBe(EnvelopeFlag.TRACING)
    }
  })
})

test.each(VERSIONS)(
  'v%i: the trace of a PREPARE and of a USE is the primary’s too',
  async (version) => {
    for (const primary of ['ORIGIN', 'TARGET'] as const) {
      const rig = await startOf(version, { settings: { primaryCluster: primary } })
      const driver = await rig.client(version)
      const flags = EnvelopeFlag.TRACING
      const prepared = await driver.request(Opcode.PREPARE, prepareBody(version, READ), { flags })
      const used = await driver.query('USE ks', { flags })
      for (const answer of [prepared, used]) {
        expect(answer.opcode).toBe(Opcode.RESULT)
        expect(answer.flags & flags).toBe(flags)
        expect(answer.body.subarray(0, 6).toString()).toBe(primary.toLowerCase())
      }
      expect(readTextRows(await driver.execute(readPrepared(prepared))).rows).toEqual([
        [primary.toLowerCase()],
      ])
    }
  },
)

describe.each([Version.V4, Version.V5, ...DSE_VERSIONS])('v%i', (version) => {
  test('warnings and a custom payload of the returned answer reach the client as they are', async () => {
    const rig = await startOf(version)
    const driver = await rig.client(version)
    const prefix = new BodyWriter()
      .writeStringList(['careful'])
      .writeShort(1)
      .writeString('key')
      .writeBytes(Buffer.from('value'))
    const body = Buffer.concat([prefix.toBytes(), new BodyWriter().writeInt(1).toBytes()])
    const flags = EnvelopeFlag.WARNING | EnvelopeFlag.CUSTOM_PAYLOAD
    rig.origin.on({ text: /INSERT/ }, respond({ opcode: Opcode.RESULT, flags, body }))
    const answer = await driver.query('INSERT INTO ks.t (k) VALUES (1)')
    expect(answer.flags).toBe(flags)
    expect(answer.body.equals(body)).toBe(true)
  })

  test('a request’s custom payload reaches both clusters, also where an id is overwritten', async () => {
    const rig = await startOf(version)
    const driver = await rig.client(version)
    const prepared = await driver.prepare(WRITE)
    const payload = new BodyWriter().writeShort(1).writeString('key').writeBytes(Buffer.from('v'))
    const execute = executeBody(version, prepared, { values: ['1'] })
    const body = Buffer.concat([payload.toBytes(), execute])
    const answer = await driver.request(Opcode.EXECUTE, body, {
      flags: EnvelopeFlag.CUSTOM_PAYLOAD,
    })
    expect(resultKind(answer)).toBe(ResultKind.VOID)
    for (const { received } of [rig.origin, rig.target]) {
      expect(received.at(-1)!.customPayload).toEqual(new Map([['key', Buffer.from('v')]]))
      expect(received.at(-1)!.values).toEqual([Buffer.from('1')])
    }
  })
})

test.each(VERSIONS)('v%i: the beta flag is passed on and ignored', async (version) => {
  const rig = await startOf(version)
  const driver = await rig.client(version)
  const answer = await driver.query(READ, { flags: EnvelopeFlag.USE_BETA })
  expect(resultKind(answer)).toBe(ResultKind.ROWS)
  expect(rig.origin.received.at(-1)!.flags).toBe(EnvelopeFlag.USE_BETA)
})

describe('stepping down', () => {
  test('a version that a cluster does not speak is refused on stream 0, then a lower one does', async () => {
    const rig = await startPlane({ origin: { maxVersion: Version.V3 } })
    const driver = await rig.connect({ version: Version.V3 })
    driver.sendRaw(buildEnvelope(5, 0, 9, Opcode.STARTUP, startup()))
    const answer = await driver.next()
    expect(answer).toMatchObject({ streamId: 0, version: Version.V3 })
    expect(readError(answer).message).toContain('unsupported protocol version (5)')
    expect((await driver.handshake()).opcode).toBe(Opcode.READY)
    expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
  })

  test('a cluster’s refusal in v2 has v2’s header for the client as well', async () => {
    const rig = await startPlane({
      origin: { versions: [Version.V2] },
      target: { minVersion: Version.V2 },
      settings: { controlConnMaxProtocolVersion: 'DseV2' },
    })
    const driver = await rig.connect({ version: Version.V2 })
    driver.sendRaw(buildEnvelope(4, 0, 9, Opcode.STARTUP, startup()))
    const answer = await driver.next()
    expect(answer).toMatchObject({ streamId: 0, version: Version.V2 })
    expect(readError(answer).message).toContain('unsupported protocol version (4)')
    expect((await driver.handshake()).opcode).toBe(Opcode.READY)
    expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
  })

  test('the control connections begin with DSE’s versions and end where the cluster is', async () => {
    const rig = await startOf(Version.V3)
    const tried = rig.origin.connections.map(({ version }) => version)
    // Refused connections are counted by the version that the node answers in.
    expect(tried.length).toBe(5)
    expect(rig.plane.snapshot.errorVersion).toBe(Version.V3)
  })

  test('next to DSE’s own versions its clusters have v4, in which errors are told', async () => {
    const versions = [Version.V3, Version.V4, Version.DSE_V1, Version.DSE_V2]
    const rig = await startPlane({
      origin: { versions },
      target: { versions },
      settings: { controlConnMaxProtocolVersion: 'DseV2' },
    })
    expect(rig.plane.snapshot.errorVersion).toBe(Version.V4)
    expect(rig.plane.snapshot.supported.get('PROTOCOL_VERSIONS')).toEqual([
      '3/v3',
      '4/v4',
      '65/dse-v1',
      '66/dse-v2',
    ])
  })
})

const startup = (): Uint8Array =>
  new BodyWriter().writeStringMap(new Map([['CQL_VERSION', '3.0.0']])).toBytes()

describe('v2', () => {
  const holdReads = (rig: PlaneRig): ReturnType<typeof delay> => {
    const held = delay()
    rig.origin.on({ text: /FROM ks/ }, held)
    return held
  }

  test('a client may use all of its 128 stream ids at once', async () => {
    const rig = await startOf(Version.V2)
    const driver = await rig.client(Version.V2)
    const held = holdReads(rig)
    const early = Array.from({ length: 64 }, (_, streamId) => driver.query(READ, { streamId }))
    await eventually(() => rig.used('origin') === 64)
    const nudge = driver.query(READ, { streamId: 64 })
    // Half of the ids of one connection are taken: another one is opened for the rest.
    const ready = (cluster: FakeCluster): number =>
      cluster.openConnections.filter(({ phase }) => phase === 'ready').length
    await eventually(() => ready(rig.origin) === 3)
    await someTurns()
    const late = Array.from({ length: 63 }, (_, i) => driver.query(READ, { streamId: 65 + i }))
    await eventually(() => rig.used('origin') === 128)
    held.release()
    const answers = await Promise.all([...early, nudge, ...late])
    expect(answers.map(({ streamId }) => streamId)).toEqual(
      Array.from({ length: 128 }, (_, i) => i),
    )
    expect(answers.every((answer) => resultKind(answer) === ResultKind.ROWS)).toBe(true)
    await rig.idle()
  })

  test('a negative stream id is refused under it', async () => {
    const rig = await startOf(Version.V2)
    const driver = await rig.client(Version.V2)
    const answer = await driver.query(READ, { streamId: -1 })
    expect(readError(answer).message).toContain('stream id -1')
  })
})

describe.each(DSE_VERSIONS)('v%i: continuous paging', (version) => {
  const asking = (body: Uint8Array, flagsAt: number): Uint8Array => {
    const asked = Buffer.from(body)
    asked.writeUInt32BE((asked.readUInt32BE(flagsAt) | 0x80000000) >>> 0, flagsAt)
    return asked
  }

  test('is refused under its stream id, and the nodes are not asked', async () => {
    const rig = await startOf(version)
    const driver = await rig.client(version)
    const prepared = await driver.prepare(WRITE)
    rig.clear()
    const query = asking(queryBody(version, READ), 4 + READ.length + 2)
    const metadataId = prepared.resultMetadataId
    const idsLength = 2 + prepared.id.length + (metadataId ? 2 + metadataId.length : 0)
    const execute = asking(executeBody(version, prepared), idsLength + 2)
    for (const [opcode, body] of [
      [Opcode.QUERY, query],
      [Opcode.EXECUTE, execute],
    ] as const) {
      const answer = await driver.request(opcode, body)
      expect(readError(answer)).toMatchObject({
        code: ErrorCode.INVALID,
        message: expect.stringContaining('Continuous paging'),
      })
    }
    expect([...rig.origin.received, ...rig.target.received]).toEqual([])
    expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
  })
})
