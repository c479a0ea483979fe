/**
 * What one thread of the process uses: heap, pauses for garbage collection, event loop. V8 counts each
 * of these per thread, so the process's figures are sums over the control plane's thread and those of
 * the data planes (runtime-families.ts). The memory of the whole process is in process_* instead.
 */
import { monitorEventLoopDelay, PerformanceObserver, performance } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import { threadId } from 'node:worker_threads'

/** As many as the Go runtime keeps for its quantiles. */
const RECENT_PAUSES_MAX = 256
const MS_PER_SECOND = 1000
const NS_PER_MS = 1e6
const NS_PER_SECOND = 1e9
const DELAY_SAMPLE_MS = 20
const DELAY_PERIOD_MS = 10_000

export type GcSeries = {
  readonly count: number
  readonly sumSeconds: number
  /** The latest pauses, at most 256, in no order. */
  readonly recentSeconds: readonly number[]
}

/** How late the event loop ran what was due, over the latest full period. */
export type DelaySeries = {
  readonly medianSeconds: number
  readonly p99Seconds: number
  readonly maxSeconds: number
}

/** A copy of a thread's figures that can cross threads. */
export type ThreadSeries = {
  /** 0 is the process's main thread. */
  readonly threadId: number
  readonly heapUsedBytes: number
  readonly heapTotalBytes: number
  /** Buffers and the like, outside the heap but held by it. */
  readonly externalBytes: number
  /** What V8 has taken for itself beside the heap: compilers, parsers, zones. */
  readonly mallocedBytes: number
  /** What keeps the event loop going: sockets, timers, files, requests under way. */
  readonly activeResources: number
  /** All that was ever allocated on the heap. */
  readonly allocatedBytes: number
  readonly eventLoopActiveSeconds: number
  readonly eventLoopDelay: DelaySeries
  readonly gc: GcSeries
}

/** Pauses of one thread: how many, how long, and the latest ones for quantiles. */
export class GcPauses {
  readonly #recent = new Float64Array(RECENT_PAUSES_MAX)
  #count = 0
  #sumSeconds = 0

  add(seconds: number): void {
    this.#recent[this.#count % RECENT_PAUSES_MAX] = seconds
    this.#count++
    this.#sumSeconds += seconds
  }

  snapshot(): GcSeries {
    const kept = Math.min(this.#count, RECENT_PAUSES_MAX)
    return {
      count: this.#count,
      sumSeconds: this.#sumSeconds,
      recentSeconds: Array.from(this.#recent.subarray(0, kept)),
    }
  }
}

const startWatching = (): GcPauses => {
  const pauses = new GcPauses()
  // Costs nothing that could be measured with 150 collections a second, and keeps no thread alive.
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) pauses.add(duration / MS_PER_SECOND)
  })
  observer.observe({ entryTypes: ['gc'] })
  return pauses
}

const NO_DELAY: DelaySeries = { medianSeconds: 0, p99Seconds: 0, maxSeconds: 0 }

/** Samples how late the loop is, and keeps the figures of the latest full period. */
class LoopDelay {
  latest = NO_DELAY
  readonly #histogram = monitorEventLoopDelay({ resolution: DELAY_SAMPLE_MS })

  constructor() {
    this.#histogram.enable()
    // Neither the samples nor this keeps the thread alive.
    setInterval(() => this.#turnPage(), DELAY_PERIOD_MS).unref()
  }

  #turnPage(): void {
    const histogram = this.#histogram
    this.latest = {
      medianSeconds: delaySeconds(histogram.percentile(50)),
      p99Seconds: delaySeconds(histogram.percentile(99)),
      maxSeconds: delaySeconds(histogram.max),
    }
    histogram.reset()
  }
}

/** A sample is the time between two of them: what exceeds the interval is the delay. */
const delaySeconds = (sampleNs: number): number =>
  Math.max(0, sampleNs - DELAY_SAMPLE_MS * NS_PER_MS) / NS_PER_SECOND

/** One per thread, as its heap is. */
let watched: GcPauses | null = null
let delay: LoopDelay | null = null

/** Watches this thread's collections and its event loop from now on. A second call changes nothing. */
export const watchThread = (): void => {
  watched ??= startWatching()
  delay ??= new LoopDelay()
}

/** This thread's figures as they are now. */
export const readThread = (): ThreadSeries => {
  const heap = getHeapStatistics()
  return {
    threadId,
    heapUsedBytes: heap.used_heap_size,
    heapTotalBytes: heap.total_heap_size,
    externalBytes: heap.external_memory,
    mallocedBytes: heap.malloced_memory,
    activeResources: process.getActiveResourcesInfo().length,
    allocatedBytes: heap.total_allocated_bytes,
    eventLoopActiveSeconds: performance.eventLoopUtilization().active / MS_PER_SECOND,
    eventLoopDelay: delay?.latest ?? NO_DELAY,
    gc: (watched ?? new GcPauses()).snapshot(),
  }
}
