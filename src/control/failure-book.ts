/**
 * The writes that failed since the last reconciliation, of all data planes together and of earlier runs. The
 * planes count from their start on and never back: what had been counted at the reconciliation is taken
 * off here, what earlier runs have counted is added. failure-store.ts keeps it over restarts.
 */
import type { FailedTable } from '../metrics/plane-series.ts'
import type { Into } from './reconciliation.ts'
import type { FailedWrites, TableFailures } from './report.ts'

type Counts = { readonly originOnly: number; readonly targetOnly: number; readonly both: number }

const NOTHING: Counts = { originOnly: 0, targetOnly: 0, both: 0 }
const keyOf = ({ keyspace, table }: FailedTable): string => `${keyspace}\0${table}`

/** One row a table, whichever threads its writes have failed on. */
export const sumByTable = (rows: readonly FailedTable[]): Map<string, FailedTable> => {
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

/** What the counts may lack, and for which cluster nobody has brought it there since. */
export type Gap = {
  /** A sentence for a person. */
  readonly text: string
  /** When counting went on behind it, in milliseconds since 1970. */
  readonly atMs: number
  readonly origin: boolean
  readonly target: boolean
}

/** What is known of failed writes, as it outlives a run. */
export type KeptFailures = {
  /** Since when a cluster's missing writes are counted, in milliseconds since 1970. */
  readonly sinceMs: Readonly<Record<Into, number>>
  /** One row a table. */
  readonly tables: readonly FailedTable[]
  /** The latest last. */
  readonly gaps: readonly Gap[]
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
  return [...sumByTable([...worst.slice(0, KEPT_TABLES_MAX - 1), ...unnamed]).values()]
}

const total = ({ originOnly, targetOnly, both }: Counts): number => originOnly + targetOnly + both

const SIDES = { origin: 'originOnly', target: 'targetOnly' } as const

export class FailureBook {
  readonly #baseline = new Map<string, Counts>()
  #kept: KeptFailures
  /** What this run had counted when a comparison of both clusters began. */
  #begun: { readonly atMs: number; readonly counts: ReadonlyMap<string, FailedTable> } | null = null

  /** `kept`: what earlier runs have counted. */
  constructor(kept: KeptFailures) {
    this.#kept = { ...kept, gaps: kept.gaps.slice(-GAPS_MAX) }
  }

  /** A comparison begins: what fails from now on is not covered by it. */
  begin(rows: readonly FailedTable[], atMs: number): void {
    this.#begun = { atMs, counts: sumByTable(rows) }
  }

  /**
   * What a cluster lacked when the comparison began, at `beganMs`, has been brought to it. Where that
   * moment was not noted in this run, a table of which anything failed since keeps all its counts.
   */
  forget(into: Into, rows: readonly FailedTable[], beganMs: number): void {
    const { tables } = this.#kept
    const now = sumByTable(rows)
    const noted = this.#begun?.atMs === beganMs ? this.#begun.counts : null
    const isLater = ({ lastMs }: FailedTable): boolean => noted === null && lastMs >= beganMs
    const touched = new Set([...tables, ...now.values()].filter(isLater).map(keyOf))
    const side = SIDES[into]
    for (const [key, row] of noted ?? now) {
      if (touched.has(key)) continue
      const before = this.#baseline.get(key) ?? NOTHING
      const counts = { [side]: Math.max(before[side], row[side]) }
      this.#baseline.set(key, { ...before, ...counts, both: Math.max(before.both, row.both) })
    }
    this.#forgetKept(into, beganMs, (row) => !touched.has(keyOf(row)))
  }

  /** A reconciliation into Target that this run has not seen was of what earlier runs had counted by then. */
  settle(atMs: number): void {
    if (atMs > this.#kept.sinceMs.target) {
      this.#forgetKept('target', atMs, ({ lastMs }) => lastMs <= atMs)
    }
  }

  #forgetKept(into: Into, beganMs: number, isCovered: (row: FailedTable) => boolean): void {
    const { sinceMs, tables, gaps } = this.#kept
    this.#kept = {
      sinceMs: { ...sinceMs, [into]: Math.max(sinceMs[into], beganMs) },
      tables: tables
        .map((row) => (isCovered(row) ? { ...row, [SIDES[into]]: 0, both: 0 } : row))
        .filter((row) => total(row) > 0),
      gaps: gaps
        .map((gap) => (gap.atMs <= beganMs ? { ...gap, [into]: false } : gap))
        .filter(({ origin, target }) => origin || target),
    }
  }

  /** What the next run has to know. */
  keep(rows: readonly FailedTable[]): KeptFailures {
    return { ...this.#kept, tables: bounded(this.#tables(rows)) }
  }

  #tables(rows: readonly FailedTable[]): readonly FailedTable[] {
    const { sinceMs, tables } = this.#kept
    const earliestMs = Math.min(sinceMs.origin, sinceMs.target)
    const ofThisRun = [...sumByTable(rows)].flatMap(([key, row]): FailedTable[] => {
      const before = this.#baseline.get(key) ?? NOTHING
      const counts = {
        originOnly: row.originOnly - before.originOnly,
        targetOnly: row.targetOnly - before.targetOnly,
        both: row.both - before.both,
      }
      if (total(counts) === 0) return []
      return [{ ...row, ...counts, firstMs: Math.max(row.firstMs, earliestMs) }]
    })
    return [...sumByTable([...tables, ...ofThisRun]).values()]
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
      since: iso(sinceMs.target),
      originSince: iso(sinceMs.origin),
      originOnly: all((table) => table.originOnly),
      targetOnly: all((table) => table.targetOnly),
      both: all((table) => table.both),
      tables,
      gaps: gaps.map(({ text }) => text),
      originGaps: gaps.filter(({ origin }) => origin).map(({ text }) => text),
    }
  }
}

const iso = (ms: number): string => new Date(ms).toISOString()
