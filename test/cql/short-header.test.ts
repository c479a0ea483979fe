/** v2's header of eight bytes on its way in and out: inside, every header has nine. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EnvelopeDecoder } from '../../src/cql/envelope-decoder.ts'
import { narrowHeaders } from '../../src/cql/short-header.ts'
import { BareReader, concat, envelope, everyByte, hex, pushCut } from './streams.ts'

/** As it is on the wire: the stream id's high byte left out. */
const onWire = (wide: Uint8Array): Uint8Array =>
  (wide[0]! & 0x7f) > 2 ? wide : concat([wide.subarray(0, 2), wide.subarray(3)])

describe('in', () => {
  const wide = [
    envelope(2, 0, 0),
    envelope(2, 127, 5),
    envelope(2, -1, 300),
    envelope(4, 300, 17),
    envelope(2, 3, 0),
  ]
  const wire = concat(wide.map(onWire))

  test('at every cut', () => {
    for (let cut = 0; cut <= wire.length; cut++) {
      const reader = new BareReader()
      pushCut(reader, wire, [cut])
      expect(reader.envelopes, `cut at ${cut}`).toEqual(wide.map(hex))
    }
  })

  test('byte by byte', () => {
    const reader = new BareReader()
    pushCut(reader, wire, everyByte(wire))
    expect(reader.envelopes).toEqual(wide.map(hex))
  })

  test('answers of v2 and v1 too, where any version is accepted', () => {
    const answers = [envelope(0x82, 9, 4), envelope(0x81, 9, 4), envelope(0x84, 9, 4)]
    const reader = new BareReader(false)
    reader.decoder.acceptAnyVersion = true
    reader.push(concat(answers.map(onWire)))
    expect(reader.envelopes).toEqual(answers.map(hex))
  })

  test('a handler that stops gets the rest later', () => {
    const decoder = new EnvelopeDecoder({ bodyLengthMax: 1000, isRequestSide: true })
    const seen: string[] = []
    let at = 0
    for (let i = 0; i < wide.length; i++) {
      at = decoder.push(wire, at, wire.length, (bytes, start, end) => {
        seen.push(hex(bytes.subarray(start, end)))
        return false
      })
    }
    expect(at).toBe(wire.length)
    expect(seen).toEqual(wide.map(hex))
  })
})

test('out: what went in, whatever versions are mixed', () => {
  const envelopes = fc.array(
    fc
      .tuple(fc.constantFrom(2, 0x82, 0x81, 4, 0x84), fc.integer({ min: -1, max: 127 }), fc.nat(40))
      .map((parts) => envelope(...parts)),
  )
  fc.assert(
    fc.property(envelopes, (wide) => {
      const bytes = concat(wide)
      const length = narrowHeaders(bytes, bytes.length)
      expect(hex(bytes.subarray(0, length))).toBe(hex(concat(wide.map(onWire))))
    }),
  )
})
