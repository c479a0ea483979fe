/**
 * LZ4 and Snappy as the protocol uses them (v4 §5, v5 §2.2): names, bodies of envelopes, blocks of
 * frames. The algorithms are the libraries'; what is ours are the borders: no length that a peer
 * announces gets memory unless it is allowed and the bytes that came can hold so much.
 */
import { compressSync as compressLz4Sync, uncompressSync as uncompressLz4Sync } from 'lz4-napi'
import { uncompressSync as uncompressSnappySync } from 'snappy'
import { allocateUnfilled } from './allocate.ts'
import { FLAGS_OFFSET, HEADER_LENGTH, writeBodyLength } from './envelope.ts'
import { ProtocolError } from './errors.ts'
import { EnvelopeFlag } from './protocol.ts'

export const Compression = { LZ4: 'lz4', SNAPPY: 'snappy' } as const
export type Compression = (typeof Compression)[keyof typeof Compression]

export const COMPRESSIONS: readonly Compression[] = Object.values(Compression)

/** The algorithm of a STARTUP's COMPRESSION, in any case; null where there is none of that name. */
export const compressionNamed = (name: string): Compression | null => {
  const lowerName = name.toLowerCase()
  return COMPRESSIONS.find((compression) => compression === lowerName) ?? null
}

/** An LZ4 body begins with the length that it will have, as the library's own blocks do. */
export const LZ4_PREFIX_LENGTH = 4
/** One byte of a block stands for so many at most: a longer match costs a byte per 255. */
const LZ4_RATIO_MAX = 255
/** A copy of 64 bytes takes three. */
const SNAPPY_RATIO_MAX = 22
/** Of a [varint] with 32 bits. */
const VARINT_LENGTH_MAX = 5

const EMPTY = new Uint8Array(0)

const damaged = (what: string, cause?: unknown): ProtocolError => {
  const why = cause instanceof Error ? `: ${cause.message}` : ''
  return new ProtocolError('COMPRESSED_BODY', `Cannot decompress: ${what}${why}`)
}

/** Throws where `announced` bytes are more than allowed, or more than so many bytes can stand for. */
const checkAnnounced = (
  announced: number,
  packedLength: number,
  ratioMax: number,
  lengthMax: number,
): void => {
  if (announced > lengthMax) {
    throw new ProtocolError(
      'ENVELOPE_TOO_LARGE',
      `Envelope announces a body of ${announced} bytes when decompressed, at most ${lengthMax} are ` +
        'accepted here: send less in one message',
    )
  }
  if (announced > packedLength * ratioMax) {
    throw damaged(`${packedLength} bytes cannot stand for the ${announced} that they announce`)
  }
}

const writeIntLittleEndian = (bytes: Uint8Array, at: number, value: number): void => {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
  bytes[at + 2] = value >>> 16
  bytes[at + 3] = value >>> 24
}

const readInt = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!

/**
 * The LZ4 block between `start` and `end`, which must give exactly `length` bytes. The library wants the
 * length in front of it, little-endian: it stands there while it is called, in place of the four bytes
 * before the block, so that nothing is copied.
 */
export const decompressLz4Block = (
  bytes: Uint8Array,
  start: number,
  end: number,
  length: number,
): Uint8Array => {
  checkAnnounced(length, end - start, LZ4_RATIO_MAX, length)
  const prefix = start - LZ4_PREFIX_LENGTH
  const before = readInt(bytes, prefix)
  writeIntLittleEndian(bytes, prefix, length)
  try {
    const block = uncompressLz4Sync(bytes.subarray(prefix, end))
    if (block.length !== length) throw damaged(`${length} bytes announced, ${block.length} came`)
    return block
  } catch (error) {
    if (error instanceof ProtocolError) throw error
    throw damaged(`an LZ4 block of ${end - start} bytes`, error)
  } finally {
    bytes[prefix] = before >>> 24
    bytes[prefix + 1] = before >>> 16
    bytes[prefix + 2] = before >>> 8
    bytes[prefix + 3] = before
  }
}

/** The LZ4 block of a range, behind LZ4_PREFIX_LENGTH bytes that are the library's. */
export const compressLz4Block = (bytes: Uint8Array, start: number, end: number): Uint8Array =>
  compressLz4Sync(Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start))

/** <length [int]><block>; a body of no bytes is the length 0, and whatever comes behind it. */
const decompressLz4Body = (
  bytes: Uint8Array,
  start: number,
  end: number,
  lengthMax: number,
): Uint8Array => {
  if (end - start < LZ4_PREFIX_LENGTH) throw damaged(`an LZ4 body of ${end - start} bytes`)
  const length = readInt(bytes, start)
  if (length === 0) return EMPTY
  if (length < 0) throw damaged(`an LZ4 body announces ${length} bytes`)
  const blockStart = start + LZ4_PREFIX_LENGTH
  checkAnnounced(length, end - blockStart, LZ4_RATIO_MAX, lengthMax)
  return decompressLz4Block(bytes, blockStart, end, length)
}

/** The [varint] that a Snappy block begins with: seven bits a byte, the lowest first. */
const snappyLength = (bytes: Uint8Array, start: number, end: number): number => {
  let length = 0
  for (let i = 0; i < VARINT_LENGTH_MAX && start + i < end; i++) {
    const byte = bytes[start + i]!
    length += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) return length
  }
  throw damaged('a Snappy body without a length')
}

const decompressSnappyBody = (
  bytes: Uint8Array,
  start: number,
  end: number,
  lengthMax: number,
): Uint8Array => {
  const length = snappyLength(bytes, start, end)
  if (length === 0) return EMPTY
  checkAnnounced(length, end - start, SNAPPY_RATIO_MAX, lengthMax)
  try {
    const packed = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
    const body = uncompressSnappySync(packed, { asBuffer: true })
    if (typeof body !== 'string') return body
  } catch (error) {
    throw damaged(`a Snappy body of ${end - start} bytes`, error)
  }
  throw damaged('a Snappy body that became text')
}

/**
 * The envelope between `start` and `end` in a buffer of its own, its body decompressed and the flag
 * cleared. Only for envelopes with the flag. Throws ProtocolError where the body is damaged, or longer
 * than `bodyLengthMax` bytes when decompressed: before it gets any memory.
 */
export const decompressEnvelope = (
  compression: Compression,
  bytes: Uint8Array,
  start: number,
  end: number,
  bodyLengthMax: number,
): Uint8Array => {
  const bodyStart = start + HEADER_LENGTH
  const body =
    compression === Compression.LZ4
      ? decompressLz4Body(bytes, bodyStart, end, bodyLengthMax)
      : decompressSnappyBody(bytes, bodyStart, end, bodyLengthMax)
  const envelope = allocateUnfilled(HEADER_LENGTH + body.length)
  envelope.set(bytes.subarray(start, bodyStart))
  envelope[FLAGS_OFFSET]! &= ~EnvelopeFlag.COMPRESSION
  writeBodyLength(envelope, 0, body.length)
  envelope.set(body, HEADER_LENGTH)
  return envelope
}

/** Whether the envelope at `start` says that its body is compressed. */
export const isCompressed = (bytes: Uint8Array, start: number): boolean =>
  (bytes[start + FLAGS_OFFSET]! & EnvelopeFlag.COMPRESSION) !== 0
