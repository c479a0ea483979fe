/** Connections to nodes that are lost, and nodes that are down (architecture §2.3). */
import { describe, expect, test } from 'vitest'
import { ErrorCode, Opcode, ResultKind, Version } from '../../src/cql/protocol.ts'
import { FakeClock } from '../support/fake-clock.ts'
import type { FakeCluster } from '../support/fake-cluster/cluster.ts'
import type { FakeConnection } from '../support/fake-cluster/node.ts'
import { prepareBody, readError, resultKind } from '../support/fake-cluster/request-bodies.ts'
import { voidAnswer } from '../support/fake-cluster/results.ts'
import {
  answerTwice,
  closeSocket,
  drop,
  forgeHeader,
  halfClose,
  type Reaction,
  rawBytes,
  resetSocket,
} from '../support/fake-cluster/script.ts'
import type { Envelope } from '../support/fake-cluster/wire.ts'
import { eventually, type PlaneRig, someTurns, startPlane } from '../support/plane.ts'
import type { RawClient } from '../support/raw-client.ts'

const READ = 'SELECT * FROM ks.t'
const WRITE = 'INSERT INTO ks.t (k) VALUES (1)'
const VOID = voidAnswer()
const CLUSTERS = ['origin', 'target'] as const

/** The connections that carry requests: the control connection is each cluster's first. */
const requestConnections = (cluster: FakeCluster): FakeConnection[] =>
  cluster.openConnections.filter(({ index }) => index > 0)

/** Asks until a connection is there again; any other error is a failure. */
const untilServed = async (ask: () => Promise<Envelope>): Promise<Envelope> => {
  for (;;) {
    const answer = await ask()
    if (answer.opcode !== Opcode.ERROR) return answer
    expect(readError(answer).message).toContain('no connection is ready')
  }
}

/** What a node may do instead of answering; each ends its connection. */
const ENDINGS: readonly (readonly [name: string, reaction: Reaction])[] = [
  ['closes', closeSocket()],
  ['resets', resetSocket()],
  ['half closes', halfClose()],
  ['sends garbage', rawBytes(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'))],
  ['announces a negative length', forgeHeader({ bodyLength: -1 })],
  ['answers on a stream id of nobody', forgeHeader({ streamId: 12_345 })],
  ['answers with a request', forgeHeader({ versionByte: 0x04 })],
]

describe.each([Version.V4, Version.V5])('v%i: a node that', (version) => {
  for (const lost of CLUSTERS) {
    test.each(ENDINGS)(`%s (${lost})`, async (_, reaction) => {
      const rig = await startPlane()
      const [driver, other] = [await rig.client(version), await rig.client(version)]
      const doomed = rig[lost].on({ text: /doomed/ }, drop())
      const waiting = [
        driver.query('INSERT INTO ks.doomed (k) VALUES (1)'),
        other.query('INSERT INTO ks.doomed (k) VALUES (2)'),
      ]
      await rig[lost].waitUntil(() => doomed.hits === 2)
      rig[lost].on({ text: /trigger/, times: 1 }, reaction)
      waiting.push(driver.query('INSERT INTO ks.trigger (k) VALUES (1)'))
      for (const answer of await Promise.all(waiting)) {
        const error = readError(answer)
        expect(error.code).toBe(ErrorCode.OVERLOADED)
        expect(error.message).toMatch(new RegExp(`^${lost}: .* was lost`, 'i'))
      }
      for (const each of [driver, other]) {
        expect(resultKind(await untilServed(() => each.query(WRITE)))).toBe(ResultKind.VOID)
      }
      await rig.idle()
      expect(rig.series().upstreamConnectionsLost[lost]).toBe(1)
      const lines = rig.log.filter(({ code }) => code === 'UPSTREAM_LOST')
      expect(lines.length).toBeLessThanOrEqual(1)
    })
  }
})

test('an answer that comes twice ends the connection, and reaches no other request', async () => {
  const rig = await startPlane()
  const driver = await rig.client()
  rig.origin.on({ text: /twice/, times: 1 }, answerTwice())
  expect(resultKind(await driver.query('SELECT * FROM ks.twice'))).toBe(ResultKind.ROWS)
  expect(resultKind(await untilServed(() => driver.query(READ)))).toBe(ResultKind.ROWS)
  await someTurns()
  expect(driver.unread).toEqual([])
  await rig.idle()
})

describe('PREPARE in flight', () => {
  test.each(CLUSTERS)('on %s: an error that names it', async (lost) => {
    const rig = await startPlane()
    const driver = await rig.client()
    rig[lost].on({ opcode: Opcode.PREPARE, times: 1 }, closeSocket())
    const error = readError(await driver.request(Opcode.PREPARE, prepareBody(4, WRITE)))
    expect(error.code).toBe(ErrorCode.OVERLOADED)
    expect(error.message.toLowerCase()).toContain(`${lost}: the connection`)
    await rig.idle()
  })
})

test('one of two connections to a node is lost: the other one serves at once', async () => {
  const rig = await startPlane()
  const driver = await rig.client()
  rig.origin.on({ text: /held/ }, drop())
  for (let i = 0; i < 300; i++) void driver.query('SELECT * FROM ks.held')
  await eventually(() => requestConnections(rig.origin).length > 1)
  await eventually(() => rig.used('origin') === 300)
  await driver.query(READ)
  const [first] = requestConnections(rig.origin)
  first!.destroy()
  await eventually(() => rig.series().upstreamConnectionsLost.origin === 1)
  for (let i = 0; i < 20; i++) expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
})

describe('a node of several is down', () => {
  const start = async (): Promise<[PlaneRig, RawClient[]]> => {
    const rig = await startPlane({ target: { nodes: 3 }, settings: { primaryCluster: 'TARGET' } })
    const drivers: RawClient[] = []
    for (let i = 0; i < 6; i++) drivers.push(await rig.client())
    await eventually(() => requestConnections(rig.target).length === 3)
    return [rig, drivers]
  }

  test('the others take over at once, and it gets its share when it is back', async () => {
    const [rig, drivers] = await start()
    const down = rig.target.nodes[1]!
    await down.stopListening()
    await eventually(() => rig.series().upstreamConnectionsLost.target > 0)
    for (const driver of drivers) {
      expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
    }
    await down.resume()
    rig.clear()
    // The next sweep lets sessions look for their own node again.
    while (!rig.target.received.some(({ node, text }) => node === 1 && text === READ)) {
      for (const driver of drivers) {
        expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
      }
    }
    await rig.idle()
  })

  test('clients that come then do not wait for it', async () => {
    const [rig] = await start()
    await rig.target.nodes[0]!.stopListening()
    for (let i = 0; i < 3; i++) {
      const driver = await rig.client()
      expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
    }
  })
})

test('a cluster that is down altogether: OVERLOADED for what needs it, and nothing sent to the other', async () => {
  const rig = await startPlane()
  const driver = await rig.client()
  await rig.target.stopListening()
  await eventually(() => rig.series().upstreamConnectionsLost.target > 0)
  rig.clear()
  const error = readError(await driver.query(WRITE))
  expect(error).toMatchObject({
    code: ErrorCode.OVERLOADED,
    message: expect.stringContaining('Target: no connection is ready'),
  })
  expect(rig.origin.received).toEqual([])
  expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
  await rig.target.resume()
  expect(resultKind(await untilServed(() => driver.query(WRITE)))).toBe(ResultKind.VOID)
})

describe('per client', () => {
  const start = (nodes = 1): Promise<PlaneRig> =>
    startPlane({ settings: { upstreamConnections: 'per_client' }, target: { nodes } })

  test.each(CLUSTERS)(
    'the loss of its %s connection closes the client, and no other',
    async (lost) => {
      const rig = await start()
      const [driver, other] = [await rig.client(), await rig.client()]
      rig[lost].on({ text: /doomed/ }, closeSocket())
      const answer = await driver.query('INSERT INTO ks.doomed (k) VALUES (1)')
      expect(readError(answer).code).toBe(ErrorCode.OVERLOADED)
      await driver.closed
      expect(resultKind(await other.query(WRITE))).toBe(ResultKind.VOID)
      await eventually(() => rig.series().clientConnections === 1)
      await eventually(() => rig.series().nodes.every(({ connections }) => connections === 1))
      expect(rig.plane.profiles.size).toBe(1)
    },
  )

  test('each client has one connection to each cluster, and takes them along', async () => {
    const rig = await start(3)
    const drivers = [await rig.client(), await rig.client(), await rig.client()]
    const open = (cluster: FakeCluster): number => requestConnections(cluster).length
    expect([open(rig.origin), open(rig.target)]).toEqual([3, 3])
    const nodes = requestConnections(rig.target).map(({ node }) => node.index)
    expect(nodes.sort()).toEqual([0, 1, 2])
    for (const driver of drivers) await driver.close()
    await eventually(() => open(rig.origin) === 0 && open(rig.target) === 0)
    expect(rig.series().upstreamConnectionsLost).toEqual({ origin: 0, target: 0 })
  })

  test('a node that leaves the topology lets its client finish', async () => {
    const rig = await start(2)
    const drivers = [await rig.client(), await rig.client()]
    const rule = rig.target.on({ text: /slow/ }, drop())
    const slow = drivers.map((driver) => driver.query('INSERT INTO ks.slow (k) VALUES (1)'))
    await rig.target.waitUntil(() => rule.hits === 2)
    const { snapshot } = rig.plane
    const [origin, target] = snapshot.clusters
    const left = { ...target, nodes: target.nodes.slice(0, 1) }
    rig.plane.setSnapshot({ ...snapshot, clusters: [origin, left] })
    for (const received of rig.target.received.filter(({ text }) => text?.includes('slow'))) {
      rig.target.connections[received.connection]!.send(received.streamId, VOID)
    }
    expect((await Promise.all(slow)).map(resultKind)).toEqual([ResultKind.VOID, ResultKind.VOID])
    await Promise.race(drivers.map(({ closed }) => closed))
    await eventually(() => rig.series().clientConnections === 1)
  })
})

test('shared, a node that leaves the topology is left when its last answer has come', async () => {
  const rig = await startPlane({ target: { nodes: 2 } })
  const drivers = [await rig.client(), await rig.client()]
  const rule = rig.target.on({ text: /slow/ }, drop())
  const slow = drivers.map((driver) => driver.query('INSERT INTO ks.slow (k) VALUES (1)'))
  await rig.target.waitUntil(() => rule.hits === 2)
  const { snapshot } = rig.plane
  const [origin, target] = snapshot.clusters
  rig.plane.setSnapshot({
    ...snapshot,
    clusters: [origin, { ...target, nodes: target.nodes.slice(0, 1) }],
  })
  for (const received of rig.target.received.filter(({ text }) => text?.includes('slow'))) {
    rig.target.connections[received.connection]!.send(received.streamId, VOID)
  }
  expect((await Promise.all(slow)).map(resultKind)).toEqual([ResultKind.VOID, ResultKind.VOID])
  await eventually(() => requestConnections(rig.target).every(({ node }) => node.index === 0))
  for (const driver of drivers) {
    expect(resultKind(await driver.query(WRITE))).toBe(ResultKind.VOID)
  }
  expect(rig.series().upstreamConnectionsLost.target).toBe(0)
})

test('a client that goes with requests in flight leaves them to their answers', async () => {
  const clock = new FakeClock()
  const rig = await startPlane({ clock })
  const [driver, other] = [await rig.client(), await rig.client()]
  const rule = rig.target.on({ text: /slow/ }, drop())
  for (let i = 0; i < 10; i++) void driver.query('INSERT INTO ks.slow (k) VALUES (1)')
  await rig.target.waitUntil(() => rule.hits === 10)
  await driver.close()
  await eventually(() => rig.series().clientConnections === 1)
  expect(rig.plane.requests.inFlight).toBe(10)
  expect(resultKind(await other.query(WRITE))).toBe(ResultKind.VOID)
  clock.advance(10_500)
  expect(rig.plane.requests.inFlight).toBe(0)
  expect(other.unread).toEqual([])
})
