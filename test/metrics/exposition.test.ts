import { beforeEach, describe, expect, test } from 'vitest'
import { DataPlaneMetrics } from '../../src/metrics/data-plane-metrics.ts'
import { SHOWN_AFTER_LEAVING_MS } from '../../src/metrics/departed-nodes.ts'
import { MetricsExposition, type MetricsExpositionOptions } from '../../src/metrics/exposition.ts'
import { boundsInSeconds } from '../../src/metrics/histogram.ts'
import { ErrorKind } from '../../src/metrics/node-metrics.ts'
import type { PlaneSeries } from '../../src/metrics/plane-series.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { type Family, parsePrometheusText, sampleValue } from '../support/prometheus-text.ts'
import {
  ERROR_VALUES,
  NODE_LEVEL,
  PROXY_LEVEL,
  type ReferenceFamily,
} from './reference-families.ts'

const DEFAULT_BUCKETS_MS = [
  1, 4, 7, 10, 25, 40, 60, 80, 100, 150, 250, 500, 1000, 2500, 5000, 10_000, 15_000,
]
/** What the Go proxy prints for them. */
const DEFAULT_LE =
  '0.001 0.004 0.007 0.01 0.025 0.04 0.06 0.08 0.1 0.15 0.25 0.5 1 2.5 5 10 15 +Inf'.split(' ')
const ORIGIN_BOUNDS = boundsInSeconds(DEFAULT_BUCKETS_MS)
const TARGET_BOUNDS = [0.5]
const ASYNC_BOUNDS = [0.05]

const newPlane = (): DataPlaneMetrics =>
  new DataPlaneMetrics({
    originBoundsSeconds: ORIGIN_BOUNDS,
    targetBoundsSeconds: TARGET_BOUNDS,
    asyncBoundsSeconds: ASYNC_BOUNDS,
  })

let clock: FakeClock

beforeEach(() => {
  clock = new FakeClock()
})

const expositionOf = (
  planes: readonly DataPlaneMetrics[],
  overrides: Partial<MetricsExpositionOptions> = {},
): MetricsExposition =>
  new MetricsExposition({
    prefix: 'zdm',
    version: '1.2.3',
    originBoundsSeconds: ORIGIN_BOUNDS,
    targetBoundsSeconds: TARGET_BOUNDS,
    asyncBoundsSeconds: ASYNC_BOUNDS,
    series: () => Promise.resolve(planes.map((plane) => plane.toSeries())),
    clock,
    ...overrides,
  })

const scrape = async (
  ...arguments_: Parameters<typeof expositionOf>
): Promise<ReadonlyMap<string, Family>> =>
  parsePrometheusText((await expositionOf(...arguments_).exposition()).body)

/** Every combination of a family's label values, `node` being the given one. */
const combinations = ({ labels }: ReferenceFamily, node: string): Record<string, string>[] => {
  let all: Record<string, string>[] = [{}]
  for (const [label, values] of Object.entries(labels)) {
    all = all.flatMap((known) => (values ?? [node]).map((value) => ({ ...known, [label]: value })))
  }
  return all
}

const labelSets = (family: Family): Record<string, string>[] => {
  const plain = family.type === 'histogram' ? `${family.name}_count` : family.name
  return family.samples.filter(({ name }) => name === plain).map(({ labels }) => ({ ...labels }))
}

describe('the exposition', () => {
  test('is of the text format 0.0.4', async () => {
    const { contentType } = await expositionOf([newPlane()]).exposition()
    expect(contentType).toBe('text/plain; version=0.0.4; charset=utf-8')
  })

  test.each(PROXY_LEVEL)('has every series of $name from the start, at 0', async (reference) => {
    const family = (await scrape([newPlane()])).get(reference.name)!
    expect(family.type).toBe(reference.type)
    expect(labelSets(family)).toEqual(combinations(reference, ''))
    expect(family.samples.filter(({ value }) => value !== 0)).toEqual([])
  })

  test.each(NODE_LEVEL)('has every series of $name from the node on', async (reference) => {
    const plane = newPlane()
    const before = (await scrape([plane])).get(reference.name)!
    expect([before.type, before.samples]).toEqual([reference.type, []])
    plane.node('origin', '10.0.0.1:9042')
    plane.node('target', '10.0.0.1:9042')
    const after = (await scrape([plane])).get(reference.name)!
    const bySeries = (labels: Record<string, string>): string => JSON.stringify(labels)
    expect(labelSets(after).map(bySeries)).toEqual(
      combinations(reference, '10.0.0.1:9042').map(bySeries),
    )
  })

  test('with metrics_honour_target_buckets, reads from Target are in Target’s buckets', async () => {
    const bounds = { originBoundsSeconds: ORIGIN_BOUNDS, targetBoundsSeconds: TARGET_BOUNDS }
    const honoursTargetBuckets = true
    const plane = new DataPlaneMetrics({ ...bounds, asyncBoundsSeconds: [], honoursTargetBuckets })
    plane.requestDuration.readsTarget.observe(0.4)
    const families = await scrape([plane], { honoursTargetBuckets })
    const buckets = (type: string) =>
      families
        .get('zdm_proxy_request_duration_seconds')!
        .samples.filter(({ labels }) => labels['type'] === type && 'le' in labels)
        .map(({ labels, value }) => [labels['le'], value])
    expect(buckets('reads_target')).toEqual([
      ['0.5', 1],
      ['+Inf', 1],
    ])
    expect(buckets('writes').map(([le]) => le)).toEqual(DEFAULT_LE)
  })

  test('leaves out nodes that have left their cluster long ago', async () => {
    const plane = newPlane()
    plane.node('origin', 'gone:1')
    plane.node('target', 'here:1')
    const nodes = () => ({ origin: new Set<string>(), target: new Set(['here:1']) })
    const exposition = expositionOf([plane], { nodes })
    expect((await exposition.exposition()).body).toContain('node="gone:1"')
    clock.advance(SHOWN_AFTER_LEAVING_MS)
    const { body } = await exposition.exposition()
    expect(body).not.toContain('gone:1')
    expect(body).toContain('zdm_target_connections_total{node="here:1"} 0')
  })

  test('writes labels in alphabetical order, le last', async () => {
    const plane = newPlane()
    plane.node('origin', 'n').failed[ErrorKind.OTHER] = 1
    const { body } = await expositionOf([plane]).exposition()
    expect(body).toContain('\nzdm_origin_requests_failed_total{error="other",node="n"} 1\n')
    expect(body).toContain(
      '\nzdm_origin_request_duration_seconds_bucket{node="n",type="reads",le="0.001"} 0\n',
    )
  })

  test('prints the bounds of buckets as the Go proxy does, each cluster its own', async () => {
    const plane = newPlane()
    plane.node('origin', 'n')
    plane.node('target', 'n')
    const families = await scrape([plane])
    const bounds = (name: string): (string | undefined)[] => [
      ...new Set(families.get(name)!.samples.flatMap(({ labels }) => labels['le'] ?? [])),
    ]
    expect(bounds('zdm_proxy_request_duration_seconds')).toEqual(DEFAULT_LE)
    expect(bounds('zdm_origin_request_duration_seconds')).toEqual(DEFAULT_LE)
    expect(bounds('zdm_target_request_duration_seconds')).toEqual(['0.5', '+Inf'])
  })

  test('adds up what all data planes counted', async () => {
    const first = newPlane()
    const second = newPlane()
    first.clientConnections = 2
    second.clientConnections = 3
    first.failedWrites.both = 1
    second.failedWrites.both = 1
    first.requestDuration.writes.observe(0.002)
    second.requestDuration.writes.observe(0.003)
    second.requestDuration.writes.observe(20)
    first.node('target', 'n').failed[ErrorKind.CLIENT_TIMEOUT] = 4
    second.node('target', 'n').failed[ErrorKind.CLIENT_TIMEOUT] = 5
    const families = await scrape([first, second])
    const read = (name: string, labels: Record<string, string>): number =>
      sampleValue(families, name, labels)
    expect(read('zdm_client_connections_total', {})).toBe(5)
    expect(read('zdm_proxy_failed_writes_total', { failed_on: 'both' })).toBe(2)
    const duration = 'zdm_proxy_request_duration_seconds'
    expect(read(`${duration}_bucket`, { type: 'writes', le: '0.001' })).toBe(0)
    expect(read(`${duration}_bucket`, { type: 'writes', le: '0.004' })).toBe(2)
    expect(read(`${duration}_bucket`, { type: 'writes', le: '15' })).toBe(2)
    expect(read(`${duration}_bucket`, { type: 'writes', le: '+Inf' })).toBe(3)
    expect(read(`${duration}_count`, { type: 'writes' })).toBe(3)
    expect(read(`${duration}_sum`, { type: 'writes' })).toBeCloseTo(20.005, 9)
    expect(read(`${duration}_count`, { type: 'reads_target' })).toBe(0)
    const failed = 'zdm_target_requests_failed_total'
    expect(read(failed, { error: 'client_timeout', node: 'n' })).toBe(9)
    expect(families.get(failed)!.samples).toHaveLength(ERROR_VALUES.length)
  })

  test('has the version in build_info', async () => {
    expect(sampleValue(await scrape([newPlane()]), 'zdm_build_info', { version: '1.2.3' })).toBe(1)
  })

  test('escapes label values', async () => {
    const plane = newPlane()
    plane.node('origin', 'a"b\\c\nd').connections = 1
    const families = await scrape([plane])
    expect(sampleValue(families, 'zdm_origin_connections_total', { node: 'a"b\\c\nd' })).toBe(1)
  })

  test.each([
    ['', 'client_connections_total'],
    ['my', 'my_client_connections_total'],
  ])('with the prefix "%s" has %s', async (prefix, name) => {
    const families = await scrape([newPlane()], { prefix })
    expect([...families.keys()]).toContain(name)
    expect([...families.keys()]).not.toContain('zdm_client_connections_total')
    expect([...families.keys()]).toContain('process_cpu_seconds_total')
    expect([...families.keys()]).toContain('go_memstats_alloc_bytes')
  })

  test('shows new values at each scrape', async () => {
    const plane = newPlane()
    const exposition = expositionOf([plane])
    await exposition.exposition()
    plane.preparedMisses = 7
    const families = parsePrometheusText((await exposition.exposition()).body)
    expect(sampleValue(families, 'zdm_pscache_miss_total')).toBe(7)
  })
})

test('scrapes are counted by their status, and the one that is under way', async () => {
  const outcomes = [Promise.resolve([]), Promise.reject(new Error('thread died'))]
  const series = () => outcomes.shift() ?? Promise.resolve([])
  const exposition = expositionOf([], { series })
  await exposition.exposition()
  await exposition.exposition().catch(() => undefined)
  const families = parsePrometheusText((await exposition.exposition()).body)
  const counted = families.get('promhttp_metric_handler_requests_total')!.samples
  expect(counted.map(({ labels, value }) => [labels['code'], value])).toEqual([
    ['200', 1],
    ['500', 1],
    ['503', 0],
  ])
  expect(sampleValue(families, 'promhttp_metric_handler_requests_in_flight')).toBe(1)
})

describe('the metrics of the process', () => {
  test('are measured', async () => {
    const families = await scrape([newPlane()])
    const positive = [
      'process_cpu_seconds_total',
      'process_open_fds',
      'process_max_fds',
      'process_resident_memory_bytes',
      'process_start_time_seconds',
      'process_virtual_memory_bytes',
      'process_virtual_memory_max_bytes',
      'go_memstats_alloc_bytes',
      'go_memstats_alloc_bytes_total',
      'go_memstats_heap_inuse_bytes',
      'go_memstats_stack_inuse_bytes',
      'go_goroutines',
      'nodejs_heap_size_used_bytes',
      'nodejs_heap_size_total_bytes',
      'nodejs_external_memory_bytes',
    ].map((name) => ({ name, isPositive: sampleValue(families, name) > 0 }))
    expect(positive.filter(({ isPositive }) => !isPositive)).toEqual([])
  })

  test('count the thread that a plane shares with the control plane once', async () => {
    const local = newPlane().toSeries()
    const worker = (threadId: number): PlaneSeries => ({
      ...local,
      thread: {
        ...local.thread,
        threadId,
        heapUsedBytes: 1e12,
        eventLoopActiveSeconds: 5,
        gc: { count: 1, sumSeconds: 3, recentSeconds: [3] },
      },
    })
    const planes = [local, worker(1001), worker(1002)]
    const families = await scrape([], { series: () => Promise.resolve(planes) })
    const used = sampleValue(families, 'nodejs_heap_size_used_bytes')
    expect(Math.floor(used / 1e12)).toBe(2)
    expect(used % 1e12).toBe(local.thread.heapUsedBytes)
    const active = families.get('zdm_event_loop_active_seconds_total')!.samples
    expect(active.map(({ labels }) => labels['thread'])).toEqual([
      String(local.thread.threadId),
      '1001',
      '1002',
    ])
    expect(sampleValue(families, 'go_gc_duration_seconds', { quantile: '1' })).toBe(3)
    expect(sampleValue(families, 'go_gc_duration_seconds_count')).toBe(local.thread.gc.count + 2)
  })
})

describe('a data plane that does not answer', () => {
  test('is counted', async () => {
    const families = parsePrometheusText(
      (await expositionOf([newPlane()], { stuckThreads: () => 1 }).exposition()).body,
    )
    expect(sampleValue(families, 'zdm_threads_unresponsive')).toBe(1)
  })

  test('and fails makes the scrape fail with its error, and is asked again', async () => {
    const errors = [new Error('thread died')]
    const exposition = expositionOf([], {
      series: () => {
        const error = errors.shift()
        return error === undefined ? Promise.resolve([]) : Promise.reject(error)
      },
    })
    await expect(exposition.exposition()).rejects.toThrow('thread died')
    expect((await exposition.exposition()).body).toContain('zdm_client_connections_total 0')
    expect(clock.pendingTimers).toBe(0)
  })
})
