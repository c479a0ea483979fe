/**
 * The envelope: the 9-byte header of every message from v3 on, and its body (v5 §2.1). Offsets of
 * the header's fields, and readers and writers for them that allocate nothing.
 *
 *   0         8        16        24        32         40
 *   +---------+---------+---------+---------+---------+
 *   | version |  flags  |      stream       | opcode  |
 *   +---------+---------+---------+---------+---------+
 *   |                length                 |  body …
 */

export const HEADER_LENGTH = 9
/** Set in the version byte of a response. */
export const RESPONSE_BIT = 0x80

export const FLAGS_OFFSET = 1
const STREAM_OFFSET = 2
export const OPCODE_OFFSET = 4
const LENGTH_OFFSET = 5

/** The signed 16-bit stream id of the envelope that starts at `start`. */
export const readStreamId = (bytes: Uint8Array, start: number): number =>
  ((bytes[start + STREAM_OFFSET]! << 24) >> 16) | bytes[start + STREAM_OFFSET + 1]!

export const writeStreamId = (bytes: Uint8Array, start: number, streamId: number): void => {
  bytes[start + STREAM_OFFSET] = streamId >> 8
  bytes[start + STREAM_OFFSET + 1] = streamId
}

/** The body's length in bytes as the header announces it: signed, so that a lie shows as < 0. */
export const readBodyLength = (bytes: Uint8Array, start: number): number =>
  (bytes[start + LENGTH_OFFSET]! << 24) |
  (bytes[start + LENGTH_OFFSET + 1]! << 16) |
  (bytes[start + LENGTH_OFFSET + 2]! << 8) |
  bytes[start + LENGTH_OFFSET + 3]!

export const writeBodyLength = (bytes: Uint8Array, start: number, length: number): void => {
  bytes[start + LENGTH_OFFSET] = length >>> 24
  bytes[start + LENGTH_OFFSET + 1] = length >>> 16
  bytes[start + LENGTH_OFFSET + 2] = length >>> 8
  bytes[start + LENGTH_OFFSET + 3] = length
}

/** Writes the nine header bytes at `start`. */
export const encodeHeader = (
  bytes: Uint8Array,
  start: number,
  version: number,
  flags: number,
  streamId: number,
  opcode: number,
  bodyLength: number,
): void => {
  bytes[start] = version
  bytes[start + FLAGS_OFFSET] = flags
  writeStreamId(bytes, start, streamId)
  bytes[start + OPCODE_OFFSET] = opcode
  writeBodyLength(bytes, start, bodyLength)
}
