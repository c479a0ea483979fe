/**
 * The families of the process that the proxy runs in: threads, heap, garbage collection. Dashboards made
 * for the Go proxy ask for go_* names: all that the published ones ask for have a counterpart in Node, which the
 * help tells (operations §3.6). process_* is prom-client's but for one.
 */
import type { MetricFamily, Point } from './family.ts'
import type { ThreadSeries } from './thread-series.ts'

const QUANTILES = [0, 0.25, 0.5, 0.75, 1]

const REFERENCE = { isPrefixed: false, isReference: true, labels: {} } as const
const NODEJS = { isPrefixed: false, isReference: false, labels: {} } as const

const readTotal =
  (read: (thread: ThreadSeries) => number): MetricFamily['read'] =>
  ({ threads }) => [{ labels: {}, value: threads.reduce((sum, thread) => sum + read(thread), 0) }]

/** The smallest value that `share` of the sorted values do not exceed; 0 of none, as Go has it. */
export const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? 0

export const RUNTIME_FAMILIES: readonly MetricFamily[] = [
  {
    name: 'event_loop_active_seconds_total',
    type: 'counter',
    isPrefixed: true,
    isReference: false,
    labels: { thread: 'number of the thread; 0 is the main one' },
    help: "Time that a thread's event loop was busy. A rate near 1 means that the thread is at its limit.",
    read: ({ threads }) =>
      threads.map(({ threadId, eventLoopActiveSeconds }) => ({
        labels: { thread: String(threadId) },
        value: eventLoopActiveSeconds,
      })),
  },
  {
    name: 'event_loop_delay_seconds',
    type: 'gauge',
    isPrefixed: true,
    isReference: false,
    labels: {
      statistic: ['max', 'median', 'p99'],
      thread: 'number of the thread; 0 is the main one',
    },
    help: "How late a thread's event loop ran what was due, over the latest full 10 s.",
    read: ({ threads }) =>
      threads.flatMap(({ threadId, eventLoopDelay }) => {
        const point = (statistic: string, value: number): Point => ({
          labels: { statistic, thread: String(threadId) },
          value,
        })
        return [
          point('max', eventLoopDelay.maxSeconds),
          point('median', eventLoopDelay.medianSeconds),
          point('p99', eventLoopDelay.p99Seconds),
        ]
      }),
  },
  {
    name: 'threads_unresponsive',
    type: 'gauge',
    isPrefixed: true,
    isReference: false,
    labels: {},
    help: 'Threads that have not answered for 2 s: their clients wait, and what they count stands still.',
    read: ({ stuckThreads }) => [{ labels: {}, value: stuckThreads }],
  },
  {
    ...REFERENCE,
    name: 'process_virtual_memory_max_bytes',
    type: 'gauge',
    help: 'How much memory the process may map (the limit RLIMIT_AS); 2 to the power of 64 where there is no limit. On Linux.',
    read: ({ addressSpaceMaxBytes }) =>
      addressSpaceMaxBytes === null ? [] : [{ labels: {}, value: addressSpaceMaxBytes }],
  },
  {
    ...REFERENCE,
    name: 'go_gc_duration_seconds',
    type: 'summary',
    labels: { quantile: QUANTILES.map(String) },
    help: 'Pauses for garbage collection of all threads; each pause stops one of them. Quantiles are of the latest 256 of each thread.',
    read: ({ threads }) => {
      const recent = threads.flatMap(({ gc }) => gc.recentSeconds).sort((a, b) => a - b)
      return [
        ...QUANTILES.map((share) => ({
          labels: { quantile: String(share) },
          value: quantile(recent, share),
        })),
        {
          suffix: '_sum',
          labels: {},
          value: threads.reduce((sum, { gc }) => sum + gc.sumSeconds, 0),
        },
        { suffix: '_count', labels: {}, value: threads.reduce((sum, { gc }) => sum + gc.count, 0) },
      ]
    },
  },
  {
    ...REFERENCE,
    name: 'go_goroutines',
    type: 'gauge',
    help: "What keeps the event loops of all threads going: sockets, timers, files; the counterpart of Go's goroutines, which mostly wait for such things.",
    read: readTotal((thread) => thread.activeResources),
  },
  {
    ...REFERENCE,
    name: 'go_memstats_alloc_bytes',
    type: 'gauge',
    help: "Memory of JavaScript objects in use and of buffers; the counterpart of Go's allocated heap objects.",
    read: readTotal((thread) => thread.heapUsedBytes + thread.externalBytes),
  },
  {
    ...REFERENCE,
    name: 'go_memstats_alloc_bytes_total',
    type: 'counter',
    help: 'Memory ever allocated for JavaScript objects, freed or not; buffers are not counted.',
    read: readTotal((thread) => thread.allocatedBytes),
  },
  {
    ...REFERENCE,
    name: 'go_memstats_heap_inuse_bytes',
    type: 'gauge',
    help: "Memory that the JavaScript heaps and buffers take; the counterpart of Go's spans in use.",
    read: readTotal((thread) => thread.heapTotalBytes + thread.externalBytes),
  },
  {
    ...REFERENCE,
    name: 'go_memstats_stack_inuse_bytes',
    type: 'gauge',
    help: "Memory that V8 has taken for itself beside the heaps; the nearest counterpart of Go's stacks.",
    read: readTotal((thread) => thread.mallocedBytes),
  },
  {
    ...NODEJS,
    name: 'nodejs_heap_size_used_bytes',
    type: 'gauge',
    help: 'Memory of JavaScript objects in use, all threads.',
    read: readTotal((thread) => thread.heapUsedBytes),
  },
  {
    ...NODEJS,
    name: 'nodejs_heap_size_total_bytes',
    type: 'gauge',
    help: 'Memory that the JavaScript heaps take, all threads.',
    read: readTotal((thread) => thread.heapTotalBytes),
  },
  {
    ...NODEJS,
    name: 'nodejs_external_memory_bytes',
    type: 'gauge',
    help: 'Memory of buffers outside the JavaScript heaps, all threads.',
    read: readTotal((thread) => thread.externalBytes),
  },
]
