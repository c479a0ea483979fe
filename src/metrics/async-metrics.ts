/**
 * The counters of one data plane's copied reads: the Go proxy's async_* of each node, and what it does
 * not have: drops by reason, comparisons, mismatches by table.
 */
import { NodeMetrics } from './node-metrics.ts'
import type {
  AsyncNodeSeries,
  AsyncSeries,
  ClusterKey,
  PerComparisonResult,
  PerDropReason,
  PerSkipReason,
  TableCount,
} from './plane-series.ts'

/** More tables than this share one pair of labels, so that an application cannot make series without end. */
export const MISMATCH_TABLES_MAX = 100
const OTHER_TABLES = { keyspace: 'other', table: 'other' } as const

/** A node's counters with the one gauge that only copied reads have per node. */
export class AsyncNodeMetrics extends NodeMetrics {
  inflight = 0

  override toSeries(): AsyncNodeSeries {
    return { ...super.toSeries(), inflight: this.inflight }
  }
}

export class AsyncMetrics {
  readonly dropped: PerDropReason = {
    inFlightLimit: 0,
    noConnection: 0,
    noStreamId: 0,
    notPrepared: 0,
    queueFull: 0,
  }
  readonly compared: PerComparisonResult = { equal: 0, equalLater: 0, mismatch: 0 }
  readonly skipped: PerSkipReason = { busy: 0, noRows: 0, notComparable: 0, tooLarge: 0 }
  readonly #boundsSeconds: readonly number[]
  readonly #nodes = new Map<string, AsyncNodeMetrics>()
  readonly #tables = new Map<string, { keyspace: string; table: string; count: number }>()

  constructor(boundsSeconds: readonly number[]) {
    this.#boundsSeconds = boundsSeconds
  }

  /** The counters of a node, made on first use. */
  node(cluster: ClusterKey, label: string): AsyncNodeMetrics {
    const known = this.#nodes.get(`${cluster} ${label}`)
    if (known !== undefined) return known
    const made = new AsyncNodeMetrics(cluster, label, this.#boundsSeconds)
    this.#nodes.set(`${cluster} ${label}`, made)
    return made
  }

  countMismatch(keyspace: string, table: string): void {
    this.compared.mismatch++
    const known = this.#tables.get(`${keyspace}\u0000${table}`)
    if (known !== undefined) {
      known.count++
      return
    }
    const isFull = this.#tables.size >= MISMATCH_TABLES_MAX
    const names = isFull ? OTHER_TABLES : { keyspace, table }
    const key = `${names.keyspace}\u0000${names.table}`
    const entry = this.#tables.get(key) ?? { ...names, count: 0 }
    entry.count++
    this.#tables.set(key, entry)
  }

  toSeries(): AsyncSeries {
    const mismatches: TableCount[] = [...this.#tables.values()].map((entry) => ({ ...entry }))
    return {
      nodes: [...this.#nodes.values()].map((node) => node.toSeries()),
      dropped: { ...this.dropped },
      compared: { ...this.compared },
      skipped: { ...this.skipped },
      mismatches,
    }
  }
}
