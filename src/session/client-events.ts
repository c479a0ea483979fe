/**
 * What clients that have registered hear of: schema changes, which the control connection has heard of in
 * its own protocol version and each client gets in the client's, and instances of the proxy that leave
 * or come back.
 */
import { ProtocolError } from '../cql/errors.ts'
import { decodeEvent, EVENT_TRAITS, EventType, encodeEvent } from '../cql/messages/event.ts'
import { Opcode, type VersionTraits } from '../cql/protocol.ts'
import { BodyReader } from '../cql/reader.ts'
import { BodyWriter } from '../cql/writer.ts'
import { replyEnvelope } from './replies.ts'

/** An event on its way to the clients; TOPOLOGY_CHANGE is never sent, as the list of instances stays. */
export type ClientEvent = {
  readonly type: typeof EventType.SCHEMA_CHANGE | typeof EventType.STATUS_CHANGE
  /** In the form of EVENT_TRAITS. */
  readonly body: Uint8Array
}

const KNOWN_TYPES: readonly string[] = Object.values(EventType)

/** What a client hears of after one more REGISTER. Throws ProtocolError, as a server does, for a type that is none. */
export const registeredTypes = (
  before: ReadonlySet<string>,
  types: readonly string[],
): ReadonlySet<string> => {
  const unknown = types.find((type) => !KNOWN_TYPES.includes(type.toUpperCase()))
  if (unknown !== undefined) {
    throw new ProtocolError('REGISTER_EVENT_TYPE', `Invalid value '${unknown}' for Type`)
  }
  return new Set([...before, ...types.map((type) => type.toUpperCase())])
}

const FUNCTION_TARGETS: ReadonlySet<string> = new Set(['FUNCTION', 'AGGREGATE'])

/**
 * v2 and v3 know neither functions nor aggregates: as Cassandra does, they are told that their keyspace
 * was updated. v2 writes changes in a form of its own.
 */
const schemaChangeFor = (traits: VersionTraits, body: Uint8Array): Uint8Array => {
  if (traits.hasFunctionTargets) return body
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

/** The EVENT envelope for clients of a version. */
export const eventEnvelope = (traits: VersionTraits, { type, body }: ClientEvent): Uint8Array => {
  // STATUS_CHANGE is the same in all versions.
  const own = type === EventType.SCHEMA_CHANGE ? schemaChangeFor(traits, body) : body
  return replyEnvelope(traits.version, Opcode.EVENT, new BodyWriter().writeRaw(own))
}

/** `address` has 4 or 16 bytes; address and port as the virtual system tables show the instance. */
export const statusChange = (address: Uint8Array, port: number, isUp: boolean): ClientEvent => {
  const type = EventType.STATUS_CHANGE
  const message = { type, change: isUp ? 'UP' : 'DOWN', address, port }
  return { type, body: encodeEvent(new BodyWriter(), message, EVENT_TRAITS).toBytes() }
}
