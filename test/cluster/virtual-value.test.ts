import { describe, expect, test } from 'vitest'
import {
  assertComparable,
  BOUND_LIST_LENGTH_MAX,
  type Constant,
  checkBound,
  checkBoundList,
  compareValues,
  encodeConstant,
  type TypedColumn,
  VirtualSelectError,
} from '../../src/cluster/virtual-value.ts'
import { ErrorCode, TypeId } from '../../src/cql/protocol.ts'
import { nativeType } from '../../src/cql/type-option.ts'
import { encodeElements } from '../../src/cql/values.ts'

const column = (type: keyof typeof TypeId): TypedColumn => ({
  name: 'c',
  type: nativeType(TypeId[type]),
})

const refused = (message: string): unknown =>
  expect.objectContaining({
    errorCode: ErrorCode.INVALID,
    message: expect.stringContaining(message),
  })

const HOST_ID = '70ce2f37-9d6d-5010-98d8-80fe51a498ed'

describe('constants', () => {
  type Case = readonly [
    type: keyof typeof TypeId,
    kind: Constant['kind'],
    text: string,
    hex: string,
  ]
  const cases: readonly Case[] = [
    ['VARCHAR', 'string', 'é', 'c3a9'],
    ['ASCII', 'string', '', ''],
    ['INT', 'integer', '-2147483648', '80000000'],
    ['INT', 'integer', '2147483647', '7fffffff'],
    ['INT', 'integer', '007', '00000007'],
    ['BIGINT', 'integer', '-9223372036854775808', '8000000000000000'],
    ['BIGINT', 'integer', '9223372036854775807', '7fffffffffffffff'],
    ['BOOLEAN', 'boolean', 'True', '01'],
    ['BOOLEAN', 'boolean', 'false', '00'],
    ['UUID', 'uuid', HOST_ID.toUpperCase(), HOST_ID.replaceAll('-', '')],
    ['INET', 'string', '10.0.0.1', '0a000001'],
    ['INET', 'string', '::1', '00000000000000000000000000000001'],
  ]
  test.each(cases)('%s from %s %j', (type, kind, text, hex) => {
    expect(encodeConstant(column(type), { kind, text }).toHex()).toBe(hex)
  })

  const wrong: readonly (readonly [keyof typeof TypeId, Constant['kind'], string])[] = [
    ['VARCHAR', 'integer', '1'],
    ['VARCHAR', 'uuid', HOST_ID],
    ['INT', 'integer', '2147483648'],
    ['INT', 'integer', '-2147483649'],
    ['INT', 'string', '1'],
    ['INT', 'float', '1.0'],
    ['BIGINT', 'integer', '9223372036854775808'],
    ['BOOLEAN', 'string', 'true'],
    ['UUID', 'string', HOST_ID],
    ['INET', 'string', '10.0.0'],
    ['INET', 'blob', '0x0a000001'],
  ]
  test.each(wrong)('%s refuses %s %j', (type, kind, text) => {
    expect(() => encodeConstant(column(type), { kind, text })).toThrow(
      refused(`Invalid ${kind.toUpperCase()} constant (${text}) for "c"`) as Error,
    )
  })
})

describe('bound values', () => {
  const lengths: readonly (readonly [keyof typeof TypeId, number[]])[] = [
    ['INT', [4]],
    ['BIGINT', [8]],
    ['BOOLEAN', [1]],
    ['UUID', [16]],
    ['INET', [4, 16]],
    ['VARCHAR', Array.from({ length: 21 }, (_, length) => length)],
  ]
  test.each(lengths)('%s has a length in %j', (type, expected) => {
    const isTaken = (length: number): boolean => {
      try {
        return checkBound(column(type), new Uint8Array(length)).length === length
      } catch (error) {
        if (error instanceof VirtualSelectError) return false
        throw error
      }
    }
    const taken = Array.from({ length: 21 }, (_, length) => length).filter(isTaken)
    expect(taken).toEqual(expected)
  })

  test('a list is as long as its bound and no longer', () => {
    const element = new Uint8Array(BOUND_LIST_LENGTH_MAX - 8)
    expect(checkBoundList(column('VARCHAR'), encodeElements([element]))).toEqual([element])
    const tooLong = encodeElements([new Uint8Array(element.length + 1)])
    expect(() => checkBoundList(column('VARCHAR'), tooLong)).toThrow(
      refused(`${BOUND_LIST_LENGTH_MAX + 1} bytes`) as Error,
    )
  })

  test('each element of a list is checked', () => {
    const list = encodeElements([new Uint8Array(4), new Uint8Array(3)])
    expect(() => checkBoundList(column('INT'), list)).toThrow(refused('got 3') as Error)
  })
})

describe('order', () => {
  const ascending: readonly (readonly [keyof typeof TypeId, string[]])[] = [
    ['INT', ['', '80000000', 'ffffffff', '00000000', '7fffffff']],
    [
      'BIGINT',
      ['', '8000000000000000', 'ffffffffffffffff', '0000000000000000', '7fffffffffffffff'],
    ],
    ['VARCHAR', ['', '41', '4141', '61', 'c3a9']],
    ['BOOLEAN', ['', '00', '01']],
    ['INET', ['', '09000000', '0a000001', '7f000001']],
  ]
  test.each(ascending)('%s %j', (type, hex) => {
    const values = hex.map((one) => Uint8Array.fromHex(one))
    values.forEach((a, i) => {
      const signs = values.map((b) => Math.sign(compareValues(column(type), a, b)))
      expect(signs, hex[i]).toEqual(values.map((_, j) => Math.sign(i - j)))
    })
  })
})

test.each(['BLOB', 'TIMESTAMP', 'DURATION'] as const)('%s cannot be restricted', (type) => {
  expect(() => assertComparable(column(type))).toThrow(refused('Cannot restrict column c') as Error)
})
