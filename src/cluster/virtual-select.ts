/**
 * Answers a SELECT on a virtual system table (request-path §2.5, operations §6.3): names are looked up
 * and constants checked once (`planVirtualSelect`), rows are filtered and projected for given values
 * (`selectRows`). All that can be wrong with a statement is a VirtualSelectError. Pure.
 */
import type { ColumnSpec } from '../cql/messages/metadata.ts'
import type { BoundValue } from '../cql/messages/query-parameters.ts'
import { NOT_SET } from '../cql/reader.ts'
import { decodeInt, encodeBigint, encodeText } from '../cql/values.ts'
import { BIGINT, INT, TEXT, type VirtualValue } from './virtual-columns.ts'
import { jsonWriter } from './virtual-select-json.ts'
import {
  type Marker,
  type Operator,
  parseVirtualSelect,
  type Relation,
  type Selector,
  type Term,
  type VirtualSelect,
} from './virtual-select-parser.ts'
import { VIRTUAL_KEYSPACE, type VirtualTable, type VirtualTables } from './virtual-tables.ts'
import {
  assertComparable,
  checkBound,
  checkBoundList,
  compareValues,
  encodeConstant,
  type TypedColumn,
  VirtualSelectError,
} from './virtual-value.ts'

type Row = readonly VirtualValue[]
type Values = readonly BoundValue[]

/** A column of the result. What it shows is of a group of rows: without aggregation, of one. */
type Output = {
  readonly name: string
  readonly column: TypedColumn
  readonly show: (group: readonly Row[]) => VirtualValue
}

export type VirtualPlan = {
  /** Of the result. */
  readonly columns: readonly ColumnSpec[]
  /** One for each bind marker, in the order of the text. */
  readonly variables: readonly ColumnSpec[]
  /** The variable that is the whole partition key, if one is. */
  readonly partitionKeyIndices: readonly number[]
  /** `SELECT *`: the same text may have other columns when the cluster has. */
  readonly isOfAllColumns: boolean
  readonly rows: (values: Values) => Row[]
}

/** Throws VirtualSelectError. `text` is UTF-8. */
export const planVirtualSelect = (text: Uint8Array, tables: VirtualTables): VirtualPlan => {
  const select = parseVirtualSelect(text)
  const table = findTable(select, tables)
  const outputs = outputsOf(select, table)
  checkDistinct(select, table)
  const filters = select.relations.map((relation) => filterOf(relation, table))
  const isAggregate = checkGroups(select, table)
  checkOrder(select, table)
  checkLimit(PER_PARTITION_LIMIT, select.perPartitionLimit, [])
  checkLimit(LIMIT, select.limit, [])
  const shown = select.isJson ? [asJson(outputs)] : outputs
  const variables = select.markers.map((marker) => variableOf(marker, table))
  return {
    columns: shown.map(({ name, column }) => specOf(table, name, column)),
    variables: variables.map(({ name, column }) => specOf(table, name, column)),
    partitionKeyIndices: partitionKeyIndices(select, table),
    isOfAllColumns: select.selectors === null,
    rows: (values) => {
      const matching = filters.map((filter) => filter(values))
      const rows = table.rows.filter((row) => matching.every((matches) => matches(row)))
      // A partition of these tables is a single row: any limit per partition lets it through.
      checkLimit(PER_PARTITION_LIMIT, select.perPartitionLimit, values)
      const limit = checkLimit(LIMIT, select.limit, values)
      const isOneGroup = isAggregate && select.groupBy.length === 0
      const groups = isOneGroup ? [rows] : rows.map((row) => [row])
      return groups.slice(0, limit).map((group) => shown.map((output) => output.show(group)))
    },
  }
}

/**
 * The values of a request in the order of the plan's variables. A name is a variable's, as often as it
 * stands in the text; the name of `?` is its column's.
 */
export const orderValues = (
  { variables }: VirtualPlan,
  values: Values,
  names: readonly string[] | null,
): Values => {
  if (names === null) {
    if (values.length === variables.length) return values
    throw new VirtualSelectError(
      `there were ${variables.length} markers(?) in CQL but ${values.length} bound variables`,
    )
  }
  return variables.map(({ name }) => {
    const value = values[names.indexOf(name)]
    if (value !== undefined) return value
    throw new VirtualSelectError(`No value is bound to the marker ${name}`)
  })
}

const specOf = (table: VirtualTable, name: string, { type }: TypedColumn): ColumnSpec => ({
  keyspace: VIRTUAL_KEYSPACE,
  table: table.name,
  name,
  type,
})

const findTable = ({ keyspace, table }: VirtualSelect, tables: VirtualTables): VirtualTable => {
  const isOurs = keyspace === null || keyspace === VIRTUAL_KEYSPACE
  const found = isOurs ? tables.get(table) : undefined
  if (found === undefined) throw new VirtualSelectError(`unconfigured table ${table}`)
  return found
}

const columnIndex = (table: VirtualTable, name: string): number => {
  const index = table.columns.findIndex((column) => column.name === name)
  if (index < 0) throw new VirtualSelectError(`Undefined column name ${name}`)
  return index
}

const outputsOf = (select: VirtualSelect, table: VirtualTable): Output[] => {
  const all = table.columns.map(
    ({ name }): Selector => ({
      kind: 'column',
      column: name,
      alias: null,
    }),
  )
  return (select.selectors ?? all).map((selector) => outputOf(selector, table))
}

const outputOf = ({ kind, column, alias }: Selector, table: VirtualTable): Output => {
  if (column === null) {
    const show = (group: readonly Row[]): VirtualValue => encodeBigint(BigInt(group.length))
    return { name: alias ?? 'count', column: COUNT, show }
  }
  const index = columnIndex(table, column)
  if (kind === 'column') {
    const show = (group: readonly Row[]): VirtualValue => group[0]?.[index] ?? null
    return { name: alias ?? column, column: table.columns[index]!, show }
  }
  const show = (group: readonly Row[]): VirtualValue =>
    encodeBigint(BigInt(group.filter((row) => row[index] !== null).length))
  return { name: alias ?? `system.count(${column})`, column: COUNT, show }
}

const COUNT: TypedColumn = { name: 'count', type: BIGINT }
const JSON_COLUMN: TypedColumn = { name: '[json]', type: TEXT }

const asJson = (outputs: readonly Output[]): Output => {
  const write = jsonWriter(outputs.map(({ name, column }) => ({ name, type: column.type })))
  const show = (group: readonly Row[]): VirtualValue =>
    encodeText(write(outputs.map((output) => output.show(group))))
  return { name: JSON_COLUMN.name, column: JSON_COLUMN, show }
}

const checkDistinct = (select: VirtualSelect, { columns, partitionKey }: VirtualTable): void => {
  if (!select.isDistinct) return
  const selected = select.selectors?.map(({ kind, column }) => (kind === 'count' ? kind : column))
  for (const name of selected ?? columns.map((column) => column.name)) {
    if (name === partitionKey) continue
    throw new VirtualSelectError(
      'SELECT DISTINCT queries must only request partition key columns and/or static columns ' +
        `(not ${name})`,
    )
  }
  if (select.perPartitionLimit === null) return
  throw new VirtualSelectError('PER PARTITION LIMIT is not allowed with SELECT DISTINCT queries')
}

/** Whether rows are put together. A group of GROUP BY is a partition, and that is a single row. */
const checkGroups = (select: VirtualSelect, table: VirtualTable): boolean => {
  for (const name of select.groupBy) {
    columnIndex(table, name)
    if (name === table.partitionKey) continue
    throw new VirtualSelectError(
      `Group by is only supported on the partition key ${table.partitionKey}, got ${name}`,
    )
  }
  const isAggregate = select.selectors?.some(({ kind }) => kind === 'count') === true
  if (isAggregate && select.perPartitionLimit !== null) {
    throw new VirtualSelectError('PER PARTITION LIMIT is not allowed with aggregate queries.')
  }
  return isAggregate
}

const restrictsPartitionKey = ({ column, operator }: Relation, table: VirtualTable): boolean =>
  column === table.partitionKey && (operator === '=' || operator === 'IN')

const checkOrder = (select: VirtualSelect, table: VirtualTable): void => {
  for (const name of select.orderBy) {
    columnIndex(table, name)
    if (!select.relations.some((relation) => restrictsPartitionKey(relation, table))) {
      throw new VirtualSelectError(
        'ORDER BY is only supported when the partition key is restricted by an EQ or an IN.',
      )
    }
    throw new VirtualSelectError(
      'Order by is currently only supported on the clustered columns of the PRIMARY KEY, ' +
        `got ${name}`,
    )
  }
}

const LIMIT: TypedColumn = { name: '[limit]', type: INT }
const PER_PARTITION_LIMIT: TypedColumn = { name: '[per_partition_limit]', type: INT }

/** How many rows may be shown. A marker that is not bound yet, or not set, is no limit. */
const checkLimit = (limit: TypedColumn, term: Term | null, values: Values): number => {
  const bytes = term === null ? null : limitBytes(limit, term, values)
  if (bytes === null) return Number.POSITIVE_INFINITY
  const count = decodeInt(bytes)
  if (count > 0) return count
  const name = limit === LIMIT ? 'LIMIT' : 'PER PARTITION LIMIT'
  throw new VirtualSelectError(`${name} must be strictly positive`)
}

const limitBytes = (limit: TypedColumn, term: Term, values: Values): Uint8Array | null => {
  if (term.kind === 'constant') return encodeConstant(limit, term.constant)
  const bound = values[term.index]
  return bound === undefined || bound === NOT_SET ? null : checkBound(limit, bound)
}

const variableOf = (
  { name, use, column }: Marker,
  table: VirtualTable,
): { name: string; column: TypedColumn } => {
  if (column === null) {
    const limit = use === 'limit' ? LIMIT : PER_PARTITION_LIMIT
    return { name: name ?? limit.name, column: limit }
  }
  const of = table.columns[columnIndex(table, column)]!
  if (use === 'value') return { name: name ?? column, column: of }
  const list: TypedColumn = { name: `in(${column})`, type: { kind: 'list', element: of.type } }
  return { name: name ?? list.name, column: list }
}

const partitionKeyIndices = (select: VirtualSelect, table: VirtualTable): number[] => {
  const whole = select.relations.find(
    ({ column, operator }) => column === table.partitionKey && operator === '=',
  )
  const term = whole?.terms[0]
  return term?.kind === 'marker' ? [term.index] : []
}

type Matches = (row: Row) => boolean

/** A relation in two steps: constants are checked now, bound values once per request. */
const filterOf = (relation: Relation, table: VirtualTable): ((values: Values) => Matches) => {
  const index = columnIndex(table, relation.column)
  const column = table.columns[index]!
  assertComparable(column)
  const constants = relation.terms.map((term) =>
    term.kind === 'constant' ? encodeConstant(column, term.constant) : null,
  )
  return (values) => {
    const { list, terms } = relation
    const operands =
      list === null
        ? terms.map((term, at) => constants[at] ?? checkBound(column, boundTo(term, values)))
        : checkBoundList(column, values[list] ?? null)
    const isMatch = COMPARISON[relation.operator]
    return (row) => {
      const value = row[index] ?? null
      if (value === null) return false
      return operands.some((operand) => isMatch(compareValues(column, value, operand)))
    }
  }
}

const boundTo = (term: Term, values: Values): BoundValue =>
  term.kind === 'marker' ? (values[term.index] ?? null) : null

const COMPARISON: Readonly<Record<Operator, (order: number) => boolean>> = {
  '=': (order) => order === 0,
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
  IN: (order) => order === 0,
}
