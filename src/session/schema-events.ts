/**
 * Schema changes on their way to clients: the control connection has heard of one in its own protocol
 * version, each client gets it in the client's.
 */
import { decodeEvent, EventType, encodeEvent } from '../cql/messages/event.ts'
import { Opcode, type VersionTraits } from '../cql/protocol.ts'
import { BodyReader } from '../cql/reader.ts'
import { BodyWriter } from '../cql/writer.ts'
import { replyEnvelope } from './replies.ts'

const FUNCTION_TARGETS: ReadonlySet<string> = new Set(['FUNCTION', 'AGGREGATE'])

/**
 * v3 knows neither functions nor aggregates: as Cassandra does, it is told that their keyspace was
 * updated.
 */
const bodyWithoutFunctions = (body: Uint8Array): Uint8Array => {
  const event = decodeEvent(new BodyReader(body))
  if (event?.type !== EventType.SCHEMA_CHANGE) return body
  const { target, keyspace } = event.schemaChange
  if (!FUNCTION_TARGETS.has(target)) return body
  const schemaChange = { change: 'UPDATED', target: 'KEYSPACE', keyspace }
  return encodeEvent(new BodyWriter(), { type: EventType.SCHEMA_CHANGE, schemaChange }).toBytes()
}

/** The EVENT envelope for clients of a version, from the event's body as a cluster sent it. */
export const schemaChangeEnvelope = (traits: VersionTraits, body: Uint8Array): Uint8Array => {
  const own = traits.hasFunctionTargets ? body : bodyWithoutFunctions(body)
  return replyEnvelope(traits.version, Opcode.EVENT, new BodyWriter().writeRaw(own))
}
