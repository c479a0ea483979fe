/**
 * The writes that failed since the last reconciliation, of all data planes together. The planes count from
 * their start on and never back: what had been counted at the reconciliation is taken off here.
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

export class FailureBook {
  #baseline: ReadonlyMap<string, Counts> = new Map()
  #sinceMs: number

  /** `sinceMs`: when counting began, in milliseconds since 1970. */
  constructor(sinceMs: number) {
    this.#sinceMs = sinceMs
  }

  /** What has been counted until now has been dealt with. */
  reset(rows: readonly FailedTable[], nowMs: number): void {
    this.#baseline = sum(rows)
    this.#sinceMs = nowMs
  }

  /** The worst table first. */
  read(rows: readonly FailedTable[]): FailedWrites {
    const tables = [...sum(rows)].flatMap(([key, row]): TableFailures[] => {
      const before = this.#baseline.get(key) ?? NOTHING
      const originOnly = row.originOnly - before.originOnly
      const targetOnly = row.targetOnly - before.targetOnly
      const both = row.both - before.both
      if (originOnly + targetOnly + both === 0) return []
      const { keyspace, table } = row
      const firstAt = iso(Math.max(row.firstMs, this.#sinceMs))
      return [{ keyspace, table, originOnly, targetOnly, both, firstAt, lastAt: iso(row.lastMs) }]
    })
    tables.sort((a, b) => b.originOnly + b.targetOnly - a.originOnly - a.targetOnly)
    const total = (read: (table: TableFailures) => number): number =>
      tables.reduce((all, table) => all + read(table), 0)
    return {
      since: iso(this.#sinceMs),
      originOnly: total((table) => table.originOnly),
      targetOnly: total((table) => table.targetOnly),
      both: total((table) => table.both),
      tables,
    }
  }
}

const iso = (ms: number): string => new Date(ms).toISOString()
