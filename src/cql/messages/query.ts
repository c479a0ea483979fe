/** QUERY, a statement as text (v5 §4.1.4). */
import type { VersionTraits } from '../protocol.ts'
import type { BodyReader } from '../reader.ts'
import type { BodyWriter } from '../writer.ts'
import {
  decodeQueryParameters,
  encodeQueryParameters,
  type QueryParameters,
} from './query-parameters.ts'

export type QueryMessage = {
  /** UTF-8; a view where it was decoded. */
  readonly text: string | Uint8Array
  readonly parameters: QueryParameters
}

/**
 *   <text><query parameters>
 *     <text>  [long string]
 */
export const decodeQuery = (
  reader: BodyReader,
  traits: VersionTraits,
): QueryMessage & { readonly text: Uint8Array } => {
  const text = reader.readLongStringBytes('QUERY text')
  return { text, parameters: decodeQueryParameters(reader, traits) }
}

export const encodeQuery = (
  writer: BodyWriter,
  message: QueryMessage,
  traits: VersionTraits,
): BodyWriter =>
  encodeQueryParameters(writer.writeLongString(message.text), message.parameters, traits)
