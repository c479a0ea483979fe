/** Values as they are bound (v5 §6). */
import { expect, test } from 'vitest'
import { FunctionValues } from '../../src/statement/function-values.ts'
import { cqlFunction } from '../../src/statement/functions.ts'

const values = new FunctionValues((bytes) => bytes.fill(0xff))
const hex = (name: Parameters<typeof cqlFunction>[0], wallMs: number): string =>
  Buffer.from(values.next(cqlFunction(name), wallMs)).toString('hex')

test.each([
  ['currentTimestamp', 1636481612705, '0000017d05e7bba1'],
  ['currentTimestamp', -1, 'ffffffffffffffff'],
  ['currentDate', 0, '80000000'],
  ['currentDate', 86_399_999, '80000000'],
  ['currentDate', 86_400_000, '80000001'],
  ['currentTime', 86_400_000, '0000000000000000'],
  ['currentTime', 1.5, '00000000000f4240'],
  ['uuid', 0, 'ffffffffffff4fffbfffffffffffffff'],
] as const)('%s at %d ms is %s', (name, wallMs, expected) => {
  expect(hex(name, wallMs)).toBe(expected)
})
