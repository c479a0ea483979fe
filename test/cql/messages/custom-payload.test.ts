/** One entry of a custom payload, found and changed where it lies. */
import { expect, test } from 'vitest'
import { payloadEntries, withPayloadValue } from '../../../src/cql/messages/custom-payload.ts'
import { EnvelopeFlag, Opcode } from '../../../src/cql/protocol.ts'
import { BodyReader } from '../../../src/cql/reader.ts'
import { BodyWriter } from '../../../src/cql/writer.ts'
import { buildEnvelope } from '../../support/fake-cluster/wire.ts'

type Entry = readonly [key: string, value: string | null]

const KEY = new TextEncoder().encode('id')
const MESSAGE = Buffer.from('the message')
const OFFSET = 5

const bytesOf = (value: string | null): Uint8Array | null =>
  value === null ? null : new Uint8Array(Buffer.from(value))

/** A QUERY in the middle of a chunk; null: without a custom payload. */
const chunkOf = (entries: readonly Entry[] | null): Uint8Array => {
  const body = new BodyWriter()
  if (entries !== null) {
    body.writeShort(entries.length)
    for (const [key, value] of entries) body.writeString(key).writeBytes(bytesOf(value))
  }
  body.writeRaw(MESSAGE)
  const flags = EnvelopeFlag.TRACING | (entries === null ? 0 : EnvelopeFlag.CUSTOM_PAYLOAD)
  const envelope = buildEnvelope(4, flags, 7, Opcode.QUERY, body.toBytes())
  return new Uint8Array(Buffer.concat([Buffer.alloc(OFFSET, 1), envelope, Buffer.alloc(3, 2)]))
}

const entriesOf = (envelope: Uint8Array): Entry[] => {
  const reader = new BodyReader(envelope, 9)
  const entries = Array.from({ length: reader.readShort() }, (): Entry => {
    const key = reader.readString()
    const value = reader.readBytes()
    return [key, value === null ? null : Buffer.from(value).toString()]
  })
  expect(Buffer.from(envelope.subarray(reader.offset))).toEqual(MESSAGE)
  return entries
}

const a: Entry = ['a', '1']
const id: Entry = ['id', 'old']
const none: Entry = ['id', null]

const CASES: readonly (readonly [before: readonly Entry[] | null, named: readonly Entry[]])[] = [
  [null, []],
  [[], []],
  [[a], []],
  [[id], [id]],
  [[none], [none]],
  [[a, id, ['ID', 'x'], ['i', 'd'], ['idx', '']], [id]],
  [
    [id, a, none],
    [id, none],
  ],
]

test.each(CASES)('%j: found %j, taken out, and put in', (before, named) => {
  const chunk = chunkOf(before)
  const end = chunk.length - 3
  const entries = payloadEntries(chunk, OFFSET, end, KEY)
  expect(entries.count).toBe(before?.length ?? 0)
  expect(entries.named.map(({ value }) => value)).toEqual(named.map(([, value]) => bytesOf(value)))
  const rest = (before ?? []).filter(([key]) => key !== 'id')
  const without = withPayloadValue(chunk, OFFSET, end, entries, KEY, null)!
  expect(entriesOf(without)).toEqual(rest)
  const changed = withPayloadValue(chunk, OFFSET, end, entries, KEY, Buffer.from('new'))!
  expect(entriesOf(changed)).toEqual([['id', 'new'], ...rest])
  for (const envelope of [without, changed]) {
    const flags = EnvelopeFlag.TRACING | EnvelopeFlag.CUSTOM_PAYLOAD
    const expected = buildEnvelope(4, flags, 7, Opcode.QUERY, envelope.subarray(9))
    expect(Buffer.from(envelope)).toEqual(expected)
  }
  expect(chunk).toEqual(chunkOf(before))
})

test('a full payload takes no more', () => {
  const many = Array.from({ length: 0xffff }, (): Entry => ['', null])
  const chunk = chunkOf(many)
  const entries = payloadEntries(chunk, OFFSET, chunk.length - 3, KEY)
  expect(entries.count).toBe(0xffff)
  const added = withPayloadValue(chunk, OFFSET, chunk.length - 3, entries, KEY, KEY)
  expect(added).toBeNull()
})

test('one that is cut off is an error that says where', () => {
  const chunk = chunkOf([a, id])
  for (let length = 9; length < 9 + 2 + 8 + 11; length++) {
    expect(() => payloadEntries(chunk, OFFSET, OFFSET + length, KEY)).toThrow(/custom payload/)
  }
})
