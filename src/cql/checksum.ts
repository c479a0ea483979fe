/**
 * The two checksums of v5's frames (v5 §2.2): CRC-24 over the frame's header, CRC-32 over its
 * payload. Pure arithmetic; what a mismatch means is decided in frame.ts.
 */
import { crc32 as zlibCrc32 } from 'node:zlib'

const CRC24_INITIAL = 0x875060
const CRC24_POLYNOMIAL = 0x1974f0b
/** IEEE 802.3, bits reversed. */
const CRC32_POLYNOMIAL = 0xedb88320
/** The CRC-32 of FA 2D 55 CA, which the protocol feeds in before every payload. */
const CRC32_SEED = 0x44777ed3
/** Up to here slicing-by-8 beats a call into zlib (performance-notes §2.2). */
const SLICING_LENGTH_MAX = 256

const CRC24_TABLE = new Int32Array(256).map((_, index) => {
  let crc = index << 16
  for (let bit = 0; bit < 8; bit++) {
    crc <<= 1
    if (crc & 0x1000000) crc ^= CRC24_POLYNOMIAL
  }
  return crc
})

/** Eight tables of 256 in a row; the nth advances a byte's contribution by n more bytes. */
const CRC32_TABLES = new Int32Array(8 * 256)
for (let index = 0; index < 256; index++) {
  let crc = index
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ CRC32_POLYNOMIAL : crc >>> 1
  CRC32_TABLES[index] = crc
}
for (let at = 256; at < CRC32_TABLES.length; at++) {
  const previous = CRC32_TABLES[at - 256]!
  CRC32_TABLES[at] = (previous >>> 8) ^ CRC32_TABLES[previous & 0xff]!
}

/** CRC-24 of a frame header's bytes from `start` to `end`. */
export const crc24 = (bytes: Uint8Array, start: number, end: number): number => {
  let crc = CRC24_INITIAL
  for (let at = start; at < end; at++) {
    crc = ((crc << 8) ^ CRC24_TABLE[((crc >>> 16) ^ bytes[at]!) & 0xff]!) & 0xffffff
  }
  return crc
}

const crc32Sliced = (bytes: Uint8Array, start: number, end: number): number => {
  const tables = CRC32_TABLES
  let crc = ~CRC32_SEED
  let at = start
  for (const last = end - 8; at <= last; at += 8) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    crc =
      tables[1792 + (crc & 0xff)]! ^
      tables[1536 + ((crc >>> 8) & 0xff)]! ^
      tables[1280 + ((crc >>> 16) & 0xff)]! ^
      tables[1024 + (crc >>> 24)]! ^
      tables[768 + bytes[at + 4]!]! ^
      tables[512 + bytes[at + 5]!]! ^
      tables[256 + bytes[at + 6]!]! ^
      tables[bytes[at + 7]!]!
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ tables[(crc ^ bytes[at]!) & 0xff]!
  return ~crc >>> 0
}

/** Seeded CRC-32 of a frame's payload from `start` to `end`, unsigned. */
export const crc32 = (bytes: Uint8Array, start: number, end: number): number =>
  end - start <= SLICING_LENGTH_MAX
    ? crc32Sliced(bytes, start, end)
    : zlibCrc32(bytes.subarray(start, end), CRC32_SEED)
