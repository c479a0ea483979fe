/** Traced requests: which are, what is told of them, and that it ends where it should. */
import { describe, expect, test } from 'vitest'
import { ErrorCode, Opcode, Version } from '../../src/cql/protocol.ts'
import { TRACED_PER_SWEEP_MAX } from '../../src/session/request-spans.ts'
import type { TracedRequest } from '../../src/tracing/traced-request.ts'
import { sendWithPayload } from '../support/custom-payload.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { queryBody } from '../support/fake-cluster/request-bodies.ts'
import { closeSocket, delay, drop, respondError } from '../support/fake-cluster/script.ts'
import { startRig } from '../support/instance.ts'
import { type PlaneRigOptions, startPlane } from '../support/plane.ts'
import { startCollector } from '../support/trace-collector.ts'

const READ = "SELECT v FROM ks.t WHERE k = 'secret'"
const WRITE = "INSERT INTO ks.t (k) VALUES ('secret')"
const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'

const start = async (options: PlaneRigOptions = {}) => {
  const traced: TracedRequest[] = []
  const clock = new FakeClock()
  const rig = await startPlane({
    clock,
    ...options,
    settings: {
      tracingOtlpEndpoint: 'http://127.0.0.1:1/v1/traces',
      tracingSamplePercent: 100,
      ...options.settings,
    },
    onTraced: (requests) => void traced.push(...requests),
  })
  /** All that is answered by now. */
  const take = (): TracedRequest[] => {
    rig.plane.spans!.sweep()
    return traced.splice(0)
  }
  return { ...rig, clock, take }
}

describe('a traced request', () => {
  test('tells what it was, whom it was sent to, and nothing of the data', async () => {
    const { take, ...rig } = await start()
    const driver = await rig.client()
    await driver.query(READ)
    const prepared = await driver.prepare(WRITE)
    await driver.execute(prepared)
    await driver.batch([{ id: prepared.id }])
    const requests = take()
    const told = requests.map(({ opcode, operation, keyspace, error, legs }) => [
      opcode,
      operation,
      keyspace,
      error,
      legs.map(({ cluster }) => cluster).sort(),
    ])
    expect(told).toEqual([
      ['QUERY', 'SELECT', 'ks', null, ['origin']],
      ['EXECUTE', 'INSERT', 'ks', null, ['origin', 'target']],
      ['BATCH', 'BATCH', 'ks', null, ['origin', 'target']],
    ])
    const [read] = requests
    expect(read!.traceId).toMatch(/^[0-9a-f]{32}$/)
    expect(read!.client).toBe(`127.0.0.1:${driver.socket.localPort}`)
    expect(read!.legs[0]!.node).toBe(
      rig.series().nodes.find(({ cluster }) => cluster === 'origin')!.node,
    )
    const ids = requests.flatMap(({ spanId, legs }) => [spanId, ...legs.map((leg) => leg.spanId)])
    expect(new Set(ids).size).toBe(8)
    expect(JSON.stringify(requests)).not.toContain('secret')
  })

  test('has the times of its answers', async () => {
    const { take, clock, ...rig } = await start()
    const held = delay()
    rig.target.on({ text: /INSERT/ }, held)
    const driver = await rig.client()
    const startMs = clock.wallMs()
    const answer = driver.query(WRITE)
    await rig.target.waitFor(({ text }) => text === WRITE)
    await expect.poll(() => rig.used('origin')).toBe(0)
    clock.advance(30)
    held.release()
    await answer
    const [request] = take()
    const [origin, target] = request!.legs
    expect([request!.startMs, request!.endMs - request!.startMs]).toEqual([startMs, 30])
    expect([origin!.endMs - startMs, target!.startMs - startMs, target!.endMs - startMs]).toEqual([
      0, 0, 30,
    ])
  })

  test('has the error that the client was answered', async () => {
    const { take, ...rig } = await start()
    rig.target.on({ text: /INSERT/ }, respondError(ErrorCode.WRITE_TIMEOUT))
    const driver = await rig.client()
    await driver.query(WRITE)
    const [request] = take()
    expect(request!.error).toBe('0x1100')
    const errors = request!.legs.map(({ cluster, error }) => [cluster, error])
    expect(Object.fromEntries(errors)).toEqual({ origin: null, target: '0x1100' })
  })

  test('that times out says so, and of the cluster that was late', async () => {
    const { take, clock, ...rig } = await start()
    rig.target.on({ text: /INSERT/ }, drop())
    const driver = await rig.client()
    const answer = driver.query(WRITE)
    await rig.target.waitFor(({ text }) => text === WRITE)
    await expect.poll(() => rig.used('origin')).toBe(0)
    clock.advance(10_500)
    await answer
    const [request] = take()
    expect(request!.error).toBe('timeout')
    expect(request!.legs.map(({ cluster, error }) => [cluster, error])).toEqual([
      ['origin', null],
      ['target', 'timeout'],
    ])
  })

  test('that meets a lost connection says so', async () => {
    const { take, ...rig } = await start()
    rig.origin.on({ text: /SELECT v/ }, closeSocket())
    const driver = await rig.client()
    await driver.query(READ)
    const [request] = take()
    expect([request!.error, request!.legs[0]!.error]).toEqual([
      'connection_lost',
      'connection_lost',
    ])
  })

  test('that had to be prepared again has a span for each question, one after the other', async () => {
    const { take, ...rig } = await start()
    const driver = await rig.client()
    const prepared = await driver.prepare(READ)
    rig.origin.forgetPrepared()
    await driver.execute(prepared)
    const [request] = take()
    expect(request!.error).toBeNull()
    expect(request!.legs.map(({ error }) => error)).toEqual(['0x2500', null])
    expect(request!.legs[1]!.startMs).toBe(request!.legs[0]!.endMs)
  })

  test('shows its request id (tracing_enabled)', async () => {
    const { take, ...rig } = await start({ settings: { tracingEnabled: true } })
    const driver = await rig.client()
    await driver.query(READ)
    expect(take()[0]!.requestId).toMatch(/^[0-9a-f]{32}$/)
  })
})

describe('what is traced', () => {
  const send = async (parent: string, percent: number) => {
    const { take, ...rig } = await start({ settings: { tracingSamplePercent: percent } })
    const driver = await rig.client()
    const body = queryBody(Version.V4, READ)
    await sendWithPayload(driver, Opcode.QUERY, body, { traceparent: parent })
    return take()
  }

  test.each([
    ['sampled', '01', 0, 1],
    ['not sampled', '00', 100, 0],
  ])('a client that says %s decides', async (_, flags, percent, count) => {
    const requests = await send(`00-${TRACE}-${SPAN}-${flags}`, percent)
    expect(requests).toHaveLength(count)
    for (const { traceId, parentSpanId } of requests) {
      expect([traceId, parentSpanId]).toEqual([TRACE, SPAN])
    }
  })

  test.each([
    [0, 0],
    [100, 1],
  ])('a traceparent that is none decides nothing: %i percent', async (percent, count) => {
    expect(await send('00-me', percent)).toHaveLength(count)
  })

  test('the share can change while clients are there', async () => {
    const { take, ...rig } = await start({ settings: { tracingSamplePercent: 0 } })
    const driver = await rig.client()
    const change = (samplePercent: number): void => {
      const { settings } = rig.plane
      rig.plane.setSettings({ ...settings, tracing: { ...settings.tracing, samplePercent } })
    }
    await driver.query(READ)
    expect(take()).toEqual([])
    change(25)
    for (let i = 0; i < 400; i++) await driver.query(READ)
    const share = take().length / 400
    expect(share).toBeGreaterThan(0.15)
    expect(share).toBeLessThan(0.35)
  })

  test('too many between two sweeps are dropped and counted', async () => {
    const { take, ...rig } = await start()
    const driver = await rig.client()
    const reads = Array.from({ length: TRACED_PER_SWEEP_MAX + 5 }, () => driver.query(READ))
    await Promise.all(reads)
    expect(take()).toHaveLength(TRACED_PER_SWEEP_MAX)
    expect(rig.series().spansDropped).toBe(10)
    await driver.query(READ)
    expect(take()).toHaveLength(1)
  })

  test('nothing without tracing_otlp_endpoint', async () => {
    const rig = await startPlane({ settings: { tracingSamplePercent: 100 } })
    await (await rig.client()).query(READ)
    expect(rig.plane.spans).toBeNull()
  })
})

test.each([1, 2])(
  '%i threads: the collector has all spans when the proxy has stopped',
  async (threads) => {
    const collector = await startCollector()
    const rig = await startRig({
      settings: {
        dataPlaneThreads: threads,
        tracingOtlpEndpoint: collector.endpoint,
        tracingSamplePercent: 100,
      },
    })
    const drivers = await Promise.all(Array.from({ length: 4 }, () => rig.client()))
    await Promise.all(drivers.map((driver) => driver.query(WRITE)))
    await Promise.all(drivers.map((driver) => driver.close()))
    await rig.stop()
    expect(rig.instance.tracing).toEqual({ exported: 12, queueFull: 0, exportFailed: 0 })
    const servers = collector.spans.filter(({ kind }) => kind === 2)
    expect(servers).toHaveLength(4)
    for (const server of servers) {
      const below = collector.spans.filter(({ parentSpanId }) => parentSpanId === server.spanId)
      expect(below.map(({ attributes }) => attributes['zdm.cluster']).sort()).toEqual([
        'origin',
        'target',
      ])
      expect(new Set(below.map(({ traceId }) => traceId))).toEqual(new Set([server.traceId]))
    }
  },
)

test('a collector that is away costs no request, and no time at the end', async () => {
  const rig = await startRig({
    settings: { tracingOtlpEndpoint: 'http://127.0.0.1:1/v1/traces', tracingSamplePercent: 100 },
  })
  const driver = await rig.client()
  await driver.query(WRITE)
  await driver.close()
  await rig.stop()
  expect(rig.instance.tracing).toEqual({ exported: 0, queueFull: 0, exportFailed: 3 })
  expect(rig.log.filter(({ code }) => code === 'TRACES_NOT_EXPORTED')).toHaveLength(1)
})
