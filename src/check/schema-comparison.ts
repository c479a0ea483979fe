/**
 * Whether Target's schema can take what Origin's takes: what the proxy writes to both must mean the same on
 * both. Pure; where the schemas come from is schema-query.ts.
 */
import { plural } from '../plural.ts'
import {
  bySeverity,
  type Column,
  cqlName,
  type Difference,
  difference,
  type Index,
  qualifiedName,
  type Routine,
  type Schema,
  type Table,
  type UserType,
  type View,
} from './schema.ts'
import { compareKeyspaceOptions, compareTableOptions, type Places } from './schema-options.ts'

/** Blanks and case of built-in names are no difference; quoted names keep theirs. */
const normalType = (type: string): string =>
  type
    .split('"')
    .map((part, at) => (at % 2 === 1 ? part : part.replaceAll(/\s+/g, '').toLowerCase()))
    .join('"')
    // What text is called in Cassandra 2.x.
    .replaceAll(/\bvarchar\b/g, 'text')

const byKey = <T>(items: readonly T[], keyOf: (item: T) => string): ReadonlyMap<string, T> =>
  new Map(items.map((item) => [keyOf(item), item]))

/** Key, types and order of a table cannot be altered. */
const RECREATE = 'create the table on Target again as it is in Origin, before data is copied'

const addColumn = ({ keyspace, name }: Table, column: Column): string => {
  const isStatic = column.kind === 'static' ? ' STATIC' : ''
  return `on Target: ALTER TABLE ${qualifiedName(keyspace, name)} ADD ${cqlName(column.name)} ${column.type}${isStatic}`
}

const isKey = ({ kind }: Column): boolean => kind === 'partition_key' || kind === 'clustering'

const compareColumn = (subject: string, origin: Column, target: Column): Difference[] => {
  const found: Difference[] = []
  if (normalType(origin.type) !== normalType(target.type)) {
    const text = `is ${origin.type} in Origin and ${target.type} in Target: values that suit one are refused, or read differently, by the other`
    found.push(difference('error', subject, text, RECREATE))
  }
  if (origin.kind !== target.kind) {
    const text = `is a ${origin.kind} column in Origin and a ${target.kind} column in Target: the same write names other rows there`
    found.push(difference('error', subject, text, RECREATE))
  } else if (isKey(origin) && origin.position !== target.position) {
    const text = `is number ${origin.position} of its part of the key in Origin and ${target.position} in Target: rows are found under other keys there`
    found.push(difference('error', subject, text, RECREATE))
  }
  const isClustering = origin.kind === 'clustering' && target.kind === 'clustering'
  if (isClustering && origin.clusteringOrder !== target.clusteringOrder) {
    const text = `is ordered ${origin.clusteringOrder} in Origin and ${target.clusteringOrder} in Target: rows come in another order, and LIMIT cuts others off, once Target serves reads`
    found.push(difference('warning', subject, text, RECREATE))
  }
  return found
}

const compareTable = (origin: Table, target: Table): Difference[] => {
  const table = `${origin.keyspace}.${origin.name}`
  const there = byKey(target.columns, ({ name }) => name)
  const here = byKey(origin.columns, ({ name }) => name)
  const missing = origin.columns.filter(({ name }) => !there.has(name))
  const added = target.columns.filter(({ name }) => !here.has(name))
  return [
    ...missing.map((column) =>
      difference(
        'error',
        `${table}.${column.name}`,
        'is missing in Target: writes that name it fail there, and so for the client',
        isKey(column) ? RECREATE : addColumn(origin, column),
      ),
    ),
    ...added.map((column) =>
      isKey(column)
        ? difference(
            'error',
            `${table}.${column.name}`,
            'is part of the key in Target only: writes that do not name it fail there',
            RECREATE,
          )
        : difference(
            'note',
            `${table}.${column.name}`,
            'is in Target only: it stays empty, and SELECT * has one more column there',
          ),
    ),
    ...origin.columns.flatMap((column) => {
      const other = there.get(column.name)
      return other === undefined ? [] : compareColumn(`${table}.${column.name}`, column, other)
    }),
    ...compareTableOptions(table, origin, target),
  ]
}

const CREATE_TABLE = 'create it on Target as it is in Origin'

/** A view takes no writes, and a table is not filled by another one. */
const compareMissingTable = (table: string, origin: Table, isView: boolean): Difference =>
  isView
    ? difference(
        'error',
        table,
        'is a table in Origin and a materialized view in Target: every write to it fails there',
        'drop the view on Target and create the table',
      )
    : difference(
        'error',
        table,
        'is missing in Target: every write to it fails there, and so for the client',
        origin.isCompact
          ? `${CREATE_TABLE}, without COMPACT STORAGE where Target refuses that`
          : CREATE_TABLE,
      )

const compareTables = (origin: Schema, target: Schema): Difference[] => {
  const keyOf = ({ keyspace, name }: Table | View): string => `${keyspace}.${name}`
  const there = byKey(target.tables, keyOf)
  const here = byKey(origin.tables, keyOf)
  const views = new Set([...origin.views, ...target.views].map(keyOf))
  return [
    ...origin.tables.flatMap((table) => {
      const other = there.get(keyOf(table))
      if (other !== undefined) return compareTable(table, other)
      return [compareMissingTable(keyOf(table), table, views.has(keyOf(table)))]
    }),
    ...target.tables
      .filter((table) => !here.has(keyOf(table)) && !views.has(keyOf(table)))
      .map((table) =>
        difference(
          'note',
          keyOf(table),
          'is in Target only: nothing comes to it through the proxy until Origin has it',
        ),
      ),
  ]
}

const compareViews = (origin: Schema, target: Schema): Difference[] => {
  const keyOf = ({ keyspace, name }: Table | View): string => `${keyspace}.${name}`
  const there = byKey(target.views, keyOf)
  const tables = byKey(target.tables, keyOf)
  return origin.views.flatMap((view) => {
    const subject = keyOf(view)
    if (tables.has(subject)) {
      const text = `is a materialized view of ${view.baseTable} in Origin and a table in Target: nothing fills it there, and reads find nothing once Target serves them`
      return [
        difference('warning', subject, text, 'fill it from the application, or make it a view'),
      ]
    }
    const other = there.get(subject)
    if (other === undefined) {
      const text = `is a materialized view of ${view.baseTable} that is missing in Target: reads of it fail once Target serves them`
      return [difference('warning', subject, text, `${CREATE_TABLE}, or read another table`)]
    }
    if (other.baseTable === view.baseTable) return []
    const text = `is a view of ${view.baseTable} in Origin and of ${other.baseTable} in Target: reads of it find other rows`
    return [difference('warning', subject, text, 'create it again on Target as it is in Origin')]
  })
}

/** Keyspaces that both have; what is missing is said once for all that is in it. */
const compareKeyspaces = (origin: Schema, target: Schema, places: Places | null): Difference[] => {
  const there = byKey(target.keyspaces, ({ name }) => name)
  return origin.keyspaces.flatMap((keyspace) => {
    const other = there.get(keyspace.name)
    if (other !== undefined) return compareKeyspaceOptions(keyspace, other, places)
    const text =
      'is missing in Target, with all of its tables and types: every write to it fails there'
    const remedy = 'create it on Target, or leave it out here: --keyspace names what is migrated'
    return [difference('error', keyspace.name, text, remedy)]
  })
}

/** By what they index: the same index may have another name. */
const compareIndexes = (origin: Schema, target: Schema): Difference[] => {
  const keyOf = ({ keyspace, table, target: of }: Index): string => `${keyspace}.${table} (${of})`
  const there = byKey(target.indexes, keyOf)
  const tables = byKey(target.tables, ({ keyspace, name }) => `${keyspace}.${name}`)
  return origin.indexes
    .filter(({ keyspace, table }) => tables.has(`${keyspace}.${table}`))
    .flatMap((index) => {
      const other = there.get(keyOf(index))
      const subject = `${index.keyspace}.${index.name}`
      if (other === undefined) {
        const text = `indexes ${index.target} of ${index.table} and is missing in Target: queries that need it fail once Target serves reads`
        return [difference('warning', subject, text, 'create it on Target')]
      }
      if (other.kind === index.kind) return []
      const text = `is of kind ${index.kind} in Origin and ${other.kind} in Target: not every query suits both`
      return [difference('warning', subject, text, 'try the queries that use it on Target')]
    })
}

const fieldsOf = ({ fields }: UserType): string =>
  fields.map(({ name, type }) => `${name} ${normalType(type)}`).join(', ')

const compareTypes = (origin: Schema, target: Schema): Difference[] => {
  const keyOf = ({ keyspace, name }: UserType): string => `${keyspace}.${name}`
  const there = byKey(target.types, keyOf)
  return origin.types.flatMap((type) => {
    const other = there.get(keyOf(type))
    if (other === undefined) {
      const text = 'is a user-defined type that is missing in Target'
      return [difference('error', keyOf(type), text, `on Target: ${createType(type)}`)]
    }
    if (fieldsOf(type) === fieldsOf(other)) return []
    const text = `has other fields in Target, and their order counts: (${fieldsOf(type)}) in Origin, (${fieldsOf(other)}) there`
    const remedy = 'fields can be added at the end and renamed; else create type and tables again'
    return [difference('error', keyOf(type), text, remedy)]
  })
}

const createType = ({ keyspace, name, fields }: UserType): string =>
  `CREATE TYPE ${qualifiedName(keyspace, name)} (${fields.map((field) => `${cqlName(field.name)} ${field.type}`).join(', ')})`

const compareRoutines = (origin: Schema, target: Schema): Difference[] => {
  const keyOf = ({ keyspace, name, argumentTypes }: Routine): string =>
    `${keyspace}.${name}(${argumentTypes.map(normalType).join(', ')})`
  const there = byKey(target.routines, keyOf)
  return origin.routines
    .filter((routine) => !there.has(keyOf(routine)))
    .map((routine) =>
      difference(
        'warning',
        keyOf(routine),
        'is a user-defined function or aggregate that is missing in Target: statements that call it fail there',
        'create it on Target',
      ),
    )
}

const COUNTER_TABLES_NAMED_MAX = 5

/** Nothing differs yet; what makes it differ is worth a line before it does. */
const noteCounters = ({ keyspaces, tables }: Schema): Difference[] =>
  keyspaces.flatMap(({ name }) => {
    const counters = tables
      .filter(({ keyspace, columns }) => keyspace === name && columns.some(isCounter))
      .map((table) => table.name)
    if (counters.length === 0) return []
    const shown = counters.slice(0, COUNTER_TABLES_NAMED_MAX).join(', ')
    const more = counters.length > COUNTER_TABLES_NAMED_MAX ? ', …' : ''
    const text = `has ${plural(counters.length, 'table')} of counters (${shown}${more}): an increment that is retried, or fails on one cluster, makes them differ for good`
    return [
      difference('note', name, text, 'compare them after the copy, and before Target serves reads'),
    ]
  })

const isCounter = ({ type }: Column): boolean => type === 'counter'

/** What is in these keyspaces. */
const within = (schema: Schema, names: ReadonlySet<string>): Schema => {
  const isIn = ({ keyspace }: { readonly keyspace: string }): boolean => names.has(keyspace)
  return {
    ...schema,
    tables: schema.tables.filter(isIn),
    views: schema.views.filter(isIn),
    indexes: schema.indexes.filter(isIn),
    types: schema.types.filter(isIn),
    routines: schema.routines.filter(isIn),
  }
}

/** Keyspaces that were read on both sides, or that Target does not have at all. */
export const comparedKeyspaces = (origin: Schema, target: Schema): readonly string[] => {
  const unread = new Set([...origin.unread, ...target.unread])
  return origin.keyspaces.map(({ name }) => name).filter((name) => !unread.has(name))
}

/**
 * What differs, the worst first, else in the order of Origin's schema. `places` are where the replicas may
 * be; null where that is not known.
 */
export const compareSchemas = (
  origin: Schema,
  target: Schema,
  places: Places | null,
): readonly Difference[] => {
  const compared = new Set(comparedKeyspaces(origin, target))
  const names = new Set(
    target.keyspaces.map(({ name }) => name).filter((name) => compared.has(name)),
  )
  const here = within(origin, names)
  const there = within(target, names)
  return bySeverity([
    ...compareKeyspaces(origin, target, places),
    ...compareTypes(here, there),
    ...compareTables(here, there),
    ...compareViews(here, there),
    ...compareIndexes(here, there),
    ...compareRoutines(here, there),
    ...noteCounters(here),
  ])
}
