/**
 * Reads a cluster's schema from one node (system_schema, Cassandra 3.0 and later), page by page so that no
 * answer holds up the clients of this thread, and up to a bound.
 */
import { type Row, readInt, readText } from '../cluster/row.ts'
import { selectPages } from '../cluster/topology-query.ts'
import { decodeBoolean, decodeElements, decodeMap, decodeText } from '../cql/values.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type {
  Column,
  ColumnKind,
  Index,
  Keyspace,
  Routine,
  Schema,
  Table,
  UserType,
  View,
} from './schema.ts'
import { isSystemKeyspace } from './schema.ts'

/** Of one cluster, over all keyspaces; thousands of tables have as many. */
const COLUMNS_MAX = 50_000
const KINDS: readonly string[] = ['partition_key', 'clustering', 'static']

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`

const textOf = (bytes: Uint8Array | null): string => (bytes === null ? '' : decodeText(bytes))

const readMap = (row: Row, column: string): ReadonlyMap<string, string> => {
  const bytes = row.get(column)?.value ?? null
  if (bytes === null) return new Map()
  return new Map(decodeMap(bytes).map(([key, value]) => [textOf(key), textOf(value)]))
}

const readTexts = (row: Row, column: string): string[] => {
  const bytes = row.get(column)?.value ?? null
  return bytes === null ? [] : decodeElements(bytes).map(textOf)
}

const nameOf = (row: Row, column: string): string => readText(row, column) ?? ''

/** `org.apache.cassandra.locator.SimpleStrategy` → `SimpleStrategy` */
const shortClass = (name: string): string => name.slice(name.lastIndexOf('.') + 1)

const readKeyspace = (row: Row): Keyspace => {
  const replication = readMap(row, 'replication')
  const durable = row.get('durable_writes')?.value ?? null
  return {
    name: nameOf(row, 'keyspace_name'),
    strategy: shortClass(replication.get('class') ?? ''),
    replicas: new Map(
      [...replication]
        .filter(([key]) => key !== 'class')
        // `3/1`: one of the three is transient.
        .map(([key, value]) => [key, Number.parseInt(value, 10) || 0]),
    ),
    hasDurableWrites: durable === null || decodeBoolean(durable),
  }
}

/** Tables made by CQL without COMPACT STORAGE are compound, and not dense. */
const isCompact = (flags: readonly string[]): boolean =>
  flags.includes('dense') || flags.includes('super') || !flags.includes('compound')

const readTable = (row: Row, columns: readonly Column[]): Table => ({
  keyspace: nameOf(row, 'keyspace_name'),
  name: nameOf(row, 'table_name'),
  columns,
  isCompact: isCompact(readTexts(row, 'flags')),
  defaultTtl: readInt(row, 'default_time_to_live') ?? 0,
  gcGraceSeconds: readInt(row, 'gc_grace_seconds') ?? 0,
  compaction: shortClass(readMap(row, 'compaction').get('class') ?? ''),
})

const kindOf = (word: string): ColumnKind =>
  KINDS.includes(word) ? (word as ColumnKind) : 'regular'

const readColumn = (row: Row): Column => ({
  name: nameOf(row, 'column_name'),
  type: nameOf(row, 'type'),
  kind: kindOf(nameOf(row, 'kind')),
  position: readInt(row, 'position') ?? -1,
  clusteringOrder: nameOf(row, 'clustering_order') || 'none',
})

const readView = (row: Row): View => ({
  keyspace: nameOf(row, 'keyspace_name'),
  name: nameOf(row, 'view_name'),
  baseTable: nameOf(row, 'base_table_name'),
})

const readIndex = (row: Row): Index => ({
  keyspace: nameOf(row, 'keyspace_name'),
  table: nameOf(row, 'table_name'),
  name: nameOf(row, 'index_name'),
  target: readMap(row, 'options').get('target') ?? '',
  kind: nameOf(row, 'kind'),
})

const readType = (row: Row): UserType => {
  const types = readTexts(row, 'field_types')
  return {
    keyspace: nameOf(row, 'keyspace_name'),
    name: nameOf(row, 'type_name'),
    fields: readTexts(row, 'field_names').map((name, at) => ({ name, type: types[at] ?? '' })),
  }
}

const readRoutine = (row: Row): Routine => ({
  keyspace: nameOf(row, 'keyspace_name'),
  name: readText(row, 'function_name') ?? nameOf(row, 'aggregate_name'),
  argumentTypes: readTexts(row, 'argument_types'),
})

type Contents = { -readonly [K in keyof Omit<Schema, 'keyspaces' | 'unread'>]: Schema[K][number][] }

class SchemaReader {
  readonly #connection: UpstreamConnection
  readonly #contents: Contents = { tables: [], views: [], indexes: [], types: [], routines: [] }
  readonly #columnsMax: number
  #columnCount = 0

  constructor(connection: UpstreamConnection, columnsMax: number) {
    this.#connection = connection
    this.#columnsMax = columnsMax
  }

  async read(isWanted: (keyspace: string) => boolean): Promise<Schema> {
    const rows = await this.#all('keyspace_name, replication, durable_writes', 'keyspaces')
    const keyspaces = rows
      .map(readKeyspace)
      .filter(({ name }) => isWanted(name))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
    const unread: string[] = []
    for (const { name } of keyspaces) {
      if (!(await this.#readContents(name))) unread.push(name)
    }
    return { keyspaces, unread, ...this.#contents }
  }

  /** False, and nothing taken over, where there would be too many columns. */
  async #readContents(keyspace: string): Promise<boolean> {
    const columns = await this.#columns(keyspace)
    if (columns === null) return false
    const where = `WHERE keyspace_name = ${literal(keyspace)}`
    const all = (fields: string, table: string) =>
      this.#all(`keyspace_name, ${fields}`, table, where)
    const { tables, views, indexes, types, routines } = this.#contents
    const [ofTables, ofViews, ofIndexes, ofTypes, ofFunctions, ofAggregates] = await Promise.all([
      all('table_name, flags, default_time_to_live, gc_grace_seconds, compaction', 'tables'),
      all('view_name, base_table_name', 'views'),
      all('table_name, index_name, kind, options', 'indexes'),
      all('type_name, field_names, field_types', 'types'),
      all('function_name, argument_types', 'functions'),
      all('aggregate_name, argument_types', 'aggregates'),
    ])
    const columnsOf = (row: Row): readonly Column[] => columns.get(nameOf(row, 'table_name')) ?? []
    tables.push(...ofTables.map((row) => readTable(row, columnsOf(row))))
    views.push(...ofViews.map(readView))
    indexes.push(...ofIndexes.map(readIndex))
    types.push(...ofTypes.map(readType))
    routines.push(...ofFunctions.map(readRoutine), ...ofAggregates.map(readRoutine))
    return true
  }

  async #columns(keyspace: string): Promise<ReadonlyMap<string, readonly Column[]> | null> {
    const found = new Map<string, Column[]>()
    const fields = 'table_name, column_name, type, kind, position, clustering_order'
    const text = `SELECT ${fields} FROM system_schema.columns WHERE keyspace_name = ${literal(keyspace)}`
    let count = 0
    for await (const rows of selectPages(this.#connection, text)) {
      count += rows.length
      if (this.#columnCount + count > this.#columnsMax) return null
      for (const row of rows) {
        const column = readColumn(row)
        // What COMPACT STORAGE hides: a column without a value that no statement can name.
        if (column.type === 'empty') continue
        const table = nameOf(row, 'table_name')
        const known = found.get(table)
        if (known === undefined) found.set(table, [column])
        else known.push(column)
      }
    }
    this.#columnCount += count
    return found
  }

  async #all(fields: string, table: string, where = ''): Promise<Row[]> {
    const text = `SELECT ${fields} FROM system_schema.${table} ${where}`.trim()
    const found: Row[] = []
    for await (const rows of selectPages(this.#connection, text)) found.push(...rows)
    return found
  }
}

/**
 * Everything outside the clusters' own keyspaces; of `keyspaces` alone where any are named. Rejects with a
 * ClusterError where the node refuses or does not answer.
 */
export const readSchema = (
  connection: UpstreamConnection,
  keyspaces: readonly string[] = [],
  columnsMax: number = COLUMNS_MAX,
): Promise<Schema> =>
  new SchemaReader(connection, columnsMax).read((name) =>
    keyspaces.length === 0 ? !isSystemKeyspace(name) : keyspaces.includes(name),
  )
