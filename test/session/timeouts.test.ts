/** Requests that are not answered in time, and answers that come too late (request-path §5.5). */
import { describe, expect, test } from 'vitest'
import { decodeError, type ErrorDetails } from '../../src/cql/messages/error.ts'
import { Consistency, ErrorCode, Opcode, ResultKind, Version } from '../../src/cql/protocol.ts'
import { BodyReader } from '../../src/cql/reader.ts'
import { FakeClock } from '../support/fake-clock.ts'
import {
  batchBody,
  prepareBody,
  queryBody,
  readError,
  readTextRows,
  resultKind,
} from '../support/fake-cluster/request-bodies.ts'
import { delay, drop } from '../support/fake-cluster/script.ts'
import type { Envelope } from '../support/fake-cluster/wire.ts'
import { eventually, type PlaneRig, someTurns, startPlane } from '../support/plane.ts'
import type { RawClient } from '../support/raw-client.ts'

const READ = 'SELECT * FROM ks.t'
const WRITE = 'INSERT INTO ks.t (k) VALUES (1)'
const TIMEOUT_MS = 10_000
const PAST_TIMEOUT_MS = TIMEOUT_MS + 500

const details = (envelope: Envelope): ErrorDetails | undefined =>
  decodeError(new BodyReader(envelope.body)).details

type Case = {
  readonly name: string
  readonly opcode: number
  readonly ask: (driver: RawClient) => Promise<Envelope>
  readonly code: number
  readonly writeType?: string
}

const batch = (driver: RawClient, type: number): Promise<Envelope> => {
  const body = batchBody(driver.version, [{ text: WRITE }], { consistency: Consistency.TWO })
  body[0] = type
  return driver.request(Opcode.BATCH, body)
}

const WRITES: readonly Case[] = [
  {
    name: 'QUERY of a write',
    opcode: Opcode.QUERY,
    ask: (driver) => driver.query(WRITE, { consistency: Consistency.TWO }),
    code: ErrorCode.WRITE_TIMEOUT,
    writeType: 'SIMPLE',
  },
  {
    name: 'EXECUTE of a write',
    opcode: Opcode.EXECUTE,
    ask: async (driver) =>
      driver.execute(await driver.prepare(WRITE), { consistency: Consistency.TWO }),
    code: ErrorCode.WRITE_TIMEOUT,
    writeType: 'SIMPLE',
  },
  ...(['BATCH', 'UNLOGGED_BATCH', 'COUNTER'] as const).map((writeType, type) => ({
    name: `BATCH of type ${type}`,
    opcode: Opcode.BATCH,
    ask: (driver: RawClient) => batch(driver, type),
    code: ErrorCode.WRITE_TIMEOUT,
    writeType,
  })),
  {
    name: 'PREPARE',
    opcode: Opcode.PREPARE,
    ask: (driver) => driver.request(Opcode.PREPARE, prepareBody(driver.version, WRITE)),
    code: ErrorCode.SERVER_ERROR,
  },
]

const CLUSTERS = ['origin', 'target'] as const
type ClusterKey = (typeof CLUSTERS)[number]
const LATE: readonly { readonly late: readonly ClusterKey[] }[] = [
  { late: ['origin'] },
  { late: ['target'] },
  { late: ['origin', 'target'] },
]

/** Time passes when both clusters have seen the request and the punctual one's answer is back. */
const timeOut = async (
  rig: PlaneRig,
  clock: FakeClock,
  opcode: number,
  late: readonly ClusterKey[],
): Promise<void> => {
  for (const name of CLUSTERS) {
    await rig[name].waitFor((request) => request.opcode === opcode)
    if (!late.includes(name)) await eventually(() => rig.used(name) === 0)
  }
  clock.advance(PAST_TIMEOUT_MS)
}

describe.each([Version.V3, Version.V4, Version.V5])('v%i', (version) => {
  describe.each(WRITES)('$name', ({ ask, opcode, code, writeType }) => {
    test.each(LATE)('late: $late', async ({ late }) => {
      const clock = new FakeClock()
      const rig = await startPlane({ clock })
      const driver = await rig.client(version)
      for (const name of late) rig[name].on({ opcode }, drop())
      rig.clear()
      const answer = ask(driver)
      await timeOut(rig, clock, opcode, late)
      const envelope = await answer
      const { code: actual, message } = readError(envelope)
      const named = CLUSTERS.filter((name) => message.toLowerCase().includes(name))
      expect({ code: actual, message, named }).toEqual({
        code,
        message: expect.stringContaining(`${TIMEOUT_MS} ms`),
        // A PREPARE's error is one cluster's, as any error.
        named: writeType === undefined ? [late[0]] : late,
      })
      if (writeType === undefined) return
      const counts = { consistency: Consistency.TWO, received: 0, blockFor: 1 }
      expect(details(envelope)).toEqual({ kind: 'writeTimeout', ...counts, writeType })
    })
  })

  test.each(['ORIGIN', 'TARGET'] as const)('a read from %s', async (primaryCluster) => {
    const clock = new FakeClock()
    const rig = await startPlane({ clock, settings: { primaryCluster } })
    const driver = await rig.client(version)
    const late = primaryCluster === 'ORIGIN' ? rig.origin : rig.target
    late.on({ opcode: Opcode.QUERY }, drop())
    rig.clear()
    const answer = driver.query(READ, { consistency: Consistency.QUORUM })
    await late.waitFor(({ opcode }) => opcode === Opcode.QUERY)
    clock.advance(PAST_TIMEOUT_MS)
    const envelope = await answer
    const error = readError(envelope)
    expect(error.code).toBe(ErrorCode.READ_TIMEOUT)
    expect(error.message.toUpperCase()).toContain(primaryCluster)
    expect(details(envelope)).toEqual({
      kind: 'readTimeout',
      consistency: Consistency.QUORUM,
      received: 0,
      blockFor: 1,
      dataPresent: false,
    })
    const key = primaryCluster === 'ORIGIN' ? 'origin' : 'target'
    expect(rig.series().requestsTimedOut).toEqual({ origin: 0, target: 0, [key]: 1 })
  })
})

test('nothing times out a moment too early', async () => {
  const clock = new FakeClock()
  const rig = await startPlane({ clock })
  const driver = await rig.client()
  const held = delay()
  rig.origin.on({ opcode: Opcode.QUERY }, held)
  rig.clear()
  const answer = driver.query(READ)
  await rig.origin.waitFor(({ opcode }) => opcode === Opcode.QUERY)
  clock.advance(TIMEOUT_MS)
  held.release()
  expect(resultKind(await answer)).toBe(ResultKind.ROWS)
})

describe.each(['shared', 'per_client'] as const)('%s: a late answer', (upstreamConnections) => {
  const start = async (timeoutReply: 'error' | 'none'): Promise<[PlaneRig, FakeClock]> => {
    const clock = new FakeClock()
    const settings = { upstreamConnections, proxyTimeoutReply: timeoutReply }
    return [await startPlane({ clock, settings }), clock]
  }

  test.each(['error', 'none'] as const)(
    'never reaches the request that uses the stream id again (proxy_timeout_reply %s)',
    async (timeoutReply) => {
      const [rig, clock] = await start(timeoutReply)
      const driver = await rig.client()
      const held = delay()
      rig.origin.on({ text: /old/ }, held)
      const first = driver.query('SELECT * FROM ks.old', { streamId: 5 })
      await rig.origin.waitFor(({ text }) => text?.includes('old') === true)
      clock.advance(PAST_TIMEOUT_MS)
      if (timeoutReply === 'error') expect((await first).opcode).toBe(Opcode.ERROR)
      else driver.abandon(5)

      const heldNew = delay()
      rig.origin.on({ text: /new/ }, heldNew)
      const second = driver.query('SELECT * FROM ks.new', { streamId: 5 })
      await rig.origin.waitFor(({ text }) => text?.includes('new') === true)
      held.release()
      await eventually(() => rig.series().lateAnswers.origin === 1)
      heldNew.release()
      const answer = await second
      expect(readTextRows(answer).rows).toEqual([['origin']])
      await someTurns()
      expect(driver.unread).toEqual([])
      await rig.idle()
    },
  )

  test('of one cluster of a write disturbs nobody', async () => {
    const [rig, clock] = await start('error')
    const driver = await rig.client()
    const held = delay()
    rig.target.on({ text: /old/ }, held)
    const first = driver.query('INSERT INTO ks.old (k) VALUES (1)')
    await rig.target.waitFor(({ text }) => text?.includes('old') === true)
    await eventually(() => rig.used('origin') === 0)
    clock.advance(PAST_TIMEOUT_MS)
    expect(readError(await first).message).not.toContain('Origin')
    expect(rig.used('target')).toBe(1)
    const answers = Promise.all(Array.from({ length: 10 }, () => driver.query(WRITE)))
    held.release()
    expect((await answers).map(resultKind)).toEqual(Array(10).fill(ResultKind.VOID))
    expect(rig.series().lateAnswers).toEqual({ origin: 0, target: 1 })
    await rig.idle()
  })

  test('to a PREPARE disturbs nobody', async () => {
    const [rig, clock] = await start('error')
    const driver = await rig.client()
    const held = delay()
    rig.target.on({ opcode: Opcode.PREPARE, times: 1 }, held)
    const first = driver.request(Opcode.PREPARE, prepareBody(4, WRITE))
    await rig.target.waitFor(({ opcode }) => opcode === Opcode.PREPARE)
    clock.advance(PAST_TIMEOUT_MS)
    expect((await first).opcode).toBe(Opcode.ERROR)
    held.release()
    await rig.idle()
    expect(resultKind(await driver.execute(await driver.prepare(WRITE)))).toBe(ResultKind.VOID)
  })
})

describe('proxy_timeout_reply none', () => {
  test('keeps silent for every kind of request, and goes on serving', async () => {
    const clock = new FakeClock()
    const rig = await startPlane({ clock, settings: { proxyTimeoutReply: 'none' } })
    const driver = await rig.client()
    const prepared = await driver.prepare(WRITE)
    const rule = rig.target.on({ where: () => true }, drop())
    rig.clear()
    const { version } = driver
    const asked: (readonly [number, Uint8Array])[] = [
      [Opcode.QUERY, queryBody(version, WRITE)],
      [Opcode.PREPARE, prepareBody(version, READ)],
      [Opcode.BATCH, batchBody(version, [{ id: prepared.id }])],
      [Opcode.QUERY, queryBody(version, 'USE ks1')],
    ]
    for (const [opcode, body] of asked) driver.send(driver.envelope(opcode, body))
    // The USE comes as far as the STARTUP of its connection.
    await eventually(() => rig.target.received.length === 4)
    clock.advance(PAST_TIMEOUT_MS)
    await someTurns()
    expect(driver.unread).toEqual([])
    expect(rig.plane.requests.inFlight).toBe(0)
    rig.target.off(rule)
    expect(resultKind(await driver.query(WRITE))).toBe(ResultKind.VOID)
  })
})

describe('proxy_request_timeout_ms, changed while connections are open', () => {
  test.each<[string, (driver: RawClient) => Promise<Envelope>]>([
    ['a read', (driver) => driver.query(READ)],
    ['PREPARE', (driver) => driver.request(Opcode.PREPARE, prepareBody(driver.version, READ))],
  ])('holds for %s', async (_, ask) => {
    const clock = new FakeClock()
    const rig = await startPlane({ clock })
    const driver = await rig.client()
    rig.origin.on({ text: /ks\.t/ }, drop())
    rig.plane.setSettings({ ...rig.plane.settings, requestTimeoutMs: 1_000 })
    const answer = ask(driver)
    await rig.origin.waitFor(({ text }) => text === READ)
    clock.advance(1_500)
    expect(readError(await answer).message).toContain('within 1000 ms')
  })
})

describe('orphaned stream ids', () => {
  test('a connection with too many is replaced; what it still owes is dropped', async () => {
    const clock = new FakeClock()
    const rig = await startPlane({ clock, settings: { upstreamConnectionsMaxPerNode: 1 } })
    const driver = await rig.client()
    const rule = rig.origin.on({ text: /old/ }, drop())
    const asked = 1100
    const answers = Array.from({ length: asked }, () => driver.query('SELECT * FROM ks.old'))
    await rig.origin.waitUntil(() => rule.hits === asked)
    clock.advance(PAST_TIMEOUT_MS)
    const codes = (await Promise.all(answers)).map((answer) => readError(answer).code)
    expect(codes).toEqual(Array(asked).fill(ErrorCode.READ_TIMEOUT))
    await eventually(() => rig.series().orphanedConnectionsReplaced.origin > 0)
    await eventually(() => rig.used('origin') === 0)
    expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
    await rig.idle()
  })

  test('per client, its client goes with the connection', async () => {
    const clock = new FakeClock()
    const settings = { upstreamConnections: 'per_client', proxyMaxStreamIds: 10 } as const
    const rig = await startPlane({ clock, settings })
    const [driver, other] = [await rig.client(), await rig.client()]
    rig.origin.on({ text: /old/ }, drop())
    const answers = Array.from({ length: 10 }, () => driver.query('SELECT * FROM ks.old'))
    await rig.origin.waitUntil(
      () => rig.origin.received.filter(({ text }) => text?.includes('old')).length === 10,
    )
    clock.advance(PAST_TIMEOUT_MS)
    await Promise.all(answers)
    clock.advance(1000)
    await driver.closed
    expect(resultKind(await other.query(READ))).toBe(ResultKind.ROWS)
  })
})
