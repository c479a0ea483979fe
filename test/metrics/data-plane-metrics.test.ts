import { describe, expect, test } from 'vitest'
import { DataPlaneMetrics } from '../../src/metrics/data-plane-metrics.ts'
import { FINE_BOUNDS_SECONDS } from '../../src/metrics/latency-families.ts'
import { ERROR_KIND_LABELS, ErrorKind, errorKindOf } from '../../src/metrics/node-metrics.ts'
import { GcPauses } from '../../src/metrics/thread-series.ts'
import { ERROR_VALUES } from './reference-families.ts'

const BOUNDS = {
  originBoundsSeconds: [0.001, 1],
  targetBoundsSeconds: [0.002],
  asyncBoundsSeconds: [3],
}

describe('the kind of an error', () => {
  test.each([
    [0x2500, 'unprepared'],
    [0x1200, 'read_timeout'],
    [0x1100, 'write_timeout'],
    [0x1001, 'overloaded'],
    [0x1300, 'read_failure'],
    [0x1500, 'write_failure'],
    [0x1000, 'unavailable'],
    [0x2200, 'other'],
    [0x0000, 'other'],
    [0x7777, 'other'],
  ])('0x%s is %s', (code, label) => {
    expect(ERROR_KIND_LABELS[errorKindOf(code)]).toBe(label)
  })

  test('has the labels of the Go proxy, and one for a missing answer', () => {
    expect(ERROR_KIND_LABELS).toEqual(ERROR_VALUES)
    expect(ERROR_KIND_LABELS[ErrorKind.CLIENT_TIMEOUT]).toBe('client_timeout')
  })
})

describe('DataPlaneMetrics', () => {
  test('begins with zeros and without nodes', () => {
    const { thread: _, ...series } = new DataPlaneMetrics(BOUNDS).toSeries()
    const empty = (buckets: number): object => ({
      buckets: Array.from({ length: buckets }, () => 0),
      sumSeconds: 0,
      count: 0,
    })
    const perCluster = { origin: 0, target: 0 }
    const fine = empty(FINE_BOUNDS_SECONDS.length + 1)
    expect(series).toEqual({
      asyncReads: {
        nodes: [],
        dropped: { inFlightLimit: 0, noConnection: 0, noStreamId: 0, notPrepared: 0, queueFull: 0 },
        compared: { equal: 0, equalLater: 0, mismatch: 0 },
        skipped: { busy: 0, noRows: 0, notComparable: 0, tooLarge: 0 },
        mismatches: [],
      },
      clientConnections: 0,
      preparedEntries: 0,
      preparedMisses: 0,
      preparedEvictions: 0,
      spansDropped: 0,
      clientTraffic: { receivedBytes: 0, sentBytes: 0 },
      upstreamTraffic: {
        origin: { receivedBytes: 0, sentBytes: 0 },
        target: { receivedBytes: 0, sentBytes: 0 },
      },
      requestsByOpcode: Array.from({ length: 256 }, () => 0),
      inflight: { readsOrigin: 0, readsTarget: 0, writes: 0 },
      requestDuration: { readsOrigin: empty(3), readsTarget: empty(3), writes: empty(3) },
      fineDuration: { readsOrigin: fine, readsTarget: fine, writes: fine },
      writeGap: { origin: fine, target: fine },
      turnDuration: fine,
      upstreamStreamIds: perCluster,
      failedReads: perCluster,
      failedWrites: { origin: 0, target: 0, both: 0 },
      failedConnections: perCluster,
      preparedHeals: perCluster,
      lateAnswers: perCluster,
      orphanedConnectionsReplaced: perCluster,
      requestsTimedOut: perCluster,
      functionsReplaced: 0,
      unreplacedFunctions: { off: 0, collection: 0, json: 0, refused: 0 },
      writeTimestampsSet: 0,
      upstreamConnectionsOpened: perCluster,
      upstreamConnectionsLost: perCluster,
      authenticationFailures: perCluster,
      clientsClosed: {
        slow: 0,
        handshakeTimeout: 0,
        protocolError: 0,
        limit: 0,
        addressLimit: 0,
        accept: 0,
        internalError: 0,
        tlsHandshake: 0,
      },
      failedTables: [],
      keyspaceRequests: [],
      nodes: [],
    })
  })

  test('makes a node once per cluster, with the bounds of its cluster', () => {
    const metrics = new DataPlaneMetrics(BOUNDS)
    const node = metrics.node('origin', 'a:9042')
    expect(metrics.node('origin', 'a:9042')).toBe(node)
    expect(metrics.node('target', 'a:9042')).not.toBe(node)
    expect(node.requestDurationReads.boundsSeconds).toEqual([0.001, 1])
    expect(metrics.node('target', 'a:9042').requestDurationWrites.boundsSeconds).toEqual([0.002])
  })

  test('gives the type reads_target Origin bounds, as dashboards know it, unless Target’s are asked for', () => {
    const { requestDuration } = new DataPlaneMetrics(BOUNDS)
    expect(requestDuration.readsTarget.boundsSeconds).toEqual([0.001, 1])
    const honouring = new DataPlaneMetrics({ ...BOUNDS, honoursTargetBuckets: true })
    const { readsOrigin, readsTarget, writes } = honouring.requestDuration
    expect(readsTarget.boundsSeconds).toEqual([0.002])
    expect([readsOrigin, writes].map(({ boundsSeconds }) => boundsSeconds)).toEqual(
      Array(2).fill([0.001, 1]),
    )
  })

  test('hands over a copy that crosses threads and does not change', () => {
    const metrics = new DataPlaneMetrics(BOUNDS)
    const node = metrics.node('origin', 'a:9042')
    node.failed[ErrorKind.OVERLOADED] = 2
    metrics.failedWrites.both = 3
    const series = metrics.toSeries()
    const copy = structuredClone(series)
    node.failed[ErrorKind.OVERLOADED] = 9
    node.requestDurationReads.observe(1)
    metrics.failedWrites.both = 9
    metrics.clientsClosed.slow = 9
    metrics.inflight.writes = 9
    metrics.requestDuration.writes.observe(1)
    expect(series).toEqual(copy)
    expect(series.nodes[0]!.failed[ErrorKind.OVERLOADED]).toBe(2)
  })

  test('tells what its thread uses', () => {
    const { thread } = new DataPlaneMetrics(BOUNDS).toSeries()
    expect(thread.heapUsedBytes).toBeGreaterThan(1_000_000)
    expect(thread.heapTotalBytes).toBeGreaterThan(1_000_000)
    expect(thread.allocatedBytes).toBeGreaterThan(thread.heapUsedBytes / 2)
    expect(thread.externalBytes).toBeGreaterThan(0)
  })
})

describe('GcPauses', () => {
  test('counts all pauses and keeps the latest 256', () => {
    const pauses = new GcPauses()
    for (let index = 0; index < 300; index++) pauses.add(index)
    const { count, sumSeconds, recentSeconds } = pauses.snapshot()
    expect([count, sumSeconds]).toEqual([300, (299 * 300) / 2])
    expect([...recentSeconds].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 256 }, (_, index) => index + 44),
    )
  })

  test('has none before the first', () => {
    expect(new GcPauses().snapshot()).toEqual({ count: 0, sumSeconds: 0, recentSeconds: [] })
  })
})
