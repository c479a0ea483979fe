import { describe, expect, test } from 'vitest'
import {
  formatAddress,
  isAnyAddress,
  parseAddress,
  toSixteenBytes,
} from '../../src/cluster/address.ts'

const bytesOf = (text: string): Uint8Array => {
  const bytes = parseAddress(text)
  if (bytes === null) throw new Error(`${text} is no address`)
  return bytes
}

describe('an address', () => {
  test.each([
    ['127.0.0.1', '7f000001', '00000000000000000000ffff7f000001'],
    ['::ffff:127.0.0.1', '7f000001', '00000000000000000000ffff7f000001'],
    ['::ffff:7f00:1', '7f000001', '00000000000000000000ffff7f000001'],
    ['::127.0.0.1', '0000000000000000000000007f000001', '0000000000000000000000007f000001'],
    ['2001:DB8::1', '20010db8000000000000000000000001', '20010db8000000000000000000000001'],
  ])('%s has the bytes %s and the 16-byte form %s', (text, bytes, sixteen) => {
    expect(bytesOf(text).toHex()).toBe(bytes)
    expect(toSixteenBytes(bytesOf(text)).toHex()).toBe(sixteen)
  })

  test.each(['', 'localhost', '1.2.3.256', '1.2.3.4::', ':::', '1::2::3', 'fe80::1%eth0'])(
    'is not "%s"',
    (text) => {
      expect(parseAddress(text)).toBeNull()
    },
  )

  test.each([
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['0:0:0:0:0:FFFF:10.0.0.1', '10.0.0.1'],
    ['0:0:0:0:0:0:0:0', '::'],
  ])('%s reads as %s', (text, canonical) => {
    expect(formatAddress(bytesOf(text))).toBe(canonical)
    expect(formatAddress(toSixteenBytes(bytesOf(text)))).toBe(canonical)
  })

  test.each([
    ['0.0.0.0', true],
    ['::', true],
    ['127.0.0.1', false],
    ['::1', false],
  ])('%s means any address: %s', (text, expected) => {
    expect(isAnyAddress(bytesOf(text))).toBe(expected)
  })
})
