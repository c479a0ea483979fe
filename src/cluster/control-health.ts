/**
 * How a control connection has fared: failures in a row, which readiness goes by (operations §5.5, §11 H3),
 * and the counts and times for the metrics. A lost connection is no failure yet, since another node may take
 * its place at once. A round of reopening that leads nowhere is one; a round that takes long counts before
 * it has ended.
 */
import type { Clock, Timer } from '../clock.ts'
import type { ControlConnectionSeries } from '../metrics/control-connection-series.ts'

/** A round that has not led anywhere by then is a failure: a silent node holds it up for much longer. */
export const ROUND_OVERDUE_MS = 5_000
const MS_PER_SECOND = 1000

/** Since when there is no control connection, and what was tried last. */
export type Trouble = { readonly sinceMs: number; readonly cause: unknown }

export class ControlHealth {
  /** In a row. */
  failures = 0
  /** Null while there is a connection. `sinceMs` is wall clock time. */
  trouble: Trouble | null = null
  /** How often a connection was lost. */
  losses = 0
  readonly #reopenings = { succeeded: 0, failed: 0 }
  #heardAtMs = 0
  #refreshedAtMs = 0
  #overdueTimer: Timer | null = null
  /** The round under way has been counted. */
  #isCounted = false
  readonly #clock: Clock
  readonly #onFailure: () => void

  /** `onFailure`: after each failure that has been counted. */
  constructor(clock: Clock, onFailure: () => void) {
    this.#clock = clock
    this.#onFailure = onFailure
  }

  /** `wasHeard`: it has lived long enough to be no failure of the round that opened it. */
  lost(cause: unknown, wasHeard: boolean): void {
    this.losses++
    this.trouble = { sinceMs: this.#clock.wallMs(), cause }
    this.#isCounted = false
    if (!wasHeard) this.#countFailure()
  }

  roundBegins(): void {
    this.#isCounted = false
    this.#overdueTimer = this.#clock.setTimeout(() => this.#countFailure(), ROUND_OVERDUE_MS)
  }

  roundSucceeded(): void {
    this.#reopenings.succeeded++
    this.close()
  }

  roundFailed(cause: unknown): void {
    this.#reopenings.failed++
    this.close()
    if (this.trouble !== null) this.trouble = { ...this.trouble, cause }
    this.#countFailure()
  }

  opened(): void {
    this.trouble = null
    this.heard()
  }

  heard(): void {
    this.#heardAtMs = this.#clock.wallMs()
    this.failures = 0
  }

  refreshed(): void {
    this.#refreshedAtMs = this.#clock.wallMs()
  }

  /** For the metrics. */
  series(cluster: ControlConnectionSeries['cluster'], isUp: boolean): ControlConnectionSeries {
    return {
      cluster,
      isUp,
      losses: this.losses,
      reopenings: { ...this.#reopenings },
      heardAtSeconds: this.#heardAtMs / MS_PER_SECOND,
      refreshedAtSeconds: this.#refreshedAtMs / MS_PER_SECOND,
    }
  }

  close(): void {
    this.#clock.clearTimeout(this.#overdueTimer)
  }

  #countFailure(): void {
    if (this.#isCounted) return
    this.#isCounted = true
    this.failures++
    this.#onFailure()
  }
}
