/** Several instances, one of which leaves: what clients are told, and what they are still given. */
import { createServer } from 'node:net'
import { describe, expect, test } from 'vitest'
import type { Clock } from '../../src/clock.ts'
import { formatAddress } from '../../src/cluster/address.ts'
import type { Settings } from '../../src/config/settings.ts'
import { decodeEvent } from '../../src/cql/messages/event.ts'
import { ErrorCode, Opcode, ResultKind, versionTraits } from '../../src/cql/protocol.ts'
import { BodyReader } from '../../src/cql/reader.ts'
import { afterTest } from '../support/after-test.ts'
import { FakeClock } from '../support/fake-clock.ts'
import type { FakeCluster } from '../support/fake-cluster/cluster.ts'
import { readError, registerBody, resultKind } from '../support/fake-cluster/request-bodies.ts'
import { delay } from '../support/fake-cluster/script.ts'
import { settingsFor, startCluster, startInstance, type TestInstance } from '../support/instance.ts'
import { eventually, someTurns } from '../support/plane.ts'
import { RawClient } from '../support/raw-client.ts'

const ADDRESSES = ['127.0.2.1', '127.0.2.2', '127.0.2.3']
const READ = 'SELECT * FROM ks.t'
const WRITE = 'INSERT INTO ks.t (k) VALUES (1)'
const ANNOUNCE_MS = 2_000
/** Above two failed looks, and a second one that follows sooner. */
const SEEN_WITHIN_MS = 1_500

type Fleet = {
  readonly origin: FakeCluster
  readonly target: FakeCluster
  /** Starts the instance at this position of the list. */
  start(index: number, clock?: Clock): Promise<TestInstance>
  /** A client of the instance at this position that has registered for these types. */
  client(index: number, eventTypes?: readonly string[]): Promise<RawClient>
}

const startFleet = async (overrides: Partial<Settings> = {}): Promise<Fleet> => {
  const origin = await startCluster({ name: 'origin' })
  const target = await startCluster({ name: 'target' })
  let port = 0
  return {
    origin,
    target,
    start: async (index, clock) => {
      const started = await startInstance(
        settingsFor(origin, target, {
          proxyListenAddress: ADDRESSES[index]!,
          proxyListenPort: port,
          proxyTopologyAddresses: ADDRESSES,
          proxyTopologyIndex: index,
          shutdownTimeoutMs: 15_000,
          shutdownAnnounceMs: ANNOUNCE_MS,
          ...overrides,
        }),
        clock,
      )
      port = started.port
      return started
    },
    client: async (index, eventTypes = []) => {
      const client = await RawClient.connect(port, { host: ADDRESSES[index]! })
      afterTest(() => client.close())
      await client.handshake()
      if (eventTypes.length > 0) await client.request(Opcode.REGISTER, registerBody(eventTypes))
      return client
    },
  }
}

const listenOn = async (
  host: string,
): Promise<{ readonly port: number; close(): Promise<void> }> => {
  const server = createServer((socket) => socket.on('error', () => {}))
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  const close = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()))
  afterTest(close)
  const address = server.address()
  return { port: typeof address === 'object' ? (address?.port ?? 0) : 0, close }
}

const nextStatus = async (client: RawClient): Promise<string> => {
  const event = decodeEvent(new BodyReader((await client.next()).body), versionTraits(4)!)
  if (event?.type !== 'STATUS_CHANGE') throw new Error(`Not a STATUS_CHANGE: ${event?.type}`)
  return `${event.change} ${formatAddress(event.address)}:${event.port}`
}

/** Moves the clock on in steps that let sockets answer. */
const pass = async (clock: FakeClock, ms: number): Promise<void> => {
  for (let passed = 0; passed < ms; passed += 25) {
    await someTurns(3)
    clock.advance(25)
  }
  await someTurns()
}

describe('instances behind another port', () => {
  test('are looked at where clients reach them, and named so', async () => {
    const clock = new FakeClock()
    // Stands for the port mapping: clients of the second instance come in here.
    const mapped = await listenOn(ADDRESSES[1]!)
    const fleet = await startFleet({ proxyAdvertisedPort: mapped.port })
    await fleet.start(0, clock)
    const client = await fleet.client(0, ['STATUS_CHANGE'])
    await pass(clock, SEEN_WITHIN_MS)
    await mapped.close()
    await pass(clock, SEEN_WITHIN_MS)
    expect(await nextStatus(client)).toBe(`DOWN ${ADDRESSES[1]}:${mapped.port}`)
  })

  test('tell that port when they leave', async () => {
    const fleet = await startFleet({ proxyAdvertisedPort: 9142 })
    const { stop } = await fleet.start(0, new FakeClock())
    const client = await fleet.client(0, ['STATUS_CHANGE'])
    void stop()
    expect(await nextStatus(client)).toBe(`DOWN ${ADDRESSES[0]}:9142`)
  })
})

describe('an instance that leaves', () => {
  test('tells its clients that registered, serves all for a while, then closes who is quiet', async () => {
    const clock = new FakeClock()
    const fleet = await startFleet()
    const { instance, stop, port } = await fleet.start(0, clock)
    const [registered, other] = [
      await fleet.client(0, ['STATUS_CHANGE', 'TOPOLOGY_CHANGE']),
      await fleet.client(0, ['SCHEMA_CHANGE']),
    ]
    const stopped = stop()
    expect(await nextStatus(registered)).toBe(`DOWN ${ADDRESSES[0]}:${port}`)
    expect(instance.phase).toBe('draining')
    await expect(fleet.client(0)).rejects.toThrow('ECONNREFUSED')
    await pass(clock, ANNOUNCE_MS - 100)
    for (const client of [registered, other]) {
      expect(resultKind(await client.query(READ))).toBe(ResultKind.ROWS)
    }
    await pass(clock, 200)
    await Promise.all([registered.closed, other.closed, stopped])
    expect(other.unread).toEqual([])
    expect(instance.phase).toBe('stopped')
  })

  test('answers everything in flight, and refuses who does not go in the end', async () => {
    const clock = new FakeClock()
    const fleet = await startFleet()
    const { stop, log } = await fleet.start(0, clock)
    const busy = await fleet.client(0)
    const held = delay()
    fleet.target.on({ text: /INSERT/ }, held)
    const write = busy.query(WRITE)
    await fleet.target.waitFor(({ text }) => text === WRITE)
    const stopped = stop()
    await pass(clock, ANNOUNCE_MS + 900)
    expect(resultKind(await busy.query(READ))).toBe(ResultKind.ROWS)
    await pass(clock, 200)
    expect(readError(await busy.query(READ)).code).toBe(ErrorCode.OVERLOADED)
    held.release()
    expect(resultKind(await write)).toBe(ResultKind.VOID)
    await Promise.all([busy.closed, stopped])
    expect(log.map(({ code }) => code)).not.toContain('SHUTDOWN_CUT_SHORT')
  })

  test('is gone as soon as its last client is', async () => {
    const clock = new FakeClock()
    const fleet = await startFleet()
    const { instance, stop } = await fleet.start(0, clock)
    const client = await fleet.client(0, ['STATUS_CHANGE'])
    const stopped = stop()
    await client.next()
    await client.close()
    await stopped
    expect(instance.phase).toBe('stopped')
  })

  test('keeps within half of a short shutdown_timeout_ms', async () => {
    const clock = new FakeClock()
    const fleet = await startFleet({ shutdownTimeoutMs: 1_000 })
    const { stop, log } = await fleet.start(0, clock)
    const client = await fleet.client(0)
    const stopped = stop()
    await pass(clock, 400)
    expect(resultKind(await client.query(READ))).toBe(ResultKind.ROWS)
    await pass(clock, 200)
    await Promise.all([client.closed, stopped])
    expect(log.map(({ code }) => code)).not.toContain('SHUTDOWN_CUT_SHORT')
  })

  test('neither looks at others nor tells of itself where events are switched off', async () => {
    const clock = new FakeClock()
    const fleet = await startFleet({ proxyTopologyEvents: false })
    const { stop, log } = await fleet.start(0, clock)
    await fleet.start(1)
    const client = await fleet.client(0, ['STATUS_CHANGE'])
    await pass(clock, 2_000)
    const stopped = stop()
    await Promise.all([client.closed, stopped])
    expect(client.unread).toEqual([])
    expect(log.filter(({ code }) => code.startsWith('INSTANCE_'))).toEqual([])
  })

  test('with nobody to go to closes idle clients at once and tells nothing', async () => {
    const clock = new FakeClock()
    const fleet = await startFleet({ proxyTopologyAddresses: [ADDRESSES[0]!] })
    const { stop } = await fleet.start(0, clock)
    const client = await fleet.client(0, ['STATUS_CHANGE'])
    const stopped = stop()
    await Promise.all([client.closed, stopped])
    expect(client.unread).toEqual([])
  })
})

describe('the others', () => {
  test('see it leave and come back, and tell those of their clients that registered', async () => {
    const clock = new FakeClock()
    const fleet = await startFleet()
    const { port, log } = await fleet.start(0, clock)
    const b = await fleet.start(1)
    const [registered, not] = [await fleet.client(0, ['STATUS_CHANGE']), await fleet.client(0)]
    // Number 1 is seen, and was not there at the first look.
    await pass(clock, 2_000)
    expect(await nextStatus(registered)).toBe(`UP ${ADDRESSES[1]}:${port}`)
    await b.stop()
    await pass(clock, SEEN_WITHIN_MS)
    expect(await nextStatus(registered)).toBe(`DOWN ${ADDRESSES[1]}:${port}`)
    const late = await fleet.client(0, ['STATUS_CHANGE'])
    await fleet.start(1)
    await pass(clock, 2_000)
    for (const client of [registered, late]) {
      expect(await nextStatus(client)).toBe(`UP ${ADDRESSES[1]}:${port}`)
    }
    // Number 2 was never there, and nobody hears of the instance that he is connected to.
    expect([registered.unread, late.unread, not.unread]).toEqual([[], [], []])
    const codes = log.map(({ code }) => code).filter((code) => code.startsWith('INSTANCE_'))
    expect(codes).toEqual(['INSTANCE_UP', 'INSTANCE_DOWN', 'INSTANCE_UP'])
  })

  test('look without becoming clients, or being told of as such', async () => {
    const clock = new FakeClock()
    const fleet = await startFleet()
    const watched = await fleet.start(1)
    await fleet.start(0, clock)
    await pass(clock, 3_000)
    const connected = (): number =>
      watched.log.filter(({ code }) => code === 'CLIENT_CONNECTED').length
    await eventually(() => connected() >= 5)
    expect(watched.log.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([
      expect.objectContaining({ code: 'CLUSTER_WITHOUT_AUTHENTICATION' }),
      expect.objectContaining({ code: 'CLUSTER_WITHOUT_AUTHENTICATION' }),
    ])
  })
})
