import { expect, test } from 'vitest'
import { addressSpaceMaxOf } from '../../src/metrics/address-space.ts'

const HEAD = 'Limit                     Soft Limit           Hard Limit           Units\n'
const FILES = 'Max open files            1024                 4096                 files\n'

test.each([
  ['Max address space         unlimited            unlimited            bytes\n', 2 ** 64],
  ['Max address space         8589934592           unlimited            bytes\n', 8_589_934_592],
  ['', null],
])('of %j the limit is %s', (line, bytes) => {
  expect(addressSpaceMaxOf(HEAD + FILES + line)).toBe(bytes)
})
