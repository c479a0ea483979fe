/** EVENT, what a server tells unasked, on stream id -1 (v5 §4.2.6). */
import { Version, type VersionTraits, versionTraits } from '../protocol.ts'
import type { BodyReader } from '../reader.ts'
import type { BodyWriter } from '../writer.ts'
import { decodeSchemaChange, encodeSchemaChange, type SchemaChange } from './schema-change.ts'

export const EventType = {
  TOPOLOGY_CHANGE: 'TOPOLOGY_CHANGE',
  STATUS_CHANGE: 'STATUS_CHANGE',
  SCHEMA_CHANGE: 'SCHEMA_CHANGE',
} as const
export type EventType = (typeof EventType)[keyof typeof EventType]

/** The stream id of every event. */
export const EVENT_STREAM_ID = -1

/** Of events inside the proxy, whatever the versions of the cluster that tells and the client that hears. */
export const EVENT_TRAITS: VersionTraits = versionTraits(Version.V5)!

export type EventMessage =
  | {
      readonly type: typeof EventType.TOPOLOGY_CHANGE | typeof EventType.STATUS_CHANGE
      /** NEW_NODE, REMOVED_NODE; UP, DOWN. */
      readonly change: string
      /** 4 or 16 bytes. */
      readonly address: Uint8Array
      readonly port: number
    }
  | { readonly type: typeof EventType.SCHEMA_CHANGE; readonly schemaChange: SchemaChange }

/**
 *   <type><rest>
 *     <type>  [string]
 *     <rest>  TOPOLOGY_CHANGE, STATUS_CHANGE: <change>[inet]      SCHEMA_CHANGE: see schema-change.ts
 *
 * null for a type that nobody here registers for.
 */
export const decodeEvent = (reader: BodyReader, traits: VersionTraits): EventMessage | null => {
  const type = reader.readString('event type')
  switch (type) {
    case EventType.TOPOLOGY_CHANGE:
    case EventType.STATUS_CHANGE: {
      const change = reader.readString('change')
      const { address, port } = reader.readInet('node address')
      return { type, change, address, port }
    }
    case EventType.SCHEMA_CHANGE:
      return { type, schemaChange: decodeSchemaChange(reader, traits) }
    default:
      return null
  }
}

export const encodeEvent = (
  writer: BodyWriter,
  event: EventMessage,
  traits: VersionTraits,
): BodyWriter => {
  writer.writeString(event.type)
  if (event.type === EventType.SCHEMA_CHANGE) {
    return encodeSchemaChange(writer, event.schemaChange, traits)
  }
  return writer.writeString(event.change).writeInet(event.address, event.port)
}
