/** Compressed bodies: what comes out, and what a peer cannot make us do with a few bytes. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  COMPRESSIONS,
  compressionNamed,
  decompressEnvelope,
  isCompressed,
} from '../../src/cql/compression.ts'
import { ProtocolError } from '../../src/cql/errors.ts'
import { buildEnvelope, compressBody } from '../support/fake-cluster/wire.ts'

const LENGTH_MAX = 1024 * 1024
const TRACING = 0x02

const read = (
  algorithm: 'lz4' | 'snappy',
  body: Uint8Array,
  lengthMax = LENGTH_MAX,
  flags = 1,
): Buffer => {
  // Not at the beginning of its buffer, as in a socket's chunk.
  const envelope = Buffer.concat([Buffer.alloc(5, 0xee), buildEnvelope(4, flags, 300, 7, body)])
  const before = envelope.toString('hex')
  try {
    return Buffer.from(decompressEnvelope(algorithm, envelope, 5, envelope.length, lengthMax))
  } finally {
    expect(envelope.toString('hex'), 'the compressed envelope stays as it was').toBe(before)
  }
}

const refusal = (action: () => unknown): string => {
  try {
    action()
  } catch (error) {
    if (error instanceof ProtocolError) return error.code
    throw error
  }
  return 'accepted'
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

describe('names', () => {
  test.each([
    ['lz4', 'lz4'],
    ['LZ4', 'lz4'],
    ['Lz4', 'lz4'],
    ['snappy', 'snappy'],
    ['sNaPpY', 'snappy'],
    ['', null],
    ['lz', null],
    ['zstd', null],
    ['lz4 ', null],
    ['constructor', null],
  ])('%j is %j', (name, compression) => {
    expect(compressionNamed(name)).toBe(compression)
  })
})

describe('golden bodies', () => {
  test.each([
    ['literals only', 'lz4', '00000005 50 68656c6c6f', 'hello'],
    ['a match that overlaps itself', 'lz4', '0000000f 15 61 0100 50 6262626262', 'aaaaaaaaaabbbbb'],
    ['no bytes, as Cassandra writes them', 'lz4', '00000000 00', ''],
    ['no bytes, and any byte behind them', 'lz4', '00000000 7f', ''],
    ['no bytes, and nothing behind them', 'lz4', '00000000', ''],
    ['literals only', 'snappy', '05 10 68656c6c6f', 'hello'],
    ['a copy', 'snappy', '0a 00 61 22 0100', 'aaaaaaaaaa'],
    ['no bytes', 'snappy', '00', ''],
  ] as const)('%s, %s', (_, algorithm, body, text) => {
    const envelope = read(algorithm, hex(body))
    expect(envelope.subarray(9).toString()).toBe(text)
    expect(envelope.readInt32BE(5)).toBe(text.length)
  })
})

describe.each(COMPRESSIONS)('%s', (algorithm) => {
  test('any body comes back, in an envelope that differs in its flag and length only', () => {
    const bodies = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc
        .array(fc.constantFrom('aaaa', 'b', 'cde'), { maxLength: 400 })
        .map((parts) => Buffer.from(parts.join(''))),
    )
    fc.assert(
      fc.property(bodies, (body) => {
        const envelope = read(algorithm, compressBody(algorithm, body), LENGTH_MAX, 1 | TRACING)
        expect(envelope.equals(buildEnvelope(4, TRACING, 300, 7, body))).toBe(true)
        expect(isCompressed(envelope, 0)).toBe(false)
      }),
    )
  })

  test('a body at the limit is accepted, one byte more is not', () => {
    const packed = compressBody(algorithm, Buffer.alloc(1000, 'ab'))
    expect(read(algorithm, packed, 1000).length).toBe(1009)
    expect(refusal(() => read(algorithm, packed, 999))).toBe('ENVELOPE_TOO_LARGE')
  })

  test('cut off anywhere it is refused', () => {
    const packed = compressBody(algorithm, Buffer.from('hello hello hello hello hello, world'))
    for (let length = 0; length < packed.length; length++) {
      expect(refusal(() => read(algorithm, packed.subarray(0, length)))).toBe('COMPRESSED_BODY')
    }
  })

  test('damaged anywhere it is an error or other bytes of the announced length', () => {
    const plain = Buffer.from('hello hello hello hello hello, world')
    const packed = compressBody(algorithm, plain)
    fc.assert(
      fc.property(fc.nat(packed.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const damaged = Buffer.from(packed)
        damaged[at]! ^= mask
        const outcome = refusal(() => {
          const envelope = read(algorithm, damaged)
          expect(envelope.readInt32BE(5)).toBe(envelope.length - 9)
        })
        expect(['accepted', 'COMPRESSED_BODY', 'ENVELOPE_TOO_LARGE']).toContain(outcome)
      }),
      { numRuns: 500 },
    )
  })
})

describe('bombs: what is announced gets no memory', () => {
  const memory = (): number => process.memoryUsage().arrayBuffers

  test.each([
    ['lz4', '7fffffff 00', 0x7fffffff],
    ['lz4', '0fffffff 1f 61 0100 ff ff ff ff', 0x0fffffff],
    ['lz4', 'ffffffff 00', 0x7fffffff],
    ['snappy', 'ffffffff07 00 61', 0x7fffffff],
    ['snappy', 'ffffff7f 00 61 fe 0100', 0x0fffffff],
    ['snappy', 'ffffffffffffffffff', 0x7fffffff],
  ] as const)('%s %s', (algorithm, body, lengthMax) => {
    const before = memory()
    for (let i = 0; i < 20; i++) {
      expect(refusal(() => read(algorithm, hex(body), lengthMax))).toBe('COMPRESSED_BODY')
    }
    expect(memory() - before).toBeLessThan(1024 * 1024)
  })

  test.each(COMPRESSIONS)('%s: the best that a real one can do is let through', (algorithm) => {
    const packed = compressBody(algorithm, Buffer.alloc(LENGTH_MAX))
    expect(read(algorithm, packed).length).toBe(LENGTH_MAX + 9)
  })
})
