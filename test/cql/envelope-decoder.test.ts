/** Envelopes out of a stream of bytes, wherever it is cut, and what is refused as early as it can be. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeHeader } from '../../src/cql/envelope.ts'
import { EnvelopeDecoder, requestVersions } from '../../src/cql/envelope-decoder.ts'
import { EnvelopeVersionError, ProtocolError } from '../../src/cql/errors.ts'
import { BareReader, concat, envelope, everyByte, hex, pushCut } from './streams.ts'

const errorOf = (action: () => void): ProtocolError | undefined => {
  try {
    action()
  } catch (error) {
    if (error instanceof ProtocolError) return error
    throw error
  }
  return undefined
}

const header = (version: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(9)
  encodeHeader(bytes, 0, version, 0, 1, 7, length)
  return bytes
}

describe('cutting', () => {
  const envelopes = [envelope(4, 1, 0), envelope(4, -2, 5), envelope(4, 300, 17), envelope(4, 4, 0)]
  const stream = concat(envelopes)
  const expected = envelopes.map(hex)

  test('every two cuts give the same envelopes', () => {
    for (let first = 0; first <= stream.length; first++) {
      for (let second = first; second <= stream.length; second++) {
        const reader = new BareReader()
        pushCut(reader, stream, [first, second])
        expect(reader.envelopes).toEqual(expected)
      }
    }
  })

  test('byte by byte gives the same envelopes', () => {
    const reader = new BareReader()
    pushCut(reader, stream, everyByte(stream))
    expect(reader.envelopes).toEqual(expected)
  })

  test('any envelopes at any cuts come out as they went in', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(80), { maxLength: 8 }),
        fc.array(fc.nat(700), { maxLength: 12 }),
        fc.constantFrom(0x83, 0x84, 0x85),
        (lengths, cuts, version) => {
          const sent = lengths.map((length, index) => envelope(version, index, length))
          const bytes = concat(sent)
          const reader = new BareReader(false)
          const borders = cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b)
          pushCut(reader, bytes, borders)
          expect(reader.envelopes).toEqual(sent.map(hex))
        },
      ),
    )
  })

  test('an envelope that is whole in its chunk is a range of it', () => {
    const chunk = concat([Uint8Array.of(0xff, 0xff), ...envelopes])
    const ranges: [boolean, number, number][] = []
    const decoder = new EnvelopeDecoder({ bodyLengthMax: 100, isRequestSide: true })
    const end = decoder.push(chunk, 2, chunk.length, (bytes, from, to) => {
      ranges.push([bytes === chunk, from, to])
    })
    expect(end).toBe(chunk.length)
    expect(ranges).toEqual([
      [true, 2, 11],
      [true, 11, 25],
      [true, 25, 51],
      [true, 51, 60],
    ])
  })

  test('an envelope of many chunks is put together once, in a buffer of its own size', () => {
    const large = envelope(4, 1, 700_000)
    const lengths: [number, number, number][] = []
    const decoder = new EnvelopeDecoder({ bodyLengthMax: 700_000, isRequestSide: true })
    for (let at = 0; at < large.length; at += 65_536) {
      const chunk = large.slice(at, at + 65_536)
      decoder.push(chunk, 0, chunk.length, (bytes, from, to) => {
        lengths.push([bytes.length, from, to])
        expect(Buffer.compare(bytes, large)).toBe(0)
      })
    }
    expect(lengths).toEqual([[large.length, 0, large.length]])
  })

  test('an announced length costs no memory until its bytes come', () => {
    const before = process.memoryUsage().arrayBuffers
    const decoders = Array.from({ length: 64 }, () => {
      const decoder = new EnvelopeDecoder({ bodyLengthMax: 256 << 20, isRequestSide: true })
      decoder.push(header(4, 256 << 20), 0, 9, () => {})
      return decoder
    })
    const grown = process.memoryUsage().arrayBuffers - before
    expect(decoders.length).toBe(64)
    expect(grown).toBeLessThan(64 * 1024 * 1024)
  })
})

describe('stopping', () => {
  const ready = envelope(0x85, 1, 0)
  const rest = Uint8Array.of(0x0d, 0x00, 0x02)

  test('a handler that returns false leaves the rest unread, at every cut', () => {
    const bytes = concat([ready, rest])
    for (let cut = 0; cut <= ready.length; cut++) {
      const decoder = new EnvelopeDecoder({ bodyLengthMax: 10, isRequestSide: false })
      const stop = (): boolean => false
      const first = decoder.push(bytes, 0, cut, stop)
      expect(first).toBe(cut)
      if (cut < ready.length) {
        expect(decoder.push(bytes, cut, bytes.length, stop)).toBe(ready.length)
      }
    }
  })

  test('it goes on with the next envelope when it is asked again', () => {
    const bytes = concat([ready, envelope(0x85, 2, 3)])
    const seen: number[] = []
    const decoder = new EnvelopeDecoder({ bodyLengthMax: 10, isRequestSide: false })
    const stop = (_: Uint8Array, start: number): boolean => {
      seen.push(start)
      return false
    }
    const at = decoder.push(bytes, 0, bytes.length, stop)
    expect(decoder.push(bytes, at, bytes.length, stop)).toBe(bytes.length)
    expect(seen).toEqual([0, 9])
  })
})

describe('refusing', () => {
  const versionCases: [string, boolean, boolean, number[], number[]][] = [
    ['requests', true, false, [3, 4, 5, 0x41, 0x42], [0, 1, 6, 0x40, 0x43, 0x7f, 0x84, 0xff]],
    ['answers', false, false, [0x83, 0x84, 0x85, 0xc2], [0, 4, 5, 0x80, 0x81, 0x86, 0xc3]],
    ['answers in any version', false, true, [0x83, 0x84, 0x85, 0x86, 0xc1, 0xc2], [0, 4, 5, 0x80]],
  ]

  test.each(versionCases)('version bytes of %s', (_, isRequestSide, acceptAny, good, bad) => {
    for (const version of good) {
      const reader = new BareReader(isRequestSide)
      reader.decoder.acceptAnyVersion = acceptAny
      reader.push(envelope(version, 1, 2))
      expect(reader.envelopes).toEqual([hex(envelope(version, 1, 2))])
    }
    for (const version of bad) {
      for (const length of [1, 9, 11]) {
        const reader = new BareReader(isRequestSide)
        reader.decoder.acceptAnyVersion = acceptAny
        const error = errorOf(() => reader.push(envelope(version, 1, 2), 0, length))
        expect(error?.code).toBe('ENVELOPE_VERSION')
        expect(error).toBeInstanceOf(EnvelopeVersionError)
        expect(error).toHaveProperty('version', version & 0x7f)
        expect(reader.envelopes).toEqual([])
      }
    }
  })

  test('an unsupported version is told in the words that drivers look for', () => {
    const error = errorOf(() => new BareReader().push(header(6, 0)))
    expect(error?.message).toBe(
      'Invalid or unsupported protocol version (6); supported versions are (2/v2, 3/v3, 4/v4, 5/v5, 65/dse-v1, 66/dse-v2)',
    )
    const direction = errorOf(() => new BareReader().push(header(0x84, 0)))
    expect(direction?.message).toBe('Wrong protocol direction, expected REQUEST, got RESPONSE')
  })

  test.each([
    [-1, 'ENVELOPE_LENGTH'],
    [-0x80000000, 'ENVELOPE_LENGTH'],
    [101, 'ENVELOPE_TOO_LARGE'],
    [0x7fffffff, 'ENVELOPE_TOO_LARGE'],
  ])('a body of %i bytes is %s as soon as the header is there', (length, code) => {
    for (const cuts of [[], [1], [8], everyByte(header(4, length))]) {
      const reader = new BareReader(true, 100)
      expect(errorOf(() => pushCut(reader, header(4, length), cuts))?.code).toBe(code)
    }
  })

  test('the limit itself is accepted, and it can be raised', () => {
    const reader = new BareReader(true, 100)
    reader.push(envelope(4, 1, 100))
    reader.decoder.bodyLengthMax = 101
    reader.push(envelope(4, 2, 101))
    expect(reader.envelopes.length).toBe(2)
  })

  test('a limit raised by a handler holds for the envelope behind it', () => {
    const decoder = new EnvelopeDecoder({ bodyLengthMax: 0, isRequestSide: true })
    const bytes = concat([envelope(4, 1, 0), envelope(4, 2, 50)])
    let count = 0
    decoder.push(bytes, 0, bytes.length, () => {
      decoder.bodyLengthMax = 50
      count++
    })
    expect(count).toBe(2)
  })

  test('one bad envelope is one error: nothing behind it is read', () => {
    const reader = new BareReader()
    const bytes = concat([envelope(4, 1, 1), envelope(6, 2, 31), envelope(4, 3, 1)])
    expect(errorOf(() => reader.push(bytes))?.code).toBe('ENVELOPE_VERSION')
    reader.push(bytes)
    expect(reader.envelopes).toEqual([hex(envelope(4, 1, 1))])
  })
})

describe('passing over what is refused', () => {
  const refusedAndGood = [
    envelope(6, 1, 31),
    envelope(4, 2, 3),
    envelope(5, 3, 0),
    envelope(0x30, 4, 300),
    envelope(4, 5, 0),
  ]
  // v1 has a short header on the wire.
  const v1 = envelope(1, 6, 12)
  const stream = concat([...refusedAndGood, v1.subarray(0, 2), v1.subarray(3), envelope(4, 7, 9)])
  const versions = requestVersions([5])

  const reader = (): { pushed: BareReader; refused: number[] } => {
    const refused: number[] = []
    const pushed = new BareReader(true, 1000, versions)
    pushed.decoder.onRefused = (error) => refused.push(error.version)
    return { pushed, refused }
  }

  test('one refusal each, at every cut, and the good ones in between', () => {
    for (let cut = 0; cut <= stream.length; cut++) {
      const { pushed, refused } = reader()
      pushCut(pushed, stream, [cut])
      expect(refused, `cut at ${cut}`).toEqual([6, 5, 0x30, 1])
      expect(pushed.envelopes).toEqual([2, 5, 7].map((id) => hex(good(id))))
    }
  })

  test('byte by byte', () => {
    const { pushed, refused } = reader()
    pushCut(pushed, stream, everyByte(stream))
    expect(refused).toEqual([6, 5, 0x30, 1])
    expect(pushed.envelopes.length).toBe(3)
  })

  test('not where the length is beyond the limit, or the direction is wrong', () => {
    for (const bytes of [header(6, 1001), header(6, -1), header(0x86, 0)]) {
      const { pushed, refused } = reader()
      expect(errorOf(() => pushed.push(bytes))?.code).toBe('ENVELOPE_VERSION')
      expect(refused).toEqual([])
    }
  })

  test('a blocked version is not among those that the answer lists', () => {
    const pushed = new BareReader(true, 1000, versions)
    expect(errorOf(() => pushed.push(header(5, 0)))?.message).toBe(
      'Invalid or unsupported protocol version (5); supported versions are (2/v2, 3/v3, 4/v4, 65/dse-v1, 66/dse-v2)',
    )
  })

  const good = (streamId: number): Uint8Array =>
    envelope(4, streamId, streamId === 2 ? 3 : streamId === 5 ? 0 : 9)
})
