/** PREPARE, a statement to be executed by its id later (v5 §4.1.5). */
import { PrepareFlag, type VersionTraits } from '../protocol.ts'
import type { BodyReader } from '../reader.ts'
import type { BodyWriter } from '../writer.ts'

export type PrepareMessage = {
  /** UTF-8; a view where it was decoded. */
  readonly text: string | Uint8Array
  /** v5: the keyspace of unqualified names. */
  readonly keyspace?: string
  /** v5: flags that add no field; written as they were read. */
  readonly otherFlags?: number
}

/**
 *   <text>[<flags>[<keyspace>]]
 *     <text>      [long string]
 *     <flags>     [int], v5
 *     <keyspace>  [string], with KEYSPACE
 */
export const decodePrepare = (
  reader: BodyReader,
  traits: VersionTraits,
): Omit<PrepareMessage, 'text'> & { readonly text: Uint8Array } => {
  const text = reader.readLongStringBytes('PREPARE text')
  if (!traits.hasKeyspaceField) return { text }
  const flags = reader.readInt('PREPARE flags')
  const otherFlags = flags & ~PrepareFlag.KEYSPACE
  return {
    text,
    ...(flags & PrepareFlag.KEYSPACE && { keyspace: reader.readString('keyspace') }),
    ...(otherFlags !== 0 && { otherFlags }),
  }
}

export const encodePrepare = (
  writer: BodyWriter,
  message: PrepareMessage,
  traits: VersionTraits,
): BodyWriter => {
  writer.writeLongString(message.text)
  if (!traits.hasKeyspaceField) return writer
  const { keyspace, otherFlags = 0 } = message
  if (keyspace === undefined) return writer.writeInt(otherFlags)
  return writer.writeInt(otherFlags | PrepareFlag.KEYSPACE).writeString(keyspace)
}
