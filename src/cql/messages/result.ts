/** RESULT and its five kinds (v5 §4.2.5); what describes columns is in metadata.ts. */
import { ProtocolError } from '../errors.ts'
import { ResultKind, type VersionTraits } from '../protocol.ts'
import type { BodyReader } from '../reader.ts'
import type { BodyWriter } from '../writer.ts'
import {
  type ColumnSpec,
  decodeRowsMetadata,
  decodeVariablesMetadata,
  encodeRowsMetadata,
  encodeVariablesMetadata,
  type RowsMetadata,
  readCount,
  rowsMetadata,
  type VariablesMetadata,
} from './metadata.ts'
import { decodeSchemaChange, encodeSchemaChange, type SchemaChange } from './schema-change.ts'

export type Row = readonly (Uint8Array | null)[]

export type RowsResult = {
  readonly kind: typeof ResultKind.ROWS
  readonly metadata: RowsMetadata
  readonly rows: readonly Row[]
}

export type PreparedResult = {
  readonly kind: typeof ResultKind.PREPARED
  readonly statementId: Uint8Array
  /** v5. */
  readonly resultMetadataId?: Uint8Array
  readonly variables: VariablesMetadata
  readonly resultMetadata: RowsMetadata
}

export type ResultMessage =
  | { readonly kind: typeof ResultKind.VOID }
  | RowsResult
  | { readonly kind: typeof ResultKind.SET_KEYSPACE; readonly keyspace: string }
  | PreparedResult
  | { readonly kind: typeof ResultKind.SCHEMA_CHANGE; readonly schemaChange: SchemaChange }

/** The result of a SELECT of these columns, each row with as many values. */
export const rowsResult = (columns: readonly ColumnSpec[], rows: readonly Row[]): RowsResult => ({
  kind: ResultKind.ROWS,
  metadata: rowsMetadata(columns),
  rows,
})

/**
 *   <kind><rest>
 *     <kind>  [int]
 *     <rest>  VOID: nothing      ROWS: below        SET_KEYSPACE: [string]
 *             PREPARED: below    SCHEMA_CHANGE: see schema-change.ts
 */
export const decodeResult = (reader: BodyReader, traits: VersionTraits): ResultMessage => {
  const kind = reader.readInt('result kind')
  switch (kind) {
    case ResultKind.VOID:
      return { kind }
    case ResultKind.ROWS:
      return decodeRows(reader, traits)
    case ResultKind.SET_KEYSPACE:
      return { kind, keyspace: reader.readString('keyspace') }
    case ResultKind.PREPARED:
      return decodePrepared(reader, traits)
    case ResultKind.SCHEMA_CHANGE:
      return { kind, schemaChange: decodeSchemaChange(reader, traits) }
    default:
      throw new ProtocolError('RESULT_KIND', `Cannot read RESULT: its kind is ${kind}, not 1 to 5`)
  }
}

/**
 *   <metadata><row count><row>*
 *     <row count>  [int]
 *     <row>        [bytes] for each column
 *
 * Values are views.
 */
const decodeRows = (reader: BodyReader, traits: VersionTraits): RowsResult => {
  const metadata = decodeRowsMetadata(reader, traits)
  const rowCount = readCount(reader, 'row count')
  if (metadata.columnCount === 0 && rowCount > 0) {
    // Such rows have no bytes that would bound the loop below.
    throw new ProtocolError('RESULT_ROWS', `Cannot read ROWS: ${rowCount} rows of no columns`)
  }
  const rows: Row[] = []
  for (let i = 0; i < rowCount; i++) {
    const row: (Uint8Array | null)[] = []
    for (let j = 0; j < metadata.columnCount; j++) row.push(reader.readBytes('value'))
    rows.push(row)
  }
  return { kind: ResultKind.ROWS, metadata, rows }
}

/**
 *   <statement id>[<result metadata id>]<variables><result metadata>
 *     <statement id>        [short bytes]
 *     <result metadata id>  [short bytes], v5
 */
const decodePrepared = (reader: BodyReader, traits: VersionTraits): PreparedResult => {
  const statementId = reader.readShortBytes('statement id')
  return {
    kind: ResultKind.PREPARED,
    statementId,
    ...(traits.hasResultMetadataId && {
      resultMetadataId: reader.readShortBytes('result metadata id'),
    }),
    variables: decodeVariablesMetadata(reader, traits),
    resultMetadata: decodeRowsMetadata(reader, traits),
  }
}

export const encodeResult = (
  writer: BodyWriter,
  result: ResultMessage,
  traits: VersionTraits,
): BodyWriter => {
  writer.writeInt(result.kind)
  switch (result.kind) {
    case ResultKind.VOID:
      return writer
    case ResultKind.ROWS:
      return encodeRows(writer, result, traits)
    case ResultKind.SET_KEYSPACE:
      return writer.writeString(result.keyspace)
    case ResultKind.PREPARED:
      return encodePrepared(writer, result, traits)
    case ResultKind.SCHEMA_CHANGE:
      return encodeSchemaChange(writer, result.schemaChange, traits)
  }
}

const encodeRows = (
  writer: BodyWriter,
  { metadata, rows }: RowsResult,
  traits: VersionTraits,
): BodyWriter => {
  encodeRowsMetadata(writer, metadata, traits).writeInt(rows.length)
  for (const row of rows) for (const value of row) writer.writeBytes(value)
  return writer
}

const encodePrepared = (
  writer: BodyWriter,
  result: PreparedResult,
  traits: VersionTraits,
): BodyWriter => {
  writer.writeShortBytes(result.statementId)
  if (traits.hasResultMetadataId) {
    // A client only hands it back with EXECUTE, so the statement's own id serves where there is none.
    writer.writeShortBytes(result.resultMetadataId ?? result.statementId)
  }
  encodeVariablesMetadata(writer, result.variables, traits)
  return encodeRowsMetadata(writer, result.resultMetadata, traits)
}
