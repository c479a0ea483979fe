/** Bodies of requests (v5 §4.1) as a test's client writes them, and the parts of answers it reads. */
import { skipResponsePrefix } from '../../../src/cql/messages/fields.ts'
import {
  Consistency,
  ErrorCode,
  Opcode,
  QueryFlag,
  ResultKind,
  versionTraits,
} from '../../../src/cql/protocol.ts'
import { BodyReader } from '../../../src/cql/reader.ts'
import { BodyWriter } from '../../../src/cql/writer.ts'
import type { Envelope } from './wire.ts'

export type Value = string | Uint8Array | null

export type ParameterOptions = {
  readonly values?: readonly Value[]
  readonly consistency?: number
  readonly skipMetadata?: boolean
  readonly pageSize?: number
  /** v5 only. */
  readonly keyspace?: string
}

const bytesOf = (value: Value): Uint8Array | null =>
  typeof value === 'string' ? Buffer.from(value) : value

const writeFlags = (writer: BodyWriter, version: number, flags: number): void => {
  if (versionTraits(version)?.hasIntFlags) writer.writeInt(flags)
  else writer.writeByte(flags)
}

const writeParameters = (
  writer: BodyWriter,
  version: number,
  options: ParameterOptions,
): BodyWriter => {
  const { values = [], pageSize, keyspace } = options
  let flags = values.length > 0 ? QueryFlag.VALUES : 0
  if (options.skipMetadata) flags |= QueryFlag.SKIP_METADATA
  if (pageSize !== undefined) flags |= QueryFlag.PAGE_SIZE
  if (keyspace !== undefined) flags |= QueryFlag.KEYSPACE
  writer.writeShort(options.consistency ?? Consistency.LOCAL_ONE)
  writeFlags(writer, version, flags)
  if (values.length > 0) writer.writeShort(values.length)
  for (const value of values) writer.writeBytes(bytesOf(value))
  if (pageSize !== undefined) writer.writeInt(pageSize)
  if (keyspace !== undefined) writer.writeString(keyspace)
  return writer
}

export const startupBody = (options: Readonly<Record<string, string>> = {}): Uint8Array =>
  new BodyWriter()
    .writeStringMap(new Map(Object.entries({ CQL_VERSION: '3.0.0', ...options })))
    .toBytes()

/** The SASL PLAIN token. */
export const plainTokenBody = (username: string, password: string): Uint8Array =>
  new BodyWriter().writeBytes(Buffer.from(`\u0000${username}\u0000${password}`)).toBytes()

export const registerBody = (eventTypes: readonly string[]): Uint8Array =>
  new BodyWriter().writeStringList(eventTypes).toBytes()

export const queryBody = (
  version: number,
  text: string,
  options: ParameterOptions = {},
): Uint8Array => {
  const writer = new BodyWriter().writeLongString(text)
  return writeParameters(writer, version, options).toBytes()
}

export const prepareBody = (version: number, text: string, keyspace?: string): Uint8Array => {
  const writer = new BodyWriter().writeLongString(text)
  if (versionTraits(version)?.hasKeyspaceField) {
    writer.writeInt(keyspace === undefined ? 0 : 1)
    if (keyspace !== undefined) writer.writeString(keyspace)
  }
  return writer.toBytes()
}

export type PreparedIds = { readonly id: Uint8Array; readonly resultMetadataId?: Uint8Array }

export const executeBody = (
  version: number,
  prepared: PreparedIds,
  options: ParameterOptions = {},
): Uint8Array => {
  const writer = new BodyWriter().writeShortBytes(prepared.id)
  if (versionTraits(version)?.hasResultMetadataId) {
    writer.writeShortBytes(prepared.resultMetadataId ?? new Uint8Array(0))
  }
  return writeParameters(writer, version, options).toBytes()
}

export type BatchChildBody =
  | { readonly text: string; readonly values?: readonly Value[] }
  | { readonly id: Uint8Array; readonly values?: readonly Value[] }

export const batchBody = (
  version: number,
  children: readonly BatchChildBody[],
  options: Pick<ParameterOptions, 'consistency' | 'keyspace'> = {},
): Uint8Array => {
  const LOGGED = 0
  const writer = new BodyWriter().writeByte(LOGGED).writeShort(children.length)
  for (const child of children) {
    if ('text' in child) writer.writeByte(0).writeLongString(child.text)
    else writer.writeByte(1).writeShortBytes(child.id)
    writer.writeShort(child.values?.length ?? 0)
    for (const value of child.values ?? []) writer.writeBytes(bytesOf(value))
  }
  if (versionTraits(version)?.hasBatchFlags === false) {
    return writer.writeShort(options.consistency ?? Consistency.LOCAL_ONE).toBytes()
  }
  return writeParameters(writer, version, options).toBytes()
}

/** Code and message of an ERROR; `statementId` in hex of an UNPREPARED. */
export type ErrorContent = {
  readonly code: number
  readonly message: string
  readonly statementId?: string
}

/** Behind the tracing id, the warnings and the custom payload that the flags announce. */
const messageReader = ({ body, flags }: Envelope): BodyReader =>
  new BodyReader(body, skipResponsePrefix(body, 0, body.length, flags))

export const readError = (envelope: Envelope): ErrorContent => {
  if (envelope.opcode !== Opcode.ERROR) throw new Error(`Not an ERROR: opcode ${envelope.opcode}`)
  const reader = messageReader(envelope)
  const code = reader.readInt()
  const message = reader.readString()
  if (code !== ErrorCode.UNPREPARED) return { code, message }
  return { code, message, statementId: Buffer.from(reader.readShortBytes()).toString('hex') }
}

const resultReader = (envelope: Envelope, kind: number): BodyReader => {
  if (envelope.opcode !== Opcode.RESULT) throw new Error(`Not a RESULT: opcode ${envelope.opcode}`)
  const reader = messageReader(envelope)
  const actual = reader.readInt()
  if (actual !== kind) throw new Error(`RESULT of kind ${actual}, expected ${kind}`)
  return reader
}

export const resultKind = (envelope: Envelope): number | undefined =>
  envelope.opcode === Opcode.RESULT ? messageReader(envelope).readInt() : undefined

export const readPrepared = (envelope: Envelope): PreparedIds => {
  const reader = resultReader(envelope, ResultKind.PREPARED)
  const id = reader.readShortBytes()
  if (!versionTraits(envelope.version)?.hasResultMetadataId) return { id }
  return { id, resultMetadataId: reader.readShortBytes() }
}

export const readSetKeyspace = (envelope: Envelope): string =>
  resultReader(envelope, ResultKind.SET_KEYSPACE).readString()

/** Cells of a ROWS whose columns are all varchar; `undefined` metadata where they were skipped. */
export const readTextRows = (
  envelope: Envelope,
): { readonly columns: readonly string[] | undefined; readonly rows: (string | null)[][] } => {
  const reader = resultReader(envelope, ResultKind.ROWS)
  const flags = reader.readInt()
  const columnCount = reader.readInt()
  if (flags & 2) reader.readBytes('<paging state>')
  if (flags & 8) reader.readShortBytes('<new metadata id>')
  const columns = flags & 4 ? undefined : readColumnNames(reader, flags, columnCount)
  const rows = Array.from({ length: reader.readInt('<rows>') }, () =>
    Array.from({ length: columnCount }, () => {
      const cell = reader.readBytes()
      return cell === null ? null : Buffer.from(cell).toString('utf8')
    }),
  )
  return { columns, rows }
}

const readColumnNames = (reader: BodyReader, flags: number, count: number): string[] => {
  const hasGlobalTable = (flags & 1) !== 0
  if (hasGlobalTable) reader.skip(reader.readShort(), 'keyspace')
  if (hasGlobalTable) reader.skip(reader.readShort(), 'table')
  const names: string[] = []
  for (let i = 0; i < count; i++) {
    if (!hasGlobalTable) reader.skip(reader.readShort(), 'keyspace')
    if (!hasGlobalTable) reader.skip(reader.readShort(), 'table')
    names.push(reader.readString())
    const type = reader.readShort()
    // list and set carry one more type, map two; the rest of what fakes send carries none.
    if (type === 0x20 || type === 0x22) reader.readShort()
    if (type === 0x21) reader.readInt()
  }
  return names
}
