/** Compressed bodies from the client through the proxy to both clusters and back. */
import { describe, expect, test } from 'vitest'
import { ErrorCode, Opcode, ResultKind, Version } from '../../src/cql/protocol.ts'
import { passwordAuthenticator } from '../support/fake-cluster/answers.ts'
import {
  plainTokenBody,
  queryBody,
  readError,
  readTextRows,
  resultKind,
  startupBody,
} from '../support/fake-cluster/request-bodies.ts'
import { rowsAnswer } from '../support/fake-cluster/results.ts'
import { respond, respondError } from '../support/fake-cluster/script.ts'
import {
  type Algorithm,
  buildEnvelope,
  compressBody,
  type Envelope,
  encodeLz4Frame,
} from '../support/fake-cluster/wire.ts'
import { type PlaneRig, startPlane } from '../support/plane.ts'
import type { RawClient } from '../support/raw-client.ts'

const READ = 'SELECT * FROM ks.t'
const WRITE = 'INSERT INTO ks.t (k) VALUES (?)'
const LONG = 'x'.repeat(3000)
const COMPRESSED = 1
const BOTH: readonly Algorithm[] = ['lz4', 'snappy']

const ENVELOPE_VERSIONS = [Version.V2, Version.V3, Version.V4, Version.DSE_V1, Version.DSE_V2]
const ENVELOPE_COMBINATIONS = ENVELOPE_VERSIONS.flatMap((version) =>
  BOTH.map((algorithm) => [version, algorithm] as const),
)
const COMBINATIONS: readonly (readonly [version: Version, algorithm: Algorithm])[] = [
  ...ENVELOPE_COMBINATIONS,
  [Version.V5, 'lz4'],
]

const startWith = (options: Parameters<typeof startPlane>[0] = {}): Promise<PlaneRig> => {
  const cluster = { compressions: BOTH, minVersion: Version.V2, maxVersion: Version.DSE_V2 }
  return startPlane({
    ...options,
    origin: { ...cluster, ...options.origin },
    target: { ...cluster, ...options.target },
  })
}

const connect = async (
  rig: PlaneRig,
  version: Version,
  compression: Algorithm,
): Promise<RawClient> => {
  const driver = await rig.connect({ version, compression })
  expect((await driver.handshake()).opcode).toBe(Opcode.READY)
  return driver
}

/** What both clusters got of the client's, without stream ids. */
const sentAs = (rig: PlaneRig, opcode: number): string[] =>
  [rig.origin, rig.target].flatMap(({ received }) =>
    received
      .filter((request) => request.opcode === opcode)
      .map(({ envelope }) => bodyBytes(envelope)),
  )

const bodyBytes = ({ version, bytes }: Envelope): string =>
  bytes.subarray(version === Version.V2 ? 8 : 9).toString('hex')

describe.each(COMBINATIONS)('v%i, %s', (version, algorithm) => {
  const isFramed = version === Version.V5

  test('everything that a client asks is answered', async () => {
    const rig = await startWith()
    const driver = await connect(rig, version, algorithm)
    expect(readTextRows(await driver.query(READ)).rows).toEqual([['origin']])
    expect(resultKind(await driver.query('USE ks1'))).toBe(ResultKind.SET_KEYSPACE)
    const prepared = await driver.prepare(WRITE)
    expect(resultKind(await driver.execute(prepared, { values: [LONG] }))).toBe(ResultKind.VOID)
    const children = [{ id: prepared.id, values: ['1'] }, { text: 'DELETE FROM ks.t WHERE k = 2' }]
    expect(resultKind(await driver.batch(children))).toBe(ResultKind.VOID)
    const local = readTextRows(await driver.query('SELECT cluster_name FROM system.local'))
    expect(local.rows).toEqual([['origin']])
    const options = await driver.request(Opcode.OPTIONS, new Uint8Array(0))
    expect(options.opcode).toBe(Opcode.SUPPORTED)
    for (const cluster of [rig.origin, rig.target]) {
      const execute = cluster.received.find(({ opcode }) => opcode === Opcode.EXECUTE)!
      expect(execute.values).toEqual([Buffer.from(LONG)])
      const agreed = cluster.openConnections.filter(({ compression }) => compression === algorithm)
      expect(agreed.length).toBeGreaterThan(0)
      expect(cluster.violations).toEqual([])
    }
    await rig.idle()
  })

  test('an ERROR is understood and relayed; an UNPREPARED is healed', async () => {
    const rig = await startWith()
    const driver = await connect(rig, version, algorithm)
    const prepared = await driver.prepare(WRITE)
    rig.origin.forgetPrepared()
    rig.target.forgetPrepared()
    expect(resultKind(await driver.execute(prepared, { values: [LONG] }))).toBe(ResultKind.VOID)
    rig.target.on({ text: /INSERT/ }, respondError(ErrorCode.OVERLOADED, 'busy'))
    const answer = await driver.execute(prepared, { values: ['1'] })
    expect(readError(answer)).toEqual({ code: ErrorCode.OVERLOADED, message: 'busy' })
    if (!isFramed) expect(answer.flags).toBe(COMPRESSED)
    const failed = rig.series().nodes.filter(({ cluster }) => cluster === 'target')
    expect(failed.some((node) => Object.values(node.failed).some((count) => count > 0))).toBe(true)
  })

  test('large bodies, cut by the network wherever it likes', async () => {
    const rig = await startWith()
    const driver = await connect(rig, version, algorithm)
    const big = Buffer.alloc(400_000, 'some text that repeats ')
    const prepared = await driver.prepare(WRITE)
    expect(resultKind(await driver.execute(prepared, { values: [big] }))).toBe(ResultKind.VOID)
    const values = rig.target.received.find(({ opcode }) => opcode === Opcode.EXECUTE)!.values!
    expect(Buffer.from(values[0] as Uint8Array).equals(big)).toBe(true)
  })
})

test('what is large and leaves small holds no client up, for the kernel takes it at once', async () => {
  const rig = await startWith()
  const driver = await connect(rig, Version.V5, 'lz4')
  const big = Buffer.alloc(8 * 1024 * 1024, 'some text that repeats ')
  const prepared = await driver.prepare(WRITE)
  const rows = rowsAnswer({
    name: { keyspace: 'ks', table: 't' },
    columns: [{ name: 'v', type: 'blob' }],
    rows: [[big]],
  })
  rig.origin.on({ text: /SELECT big/ }, respond(rows))
  for (let round = 0; round < 3; round++) {
    expect(resultKind(await driver.execute(prepared, { values: [big] }))).toBe(ResultKind.VOID)
    expect(resultKind(await driver.query('SELECT big FROM ks.t'))).toBe(ResultKind.ROWS)
  }
})

describe.each(ENVELOPE_COMBINATIONS)('v%i, %s', (version, algorithm) => {
  test('bodies that nothing changes are relayed as they came', async () => {
    const rig = await startWith({ origin: { salt: 'same' }, target: { salt: 'same' } })
    const driver = await connect(rig, version, algorithm)
    const prepared = await driver.prepare(WRITE)
    rig.clear()
    const query = driver.envelope(Opcode.QUERY, queryBody(version, `${READ} -- ${LONG}`))
    driver.send(query)
    const answer = await driver.next()
    expect(answer.flags).toBe(COMPRESSED)
    const rows = rig.origin.received[0]!
    expect(rows.flags).toBe(COMPRESSED)
    expect(bodyBytes(rows.envelope)).toBe(query.subarray(version === 2 ? 8 : 9).toString('hex'))
    await driver.execute(prepared, { values: [LONG] })
    const [atOrigin, atTarget] = sentAs(rig, Opcode.EXECUTE)
    expect(atOrigin).toBe(atTarget)
    expect(atOrigin!.length).toBeLessThan(LONG.length)
  })

  test('what another id is written into goes out decompressed', async () => {
    const rig = await startWith()
    const driver = await connect(rig, version, algorithm)
    const prepared = await driver.prepare(WRITE)
    await driver.execute(prepared, { values: [LONG] })
    const [origin, target] = [rig.origin, rig.target].map(
      ({ received }) => received.find(({ opcode }) => opcode === Opcode.EXECUTE)!,
    )
    expect(origin!.flags).toBe(COMPRESSED)
    expect(target!.flags).toBe(0)
    expect(target!.values).toEqual(origin!.values)
    expect(target!.statementId).not.toBe(origin!.statementId)
  })
})

describe('what is agreed', () => {
  test.each(['lz4', 'LZ4', 'Lz4', 'SNAPPY', 'snappy'])('%s in any case', async (name) => {
    const rig = await startWith()
    const driver = await rig.connect({ compression: name.toLowerCase() as Algorithm })
    const answer = await driver.handshake({ startupOptions: { COMPRESSION: name } })
    expect(answer.opcode).toBe(Opcode.READY)
    expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
    const { startupOptions } = rig.origin.openConnections.at(-1)!
    expect(startupOptions.get('COMPRESSION')).toBe(name.toLowerCase())
  })

  test.each([
    [Version.V4, 'zstd', 'Unknown compression algorithm: zstd'],
    [Version.V4, '', 'Unknown compression algorithm'],
    [Version.V4, 'snappy', 'have in common: lz4'],
    [Version.V5, 'snappy', 'Snappy compression is not supported in protocol V5'],
    [Version.V5, 'zstd', 'Unknown compression algorithm: zstd'],
  ] as const)(
    'v%i, %j is refused on its stream; the next STARTUP may do',
    async (version, name, text) => {
      const rig = await startWith({ target: { compressions: ['lz4'] } })
      const driver = await rig.connect({ version, compression: 'lz4' })
      const answer = await driver.request(Opcode.STARTUP, startupBody({ COMPRESSION: name }), {
        streamId: 5,
      })
      expect(readError(answer)).toMatchObject({
        code: ErrorCode.PROTOCOL_ERROR,
        message: expect.stringContaining(text),
      })
      expect((await driver.handshake()).opcode).toBe(Opcode.READY)
      expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
    },
  )

  test('clients with and without share nothing', async () => {
    const rig = await startWith()
    const packed = await connect(rig, Version.V4, 'lz4')
    const plain = await rig.client(Version.V4)
    const snappy = await connect(rig, Version.V4, 'snappy')
    for (const driver of [packed, plain, snappy]) {
      expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
    }
    const used = rig.origin.openConnections.map(({ compression }) => compression ?? 'none')
    // The control connection never compresses.
    expect(used).toEqual(['none', 'lz4', 'none', 'snappy'])
  })
})

describe('with credentials', () => {
  test.each(COMBINATIONS)('v%i, %s: the dialogue is compressed too', async (version, algorithm) => {
    const authenticator = passwordAuthenticator('user', 'secret')
    const credentials = { username: 'user', password: 'secret' }
    const rig = await startWith({
      origin: { authenticator },
      target: { authenticator },
      settings: {
        originUsername: 'user',
        originPassword: 'secret',
        targetUsername: 'user',
        targetPassword: 'secret',
      },
    })
    const driver = await rig.connect({ version, compression: algorithm })
    expect((await driver.handshake({ credentials })).opcode).toBe(Opcode.AUTH_SUCCESS)
    expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
  })
})

test('copied reads are answered and healed as others are', async () => {
  const rig = await startWith({ settings: { readMode: 'DUAL_ASYNC_ON_SECONDARY' } })
  const driver = await connect(rig, Version.V4, 'lz4')
  const prepared = await driver.prepare('SELECT * FROM ks.t WHERE k = ?')
  rig.target.forgetPrepared()
  expect(resultKind(await driver.execute(prepared, { values: ['1'] }))).toBe(ResultKind.ROWS)
  const isExecute = ({ opcode }: { opcode: number }): boolean => opcode === Opcode.EXECUTE
  await rig.target.waitUntil(() => rig.target.received.filter(isExecute).length === 2)
  expect(rig.target.received.filter(({ opcode }) => opcode === Opcode.PREPARE).length).toBe(2)
})

describe('what a client may not send', () => {
  const bomb = (length: number): Buffer => {
    const body = Buffer.alloc(length / 250)
    body.writeUInt32BE(length)
    return body
  }

  test('a body that becomes too large: PROTOCOL_ERROR on its stream id, nothing sent', async () => {
    const rig = await startWith({ settings: { proxyMaxEnvelopeMib: 1 } })
    const driver = await connect(rig, Version.V4, 'lz4')
    rig.clear()
    driver.sendRaw(buildEnvelope(4, COMPRESSED, 9, Opcode.QUERY, bomb(2 * 1024 * 1024)))
    const answer = await driver.next()
    expect(answer.streamId).toBe(9)
    expect(readError(answer)).toMatchObject({
      code: ErrorCode.PROTOCOL_ERROR,
      message: expect.stringContaining('when decompressed'),
    })
    expect(rig.origin.received).toEqual([])
    expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
  })

  test('one that is damaged: the same', async () => {
    const rig = await startWith()
    for (const algorithm of BOTH) {
      const driver = await connect(rig, Version.V4, algorithm)
      const packed = compressBody(algorithm, queryBody(4, READ))
      driver.sendRaw(
        buildEnvelope(4, COMPRESSED, 9, Opcode.QUERY, packed.subarray(0, packed.length - 4)),
      )
      expect(readError(await driver.next()).message).toContain('Cannot decompress')
      expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
    }
  })

  test('before READY a body of more than 128 KiB', async () => {
    const authenticator = passwordAuthenticator('user', 'secret')
    const rig = await startWith({
      origin: { authenticator },
      settings: { originUsername: 'user', originPassword: 'secret' },
    })
    const driver = await rig.connect({ compression: 'lz4' })
    expect((await driver.handshake()).opcode).toBe(Opcode.AUTHENTICATE)
    const body = compressBody('lz4', Buffer.alloc(129 * 1024))
    driver.sendRaw(buildEnvelope(4, COMPRESSED, 3, Opcode.AUTH_RESPONSE, body))
    expect(readError(await driver.next()).message).toContain('at most 131072')
  })

  test('a flag that was not agreed, before and after READY', async () => {
    const rig = await startWith()
    const driver = await rig.connect()
    const startup = compressBody('lz4', startupBody())
    driver.sendRaw(buildEnvelope(4, COMPRESSED, 3, Opcode.STARTUP, startup))
    expect(readError(await driver.next()).message).toContain('negotiated no compression')
    expect((await driver.handshake()).opcode).toBe(Opcode.READY)
    driver.sendRaw(buildEnvelope(4, COMPRESSED, 3, Opcode.QUERY, queryBody(4, READ)))
    expect(readError(await driver.next()).message).toContain('negotiated no compression')
  })

  test('the flag inside v5’s frames means nothing in the handshake either', async () => {
    const authenticator = passwordAuthenticator('user', 'secret')
    const rig = await startWith({
      origin: { authenticator },
      settings: { originUsername: 'user', originPassword: 'secret' },
    })
    const driver = await rig.connect({ version: Version.V5 })
    expect((await driver.handshake()).opcode).toBe(Opcode.AUTHENTICATE)
    const token = plainTokenBody('user', 'secret')
    const answer = await driver.request(Opcode.AUTH_RESPONSE, token, { flags: COMPRESSED })
    expect(answer.opcode).toBe(Opcode.AUTH_SUCCESS)
  })

  test('the flag inside v5’s frames means nothing, and does not reach the clusters', async () => {
    const rig = await startWith()
    const driver = await rig.client(Version.V5)
    const body = queryBody(5, READ)
    const answer = await driver.request(Opcode.QUERY, body, { flags: COMPRESSED })
    expect(resultKind(answer)).toBe(ResultKind.ROWS)
    expect(rig.origin.received.at(-1)!.flags).toBe(0)
  })

  test('a damaged block in a good frame: the connection’s end', async () => {
    const rig = await startWith()
    const driver = await connect(rig, Version.V5, 'lz4')
    const frame = encodeLz4Frame(Buffer.alloc(5000, 'abc'), true)
    driver.sendRaw(frame)
    expect((await driver.next()).streamId).toBe(0)
    await driver.closed
  })
})
