/**
 * What a cluster's answer to PREPARE is remembered by. Before v5 a PREPARED result has no id of its
 * result's columns: then the proxy makes its own, by which it notices that a client that has asked for no
 * metadata would read a row's values as other columns.
 */
import { createHash } from 'node:crypto'
import { OPCODE_OFFSET } from '../cql/envelope.ts'
import { answerReader, readIf } from '../cql/messages/answer.ts'
import { decodeVariablesMetadata } from '../cql/messages/metadata.ts'
import { Opcode, ResultKind, type VersionTraits } from '../cql/protocol.ts'
import type { BodyReader } from '../cql/reader.ts'

export type PreparedIds = {
  readonly statementId: Uint8Array
  /** The cluster's own in v5, else a digest; null where the metadata cannot be read. */
  readonly resultMetadataId: Uint8Array | null
}

/**
 * The ids in a PREPARED envelope, or null where it is another answer or its bytes do not follow the
 * protocol. Copies: what is kept must not keep the whole answer.
 */
export const readPreparedIds = (
  envelope: Uint8Array,
  traits: VersionTraits,
): PreparedIds | null => {
  if (envelope[OPCODE_OFFSET] !== Opcode.RESULT) return null
  return readIf(() => {
    const body = answerReader(envelope)
    if (body.readInt('result kind') !== ResultKind.PREPARED) return null
    const statementId = body.readShortBytes('statement id').slice()
    const resultMetadataId = traits.hasResultMetadataId
      ? body.readShortBytes('result metadata id').slice()
      : digestOfColumns(body, traits)
    return { statementId, resultMetadataId }
  })
}

/** `reader` stands behind the statement id. */
const digestOfColumns = (reader: BodyReader, traits: VersionTraits): Uint8Array | null =>
  readIf(() => {
    decodeVariablesMetadata(reader, traits)
    const columns = reader.bytes.subarray(reader.offset, reader.end)
    return new Uint8Array(createHash('sha1').update(columns).digest())
  })
