/**
 * The writes that failed since the last reconciliation, of all data planes together and of earlier runs. The
 * planes count from their start on and never back: what had been counted at the reconciliation is taken
 * off here, what earlier runs have counted is added. failure-store.ts keeps it over restarts.
 */
import type { FailedTable } from '../metrics/plane-series.ts'
import type { FailedWrites, TableFailures } from './report.ts'

type Counts = { readonly originOnly: number; readonly targetOnly: number; readonly both: number }

const NOTHING: Counts = { originOnly: 0, targetOnly: 0, both: 0 }
const keyOf = ({ keyspace, table }: FailedTable): string => `${keyspace}\0${table}`

/** One row a table. */
const sum = (rows: readonly FailedTable[]): Map<string, FailedTable> => {
  const sums = new Map<string, FailedTable>()
  for (const row of rows) {
    const known = sums.get(keyOf(row))
    sums.set(
      keyOf(row),
      known === undefined
        ? { ...row }
        : {
            ...row,
            originOnly: known.originOnly + row.originOnly,
            targetOnly: known.targetOnly + row.targetOnly,
            both: known.both + row.both,
            firstMs: Math.min(known.firstMs, row.firstMs),
            lastMs: Math.max(known.lastMs, row.lastMs),
          },
    )
  }
  return sums
}

/** What is known of failed writes, as it outlives a run. */
export type KeptFailures = {
  /** When counting began, in milliseconds since 1970. */
  readonly sinceMs: number
  /** One row a table. */
  readonly tables: readonly FailedTable[]
  /** What the counts may lack: sentences for a person, the latest last. */
  readonly gaps: readonly string[]
}

/** Told apart in what is kept; planes forget theirs with each run, this must not grow for ever. */
const KEPT_TABLES_MAX = 1000
const GAPS_MAX = 5

/** The worst by name, the others as one without a name. */
const bounded = (tables: readonly FailedTable[]): readonly FailedTable[] => {
  if (tables.length <= KEPT_TABLES_MAX) return tables
  const worst = [...tables].sort((a, b) => total(b) - total(a))
  const others = worst.slice(KEPT_TABLES_MAX - 1)
  const unnamed = others.map((row) => ({ ...row, keyspace: '', table: '' }))
  return [...sum([...worst.slice(0, KEPT_TABLES_MAX - 1), ...unnamed]).values()]
}

const total = ({ originOnly, targetOnly, both }: Counts): number => originOnly + targetOnly + both

export class FailureBook {
  #baseline: ReadonlyMap<string, Counts> = new Map()
  #kept: KeptFailures

  /** `kept`: what earlier runs have counted. */
  constructor(kept: KeptFailures) {
    this.#kept = { ...kept, gaps: kept.gaps.slice(-GAPS_MAX) }
  }

  /** What has been counted until now has been dealt with. */
  reset(rows: readonly FailedTable[], nowMs: number): void {
    this.#baseline = sum(rows)
    this.#kept = { sinceMs: nowMs, tables: [], gaps: [] }
  }

  /** Forgets what earlier runs have counted before a reconciliation that this one has not seen. */
  settle(atMs: number): void {
    const { sinceMs, tables, gaps } = this.#kept
    if (atMs <= sinceMs) return
    const later = tables.filter(({ lastMs }) => lastMs > atMs)
    this.#kept = { sinceMs: atMs, tables: later, gaps }
  }

  /** What the next run has to know. */
  keep(rows: readonly FailedTable[]): KeptFailures {
    return { ...this.#kept, tables: bounded(this.#tables(rows)) }
  }

  #tables(rows: readonly FailedTable[]): readonly FailedTable[] {
    const { sinceMs, tables } = this.#kept
    const ofThisRun = [...sum(rows)].flatMap(([key, row]): FailedTable[] => {
      const before = this.#baseline.get(key) ?? NOTHING
      const counts = {
        originOnly: row.originOnly - before.originOnly,
        targetOnly: row.targetOnly - before.targetOnly,
        both: row.both - before.both,
      }
      if (total(counts) === 0) return []
      return [{ ...row, ...counts, firstMs: Math.max(row.firstMs, sinceMs) }]
    })
    return [...sum([...tables, ...ofThisRun]).values()]
  }

  /** The worst table first. */
  read(rows: readonly FailedTable[]): FailedWrites {
    const tables = this.#tables(rows).map(({ firstMs, lastMs, ...row }): TableFailures => {
      return { ...row, firstAt: iso(firstMs), lastAt: iso(lastMs) }
    })
    tables.sort((a, b) => b.originOnly + b.targetOnly - a.originOnly - a.targetOnly)
    const all = (read: (table: TableFailures) => number): number =>
      tables.reduce((sofar, table) => sofar + read(table), 0)
    const { sinceMs, gaps } = this.#kept
    return {
      since: iso(sinceMs),
      originOnly: all((table) => table.originOnly),
      targetOnly: all((table) => table.targetOnly),
      both: all((table) => table.both),
      tables,
      gaps,
    }
  }
}

const iso = (ms: number): string => new Date(ms).toISOString()
