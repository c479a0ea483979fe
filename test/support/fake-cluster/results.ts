/** Bodies of a fake node's answers (v5 §4.2): rows, PREPARED, ERROR, events. */
import { encodeSchemaChange } from '../../../src/cql/messages/schema-change.ts'
import {
  Consistency,
  ErrorCode,
  Opcode,
  ResultKind,
  TypeId,
  type VersionTraits,
} from '../../../src/cql/protocol.ts'
import { BodyWriter } from '../../../src/cql/writer.ts'

/** An answer without version and stream id: those are the request's. */
export type Answer = {
  readonly opcode: number
  readonly body: Uint8Array
  readonly flags?: number
}

export type ColumnType = 'varchar' | 'blob' | 'int' | 'uuid' | 'inet' | 'boolean' | 'set<varchar>'
export type Column = { readonly name: string; readonly type: ColumnType }
export type Cell = string | number | boolean | Uint8Array | readonly string[] | null

const MetadataFlag = { GLOBAL_TABLES_SPEC: 1, NO_METADATA: 4, METADATA_CHANGED: 8 } as const

const SIMPLE_TYPE_IDS: Readonly<Record<Exclude<ColumnType, 'set<varchar>'>, number>> = {
  varchar: TypeId.VARCHAR,
  blob: TypeId.BLOB,
  int: TypeId.INT,
  uuid: TypeId.UUID,
  inet: TypeId.INET,
  boolean: TypeId.BOOLEAN,
}

const writeType = (writer: BodyWriter, type: ColumnType): void => {
  if (type === 'set<varchar>') writer.writeShort(TypeId.SET).writeShort(TypeId.VARCHAR)
  else writer.writeShort(SIMPLE_TYPE_IDS[type])
}

const encodeText = (cell: string, type: ColumnType): Uint8Array => {
  if (type === 'uuid') return Buffer.from(cell.replaceAll('-', ''), 'hex')
  if (type === 'inet') return Uint8Array.from(cell.split('.').map(Number))
  return Buffer.from(cell)
}

const encodeCell = (cell: Cell, type: ColumnType, hasShorts: boolean): Uint8Array | null => {
  if (cell === null || cell instanceof Uint8Array) return cell
  if (typeof cell === 'string') return encodeText(cell, type)
  const writer = new BodyWriter()
  if (typeof cell === 'number') writer.writeInt(cell)
  else if (typeof cell === 'boolean') writer.writeByte(cell ? 1 : 0)
  else if (hasShorts) {
    writer.writeShort(cell.length)
    for (const item of cell) writer.writeShortBytes(Buffer.from(item))
  } else {
    writer.writeInt(cell.length)
    for (const item of cell) writer.writeBytes(Buffer.from(item))
  }
  return writer.toBytes()
}

export type TableName = { readonly keyspace: string; readonly table: string }

const writeColumns = (writer: BodyWriter, name: TableName, columns: readonly Column[]): void => {
  writer.writeString(name.keyspace).writeString(name.table)
  for (const column of columns) {
    writer.writeString(column.name)
    writeType(writer, column.type)
  }
}

export type RowsOptions = {
  /** The client has the metadata already (SKIP_METADATA). */
  readonly skipMetadata?: boolean
  /** v2 (v2 §6). */
  readonly hasShortCollections?: boolean
  /** The client's metadata are stale: send the new ones and their id (v5 §4.2.5.2). */
  readonly changedMetadataId?: Uint8Array
}

/** What a SELECT finds. */
export type Selection = {
  readonly name: TableName
  readonly columns: readonly Column[]
  readonly rows: readonly (readonly Cell[])[]
}

export const rowsAnswer = (selection: Selection, options: RowsOptions = {}): Answer => {
  const { name, columns, rows } = selection
  const changedId = options.changedMetadataId
  const skip = options.skipMetadata === true && changedId === undefined
  const writer = new BodyWriter().writeInt(ResultKind.ROWS)
  if (skip) writer.writeInt(MetadataFlag.NO_METADATA).writeInt(columns.length)
  else {
    const changed = changedId === undefined ? 0 : MetadataFlag.METADATA_CHANGED
    writer.writeInt(MetadataFlag.GLOBAL_TABLES_SPEC | changed).writeInt(columns.length)
    if (changedId !== undefined) writer.writeShortBytes(changedId)
    writeColumns(writer, name, columns)
  }
  writer.writeInt(rows.length)
  for (const row of rows) {
    for (const [i, { type }] of columns.entries()) {
      writer.writeBytes(encodeCell(row[i] ?? null, type, options.hasShortCollections ?? false))
    }
  }
  return { opcode: Opcode.RESULT, body: writer.toBytes() }
}

/** What a statement gets that has created a table. */
export const schemaChangeAnswer = (traits: VersionTraits, keyspace = 'ks', name = 't'): Answer => {
  const change = { change: 'CREATED', target: 'TABLE', keyspace, name }
  const writer = new BodyWriter().writeInt(ResultKind.SCHEMA_CHANGE)
  return { opcode: Opcode.RESULT, body: encodeSchemaChange(writer, change, traits).toBytes() }
}

export const voidAnswer = (): Answer => ({
  opcode: Opcode.RESULT,
  body: new BodyWriter().writeInt(ResultKind.VOID).toBytes(),
})

export const setKeyspaceAnswer = (keyspace: string): Answer => ({
  opcode: Opcode.RESULT,
  body: new BodyWriter().writeInt(ResultKind.SET_KEYSPACE).writeString(keyspace).toBytes(),
})

export type PreparedResult = {
  readonly id: Uint8Array
  readonly resultMetadataId: Uint8Array
  readonly name: TableName
  readonly binds: readonly Column[]
  readonly columns: readonly Column[]
}

export const preparedAnswer = (prepared: PreparedResult, traits: VersionTraits): Answer => {
  const { binds, columns } = prepared
  const writer = new BodyWriter().writeInt(ResultKind.PREPARED).writeShortBytes(prepared.id)
  if (traits.hasResultMetadataId) writer.writeShortBytes(prepared.resultMetadataId)
  writer.writeInt(binds.length > 0 ? MetadataFlag.GLOBAL_TABLES_SPEC : 0).writeInt(binds.length)
  if (traits.hasPartitionKeyIndices) {
    // The first marker stands for the partition key.
    writer.writeInt(binds.length > 0 ? 1 : 0)
    if (binds.length > 0) writer.writeShort(0)
  }
  if (binds.length > 0) writeColumns(writer, prepared.name, binds)
  if (columns.length === 0) writer.writeInt(MetadataFlag.NO_METADATA).writeInt(0)
  else {
    writer.writeInt(MetadataFlag.GLOBAL_TABLES_SPEC).writeInt(columns.length)
    writeColumns(writer, prepared.name, columns)
  }
  return { opcode: Opcode.RESULT, body: writer.toBytes() }
}

/**
 * The fields that follow code and message, with values that a driver accepts (v5 §9). A failure's
 * [int] 0 is v4's number of failures and v5's empty map of reasons alike.
 */
const writeErrorFields = (writer: BodyWriter, code: number, detail: Uint8Array): void => {
  switch (code) {
    case ErrorCode.UNAVAILABLE:
      writer.writeShort(Consistency.LOCAL_QUORUM).writeInt(2).writeInt(1)
      break
    case ErrorCode.WRITE_TIMEOUT:
      writer.writeShort(Consistency.LOCAL_QUORUM).writeInt(1).writeInt(2).writeString('SIMPLE')
      break
    case ErrorCode.READ_TIMEOUT:
      writer.writeShort(Consistency.LOCAL_QUORUM).writeInt(1).writeInt(2).writeByte(0)
      break
    case ErrorCode.READ_FAILURE:
      writer.writeShort(Consistency.LOCAL_QUORUM).writeInt(1).writeInt(2).writeInt(0).writeByte(0)
      break
    case ErrorCode.WRITE_FAILURE:
      writer.writeShort(Consistency.LOCAL_QUORUM).writeInt(1).writeInt(2).writeInt(0)
      writer.writeString('SIMPLE')
      break
    case ErrorCode.FUNCTION_FAILURE:
      writer.writeString('ks').writeString('f').writeStringList(['int'])
      break
    case ErrorCode.ALREADY_EXISTS:
      writer.writeString('ks').writeString('t')
      break
    case ErrorCode.UNPREPARED:
      writer.writeShortBytes(detail)
      break
    default:
  }
}

/** An ERROR; `detail` is the statement id of an UNPREPARED. */
export const errorAnswer = (
  code: number,
  message: string,
  detail: Uint8Array = new Uint8Array(0),
): Answer => {
  const writer = new BodyWriter().writeInt(code).writeString(message)
  writeErrorFields(writer, code, detail)
  return { opcode: Opcode.ERROR, body: writer.toBytes() }
}

/** What a server pushes on stream -1 (v5 §4.2.6). */
export type ClusterEvent =
  | {
      readonly type: 'TOPOLOGY_CHANGE' | 'STATUS_CHANGE'
      readonly change: string
      readonly address: string
      readonly port: number
    }
  | {
      readonly type: 'SCHEMA_CHANGE'
      readonly change: string
      readonly target: string
      readonly keyspace: string
      readonly name?: string
    }

export const eventAnswer = (event: ClusterEvent, isV2 = false): Answer => {
  const writer = new BodyWriter().writeString(event.type).writeString(event.change)
  if (event.type === 'SCHEMA_CHANGE' && isV2) {
    writer.writeString(event.keyspace).writeString(event.name ?? '')
  } else if (event.type === 'SCHEMA_CHANGE') {
    writer.writeString(event.target).writeString(event.keyspace)
    if (event.name !== undefined) writer.writeString(event.name)
  } else {
    const address = encodeText(event.address, 'inet')
    writer.writeByte(address.length).writeRaw(address).writeInt(event.port)
  }
  return { opcode: Opcode.EVENT, body: writer.toBytes() }
}
