/** BATCH, several statements at once (v5 §4.1.7). The hot path walks it in place: fields.ts. */
import { ProtocolError } from '../errors.ts'
import { BatchChildKind, QueryFlag, type VersionTraits } from '../protocol.ts'
import type { BodyReader } from '../reader.ts'
import type { BodyWriter } from '../writer.ts'
import {
  type BoundValue,
  decodeTrailingParameters,
  decodeValues,
  encodeTrailingParameters,
  readFlags,
  type TrailingParameters,
  trailingFlags,
  writeFlags,
} from './query-parameters.ts'

export type BatchChild =
  | {
      readonly kind: 'query'
      /** UTF-8; a view where it was decoded. */
      readonly text: string | Uint8Array
      readonly values: readonly BoundValue[]
    }
  | {
      readonly kind: 'prepared'
      readonly statementId: Uint8Array
      readonly values: readonly BoundValue[]
    }

export type BatchMessage = TrailingParameters & {
  /** One of `BatchType`. */
  readonly type: number
  readonly children: readonly BatchChild[]
  readonly consistency: number
  /** Flags that add no field here; written as they were read. */
  readonly otherFlags?: number
}

/** The error of a child that is neither text nor id. */
export const batchChildKindError = (kind: number): ProtocolError =>
  new ProtocolError(
    'BATCH_CHILD_KIND',
    `Invalid query kind in BATCH messages. Must be 0 or 1 but got ${kind}`,
  )

/**
 *   <type><n><child>*<consistency><flags><trailing parameters>
 *     <type>         [byte]
 *     <n>            [short]
 *     <child>        <kind [byte]><text [long string] or statement id [short bytes]><values>
 *     <values>       <n [short]><value [value]>*
 *     <consistency>  [short]
 *     <flags>        [byte], v5: [int]; v2 has neither them nor what follows
 *
 * NAMES_FOR_VALUES cannot be had in a batch: the flags come after the values (CASSANDRA-10246).
 */
export const decodeBatch = (reader: BodyReader, traits: VersionTraits): BatchMessage => {
  const type = reader.readByte('batch type')
  const count = reader.readShort('child count')
  const children: BatchChild[] = []
  for (let i = 0; i < count; i++) children.push(decodeChild(reader))
  const consistency = reader.readShort('consistency')
  if (!traits.hasBatchFlags) return { type, children, consistency }
  const flags = readFlags(reader, traits)
  const otherFlags = flags & ~batchFieldFlags(traits)
  return {
    type,
    children,
    consistency,
    ...decodeTrailingParameters(reader, flags, traits),
    ...(otherFlags !== 0 && { otherFlags }),
  }
}

const batchFieldFlags = (traits: VersionTraits): number => {
  const flags = QueryFlag.SERIAL_CONSISTENCY | QueryFlag.DEFAULT_TIMESTAMP
  return traits.hasKeyspaceField ? flags | QueryFlag.KEYSPACE | QueryFlag.NOW_IN_SECONDS : flags
}

const decodeChild = (reader: BodyReader): BatchChild => {
  const kind = reader.readByte('child kind')
  if (kind === BatchChildKind.PREPARED) {
    const statementId = reader.readShortBytes('statement id')
    return { kind: 'prepared', statementId, values: decodeValues(reader) }
  }
  if (kind !== BatchChildKind.QUERY) throw batchChildKindError(kind)
  const text = reader.readLongStringBytes('child text')
  return { kind: 'query', text, values: decodeValues(reader) }
}

export const encodeBatch = (
  writer: BodyWriter,
  message: BatchMessage,
  traits: VersionTraits,
): BodyWriter => {
  writer.writeByte(message.type).writeCount(message.children.length, 'BATCH children')
  for (const child of message.children) encodeChild(writer, child)
  writer.writeShort(message.consistency)
  if (!traits.hasBatchFlags) return writer
  const flags = (message.otherFlags ?? 0) | trailingFlags(message, traits)
  writeFlags(writer, flags, traits)
  return encodeTrailingParameters(writer, message, traits)
}

const encodeChild = (writer: BodyWriter, child: BatchChild): void => {
  if (child.kind === 'prepared') {
    writer.writeByte(BatchChildKind.PREPARED).writeShortBytes(child.statementId)
  } else {
    writer.writeByte(BatchChildKind.QUERY).writeLongString(child.text)
  }
  writer.writeValues(child.values)
}
