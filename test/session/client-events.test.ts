import { describe, expect, test } from 'vitest'
import { HEADER_LENGTH } from '../../src/cql/envelope.ts'
import { decodeEvent, EVENT_TRAITS, EventType, encodeEvent } from '../../src/cql/messages/event.ts'
import type { SchemaChange } from '../../src/cql/messages/schema-change.ts'
import { Opcode, Version, versionTraits } from '../../src/cql/protocol.ts'
import { BodyReader } from '../../src/cql/reader.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import { eventEnvelope, statusChange } from '../../src/session/client-events.ts'

const VERSIONS = [Version.V3, Version.V4, Version.V5]
const KEYSPACE_UPDATED: SchemaChange = { change: 'UPDATED', target: 'KEYSPACE', keyspace: 'ks' }

const FOR_ALL: readonly SchemaChange[] = [
  KEYSPACE_UPDATED,
  { change: 'CREATED', target: 'TABLE', keyspace: 'ks', name: 't' },
  { change: 'DROPPED', target: 'TYPE', keyspace: 'ks', name: 'address' },
  // A target that is younger than this proxy.
  { change: 'CREATED', target: 'INDEX', keyspace: 'ks', name: 'by_name' },
]

const FOR_V4: readonly SchemaChange[] = [
  { change: 'CREATED', target: 'FUNCTION', keyspace: 'ks', name: 'f', argumentTypes: ['int'] },
  { change: 'DROPPED', target: 'AGGREGATE', keyspace: 'ks', name: 'a', argumentTypes: [] },
]

const bodyOf = (schemaChange: SchemaChange): Uint8Array =>
  encodeEvent(
    new BodyWriter(),
    { type: EventType.SCHEMA_CHANGE, schemaChange },
    EVENT_TRAITS,
  ).toBytes()

const envelopeFor = (version: Version, body: Uint8Array): Uint8Array =>
  eventEnvelope(versionTraits(version)!, { type: EventType.SCHEMA_CHANGE, body })

const toldIn = (version: Version, schemaChange: SchemaChange): unknown => {
  const event = decodeEvent(
    new BodyReader(envelopeFor(version, bodyOf(schemaChange)), HEADER_LENGTH),
    versionTraits(version)!,
  )
  return event?.type === EventType.SCHEMA_CHANGE ? event.schemaChange : event
}

describe('a schema change on its way to clients', () => {
  test.each(VERSIONS)('v%i: is an EVENT with the body as it came', (version) => {
    for (const schemaChange of FOR_ALL) {
      const body = bodyOf(schemaChange)
      const envelope = envelopeFor(version, body)
      const header = Buffer.alloc(HEADER_LENGTH)
      header.writeUInt8(0x80 | version, 0)
      header.writeUInt8(Opcode.EVENT, 4)
      header.writeUInt32BE(body.length, 5)
      expect(Buffer.from(envelope).toString('hex')).toBe(
        Buffer.concat([header, body]).toString('hex'),
      )
    }
  })

  test.each([Version.V4, Version.V5])('v%i: may be about a function', (version) => {
    for (const schemaChange of FOR_V4) expect(toldIn(version, schemaChange)).toEqual(schemaChange)
  })

  test('v3: a function or an aggregate is an update of its keyspace', () => {
    for (const schemaChange of FOR_V4) {
      expect(toldIn(Version.V3, schemaChange)).toEqual(KEYSPACE_UPDATED)
    }
  })

  test.each(VERSIONS)('v%i: what follows the known fields is kept', (version) => {
    const body = Uint8Array.of(...bodyOf(FOR_ALL[1]!), 0, 1, 0x78)
    expect(envelopeFor(version, body).slice(HEADER_LENGTH)).toEqual(body)
  })
})

describe('an instance that leaves or comes back', () => {
  const ADDRESSES = ['0a000001', '20010db8000000000000000000000001']

  test.each([Version.V2, ...VERSIONS])('v%i: is a STATUS_CHANGE with its address', (version) => {
    for (const hex of ADDRESSES) {
      for (const isUp of [true, false]) {
        const event = statusChange(Buffer.from(hex, 'hex'), 14_002, isUp)
        const envelope = eventEnvelope(versionTraits(version)!, event)
        expect(
          decodeEvent(new BodyReader(envelope, HEADER_LENGTH), versionTraits(version)!),
        ).toMatchObject({
          type: 'STATUS_CHANGE',
          change: isUp ? 'UP' : 'DOWN',
          address: new Uint8Array(Buffer.from(hex, 'hex')),
          port: 14_002,
        })
      }
    }
  })
})
