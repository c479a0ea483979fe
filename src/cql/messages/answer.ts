/**
 * Readers of whole answers: behind the header and what an answer has in front of its message (v5 §2.4.1.2).
 * They allocate a reader: the request path uses fields.ts beside this, which does not.
 */
import { FLAGS_OFFSET, HEADER_LENGTH } from '../envelope.ts'
import { ProtocolError } from '../errors.ts'
import { ErrorCode, ResultKind, type VersionTraits } from '../protocol.ts'
import { BodyReader } from '../reader.ts'
import { skipResponsePrefix } from './fields.ts'
import { decodeResult, type PreparedResult } from './result.ts'

/**
 * A reader over the message of the answer whose envelope lies between `start` and `end`, not compressed.
 * Throws ProtocolError where what stands in front of the message is cut off.
 */
export const answerReader = (bytes: Uint8Array, start = 0, end = bytes.length): BodyReader => {
  const flags = bytes[start + FLAGS_OFFSET]!
  return new BodyReader(bytes, skipResponsePrefix(bytes, start + HEADER_LENGTH, end, flags), end)
}

/**
 * The [int] code of an ERROR envelope; SERVER_ERROR where the body is cut off: the client must see it
 * all the same, and one wrong answer is no reason to lose a connection that others use.
 */
export const readErrorCode = (bytes: Uint8Array, start: number, end: number): number =>
  readIf(() => answerReader(bytes, start, end).readInt()) ?? ErrorCode.SERVER_ERROR

/** What `read` finds in an answer; null where the answer's bytes do not follow the protocol. */
export const readIf = <T>(read: () => T): T | null => {
  try {
    return read()
  } catch (error) {
    if (error instanceof ProtocolError) return null
    throw error
  }
}

/**
 * A node's PREPARED, or null where its RESULT is another. Throws ProtocolError where its bytes do not
 * follow the protocol.
 */
export const readPrepared = (
  envelope: Uint8Array,
  traits: VersionTraits,
): PreparedResult | null => {
  const result = decodeResult(answerReader(envelope), traits)
  return result.kind === ResultKind.PREPARED ? result : null
}
