/** Every message of every version from golden bytes and back, and cut off at every byte. */
import { describe, expect, test } from 'vitest'
import { HEADER_LENGTH, OPCODE_OFFSET, readBodyLength } from '../../../src/cql/envelope.ts'
import { ProtocolError } from '../../../src/cql/errors.ts'
import { Opcode, SUPPORTED_VERSIONS } from '../../../src/cql/protocol.ts'
import { hex } from '../streams.ts'
import { ALL_GOLDENS, goldenBytes, readGoldens, roundTrip, toPlain } from './golden.ts'

const named = ALL_GOLDENS.map((golden) => ({
  ...golden,
  title: `v${golden.version} ${golden.name}`,
}))

describe.each(named)('$title', (golden) => {
  const bytes = goldenBytes(golden)

  test('has a header that fits', () => {
    expect(bytes[0]! & 0x7f).toBe(golden.version)
    expect(readBodyLength(bytes, 0)).toBe(bytes.length - HEADER_LENGTH)
  })

  test('says what the file says', () => {
    const { message, reader } = roundTrip(bytes, golden.version)
    expect(toPlain(message)).toEqual(golden.message)
    expect(reader.remaining).toBe(0)
  })

  test('is written as it was read', () => {
    const { writer } = roundTrip(bytes, golden.version)
    expect(hex(writer.toBytes())).toBe(hex(bytes.subarray(HEADER_LENGTH)))
  })

  test('is refused when it is cut, although its bytes go on behind the cut', () => {
    const validCuts = golden.validCuts ?? []
    for (let length = 0; length < bytes.length - HEADER_LENGTH; length++) {
      const read = (): unknown => roundTrip(bytes, golden.version, HEADER_LENGTH + length)
      if (validCuts.includes(length)) expect(read).not.toThrow()
      else expect(read).toThrow(ProtocolError)
    }
  })
})

test.each(SUPPORTED_VERSIONS)('version %i has golden bytes of every opcode', (version) => {
  const opcodes = new Set(readGoldens(version).map((golden) => goldenBytes(golden)[OPCODE_OFFSET]))
  expect([...opcodes].sort((a, b) => a! - b!)).toEqual(Object.values(Opcode).sort((a, b) => a - b))
})
