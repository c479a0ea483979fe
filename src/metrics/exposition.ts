/**
 * What /metrics says: the families of families.ts and prom-client's process_*, as Prometheus' text format
 * 0.0.4 (operations §3.1). Values are read when scraped; nothing here is on the request path. Served by
 * src/admin/.
 */
import { collectDefaultMetrics, type Metric, Registry } from 'prom-client'
import type { Clock } from '../clock.ts'
import { readAddressSpaceMax } from './address-space.ts'
import { type CertificateSeries, NO_CERTIFICATES } from './certificate-series.ts'
import type { ControlConnectionSeries } from './control-connection-series.ts'
import type { ControlSeries } from './control-series.ts'
import { DepartedNodes, type NodeLabels } from './departed-nodes.ts'
import { FAMILIES, familyName, PROCESS_METRICS } from './families.ts'
import type { Gathered, MetricFamily } from './family.ts'
import type { PlaneSeries } from './plane-series.ts'
import type { ReloadSeries } from './reload-series.ts'
import { readThread, type ThreadSeries, watchThread } from './thread-series.ts'
import type { TracingSeries } from './tracing-series.ts'

/** prom-client's event loop monitor wakes up this often and cannot be left out. Its result is not used. */
const EVENT_LOOP_PRECISION_MS = 1000

export type Exposition = { readonly contentType: string; readonly body: string }

export type MetricsExpositionOptions = {
  /** The setting metrics_prefix: without the underscore, empty for none. */
  readonly prefix: string
  readonly version: string
  /** The bounds that the data planes' histograms were made with. */
  readonly originBoundsSeconds: readonly number[]
  readonly targetBoundsSeconds: readonly number[]
  readonly asyncBoundsSeconds: readonly number[]
  readonly honoursTargetBuckets?: boolean
  /** The counters of all data planes; has to answer within the time that Prometheus waits, 10 s by default. */
  readonly series: () => Promise<readonly PlaneSeries[]>
  /** How many threads of theirs do not answer. Without it: none. */
  readonly stuckThreads?: () => number
  /** The routing state, and what the data planes' counts mean for it; absent where there is no switch. */
  readonly control?: (planes: readonly PlaneSeries[]) => ControlSeries
  /** As they are now. Without it: none. */
  readonly certificates?: () => CertificateSeries
  /** As they are now. Without it: none. */
  readonly controlConnections?: () => readonly ControlConnectionSeries[]
  /** The nodes that the clusters have now; null before they are known. Without it every node is shown for good. */
  readonly nodes?: () => NodeLabels | null
  /** Of the exporter of spans; null or absent where there is none. */
  readonly tracing?: () => TracingSeries | null
  /** Of the settings; absent where they cannot be read again. */
  readonly reloads?: () => ReloadSeries
  readonly clock: Clock
}

export class MetricsExposition {
  readonly #options: MetricsExpositionOptions
  readonly #registry = new Registry()
  readonly #departed = new DepartedNodes()
  #gathered: Gathered | null = null
  readonly #addressSpaceMaxBytes = readAddressSpaceMax()
  readonly #scrapes = { answered: 0, failed: 0, inFlight: 0 }

  constructor(options: MetricsExpositionOptions) {
    this.#options = options
    watchThread()
    for (const family of FAMILIES) this.#register(family)
    this.#registerProcess()
  }

  /** All metrics as they are now. Rejects when the data planes' counters cannot be had. */
  async exposition(): Promise<Exposition> {
    this.#scrapes.inFlight++
    try {
      const exposition = await this.#expose()
      this.#scrapes.answered++
      return exposition
    } catch (error) {
      this.#scrapes.failed++
      throw error
    } finally {
      this.#scrapes.inFlight--
    }
  }

  async #expose(): Promise<Exposition> {
    const options = this.#options
    const current = options.nodes?.() ?? null
    const all = await options.series()
    const nowMs = options.clock.now()
    const planes = current === null ? all : this.#departed.shown(all, current, nowMs)
    const { version, originBoundsSeconds, targetBoundsSeconds, asyncBoundsSeconds } = options
    this.#gathered = {
      planes,
      threads: distinct([readThread(), ...planes.map((plane) => plane.thread)]),
      stuckThreads: options.stuckThreads?.() ?? 0,
      version,
      originBoundsSeconds,
      targetBoundsSeconds,
      asyncBoundsSeconds,
      honoursTargetBuckets: options.honoursTargetBuckets ?? false,
      control: options.control?.(planes) ?? null,
      certificates: options.certificates?.() ?? NO_CERTIFICATES,
      controlConnections: options.controlConnections?.() ?? [],
      tracing: options.tracing?.() ?? null,
      reloads: options.reloads?.() ?? null,
      scrapes: { ...this.#scrapes },
      addressSpaceMaxBytes: this.#addressSpaceMaxBytes,
    }
    // The registry calls every family's get() before it waits for anything, so a scrape that comes
    // in between cannot mix its values into these.
    return { contentType: this.#registry.contentType, body: await this.#registry.metrics() }
  }

  #register(family: MetricFamily): void {
    const name = familyName(family, this.#options.prefix)
    const { help, type } = family
    const get = (): Promise<object> => {
      const points = this.#gathered === null ? [] : family.read(this.#gathered)
      const values = points.map(({ suffix, labels, value }) => ({
        metricName: `${name}${suffix ?? ''}`,
        labels,
        value,
      }))
      return Promise.resolve({ name, help, type, values })
    }
    // All that the registry asks of a metric is `name` and `get`; its types ask for one of its classes.
    this.#registry.registerMetric({ name, help, type, get } as unknown as Metric)
  }

  #registerProcess(): void {
    const all = new Registry()
    collectDefaultMetrics({ register: all, eventLoopMonitoringPrecision: EVENT_LOOP_PRECISION_MS })
    // All of them and in this order: one of prom-client's metrics may measure the next one's value too.
    for (const name of PROCESS_METRICS) {
      // Some can only be measured on Linux.
      const metric = all.getSingleMetric(name)
      if (metric !== undefined) this.#registry.registerMetric(metric)
    }
  }
}

/** With one data plane its thread is the control plane's. */
const distinct = (threads: readonly ThreadSeries[]): readonly ThreadSeries[] => [
  ...new Map(threads.map((thread) => [thread.threadId, thread])).values(),
]
