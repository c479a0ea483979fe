/**
 * The byte streams of tests: envelopes cut from chunks, and v5 frames (v5 §2.2) put on and taken
 * off. Written apart from src/cql on purpose, slow and plain, so that the two check each other.
 */
import { crc32 } from 'node:zlib'
import { encodeHeader, HEADER_LENGTH } from '../../../src/cql/envelope.ts'
import { Opcode } from '../../../src/cql/protocol.ts'

export const FRAME_PAYLOAD_MAX = 0x1ffff
const FRAME_HEADER_LENGTH = 6
const FRAME_TRAILER_LENGTH = 4
/** The payload checksum's seed: CRC-32 of FA 2D 55 CA, continued over the payload. */
const CRC32_SEED = crc32(Buffer.from([0xfa, 0x2d, 0x55, 0xca]))

/** One envelope as it stood on the wire; `version` without the response bit. */
export type Envelope = {
  readonly version: number
  readonly isResponse: boolean
  readonly flags: number
  readonly streamId: number
  readonly opcode: number
  readonly body: Buffer
  /** Header and body. */
  readonly bytes: Buffer
}

export const buildEnvelope = (
  version: number,
  flags: number,
  streamId: number,
  opcode: number,
  body: Uint8Array,
): Buffer => {
  const envelope = Buffer.alloc(HEADER_LENGTH + body.length)
  encodeHeader(envelope, 0, version, flags, streamId, opcode, body.length)
  envelope.set(body, HEADER_LENGTH)
  return envelope
}

/** CRC-24 of the frame header's three bytes, bit by bit (v5 §2.2). */
const crc24 = (value: number): number => {
  let crc = 0x875060
  for (let shift = 0; shift < 24; shift += 8) {
    crc ^= ((value >>> shift) & 0xff) << 16
    for (let bit = 0; bit < 8; bit++) {
      crc <<= 1
      if (crc & 0x1000000) crc ^= 0x1974f0b
    }
  }
  return crc
}

const encodeFrame = (payload: Uint8Array, selfContained: boolean): Buffer => {
  const frame = Buffer.alloc(FRAME_HEADER_LENGTH + payload.length + FRAME_TRAILER_LENGTH)
  const header = payload.length | (selfContained ? 1 << 17 : 0)
  frame.writeUIntLE(header, 0, 3)
  frame.writeUIntLE(crc24(header), 3, 3)
  frame.set(payload, FRAME_HEADER_LENGTH)
  frame.writeUInt32LE(crc32(payload, CRC32_SEED), FRAME_HEADER_LENGTH + payload.length)
  return frame
}

/** Whole envelopes as frames: one self-contained frame, or several when they are too long for one. */
export const encodeFrames = (payload: Uint8Array): Buffer => {
  if (payload.length <= FRAME_PAYLOAD_MAX) return encodeFrame(payload, true)
  const frames: Buffer[] = []
  for (let at = 0; at < payload.length; at += FRAME_PAYLOAD_MAX) {
    frames.push(encodeFrame(payload.subarray(at, at + FRAME_PAYLOAD_MAX), false))
  }
  return Buffer.concat(frames)
}

/** Does this answer end the unframed part of a v5 connection (v5 §2.2)? */
export const startsFrames = (envelope: Envelope): boolean =>
  envelope.version === 5 &&
  (envelope.opcode === Opcode.READY || envelope.opcode === Opcode.AUTHENTICATE)

export class UnsupportedVersionError extends Error {
  readonly version: number

  constructor(version: number) {
    super(`Protocol version ${version} is not supported`)
    this.version = version
  }
}

/** Cuts one direction of a connection into envelopes; throws an Error on a wrong checksum. */
export class EnvelopeStream {
  readonly #acceptsVersion: (version: number) => boolean
  /** Bytes from the socket, frames included. */
  #raw = Buffer.alloc(0)
  /** Bytes of envelopes, frames taken off. */
  #plain = Buffer.alloc(0)
  #framed = false
  /** A frame said that it holds whole envelopes only. */
  #selfContained = false

  constructor(acceptsVersion: (version: number) => boolean = () => true) {
    this.#acceptsVersion = acceptsVersion
  }

  /** From the next byte on, input comes in frames. */
  useFrames(): void {
    this.#framed = true
    this.#raw = this.#plain
    this.#plain = Buffer.alloc(0)
  }

  get isFramed(): boolean {
    return this.#framed
  }

  /** Yields lazily: the consumer may call `useFrames` between two envelopes of one chunk. */
  *push(chunk: Uint8Array): Generator<Envelope> {
    if (this.#framed) this.#raw = Buffer.concat([this.#raw, chunk])
    else this.#plain = Buffer.concat([this.#plain, chunk])
    for (;;) {
      const envelope = this.#takeEnvelope()
      if (envelope !== undefined) yield envelope
      else if (!this.#takeFrame()) return
    }
  }

  #takeFrame(): boolean {
    const raw = this.#raw
    if (!this.#framed) return false
    if (this.#selfContained && this.#plain.length > 0) {
      throw new Error(`A self-contained frame ends ${this.#plain.length} bytes into an envelope`)
    }
    if (raw.length < FRAME_HEADER_LENGTH) return false
    const header = raw.readUIntLE(0, 3)
    if (raw.readUIntLE(3, 3) !== crc24(header)) {
      throw new Error(`Frame header ${raw.toString('hex', 0, 6)}: its CRC-24 does not match`)
    }
    const end = FRAME_HEADER_LENGTH + (header & FRAME_PAYLOAD_MAX)
    if (raw.length < end + FRAME_TRAILER_LENGTH) return false
    const payload = raw.subarray(FRAME_HEADER_LENGTH, end)
    if (raw.readUInt32LE(end) !== crc32(payload, CRC32_SEED)) {
      throw new Error(`Frame of ${payload.length} bytes: its payload's CRC-32 does not match`)
    }
    this.#selfContained = (header & (1 << 17)) !== 0
    this.#raw = raw.subarray(end + FRAME_TRAILER_LENGTH)
    this.#plain = Buffer.concat([this.#plain, payload])
    return true
  }

  #takeEnvelope(): Envelope | undefined {
    const plain = this.#plain
    const version = (plain[0] ?? 0) & 0x7f
    // Judged by the first byte alone: other versions have other headers.
    if (plain.length > 0 && !this.#acceptsVersion(version))
      throw new UnsupportedVersionError(version)
    if (plain.length < HEADER_LENGTH) return undefined
    const end = HEADER_LENGTH + plain.readUInt32BE(5)
    if (plain.length < end) return undefined
    this.#plain = plain.subarray(end)
    const bytes = Buffer.from(plain.subarray(0, end))
    return {
      version,
      isResponse: (bytes.readUInt8(0) & 0x80) !== 0,
      flags: bytes.readUInt8(1),
      streamId: bytes.readInt16BE(2),
      opcode: bytes.readUInt8(4),
      body: bytes.subarray(HEADER_LENGTH),
      bytes,
    }
  }
}
