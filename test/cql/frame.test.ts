/** v5 frames: sealing, splitting, and decoding however the network cuts them. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ProtocolError } from '../../src/cql/errors.ts'
import {
  FRAME_HEADER_LENGTH,
  FRAME_PAYLOAD_LENGTH_MAX,
  FRAME_TRAILER_LENGTH,
  FrameDecoder,
  sealFrame,
  splitIntoFrames,
} from '../../src/cql/frame.ts'
import {
  concat,
  envelope,
  everyByte,
  FramedReader,
  frameOf,
  hex,
  pattern,
  pushCut,
} from './streams.ts'

const OVERHEAD = FRAME_HEADER_LENGTH + FRAME_TRAILER_LENGTH

const codeOf = (action: () => void): string | undefined => {
  try {
    action()
  } catch (error) {
    if (error instanceof ProtocolError) return error.code
    throw error
  }
  return undefined
}

describe('sealing', () => {
  test('writes length and self-contained bit little-endian, and leaves the bytes around alone', () => {
    const bytes = new Uint8Array(2 + OVERHEAD + 3 + 2).fill(0xaa)
    bytes.set([1, 2, 3], 2 + FRAME_HEADER_LENGTH)
    sealFrame(bytes, 2, 3, true)
    expect(hex(bytes.subarray(2, 5))).toBe('030002')
    expect(hex(bytes.subarray(8, 11))).toBe('010203')
    expect([bytes[0], bytes[1], bytes.at(-2), bytes.at(-1)]).toEqual([0xaa, 0xaa, 0xaa, 0xaa])
  })

  test('uses all 17 bits of the length', () => {
    const frame = frameOf(pattern(FRAME_PAYLOAD_LENGTH_MAX), false)
    expect(hex(frame.subarray(0, 3))).toBe('ffff01')
  })

  test('of an empty OPTIONS envelope is the known frame', () => {
    const options = Uint8Array.from(Buffer.from('050000000500000000', 'hex'))
    expect(hex(frameOf(options))).toBe(GOLDEN_OPTIONS_FRAME)
  })
})

/** Worked out bit by bit from the specification's polynomials (see checksum.test.ts). */
const GOLDEN_OPTIONS_FRAME = '090002a4c8c10500000005000000001086284d'

describe('splitting', () => {
  test.each([
    [1, 1],
    [FRAME_PAYLOAD_LENGTH_MAX, 1],
    [FRAME_PAYLOAD_LENGTH_MAX + 1, 2],
    [2 * FRAME_PAYLOAD_LENGTH_MAX, 2],
    [2 * FRAME_PAYLOAD_LENGTH_MAX + 7, 3],
  ])('%i bytes make %i frames that are not self-contained', (length, count) => {
    const bytes = pattern(length + 4)
    const frames = splitIntoFrames(bytes, 4, bytes.length)
    expect(frames.length).toBe(length + count * OVERHEAD)
    expect(frames[2]! & 0x02).toBe(0)
    const payloads: Uint8Array[] = []
    new FrameDecoder().push(frames, 0, frames.length, (b, from, to) => {
      payloads.push(b.slice(from, to))
    })
    expect(payloads.length).toBe(count)
    expect(Buffer.compare(concat(payloads), bytes.subarray(4))).toBe(0)
  })
})

describe('decoding', () => {
  test('hands on a whole frame where it lies, without a copy', () => {
    const frame = frameOf(pattern(40))
    const chunk = concat([Uint8Array.of(1, 2, 3), frame, frame])
    const ranges: [boolean, number, number][] = []
    new FrameDecoder().push(chunk, 3, chunk.length, (bytes, from, to) => {
      ranges.push([bytes === chunk, from, to])
    })
    expect(ranges).toEqual([
      [true, 9, 49],
      [true, 59, 99],
    ])
  })

  test('hands on a straddling frame in a buffer that later frames do not touch', () => {
    const first = frameOf(pattern(40, 1))
    const second = frameOf(pattern(40, 2))
    const kept: Uint8Array[] = []
    const decoder = new FrameDecoder()
    const consume = (bytes: Uint8Array, from: number, to: number): void => {
      kept.push(bytes.subarray(from, to))
    }
    for (const frame of [first, second]) {
      decoder.push(frame.slice(0, 20), 0, 20, consume)
      decoder.push(frame.slice(20), 0, frame.length - 20, consume)
    }
    expect(kept.map(hex)).toEqual([hex(pattern(40, 1)), hex(pattern(40, 2))])
  })

  const small = [envelope(5, 1, 0), envelope(5, 2, 5), envelope(5, 3, 11)]
  const streams: [string, Uint8Array, Uint8Array[]][] = [
    ['one envelope a frame', concat(small.map((e) => frameOf(e))), small],
    ['several envelopes in one frame', frameOf(concat(small)), small],
    [
      'an envelope header over two frames',
      concat([
        frameOf(concat([small[0]!, small[1]!.subarray(0, 4)]), false),
        frameOf(concat([small[1]!.subarray(4), small[2]!]), false),
      ]),
      small,
    ],
    [
      'an envelope over three frames, and an empty frame',
      concat([
        frameOf(small[2]!.subarray(0, 1), false),
        frameOf(new Uint8Array(0)),
        frameOf(small[2]!.subarray(1, 12), false),
        frameOf(small[2]!.subarray(12), false),
      ]),
      [small[2]!],
    ],
  ]

  describe.each(streams)('%s', (_, bytes, envelopes) => {
    const expected = envelopes.map(hex)

    test('comes out whole at every two cuts', () => {
      for (let first = 0; first <= bytes.length; first++) {
        for (let second = first; second <= bytes.length; second++) {
          const reader = new FramedReader()
          pushCut(reader, bytes, [first, second])
          expect(reader.envelopes).toEqual(expected)
        }
      }
    })

    test('comes out whole byte by byte', () => {
      const reader = new FramedReader()
      pushCut(reader, bytes, everyByte(bytes))
      expect(reader.envelopes).toEqual(expected)
    })

    test('gives nothing but whole envelopes when it ends early', () => {
      for (let end = 0; end < bytes.length; end++) {
        const reader = new FramedReader()
        reader.push(bytes, 0, end)
        expect(expected.slice(0, reader.envelopes.length)).toEqual(reader.envelopes)
        expect(reader.envelopes.length).toBeLessThan(expected.length)
      }
    })
  })

  test('takes frames of the maximal size and envelopes of more, in chunks of a socket', () => {
    const exact = envelope(5, 1, FRAME_PAYLOAD_LENGTH_MAX - 9)
    const larger = envelope(5, 2, FRAME_PAYLOAD_LENGTH_MAX - 8)
    const largest = envelope(5, 3, 3 * FRAME_PAYLOAD_LENGTH_MAX)
    const bytes = concat([
      frameOf(exact),
      splitIntoFrames(larger, 0, larger.length),
      splitIntoFrames(largest, 0, largest.length),
      frameOf(small[1]!),
    ])
    for (const step of [65_536, 4_099, bytes.length]) {
      const reader = new FramedReader()
      const cuts = Array.from({ length: Math.floor(bytes.length / step) }, (_, i) => (i + 1) * step)
      pushCut(
        reader,
        bytes,
        cuts.filter((cut) => cut < bytes.length),
      )
      expect(reader.envelopes).toEqual([exact, larger, largest, small[1]!].map(hex))
    }
  })

  test('does not depend on how frames and chunks are cut', () => {
    const cut = fc.array(fc.nat(300), { maxLength: 8 })
    fc.assert(
      fc.property(fc.array(fc.nat(60), { maxLength: 6 }), cut, cut, (lengths, frameCuts, cuts) => {
        const envelopes = lengths.map((length, index) => envelope(5, index, length))
        const stream = concat(envelopes)
        const within = (all: number[], length: number): number[] =>
          all.filter((at) => at < length).sort((a, b) => a - b)
        const borders = [0, ...within(frameCuts, stream.length), stream.length]
        const frames = borders
          .slice(1)
          .map((to, index) => frameOf(stream.subarray(borders[index], to), false))
        const bytes = concat(frames)
        const reader = new FramedReader()
        pushCut(reader, bytes, within(cuts, bytes.length))
        expect(reader.envelopes).toEqual(envelopes.map(hex))
      }),
    )
  })
})

describe('damage', () => {
  const frame = frameOf(envelope(5, 1, 12))

  test.each(
    everyByte(frame)
      .map((at) => at - 1)
      .concat(frame.length - 1),
  )('of byte %i is noticed, whole and byte by byte', (at) => {
    for (const bit of [0x01, 0x80]) {
      const damaged = frame.slice()
      damaged[at]! ^= bit
      const code = at < FRAME_HEADER_LENGTH ? 'FRAME_HEADER_CHECKSUM' : 'FRAME_PAYLOAD_CHECKSUM'
      for (const cuts of [[], everyByte(damaged)]) {
        const reader = new FramedReader()
        expect(codeOf(() => pushCut(reader, damaged, cuts))).toBe(code)
        expect(reader.payloads).toEqual([])
      }
    }
  })

  test('ends the stream: what follows is not looked at', () => {
    const damaged = frame.slice()
    damaged[0]! ^= 1
    const reader = new FramedReader()
    expect(codeOf(() => reader.push(concat([frame, damaged, frame])))).toBe('FRAME_HEADER_CHECKSUM')
    reader.push(frame)
    expect(reader.payloads.length).toBe(1)
  })
})
