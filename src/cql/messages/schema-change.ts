/** What a change of the schema was about; part of an EVENT and of a RESULT (v5 §4.2.6, §4.2.5.5). */
import type { VersionTraits } from '../protocol.ts'
import type { BodyReader } from '../reader.ts'
import type { BodyWriter } from '../writer.ts'

export type SchemaChange = {
  /** CREATED, UPDATED or DROPPED. */
  readonly change: string
  /** KEYSPACE, TABLE, TYPE, FUNCTION or AGGREGATE. */
  readonly target: string
  readonly keyspace: string
  /** Of the table, type, function or aggregate; absent for a keyspace. */
  readonly name?: string
  /** Of a function or aggregate, as CQL types. */
  readonly argumentTypes?: readonly string[]
}

type SchemaChangeTraits = Pick<VersionTraits, 'hasSchemaChangeTarget'>

const KEYSPACE_TARGET = 'KEYSPACE'
const TABLE_TARGET = 'TABLE'
const TARGETS_WITH_ARGUMENTS: ReadonlySet<string> = new Set(['FUNCTION', 'AGGREGATE'])

/**
 *   <change><target><keyspace>[<name>[<argument types>]]
 *     <change> <target> <keyspace> <name>  [string]
 *     <argument types>                     [string list]
 *
 * v2: <change><keyspace><table>, the table empty for a keyspace.
 */
export const decodeSchemaChange = (
  reader: BodyReader,
  { hasSchemaChangeTarget }: SchemaChangeTraits,
): SchemaChange => {
  const change = reader.readString('schema change')
  if (!hasSchemaChangeTarget) return decodeWithoutTarget(reader, change)
  const target = reader.readString('schema change target')
  const keyspace = reader.readString('keyspace')
  if (target === KEYSPACE_TARGET) return { change, target, keyspace }
  const name = reader.readString('schema object')
  if (!TARGETS_WITH_ARGUMENTS.has(target)) return { change, target, keyspace, name }
  return { change, target, keyspace, name, argumentTypes: reader.readStringList('argument types') }
}

const decodeWithoutTarget = (reader: BodyReader, change: string): SchemaChange => {
  const keyspace = reader.readString('keyspace')
  const name = reader.readString('table')
  if (name === '') return { change, target: KEYSPACE_TARGET, keyspace }
  return { change, target: TABLE_TARGET, keyspace, name }
}

/** To v2, what is neither keyspace nor table is an update of its keyspace. */
const encodeWithoutTarget = (writer: BodyWriter, message: SchemaChange): BodyWriter => {
  const { target, keyspace, name = '' } = message
  const isNamed = target === KEYSPACE_TARGET || target === TABLE_TARGET
  writer.writeString(isNamed ? message.change : 'UPDATED').writeString(keyspace)
  return writer.writeString(target === TABLE_TARGET ? name : '')
}

export const encodeSchemaChange = (
  writer: BodyWriter,
  message: SchemaChange,
  { hasSchemaChangeTarget }: SchemaChangeTraits,
): BodyWriter => {
  if (!hasSchemaChangeTarget) return encodeWithoutTarget(writer, message)
  writer.writeString(message.change).writeString(message.target).writeString(message.keyspace)
  if (message.name !== undefined) writer.writeString(message.name)
  if (message.argumentTypes !== undefined) writer.writeStringList(message.argumentTypes)
  return writer
}
