/** One instance between two fake clusters: start attempts, service, drain. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { describe, expect, test } from 'vitest'
import { decodeResult } from '../../src/cql/messages/result.ts'
import { ErrorCode, Opcode, ResultKind, Version, versionTraits } from '../../src/cql/protocol.ts'
import { BodyReader } from '../../src/cql/reader.ts'
import { decodeInt } from '../../src/cql/values.ts'
import { afterTest } from '../support/after-test.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { readError, readSetKeyspace, resultKind } from '../support/fake-cluster/request-bodies.ts'
import { delay, drop } from '../support/fake-cluster/script.ts'
import {
  createInstance,
  type Rig,
  settingsFor,
  startCluster,
  startRig,
} from '../support/instance.ts'
import { eventually, someTurns } from '../support/plane.ts'
import { RawClient } from '../support/raw-client.ts'

const INSERT = 'INSERT INTO ks.t (k, v) VALUES (?, ?)'
const READ = 'SELECT * FROM ks.t'
const WRITE = 'INSERT INTO ks.t (k) VALUES (1)'

describe.each([Version.V3, Version.V4, Version.V5])('protocol version %i', (version) => {
  test('a prepared write reaches both clusters, each under its own statement id', async () => {
    const { origin, target, client } = await startRig()
    const driver = await client(version)
    const prepared = await driver.prepare(INSERT)
    const answer = await driver.execute(prepared, { values: ['a', 'b'] })
    expect(resultKind(answer)).toBe(ResultKind.VOID)
    for (const cluster of [origin, target]) {
      const execute = cluster.received.find(({ opcode }) => opcode === Opcode.EXECUTE)
      expect(execute).toMatchObject({ text: INSERT })
    }
  })
})

const codesOf = (log: readonly { readonly code: string }[], code: string): number =>
  log.filter((line) => line.code === code).length

describe('what drivers are shown', () => {
  /** The cells of the only row. */
  const cells = async (rig: Rig, text: string): Promise<(Uint8Array | null)[]> => {
    const { body } = await (await rig.client()).query(text)
    const result = decodeResult(new BodyReader(body), versionTraits(4)!)
    if (result.kind !== ResultKind.ROWS) throw new Error(`a result of kind ${result.kind}`)
    return [...result.rows[0]!]
  }

  test('one instance behind a NAT: its outer address', async () => {
    const rig = await startRig({ settings: { proxyTopologyAddresses: ['203.0.113.7'] } })
    const [address] = await cells(rig, 'SELECT rpc_address FROM system.local')
    expect([...address!]).toEqual([203, 0, 113, 7])
  })

  test('several instances behind a port mapping: the outer port', async () => {
    const proxyTopologyAddresses = ['127.0.3.1', '127.0.3.2']
    const rig = await startRig({ settings: { proxyTopologyAddresses, proxyAdvertisedPort: 9142 } })
    const [port] = await cells(rig, 'SELECT native_port FROM system.peers_v2')
    expect(decodeInt(port!)).toBe(9142)
    expect(rig.port).not.toBe(9142)
  })
})

describe('starting', () => {
  test.each(['origin', 'target'] as const)('is tried again while %s is down', async (down) => {
    const clock = new FakeClock()
    const clusters = {
      origin: await startCluster({ name: 'origin' }),
      target: await startCluster({ name: 'target' }),
    }
    await clusters[down].stopListening()
    const { instance, log } = createInstance(settingsFor(clusters.origin, clusters.target), clock)
    const started = instance.start()
    for (let attempt = 1; attempt <= 3; attempt++) {
      await eventually(() => instance.startTrouble?.attempts === attempt)
      expect(instance.phase).toBe('starting')
      expect(instance.port).toBeNull()
      await someTurns()
      clock.advance(10_000)
    }
    await eventually(() => instance.startTrouble?.attempts === 4)
    // One line a minute says so.
    expect(codesOf(log, 'START_FAILED')).toBe(1)
    await clusters[down].resume()
    await someTurns()
    clock.advance(10_000)
    expect(await started).toBe(true)
    expect(instance.phase).toBe('running')
    expect(codesOf(log, 'PROXY_READY')).toBe(1)
  })

  test('is tried again while the port is taken', async () => {
    const clock = new FakeClock()
    const [origin, target] = [
      await startCluster({ name: 'origin' }),
      await startCluster({ name: 'target' }),
    ]
    const squatter = await listenOnFreePort()
    const port = portOf(squatter)
    const settings = settingsFor(origin, target, { proxyListenPort: port })
    const { instance, log } = createInstance(settings, clock)
    const started = instance.start()
    await eventually(() => codesOf(log, 'START_FAILED') === 1)
    // What the failed attempt had opened is closed again.
    await eventually(() => origin.openConnections.length + target.openConnections.length === 0)
    squatter.close()
    await once(squatter, 'close')
    clock.advance(10_000)
    expect(await started).toBe(true)
    expect(instance.port).toBe(port)
    // Of each cluster, though both attempts had got there.
    expect(codesOf(log, 'CLUSTER_CONNECTED')).toBe(2)
  })

  test('ends at once when it is told to stop', async () => {
    const clock = new FakeClock()
    const [origin, target] = [
      await startCluster({ name: 'origin' }),
      await startCluster({ name: 'target' }),
    ]
    await origin.stopListening()
    const { instance, log, stop } = createInstance(settingsFor(origin, target), clock)
    const started = instance.start()
    await eventually(() => codesOf(log, 'START_FAILED') === 1)
    await stop()
    expect(await started).toBe(false)
    expect(instance.phase).toBe('stopped')
    expect(clock.pendingTimers).toBe(0)
  })
})

const listenOnFreePort = async (): Promise<Server> => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  afterTest(() => server.close())
  return server
}

const portOf = (server: Server): number => {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('Not a TCP listener')
  return address.port
}

describe('several threads', () => {
  /** Enough clients that each thread has some; the kernel deals them out. */
  const CLIENTS = 16

  const startThreads = async (): Promise<[Rig, RawClient[]]> => {
    const rig = await startRig({ settings: { dataPlaneThreads: 2 } })
    const drivers: RawClient[] = []
    for (let i = 0; i < CLIENTS; i++) drivers.push(await rig.client())
    return [rig, drivers]
  }

  const clientsPerThread = async (rig: Rig): Promise<number[]> => {
    const series = (await rig.instance.series()) ?? []
    return series.map(({ clientConnections }) => clientConnections)
  }

  test('a statement that one has prepared can be executed on all', async () => {
    const [rig, drivers] = await startThreads()
    const perThread = await clientsPerThread(rig)
    expect(perThread.every((count) => count > 0)).toBe(true)
    expect(perThread.reduce((sum, count) => sum + count, 0)).toBe(CLIENTS)
    const prepared = await drivers[0]!.prepare(INSERT)
    const other = await drivers[0]!.prepare('DELETE FROM ks.t WHERE k = ?')
    const answers = await Promise.all(
      drivers.map((driver) => driver.execute(prepared, { values: ['a', 'b'] })),
    )
    expect(answers.map(resultKind)).toEqual(Array(CLIENTS).fill(ResultKind.VOID))
    const batches = await Promise.all(
      drivers.map((driver) => driver.batch([{ id: other.id }, { id: prepared.id }])),
    )
    expect(batches.map(resultKind)).toEqual(Array(CLIENTS).fill(ResultKind.VOID))
    const prepares = rig.origin.received.filter(({ opcode }) => opcode === Opcode.PREPARE)
    expect(prepares).toHaveLength(2)
  })

  test('do not share the port with those of another instance on the same machine', async () => {
    const first = await startRig({ settings: { dataPlaneThreads: 2 } })
    const clock = new FakeClock()
    const settings = settingsFor(first.origin, first.target, {
      dataPlaneThreads: 2,
      proxyListenPort: first.port,
    })
    const second = createInstance(settings, clock)
    const started = second.instance.start()
    await eventually(() => codesOf(second.log, 'START_FAILED') === 1)
    expect(second.log.find(({ code }) => code === 'START_FAILED')!.msg).toMatch(
      /cannot accept clients on 127\.0\.0\.1:\d+ \(proxy_listen_address, proxy_listen_port\): .*EADDRINUSE/,
    )
    await first.stop()
    clock.advance(10_000)
    expect(await started).toBe(true)
    expect(second.instance.port).toBe(first.port)
  }, 30_000)

  test('an id that none of them knows is UNPREPARED on all', async () => {
    const [, drivers] = await startThreads()
    const id = Buffer.alloc(16, 1)
    const answers = await Promise.all(drivers.map((driver) => driver.execute({ id })))
    const errors = answers.map(readError)
    expect(errors.every(({ code }) => code === ErrorCode.UNPREPARED)).toBe(true)
    expect(new Set(errors.map(({ statementId }) => statementId))).toEqual(
      new Set([id.toString('hex')]),
    )
  })

  test('the limit of client connections is one for all', async () => {
    const rig = await startRig({ settings: { dataPlaneThreads: 2, proxyMaxClientConnections: 5 } })
    const clients = await Promise.all(Array.from({ length: 12 }, () => rig.connect()))
    const answers = await Promise.allSettled(clients.map((client) => client.handshake()))
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(5)
  })

  test('so is the limit of connections from one address', async () => {
    const settings = { dataPlaneThreads: 2, proxyMaxClientConnectionsPerAddress: 5 }
    const rig = await startRig({ settings })
    const clients = await Promise.all(Array.from({ length: 12 }, () => rig.connect()))
    const answers = await Promise.allSettled(clients.map((client) => client.handshake()))
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(5)
  })

  test('all are drained', async () => {
    const [rig, drivers] = await startThreads()
    const held = delay()
    const rule = rig.target.on({ text: /INSERT/ }, held)
    const writes = drivers.map((driver) => driver.query(WRITE))
    await rig.target.waitUntil(() => rule.hits === CLIENTS)
    void rig.stop()
    const stoppedAgain = rig.stop()
    held.release()
    expect((await Promise.all(writes)).map(resultKind)).toEqual(
      Array(CLIENTS).fill(ResultKind.VOID),
    )
    await Promise.all(drivers.map(({ closed }) => closed))
    await stoppedAgain
    expect(rig.instance.phase).toBe('stopped')
    expect(codesOf(rig.log, 'SHUTDOWN_CUT_SHORT')).toBe(0)
    await eventually(
      () => rig.origin.openConnections.length + rig.target.openConnections.length === 0,
    )
  })
})

describe('stopping', () => {
  const nothingLeft = async (rig: Rig, clock: FakeClock): Promise<void> => {
    await eventually(
      () => rig.origin.openConnections.length + rig.target.openConnections.length === 0,
    )
    expect(clock.pendingTimers).toBe(0)
    await expect(RawClient.connect(rig.port)).rejects.toThrow('ECONNREFUSED')
  }

  test('lets requests in flight end, answers new ones OVERLOADED, closes idle clients at once', async () => {
    const clock = new FakeClock()
    const rig = await startRig({ clock })
    const [busy, idle, half] = [await rig.client(), await rig.client(), await rig.connect()]
    const held = delay()
    rig.target.on({ text: /INSERT|USE|DELETE/ }, held)
    rig.target.on({ opcode: Opcode.PREPARE }, held)
    const inFlight = [busy.query(WRITE), busy.query('USE ks1')]
    const prepared = busy.prepare('DELETE FROM ks.t')
    await eventually(() => rig.target.received.filter(({ text }) => text === WRITE).length === 1)
    await rig.target.waitFor(({ text }) => text === 'USE "ks1"' || text === 'USE ks1')
    const stopped = rig.stop()
    await Promise.all([idle.closed, half.closed])
    expect(rig.instance.phase).toBe('draining')
    for (const answer of [
      await busy.query(WRITE),
      await busy.query(READ),
      await busy.query('USE ks2'),
      await busy.request(Opcode.OPTIONS, new Uint8Array(0)),
    ]) {
      expect(readError(answer).code).toBe(ErrorCode.OVERLOADED)
    }
    await expect(RawClient.connect(rig.port)).rejects.toThrow('ECONNREFUSED')
    held.release()
    expect(resultKind(await inFlight[0]!)).toBe(ResultKind.VOID)
    expect(readSetKeyspace(await inFlight[1]!)).toBe('ks1')
    await prepared
    await busy.closed
    await stopped
    expect(rig.instance.phase).toBe('stopped')
    expect(codesOf(rig.log, 'SHUTDOWN_CUT_SHORT')).toBe(0)
    await nothingLeft(rig, clock)
  })

  test('waits for shutdown_timeout_ms and no longer', async () => {
    const clock = new FakeClock()
    const rig = await startRig({ clock, settings: { shutdownTimeoutMs: 3_000 } })
    const driver = await rig.client()
    rig.target.on({ text: /INSERT/ }, drop())
    const write = driver.query(WRITE)
    await rig.target.waitFor(({ text }) => text === WRITE)
    const stopped = rig.stop()
    await someTurns()
    clock.advance(2_999)
    await someTurns()
    expect(driver.socket.closed).toBe(false)
    clock.advance(1)
    await stopped
    await expect(write).rejects.toThrow('closed')
    expect(codesOf(rig.log, 'SHUTDOWN_CUT_SHORT')).toBe(1)
    expect(codesOf(rig.log, 'UPSTREAM_LOST')).toBe(0)
    await nothingLeft(rig, clock)
  })

  test('ends at once when it is told again', async () => {
    const clock = new FakeClock()
    const rig = await startRig({ clock, settings: { shutdownTimeoutMs: 3_000 } })
    const driver = await rig.client()
    rig.target.on({ text: /INSERT/ }, drop())
    void driver.query(WRITE)
    await rig.target.waitFor(({ text }) => text === WRITE)
    const force = new AbortController()
    const stopped = rig.instance.stop(force.signal)
    await someTurns()
    force.abort()
    await stopped
    await driver.closed
    expect(codesOf(rig.log, 'SHUTDOWN_CUT_SHORT')).toBe(1)
    await nothingLeft(rig, clock)
  })

  test('with nobody there leaves nothing behind', async () => {
    const clock = new FakeClock()
    const rig = await startRig({ clock })
    const driver = await rig.client(Version.V5, { keyspace: 'ks1' })
    await driver.query(READ)
    await driver.close()
    await rig.stop()
    await nothingLeft(rig, clock)
  })
})
