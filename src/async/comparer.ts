/**
 * Compares the answers of copied reads with the client's, between turns of the event loop and within a
 * budget of time and memory. A difference is read again on both clusters after a delay, since a write
 * may have been on its way to one of them; only a second difference counts, per keyspace and table.
 */
import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import type { AsyncMetrics } from '../metrics/async-metrics.ts'
import type { PerSkipReason } from '../metrics/plane-series.ts'
import { CLUSTERS, type Cluster, clusterLabel } from '../routing/cluster.ts'
import { redactStatement } from '../statement/redact.ts'
import { type SelectShape, selectShape } from '../statement/select-shape.ts'
import {
  COMPARED_LENGTH_MAX,
  Comparison,
  type ComparisonKeeper,
  type ComparisonOrigin,
} from './comparison.ts'
import {
  type CopiedRequest,
  requestKeyspace,
  requestParameters,
  requestText,
} from './copied-request.ts'
import { keyedHash, MismatchRing, type MismatchSample } from './mismatch-samples.ts'
import {
  compareAnswers,
  type Difference,
  type SkipReason,
  tableOfAnswer,
  type Verdict,
} from './row-comparison.ts'

/** Requests and answers that wait for each other or for a second look. */
export const KEPT_BYTES_MAX = 32 * 1024 * 1024
/** Differences that wait for their second look: what bounds the reads that comparing adds. */
export const RECHECKS_MAX = 256
/** Per turn of the event loop; clients wait no longer than that and one comparison. */
const BUDGET_MS = 1

const SKIPPED: Readonly<Record<SkipReason, keyof PerSkipReason>> = {
  no_rows: 'noRows',
  not_comparable: 'notComparable',
  too_large: 'tooLarge',
}

export type ComparerOptions = {
  readonly hashSecret: Uint8Array
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: AsyncMetrics
  /** How long after a difference both clusters are asked again. */
  recheckDelayMs(): number
  /** Runs a callback after the sockets of this turn were read: setImmediate. */
  schedule(run: () => void): void
  /** Both clusters go through partitions in the same order. */
  isSameTokenOrder(): boolean
  /** Gets connections and the statement's key ready for a second look. */
  prepareToReadAgain(origin: ComparisonOrigin): void
  /** Asks one cluster again; its answer, or that there is none, goes to `comparison.take`. */
  readAgain(comparison: Comparison, cluster: Cluster): void
  /** For each partition key column the index of its bind variable, where that is known. */
  keyIndices(request: CopiedRequest): readonly number[] | null
}

type Recheck = { readonly origin: ComparisonOrigin; readonly dueMs: number }

export class Comparer implements ComparisonKeeper {
  readonly #options: ComparerOptions
  readonly #ring = new MismatchRing()
  #queue: Comparison[] = []
  /** In the order in which they were asked for, which is that in which they fall due unless the delay was shortened. */
  #rechecks: Recheck[] = []
  #keptBytes = 0
  #isScheduled = false
  readonly #run = (): void => {
    this.#isScheduled = false
    this.#compareSome()
  }

  constructor(options: ComparerOptions) {
    this.#options = options
  }

  /** The last mismatches, oldest first. */
  samples(): readonly MismatchSample[] {
    return this.#ring.list()
  }

  /** Null where there is no room for it. */
  start(origin: ComparisonOrigin): Comparison | null {
    const { skipped } = this.#options.metrics
    const { length } = origin.request.envelope
    if (length > COMPARED_LENGTH_MAX) skipped.tooLarge++
    else if (!this.keep(length)) skipped.busy++
    else return new Comparison(origin, false, this)
    return null
  }

  keep(length: number): boolean {
    if (this.#keptBytes + length > KEPT_BYTES_MAX) return false
    this.#keptBytes += length
    return true
  }

  onComplete(comparison: Comparison): void {
    if (comparison.skipReason !== null) {
      this.#options.metrics.skipped[comparison.skipReason]++
      this.#keptBytes -= comparison.keptLength
      return
    }
    this.#queue.push(comparison)
    this.#schedule()
  }

  /** Looks again at what differed a while ago. */
  sweep(nowMs: number): void {
    let due = 0
    while (due < this.#rechecks.length && this.#rechecks[due]!.dueMs <= nowMs) due++
    for (const { origin } of this.#rechecks.splice(0, due)) {
      const comparison = new Comparison(origin, true, this)
      for (const cluster of CLUSTERS) this.#options.readAgain(comparison, cluster)
    }
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#options.schedule(this.#run)
  }

  #compareSome(): void {
    const { clock } = this.#options
    const untilMs = clock.now() + BUDGET_MS
    let done = 0
    do {
      const comparison = this.#queue[done]
      if (comparison === undefined) break
      done++
      this.#keptBytes -= comparison.keptLength
      this.#settleSafely(comparison)
    } while (clock.now() < untilMs)
    this.#queue.splice(0, done)
    if (this.#queue.length > 0) this.#schedule()
  }

  /** Nobody's request depends on it: a fault of ours here is told, and ends nothing. */
  #settleSafely(comparison: Comparison): void {
    try {
      this.#settle(comparison)
    } catch (error) {
      this.#options.metrics.skipped.noRows++
      this.#options.log.limited(
        'comparison failed',
        'error',
        { code: 'INTERNAL_ERROR', error },
        'a fault of the proxy itself: two answers could not be compared',
      )
    }
  }

  #settle(comparison: Comparison): void {
    const { metrics } = this.#options
    const verdict = this.#compare(comparison)
    switch (verdict.kind) {
      case 'equal':
        if (comparison.isRecheck) metrics.compared.equalLater++
        else metrics.compared.equal++
        break
      case 'skipped':
        metrics.skipped[SKIPPED[verdict.reason]]++
        break
      case 'different':
        if (comparison.isRecheck) this.#onMismatch(comparison, verdict.difference)
        else this.#recheckLater(comparison.origin)
    }
  }

  #compare(comparison: Comparison): Verdict {
    const { origin, secondary } = comparison
    const { request } = origin
    let shape: SelectShape | null = null
    return compareAnswers(comparison.answer(origin.primary)!, comparison.answer(secondary)!, {
      traits: request.traits,
      shape: () => (shape ??= selectShape(requestText(request))),
      isSameTokenOrder: this.#options.isSameTokenOrder(),
      isContinuation: () => requestParameters(request).pagingState != null,
    })
  }

  #recheckLater(origin: ComparisonOrigin): void {
    const { clock, metrics } = this.#options
    if (this.#rechecks.length >= RECHECKS_MAX || !this.keep(origin.request.envelope.length)) {
      metrics.skipped.busy++
      return
    }
    this.#rechecks.push({ origin, dueMs: clock.now() + this.#options.recheckDelayMs() })
    this.#options.prepareToReadAgain(origin)
  }

  #onMismatch(comparison: Comparison, difference: Difference): void {
    const { clock, log, metrics } = this.#options
    const { request, primary } = comparison.origin
    const text = requestText(request)
    const { keyspace, table } = this.#tableOf(comparison, text)
    metrics.countMismatch(keyspace, table)
    this.#ring.add({
      ...difference,
      atMs: clock.wallMs(),
      keyspace,
      table,
      statement: redactStatement(text),
      primary: clusterLabel(primary),
      ...this.#keyOf(request, text),
    })
    log.limited(
      `mismatch ${keyspace}.${table}`,
      'warn',
      { code: 'READ_MISMATCH', keyspace, table },
      `Origin and Target answer a read of ${keyspace}.${table} differently, also when both are asked again`,
    )
  }

  #tableOf(comparison: Comparison, text: Uint8Array): { keyspace: string; table: string } {
    const { request, primary } = comparison.origin
    const named = tableOfAnswer(comparison.answer(primary)!, request.traits)
    if (named !== null) return named
    const shape = selectShape(text)
    return {
      keyspace: shape.keyspace ?? requestKeyspace(request) ?? '',
      table: shape.table ?? '',
    }
  }

  #keyOf(request: CopiedRequest, text: Uint8Array): Pick<MismatchSample, 'keyOf' | 'keyHash'> {
    const { hashSecret } = this.#options
    const { values, names } = requestParameters(request)
    if (values === undefined || values.length === 0) {
      return { keyOf: 'statement', keyHash: keyedHash(hashSecret, [text]) }
    }
    const bound = values.map((value) => (value instanceof Uint8Array ? value : null))
    const indices = names === undefined ? this.#options.keyIndices(request) : null
    if (indices === null || indices.some((index) => index >= bound.length)) {
      return { keyOf: 'bound_values', keyHash: keyedHash(hashSecret, bound) }
    }
    const key = indices.map((index) => bound[index]!)
    return { keyOf: 'partition_key', keyHash: keyedHash(hashSecret, key) }
  }
}
