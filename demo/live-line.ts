/**
 * The line that shows the proxies at work: requests per second and latency per cluster over the last
 * interval. On a terminal it is rewritten every second, elsewhere printed now and then.
 */
import type { ContactPoint } from '../clusters/cluster.ts'
import type { StatusLine } from '../clusters/status-line.ts'
import {
  type ClusterLatencies,
  type Histogram,
  latenciesDelta,
  quantileSeconds,
  scrapeLatencies,
} from './metrics-scrape.ts'

export const formatCount = (count: number): string =>
  Math.round(count)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',')

export const formatMs = (seconds: number | undefined): string => {
  if (seconds === undefined) return '–'
  const ms = seconds * 1000
  return ms < 10 ? ms.toFixed(1) : ms.toFixed(0)
}

export const renderLatency = (name: string, histogram: Histogram): string => {
  const p50 = formatMs(quantileSeconds(histogram, 0.5))
  const p99 = formatMs(quantileSeconds(histogram, 0.99))
  return `${name} ${p50} ms, p99 ${p99} ms`
}

export interface Interval {
  /** Since the work began. */
  readonly elapsedMs: number
  readonly durationMs: number
  /** Requests of the driver that were answered during the interval. */
  readonly requests: number
  readonly latencies: ClusterLatencies
}

export const renderInterval = (interval: Interval): string => {
  const { elapsedMs, durationMs, requests, latencies } = interval
  const seconds = String(Math.round(elapsedMs / 1000)).padStart(3)
  const perSecond = formatCount((requests * 1000) / durationMs)
  const origin = renderLatency('Origin', latencies.origin)
  const target = renderLatency('Target', latencies.target)
  return `${seconds} s  ${perSecond.padStart(6)} requests/s  ${origin}  ${target}`
}

const TERMINAL_INTERVAL_MS = 1000
/** The steps of the walk have lines of their own. */
const PLAIN_INTERVAL_MS = 10_000

export interface LiveReportOptions {
  readonly line: StatusLine
  /** Where the proxies' metrics are. */
  readonly metrics: readonly ContactPoint[]
  readonly countRequests: () => number
}

/** Shows the line until it is stopped. A scrape that fails leaves its line out. */
export class LiveReport {
  readonly #options: LiveReportOptions
  readonly #startedAtMs = performance.now()
  readonly #timer: NodeJS.Timeout
  #before: { atMs: number; requests: number; latencies: ClusterLatencies }
  #isBusy = false
  #isOver = false

  private constructor(options: LiveReportOptions, latencies: ClusterLatencies) {
    this.#options = options
    this.#before = { atMs: this.#startedAtMs, requests: options.countRequests(), latencies }
    const { isTerminal } = options.line.output
    const intervalMs = isTerminal ? TERMINAL_INTERVAL_MS : PLAIN_INTERVAL_MS
    this.#timer = setInterval(() => void this.#tick(), intervalMs)
  }

  static async start(options: LiveReportOptions): Promise<LiveReport> {
    return new LiveReport(options, await scrapeLatencies(options.metrics))
  }

  stop(): void {
    this.#isOver = true
    clearInterval(this.#timer)
    this.#options.line.clear()
  }

  async #tick(): Promise<void> {
    if (this.#isBusy) return
    this.#isBusy = true
    try {
      const latencies = await scrapeLatencies(this.#options.metrics)
      if (!this.#isOver) this.#show(performance.now(), latencies)
    } catch {
      // The next tick tries again; a proxy that is gone is noticed elsewhere.
    } finally {
      this.#isBusy = false
    }
  }

  #show(atMs: number, latencies: ClusterLatencies): void {
    const { line, countRequests } = this.#options
    const before = this.#before
    const requests = countRequests()
    this.#before = { atMs, requests, latencies }
    const text = renderInterval({
      elapsedMs: atMs - this.#startedAtMs,
      durationMs: atMs - before.atMs,
      requests: requests - before.requests,
      latencies: latenciesDelta(before.latencies, latencies),
    })
    if (line.output.isTerminal) line.show(text)
    else line.print(text)
  }
}
