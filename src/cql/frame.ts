/**
 * The frame: v5's outer unit, a checksummed payload of at most 128 KiB with any part of the stream
 * of envelopes in it (v5 §2.2). Sealing, splitting, decoding, with and without LZ4. Where envelopes
 * begin and end is envelope-decoder.ts's business.
 *
 *   0                 17  18      24                48                        …
 *   +------------------+---+-------+-----------------+------------+-----------------+
 *   | payload length   | S | zeros | CRC-24 of the 3 |  payload   | CRC-32 of the   |
 *   | (17 bits)        |   |       | bytes before    |            | payload         |
 *
 * With LZ4 the header has two lengths, of the payload as it is sent and as it will be; the second is 0
 * where the payload is not compressed:
 *
 *   0                 17                 34  35      40                64
 *   +------------------+------------------+---+-------+-----------------+------------+---
 *   | payload length   | decompressed     | S | zeros | CRC-24 of the 5 |  payload   | …
 *
 * All integers are little-endian; S tells that every envelope in the frame is whole.
 */
import { allocateUnfilled } from './allocate.ts'
import { crc24, crc32 } from './checksum.ts'
import { compressLz4Block, decompressLz4Block, LZ4_PREFIX_LENGTH } from './compression.ts'
import { ProtocolError } from './errors.ts'

export const FRAME_HEADER_LENGTH = 6
export const FRAME_TRAILER_LENGTH = 4
export const FRAME_PAYLOAD_LENGTH_MAX = 131071
/** Bit 17 of the header, which is the second bit of its third byte. */
const SELF_CONTAINED_BIT = 0x02
/** The header of a frame on a connection with LZ4. */
export const LZ4_FRAME_HEADER_LENGTH = 8
/** Bit 34 of the header, which is the third bit of its fifth byte. */
const LZ4_SELF_CONTAINED_BIT = 0x04
/** Shorter payloads are sent as they are: nothing is gained by a call into the library. */
const COMPRESSED_PAYLOAD_LENGTH_MIN = 64
const CRC24_LENGTH = 3

const sealHeader = (bytes: Uint8Array, start: number, checkedLength: number): void => {
  const crc = crc24(bytes, start, start + checkedLength)
  bytes[start + checkedLength] = crc
  bytes[start + checkedLength + 1] = crc >>> 8
  bytes[start + checkedLength + 2] = crc >>> 16
}

const sealTrailer = (bytes: Uint8Array, payloadStart: number, payloadEnd: number): void => {
  const crc = crc32(bytes, payloadStart, payloadEnd)
  bytes[payloadEnd] = crc
  bytes[payloadEnd + 1] = crc >>> 8
  bytes[payloadEnd + 2] = crc >>> 16
  bytes[payloadEnd + 3] = crc >>> 24
}

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
  sealHeader(bytes, start, FRAME_HEADER_LENGTH - CRC24_LENGTH)
  const payloadStart = start + FRAME_HEADER_LENGTH
  sealTrailer(bytes, payloadStart, payloadStart + payloadLength)
}

/**
 * The same for a connection with LZ4: the payload lies at `start + LZ4_FRAME_HEADER_LENGTH`, and is
 * replaced by its compressed form where that is shorter. Returns the length of the whole frame.
 */
export const sealLz4Frame = (
  bytes: Uint8Array,
  start: number,
  payloadLength: number,
  isSelfContained: boolean,
): number => {
  const payloadStart = start + LZ4_FRAME_HEADER_LENGTH
  let sentLength = payloadLength
  let decompressedLength = 0
  if (payloadLength >= COMPRESSED_PAYLOAD_LENGTH_MIN) {
    const packed = compressLz4Block(bytes, payloadStart, payloadStart + payloadLength)
    const packedLength = packed.length - LZ4_PREFIX_LENGTH
    if (packedLength < payloadLength) {
      bytes.set(packed.subarray(LZ4_PREFIX_LENGTH), payloadStart)
      sentLength = packedLength
      decompressedLength = payloadLength
    }
  }
  bytes[start] = sentLength
  bytes[start + 1] = sentLength >>> 8
  bytes[start + 2] = (sentLength >>> 16) | (decompressedLength << 1)
  bytes[start + 3] = decompressedLength >>> 7
  bytes[start + 4] = (decompressedLength >>> 15) | (isSelfContained ? LZ4_SELF_CONTAINED_BIT : 0)
  sealHeader(bytes, start, LZ4_FRAME_HEADER_LENGTH - CRC24_LENGTH)
  sealTrailer(bytes, payloadStart, payloadStart + sentLength)
  return LZ4_FRAME_HEADER_LENGTH + sentLength + FRAME_TRAILER_LENGTH
}

/** One envelope that is too large for a frame, as a run of frames that are not self-contained. */
export const splitIntoFrames = (
  envelope: Uint8Array,
  start: number,
  end: number,
  hasLz4 = false,
): Uint8Array => {
  const headerLength = hasLz4 ? LZ4_FRAME_HEADER_LENGTH : FRAME_HEADER_LENGTH
  const overhead = headerLength + FRAME_TRAILER_LENGTH
  const length = end - start
  const count = Math.ceil(length / FRAME_PAYLOAD_LENGTH_MAX)
  const frames = allocateUnfilled(length + count * overhead)
  let at = 0
  for (let from = start; from < end; from += FRAME_PAYLOAD_LENGTH_MAX) {
    const to = Math.min(from + FRAME_PAYLOAD_LENGTH_MAX, end)
    frames.set(envelope.subarray(from, to), at + headerLength)
    if (hasLz4) {
      at += sealLz4Frame(frames, at, to - from, false)
    } else {
      sealFrame(frames, at, to - from, false)
      at += to - from + overhead
    }
  }
  return frames.subarray(0, at)
}

/** Takes a payload's range; the bytes are valid until it returns, unless it keeps a copy. */
export type PayloadConsumer = (bytes: Uint8Array, start: number, end: number) => void

/** Throws where the header that starts at `start` does not match its CRC-24. */
const verifyHeader = (bytes: Uint8Array, start: number, headerLength: number): void => {
  const crcAt = start + headerLength - CRC24_LENGTH
  const expected = bytes[crcAt]! | (bytes[crcAt + 1]! << 8) | (bytes[crcAt + 2]! << 16)
  const actual = crc24(bytes, start, crcAt)
  if (actual === expected) return
  throw new ProtocolError(
    'FRAME_HEADER_CHECKSUM',
    `Frame header has CRC-24 0x${actual.toString(16)}, it announces 0x${expected.toString(16)}: ` +
      'the bytes were damaged or are no v5 frame; reconnect',
  )
}

const readPayloadLength = (bytes: Uint8Array, start: number): number =>
  bytes[start]! | (bytes[start + 1]! << 8) | ((bytes[start + 2]! & 1) << 16)

/** With LZ4: what the payload becomes; 0 where it is sent as it is. */
const readDecompressedLength = (bytes: Uint8Array, start: number): number =>
  (bytes[start + 2]! >>> 1) | (bytes[start + 3]! << 7) | ((bytes[start + 4]! & 3) << 15)

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
 * that straddles chunks is put together in a buffer of its own, and so is what was compressed. After an
 * error it takes nothing more: what follows damaged bytes has no borders.
 */
export class FrameDecoder {
  readonly #hasLz4: boolean
  readonly #headerLength: number
  readonly #header = new Uint8Array(LZ4_FRAME_HEADER_LENGTH)
  #headerFill = 0
  /** The frame that straddles chunks, once its header is known. */
  #partial: Uint8Array | null = null
  #partialFill = 0
  #hasFailed = false

  constructor(hasLz4 = false) {
    this.#hasLz4 = hasLz4
    this.#headerLength = hasLz4 ? LZ4_FRAME_HEADER_LENGTH : FRAME_HEADER_LENGTH
  }

  push(chunk: Uint8Array, start: number, end: number, consume: PayloadConsumer): void {
    if (this.#hasFailed) return
    const headerLength = this.#headerLength
    let at = start
    try {
      if (this.#headerFill > 0) at = this.#resume(chunk, start, end, consume)
      while (end - at >= headerLength) {
        verifyHeader(chunk, at, headerLength)
        const frameStart = at
        const payloadEnd = at + headerLength + readPayloadLength(chunk, at)
        if (payloadEnd + FRAME_TRAILER_LENGTH > end) break
        at = payloadEnd + FRAME_TRAILER_LENGTH
        this.#deliver(chunk, frameStart, payloadEnd, consume)
      }
      if (at < end) this.#resume(chunk, at, end, consume)
    } catch (error) {
      this.#hasFailed = true
      throw error
    }
  }

  #deliver(bytes: Uint8Array, start: number, payloadEnd: number, consume: PayloadConsumer): void {
    const payloadStart = start + this.#headerLength
    verifyPayload(bytes, payloadStart, payloadEnd)
    const decompressedLength = this.#hasLz4 ? readDecompressedLength(bytes, start) : 0
    if (decompressedLength > 0) {
      const payload = decompressLz4Block(bytes, payloadStart, payloadEnd, decompressedLength)
      consume(payload, 0, payload.length)
    } else if (payloadStart < payloadEnd) {
      consume(bytes, payloadStart, payloadEnd)
    }
  }

  /** Goes on with the frame that straddles chunks; returns the offset of what it did not need. */
  #resume(chunk: Uint8Array, start: number, end: number, consume: PayloadConsumer): number {
    const headerLength = this.#headerLength
    let at = start
    if (this.#partial === null) {
      while (this.#headerFill < headerLength) {
        if (at === end) return end
        this.#header[this.#headerFill++] = chunk[at++]!
      }
      verifyHeader(this.#header, 0, headerLength)
      const payloadLength = readPayloadLength(this.#header, 0)
      this.#partial = allocateUnfilled(headerLength + payloadLength + FRAME_TRAILER_LENGTH)
      this.#partial.set(this.#header.subarray(0, headerLength))
      this.#partialFill = headerLength
    }
    const frame = this.#partial
    const taken = Math.min(end - at, frame.length - this.#partialFill)
    frame.set(chunk.subarray(at, at + taken), this.#partialFill)
    this.#partialFill += taken
    if (this.#partialFill < frame.length) return end
    this.#partial = null
    this.#headerFill = 0
    this.#deliver(frame, 0, frame.length - FRAME_TRAILER_LENGTH, consume)
    return at + taken
  }
}
