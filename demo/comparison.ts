/**
 * Whether both clusters hold what was written: values and write times of every column of every row.
 * Pure; reading the rows is stored-rows.ts's business.
 */
import type { Values } from './ledger.ts'
import { COLUMNS } from './schema.ts'

export interface StoredRow {
  readonly values: Values
  /** Microseconds since 1970, as text; `null` for a column that is null. */
  readonly writeTimes: Values
}

/** By `orderKey`. */
export type StoredRows = ReadonlyMap<string, StoredRow>

export interface Comparison {
  readonly originRows: number
  readonly targetRows: number
  readonly writtenRows: number
  /** Columns of rows that are in both clusters. */
  readonly cells: number
  readonly differenceCount: number
  /** The first of them, each a line for a person. */
  readonly differences: readonly string[]
}

export const DIFFERENCES_MAX = 10

const compareRow = (origin: StoredRow, target: StoredRow, written: Values): string[] =>
  COLUMNS.flatMap((column) => {
    const [inOrigin, inTarget] = [origin.values[column], target.values[column]]
    if (inOrigin !== inTarget) return [`${column} is ${inOrigin} in Origin, ${inTarget} in Target`]
    if (inOrigin !== written[column]) {
      return [`${column} is ${inOrigin} in both clusters, but ${written[column]} was written`]
    }
    const [originTime, targetTime] = [origin.writeTimes[column], target.writeTimes[column]]
    return originTime === targetTime
      ? []
      : [`${column} was written at ${originTime} in Origin, at ${targetTime} in Target`]
  })

const describePlace = (origin: StoredRow | undefined, target: StoredRow | undefined): string => {
  if (origin === undefined) return target === undefined ? 'neither cluster' : 'Target only'
  return target === undefined ? 'Origin only' : 'both clusters'
}

export const compareRows = (
  origin: StoredRows,
  target: StoredRows,
  written: ReadonlyMap<string, Values>,
): Comparison => {
  const differences: string[] = []
  let differenceCount = 0
  let cells = 0
  const note = (text: string): void => {
    differenceCount += 1
    if (differences.length < DIFFERENCES_MAX) differences.push(text)
  }
  for (const key of new Set([...written.keys(), ...origin.keys(), ...target.keys()])) {
    const [inOrigin, inTarget, asWritten] = [origin.get(key), target.get(key), written.get(key)]
    if (asWritten === undefined) {
      note(
        `order ${key}: in ${describePlace(inOrigin, inTarget)}, though never written, or deleted`,
      )
    } else if (inOrigin === undefined || inTarget === undefined) {
      note(`order ${key}: written, but in ${describePlace(inOrigin, inTarget)}`)
    } else {
      cells += COLUMNS.length
      for (const text of compareRow(inOrigin, inTarget, asWritten)) note(`order ${key}: ${text}`)
    }
  }
  return {
    originRows: origin.size,
    targetRows: target.size,
    writtenRows: written.size,
    cells,
    differenceCount,
    differences,
  }
}
