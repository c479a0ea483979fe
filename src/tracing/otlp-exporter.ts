/**
 * Sends traced requests to a collector, OTLP/HTTP in JSON (`tracing_otlp_endpoint`). It lives with the control
 * plane and nobody waits for it: what it cannot take or send is dropped and counted. Nothing is sent twice.
 */
import type { Clock, Timer } from '../clock.ts'
import type { Logger } from '../log.ts'
import { messageOf } from '../message-of.ts'
import type { TracingSeries } from '../metrics/tracing-series.ts'
import { otlpBody, type TraceResource } from './otlp-body.ts'
import { spansOf, type TracedRequest } from './traced-request.ts'

/** Requests that wait to be sent. */
export const QUEUE_MAX = 4096
const BATCH_MAX = 256
const COLLECT_MS = 1000
const TIMEOUT_MS = 5000

export type OtlpExporterOptions = {
  readonly endpoint: string
  readonly resource: TraceResource
  readonly clock: Clock
  readonly log: Logger
}

const countSpans = (requests: readonly TracedRequest[]): number =>
  requests.reduce((sum, request) => sum + spansOf(request), 0)

export class OtlpExporter {
  readonly #options: OtlpExporterOptions
  readonly #abort = new AbortController()
  #queue: TracedRequest[] = []
  #timer: Timer | null = null
  #exporting: Promise<void> | null = null
  #exported = 0
  #queueFull = 0
  #exportFailed = 0

  constructor(options: OtlpExporterOptions) {
    this.#options = options
  }

  add(requests: readonly TracedRequest[]): void {
    const room = QUEUE_MAX - this.#queue.length
    this.#queueFull += countSpans(requests.slice(room))
    this.#queue.push(...requests.slice(0, room))
    this.#timer ??= this.#options.clock.setTimeout(() => this.#onTimer(), COLLECT_MS)
  }

  series(): TracingSeries {
    return {
      exported: this.#exported,
      queueFull: this.#queueFull,
      exportFailed: this.#exportFailed,
    }
  }

  /** Sends what is there, for so long at most; what is left then counts as not sent. */
  async close(withinMs: number): Promise<void> {
    const { clock } = this.#options
    const timer = clock.setTimeout(() => this.#abort.abort(), withinMs)
    await this.#exporting
    // A batch that has just failed may have set it anew.
    clock.clearTimeout(this.#timer)
    while (this.#queue.length > 0 && !this.#abort.signal.aborted) await this.#exportAll()
    clock.clearTimeout(timer)
    this.#exportFailed += countSpans(this.#queue.splice(0))
  }

  #onTimer(): void {
    this.#exporting = this.#exportAll().then(() => {
      this.#exporting = null
      this.#timer = null
      if (this.#queue.length > 0) this.add([])
    })
  }

  /** Until the queue is empty or a batch has failed: a collector that is down is asked once a second. */
  async #exportAll(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, BATCH_MAX)
      const spans = countSpans(batch)
      try {
        const rejected = Math.min(await this.#post(batch), spans)
        this.#exported += spans - rejected
        this.#exportFailed += rejected
        if (rejected > 0) this.#complain(`the collector has rejected ${rejected} spans`)
      } catch (error) {
        this.#exportFailed += spans
        this.#complain(messageOf(error))
        return
      }
    }
  }

  /** How many spans of the batch the collector has rejected. Throws where it did not take the batch. */
  async #post(batch: readonly TracedRequest[]): Promise<number> {
    const { endpoint, resource } = this.#options
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: otlpBody(batch, resource),
      redirect: 'error',
      signal: AbortSignal.any([this.#abort.signal, AbortSignal.timeout(TIMEOUT_MS)]),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`the collector has answered ${response.status}`)
    return rejectedIn(text)
  }

  #complain(why: string): void {
    const { endpoint, log } = this.#options
    const { host } = new URL(endpoint)
    log.limited(
      'trace export',
      'warn',
      { code: 'TRACES_NOT_EXPORTED' },
      `spans were not exported to ${host} (tracing_otlp_endpoint): ${why}`,
    )
  }
}

/** `{"partialSuccess":{"rejectedSpans":"3"}}`; a body that says nothing of it rejects none. */
const rejectedIn = (text: string): number => {
  const [, count] = /"rejectedSpans"\s*:\s*"?(\d{1,9})/.exec(text) ?? []
  return count === undefined ? 0 : Number(count)
}
