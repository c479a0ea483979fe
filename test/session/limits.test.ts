/** Every bound of the request path, and what happens at it (architecture §4). */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Server } from 'node:net'
import { describe, expect, test } from 'vitest'
import { ErrorCode, Opcode, ResultKind, Version } from '../../src/cql/protocol.ts'
import { NO_TLS } from '../../src/net/tls.ts'
import { afterTest } from '../support/after-test.ts'
import { Authority } from '../support/certificates.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { passwordAuthenticator } from '../support/fake-cluster/answers.ts'
import {
  queryBody,
  readError,
  resultKind,
  startupBody,
} from '../support/fake-cluster/request-bodies.ts'
import { rowsAnswer } from '../support/fake-cluster/results.ts'
import { delay, drop, respond } from '../support/fake-cluster/script.ts'
import { encodeFrames } from '../support/fake-cluster/wire.ts'
import { eventually, type PlaneRig, someTurns, startPlane } from '../support/plane.ts'
import type { RawClient } from '../support/raw-client.ts'

const READ = 'SELECT * FROM ks.t'
const WRITE = 'INSERT INTO ks.t (k) VALUES (1)'
const portOf = (server: Server): number | null => {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : null
}
const MIB = 1024 * 1024

describe.each(['shared', 'per_client'] as const)('%s: stream ids', (upstreamConnections) => {
  const start = () =>
    startPlane({
      settings: { upstreamConnections, upstreamConnectionsMaxPerNode: 1 },
      plane: { streamIdsMax: 4 },
    })

  test.each(['origin', 'target'] as const)(
    'all in use on %s: OVERLOADED, and nothing is sent to either cluster',
    async (full) => {
      const rig = await start()
      const driver = await rig.client()
      const prepared = await driver.prepare(WRITE)
      const held = delay()
      rig[full].on({ text: /.*/ }, held)
      const writes = Array.from({ length: 4 }, () => driver.query(WRITE))
      await eventually(() => rig.used(full) === 4)
      const other = full === 'origin' ? 'target' : 'origin'
      await eventually(() => rig.used(other) === 0)
      rig.clear()
      const refused = [
        await driver.query(WRITE),
        await driver.execute(prepared),
        await driver.batch([{ id: prepared.id }]),
      ]
      for (const answer of refused) {
        const error = readError(answer)
        expect(error.code).toBe(ErrorCode.OVERLOADED)
        expect(error.message.toLowerCase()).toContain(`${full}: all stream ids`)
      }
      expect([...rig.origin.received, ...rig.target.received]).toEqual([])
      expect(rig.plane.requests.inFlight).toBe(4)
      held.release()
      expect((await Promise.all(writes)).map(resultKind)).toEqual(Array(4).fill(ResultKind.VOID))
      expect(resultKind(await driver.query(WRITE))).toBe(ResultKind.VOID)
      await rig.idle()
    },
  )

  test('all in use on one cluster does not keep reads from the other', async () => {
    const rig = await start()
    const driver = await rig.client()
    rig.target.on({ text: /INSERT/ }, drop())
    for (let i = 0; i < 4; i++) void driver.query(WRITE)
    await eventually(() => rig.used('target') === 4 && rig.used('origin') === 0)
    expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
  })

  test('the client’s stream id is free again after OVERLOADED', async () => {
    const rig = await start()
    const driver = await rig.client()
    const held = delay()
    rig.target.on({ text: /INSERT/, times: 4 }, held)
    for (let i = 0; i < 4; i++) void driver.query(WRITE)
    await eventually(() => rig.used('target') === 4)
    const refused = await driver.query(WRITE, { streamId: 99 })
    expect(readError(refused).code).toBe(ErrorCode.OVERLOADED)
    held.release()
    await rig.idle()
    expect(resultKind(await driver.query(WRITE, { streamId: 99 }))).toBe(ResultKind.VOID)
  })
})

test('more in flight than one connection’s worth opens another one', async () => {
  const rig = await startPlane()
  const driver = await rig.client()
  const held = delay()
  rig.origin.on({ text: /FROM ks/ }, held)
  const reads = Array.from({ length: 400 }, () => driver.query(READ))
  await eventually(() => rig.used('origin') === 400)
  // Grown connections serve what comes next.
  await eventually(() => rig.series().nodes.some(({ connections }) => connections > 1))
  held.release()
  const kinds = (await Promise.all(reads)).map(resultKind)
  expect(kinds).toEqual(Array(400).fill(ResultKind.ROWS))
  await rig.idle()
})

describe.each([Version.V3, Version.V4, Version.V5])(
  'v%i: an envelope that is too large',
  (version) => {
    /** The header alone is enough: nobody waits for a body that is refused. */
    const header = (opcode: number, bodyLength: number): Buffer => {
      const bytes = Buffer.from([version, 0, 0, 1, opcode, 0, 0, 0, 0])
      bytes.writeInt32BE(bodyLength, 5)
      return bytes
    }

    test('before READY: PROTOCOL_ERROR on stream 0, closed', async () => {
      const rig = await startPlane()
      const driver = await rig.connect({ version })
      driver.sendRaw(header(Opcode.STARTUP, 128 * 1024 + 1))
      const answer = await driver.next()
      expect(answer.streamId).toBe(0)
      const error = readError(answer)
      expect(error.code).toBe(ErrorCode.PROTOCOL_ERROR)
      expect(error.message).toContain(String(128 * 1024))
      await driver.closed
    })

    test.each([MIB + 1, -1])(
      'after READY, %i bytes: PROTOCOL_ERROR on stream 0, closed',
      async (size) => {
        const rig = await startPlane({ settings: { proxyMaxEnvelopeMib: 1 } })
        const [driver, other] = [await rig.client(version), await rig.client(version)]
        const bytes = header(Opcode.QUERY, size)
        driver.sendRaw(version === Version.V5 ? encodeFrames(bytes) : bytes)
        const answer = await driver.next()
        expect(answer.streamId).toBe(0)
        expect(readError(answer).code).toBe(ErrorCode.PROTOCOL_ERROR)
        await driver.closed
        expect(resultKind(await other.query(READ))).toBe(ResultKind.ROWS)
        expect(rig.series().clientsClosed.protocolError).toBe(1)
      },
    )

    test('one that is just small enough passes', async () => {
      const rig = await startPlane({ settings: { proxyMaxEnvelopeMib: 1 } })
      const driver = await rig.client(version)
      const overhead = queryBody(version, '').length
      const body = queryBody(version, WRITE.padEnd(MIB - overhead))
      expect(body.length).toBe(MIB)
      expect(resultKind(await driver.request(Opcode.QUERY, body))).toBe(ResultKind.VOID)
      expect(rig.target.received.at(-1)!.envelope.body.equals(body)).toBe(true)
    })
  },
)

test('more requests before READY than anybody needs: closed', async () => {
  const rig = await startPlane()
  rig.origin.on({ opcode: Opcode.STARTUP }, drop())
  const driver = await rig.connect()
  driver.handshake().catch(() => {})
  const body = Buffer.alloc(100 * 1024)
  for (let i = 0; i < 3; i++) driver.sendRaw(driver.envelope(Opcode.QUERY, body))
  const answer = await driver.next()
  expect(readError(answer).code).toBe(ErrorCode.PROTOCOL_ERROR)
  await driver.closed
})

test('requests that came before READY are carried out after it', async () => {
  const rig = await startPlane()
  const held = delay()
  rig.origin.on({ opcode: Opcode.STARTUP }, held)
  const driver = await rig.connect()
  const ready = driver.handshake()
  const writes = Array.from({ length: 20 }, () => driver.query(WRITE))
  await rig.origin.waitUntil(() => rig.origin.connections.length > 1)
  held.release()
  expect((await ready).opcode).toBe(Opcode.READY)
  expect((await Promise.all(writes)).map(resultKind)).toEqual(Array(20).fill(ResultKind.VOID))
  await rig.idle()
})

/** Each is closed without a byte. */
const refuseThree = async (rig: PlaneRig): Promise<void> => {
  for (let i = 0; i < 3; i++) {
    const refused = await rig.connect()
    refused.sendRaw(Buffer.from([4]))
    await refused.closed
    expect(refused.transcript).toEqual([])
  }
}

/** Of two clients one goes, and another is served. */
const replaceOne = async (rig: PlaneRig, gone: RawClient): Promise<void> => {
  await gone.close()
  await eventually(() => rig.series().clientConnections === 1)
  const next = await rig.client()
  expect(resultKind(await next.query(READ))).toBe(ResultKind.ROWS)
}

test('too many clients: closed without a byte, until one has gone', async () => {
  const rig = await startPlane({ settings: { proxyMaxClientConnections: 2 } })
  const clients = [await rig.client(), await rig.client()]
  await refuseThree(rig)
  await eventually(() => rig.series().clientsClosed.limit === 3)
  expect(rig.log.filter(({ code }) => code === 'CLIENT_LIMIT')).toHaveLength(1)
  await replaceOne(rig, clients[0]!)
})

test('too many clients of one address: closed without a byte, until one has gone', async () => {
  const rig = await startPlane({ settings: { proxyMaxClientConnectionsPerAddress: 2 } })
  const clients = [await rig.client(), await rig.client()]
  await refuseThree(rig)
  await eventually(() => rig.series().clientsClosed.addressLimit === 3)
  expect(rig.series().clientsClosed.limit).toBe(0)
  const client = expect.stringMatching(/^127\.0\.0\.1:/)
  const lines = rig.log.filter(({ code }) => code === 'CLIENT_ADDRESS_LIMIT')
  expect(lines).toEqual([expect.objectContaining({ level: 'warn', client })])
  await replaceOne(rig, clients[0]!)
})

test('a connection that the system does not hand over is counted and told', async () => {
  const rig = await startPlane()
  // What Node does when accept(2) reports an error.
  const fail = (message: unknown): void => {
    const { socket } = message as { socket: { server: Server } }
    if (portOf(socket.server) === rig.port) socket.server.emit('error', new Error('accept EMFILE'))
  }
  subscribe('net.server.socket', fail)
  afterTest(() => unsubscribe('net.server.socket', fail))
  const driver = await rig.client()
  expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
  expect(rig.series().clientsClosed.accept).toBe(1)
  const line = rig.log.find(({ code }) => code === 'CLIENT_ACCEPT_FAILED')
  expect(line?.msg).toContain('accept EMFILE')
})

test('who only looks whether somebody listens is refused nothing', async () => {
  const rig = await startPlane({
    settings: { proxyMaxClientConnections: 1, proxyMaxClientConnectionsPerAddress: 1 },
  })
  await rig.client()
  for (let i = 0; i < 3; i++) await (await rig.connect()).closed
  await someTurns()
  expect(rig.series().clientsClosed).toMatchObject({ limit: 0, addressLimit: 0 })
  expect(rig.log.filter(({ code }) => /CLIENT_.*LIMIT/.test(code))).toEqual([])
})

describe('the handshake deadline', () => {
  const SILENCES: readonly (readonly [name: string, begin: (driver: RawClient) => void])[] = [
    ['nothing at all', () => {}],
    ['half a header', (driver) => driver.sendRaw(Buffer.from([4, 0, 0]))],
    ['OPTIONS only', (driver) => void driver.request(Opcode.OPTIONS, new Uint8Array(0))],
    ['a STARTUP that no cluster answers', (driver) => void driver.handshake().catch(() => {})],
  ]

  test.each(SILENCES)('a client that sends %s is closed', async (_, begin) => {
    const clock = new FakeClock()
    const rig = await startPlane({ clock })
    rig.origin.on({ opcode: Opcode.STARTUP }, drop())
    const driver = await rig.connect()
    begin(driver)
    await eventually(() => rig.series().clientConnections === 1)
    await someTurns()
    clock.advance(10_000)
    expect(driver.socket.closed).toBe(false)
    clock.advance(500)
    await driver.closed
    expect(rig.series().clientsClosed.handshakeTimeout).toBe(1)
    await eventually(() => rig.series().clientConnections === 0)
  })

  test.each([
    ['origin', false],
    ['target', false],
    ['target', true],
  ] as const)(
    'passes while %s makes the client wait: it is told, counted and logged (asked for credentials: %s)',
    async (cluster, isAsked) => {
      const clock = new FakeClock()
      const other = cluster === 'origin' ? 'target' : 'origin'
      const asking = isAsked ? { authenticator: passwordAuthenticator('u', 'p') } : {}
      const settings = { proxyRequestTimeoutMs: 60_000, targetUsername: 'u', targetPassword: 'p' }
      const rig = await startPlane({ clock, settings, [cluster]: asking })
      const held = delay()
      rig[cluster].on({ opcode: Opcode.STARTUP }, held)
      const driver = await rig.connect({ version: 4 })
      const answer = driver.request(Opcode.STARTUP, startupBody())
      // What it has sent in advance is not carried out any more.
      driver.send(driver.envelope(Opcode.QUERY, queryBody(4, WRITE)))
      await rig[cluster].waitFor(({ opcode }) => opcode === Opcode.STARTUP)
      await someTurns()
      clock.advance(10_500)
      const error = readError(await answer)
      expect(error.code).toBe(ErrorCode.OVERLOADED)
      expect(error.message.toLowerCase()).toContain(`${cluster}: no connection was ready within`)
      await driver.ended
      held.release()
      await driver.closed
      await eventually(() => rig.series().clientConnections === 0)
      expect(rig.series().failedConnections).toEqual({ [cluster]: 1, [other]: 0 })
      expect(rig.series().clientsClosed.handshakeTimeout).toBe(1)
      const lines = rig.log.filter(({ code }) => code === 'CLUSTER_CONNECT_FAILED')
      expect(lines).toMatchObject([{ level: 'error', cluster }])
      expect(rig.origin.received.filter(({ text }) => text === WRITE)).toEqual([])
      expect(driver.unread).toEqual([])
    },
  )

  test('a client that is ready may be silent for as long as it likes', async () => {
    const clock = new FakeClock()
    const rig = await startPlane({ clock })
    const driver = await rig.client()
    clock.advance(3_600_000)
    expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
  })
})

describe('a client that does not read', () => {
  const bigRows = (bytes: number) =>
    rowsAnswer({
      name: { keyspace: 'ks', table: 't' },
      columns: [{ name: 'v', type: 'blob' }],
      rows: [[Buffer.alloc(bytes)]],
    })

  test('is not read from past 1 MiB of answers, and goes on when it reads', async () => {
    const rig = await startPlane()
    const driver = await rig.client()
    rig.origin.on({ text: /big/ }, respond(bigRows(256 * 1024)))
    driver.socket.pause()
    const reads: Promise<unknown>[] = []
    const ask = (): void => void reads.push(driver.query('SELECT big FROM ks.t'))
    // What fills the kernel's buffers on both sides as well.
    for (let i = 0; i < 60; i++) ask()
    const asked = (): number =>
      rig.origin.received.filter(({ text }) => text?.includes('big')).length
    await eventually(() => asked() === 60 && rig.used('origin') === 0)
    for (let i = 0; i < 10; i++) ask()
    await someTurns(50)
    const askedBefore = asked()
    for (let i = 0; i < 10; i++) ask()
    await someTurns(50)
    expect(asked()).toBe(askedBefore)
    driver.socket.resume()
    await Promise.all(reads)
    expect(asked()).toBe(80)
    await rig.idle()
  })

  test('is closed when too much is queued; others go on', async () => {
    const rig = await startPlane({ plane: { clientOutputBytesMax: 2 * MIB } })
    const [driver, other] = [await rig.client(), await rig.client()]
    rig.origin.on({ text: /big/ }, respond(bigRows(512 * 1024)))
    driver.socket.pause()
    for (let i = 0; i < 60; i++) void driver.query('SELECT big FROM ks.t')
    await eventually(() => rig.series().clientConnections === 1)
    expect(resultKind(await other.query(READ))).toBe(ResultKind.ROWS)
    await rig.idle()
    driver.socket.resume()
    await driver.closed
  })

  test('counts once, however many answers come for it until it is gone', async () => {
    const rig = await startPlane({ plane: { clientOutputBytesMax: MIB } })
    const driver = await rig.client()
    rig.origin.on({ text: /big/ }, respond(bigRows(4 * 1024)))
    driver.socket.pause()
    for (let i = 0; i < 3000; i++) void driver.query('SELECT big FROM ks.t')
    await eventually(() => rig.series().clientConnections === 0)
    expect(rig.series().clientsClosed).toMatchObject({ slow: 1, internalError: 0 })
    await rig.idle()
    driver.socket.resume()
    await driver.closed
  })

  test('is another one than who reads an answer that is larger than that, and others behind it', async () => {
    const rig = await startPlane({ plane: { clientOutputBytesMax: MIB } })
    const driver = await rig.client()
    rig.origin.on({ text: /big/ }, respond(bigRows(4 * MIB)))
    rig.origin.on({ text: /small/ }, respond(bigRows(1024)))
    for (let round = 0; round < 2; round++) {
      const [big, ...small] = ['big', ...Array<string>(20).fill('small')].map((name) =>
        driver.query(`SELECT ${name} FROM ks.t`),
      )
      expect(resultKind(await big!)).toBe(ResultKind.ROWS)
      expect((await Promise.all(small)).map(resultKind)).toEqual(Array(20).fill(ResultKind.ROWS))
    }
    expect(rig.series().clientsClosed.slow).toBe(0)
    await rig.idle()
  })
})

describe('a node that does not read', () => {
  test('pauses the clients that feed it, and nobody else', async () => {
    const rig = await startPlane({ settings: { upstreamConnectionsMaxPerNode: 1 } })
    const writer = await rig.client(4)
    const reader = await rig.client(4, { keyspace: 'ks1' })
    const connection = rig.target.openConnections.find(
      (each) => each.version === 4 && each.keyspace === undefined && each.eventTypes.size === 0,
    )!
    connection.pause()
    const body = queryBody(4, WRITE.padEnd(512 * 1024))
    const writes = Array.from({ length: 60 }, () => writer.request(Opcode.QUERY, body))
    await eventually(() => rig.plane.waitingForUpstream.size === 1)
    expect(rig.plane.requests.inFlight).toBeLessThan(60)
    for (let i = 0; i < 5; i++) {
      expect(resultKind(await reader.query(READ))).toBe(ResultKind.ROWS)
      expect(resultKind(await reader.query(WRITE))).toBe(ResultKind.VOID)
    }
    connection.resume()
    expect((await Promise.all(writes)).map(resultKind)).toEqual(Array(60).fill(ResultKind.VOID))
    expect(rig.plane.waitingForUpstream.size).toBe(0)
    await rig.idle()
  })

  test('under TLS: what other connections write, and drain, wakes nobody', async () => {
    const authority = await Authority.create('Target')
    const { certificate, key } = await authority.issue('node', { usage: 'server' })
    const toTarget = {
      authority: authority.certificate,
      trustsWellKnownRoots: false,
      crls: [],
      certificate: null,
      key: null,
      verifiesName: false,
    }
    const rig = await startPlane({
      target: { tls: { cert: certificate, key } },
      settings: { upstreamConnectionsMaxPerNode: 1 },
      tls: { ...NO_TLS, clusters: [null, toTarget] },
    })
    const writer = await rig.client(4)
    const other = await rig.client(4, { keyspace: 'ks1' })
    const connection = rig.target.openConnections.find(
      (each) => each.version === 4 && each.keyspace === undefined && each.eventTypes.size === 0,
    )!
    connection.pause()
    const body = queryBody(4, WRITE.padEnd(20 * 1024))
    const writes = Array.from({ length: 1000 }, () => writer.request(Opcode.QUERY, body))
    await eventually(() => rig.plane.waitingForUpstream.size === 1)
    const before = rig.plane.requests.inFlight
    for (let i = 0; i < 20; i++) {
      expect(resultKind(await other.query(WRITE))).toBe(ResultKind.VOID)
      expect(rig.plane.waitingForUpstream.size).toBe(1)
    }
    expect(rig.plane.requests.inFlight).toBe(before)
    connection.resume()
    expect((await Promise.all(writes)).map(resultKind)).toEqual(Array(1000).fill(ResultKind.VOID))
    expect(rig.plane.waitingForUpstream.size).toBe(0)
    await rig.idle()
  })

  test('and is lost in the end wakes its clients', async () => {
    const rig = await startPlane({ settings: { upstreamConnectionsMaxPerNode: 1 } })
    const writer = await rig.client(4)
    const connection = rig.target.openConnections.find(
      (each) => each.version === 4 && each.eventTypes.size === 0,
    )!
    connection.pause()
    const body = queryBody(4, WRITE.padEnd(512 * 1024))
    const writes = Array.from({ length: 60 }, () => writer.request(Opcode.QUERY, body))
    await eventually(() => rig.plane.waitingForUpstream.size === 1)
    connection.destroy()
    const answers = await Promise.all(writes)
    expect(answers.some((answer) => answer.opcode === Opcode.ERROR)).toBe(true)
    expect(rig.plane.waitingForUpstream.size).toBe(0)
    await rig.idle()
  })

  test('a paused client that is closed is forgotten', async () => {
    const clock = new FakeClock()
    const rig = await startPlane({
      clock,
      settings: { upstreamConnectionsMaxPerNode: 1 },
      plane: { clientOutputBytesMax: 100 },
    })
    const writer = await rig.client(4)
    const connection = rig.target.openConnections.find(
      (each) => each.version === 4 && each.eventTypes.size === 0,
    )!
    connection.pause()
    const body = queryBody(4, WRITE.padEnd(512 * 1024))
    for (let i = 0; i < 60; i++) void writer.request(Opcode.QUERY, body)
    await eventually(() => rig.plane.waitingForUpstream.size === 1)
    // The time-outs are more than its queue may hold.
    clock.advance(10_500)
    await writer.closed
    await eventually(() => rig.series().clientConnections === 0)
    expect(rig.plane.waitingForUpstream.size).toBe(0)
    connection.resume()
  })
})
