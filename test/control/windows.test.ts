/** Rates, latencies and mirrored reads of the last seconds, as differences of counters that only grow. */
import { describe, expect, test } from 'vitest'
import { AsyncReadWindow, describeMirroredReads } from '../../src/control/async-read-window.ts'
import { TrafficWindow } from '../../src/control/traffic-window.ts'
import { DataPlaneMetrics } from '../../src/metrics/data-plane-metrics.ts'
import { ErrorKind } from '../../src/metrics/node-metrics.ts'

/** Of a request's time. */
const LIMIT_MS = 10_000
const BOUNDS = [0.001, 0.01, 0.1]

const TARGET_BOUNDS = [0.5, 1]
const ALL_BOUNDS = { origin: BOUNDS, target: TARGET_BOUNDS, readsTarget: BOUNDS }

const newMetrics = (honoursTargetBuckets = false): DataPlaneMetrics =>
  new DataPlaneMetrics({
    originBoundsSeconds: BOUNDS,
    targetBoundsSeconds: TARGET_BOUNDS,
    asyncBoundsSeconds: BOUNDS,
    honoursTargetBuckets,
  })

describe('traffic', () => {
  test('is nothing before the first sample', () => {
    expect(new TrafficWindow(ALL_BOUNDS).read(LIMIT_MS)).toBeNull()
  })

  test('per cluster: requests and errors a second, and the latency in its own buckets', () => {
    const metrics = newMetrics()
    const window = new TrafficWindow(ALL_BOUNDS)
    window.sample([metrics.toSeries()], 0)
    const origin = metrics.node('origin', '10.0.0.1:9042')
    const target = metrics.node('target', '10.0.1.1:9042')
    for (let i = 0; i < 20; i++) origin.requestDurationReads.observe(0.005)
    for (let i = 0; i < 10; i++) target.requestDurationWrites.observe(0.75)
    target.failed[ErrorKind.OVERLOADED] = 5
    window.sample([metrics.toSeries()], 5000)
    const traffic = window.read(LIMIT_MS)
    expect(traffic?.clusters.origin).toEqual({
      requestsPerSecond: 4,
      errorsPerSecond: 0,
      latency: { p50Ms: expect.closeTo(5.5), p99Ms: expect.closeTo(9.91) },
    })
    expect(traffic?.clusters.target).toEqual({
      requestsPerSecond: 2,
      errorsPerSecond: 1,
      latency: { p50Ms: expect.closeTo(750), p99Ms: expect.closeTo(995) },
    })
  })

  test('no latency is above the longest that a request is waited for', () => {
    const bounds = [1, 10, 15]
    const metrics = new DataPlaneMetrics({
      originBoundsSeconds: bounds,
      targetBoundsSeconds: bounds,
      asyncBoundsSeconds: bounds,
    })
    const window = new TrafficWindow({ origin: bounds, target: bounds, readsTarget: bounds })
    window.sample([metrics.toSeries()], 0)
    for (let i = 0; i < 100; i++) {
      metrics.requestDuration.writes.observe(10.002)
      metrics.node('target', '10.0.1.1:9042').requestDurationWrites.observe(10.001)
    }
    window.sample([metrics.toSeries()], 5000)
    const { latency, clusters } = window.read(LIMIT_MS)!
    expect([latency.writes, clusters.target.latency]).toEqual(
      Array(2).fill({ p50Ms: LIMIT_MS, p99Ms: LIMIT_MS }),
    )
    expect(latency.readsOrigin).toEqual({ p50Ms: null, p99Ms: null })
  })

  test('reads from Target in the buckets that they are counted in', () => {
    const metrics = newMetrics(true)
    const window = new TrafficWindow({ ...ALL_BOUNDS, readsTarget: TARGET_BOUNDS })
    window.sample([metrics.toSeries()], 0)
    for (let i = 0; i < 10; i++) metrics.requestDuration.readsTarget.observe(0.75)
    for (let i = 0; i < 10; i++) metrics.requestDuration.writes.observe(0.005)
    window.sample([metrics.toSeries()], 5000)
    const latency = window.read(LIMIT_MS)?.latency
    expect(latency?.readsTarget.p50Ms).toBeCloseTo(750)
    expect(latency?.writes.p50Ms).toBeCloseTo(5.5)
  })

  test('what happened before the window does not count', () => {
    const metrics = newMetrics()
    const node = metrics.node('origin', 'a')
    node.requestDurationReads.observe(0.005)
    const window = new TrafficWindow(ALL_BOUNDS)
    window.sample([metrics.toSeries()], 0)
    window.sample([metrics.toSeries()], 1000)
    expect(window.read(LIMIT_MS)?.clusters.origin.requestsPerSecond).toBe(0)
  })
})

describe('mirrored reads', () => {
  const sampleOf = (reads: number, errors: number, mismatches: number, dropped = 0) => {
    const metrics = newMetrics()
    const node = metrics.asyncReads.node('target', '10.0.1.1:9042')
    for (let i = 0; i < reads; i++) node.requestDurationReads.observe(0.005)
    node.failed[ErrorKind.OTHER] = errors
    metrics.asyncReads.compared.mismatch = mismatches
    metrics.asyncReads.compared.equal = 2 * mismatches
    metrics.asyncReads.dropped.queueFull = dropped
    return [metrics.toSeries()]
  }

  test('are nothing where none was mirrored', () => {
    const window = new AsyncReadWindow()
    expect(window.read()).toBeNull()
    window.sample(sampleOf(0, 0, 0), 0)
    expect(window.read()).toBeNull()
  })

  test('are counted from the beginning of the window', () => {
    const window = new AsyncReadWindow()
    window.sample(sampleOf(10, 1, 1), 0)
    window.sample(sampleOf(110, 3, 2), 60_000)
    expect(window.read()).toEqual({
      windowSeconds: 60,
      reads: 100,
      errors: 2,
      compared: 3,
      mismatches: 1,
      dropped: 0,
    })
  })

  test('that were dropped are counted, and are no reads', () => {
    const window = new AsyncReadWindow()
    window.sample(sampleOf(0, 0, 0, 5), 0)
    window.sample(sampleOf(0, 0, 0, 47), 60_000)
    expect(window.read()).toMatchObject({ reads: 0, dropped: 42 })
    expect(describeMirroredReads(window.read()!)).toBe(
      '0 mirrored reads, 0 failed; answers not compared (compare_async_reads: true compares them); 42 copies dropped, which tell nothing',
    )
  })

  test('older than ten minutes are forgotten', () => {
    const window = new AsyncReadWindow()
    window.sample(sampleOf(10, 10, 10), 0)
    window.sample(sampleOf(20, 10, 10), 300_000)
    window.sample(sampleOf(50, 10, 10), 900_000)
    expect(window.read()).toMatchObject({ windowSeconds: 600, reads: 30, errors: 0, mismatches: 0 })
  })
})
