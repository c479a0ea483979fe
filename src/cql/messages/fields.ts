/**
 * Finds single fields of a request or answer where they lie, without decoding the rest and without
 * allocating: the request path's view of a body. Whole messages are read by the files beside this one.
 *
 * "Message start" is where a message proper begins: behind a request's custom payload, behind an
 * answer's tracing id, warnings and custom payload (v5 §2.4.1.2).
 */
import { ProtocolError } from '../errors.ts'
import { BatchChildKind, EnvelopeFlag, Opcode, QueryFlag, type VersionTraits } from '../protocol.ts'
import { batchChildKindError } from './batch.ts'

/** Of the bytes behind their [short] length: an EXECUTE's statement id begins so far in. */
export const SHORT_BYTES_OFFSET = 2
/** Of the text behind its [int] length: a QUERY's or PREPARE's statement begins so far in. */
export const LONG_STRING_OFFSET = 4
const UUID_LENGTH = 16

const truncated = (what: string, at: number, end: number): ProtocolError =>
  new ProtocolError(
    'CQL_BODY_TRUNCATED',
    `Cannot read ${what} at offset ${at}: the body ends at ${end}`,
  )

/** A [short] at `at`. */
const shortAt = (bytes: Uint8Array, at: number, end: number, what: string): number => {
  if (at + 2 > end) throw truncated(what, at, end)
  return (bytes[at]! << 8) | bytes[at + 1]!
}

/** An [int] at `at`. */
const intAt = (bytes: Uint8Array, at: number, end: number, what: string): number => {
  if (at + 4 > end) throw truncated(what, at, end)
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
}

/** The length of the [short bytes] at `at`, which lie whole before `end`. */
const readShortBytesLength = (bytes: Uint8Array, at: number, end: number): number => {
  const length = shortAt(bytes, at, end, '[short bytes]')
  if (at + SHORT_BYTES_OFFSET + length > end) throw truncated('[short bytes]', at, end)
  return length
}

/** The length of the [long string] at `at`, which lies whole before `end`. */
export const readLongStringLength = (bytes: Uint8Array, at: number, end: number): number => {
  const length = intAt(bytes, at, end, '[long string]')
  if (length < 0 || at + LONG_STRING_OFFSET + length > end) {
    throw truncated('[long string]', at, end)
  }
  return length
}

/** Behind the [bytes] at `at`. */
const skipBytes = (bytes: Uint8Array, at: number, end: number): number => {
  const length = intAt(bytes, at, end, '[bytes]')
  const next = at + 4 + (length > 0 ? length : 0)
  if (next > end) throw truncated('[bytes]', at, end)
  return next
}

/** Behind the [string] or [short bytes] at `at`. */
const skipShortBytes = (bytes: Uint8Array, at: number, end: number): number =>
  at + SHORT_BYTES_OFFSET + readShortBytesLength(bytes, at, end)

/** Behind the <n><value>* at `at`. */
const skipValues = (bytes: Uint8Array, at: number, end: number, traits: VersionTraits): number => {
  const count = shortAt(bytes, at, end, 'value count')
  let next = at + 2
  for (let i = 0; i < count; i++) {
    const length = intAt(bytes, next, end, 'value length')
    if (length < -2 && traits.hasUnsetValues) {
      throw new ProtocolError('CQL_VALUE_LENGTH', `Cannot read [value]: its length is ${length}`)
    }
    const following = next + 4 + (length > 0 ? length : 0)
    if (following > end) throw truncated('[value]', next, end)
    next = following
  }
  return next
}

/**
 * A request's message start: behind the [bytes map] of its custom payload. Only for envelopes with
 * the flag CUSTOM_PAYLOAD.
 */
export const skipCustomPayload = (
  bytes: Uint8Array,
  bodyStart: number,
  bodyEnd: number,
): number => {
  const count = shortAt(bytes, bodyStart, bodyEnd, 'custom payload')
  let at = bodyStart + 2
  for (let i = 0; i < count; i++) {
    at = skipBytes(bytes, skipShortBytes(bytes, at, bodyEnd), bodyEnd)
  }
  return at
}

/** An answer's message start, by its envelope's flags: tracing id, warnings, custom payload. */
export const skipResponsePrefix = (
  bytes: Uint8Array,
  bodyStart: number,
  bodyEnd: number,
  flags: number,
): number => {
  let at = bodyStart
  if (flags & EnvelopeFlag.TRACING) {
    at += UUID_LENGTH
    if (at > bodyEnd) throw truncated('tracing id', bodyStart, bodyEnd)
  }
  if (flags & EnvelopeFlag.WARNING) {
    const count = shortAt(bytes, at, bodyEnd, 'warnings')
    at += 2
    for (let i = 0; i < count; i++) at = skipShortBytes(bytes, at, bodyEnd)
  }
  return flags & EnvelopeFlag.CUSTOM_PAYLOAD ? skipCustomPayload(bytes, at, bodyEnd) : at
}

/** What a BATCH is made of. Offsets are of the id's or text's own bytes, behind their length. */
export interface BatchVisitor {
  onPrepared(idOffset: number, idLength: number): void
  onQuery(textOffset: number, textLength: number): void
}

/**
 * Visits the children of the BATCH at `messageStart` in order and returns the offset behind the last
 * one, where its consistency lies. A child is visited before the next one is looked at: whoever must
 * not act on half a batch collects first.
 */
export const visitBatchChildren = (
  bytes: Uint8Array,
  messageStart: number,
  bodyEnd: number,
  traits: VersionTraits,
  visitor: BatchVisitor | null,
): number => {
  if (messageStart >= bodyEnd) throw truncated('batch type', messageStart, bodyEnd)
  const count = shortAt(bytes, messageStart + 1, bodyEnd, 'child count')
  let at = messageStart + 3
  for (let i = 0; i < count; i++) {
    if (at >= bodyEnd) throw truncated('child kind', at, bodyEnd)
    const kind = bytes[at]!
    const field = at + 1
    if (kind === BatchChildKind.PREPARED) {
      const idLength = readShortBytesLength(bytes, field, bodyEnd)
      at = skipValues(bytes, field + SHORT_BYTES_OFFSET + idLength, bodyEnd, traits)
      visitor?.onPrepared(field + SHORT_BYTES_OFFSET, idLength)
    } else if (kind === BatchChildKind.QUERY) {
      const textLength = readLongStringLength(bytes, field, bodyEnd)
      at = skipValues(bytes, field + LONG_STRING_OFFSET + textLength, bodyEnd, traits)
      visitor?.onQuery(field + LONG_STRING_OFFSET, textLength)
    } else {
      throw batchChildKindError(kind)
    }
  }
  return at
}

/** Where the consistency of the QUERY, EXECUTE or BATCH at `messageStart` lies; its flags follow it in the first two. */
export const consistencyOffset = (
  bytes: Uint8Array,
  messageStart: number,
  bodyEnd: number,
  opcode: number,
  traits: VersionTraits,
): number => {
  switch (opcode) {
    case Opcode.QUERY:
      return messageStart + LONG_STRING_OFFSET + readLongStringLength(bytes, messageStart, bodyEnd)
    case Opcode.EXECUTE: {
      const behindId = skipShortBytes(bytes, messageStart, bodyEnd)
      return traits.hasResultMetadataId ? skipShortBytes(bytes, behindId, bodyEnd) : behindId
    }
    case Opcode.BATCH:
      return visitBatchChildren(bytes, messageStart, bodyEnd, traits, null)
    default:
      return bodyEnd
  }
}

/**
 * Makes the QUERY or EXECUTE whose consistency lies at `consistencyAt` ask for the columns of its rows, which
 * drivers that know them leave out. Where the message is cut off nothing is changed: a node says what is wrong.
 */
export const clearSkipMetadata = (
  bytes: Uint8Array,
  consistencyAt: number,
  bodyEnd: number,
  traits: VersionTraits,
): void => {
  // Of an [int] of flags the last byte has the low ones.
  const flagsAt = consistencyAt + 2 + (traits.hasIntFlags ? 3 : 0)
  if (flagsAt < bodyEnd) bytes[flagsAt]! &= ~QueryFlag.SKIP_METADATA
}

/**
 * The consistency level of the QUERY, EXECUTE or BATCH at `messageStart`; -1 if the body is malformed
 * or the message has none. For errors about a request that was forwarded already, hence never throws.
 */
export const readConsistency = (
  bytes: Uint8Array,
  messageStart: number,
  bodyEnd: number,
  opcode: number,
  traits: VersionTraits,
): number => {
  try {
    const at = consistencyOffset(bytes, messageStart, bodyEnd, opcode, traits)
    return shortAt(bytes, at, bodyEnd, 'consistency')
  } catch (error) {
    if (error instanceof ProtocolError) return -1
    throw error
  }
}

/**
 * Whether the QUERY or EXECUTE at `messageStart` asks for DSE's continuous paging; false where its
 * parameters are cut off. Only for versions that have it. Throws ProtocolError like `readConsistency`'s
 * readers where the message is malformed before that.
 */
export const asksForContinuousPaging = (
  bytes: Uint8Array,
  messageStart: number,
  bodyEnd: number,
  opcode: number,
  traits: VersionTraits,
): boolean => {
  // <consistency [short]><flags [int]>
  const at = consistencyOffset(bytes, messageStart, bodyEnd, opcode, traits) + 2
  return (
    at + 4 <= bodyEnd && (intAt(bytes, at, bodyEnd, 'flags') & QueryFlag.CONTINUOUS_PAGING) !== 0
  )
}
