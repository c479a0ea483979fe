/** EXECUTE, a prepared statement by its id (v5 §4.1.6). */
import type { VersionTraits } from '../protocol.ts'
import type { BodyReader } from '../reader.ts'
import type { BodyWriter } from '../writer.ts'
import {
  decodeQueryParameters,
  encodeQueryParameters,
  type QueryParameters,
} from './query-parameters.ts'

export type ExecuteMessage = {
  readonly statementId: Uint8Array
  /** v5. */
  readonly resultMetadataId?: Uint8Array
  readonly parameters: QueryParameters
}

/**
 *   <statement id>[<result metadata id>]<query parameters>
 *     <statement id>        [short bytes]
 *     <result metadata id>  [short bytes], v5
 */
export const decodeExecute = (reader: BodyReader, traits: VersionTraits): ExecuteMessage => {
  const statementId = reader.readShortBytes('statement id')
  const ids = traits.hasResultMetadataId
    ? { statementId, resultMetadataId: reader.readShortBytes('result metadata id') }
    : { statementId }
  return { ...ids, parameters: decodeQueryParameters(reader, traits) }
}

export const encodeExecute = (
  writer: BodyWriter,
  message: ExecuteMessage,
  traits: VersionTraits,
): BodyWriter => {
  writer.writeShortBytes(message.statementId)
  if (traits.hasResultMetadataId) {
    // An id that no server has given out: the answer then carries the metadata and the right id.
    writer.writeShortBytes(message.resultMetadataId ?? new Uint8Array(0))
  }
  return encodeQueryParameters(writer, message.parameters, traits)
}
