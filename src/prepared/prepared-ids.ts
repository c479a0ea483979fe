/**
 * What a cluster's answer to PREPARE is remembered by: the statement's id, and a digest of its result's
 * columns. By the digest the proxy notices that a client that has asked for no metadata would read a row's values
 * as other columns. v5's own id of them serves clients only: it need not be comparable between clusters.
 */
import { createHash } from 'node:crypto'
import { OPCODE_OFFSET } from '../cql/envelope.ts'
import { answerReader, readIf } from '../cql/messages/answer.ts'
import { decodeVariablesMetadata } from '../cql/messages/metadata.ts'
import { Opcode, ResultKind, type VersionTraits } from '../cql/protocol.ts'
import type { BodyReader } from '../cql/reader.ts'

export type PreparedIds = {
  readonly statementId: Uint8Array
  /** Null where the metadata cannot be read. */
  readonly columnsDigest: Uint8Array | null
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
    if (traits.hasResultMetadataId) body.readShortBytes('result metadata id')
    return { statementId, columnsDigest: digestOfColumns(body, traits) }
  })
}

/** `reader` stands behind the ids. */
const digestOfColumns = (reader: BodyReader, traits: VersionTraits): Uint8Array | null =>
  readIf(() => {
    decodeVariablesMetadata(reader, traits)
    const columns = reader.bytes.subarray(reader.offset, reader.end)
    return new Uint8Array(createHash('sha1').update(columns).digest())
  })
