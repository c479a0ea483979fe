/**
 * Whether Target's schema can take what Origin's takes: what the proxy writes to both must mean the same on
 * both. Pure; where the schemas come from is the caller's business (system_schema, Cassandra 3.0 and later).
 */

export type ColumnKind = 'partition_key' | 'clustering' | 'regular' | 'static'

export type Column = {
  readonly name: string
  /** As system_schema.columns has it: `frozen<list<int>>`. */
  readonly type: string
  readonly kind: ColumnKind
  /** Within the key, from 0; -1 for columns outside it. */
  readonly position: number
  /** asc or desc for clustering columns, else none. */
  readonly clusteringOrder: string
}

export type Table = {
  readonly keyspace: string
  readonly name: string
  readonly columns: readonly Column[]
}

export type Index = {
  readonly keyspace: string
  readonly table: string
  readonly name: string
  /** What it indexes, as its options say: `v`, `keys(m)`. */
  readonly target: string
  /** COMPOSITES, CUSTOM and the like. */
  readonly kind: string
}

export type UserType = {
  readonly keyspace: string
  readonly name: string
  /** In their order, which is part of the type. */
  readonly fields: readonly { readonly name: string; readonly type: string }[]
}

export type Schema = {
  readonly keyspaces: readonly string[]
  readonly tables: readonly Table[]
  readonly indexes: readonly Index[]
  readonly types: readonly UserType[]
}

/**
 * error: writes to Target fail, or mean something else there. warning: some requests fail, or answers
 * differ, once Target serves them. note: harmless as long as nobody expects otherwise.
 */
export type Severity = 'error' | 'warning' | 'note'

export type Difference = {
  readonly severity: Severity
  /** `ks`, `ks.table`, `ks.table.column`, `ks.type`. */
  readonly subject: string
  /** One line: what differs and what follows from it. */
  readonly text: string
}

const difference = (severity: Severity, subject: string, text: string): Difference => ({
  severity,
  subject,
  text,
})

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

const isKey = ({ kind }: Column): boolean => kind === 'partition_key' || kind === 'clustering'

const compareColumn = (subject: string, origin: Column, target: Column): Difference[] => {
  const found: Difference[] = []
  if (normalType(origin.type) !== normalType(target.type)) {
    const text = `is ${origin.type} in Origin and ${target.type} in Target: values that suit one are refused, or read differently, by the other`
    found.push(difference('error', subject, text))
  }
  if (origin.kind !== target.kind) {
    const text = `is a ${origin.kind} column in Origin and a ${target.kind} column in Target: the same write names other rows there`
    found.push(difference('error', subject, text))
  } else if (isKey(origin) && origin.position !== target.position) {
    const text = `is number ${origin.position} of its part of the key in Origin and ${target.position} in Target: rows are found under other keys there`
    found.push(difference('error', subject, text))
  }
  const isClustering = origin.kind === 'clustering' && target.kind === 'clustering'
  if (isClustering && origin.clusteringOrder !== target.clusteringOrder) {
    const text = `is ordered ${origin.clusteringOrder} in Origin and ${target.clusteringOrder} in Target: rows come in another order, and LIMIT cuts others off, once Target serves reads`
    found.push(difference('warning', subject, text))
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
        `is missing in Target: writes that name it fail there (add it with type ${column.type})`,
      ),
    ),
    ...added.map((column) =>
      isKey(column)
        ? difference(
            'error',
            `${table}.${column.name}`,
            'is part of the key in Target only: writes that do not name it fail there',
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
  ]
}

const compareTables = (origin: Schema, target: Schema): Difference[] => {
  const keyOf = ({ keyspace, name }: Table): string => `${keyspace}.${name}`
  const there = byKey(target.tables, keyOf)
  const here = byKey(origin.tables, keyOf)
  return [
    ...origin.tables.flatMap((table) => {
      const other = there.get(keyOf(table))
      if (other !== undefined) return compareTable(table, other)
      // The keyspace's own line says it for all of its tables.
      if (!target.keyspaces.includes(table.keyspace)) return []
      const text = 'is missing in Target: every write to it fails there'
      return [difference('error', keyOf(table), text)]
    }),
    ...target.tables
      .filter((table) => origin.keyspaces.includes(table.keyspace) && !here.has(keyOf(table)))
      .map((table) =>
        difference(
          'note',
          keyOf(table),
          'is in Target only: nothing comes to it through the proxy until Origin has it',
        ),
      ),
  ]
}

const compareKeyspaces = (origin: Schema, target: Schema): Difference[] =>
  origin.keyspaces
    .filter((keyspace) => !target.keyspaces.includes(keyspace))
    .map((keyspace) =>
      difference('error', keyspace, 'is missing in Target, with all of its tables and types'),
    )

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
        return [difference('warning', subject, text)]
      }
      if (other.kind === index.kind) return []
      const text = `is of kind ${index.kind} in Origin and ${other.kind} in Target: not every query suits both`
      return [difference('warning', subject, text)]
    })
}

const fieldsOf = ({ fields }: UserType): string =>
  fields.map(({ name, type }) => `${name} ${normalType(type)}`).join(', ')

const compareTypes = (origin: Schema, target: Schema): Difference[] => {
  const keyOf = ({ keyspace, name }: UserType): string => `${keyspace}.${name}`
  const there = byKey(target.types, keyOf)
  return origin.types
    .filter(({ keyspace }) => target.keyspaces.includes(keyspace))
    .flatMap((type) => {
      const other = there.get(keyOf(type))
      if (other === undefined) {
        const text = 'is a user-defined type that is missing in Target'
        return [difference('error', keyOf(type), text)]
      }
      if (fieldsOf(type) === fieldsOf(other)) return []
      const text = `has other fields in Target, and their order counts: (${fieldsOf(type)}) in Origin, (${fieldsOf(other)}) there`
      return [difference('error', keyOf(type), text)]
    })
}

const RANKS = { error: 0, warning: 1, note: 2 } as const satisfies Record<Severity, number>

/** What differs, the worst first, else in the order of the schemas. */
export const compareSchemas = (origin: Schema, target: Schema): readonly Difference[] =>
  [
    ...compareKeyspaces(origin, target),
    ...compareTypes(origin, target),
    ...compareTables(origin, target),
    ...compareIndexes(origin, target),
  ].sort((a, b) => RANKS[a.severity] - RANKS[b.severity])
