/** Copies of reads between a client, a primary and a secondary that may do anything (request-path §7). */
import { describe, expect, test } from 'vitest'
import { ErrorCode, Opcode, ResultKind, Version } from '../../src/cql/protocol.ts'
import type { AsyncSeries } from '../../src/metrics/plane-series.ts'
import { Cluster } from '../../src/routing/cluster.ts'
import { FakeClock } from '../support/fake-clock.ts'
import type { FakeCluster } from '../support/fake-cluster/cluster.ts'
import { readError, readTextRows, resultKind } from '../support/fake-cluster/request-bodies.ts'
import { errorAnswer, rowsAnswer } from '../support/fake-cluster/results.ts'
import {
  type Condition,
  closeSocket,
  delay,
  drop,
  forgetPrepared,
  halfClose,
  type Reaction,
  type Received,
  rawBytes,
  resetSocket,
  respond,
  respondError,
} from '../support/fake-cluster/script.ts'
import type { Envelope } from '../support/fake-cluster/wire.ts'
import { eventually, type PlaneRig, someTurns, startPlane } from '../support/plane.ts'
import type { RawClient } from '../support/raw-client.ts'

const READ = 'SELECT v FROM ks.t WHERE k = 1'
const PREPARED_READ = 'SELECT v FROM ks.t WHERE k = ?'
const WRITE = 'INSERT INTO ks.t (k) VALUES (1)'
const DUAL = { readMode: 'DUAL_ASYNC_ON_SECONDARY' } as const

const reads = (cluster: FakeCluster): readonly Received[] =>
  cluster.received.filter(
    ({ opcode, text }) =>
      (opcode === Opcode.QUERY || opcode === Opcode.EXECUTE) &&
      text?.includes('FROM ks.t') === true,
  )

const asyncSeries = (rig: PlaneRig): AsyncSeries => rig.series().asyncReads

const answered = (rig: PlaneRig): number =>
  asyncSeries(rig).nodes.reduce((sum, node) => sum + node.requestDurationReads.count, 0)

const failed = (rig: PlaneRig): number[] =>
  asyncSeries(rig).nodes.reduce<number[]>(
    (sum, { failed: counts }) => counts.map((count, kind) => count + (sum[kind] ?? 0)),
    [],
  )

const textRows = (answer: Envelope): readonly unknown[] => readTextRows(answer).rows

const inFlight = (rig: PlaneRig): number => rig.plane.readCopies.inFlight

const connected = async (rig: PlaneRig): Promise<RawClient> => {
  const driver = await rig.client()
  await ready(rig, driver)
  return driver
}

/** Reads until one is copied. */
const ready = async (rig: PlaneRig, driver: RawClient): Promise<void> => {
  for (const before = answered(rig); answered(rig) === before; ) {
    expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
    await someTurns(5)
  }
  await eventually(() => inFlight(rig) === 0)
  rig.clear()
}

describe.each([Version.V3, Version.V4, Version.V5])('v%i', (version) => {
  test.each(['ORIGIN', 'TARGET'] as const)('primary %s: each read reaches both', async (name) => {
    const rig = await startPlane({ settings: { ...DUAL, primaryCluster: name } })
    const [primary, secondary] =
      name === 'ORIGIN' ? [rig.origin, rig.target] : [rig.target, rig.origin]
    const driver = await rig.client(version)
    await ready(rig, driver)
    const prepared = await driver.prepare(PREPARED_READ)
    const row = [[name.toLowerCase()]]
    expect(textRows(await driver.query(READ))).toEqual(row)
    expect(textRows(await driver.execute(prepared, { values: ['a'] }))).toEqual(row)
    await eventually(() => reads(secondary).length === 2)
    expect(reads(primary).map(({ text }) => text)).toEqual([READ, PREPARED_READ])
    expect(reads(secondary).map(({ text }) => text)).toEqual([READ, PREPARED_READ])
    expect(reads(secondary)[1]!.values).toEqual([Buffer.from('a')])
    expect(answered(rig)).toBeGreaterThanOrEqual(2)
    await eventually(() => inFlight(rig) === 0)
    await rig.idle()
  })
})

test('writes, schema, system reads and batches are not copied', async () => {
  const rig = await startPlane({ settings: DUAL })
  const driver = await connected(rig)
  const before = answered(rig)
  for (const text of [
    WRITE,
    'CREATE TABLE ks.u (k int PRIMARY KEY)',
    'SELECT * FROM system.local',
    'SELECT * FROM system_schema.tables',
    'LIST ROLES',
  ]) {
    await driver.query(text)
  }
  await driver.batch([{ text: WRITE }])
  await someTurns()
  expect(answered(rig)).toBe(before)
  expect(reads(rig.target)).toEqual([])
})

test('without the read mode nothing is copied, and no connection is opened for it', async () => {
  const rig = await startPlane()
  const driver = await rig.client()
  for (let i = 0; i < 5; i++) await driver.query(READ)
  await someTurns()
  expect(reads(rig.target)).toEqual([])
  expect(asyncSeries(rig).nodes).toEqual([])
})

test('the read mode and the primary can change at run time', async () => {
  const rig = await startPlane()
  const driver = await rig.client()
  const { routing } = rig.plane
  await driver.query(READ)
  await rig.plane.setRouting({ ...routing, revision: 1, readMode: 'DUAL_ASYNC_ON_SECONDARY' })
  await ready(rig, driver)
  await driver.query(READ)
  await eventually(() => reads(rig.target).length === 1)
  await rig.plane.setRouting({
    ...routing,
    revision: 2,
    readMode: 'DUAL_ASYNC_ON_SECONDARY',
    primary: Cluster.TARGET,
  })
  await ready(rig, driver)
  expect(textRows(await driver.query(READ))).toEqual([['target']])
  await eventually(() => reads(rig.origin).length === 1)
  await rig.plane.setRouting({ ...routing, revision: 3 })
  rig.clear()
  expect(textRows(await driver.query(READ))).toEqual([['origin']])
  await someTurns()
  expect(reads(rig.target)).toEqual([])
})

test('copies are in the keyspace that USE has set', async () => {
  const rig = await startPlane({ settings: DUAL })
  const driver = await rig.client()
  await driver.query('USE ks2')
  for (;;) {
    await driver.query('SELECT v FROM t')
    await someTurns(5)
    const copy = rig.target.received.find(({ text }) => text === 'SELECT v FROM t')
    if (copy === undefined) continue
    expect(copy.keyspace).toBe('ks2')
    return
  }
})

test('copies never travel on a connection that writes use', async () => {
  const rig = await startPlane({ settings: DUAL })
  const driver = await connected(rig)
  for (let i = 0; i < 10; i++) {
    await driver.query(READ)
    await driver.query(WRITE)
  }
  await eventually(() => reads(rig.target).length === 10)
  const ofReads = new Set(reads(rig.target).map(({ connection }) => connection))
  const ofWrites = rig.target.received.filter(({ text }) => text === WRITE)
  expect(ofWrites).toHaveLength(10)
  for (const { connection } of ofWrites) expect(ofReads).not.toContain(connection)
})

const onlyCopies: Condition = { opcode: Opcode.QUERY, text: /FROM ks\.t/ }

/** What the secondary does to copies, and how the client's next 20 reads and writes fare: as always. */
const TROUBLES: readonly (readonly [what: string, reaction: () => Reaction])[] = [
  ['is slow', () => delay()],
  ['is silent', drop],
  ['answers with errors', () => respondError(ErrorCode.OVERLOADED)],
  ['answers with an unknown error', () => respondError(0x1700)],
  ['reports a protocol error', () => respondError(ErrorCode.PROTOCOL_ERROR)],
  ['closes the connection', closeSocket],
  ['resets the connection', resetSocket],
  ['closes one side', halfClose],
  ['sends garbage', () => rawBytes(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'))],
]

describe('a client notices nothing when the secondary', () => {
  test.each(TROUBLES)('%s', async (_, reaction) => {
    const rig = await startPlane({ settings: DUAL })
    const driver = await connected(rig)
    rig.target.on(onlyCopies, reaction())
    for (let i = 0; i < 20; i++) {
      expect(textRows(await driver.query(READ))).toEqual([['origin']])
      expect(resultKind(await driver.query(WRITE))).toBe(ResultKind.VOID)
    }
    await eventually(() => rig.plane.requests.inFlight === 0)
    expect(rig.series()).toMatchObject({
      failedReads: { origin: 0, target: 0 },
      failedWrites: { origin: 0, target: 0, both: 0 },
      clientConnections: 1,
    })
  })

  test('owes as many answers as may be in flight', async () => {
    const rig = await startPlane({ settings: { ...DUAL, asyncReadsMaxInFlight: 8 } })
    const driver = await connected(rig)
    rig.target.on(onlyCopies, drop())
    for (let i = 0; i < 20; i++) {
      expect(textRows(await driver.query(READ))).toEqual([['origin']])
    }
    expect(asyncSeries(rig).dropped.inFlightLimit).toBe(12)
    expect(asyncSeries(rig).nodes[0]!.inflight).toBe(8)
  })

  test('has no stream ids left', async () => {
    const rig = await startPlane({
      settings: DUAL,
      plane: { streamIdsMax: 8, connectionsPerNodeMax: 1 },
    })
    const driver = await connected(rig)
    rig.target.on(onlyCopies, drop())
    for (let i = 0; i < 20; i++) {
      expect(textRows(await driver.query(READ))).toEqual([['origin']])
    }
    expect(asyncSeries(rig).dropped.noStreamId).toBe(12)
  })

  test('does not read what is sent to it', async () => {
    const rig = await startPlane({ settings: DUAL })
    const driver = await connected(rig)
    const long = `SELECT v FROM ks.t WHERE k = '${'x'.repeat(1024 * 1024)}'`
    const copies = asyncSeries(rig).nodes[0]!
    for (const connection of rig.target.openConnections) connection.pause()
    expect(copies.connections).toBe(1)
    for (let i = 0; asyncSeries(rig).dropped.queueFull === 0; i++) {
      expect(i).toBeLessThan(64)
      expect(textRows(await driver.query(long))).toEqual([['origin']])
    }
    expect(rig.plane.waitingForUpstream.size).toBe(0)
  })

  test('is not there at all', async () => {
    const rig = await startPlane({ settings: DUAL })
    const driver = await rig.client()
    await driver.query(WRITE)
    await rig.target.stopListening()
    await eventually(() => rig.target.openConnections.length === 0)
    for (let i = 0; i < 20; i++) {
      expect(textRows(await driver.query(READ))).toEqual([['origin']])
    }
    expect(asyncSeries(rig).dropped.noConnection).toBeGreaterThan(0)
    await rig.target.resume()
    await ready(rig, driver)
  })
})

test('a late answer meets nobody: client_timeout, and its stream id is free again', async () => {
  const clock = new FakeClock()
  const rig = await startPlane({ settings: DUAL, clock })
  const driver = await connected(rig)
  const late = delay()
  rig.target.on(onlyCopies, late)
  await driver.query(READ)
  await eventually(() => reads(rig.target).length === 1)
  expect(inFlight(rig)).toBe(1)
  clock.advance(11_000)
  expect(inFlight(rig)).toBe(0)
  expect(failed(rig).at(-1)).toBe(1)
  expect(asyncSeries(rig).nodes[0]).toMatchObject({ usedStreamIds: 1, inflight: 0 })
  late.release()
  await eventually(() => asyncSeries(rig).nodes[0]!.usedStreamIds === 0)
  expect(rig.series().requestsTimedOut).toEqual({ origin: 0, target: 0 })
})

test('a secondary that has forgotten a statement is taught it, and gets the read', async () => {
  const rig = await startPlane({ settings: DUAL })
  const driver = await connected(rig)
  const prepared = await driver.prepare(PREPARED_READ)
  rig.target.on({ opcode: Opcode.EXECUTE, times: 1 }, forgetPrepared())
  expect(textRows(await driver.execute(prepared, { values: ['a'] }))).toEqual([['origin']])
  await eventually(() => reads(rig.target).length === 2)
  await eventually(() => inFlight(rig) === 0)
  expect(failed(rig)[0]).toBe(1)
  expect(rig.series().preparedHeals).toEqual({ origin: 0, target: 1 })
  expect(asyncSeries(rig).dropped.notPrepared).toBe(0)
})

test('a secondary that cannot be taught the statement: dropped', async () => {
  const rig = await startPlane({ settings: DUAL })
  const driver = await connected(rig)
  const prepared = await driver.prepare(PREPARED_READ)
  rig.target.on({ opcode: Opcode.EXECUTE }, forgetPrepared())
  rig.target.on({ opcode: Opcode.PREPARE }, respondError(ErrorCode.INVALID))
  expect(textRows(await driver.execute(prepared, { values: ['a'] }))).toEqual([['origin']])
  await eventually(() => asyncSeries(rig).dropped.notPrepared === 1)
  expect(inFlight(rig)).toBe(0)
})

test('async_handshake_timeout_ms, changed while connections are open, holds for their PREPARE', async () => {
  const clock = new FakeClock()
  const rig = await startPlane({ clock, settings: DUAL })
  const driver = await connected(rig)
  const prepared = await driver.prepare(PREPARED_READ)
  const { settings } = rig.plane
  const asyncReads = { ...settings.asyncReads, handshakeTimeoutMs: 100 }
  rig.plane.setSettings({ ...settings, asyncReads })
  rig.target.on({ opcode: Opcode.EXECUTE }, forgetPrepared())
  const rule = rig.target.on({ opcode: Opcode.PREPARE }, drop())
  expect(textRows(await driver.execute(prepared, { values: ['a'] }))).toEqual([['origin']])
  await rig.target.waitUntil(() => rule.hits === 1)
  clock.advance(500)
  await eventually(() => asyncSeries(rig).dropped.notPrepared === 1)
})

test.each([
  [0, 0, 0],
  [50, 60, 140],
  [100, 200, 200],
])('%i %% of the reads are copied', async (percent, least, most) => {
  const rig = await startPlane({ settings: { ...DUAL, asyncReadsSamplePercent: percent } })
  const driver = await rig.client()
  await eventually(() => asyncSeries(rig).nodes[0]?.connections === 1)
  await someTurns(50)
  rig.clear()
  for (let i = 0; i < 200; i++) await driver.query(READ)
  await eventually(() => inFlight(rig) === 0)
  expect(reads(rig.target).length).toBeGreaterThanOrEqual(least)
  expect(reads(rig.target).length).toBeLessThanOrEqual(most)
})

test('a handshake that does not go on is given up after its time, and tried again', async () => {
  const clock = new FakeClock()
  const rig = await startPlane({ clock })
  const driver = await rig.client()
  const rule = rig.target.on({ opcode: Opcode.STARTUP }, drop())
  await rig.plane.setRouting({ ...rig.plane.routing, readMode: 'DUAL_ASYNC_ON_SECONDARY' })
  await eventually(() => rule.hits === 1)
  expect(textRows(await driver.query(READ))).toEqual([['origin']])
  expect(asyncSeries(rig).dropped.noConnection).toBe(1)
  clock.advance(4250)
  await eventually(() => asyncSeries(rig).nodes[0]!.connections === 0)
  rig.target.off(rule)
  await eventually(() => rig.log.some(({ code }) => code === 'ASYNC_CONNECT_FAILED'))
  clock.advance(1000)
  await ready(rig, driver)
})

test('connections for copies are closed half a minute after copying was switched off', async () => {
  const clock = new FakeClock()
  const rig = await startPlane({ settings: DUAL, clock })
  await connected(rig)
  clock.advance(31_000)
  expect(asyncSeries(rig).nodes[0]!.connections).toBe(1)
  await rig.plane.setRouting({ ...rig.plane.routing, readMode: 'PRIMARY_ONLY' })
  clock.advance(31_000)
  await eventually(() => asyncSeries(rig).nodes[0]!.connections === 0)
})

test('a client’s own connections do not make its copies need some', async () => {
  const rig = await startPlane({ settings: { ...DUAL, upstreamConnections: 'per_client' } })
  const first = await connected(rig)
  const second = await rig.client()
  await first.query(READ)
  await second.query(READ)
  await eventually(() => reads(rig.target).length === 2)
  expect(asyncSeries(rig).nodes[0]!.connections).toBe(1)
})

describe('compared', () => {
  const COMPARED = { ...DUAL, compareAsyncReads: true, compareAsyncReadsRecheckMs: 5000 }
  const columns = [
    { name: 'k', type: 'varchar' },
    { name: 'v', type: 'varchar' },
  ] as const
  const name = { keyspace: 'ks', table: 't' }
  const rows = (...all: readonly (readonly string[])[]): Reaction =>
    respond(rowsAnswer({ name, columns, rows: all }))
  const start = async (): Promise<{ rig: PlaneRig; clock: FakeClock; driver: RawClient }> => {
    const clock = new FakeClock()
    const rig = await startPlane({
      origin: { name: 'same' },
      target: { name: 'same' },
      settings: COMPARED,
      clock,
    })
    const driver = await rig.client()
    // Once each way round, so that there are connections for copies to both.
    const { routing } = rig.plane
    await rig.plane.setRouting({ ...routing, primary: Cluster.TARGET })
    await ready(rig, driver)
    await rig.plane.setRouting(routing)
    await ready(rig, driver)
    await eventually(() => asyncSeries(rig).compared.equal === 2)
    return { rig, clock, driver }
  }
  const compared = (rig: PlaneRig): number => {
    const { equal, equalLater, mismatch } = asyncSeries(rig).compared
    return equal + equalLater + mismatch
  }
  const SELECT = "SELECT k, v FROM ks.u WHERE k = 'secret'"
  const condition: Condition = { text: /ks\.u/ }

  test('the same rows in another order are equal', async () => {
    const { rig, driver } = await start()
    rig.origin.on(condition, rows(['a', '1'], ['b', '2']))
    rig.target.on(condition, rows(['b', '2'], ['a', '1']))
    const before = asyncSeries(rig).compared.equal
    await driver.query(SELECT)
    await eventually(() => asyncSeries(rig).compared.equal === before + 1)
    expect(rig.plane.mismatches()).toEqual([])
  })

  test('a difference counts when it is still there, and its sample has no values', async () => {
    const { rig, clock, driver } = await start()
    rig.origin.on(condition, rows(['secret', 'alpha'], ['b', '2']))
    rig.target.on(condition, rows(['secret', 'omega']))
    await driver.query(SELECT)
    await eventually(() => inFlight(rig) === 0)
    await someTurns()
    expect(asyncSeries(rig).mismatches).toEqual([])
    clock.advance(6000)
    await eventually(() => asyncSeries(rig).compared.mismatch === 1)
    expect(asyncSeries(rig).mismatches).toEqual([{ keyspace: 'ks', table: 't', count: 1 }])
    const [sample] = rig.plane.mismatches()
    expect(sample).toMatchObject({
      keyspace: 'ks',
      table: 't',
      primary: 'origin',
      statement: 'SELECT k, v FROM ks.u WHERE k = ?',
      changedRows: 1,
      columns: ['v'],
      missingOnPrimary: 0,
      missingOnSecondary: 1,
      keyOf: 'statement',
      keyHash: expect.stringMatching(/^[0-9a-f]{16}$/),
    })
    for (const value of ['secret', 'alpha', 'omega']) {
      expect(JSON.stringify(sample)).not.toContain(value)
    }
    expect(rig.log.filter(({ code }) => code === 'READ_MISMATCH')).toHaveLength(1)
  })

  test('a difference that is gone after the delay does not count', async () => {
    const { rig, clock, driver } = await start()
    rig.origin.on(condition, rows(['a', '1']))
    rig.target.on({ ...condition, times: 1 }, rows())
    rig.target.on(condition, rows(['a', '1']))
    await driver.query(SELECT)
    await eventually(() => inFlight(rig) === 0)
    await someTurns()
    clock.advance(6000)
    await eventually(() => asyncSeries(rig).compared.equalLater === 1)
    expect(asyncSeries(rig).compared.mismatch).toBe(0)
  })

  test('a prepared read is told apart by its partition key', async () => {
    const { rig, clock, driver } = await start()
    rig.target.on({ opcode: Opcode.EXECUTE }, rows(['a', 'x']))
    const prepared = await driver.prepare(PREPARED_READ)
    const run = async (key: string): Promise<void> => {
      const before = compared(rig)
      await driver.execute(prepared, { values: [key], skipMetadata: true })
      await eventually(() => inFlight(rig) === 0)
      await someTurns()
      clock.advance(6000)
      await eventually(() => compared(rig) === before + 1)
    }
    for (const key of ['one', 'two', 'one']) await run(key)
    const samples = rig.plane.mismatches()
    expect(samples.map(({ keyOf }) => keyOf)).toEqual(Array(3).fill('partition_key'))
    expect(samples[0]!.keyHash).toBe(samples[2]!.keyHash)
    expect(samples[0]!.keyHash).not.toBe(samples[1]!.keyHash)
    expect(samples[0]!.columns).toContain('k')
  })

  test('an error on either side is no difference', async () => {
    const { rig, driver } = await start()
    rig.origin.on({ ...condition, times: 1 }, respond(errorAnswer(ErrorCode.UNAVAILABLE, 'no')))
    rig.target.on({ text: /ks\.u WHERE k = 2/ }, drop())
    expect(readError(await driver.query('SELECT k FROM ks.u'))).toMatchObject({
      code: ErrorCode.UNAVAILABLE,
    })
    await eventually(() => asyncSeries(rig).skipped.noRows === 1)
  })

  test('an answer that comes late on either side ends in nothing left over', async () => {
    const { rig, clock, driver } = await start()
    const late = delay()
    rig.origin.on(condition, late)
    const answer = driver.query(SELECT)
    await eventually(() => inFlight(rig) === 0 && rig.plane.requests.inFlight === 1)
    clock.advance(11_000)
    expect(readError(await answer)).toMatchObject({ code: ErrorCode.READ_TIMEOUT })
    expect(asyncSeries(rig).skipped.noRows).toBe(1)
    late.release()
    await rig.idle()
  })
})
