/**
 * The frame: v5's outer unit, a checksummed payload of at most 128 KiB with any part of the stream
 * of envelopes in it (v5 §2.2). Uncompressed frames: sealing, splitting, decoding. Where envelopes
 * begin and end is envelope-decoder.ts's business.
 *
 *   0                 17  18      24                48                        …
 *   +------------------+---+-------+-----------------+------------+-----------------+
 *   | payload length   | S | zeros | CRC-24 of the 3 |  payload   | CRC-32 of the   |
 *   | (17 bits)        |   |       | bytes before    |            | payload         |
 *
 * All integers are little-endian; S tells that every envelope in the frame is whole.
 */
import { allocateUnfilled } from './allocate.ts'
import { crc24, crc32 } from './checksum.ts'
import { ProtocolError } from './errors.ts'

export const FRAME_HEADER_LENGTH = 6
export const FRAME_TRAILER_LENGTH = 4
export const FRAME_PAYLOAD_LENGTH_MAX = 131071
/** Bit 17 of the header, which is the second bit of its third byte. */
const SELF_CONTAINED_BIT = 0x02
const FRAME_OVERHEAD_LENGTH = FRAME_HEADER_LENGTH + FRAME_TRAILER_LENGTH
/** Part of the header that its CRC-24 covers. */
const CHECKED_HEADER_LENGTH = 3

/**
 * Makes a frame of a payload that lies at `start + FRAME_HEADER_LENGTH` already: writes the header
 * before it and the checksum behind it. The caller has left room for both.
 */
export const sealFrame = (
  bytes: Uint8Array,
  start: number,
  payloadLength: number,
  isSelfContained: boolean,
): void => {
  bytes[start] = payloadLength
  bytes[start + 1] = payloadLength >>> 8
  bytes[start + 2] = (payloadLength >>> 16) | (isSelfContained ? SELF_CONTAINED_BIT : 0)
  const headerCrc = crc24(bytes, start, start + CHECKED_HEADER_LENGTH)
  bytes[start + 3] = headerCrc
  bytes[start + 4] = headerCrc >>> 8
  bytes[start + 5] = headerCrc >>> 16
  const payloadStart = start + FRAME_HEADER_LENGTH
  const payloadEnd = payloadStart + payloadLength
  const payloadCrc = crc32(bytes, payloadStart, payloadEnd)
  bytes[payloadEnd] = payloadCrc
  bytes[payloadEnd + 1] = payloadCrc >>> 8
  bytes[payloadEnd + 2] = payloadCrc >>> 16
  bytes[payloadEnd + 3] = payloadCrc >>> 24
}

/** One envelope that is too large for a frame, as a run of frames that are not self-contained. */
export const splitIntoFrames = (envelope: Uint8Array, start: number, end: number): Uint8Array => {
  const length = end - start
  const count = Math.ceil(length / FRAME_PAYLOAD_LENGTH_MAX)
  const frames = allocateUnfilled(length + count * FRAME_OVERHEAD_LENGTH)
  let at = 0
  for (let from = start; from < end; from += FRAME_PAYLOAD_LENGTH_MAX) {
    const to = Math.min(from + FRAME_PAYLOAD_LENGTH_MAX, end)
    frames.set(envelope.subarray(from, to), at + FRAME_HEADER_LENGTH)
    sealFrame(frames, at, to - from, false)
    at += to - from + FRAME_OVERHEAD_LENGTH
  }
  return frames
}

/** Takes a payload's range; the bytes are valid until it returns, unless it keeps a copy. */
export type PayloadConsumer = (bytes: Uint8Array, start: number, end: number) => void

/** The verified payload length of the frame that starts at `start`. */
const readPayloadLength = (bytes: Uint8Array, start: number): number => {
  const expected = bytes[start + 3]! | (bytes[start + 4]! << 8) | (bytes[start + 5]! << 16)
  const actual = crc24(bytes, start, start + CHECKED_HEADER_LENGTH)
  if (actual !== expected) {
    throw new ProtocolError(
      'FRAME_HEADER_CHECKSUM',
      `Frame header has CRC-24 0x${actual.toString(16)}, it announces 0x${expected.toString(16)}: ` +
        'the bytes were damaged or are no v5 frame; reconnect',
    )
  }
  return bytes[start]! | (bytes[start + 1]! << 8) | ((bytes[start + 2]! & 1) << 16)
}

const verifyPayload = (bytes: Uint8Array, start: number, end: number): void => {
  const expected =
    (bytes[end]! | (bytes[end + 1]! << 8) | (bytes[end + 2]! << 16) | (bytes[end + 3]! << 24)) >>> 0
  const actual = crc32(bytes, start, end)
  if (actual === expected) return
  throw new ProtocolError(
    'FRAME_PAYLOAD_CHECKSUM',
    `Frame payload of ${end - start} bytes has CRC-32 0x${actual.toString(16)}, its trailer says ` +
      `0x${expected.toString(16)}: the bytes were damaged; reconnect`,
  )
}

/**
 * Wire bytes in, payloads out. A frame that lies whole in a chunk is handed on where it lies; one
 * that straddles chunks is put together in a buffer of its own. After an error it takes nothing
 * more: what follows damaged bytes has no borders.
 */
export class FrameDecoder {
  readonly #header = new Uint8Array(FRAME_HEADER_LENGTH)
  #headerFill = 0
  /** Payload and trailer of the frame that straddles chunks, once its header is known. */
  #partial: Uint8Array | null = null
  #partialFill = 0
  #hasFailed = false

  push(chunk: Uint8Array, start: number, end: number, consume: PayloadConsumer): void {
    if (this.#hasFailed) return
    let at = start
    try {
      if (this.#headerFill > 0) at = this.#resume(chunk, start, end, consume)
      while (end - at >= FRAME_HEADER_LENGTH) {
        const payloadStart = at + FRAME_HEADER_LENGTH
        const payloadEnd = payloadStart + readPayloadLength(chunk, at)
        if (payloadEnd + FRAME_TRAILER_LENGTH > end) break
        verifyPayload(chunk, payloadStart, payloadEnd)
        at = payloadEnd + FRAME_TRAILER_LENGTH
        if (payloadStart < payloadEnd) consume(chunk, payloadStart, payloadEnd)
      }
      if (at < end) this.#resume(chunk, at, end, consume)
    } catch (error) {
      this.#hasFailed = true
      throw error
    }
  }

  /** Goes on with the frame that straddles chunks; returns the offset of what it did not need. */
  #resume(chunk: Uint8Array, start: number, end: number, consume: PayloadConsumer): number {
    let at = start
    if (this.#partial === null) {
      while (this.#headerFill < FRAME_HEADER_LENGTH) {
        if (at === end) return end
        this.#header[this.#headerFill++] = chunk[at++]!
      }
      const payloadLength = readPayloadLength(this.#header, 0)
      this.#partial = allocateUnfilled(payloadLength + FRAME_TRAILER_LENGTH)
      this.#partialFill = 0
    }
    const frame = this.#partial
    const taken = Math.min(end - at, frame.length - this.#partialFill)
    frame.set(chunk.subarray(at, at + taken), this.#partialFill)
    this.#partialFill += taken
    if (this.#partialFill < frame.length) return end
    this.#partial = null
    this.#headerFill = 0
    const payloadLength = frame.length - FRAME_TRAILER_LENGTH
    verifyPayload(frame, 0, payloadLength)
    if (payloadLength > 0) consume(frame, 0, payloadLength)
    return at + taken
  }
}
