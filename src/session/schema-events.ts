/**
 * Schema changes on their way to clients: the control connection has heard of one in its own protocol
 * version, each client gets it in the client's.
 */
import { decodeEvent, EVENT_TRAITS, EventType, encodeEvent } from '../cql/messages/event.ts'
import { Opcode, type VersionTraits } from '../cql/protocol.ts'
import { BodyReader } from '../cql/reader.ts'
import { BodyWriter } from '../cql/writer.ts'
import { replyEnvelope } from './replies.ts'

const FUNCTION_TARGETS: ReadonlySet<string> = new Set(['FUNCTION', 'AGGREGATE'])

/**
 * v2 and v3 know neither functions nor aggregates: as Cassandra does, they are told that their keyspace
 * was updated. v2 writes changes in a form of its own.
 */
const bodyFor = (traits: VersionTraits, body: Uint8Array): Uint8Array => {
  const event = decodeEvent(new BodyReader(body), EVENT_TRAITS)
  if (event?.type !== EventType.SCHEMA_CHANGE) return body
  const { target, keyspace } = event.schemaChange
  const isKnown = !FUNCTION_TARGETS.has(target)
  if (isKnown && traits.hasSchemaChangeTarget) return body
  const schemaChange = isKnown
    ? event.schemaChange
    : { change: 'UPDATED', target: 'KEYSPACE', keyspace }
  const own = { type: EventType.SCHEMA_CHANGE, schemaChange }
  return encodeEvent(new BodyWriter(), own, traits).toBytes()
}

/** The EVENT envelope for clients of a version, from the event's body in the form of EVENT_TRAITS. */
export const schemaChangeEnvelope = (traits: VersionTraits, body: Uint8Array): Uint8Array => {
  const own = traits.hasFunctionTargets ? body : bodyFor(traits, body)
  return replyEnvelope(traits.version, Opcode.EVENT, new BodyWriter().writeRaw(own))
}
