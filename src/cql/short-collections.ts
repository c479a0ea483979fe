/**
 * Collections as v2 writes them: elements and their bytes are counted with a [short], from v3 on with an
 * [int] (v2 §6, v3 §6). Inside the proxy all are v3's; whoever reads rows from a v2 connection, or makes
 * rows for one, converts them here. Relayed rows are never looked into.
 */
import { ProtocolError } from './errors.ts'
import { ErrorCode } from './protocol.ts'
import { BodyReader } from './reader.ts'
import type { TypeOption } from './type-option.ts'
import { BodyWriter } from './writer.ts'

type Value = Uint8Array | null

/** The types of one element's parts; null for what is no collection. */
const partsOf = (type: TypeOption): readonly TypeOption[] | null => {
  switch (type.kind) {
    case 'list':
    case 'set':
      return [type.element]
    case 'map':
      return [type.key, type.value]
    default:
      return null
  }
}

/** A value as a v2 connection has sent it, as v3 writes it: <n [short]><part [short bytes]>* */
export const widenCollection = (type: TypeOption, value: Value): Value => {
  const parts = partsOf(type)
  if (parts === null || value === null || value.length === 0) return value
  const reader = new BodyReader(value)
  const count = reader.readShort('element count')
  const writer = new BodyWriter(value.length * 2).writeInt(count)
  for (let i = 0; i < count; i++) {
    for (const part of parts) writer.writeBytes(widenCollection(part, reader.readShortBytes()))
  }
  return writer.toBytes()
}

/** The other way. Throws ProtocolError for what v2 cannot count. */
export const narrowCollection = (type: TypeOption, value: Value): Value => {
  const parts = partsOf(type)
  if (parts === null || value === null || value.length === 0) return value
  const reader = new BodyReader(value)
  const count = reader.readInt('element count')
  const writer = new BodyWriter(value.length).writeCount(count, 'elements')
  for (let i = 0; i < count; i++) {
    for (const part of parts) writer.writeShortBytes(narrowPart(part, reader.readBytes()))
  }
  return writer.toBytes()
}

const narrowPart = (type: TypeOption, value: Value): Uint8Array => {
  const part = narrowCollection(type, value)
  if (part !== null) return part
  throw new ProtocolError(
    'CQL_COLLECTION_NULL',
    'A collection with a null element cannot be told in protocol version 2',
    ErrorCode.SERVER_ERROR,
  )
}
