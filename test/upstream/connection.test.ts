import { describe, expect, test } from 'vitest'
import { OPCODE_OFFSET, readStreamId } from '../../src/cql/envelope.ts'
import { ErrorCode, Opcode, Version, versionTraits } from '../../src/cql/protocol.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import {
  UPSTREAM_QUEUED_BYTES_MAX,
  type UpstreamConnection,
} from '../../src/upstream/connection.ts'
import { ClusterError, ClusterErrorCode } from '../../src/upstream/errors.ts'
import { startUp } from '../../src/upstream/handshake.ts'
import { queryBody } from '../support/fake-cluster/request-bodies.ts'
import { errorAnswer, voidAnswer } from '../support/fake-cluster/results.ts'
import {
  answerTwice,
  delay,
  drop,
  forgeHeader,
  halfClose,
  rawBytes,
  resetSocket,
} from '../support/fake-cluster/script.ts'
import { buildEnvelope, encodeFrames } from '../support/fake-cluster/wire.ts'
import { STARTUP_OPTIONS, start } from './node-connections.ts'

const startReady = async (version: Version = Version.V4, streamIdsMax = 128) => {
  const { cluster, harness, listener } = await start()
  const traits = versionTraits(version)!
  const connection = await harness.openReady(cluster, { traits, streamIdsMax })
  return { cluster, harness, listener, connection }
}

const queryOf = (text: string, version: number = Version.V4): Uint8Array =>
  buildEnvelope(version, 0, 0, Opcode.QUERY, queryBody(version, text))

/** As the request path does it. */
const send = (connection: UpstreamConnection, request: number, text = 'SELECT * FROM ks.t') => {
  const envelope = queryOf(text, connection.traits.version)
  const slot = connection.slots.take(request)
  connection.send(slot, envelope, 0, envelope.length)
  return slot
}

const ask = (connection: UpstreamConnection, text = 'SELECT * FROM ks.t') =>
  connection.callEnvelope(queryOf(text, connection.traits.version))

/** Settles into the code of the ClusterError that it rejects with. */
const outcome = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'answered',
    (error: unknown) => (error instanceof ClusterError ? error.code : String(error)),
  )

const LONG_TEXT = `SELECT '${'x'.repeat(1024 * 1024)}' FROM ks.t`

/** Sends to a node that does not read until it shows; how many requests that took. */
const congest = async (connection: UpstreamConnection): Promise<number> => {
  let sent = 0
  while (!connection.isCongested) {
    send(connection, sent++, LONG_TEXT)
    await new Promise((resolve) => setImmediate(resolve))
  }
  return sent
}

const VERSIONS = [Version.V3, Version.V4, Version.V5]

describe('requests', () => {
  test.each(VERSIONS)('v%i: each answer finds its request, in whatever order', async (version) => {
    const { cluster, listener, connection } = await startReady(version)
    const held = delay()
    cluster.on({ text: /first/, times: 1 }, held)
    send(connection, 1001, 'SELECT first FROM ks.t')
    send(connection, 1002, 'SELECT second FROM ks.t')
    await listener.until(() => listener.answers.length === 1)
    held.release()
    await listener.until(() => listener.answers.length === 2)
    expect(listener.told).toEqual(['answer 1002', 'answer 1001'])
    expect(connection.slots.used).toBe(0)
    expect(cluster.violations).toEqual([])
  })

  test('go out under their slot, in one write per turn, and the caller may patch the copy', async () => {
    const { cluster, listener, connection } = await startReady()
    const envelope = queryOf('SELECT * FROM ks.xx')
    const original = envelope.slice()
    const slots = [7, 8].map((request) => {
      const slot = connection.slots.take(request)
      const at = connection.send(slot, envelope, 0, envelope.length)
      connection.outputBuffer[at + envelope.indexOf(0x78)] = 0x79
      return slot
    })
    await listener.until(() => listener.answers.length === 2)
    const queries = cluster.received.filter(({ opcode }) => opcode === Opcode.QUERY)
    expect(queries.map(({ streamId }) => streamId)).toEqual(slots)
    expect(queries.map(({ text }) => text)).toEqual(['SELECT * FROM ks.yx', 'SELECT * FROM ks.yx'])
    expect(envelope).toEqual(original)
  })

  test('the slot is free when the answer is handed over, so that the same id may go out again', async () => {
    const { listener, connection } = await startReady(Version.V4, 1)
    let again = 0
    const onAnswer = listener.onAnswer.bind(listener)
    listener.onAnswer = (from, request, bytes, start, end) => {
      if (again++ < 3) send(connection, request + 1)
      onAnswer(from, request, bytes, start, end)
    }
    send(connection, 1)
    await listener.until(() => listener.answers.length === 4)
    expect(listener.told).toEqual(['answer 1', 'answer 2', 'answer 3', 'answer 4'])
  })

  test('a late answer reaches nobody, and gives the stream id back', async () => {
    const { cluster, listener, connection } = await startReady(Version.V4, 2)
    const held = delay()
    cluster.on({ text: /slow/ }, held)
    const slot = send(connection, 1, 'SELECT slow FROM ks.t')
    await cluster.waitFor(({ text }) => text?.includes('slow') === true)
    connection.slots.orphan(slot)
    expect(connection.inFlight).toBe(0)
    expect(send(connection, 2, 'SELECT quick FROM ks.t')).not.toBe(slot)
    await listener.until(() => listener.answers.length === 1)
    held.release()
    await listener.until(() => listener.told.includes('late'))
    expect(listener.answers.map(({ request }) => request)).toEqual([2])
    expect(connection.slots.used).toBe(0)
    expect(connection.slots.orphans).toBe(0)
  })

  test('events are events', async () => {
    const { cluster, listener } = await startReady()
    cluster.connections[0]!.send(-1, { opcode: Opcode.EVENT, body: new Uint8Array(0) })
    await listener.until(() => listener.told.length > 0)
    expect(listener.told).toEqual(['event'])
  })
})

describe('calls', () => {
  test('get a copy of their answer, under stream ids of their own', async () => {
    const { connection } = await startReady()
    const [one, two] = await Promise.all([ask(connection), ask(connection)])
    expect(one!.opcode).toBe(Opcode.RESULT)
    expect(one!.envelope[OPCODE_OFFSET]).toBe(Opcode.RESULT)
    expect(readStreamId(one!.envelope, 0)).not.toBe(readStreamId(two!.envelope, 0))
    expect(connection.slots.used).toBe(0)
  })

  test('share the stream ids with requests, and are refused when all are taken', async () => {
    const { cluster, connection } = await startReady(Version.V4, 2)
    cluster.on({ opcode: Opcode.QUERY }, drop())
    send(connection, 1)
    const first = outcome(ask(connection))
    const error = await ask(connection).catch((cause: unknown) => cause)
    expect(error).toMatchObject({
      code: ClusterErrorCode.UNAVAILABLE,
      message: expect.stringContaining('all 2 stream ids'),
    })
    connection.destroy()
    expect(await first).toBe(ClusterErrorCode.CONNECTION_LOST)
  })

  test('that time out become orphans; their late answer is dropped', async () => {
    const { cluster, harness, listener, connection } = await startReady()
    const held = delay()
    cluster.on({ opcode: Opcode.QUERY, times: 1 }, held)
    const asked = outcome(ask(connection))
    await cluster.waitFor(({ opcode }) => opcode === Opcode.QUERY)
    harness.clock.advance(10_000)
    harness.sweep()
    harness.sweep()
    expect(await asked).toBe(ClusterErrorCode.TIMEOUT)
    expect(connection.slots.orphans).toBe(1)
    held.release()
    await listener.until(() => listener.told.includes('late'))
    expect(connection.slots.used).toBe(0)
    expect(await outcome(ask(connection))).toBe('answered')
  })

  test('on a closed connection are refused', async () => {
    const { listener, connection } = await startReady()
    connection.destroy()
    expect(await outcome(ask(connection))).toBe(ClusterErrorCode.CONNECTION_LOST)
    await listener.until(() => listener.lost.length > 0)
    expect(await outcome(ask(connection))).toBe(ClusterErrorCode.CONNECTION_LOST)
    expect(connection.slots.used).toBe(0)
  })
})

describe('v5 frames', () => {
  test('begin in the same chunk as the answer before them', async () => {
    const { cluster, harness, listener } = await start()
    const ready = buildEnvelope(0x85, 0, 1, Opcode.READY, new Uint8Array(0))
    const event = buildEnvelope(0x85, 0, -1, Opcode.EVENT, new Uint8Array(0))
    cluster.on({ opcode: Opcode.STARTUP }, rawBytes(Buffer.concat([ready, encodeFrames(event)])))
    const connection = await harness.open(cluster, { traits: versionTraits(Version.V5)! })
    await startUp(connection, STARTUP_OPTIONS)
    await listener.until(() => listener.told.length > 0)
    expect(listener.told).toEqual(['event'])
  })

  test('do not begin after an ERROR: the next attempt is bare again', async () => {
    const { cluster, harness } = await start()
    const refused = { kind: 'respond', answer: errorAnswer(ErrorCode.SERVER_ERROR, 'no') } as const
    cluster.on({ opcode: Opcode.STARTUP, times: 1 }, refused)
    const connection = await harness.open(cluster, { traits: versionTraits(Version.V5)! })
    await expect(startUp(connection, STARTUP_OPTIONS)).rejects.toThrow('no')
    expect((await startUp(connection, STARTUP_OPTIONS)).opcode).toBe(Opcode.READY)
    expect(cluster.violations).toEqual([])
  })

  test('carry requests and answers larger than a frame', async () => {
    const { cluster, listener, connection } = await startReady(Version.V5)
    const text = `SELECT '${'x'.repeat(400_000)}' FROM ks.t`
    const body = new Uint8Array(300_000).fill(7)
    body.set([0, 0, 0, 1])
    cluster.on({ text: /xxx/ }, { kind: 'respond', answer: { opcode: Opcode.RESULT, body } })
    send(connection, 5, text)
    await listener.until(() => listener.answers.length === 1)
    expect(listener.answers[0]!.envelope).toHaveLength(300_009)
    expect(cluster.received.at(-1)!.text).toBe(text)
    expect(cluster.violations).toEqual([])
  })
})

describe('a lost connection', () => {
  const LOSSES = {
    'the node resets it': resetSocket(),
    'the node closes its half': halfClose(),
    'bytes that are no envelope': rawBytes(Buffer.alloc(20, 0xff)),
    'a stream id that nobody uses': forgeHeader({ streamId: 77 }),
    'a body that cannot be': forgeHeader({ bodyLength: -1 }),
    'a second answer': answerTwice(),
  }

  test.each(Object.entries(LOSSES))(
    'by %s: tells once, with what was in flight',
    async (_, reaction) => {
      const { cluster, listener, connection } = await startReady()
      cluster.on({ opcode: Opcode.QUERY, text: /waiting/ }, drop())
      cluster.on({ opcode: Opcode.QUERY, text: /fatal/ }, reaction)
      let closed = 0
      connection.onClosed = () => {
        closed++
        listener.note('closed')
      }
      send(connection, 11, 'SELECT waiting FROM ks.t')
      const call = outcome(ask(connection, 'SELECT waiting FROM ks.t'))
      send(connection, 12, 'SELECT fatal FROM ks.t')
      expect(await call).toBe(ClusterErrorCode.CONNECTION_LOST)
      await listener.until(() => closed > 0)
      await cluster.waitUntil(() => cluster.openConnections.length === 0)
      expect(listener.lost).toHaveLength(1)
      expect(listener.lost[0]!.requests).toContain(11)
      const answered = listener.answers.map(({ request }) => request)
      const lost = listener.lost[0]!.requests
      expect([...lost, ...answered].sort()).toEqual([11, 12])
      expect(listener.told.slice(-2)).toEqual(['lost', 'closed'])
      expect(closed).toBe(1)
      expect(connection.state).toBe('closed')
      expect(connection.endsByWish).toBe(false)
    },
  )

  test('by an ERROR on stream 0 says what the node says, and answers nobody’s call', async () => {
    const { cluster, listener, connection } = await startReady()
    cluster.on({ opcode: Opcode.QUERY }, drop())
    const call = ask(connection).catch((error: unknown) => error)
    await cluster.waitFor(({ opcode }) => opcode === Opcode.QUERY)
    cluster.connections[0]!.send(0, errorAnswer(ErrorCode.PROTOCOL_ERROR, 'checksum mismatch'))
    expect(await call).toMatchObject({ code: ClusterErrorCode.CONNECTION_LOST })
    expect(listener.lost[0]!.cause?.message).toContain('checksum mismatch')
  })

  test('takes what is sent to it without a word, and never writes it', async () => {
    const { cluster, listener, connection } = await startReady()
    cluster.connections[0]!.destroy()
    await listener.until(() => listener.lost.length > 0)
    send(connection, 1)
    await new Promise((resolve) => setImmediate(resolve))
    expect(connection.isUsable).toBe(false)
    expect(connection.isCongested).toBe(false)
  })

  test('is unusable as soon as the node has closed its half', async () => {
    const { cluster, listener, connection } = await startReady()
    let stateWhenLost = ''
    listener.onLost = (lost) => {
      stateWhenLost = lost.state
      listener.note('lost')
    }
    cluster.on({ opcode: Opcode.QUERY }, halfClose())
    send(connection, 1)
    await listener.until(() => listener.told.includes('lost'))
    expect(stateWhenLost).toBe('closed')
    expect(connection.isUsable).toBe(false)
  })

  test('by an end of a node that does not read either does not wait for it', async () => {
    const { cluster, listener, connection } = await startReady()
    const [node] = cluster.connections
    node!.pause()
    const sent = await congest(connection)
    node!.socket.end()
    await listener.until(() => listener.lost.length > 0)
    expect(listener.lost[0]!.requests).toHaveLength(sent)
  })

  test('an answer of a malformed body ends the connection, not the process', async () => {
    const { listener, connection } = await startReady()
    listener.onAnswer = () => {
      throw new Error('cannot read it')
    }
    send(connection, 1)
    await listener.until(() => listener.lost.length > 0)
    expect(listener.lost[0]!.cause?.message).toBe('cannot read it')
  })
})

describe('a drained connection', () => {
  test('closes at once when nothing is in flight', async () => {
    const { cluster, listener, connection } = await startReady()
    connection.drain()
    expect(connection.isUsable).toBe(false)
    await listener.until(() => listener.lost.length > 0)
    await cluster.waitUntil(() => cluster.openConnections.length === 0)
    expect(connection.endsByWish).toBe(true)
    expect(listener.lost).toEqual([{ requests: [], cause: null }])
  })

  test('delivers what is in flight, requests and calls, and then closes', async () => {
    const { cluster, listener, connection } = await startReady()
    const held = delay()
    cluster.on({ opcode: Opcode.QUERY }, held)
    send(connection, 3)
    const call = outcome(ask(connection))
    await cluster.waitUntil(() => cluster.received.length === 3)
    connection.drain()
    connection.drain()
    expect(connection.state).toBe('draining')
    held.release()
    await listener.until(() => listener.lost.length > 0)
    expect(await call).toBe('answered')
    expect(listener.told).toEqual(['answer 3', 'lost'])
    expect(listener.lost[0]!.requests).toEqual([])
  })

  test('does not wait for answers that nobody waits for', async () => {
    const { cluster, harness, listener, connection } = await startReady()
    cluster.on({ opcode: Opcode.QUERY }, drop())
    const slot = send(connection, 3)
    const call = outcome(ask(connection))
    await cluster.waitUntil(() => cluster.received.length === 3)
    connection.drain()
    connection.slots.orphan(slot)
    harness.clock.advance(10_000)
    harness.sweep()
    expect(await call).toBe(ClusterErrorCode.TIMEOUT)
    await listener.until(() => listener.lost.length > 0)
    expect(connection.state).toBe('closed')
  })

  test('does not wait for a node that is stuck: the socket is gone', async () => {
    const { cluster, listener, connection } = await startReady()
    // It never answers our end with its own.
    cluster.connections[0]!.socket.removeAllListeners('end')
    connection.drain()
    await listener.until(() => listener.lost.length > 0)
    expect(connection.state).toBe('closed')
  })
})

describe('congestion', () => {
  test('is told while a node does not read, and its end too', async () => {
    const { cluster, listener, connection } = await startReady()
    const [node] = cluster.connections
    node!.pause()
    const sent = await congest(connection)
    expect(sent * LONG_TEXT.length).toBeGreaterThan(UPSTREAM_QUEUED_BYTES_MAX)
    node!.resume()
    await listener.until(() => listener.told.includes('writable'))
    expect(connection.isCongested).toBe(false)
    await listener.until(() => listener.answers.length === sent)
  })

  test('ends with the connection', async () => {
    const { cluster, listener, connection } = await startReady()
    const [node] = cluster.connections
    node!.pause()
    const sent = await congest(connection)
    node!.destroy()
    await listener.until(() => listener.lost.length > 0)
    expect(listener.lost[0]!.requests).toHaveLength(sent)
  })
})

describe('opening', () => {
  test('rejects with the cluster, the node and the cause', async () => {
    const { cluster, harness } = await start()
    await cluster.stopListening()
    const opening = harness.open(cluster, { cluster: 1, node: 'a label' })
    await expect(opening).rejects.toMatchObject({
      name: 'ClusterError',
      code: ClusterErrorCode.CONNECT_FAILED,
      cluster: 1,
      message: expect.stringMatching(/^Target: cannot connect to a label: .*ECONNREFUSED/),
    })
    expect(harness.listener.told).toEqual([])
  })

  test('is given up by its signal', async () => {
    const { cluster, harness } = await start()
    const opening = harness.open(cluster, {}, AbortSignal.abort())
    expect(await outcome(opening)).toBe(ClusterErrorCode.CONNECT_FAILED)
  })

  test('makes a connection that its signal does not end any more', async () => {
    const { cluster, harness } = await start()
    const abort = new AbortController()
    const connection = await harness.openReady(cluster, {}, {}, abort.signal)
    abort.abort()
    expect(await outcome(ask(connection))).toBe('answered')
  })
})

test('an answer in another version is taken, as from a node that steps down', async () => {
  const { cluster, listener, connection } = await startReady()
  cluster.on({ opcode: Opcode.QUERY }, forgeHeader({ versionByte: 0x83 }))
  send(connection, 1)
  await listener.until(() => listener.answers.length === 1)
})

test('an answer cut at every byte is put together', async () => {
  const { cluster, listener, connection } = await startReady()
  cluster.on({ opcode: Opcode.QUERY }, drop())
  const slot = send(connection, 21)
  await cluster.waitFor(({ opcode }) => opcode === Opcode.QUERY)
  const { body } = voidAnswer()
  const whole = buildEnvelope(0x84, 0, slot, Opcode.RESULT, body)
  for (const byte of whole) cluster.connections[0]!.sendRaw(Uint8Array.of(byte))
  await listener.until(() => listener.answers.length === 1)
  expect(Buffer.from(listener.answers[0]!.envelope).equals(whole)).toBe(true)
})

test('a v4 STARTUP body of the proxy is what a node expects', async () => {
  const { cluster, harness } = await start()
  const connection = await harness.open(cluster)
  const body = new BodyWriter().writeStringMap(STARTUP_OPTIONS)
  const answer = await connection.call(Opcode.STARTUP, body)
  expect(answer.opcode).toBe(Opcode.READY)
})
