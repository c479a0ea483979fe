/**
 * The description of columns in ROWS and of bind variables in PREPARED (v5 §4.2.5.2, §4.2.5.4).
 */
import { ProtocolError } from '../errors.ts'
import { MetadataFlag, type VersionTraits } from '../protocol.ts'
import type { BodyReader } from '../reader.ts'
import { decodeTypeOption, encodeTypeOption, type TypeOption } from '../type-option.ts'
import type { BodyWriter } from '../writer.ts'

export type ColumnSpec = {
  readonly keyspace: string
  readonly table: string
  readonly name: string
  readonly type: TypeOption
}

type TableSpec = { readonly keyspace: string; readonly table: string }

export type RowsMetadata = {
  readonly columnCount: number
  /** null with NO_METADATA: the client has said that it knows them. */
  readonly columns: readonly ColumnSpec[] | null
  /** The one table of all columns, where the server has spelled it once. */
  readonly globalTable?: TableSpec
  readonly pagingState?: Uint8Array | null
  /** v5: the columns are not those that the client knows any more. */
  readonly newMetadataId?: Uint8Array
  /** Flags that add no field here; written as they were read. */
  readonly otherFlags?: number
}

export type VariablesMetadata = {
  readonly columns: readonly ColumnSpec[]
  readonly globalTable?: TableSpec
  /** v4: for each partition key column the index of its bind variable. */
  readonly partitionKeyIndices?: readonly number[]
  /** Flags that add no field here (Scylla marks lightweight transactions so). */
  readonly otherFlags?: number
}

/** Metadata of the given columns; their table is spelled once if they have the same. */
export const rowsMetadata = (columns: readonly ColumnSpec[]): RowsMetadata => {
  const first = columns[0]
  const isOneTable = columns.every(
    (column) => column.keyspace === first?.keyspace && column.table === first.table,
  )
  const metadata = { columnCount: columns.length, columns }
  if (first === undefined || !isOneTable) return metadata
  return { ...metadata, globalTable: { keyspace: first.keyspace, table: first.table } }
}

const ROWS_FLAGS =
  MetadataFlag.GLOBAL_TABLES_SPEC | MetadataFlag.HAS_MORE_PAGES | MetadataFlag.NO_METADATA

const rowsFlags = (traits: VersionTraits): number =>
  traits.hasResultMetadataId ? ROWS_FLAGS | MetadataFlag.METADATA_CHANGED : ROWS_FLAGS

/** An [int] that counts; a negative one is a lie. */
export const readCount = (reader: BodyReader, what: string): number => {
  const count = reader.readInt(what)
  if (count >= 0) return count
  throw new ProtocolError('CQL_COUNT', `Cannot read ${what}: it is ${count}, expected 0 or more`)
}

/**
 *   <flags><column count>[<paging state>][<new metadata id>][[<global table>]<column>*]
 *     <flags>            [int]
 *     <column count>     [int]
 *     <paging state>     [bytes], with HAS_MORE_PAGES
 *     <new metadata id>  [short bytes], v5, with METADATA_CHANGED
 *     <global table>     <keyspace [string]><table [string]>, with GLOBAL_TABLES_SPEC
 *     <column>           [<keyspace [string]><table [string]>]<name [string]><type [option]>
 */
export const decodeRowsMetadata = (reader: BodyReader, traits: VersionTraits): RowsMetadata => {
  const flags = reader.readInt('metadata flags')
  const columnCount = readCount(reader, 'column count')
  // Cassandra says GLOBAL_TABLES_SPEC also where NO_METADATA takes the table away.
  const hasColumns = (flags & MetadataFlag.NO_METADATA) === 0
  const known = hasColumns
    ? rowsFlags(traits)
    : rowsFlags(traits) & ~MetadataFlag.GLOBAL_TABLES_SPEC
  const fields = flags & known
  const otherFlags = flags & ~known
  return {
    columnCount,
    ...(fields & MetadataFlag.HAS_MORE_PAGES && { pagingState: reader.readBytes('paging state') }),
    ...(fields & MetadataFlag.METADATA_CHANGED && {
      newMetadataId: reader.readShortBytes('new metadata id'),
    }),
    ...(hasColumns ? decodeColumns(reader, fields, columnCount) : { columns: null }),
    ...(otherFlags !== 0 && { otherFlags }),
  }
}

export const encodeRowsMetadata = (
  writer: BodyWriter,
  metadata: RowsMetadata,
  traits: VersionTraits,
): BodyWriter => {
  const { columns, globalTable, pagingState } = metadata
  const newMetadataId = traits.hasResultMetadataId ? metadata.newMetadataId : undefined
  const flags =
    (metadata.otherFlags ?? 0) |
    (columns === null ? MetadataFlag.NO_METADATA : 0) |
    (columns !== null && globalTable !== undefined ? MetadataFlag.GLOBAL_TABLES_SPEC : 0) |
    (pagingState !== undefined ? MetadataFlag.HAS_MORE_PAGES : 0) |
    (newMetadataId !== undefined ? MetadataFlag.METADATA_CHANGED : 0)
  writer.writeInt(flags).writeInt(metadata.columnCount)
  if (pagingState !== undefined) writer.writeBytes(pagingState)
  if (newMetadataId !== undefined) writer.writeShortBytes(newMetadataId)
  return columns === null ? writer : encodeColumns(writer, columns, globalTable)
}

/**
 *   <flags><column count>[<pk count><pk index>*][<global table>]<column>*
 *     <pk count>  [int], v4
 *     <pk index>  [short], v4
 */
export const decodeVariablesMetadata = (
  reader: BodyReader,
  traits: VersionTraits,
): VariablesMetadata => {
  const flags = reader.readInt('metadata flags')
  const columnCount = readCount(reader, 'variable count')
  const otherFlags = flags & ~MetadataFlag.GLOBAL_TABLES_SPEC
  return {
    ...(traits.hasPartitionKeyIndices && { partitionKeyIndices: decodeIndices(reader) }),
    ...decodeColumns(reader, flags, columnCount),
    ...(otherFlags !== 0 && { otherFlags }),
  }
}

const decodeIndices = (reader: BodyReader): number[] => {
  const count = readCount(reader, 'partition key count')
  const indices: number[] = []
  for (let i = 0; i < count; i++) indices.push(reader.readShort('partition key index'))
  return indices
}

export const encodeVariablesMetadata = (
  writer: BodyWriter,
  metadata: VariablesMetadata,
  traits: VersionTraits,
): BodyWriter => {
  const { columns, globalTable, partitionKeyIndices = [], otherFlags = 0 } = metadata
  const globalFlag = globalTable === undefined ? 0 : MetadataFlag.GLOBAL_TABLES_SPEC
  writer.writeInt(otherFlags | globalFlag).writeInt(columns.length)
  if (traits.hasPartitionKeyIndices) {
    writer.writeInt(partitionKeyIndices.length)
    for (const index of partitionKeyIndices) writer.writeShort(index)
  }
  return encodeColumns(writer, columns, globalTable)
}

const decodeTable = (reader: BodyReader): TableSpec => ({
  keyspace: reader.readString('keyspace'),
  table: reader.readString('table'),
})

const decodeColumns = (
  reader: BodyReader,
  flags: number,
  count: number,
): { columns: ColumnSpec[]; globalTable?: TableSpec } => {
  const isGlobal = (flags & MetadataFlag.GLOBAL_TABLES_SPEC) !== 0
  const globalTable = isGlobal ? decodeTable(reader) : undefined
  const columns: ColumnSpec[] = []
  for (let i = 0; i < count; i++) {
    const { keyspace, table } = globalTable ?? decodeTable(reader)
    const name = reader.readString('column name')
    columns.push({ keyspace, table, name, type: decodeTypeOption(reader) })
  }
  return globalTable === undefined ? { columns } : { columns, globalTable }
}

const encodeColumns = (
  writer: BodyWriter,
  columns: readonly ColumnSpec[],
  globalTable: TableSpec | undefined,
): BodyWriter => {
  if (globalTable !== undefined) {
    writer.writeString(globalTable.keyspace).writeString(globalTable.table)
  }
  for (const column of columns) {
    if (globalTable === undefined) writer.writeString(column.keyspace).writeString(column.table)
    encodeTypeOption(writer.writeString(column.name), column.type)
  }
  return writer
}
