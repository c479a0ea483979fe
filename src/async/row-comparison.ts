/**
 * Two clusters' answers to the same SELECT: the same rows or not. Pure. It is careful in one direction:
 * what it calls different is different, what it cannot know it says so. Rows are compared as multisets,
 * since a query without ORDER BY has no order; where it has one, the sequence of the ordering columns
 * counts, and ties may fall as they like.
 *
 * Pages: a page ends where a server finds it convenient, so of two unfinished pages only as many rows
 * are compared as both have, and only where both clusters go through the partitions in the same order.
 */
import { OPCODE_OFFSET } from '../cql/envelope.ts'
import { ProtocolError } from '../cql/errors.ts'
import { answerReader } from '../cql/messages/answer.ts'
import { type ColumnSpec, decodeRowsMetadata, readCount } from '../cql/messages/metadata.ts'
import { Opcode, ResultKind, type VersionTraits } from '../cql/protocol.ts'
import { BodyReader } from '../cql/reader.ts'
import type { SelectShape } from '../statement/select-shape.ts'

/** A server's page is 5,000 rows by default; more would hold up the clients of this thread. */
const COMPARED_ROWS_MAX = 5000
/** Above this, which row belongs to which is not looked for. */
const PAIRED_ROWS_MAX = 64

export type SkipReason =
  /** A cluster answered with an error, not in time, or with something that is no rows. */
  | 'no_rows'
  /** The two answers need not be alike: see SelectShape, or pages that cannot be laid side by side. */
  | 'not_comparable'
  /** More bytes or rows than are compared. */
  | 'too_large'

export type Difference = {
  /** Rows that the other side does not have in any form. */
  readonly missingOnPrimary: number
  readonly missingOnSecondary: number
  /** Rows that both have, with other values in some columns. */
  readonly changedRows: number
  /**
   * The columns in which those differ, and those that one side does not have at all. By name, or
   * `#<position>` from 1 where the client had asked for no names.
   */
  readonly columns: readonly string[]
  /** The same rows, but not in the order that the query asks for. */
  readonly isOrder: boolean
  /** One page of more: rows beyond it were not looked at. */
  readonly isPartial: boolean
}

export type Verdict =
  | { readonly kind: 'equal' }
  | { readonly kind: 'skipped'; readonly reason: SkipReason }
  | { readonly kind: 'different'; readonly difference: Difference }

export type ComparedRequest = {
  readonly traits: VersionTraits
  /** Read only when the answers are not the same bytes. */
  readonly shape: () => SelectShape
  /** Both clusters go through partitions in the same order (they have the same partitioner). */
  readonly isSameTokenOrder: boolean
  /** It has a paging state: it began where an earlier page ended. */
  readonly isContinuation: () => boolean
}

type Rows = {
  readonly bytes: Uint8Array
  readonly columns: readonly ColumnSpec[] | null
  readonly columnCount: number
  readonly hasMore: boolean
  readonly rowCount: number
  /** Where the rows lie in `bytes`. */
  readonly start: number
  readonly end: number
}

const EQUAL: Verdict = { kind: 'equal' }
const skipped = (reason: SkipReason): Verdict => ({ kind: 'skipped', reason })

const NO_DIFFERENCE: Difference = {
  missingOnPrimary: 0,
  missingOnSecondary: 0,
  changedRows: 0,
  columns: [],
  isOrder: false,
  isPartial: false,
}

const readRows = (envelope: Uint8Array, traits: VersionTraits): Rows | null => {
  if (envelope[OPCODE_OFFSET] !== Opcode.RESULT) return null
  const reader = answerReader(envelope)
  if (reader.readInt('result kind') !== ResultKind.ROWS) return null
  const { columns, columnCount, pagingState } = decodeRowsMetadata(reader, traits)
  const rowCount = readCount(reader, 'row count')
  if (columnCount === 0) return null
  return {
    bytes: envelope,
    columns,
    columnCount,
    hasMore: pagingState !== undefined,
    rowCount,
    start: reader.offset,
    end: reader.end,
  }
}

/** The keyspace and table that an answer names, or null where it comes without metadata. */
export const tableOfAnswer = (
  envelope: Uint8Array,
  traits: VersionTraits,
): { readonly keyspace: string; readonly table: string } | null => {
  try {
    const column = readRows(envelope, traits)?.columns?.[0]
    return column === undefined ? null : { keyspace: column.keyspace, table: column.table }
  } catch (error) {
    if (error instanceof ProtocolError) return null
    throw error
  }
}

const view = (bytes: Uint8Array, start: number, end: number): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)

const isSameBytes = (a: Rows, b: Rows): boolean =>
  a.rowCount === b.rowCount &&
  a.columnCount === b.columnCount &&
  view(a.bytes, a.start, a.end).equals(view(b.bytes, b.start, b.end))

const names = (rows: Rows): readonly string[] | null =>
  rows.columns?.map((column) => column.name) ?? null

/** Both answers are whole envelopes. */
export const compareAnswers = (
  primary: Uint8Array,
  secondary: Uint8Array,
  request: ComparedRequest,
): Verdict => {
  try {
    const a = readRows(primary, request.traits)
    const b = readRows(secondary, request.traits)
    if (a === null || b === null) return skipped('no_rows')
    return compareRows(a, b, request)
  } catch (error) {
    if (error instanceof ProtocolError) return skipped('no_rows')
    throw error
  }
}

const compareRows = (primary: Rows, secondary: Rows, request: ComparedRequest): Verdict => {
  const [a, b] = [names(primary), names(secondary)]
  const order = a === null || b === null ? null : alignment(a, b)
  const isAligned = order === 'same' || order === null
  if (isAligned && primary.hasMore === secondary.hasMore && isSameBytes(primary, secondary)) {
    return EQUAL
  }
  const shape = request.shape()
  if (!shape.isRepeatable) return skipped('not_comparable')
  const needsTokenOrder = request.isContinuation() || shape.usesTokens
  if (needsTokenOrder && !request.isSameTokenOrder) return skipped('not_comparable')
  if (Array.isArray(order)) return compareMultisets(primary, secondary, order, shape, request)
  if (order === 'other' || primary.columnCount !== secondary.columnCount) {
    return { kind: 'different', difference: otherColumns(a, b) }
  }
  return compareMultisets(primary, secondary, null, shape, request)
}

/** Where each of `a`'s columns is in `b`; 'other' where they do not have the same names. */
const alignment = (a: readonly string[], b: readonly string[]): 'same' | 'other' | number[] => {
  if (a.length !== b.length) return 'other'
  if (a.every((name, i) => name === b[i])) return 'same'
  const order = a.map((name) => b.indexOf(name))
  return order.includes(-1) || new Set(order).size < order.length ? 'other' : order
}

const otherColumns = (a: readonly string[] | null, b: readonly string[] | null): Difference => {
  const onlyA = (a ?? []).filter((name) => b?.includes(name) === false)
  const onlyB = (b ?? []).filter((name) => a?.includes(name) === false)
  return { ...NO_DIFFERENCE, columns: [...onlyA, ...onlyB] }
}

const compareMultisets = (
  primary: Rows,
  secondary: Rows,
  order: readonly number[] | null,
  shape: SelectShape,
  request: ComparedRequest,
): Verdict => {
  if (primary.rowCount > COMPARED_ROWS_MAX || secondary.rowCount > COMPARED_ROWS_MAX) {
    return skipped('too_large')
  }
  // Of two that are limited, the one with fewer rows has not met the limit.
  const isCut = (rows: Rows, other: Rows): boolean =>
    rows.hasMore || (shape.isLimited && rows.rowCount >= other.rowCount)
  const [isPrimaryCut, isSecondaryCut] = [isCut(primary, secondary), isCut(secondary, primary)]
  let a = readCells(primary, null)
  let b = readCells(secondary, order)
  const isPartial = isPrimaryCut || isSecondaryCut
  if (isPrimaryCut && isSecondaryCut) {
    if (!request.isSameTokenOrder) return skipped('not_comparable')
    const length = Math.min(a.length, b.length)
    if (length === 0 && a.length + b.length > 0) return skipped('not_comparable')
    a = a.slice(0, length)
    b = b.slice(0, length)
  }
  let [onlyA, onlyB] = withoutCommon(a, b)
  // A finished side has all its rows here; the unfinished one may yet bring what it lacks.
  if (isPrimaryCut && !isSecondaryCut) onlyB = onlyB.slice(0, 0)
  if (isSecondaryCut && !isPrimaryCut) onlyA = onlyA.slice(0, 0)
  const columnNames = names(primary) ?? names(secondary)
  if (onlyA.length + onlyB.length > 0) {
    return { kind: 'different', difference: describe(onlyA, onlyB, columnNames, isPartial) }
  }
  return isPartial ? EQUAL : compareOrder(a, b, shape, columnNames)
}

/** A row's values, each with its [int] length in front, as strings of bytes that can be keys. */
type Cells = readonly string[]

/** `order` tells at which position each column of the result is. */
const readCells = (rows: Rows, order: readonly number[] | null): Cells[] => {
  const reader = new BodyReader(rows.bytes, rows.start, rows.end)
  const whole = view(rows.bytes, 0, rows.end)
  const all: Cells[] = []
  for (let row = 0; row < rows.rowCount; row++) {
    const cells: string[] = []
    for (let column = 0; column < rows.columnCount; column++) {
      const start = reader.offset
      const length = reader.readInt('value length')
      if (length > 0) reader.skip(length, 'value')
      cells.push(whole.toString('latin1', start, reader.offset))
    }
    all.push(order === null ? cells : order.map((from) => cells[from]!))
  }
  return all
}

/** What is left of both when equal rows are taken out in pairs. */
const withoutCommon = (a: readonly Cells[], b: readonly Cells[]): [Cells[], Cells[]] => {
  const left = new Map<string, number>()
  for (const cells of a) {
    const key = cells.join('')
    left.set(key, (left.get(key) ?? 0) + 1)
  }
  const onlyB = b.filter((cells) => {
    const key = cells.join('')
    const count = left.get(key) ?? 0
    if (count > 0) left.set(key, count - 1)
    return count === 0
  })
  const onlyA = a.filter((cells) => {
    const key = cells.join('')
    const count = left.get(key) ?? 0
    if (count > 0) left.set(key, count - 1)
    return count > 0
  })
  return [onlyA, onlyB]
}

const commonCells = (a: Cells, b: Cells): number =>
  a.reduce((count, cell, i) => (cell === b[i] ? count + 1 : count), 0)

/**
 * The key's columns are not known here, so rows that share most values are taken for two states of
 * one. That colours the description; it has no part in whether there is a difference.
 */
const describe = (
  onlyA: readonly Cells[],
  onlyB: readonly Cells[],
  columnNames: readonly string[] | null,
  isPartial: boolean,
): Difference => {
  const isOneEach = onlyA.length === 1 && onlyB.length === 1
  const unpaired = onlyA.length <= PAIRED_ROWS_MAX ? [...onlyB.slice(0, PAIRED_ROWS_MAX)] : []
  const columns = new Set<string>()
  let changedRows = 0
  for (const row of onlyA) {
    let best = -1
    let bestCount = isOneEach ? -1 : 0
    for (const [at, candidate] of unpaired.entries()) {
      const count = commonCells(row, candidate)
      if (count > bestCount) [best, bestCount] = [at, count]
    }
    if (best < 0) continue
    const [other] = unpaired.splice(best, 1)
    changedRows++
    row.forEach((cell, i) => {
      if (cell !== other![i]) columns.add(columnNames?.[i] ?? `#${i + 1}`)
    })
  }
  return {
    missingOnPrimary: onlyB.length - changedRows,
    missingOnSecondary: onlyA.length - changedRows,
    changedRows,
    columns: [...columns],
    isOrder: false,
    isPartial,
  }
}

/** Both have the same rows. Without names there is no telling which columns are ordered. */
const compareOrder = (
  a: readonly Cells[],
  b: readonly Cells[],
  shape: SelectShape,
  columnNames: readonly string[] | null,
): Verdict => {
  if (shape.orderBy.length === 0) return EQUAL
  const isSame = a.every((cells, row) => cells.every((cell, i) => cell === b[row]![i]))
  if (isSame) return EQUAL
  const ordering = shape.orderBy.map((name) => columnNames?.indexOf(name) ?? -1)
  const isUnknown = ordering.includes(-1)
  const isOrdered = a.every((cells, row) => ordering.every((i) => cells[i] === b[row]![i]))
  // Columns without names: the second look asks for them.
  if (columnNames === null || !(isUnknown || isOrdered)) {
    return { kind: 'different', difference: { ...NO_DIFFERENCE, isOrder: true } }
  }
  return EQUAL
}
