/**
 * What one thread of the process uses: heap, pauses for garbage collection, event loop. V8 counts each
 * of these per thread, so the process's figures are sums over the control plane's thread and those of
 * the data planes (runtime-families.ts). The memory of the whole process is in process_* instead.
 */
import { PerformanceObserver, performance } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import { threadId } from 'node:worker_threads'

/** As many as the Go runtime keeps for its quantiles. */
const RECENT_PAUSES_MAX = 256
const MS_PER_SECOND = 1000

export type GcSeries = {
  readonly count: number
  readonly sumSeconds: number
  /** The latest pauses, at most 256, in no order. */
  readonly recentSeconds: readonly number[]
}

/** A copy of a thread's figures that can cross threads. */
export type ThreadSeries = {
  /** 0 is the process's main thread. */
  readonly threadId: number
  readonly heapUsedBytes: number
  readonly heapTotalBytes: number
  /** Buffers and the like, outside the heap but held by it. */
  readonly externalBytes: number
  /** All that was ever allocated on the heap. */
  readonly allocatedBytes: number
  readonly eventLoopActiveSeconds: number
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

/** One per thread, as its heap is. */
let watched: GcPauses | null = null

/** Counts this thread's garbage collections from now on. A second call changes nothing. */
export const watchThread = (): void => {
  watched ??= startWatching()
}

/** This thread's figures as they are now. */
export const readThread = (): ThreadSeries => {
  const heap = getHeapStatistics()
  return {
    threadId,
    heapUsedBytes: heap.used_heap_size,
    heapTotalBytes: heap.total_heap_size,
    externalBytes: heap.external_memory,
    allocatedBytes: heap.total_allocated_bytes,
    eventLoopActiveSeconds: performance.eventLoopUtilization().active / MS_PER_SECOND,
    gc: (watched ?? new GcPauses()).snapshot(),
  }
}
