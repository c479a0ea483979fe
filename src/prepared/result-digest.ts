/**
 * Before v5 a PREPARED result has no id of its result's columns. This is the proxy's own, by which it
 * notices that a client that has asked for no metadata would read a row's values as other columns.
 */
import { createHash } from 'node:crypto'
import { ProtocolError } from '../cql/errors.ts'
import { decodeVariablesMetadata } from '../cql/messages/metadata.ts'
import type { VersionTraits } from '../cql/protocol.ts'
import type { BodyReader } from '../cql/reader.ts'

/** `reader` stands behind the statement id of a PREPARED. null where what follows cannot be read. */
export const resultDigest = (reader: BodyReader, traits: VersionTraits): Uint8Array | null => {
  try {
    decodeVariablesMetadata(reader, traits)
  } catch (error) {
    if (error instanceof ProtocolError) return null
    throw error
  }
  const columns = reader.bytes.subarray(reader.offset, reader.end)
  return new Uint8Array(createHash('sha1').update(columns).digest())
}
