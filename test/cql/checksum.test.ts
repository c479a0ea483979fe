/** The checksums of v5's frames against a naive, bit by bit computation of the same polynomials. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { crc24, crc32 } from '../../src/cql/checksum.ts'

const CRC32_PREFIX = [0xfa, 0x2d, 0x55, 0xca]

const naiveCrc24 = (bytes: Iterable<number>): number => {
  let crc = 0x875060
  for (const byte of bytes) {
    crc ^= byte << 16
    for (let bit = 0; bit < 8; bit++) {
      crc *= 2
      if (crc >= 0x1000000) crc ^= 0x1974f0b
    }
  }
  return crc
}

const naiveCrc32 = (bytes: Iterable<number>): number => {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  }
  return (crc ^ 0xffffffff) >>> 0
}

const seededCrc32 = (bytes: Uint8Array): number => naiveCrc32([...CRC32_PREFIX, ...bytes])

const ramp = (length: number): Uint8Array =>
  new Uint8Array(length).map((_, index) => (index * 167 + 13) & 0xff)

describe('CRC-24', () => {
  test('equals the naive one for all headers', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 3, maxLength: 5 }), (header) => {
        expect(crc24(header, 0, header.length)).toBe(naiveCrc24(header))
      }),
    )
  })

  test('covers only the range that it is given', () => {
    const bytes = Uint8Array.of(9, 9, 1, 2, 3, 9)
    expect(crc24(bytes, 2, 5)).toBe(naiveCrc24([1, 2, 3]))
  })

  test('of nothing is the initial value', () => {
    expect(crc24(new Uint8Array(0), 0, 0)).toBe(0x875060)
  })
})

describe('CRC-32', () => {
  test('of the naive oracle has the check value of IEEE 802.3', () => {
    expect(naiveCrc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926)
  })

  test.each([0, 1, 7, 8, 9, 15, 16, 17, 255, 256, 257, 263, 1024, 4099])(
    'of %i bytes equals the naive one with the protocol prefix fed in first',
    (length) => {
      const bytes = ramp(length)
      expect(crc32(bytes, 0, length)).toBe(seededCrc32(bytes))
    },
  )

  test('equals the naive one for any range of any bytes', () => {
    const input = fc
      .uint8Array({ maxLength: 700 })
      .chain((bytes) => fc.tuple(fc.constant(bytes), fc.nat(bytes.length), fc.nat(bytes.length)))
    fc.assert(
      fc.property(input, ([bytes, a, b]) => {
        const start = Math.min(a, b)
        const end = Math.max(a, b)
        expect(crc32(bytes, start, end)).toBe(seededCrc32(bytes.subarray(start, end)))
      }),
    )
  })
})
