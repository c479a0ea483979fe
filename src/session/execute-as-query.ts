/**
 * An EXECUTE as the QUERY of its statement's text, for a node that will not keep the statement. Behind the
 * statement both messages are the same (v5 §4.1.4, §4.1.6).
 */
import { OPCODE_OFFSET } from '../cql/envelope.ts'
import { EnvelopeEdits } from '../cql/envelope-edits.ts'
import { clearSkipMetadata, consistencyOffset } from '../cql/messages/fields.ts'
import { Opcode, type VersionTraits } from '../cql/protocol.ts'
import { BodyWriter } from '../cql/writer.ts'
import { messageStart } from './upstream-request.ts'

/**
 * A new envelope that runs `text` with the values of the EXECUTE in `bytes[start, end)`, which is not
 * compressed. Rows come with their columns, also if the client has said that it knows them: those of a
 * conditional write depend on its outcome. Throws ProtocolError where the EXECUTE is cut off.
 */
export const executeAsQuery = (
  bytes: Uint8Array,
  start: number,
  end: number,
  text: Uint8Array,
  traits: VersionTraits,
): Uint8Array => {
  const message = messageStart(bytes, start, end)
  const parameters = consistencyOffset(bytes, message, end, Opcode.EXECUTE, traits)
  const edits = new EnvelopeEdits()
  edits.replace(start + OPCODE_OFFSET, start + OPCODE_OFFSET + 1, Uint8Array.of(Opcode.QUERY))
  edits.replace(message, parameters, new BodyWriter().writeLongString(text).toBytes())
  const query = edits.apply(bytes, start, end)
  const behindText = parameters + query.length - end
  clearSkipMetadata(query, behindText, query.length, traits)
  return query
}
