/**
 * The byte streams of tests: envelopes cut from chunks, v5 frames (v5 §2.2) put on and taken off, v2's
 * short headers, compressed bodies. Written apart from src/cql on purpose, slow and plain, so that the two check each other.
 */
import { crc32 } from 'node:zlib'
import lz4 from 'lz4-napi'
import snappy from 'snappy'
import { encodeHeader, HEADER_LENGTH } from '../../../src/cql/envelope.ts'
import { EnvelopeFlag, Opcode } from '../../../src/cql/protocol.ts'

export type Algorithm = 'lz4' | 'snappy'

/** A body as it stands in an envelope with the flag COMPRESSION (v4 §5). */
export const compressBody = (algorithm: Algorithm, body: Uint8Array): Buffer => {
  if (algorithm === 'snappy') return snappy.compressSync(Buffer.from(body))
  // The library's length is little-endian, the protocol's is not.
  return lz4.compressSync(Buffer.from(body)).fill(uint32(body.length), 0, 4)
}

export const decompressBody = (algorithm: Algorithm, body: Uint8Array): Buffer => {
  const packed = Buffer.from(body)
  if (algorithm === 'snappy') {
    const plain = snappy.uncompressSync(packed, { asBuffer: true })
    return Buffer.from(plain)
  }
  packed.writeUInt32LE(packed.readUInt32BE(0), 0)
  return lz4.uncompressSync(packed)
}

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export const FRAME_PAYLOAD_MAX = 0x1ffff
const FRAME_HEADER_LENGTH = 6
const LZ4_FRAME_HEADER_LENGTH = 8
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
  /** Decompressed. */
  readonly body: Buffer
  /** Header and body, as they were sent. */
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
  if (!hasShortHeader(version)) return envelope
  return Buffer.concat([envelope.subarray(0, 2), envelope.subarray(3)])
}

const hasShortHeader = (versionByte: number): boolean => {
  const version = versionByte & 0x7f
  return version === 1 || version === 2
}

/** CRC-24 of the first bytes of a frame's header, bit by bit (v5 §2.2). */
const crc24 = (bytes: Uint8Array): number => {
  let crc = 0x875060
  for (const byte of bytes) {
    crc ^= byte << 16
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
  frame.writeUIntLE(crc24(frame.subarray(0, 3)), 3, 3)
  frame.set(payload, FRAME_HEADER_LENGTH)
  frame.writeUInt32LE(crc32(payload, CRC32_SEED), FRAME_HEADER_LENGTH + payload.length)
  return frame
}

/** A frame of a connection with LZ4; `isCompressed` false: with the payload as it is. */
export const encodeLz4Frame = (
  payload: Uint8Array,
  selfContained: boolean,
  isCompressed = true,
): Buffer => {
  const sent = isCompressed ? lz4.compressSync(Buffer.from(payload)).subarray(4) : payload
  const frame = Buffer.alloc(LZ4_FRAME_HEADER_LENGTH + sent.length + FRAME_TRAILER_LENGTH)
  const lengths = BigInt(sent.length) | (BigInt(isCompressed ? payload.length : 0) << 17n)
  const header = Buffer.alloc(8)
  header.writeBigUInt64LE(lengths | (selfContained ? 1n << 34n : 0n))
  frame.set(header.subarray(0, 5))
  frame.writeUIntLE(crc24(header.subarray(0, 5)), 5, 3)
  frame.set(sent, LZ4_FRAME_HEADER_LENGTH)
  frame.writeUInt32LE(crc32(sent, CRC32_SEED), LZ4_FRAME_HEADER_LENGTH + sent.length)
  return frame
}

/** Whole envelopes as frames: one self-contained frame, or several when they are too long for one. */
export const encodeFrames = (payload: Uint8Array, hasLz4 = false): Buffer => {
  const encode = hasLz4 ? encodeLz4Frame : encodeFrame
  if (payload.length <= FRAME_PAYLOAD_MAX) return encode(payload, true)
  const frames: Buffer[] = []
  for (let at = 0; at < payload.length; at += FRAME_PAYLOAD_MAX) {
    frames.push(encode(payload.subarray(at, at + FRAME_PAYLOAD_MAX), false))
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
  /** How bodies with the flag COMPRESSION are compressed, and on v5 the frames. */
  compression: Algorithm | undefined = undefined
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
    const headerLength = this.compression ? LZ4_FRAME_HEADER_LENGTH : FRAME_HEADER_LENGTH
    if (raw.length < headerLength) return false
    const checked = raw.subarray(0, headerLength - 3)
    if (raw.readUIntLE(headerLength - 3, 3) !== crc24(checked)) {
      throw new Error(`Frame header ${raw.toString('hex', 0, 8)}: its CRC-24 does not match`)
    }
    const header = BigInt(checked.readUIntLE(0, checked.length))
    const end = headerLength + Number(header & BigInt(FRAME_PAYLOAD_MAX))
    if (raw.length < end + FRAME_TRAILER_LENGTH) return false
    const sent = raw.subarray(headerLength, end)
    if (raw.readUInt32LE(end) !== crc32(sent, CRC32_SEED)) {
      throw new Error(`Frame of ${sent.length} bytes: its payload's CRC-32 does not match`)
    }
    const length = this.compression ? Number((header >> 17n) & BigInt(FRAME_PAYLOAD_MAX)) : 0
    const payload =
      length === 0 ? sent : decompressBody('lz4', Buffer.concat([uint32(length), sent]))
    this.#selfContained = (header & (1n << (this.compression ? 34n : 17n))) !== 0n
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
    const isShort = hasShortHeader(version)
    const headerLength = isShort ? HEADER_LENGTH - 1 : HEADER_LENGTH
    if (plain.length < headerLength) return undefined
    const end = headerLength + plain.readUInt32BE(headerLength - 4)
    if (plain.length < end) return undefined
    this.#plain = plain.subarray(end)
    const bytes = Buffer.from(plain.subarray(0, end))
    const flags = bytes.readUInt8(1)
    return {
      version,
      isResponse: (bytes.readUInt8(0) & 0x80) !== 0,
      flags,
      streamId: isShort ? bytes.readInt8(2) : bytes.readInt16BE(2),
      opcode: bytes.readUInt8(headerLength - 5),
      body: this.#readBody(flags, bytes.subarray(headerLength)),
      bytes,
    }
  }

  #readBody(flags: number, body: Buffer): Buffer {
    const isCompressed = (flags & EnvelopeFlag.COMPRESSION) !== 0 && !this.#framed
    return isCompressed && this.compression ? decompressBody(this.compression, body) : body
  }
}
