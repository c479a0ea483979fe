/** A row of a virtual table as SELECT JSON shows it: in the spelling of Cassandra's own. */
import { TypeId } from '../cql/protocol.ts'
import type { TypeOption } from '../cql/type-option.ts'
import {
  decodeBigint,
  decodeBoolean,
  decodeElements,
  decodeInet,
  decodeInt,
  decodeMap,
  decodeText,
  decodeUuid,
} from '../cql/values.ts'
import { type TypedColumn, VirtualSelectError } from './virtual-value.ts'

type ToJson = (bytes: Uint8Array) => string

const quoted =
  (decode: (bytes: Uint8Array) => string): ToJson =>
  (bytes) =>
    JSON.stringify(decode(bytes))

const NATIVE: ReadonlyMap<number, ToJson> = new Map<number, ToJson>([
  [TypeId.ASCII, quoted(decodeText)],
  [TypeId.VARCHAR, quoted(decodeText)],
  [TypeId.INT, (bytes) => String(decodeInt(bytes))],
  [TypeId.BIGINT, (bytes) => String(decodeBigint(bytes))],
  [TypeId.BOOLEAN, (bytes) => String(decodeBoolean(bytes))],
  [TypeId.UUID, quoted(decodeUuid)],
  [TypeId.TIMEUUID, quoted(decodeUuid)],
  [TypeId.INET, quoted(decodeInet)],
  [TypeId.BLOB, quoted((bytes) => `0x${bytes.toHex()}`)],
])

/** Keys of JSON objects are strings: what is none already becomes one. */
const asKey = (json: string): string => (json.startsWith('"') ? json : `"${json}"`)

const writerOf = (name: string, type: TypeOption): ToJson => {
  const writer = type.kind === 'native' ? NATIVE.get(type.id) : undefined
  if (writer !== undefined) {
    return (bytes) => (bytes.length === 0 ? '""' : writer(bytes))
  }
  if (type.kind === 'list' || type.kind === 'set') {
    const element = orNull(writerOf(name, type.element))
    return (bytes) => `[${decodeElements(bytes).map(element).join(', ')}]`
  }
  if (type.kind === 'map') {
    const key = orNull(writerOf(name, type.key))
    const value = orNull(writerOf(name, type.value))
    const entry = ([k, v]: readonly [Uint8Array | null, Uint8Array | null]): string =>
      `${asKey(key(k))}: ${value(v)}`
    return (bytes) => `{${decodeMap(bytes).map(entry).join(', ')}}`
  }
  throw new VirtualSelectError(
    `Column ${name} cannot be selected as JSON: the proxy answers this table itself and does not ` +
      'know how values of its type are written',
  )
}

const orNull =
  (writer: ToJson) =>
  (bytes: Uint8Array | null): string =>
    bytes === null ? 'null' : writer(bytes)

/** A name that only quotes can spell keeps them inside the string. */
const keyOf = (name: string): string =>
  JSON.stringify(name === name.toLowerCase() ? name : `"${name}"`)

/**
 * Writes rows of these columns, values in their order. Throws VirtualSelectError where a column has a
 * type that cannot be written.
 */
export const jsonWriter = (
  columns: readonly TypedColumn[],
): ((values: readonly (Uint8Array | null)[]) => string) => {
  const members = columns.map(({ name, type }) => ({
    key: keyOf(name),
    write: orNull(writerOf(name, type)),
  }))
  return (values) =>
    `{${members.map(({ key, write }, at) => `${key}: ${write(values[at] ?? null)}`).join(', ')}}`
}
