/**
 * One entry of a request's custom payload, a [bytes map] in front of its message (v4 §2.2): found where it
 * lies, taken out, put in. The changed envelope is a new one; all other entries stay as they came.
 */
import { FLAGS_OFFSET, HEADER_LENGTH } from '../envelope.ts'
import { EnvelopeEdits } from '../envelope-edits.ts'
import { EnvelopeFlag } from '../protocol.ts'
import { BodyReader } from '../reader.ts'
import { BodyWriter } from '../writer.ts'

const ENTRIES_MAX = 0xffff
const COUNT_LENGTH = 2

/** Offsets are into the envelope's bytes. */
type PayloadEntry = {
  readonly start: number
  readonly end: number
  /** A view; null is a value of its own. */
  readonly value: Uint8Array | null
}

export type PayloadEntries = {
  /** Of all entries. */
  readonly count: number
  /** Those with the key: one as a rule, but nothing keeps a client from writing it twice. */
  readonly named: readonly PayloadEntry[]
}

const NO_ENTRIES: PayloadEntries = { count: 0, named: [] }

const hasPayload = (bytes: Uint8Array, start: number): boolean =>
  (bytes[start + FLAGS_OFFSET]! & EnvelopeFlag.CUSTOM_PAYLOAD) !== 0

/** The entries of the request envelope `bytes[start, end)`. Throws ProtocolError where it is cut off. */
export const payloadEntries = (
  bytes: Uint8Array,
  start: number,
  end: number,
  key: Uint8Array,
): PayloadEntries => {
  if (!hasPayload(bytes, start)) return NO_ENTRIES
  const reader = new BodyReader(bytes, start + HEADER_LENGTH, end)
  const count = reader.readShort('custom payload')
  const named: PayloadEntry[] = []
  for (let i = 0; i < count; i++) {
    const entryStart = reader.offset
    const name = reader.readShortBytes('custom payload key')
    const value = reader.readBytes('custom payload value')
    if (Buffer.compare(name, key) !== 0) continue
    named.push({ start: entryStart, end: reader.offset, value })
  }
  return { count, named }
}

const countOf = (entries: number): Uint8Array =>
  new BodyWriter(COUNT_LENGTH).writeShort(entries).toBytes()

/**
 * The envelope without the entries that `payloadEntries` has found, and with `added` as the value of `key`
 * unless that is null. Null where it has room for no more entries. The flag stays even where no entry does.
 */
export const withPayloadValue = (
  bytes: Uint8Array,
  start: number,
  end: number,
  { count, named }: PayloadEntries,
  key: Uint8Array,
  added: Uint8Array | null,
): Uint8Array | null => {
  const kept = count - named.length
  const entries = added === null ? kept : kept + 1
  if (entries > ENTRIES_MAX) return null
  const edits = new EnvelopeEdits()
  const body = start + HEADER_LENGTH
  const behindCount = hasPayload(bytes, start) ? body + COUNT_LENGTH : body
  edits.replace(body, behindCount, countOf(entries))
  if (added !== null) {
    const entry = new BodyWriter().writeShortBytes(key).writeBytes(added).toBytes()
    edits.replace(behindCount, behindCount, entry)
  }
  for (const entry of named) edits.replace(entry.start, entry.end, new Uint8Array(0))
  const changed = edits.apply(bytes, start, end)
  changed[FLAGS_OFFSET]! |= EnvelopeFlag.CUSTOM_PAYLOAD
  return changed
}
