/** Request ids in the custom payload: what two fake clusters get, and what is logged (request-path §5.8). */
import { describe, expect, test } from 'vitest'
import { EnvelopeFlag, ErrorCode, Opcode, ResultKind, Version } from '../../src/cql/protocol.ts'
import { sendWithPayload } from '../support/custom-payload.ts'
import { FakeClock } from '../support/fake-clock.ts'
import type { FakeCluster } from '../support/fake-cluster/cluster.ts'
import {
  batchBody,
  executeBody,
  prepareBody,
  queryBody,
  resultKind,
} from '../support/fake-cluster/request-bodies.ts'
import { type Received, respondError } from '../support/fake-cluster/script.ts'
import { eventually, type PlaneRig, type PlaneRigOptions, startPlane } from '../support/plane.ts'
import type { RawClient } from '../support/raw-client.ts'

const KEY = 'request-id'
const READ = 'SELECT * FROM ks.t'
const WRITE = 'INSERT INTO ks.t (k) VALUES (?)'
const VERSIONS = Object.values(Version)
const WITH_PAYLOAD = VERSIONS.filter((version) => version >= Version.V4)

const start = (
  settings: PlaneRigOptions['settings'] = {},
  more: PlaneRigOptions = {},
): Promise<PlaneRig> => {
  const cluster = { versions: VERSIONS, compressions: ['lz4'] as const }
  return startPlane({
    ...more,
    origin: cluster,
    target: cluster,
    settings: { tracingEnabled: true, ...settings },
  })
}

/** Sends a request, with a custom payload where there is one. */
const ask = (
  driver: RawClient,
  opcode: number,
  body: Uint8Array,
  payload: Readonly<Record<string, string | null>> | null = null,
) =>
  payload === null ? driver.request(opcode, body) : sendWithPayload(driver, opcode, body, payload)

/** What a cluster got of a client's under an opcode. */
const got = (cluster: FakeCluster, opcode: number): Received[] =>
  cluster.received.filter((request) => request.opcode === opcode && request.connection > 0)

/** The payload as text; ids of 16 bytes as 'new'. Undefined where the request had none. */
const payloadOf = ({ customPayload }: Received): Record<string, string | null> | undefined =>
  customPayload &&
  Object.fromEntries(
    [...customPayload].map(([key, value]) => [
      key,
      value === null ? null : isUuid(value) ? 'new' : Buffer.from(value).toString(),
    ]),
  )

const isUuid = (value: Uint8Array): boolean =>
  value.length === 16 && value[6]! >> 4 === 4 && value[8]! >> 6 === 2

const idOf = ({ customPayload }: Received): string =>
  Buffer.from(customPayload!.get(KEY)!).toString('hex')

type Line = Record<string, unknown>

/** The lines of traced requests, without what differs from run to run. */
const linesOf = (rig: PlaneRig): Line[] =>
  rig.log
    .filter(({ code }) => code === 'TRACED_REQUEST' || code === 'TRACED_ANSWER')
    .map((line: Line) => {
      const { time: _, level, component: __, msg: ___, node, client, ...rest } = line
      expect(level).toBe('info')
      expect(line['code'] === 'TRACED_REQUEST' ? client : node).toMatch(/^127\.0\.\d+\.\d+/)
      return rest
    })

type Kind = 'QUERY' | 'PREPARE' | 'EXECUTE' | 'BATCH'
const KINDS: readonly Kind[] = ['QUERY', 'PREPARE', 'EXECUTE', 'BATCH']

const bodyOf = async (driver: RawClient, kind: Kind): Promise<Uint8Array> => {
  const { version } = driver
  if (kind === 'QUERY') return queryBody(version, WRITE, { values: ['1'] })
  if (kind === 'PREPARE') return prepareBody(version, WRITE)
  const prepared = await driver.prepare(WRITE)
  if (kind === 'EXECUTE') return executeBody(version, prepared, { values: ['1'] })
  return batchBody(version, [{ id: prepared.id, values: ['1'] }, { text: 'DELETE FROM ks.t' }])
}

type Payload = Readonly<Record<string, string | null>>
/** What a client sends, and what the clusters get with ids on and off. Key order is that of the bytes. */
const PAYLOADS: readonly (readonly [
  what: string,
  sent: Payload | null,
  on: Payload,
  off: Payload | undefined,
])[] = [
  ['no payload', null, { [KEY]: 'new' }, undefined],
  ['an empty payload', {}, { [KEY]: 'new' }, {}],
  ['other entries', { a: '1', b: '' }, { [KEY]: 'new', a: '1', b: '' }, { a: '1', b: '' }],
  ['an id of the client’s', { a: '1', [KEY]: 'mine' }, { a: '1', [KEY]: 'mine' }, { a: '1' }],
  ['an empty id', { [KEY]: '' }, { [KEY]: '' }, {}],
  ['null for an id', { [KEY]: null, a: '1' }, { [KEY]: 'new', a: '1' }, { a: '1' }],
  [
    'a key that is only like it',
    { 'Request-Id': 'x' },
    { [KEY]: 'new', 'Request-Id': 'x' },
    { 'Request-Id': 'x' },
  ],
]

describe.each(WITH_PAYLOAD)('v%i', (version) => {
  test.each(PAYLOADS)('%s: both clusters get the same', async (_, sent, on, off) => {
    for (const isEnabled of [true, false]) {
      const rig = await start({ tracingEnabled: isEnabled })
      const driver = await rig.client(version)
      for (const kind of KINDS) {
        const body = await bodyOf(driver, kind)
        rig.clear()
        const answer = await ask(driver, Opcode[kind], body, sent)
        expect([kind, answer.opcode]).toEqual([kind, Opcode.RESULT])
        const [origin, target] = [rig.origin, rig.target].map((c) => got(c, Opcode[kind]))
        expect([kind, origin!.map(payloadOf)]).toEqual([kind, [isEnabled ? on : off]])
        expect(target!.map(({ customPayload }) => customPayload)).toEqual(
          origin!.map(({ customPayload }) => customPayload),
        )
        // All behind the payload is as it came, but for a cluster's own statement ids.
        if (kind === 'QUERY' || kind === 'PREPARE') {
          for (const { envelope } of [...origin!, ...target!]) {
            expect(envelope.body.subarray(-body.length)).toEqual(Buffer.from(body))
          }
        }
      }
      expect([...rig.origin.violations, ...rig.target.violations]).toEqual([])
      await rig.idle()
    }
  })

  test('each request has an id of its own; a read too, and USE', async () => {
    const rig = await start()
    const driver = await rig.client(version)
    await driver.query(READ)
    await driver.query(READ)
    expect(resultKind(await driver.query('USE ks'))).toBe(ResultKind.SET_KEYSPACE)
    const payloads = got(rig.origin, Opcode.QUERY).map((one) => payloadOf(one)?.[KEY])
    expect(payloads.filter((id) => id === 'new')).toHaveLength(3)
    const reads = got(rig.origin, Opcode.QUERY).filter(({ text }) => text === READ)
    expect(new Set(reads.map(idOf)).size).toBe(2)
  })
})

test.each([Version.V2, Version.V3])('v%i has no payload: all goes as it came', async (version) => {
  const rig = await start()
  const driver = await rig.client(version)
  for (const kind of KINDS) {
    expect((await driver.request(Opcode[kind], await bodyOf(driver, kind))).opcode).toBe(
      Opcode.RESULT,
    )
  }
  const all = [rig.origin, rig.target].flatMap(({ received }) => received)
  expect(all.filter(({ flags }) => (flags & EnvelopeFlag.CUSTOM_PAYLOAD) !== 0)).toEqual([])
  expect(linesOf(rig)).toEqual([])
})

test('a compressed request reaches the clusters with its id, decompressed', async () => {
  const rig = await start()
  const driver = await rig.connect({ version: Version.V4, compression: 'lz4' })
  await driver.handshake()
  await driver.query(WRITE, { values: ['1'] })
  for (const cluster of [rig.origin, rig.target]) {
    const [query] = got(cluster, Opcode.QUERY)
    expect(payloadOf(query!)).toEqual({ [KEY]: 'new' })
    expect(query!.text).toBe(WRITE)
  }
  await rig.idle()
})

test('off, a compressed request without a payload stays compressed', async () => {
  const rig = await start({ tracingEnabled: false })
  const driver = await rig.connect({ version: Version.V4, compression: 'lz4' })
  await driver.handshake()
  await driver.query(WRITE, { values: ['1'] })
  expect(got(rig.target, Opcode.QUERY)[0]!.envelope.bytes[1]! & EnvelopeFlag.COMPRESSION).toBe(1)
})

test('a heal sends the same bytes again', async () => {
  const rig = await start()
  const driver = await rig.client()
  const prepared = await driver.prepare(WRITE)
  rig.origin.forgetPrepared()
  rig.target.forgetPrepared()
  rig.clear()
  await driver.execute(prepared, { values: ['x'] })
  for (const cluster of [rig.origin, rig.target]) {
    const bodies = got(cluster, Opcode.EXECUTE).map(({ envelope }) => envelope.body)
    expect(bodies).toHaveLength(2)
    expect(bodies[1]).toEqual(bodies[0])
  }
  const answers = linesOf(rig).filter(({ code }) => code === 'TRACED_ANSWER')
  expect(answers.slice(-4).map(({ answer }) => answer)).toEqual([
    ...Array(2).fill('error 0x2500'),
    ...Array(2).fill('success'),
  ])
})

test('a statement that another thread knows: one id, one line', async () => {
  const first = await start()
  const prepared = await (await first.client()).prepare(WRITE)
  const shared = first.plane.prepared.find(prepared.id, 0, prepared.id.length)!.share()
  const rig = await start({}, { askOthers: () => Promise.resolve(shared) })
  const answer = await (await rig.client()).execute(prepared, { values: ['x'] })
  expect(resultKind(answer)).toBe(ResultKind.VOID)
  expect(linesOf(rig).filter(({ opcode }) => opcode === 'EXECUTE')).toHaveLength(1)
  const ids = [rig.origin, rig.target].flatMap((cluster) => got(cluster, Opcode.EXECUTE).map(idOf))
  expect(new Set(ids).size).toBe(1)
})

test('above the rate every id is taken out, and requests go on', async () => {
  const clock = new FakeClock()
  const rig = await start({ tracingRateLimit: 2 }, { clock })
  const driver = await rig.client()
  const sent = { [KEY]: 'mine', a: '1' }
  for (let i = 0; i < 4; i++) await ask(driver, Opcode.QUERY, queryBody(4, READ), sent)
  await driver.query(READ)
  clock.advance(500)
  await driver.query(READ)
  await driver.query(READ)
  const payloads = got(rig.origin, Opcode.QUERY).map(payloadOf)
  expect(payloads).toEqual([
    sent,
    sent,
    { a: '1' },
    { a: '1' },
    undefined,
    { [KEY]: 'new' },
    undefined,
  ])
  expect(linesOf(rig)).toHaveLength(6)
})

test.each([
  ['x-trace', 'x-trace'],
  ['', ''],
  ['é✓', 'é✓'],
])('the key can be %j', async (_, key) => {
  const rig = await start({ tracingRequestIdKey: key })
  await (await rig.client()).query(READ)
  expect(payloadOf(got(rig.origin, Opcode.QUERY)[0]!)).toEqual({ [key]: 'new' })
})

describe('the log', () => {
  test('has a line for each request and each answer, none left out', async () => {
    const rig = await start()
    const driver = await rig.client()
    rig.target.on({ text: /DELETE/ }, respondError(ErrorCode.OVERLOADED))
    const id = Buffer.from('mine').toString('hex')
    const asked: readonly (readonly [opcode: Kind, body: Uint8Array])[] = [
      ['QUERY', queryBody(4, READ)],
      ['QUERY', queryBody(4, READ)],
      ['QUERY', queryBody(4, 'DELETE FROM ks.t')],
      ['PREPARE', prepareBody(4, WRITE)],
      ['QUERY', queryBody(4, 'SELECT * FROM system.local')],
    ]
    let last = -1
    for (const [opcode, body] of asked) {
      last = (await ask(driver, Opcode[opcode], body, { [KEY]: 'mine' })).streamId
    }
    const first = last - asked.length + 1
    const request = (at: number) => ({
      code: 'TRACED_REQUEST',
      requestId: id,
      streamId: first + at,
      opcode: asked[at]![0],
    })
    const answer = (at: number, cluster: string, text = 'success') => ({
      code: 'TRACED_ANSWER',
      requestId: id,
      streamId: first + at,
      cluster,
      answer: text,
    })
    const lines = linesOf(rig)
    const expected = [
      [request(0), answer(0, 'origin')],
      [request(1), answer(1, 'origin')],
      [request(2), answer(2, 'origin'), answer(2, 'target', 'error 0x1001')],
      [request(3), answer(3, 'origin'), answer(3, 'target')],
      [request(4)],
    ]
    expect(lines).toHaveLength(expected.flat().length)
    for (const [at, some] of expected.entries()) {
      const ofIt = lines.filter(({ streamId }) => streamId === first + at)
      expect(ofIt).toEqual(expect.arrayContaining(some))
    }
  })

  test('has the ids that the clusters have got', async () => {
    const rig = await start()
    await (await rig.client()).query(READ)
    const id = idOf(got(rig.origin, Opcode.QUERY)[0]!)
    expect(linesOf(rig).map(({ requestId }) => requestId)).toEqual([id, id])
  })

  test('shows at most 64 bytes of what a client sends', async () => {
    const rig = await start()
    const long = 'x'.repeat(1000)
    await ask(await rig.client(), Opcode.QUERY, queryBody(4, READ), { [KEY]: long })
    expect(linesOf(rig)[0]!['requestId']).toBe('78'.repeat(64))
  })

  test('tells the answers to copies of reads apart', async () => {
    const rig = await start({ readMode: 'DUAL_ASYNC_ON_SECONDARY' })
    const driver = await rig.client()
    await eventually(() => rig.target.openConnections.length > 2)
    const copies = () => linesOf(rig).filter(({ isCopy }) => isCopy === true)
    while (copies().length === 0) await driver.query(READ)
    expect(copies()[0]).toMatchObject({ cluster: 'target', answer: 'success' })
  })

  test('off, tells nothing', async () => {
    const rig = await start({ tracingEnabled: false })
    await ask(await rig.client(), Opcode.QUERY, queryBody(4, READ), { [KEY]: 'mine' })
    expect(linesOf(rig)).toEqual([])
  })
})

test('a custom payload that is cut off is a protocol error, and the connection lives', async () => {
  for (const tracingEnabled of [true, false]) {
    const rig = await start({ tracingEnabled })
    const driver = await rig.client()
    const flags = EnvelopeFlag.CUSTOM_PAYLOAD
    const answer = await driver.request(Opcode.QUERY, Buffer.from([0, 1, 0, 9, 1]), { flags })
    expect(answer.opcode).toBe(Opcode.ERROR)
    expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
  }
})
