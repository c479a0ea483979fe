/**
 * What clients may send and no client should: the sender gets the protocol's error or is closed, nobody
 * else notices, nothing stays behind.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ErrorCode, Opcode, ResultKind, Version } from '../../src/cql/protocol.ts'
import {
  batchBody,
  executeBody,
  plainTokenBody,
  prepareBody,
  queryBody,
  readError,
  registerBody,
  resultKind,
  startupBody,
} from '../support/fake-cluster/request-bodies.ts'
import { delay } from '../support/fake-cluster/script.ts'
import { buildEnvelope, encodeFrames } from '../support/fake-cluster/wire.ts'
import { eventually, type PlaneRig, startPlane } from '../support/plane.ts'
import type { RawClient } from '../support/raw-client.ts'

const READ = 'SELECT * FROM ks.t'
const WRITE = 'INSERT INTO ks.t (k) VALUES (1)'
const VERSIONS = [Version.V3, Version.V4, Version.V5]

const framed = (version: number, bytes: Uint8Array): Uint8Array =>
  version === Version.V5 ? encodeFrames(bytes) : bytes

/** Nothing above INFO but once per cause, and no fault of our own. */
const expectQuiet = (rig: PlaneRig): void => {
  const loud = rig.log.filter(({ level }) => level === 'error' || level === 'fatal')
  expect(loud).toEqual([])
  const warnings = rig.log.filter(({ level }) => level === 'warn').map(({ code }) => code)
  expect(warnings.filter((code) => code !== 'CLUSTER_WITHOUT_AUTHENTICATION')).toEqual([])
  expect(rig.series().clientsClosed.internalError).toBe(0)
}

describe('a version that nobody speaks', () => {
  test.each([0, 1, 6, 7, 0x40, 0x43, 0x7f])(
    '%i: PROTOCOL_ERROR on stream 0, once for each envelope; the connection may step down',
    async (version) => {
      const rig = await startPlane({ origin: { maxVersion: Version.V4 } })
      const driver = await rig.connect()
      const bad = buildEnvelope(version, 0, 17, Opcode.STARTUP, startupBody())
      driver.sendRaw(Buffer.concat([bad, bad]))
      for (const answer of [await driver.next(), await driver.next()]) {
        expect(answer).toMatchObject({ streamId: 0, version: Version.V4 })
        expect(readError(answer)).toMatchObject({
          code: ErrorCode.PROTOCOL_ERROR,
          message: expect.stringContaining(`unsupported protocol version (${version})`),
        })
      }
      expect((await driver.handshake()).opcode).toBe(Opcode.READY)
      expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
      expect(driver.unread).toEqual([])
      expectQuiet(rig)
    },
  )

  test('in a frame it is the end: nothing can step down there', async () => {
    const rig = await startPlane()
    const driver = await rig.client(Version.V5)
    driver.sendRaw(encodeFrames(buildEnvelope(6, 0, 1, Opcode.QUERY, queryBody(5, READ))))
    expect(readError(await driver.next()).message).toContain('protocol version (6)')
    await driver.closed
  })

  test('on a connection that is ready it is refused in the connection’s version', async () => {
    const rig = await startPlane()
    const driver = await rig.client(Version.V3)
    driver.sendRaw(buildEnvelope(6, 0, 1, Opcode.QUERY, queryBody(5, READ)))
    expect(await driver.next()).toMatchObject({ streamId: 0, version: Version.V3 })
    expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
  })

  test('with a length that cannot be true: once, and closed', async () => {
    const rig = await startPlane()
    const driver = await rig.connect()
    const bad = buildEnvelope(6, 0, 17, Opcode.STARTUP, startupBody())
    bad.writeInt32BE(-1, 5)
    driver.sendRaw(Buffer.concat([bad, bad]))
    expect((await driver.next()).streamId).toBe(0)
    await driver.closed
    expect(driver.unread).toEqual([])
  })

  test.each([
    [Version.V2, ['2'], Version.V2],
    [Version.V5, ['5', 'DseV2'], Version.V4],
    [Version.V3, ['3', '4', '5'], Version.V5],
  ] as const)(
    'v%i, blocked by %j, is refused in v%i like one of them',
    async (version, blockedProtocolVersions, errorVersion) => {
      const minVersion = version === Version.V2 ? Version.V2 : Version.V3
      const rig = await startPlane({
        origin: { minVersion, maxVersion: version === Version.V2 ? Version.V2 : Version.V5 },
        target: { minVersion },
        settings: { blockedProtocolVersions },
      })
      const driver = await rig.connect({ version })
      driver.sendRaw(driver.envelope(Opcode.STARTUP, startupBody(), { streamId: 9 }))
      const answer = await driver.next()
      expect(answer).toMatchObject({ streamId: 0, version: errorVersion })
      const { message } = readError(answer)
      expect(message).toContain(`unsupported protocol version (${version})`)
      for (const blocked of blockedProtocolVersions) {
        expect(message).not.toContain(`${blocked}/v${blocked}`)
      }
    },
  )

  test('a blocked version on a connection that steps down to another', async () => {
    const rig = await startPlane({ settings: { blockedProtocolVersions: ['5'] } })
    const driver = await rig.connect({ version: Version.V4 })
    driver.sendRaw(buildEnvelope(5, 0, 1, Opcode.STARTUP, startupBody()))
    expect(await driver.next()).toMatchObject({ streamId: 0, version: Version.V4 })
    expect((await driver.handshake()).opcode).toBe(Opcode.READY)
    expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
  })

  test('an answer instead of a request', async () => {
    const rig = await startPlane()
    const driver = await rig.client()
    driver.sendRaw(buildEnvelope(0x84, 0, 1, Opcode.READY, new Uint8Array(0)))
    expect(readError(await driver.next()).message).toContain('direction')
    await driver.closed
  })

  test('a TLS handshake on the port without TLS', async () => {
    const rig = await startPlane()
    const driver = await rig.connect()
    driver.sendRaw(Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3))
    expect(readError(await driver.next()).code).toBe(ErrorCode.PROTOCOL_ERROR)
    await driver.closed
  })

  test('in the middle of a connection: what was asked before is not answered by something else', async () => {
    const rig = await startPlane()
    const driver = await rig.client()
    const held = delay()
    rig.origin.on({ text: /FROM ks/ }, held)
    const read = driver.query(READ)
    await eventually(() => rig.used('origin') === 1)
    driver.sendRaw(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
    const answer = await driver.next()
    expect(answer.streamId).toBe(0)
    await driver.closed
    await expect(read).rejects.toThrow('closed')
    held.release()
    await rig.idle()
    expectQuiet(rig)
  })
})

describe.each(VERSIONS)('v%i: bodies', (version) => {
  const flagged = (flags: number, opcode: number, body: Uint8Array): Buffer =>
    buildEnvelope(version, flags, 9, opcode, body)
  const id = Buffer.alloc(16)
  const negativeLength = Buffer.from([0x80, 0, 0, 0, 1, 2, 3])

  const REFUSED: readonly (readonly [name: string, envelope: Buffer])[] = [
    ['an empty QUERY', flagged(0, Opcode.QUERY, new Uint8Array(0))],
    ['a QUERY of a negative length', flagged(0, Opcode.QUERY, negativeLength)],
    [
      'a QUERY that is cut off in its text',
      flagged(0, Opcode.QUERY, queryBody(version, WRITE).subarray(0, 20)),
    ],
    [
      'a USE that is cut off behind its text',
      flagged(0, Opcode.QUERY, queryBody(version, 'USE ks1').subarray(0, 11)),
    ],
    [
      'a system query that is cut off',
      flagged(0, Opcode.QUERY, queryBody(version, 'SELECT * FROM system.local').subarray(0, 31)),
    ],
    ['an empty PREPARE', flagged(0, Opcode.PREPARE, new Uint8Array(0))],
    ['a PREPARE of a negative length', flagged(0, Opcode.PREPARE, negativeLength)],
    ['an empty EXECUTE', flagged(0, Opcode.EXECUTE, new Uint8Array(0))],
    [
      'an EXECUTE that is cut off in its id',
      flagged(0, Opcode.EXECUTE, executeBody(version, { id }).subarray(0, 9)),
    ],
    ['an empty BATCH', flagged(0, Opcode.BATCH, new Uint8Array(0))],
    ['a BATCH that ends behind its count', flagged(0, Opcode.BATCH, Buffer.from([0, 0, 1]))],
    ['a BATCH with a child of no kind', flagged(0, Opcode.BATCH, Buffer.from([0, 0, 1, 7, 0, 0]))],
    [
      'a BATCH that lacks a child',
      flagged(0, Opcode.BATCH, batchBody(version, [{ text: 'x' }, { text: 'y' }]).subarray(0, 14)),
    ],
    ['an empty REGISTER', flagged(0, Opcode.REGISTER, new Uint8Array(0))],
    ['a custom payload that is cut off', flagged(4, Opcode.QUERY, Buffer.from([0, 9, 0, 1, 65]))],
    ...(version === Version.V5
      ? []
      : [
          ['the flag of compression', flagged(1, Opcode.QUERY, queryBody(version, WRITE))] as const,
        ]),
    ['an opcode of answers', flagged(0, Opcode.RESULT, Buffer.from([0, 0, 0, 1]))],
    ['an opcode of nobody', flagged(0, 0x77, Buffer.from([1, 2, 3]))],
    ['an AUTH_RESPONSE', flagged(0, Opcode.AUTH_RESPONSE, plainTokenBody('u', 'p'))],
  ]
  test.each(REFUSED)(
    '%s: PROTOCOL_ERROR on its stream id, nothing sent, the connection goes on',
    async (_, envelope) => {
      const rig = await startPlane()
      const driver = await rig.client(version)
      rig.clear()
      driver.sendRaw(framed(version, envelope))
      const answer = await driver.next()
      expect(answer.streamId).toBe(9)
      expect(readError(answer).code).toBe(ErrorCode.PROTOCOL_ERROR)
      expect([...rig.origin.received, ...rig.target.received]).toEqual([])
      expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
      await rig.idle()
      expectQuiet(rig)
    },
  )

  test('a negative stream id is answered under it', async () => {
    const rig = await startPlane()
    const driver = await rig.client(version)
    const answer = await driver.query(WRITE, { streamId: -1 })
    expect(readError(answer).message).toContain('stream id -1')
  })

  test('another version than the STARTUP’s', async () => {
    const rig = await startPlane()
    const driver = await rig.client(version)
    const other = version === Version.V4 ? Version.V3 : Version.V4
    driver.sendRaw(
      framed(version, buildEnvelope(other, 0, 5, Opcode.QUERY, queryBody(other, READ))),
    )
    const answer = await driver.next()
    expect(answer).toMatchObject({ streamId: 5, version })
    expect(readError(answer).message).toContain('version')
    expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
  })

  test('parameters that only a cluster understands are its business', async () => {
    const rig = await startPlane()
    const driver = await rig.client(version)
    const body = queryBody(version, WRITE)
    const answer = await driver.request(Opcode.QUERY, body.subarray(0, body.length - 1))
    expect(readError(answer).code).toBe(ErrorCode.PROTOCOL_ERROR)
    expect(rig.origin.received.at(-1)!.opcode).toBe(Opcode.QUERY)
    await rig.idle()
  })
})

describe('v5 frames', () => {
  test.each([
    ['header', 3],
    ['payload', 8],
  ] as const)('with a damaged %s: PROTOCOL_ERROR on stream 0, closed', async (_, at) => {
    const rig = await startPlane()
    const driver = await rig.client(Version.V5)
    const frame = encodeFrames(driver.envelope(Opcode.QUERY, queryBody(5, READ)))
    frame[at]! ^= 0xff
    driver.sendRaw(frame)
    const answer = await driver.next()
    expect(answer.streamId).toBe(0)
    expect(readError(answer)).toMatchObject({
      code: ErrorCode.PROTOCOL_ERROR,
      message: expect.stringContaining('CRC'),
    })
    await driver.closed
  })

  test('missing where they are due', async () => {
    const rig = await startPlane()
    const driver = await rig.client(Version.V5)
    driver.sendRaw(driver.envelope(Opcode.QUERY, queryBody(5, READ)))
    expect((await driver.next()).streamId).toBe(0)
    await driver.closed
  })

  test('of one byte of envelope each', async () => {
    const rig = await startPlane()
    const driver = await rig.client(Version.V5)
    const envelope = driver.envelope(Opcode.QUERY, queryBody(5, READ), { streamId: 77 })
    driver.sendRaw(Buffer.concat(Array.from(envelope, (byte) => notSelfContained(byte))))
    const answer = await driver.next()
    expect(answer.streamId).toBe(77)
    expect(resultKind(answer)).toBe(ResultKind.ROWS)
  })

  test('several envelopes in one', async () => {
    const rig = await startPlane()
    const driver = await rig.client(Version.V5)
    const envelopes = [1, 2, 3].map((streamId) =>
      driver.envelope(Opcode.QUERY, queryBody(5, READ), { streamId: 100 + streamId }),
    )
    driver.sendRaw(encodeFrames(Buffer.concat(envelopes)))
    const streams = [await driver.next(), await driver.next(), await driver.next()]
    expect(streams.map(({ streamId }) => streamId)).toEqual([101, 102, 103])
  })
})

/** A frame of one byte that says that its envelope is not whole. */
const notSelfContained = (byte: number): Buffer => {
  const long = encodeFrames(Buffer.alloc(0x1ffff + 1, byte))
  // The second frame of two carries the one byte that did not fit.
  return long.subarray(0x1ffff + 10)
}

test('a request that comes byte by byte', async () => {
  const rig = await startPlane()
  const driver = await rig.client()
  const envelope = driver.envelope(Opcode.QUERY, queryBody(4, READ), { streamId: 3 })
  for (const byte of envelope) {
    driver.sendRaw(Uint8Array.of(byte))
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(resultKind(await driver.next())).toBe(ResultKind.ROWS)
})

test('a client that goes in the middle of a request', async () => {
  const rig = await startPlane()
  const driver = await rig.client()
  const envelope = driver.envelope(Opcode.QUERY, queryBody(4, WRITE))
  rig.clear()
  driver.sendRaw(envelope.subarray(0, envelope.length - 1))
  driver.endWriting()
  await driver.closed
  await eventually(() => rig.series().clientConnections === 0)
  expect([...rig.origin.received, ...rig.target.received]).toEqual([])
})

describe('whatever comes', () => {
  const PREPARED = 'INSERT INTO ks.t (k, v) VALUES (?, ?)'

  /** Valid requests of a version, to be mutated. */
  const validRequests = (version: Version, id: Uint8Array): Buffer[] => {
    const make = (opcode: number, body: Uint8Array): Buffer =>
      buildEnvelope(version, 0, 11, opcode, body)
    const ids = { id, resultMetadataId: id }
    return [
      make(Opcode.QUERY, queryBody(version, READ)),
      make(Opcode.QUERY, queryBody(version, WRITE, { values: ['a', null], pageSize: 5 })),
      make(Opcode.QUERY, queryBody(version, 'SELECT * FROM system.peers')),
      make(Opcode.QUERY, queryBody(version, 'USE ks1')),
      make(Opcode.PREPARE, prepareBody(version, PREPARED)),
      make(Opcode.PREPARE, prepareBody(version, 'SELECT * FROM system.local')),
      make(Opcode.EXECUTE, executeBody(version, ids, { values: ['a', 'b'] })),
      make(Opcode.BATCH, batchBody(version, [{ id, values: ['a', 'b'] }, { text: WRITE }])),
      make(Opcode.REGISTER, registerBody(['SCHEMA_CHANGE'])),
      make(Opcode.OPTIONS, new Uint8Array(0)),
      make(Opcode.STARTUP, startupBody()),
      make(Opcode.AUTH_RESPONSE, plainTokenBody('u', 'p')),
    ]
  }

  type Mutation = { readonly at: number; readonly bytes: Uint8Array; readonly cut: number }
  const mutation: fc.Arbitrary<Mutation> = fc.record({
    at: fc.nat(80),
    bytes: fc.uint8Array({ maxLength: 4 }),
    cut: fc.nat(60),
  })

  const mutate = (envelope: Buffer, { at, bytes, cut }: Mutation, fixLength: boolean): Buffer => {
    const copy = Buffer.from(envelope)
    copy.set(bytes.subarray(0, Math.max(0, copy.length - at)), Math.min(at, copy.length))
    const kept = copy.subarray(0, Math.max(9, copy.length - cut))
    if (fixLength) kept.writeInt32BE(kept.length - 9, 5)
    return kept
  }

  /** Sends it, then closes; the client never reads. */
  const attack = async (rig: PlaneRig, version: Version, bytes: Uint8Array, isReady: boolean) => {
    const driver = await rig.connect({ version })
    if (isReady) await driver.handshake()
    driver.sendRaw(bytes)
    driver.endWriting()
    await driver.closed
  }

  /** Another client asks all the while; all its requests are answered. */
  const witness = async (rig: PlaneRig, driver: RawClient, work: () => Promise<void>) => {
    const asked = [
      driver.query(READ),
      driver.query(WRITE),
      driver.query('SELECT * FROM system.local'),
    ]
    await work()
    const answers = await Promise.all([...asked, driver.query(READ)])
    expect(answers.map(resultKind)).toEqual([
      ResultKind.ROWS,
      ResultKind.VOID,
      ResultKind.ROWS,
      ResultKind.ROWS,
    ])
    expect(rig.series().clientsClosed.internalError).toBe(0)
  }

  const settleAndCheck = async (rig: PlaneRig, driver: RawClient): Promise<void> => {
    await driver.close()
    await rig.idle()
    await eventually(() => rig.series().clientConnections === 0)
    expectQuiet(rig)
    expect(rig.series().inflight).toEqual({ readsOrigin: 0, readsTarget: 0, writes: 0 })
    expect(rig.series().upstreamConnectionsLost).toEqual({ origin: 0, target: 0 })
    expect(rig.origin.violations).toEqual([])
    expect(rig.target.violations).toEqual([])
  }

  test.each(['before READY', 'after READY'])('random bytes %s', async (when) => {
    const rig = await startPlane()
    const driver = await rig.client()
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 1, maxLength: 300 }),
        fc.constantFrom(...VERSIONS),
        async (bytes, version) => {
          const isReady = when === 'after READY'
          await witness(rig, driver, () => attack(rig, version, bytes, isReady))
        },
      ),
      { numRuns: 100 },
    )
    await settleAndCheck(rig, driver)
  })

  test.each(VERSIONS)('v%i: mutated requests', async (version) => {
    const rig = await startPlane({ settings: { primaryCluster: 'TARGET' } })
    const driver = await rig.client()
    const { id } = await driver.prepare(PREPARED)
    const requests = validRequests(version, id)
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom(...requests), mutation, fc.boolean()), {
          minLength: 1,
          maxLength: 6,
        }),
        fc.boolean(),
        async (parts, isReady) => {
          const envelopes = parts.map(([envelope, change, fix]) => mutate(envelope, change, fix))
          const bytes = Buffer.concat(envelopes)
          const sent = isReady ? framed(version, bytes) : bytes
          await witness(rig, driver, () => attack(rig, version, sent, isReady))
        },
      ),
      { numRuns: 150 },
    )
    await settleAndCheck(rig, driver)
  })

  test.each(VERSIONS)(
    'v%i: a request whose body is wrong is answered all the same',
    async (version) => {
      const rig = await startPlane()
      const setUp = await rig.client(version)
      const { id } = await setUp.prepare(PREPARED)
      // REGISTER, OPTIONS and USE change the connection; the other requests do not.
      const requests = validRequests(version, id).slice(0, 8)
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(...requests), mutation, async (envelope, change) => {
          const driver = await rig.client(version)
          // The header stays: version, flags, stream id and opcode are right.
          const bytes = mutate(envelope, { ...change, at: change.at + 9 }, true)
          driver.sendRaw(framed(version, bytes))
          const answer = await driver.next()
          expect(answer.streamId).toBe(11)
          expect([Opcode.RESULT, Opcode.ERROR]).toContain(answer.opcode)
          await driver.close()
        }),
        { numRuns: 150 },
      )
      await settleAndCheck(rig, setUp)
    },
  )
})
