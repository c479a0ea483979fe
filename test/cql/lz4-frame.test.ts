/** v5 frames on a connection with LZ4: sealed here and read by the tests' own reader, and the reverse. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { crc24 } from '../../src/cql/checksum.ts'
import { ProtocolError } from '../../src/cql/errors.ts'
import {
  FRAME_PAYLOAD_LENGTH_MAX,
  FRAME_TRAILER_LENGTH,
  LZ4_FRAME_HEADER_LENGTH,
  sealLz4Frame,
  splitIntoFrames,
} from '../../src/cql/frame.ts'
import { EnvelopeStream, encodeFrames, encodeLz4Frame } from '../support/fake-cluster/wire.ts'
import { concat, envelope, everyByte, FramedReader, hex, pushCut } from './streams.ts'

const sealed = (payload: Uint8Array, isSelfContained = true): Uint8Array => {
  const overhead = LZ4_FRAME_HEADER_LENGTH + FRAME_TRAILER_LENGTH
  const bytes = new Uint8Array(payload.length + overhead)
  bytes.set(payload, LZ4_FRAME_HEADER_LENGTH)
  return bytes.subarray(0, sealLz4Frame(bytes, 0, payload.length, isSelfContained))
}

/** What the tests' own reader makes of frames. */
const readBack = (frames: Uint8Array): string[] => {
  const stream = new EnvelopeStream()
  stream.compression = 'lz4'
  stream.useFrames()
  return [...stream.push(frames)].map(({ bytes }) => hex(bytes))
}

const compressible = (streamId: number, length: number): Uint8Array => {
  const bytes = envelope(5, streamId, length)
  bytes.fill(7, 9)
  return bytes
}

describe('sealing', () => {
  test.each([0, 50, 54, 55, 64, 1000, 60_000])(
    'a body of %i bytes is read back, and shorter on the wire where it can be',
    (length) => {
      const bytes = compressible(1, length)
      const frame = sealed(bytes)
      expect(readBack(frame)).toEqual([hex(bytes)])
      if (length >= 64) expect(frame.length).toBeLessThan(bytes.length)
      else expect(frame.length).toBeLessThanOrEqual(bytes.length + 12)
    },
  )

  test('what does not get shorter is sent as it is, with a decompressed length of 0', () => {
    const random = Uint8Array.from({ length: 500 }, (_, i) => (i * i * 37 + (i >> 3) * 91) & 0xff)
    const bytes = envelope(5, 1, 500)
    bytes.set(
      random.map((byte, i) => byte ^ (i * 13)),
      9,
    )
    const frame = Buffer.from(sealed(bytes))
    const header = frame.readUIntLE(0, 5)
    if (frame.length === bytes.length + 12) expect(Math.floor(header / 2 ** 17) & 0x1ffff).toBe(0)
    expect(readBack(frame)).toEqual([hex(bytes)])
  })

  test('an envelope that is too large becomes frames that are not self-contained', () => {
    for (const length of [FRAME_PAYLOAD_LENGTH_MAX - 8, 3 * FRAME_PAYLOAD_LENGTH_MAX]) {
      const bytes = compressible(2, length)
      expect(readBack(splitIntoFrames(bytes, 0, bytes.length, true))).toEqual([hex(bytes)])
    }
  })
})

describe('reading', () => {
  const envelopes = [compressible(1, 200), envelope(5, 2, 3), compressible(3, 0)]
  const stream = concat([
    encodeLz4Frame(concat(envelopes.slice(0, 2)), true),
    encodeLz4Frame(envelopes[2]!, true, false),
    encodeLz4Frame(envelopes[0]!.subarray(0, 100), false),
    encodeLz4Frame(envelopes[0]!.subarray(100), false),
  ])
  const expected = [...envelopes, envelopes[0]!].map(hex)

  test('at every cut', () => {
    for (let cut = 0; cut <= stream.length; cut++) {
      const reader = new FramedReader(true, 1000, true)
      pushCut(reader, stream, [cut])
      expect(reader.envelopes, `cut at ${cut}`).toEqual(expected)
    }
  })

  test('byte by byte', () => {
    const reader = new FramedReader(true, 1000, true)
    pushCut(reader, stream, everyByte(stream))
    expect(reader.envelopes).toEqual(expected)
  })

  test('any envelopes, sealed here or by another, come out as they went in', () => {
    const lengths = fc.array(fc.oneof(fc.nat(300), fc.constantFrom(5_000, 140_000)), {
      maxLength: 6,
    })
    fc.assert(
      fc.property(lengths, fc.boolean(), (all, isOurs) => {
        const sent = all.map((length, i) =>
          i % 2 ? compressible(i, length) : envelope(5, i, length),
        )
        const frames = sent.map((bytes) => {
          if (!isOurs) return encodeFrames(bytes, true)
          return bytes.length > FRAME_PAYLOAD_LENGTH_MAX
            ? splitIntoFrames(bytes, 0, bytes.length, true)
            : sealed(bytes)
        })
        const reader = new FramedReader(true, 200_000, true)
        reader.push(concat(frames))
        expect(reader.envelopes).toEqual(sent.map(hex))
      }),
      { numRuns: 30 },
    )
  })

  test('a byte that was damaged is noticed wherever it is', () => {
    const frame = encodeLz4Frame(envelopes[0]!, true)
    for (let at = 0; at < frame.length; at++) {
      const damaged = Buffer.from(frame)
      damaged[at]! ^= 0x10
      const reader = new FramedReader(true, 1000, true)
      expect(() => reader.push(damaged), `byte ${at}`).toThrow(ProtocolError)
      expect(reader.envelopes).toEqual([])
    }
  })

  test('a frame that announces what its bytes cannot stand for is refused', () => {
    const bytes = Buffer.from(encodeLz4Frame(compressible(1, 120_000).subarray(0, 100), true))
    // The lengths are changed and sealed anew, as a peer that lies would do it.
    const payload = bytes.subarray(LZ4_FRAME_HEADER_LENGTH, bytes.length - FRAME_TRAILER_LENGTH)
    const frame = lyingFrame(payload, FRAME_PAYLOAD_LENGTH_MAX)
    const reader = new FramedReader(true, 200_000, true)
    expect(() => reader.push(frame)).toThrow('cannot stand for')
  })
})

/** A frame around a block that says that it becomes `length` bytes. */
const lyingFrame = (block: Uint8Array, length: number): Uint8Array => {
  const raw = Buffer.from(encodeLz4Frame(block, true, false))
  raw[2]! |= (length << 1) & 0xff
  raw[3] = length >>> 7
  raw[4]! |= length >>> 15
  raw.writeUIntLE(crc24(raw, 0, 5), 5, 3)
  return raw
}
