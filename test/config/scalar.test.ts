import { describe, expect, test } from 'vitest'
import {
  isNull,
  parseBoolean,
  parseInteger,
  parseNumber,
  type Scalar,
} from '../../src/config/scalar.ts'

const environment = (text: string): Scalar => ({ form: 'environment', text })
const plain = (text: string): Scalar => ({ form: 'plain', text })
const quoted = (text: string): Scalar => ({ form: 'quoted', text })

describe('a whole number in the environment', () => {
  test.each([
    ['0', 0],
    ['9042', 9042],
    ['+9042', 9042],
    ['-1', -1],
    ['-0', 0],
    ['007', 7],
    ['010', 8],
    ['-010', -8],
    ['0_10', 8],
    ['0x1F', 31],
    ['0X1f', 31],
    ['0x_1F', 31],
    ['0o17', 15],
    ['0O17', 15],
    ['0b101', 5],
    ['0B101', 5],
    ['1_000', 1000],
    ['1_0_0', 100],
  ])('%j is %i', (text, value) => {
    expect(parseInteger(environment(text))?.value).toBe(value)
  })

  test.each([
    '',
    ' 1',
    '1 ',
    '1\n',
    '1e3',
    '1.0',
    '08',
    '0o8',
    '0b2',
    '0x',
    '0xg',
    '_1',
    '1_',
    '1__0',
    '--1',
    '+',
    'abc',
    '1,000',
    '٣',
  ])('%j is none', (text) => {
    expect(parseInteger(environment(text))).toBeNull()
  })

  test.each(['010', '-010', '0_10'])('%j comes with a remark that it is octal', (text) => {
    expect(parseInteger(environment(text))?.remark).toMatch(
      /^-?8, because a leading 0 means octal$/,
    )
  })

  test.each(['0', '007', '10', '0o17'])('%j comes without a remark', (text) => {
    expect(parseInteger(environment(text))).not.toHaveProperty('remark')
  })
})

describe('a whole number in YAML', () => {
  test.each([
    ['9042', 9042],
    ['0x1F', 31],
    ['010', 8],
    ['0o17', 15],
    ['1_000', 1000],
    ['-1', -1],
    ['9042.5', 9042],
    ['-1.9', -1],
    ['-0.5', 0],
    ['1e3', 1000],
    ['.5', 0],
    ['09', 9],
  ])('%s is %i', (text, value) => {
    expect(parseInteger(plain(text))?.value).toBe(value)
  })

  test.each(['abc', '.inf', '-.inf', '.nan', '1:30', 'yes', '1e999', '_'])('%s is none', (text) => {
    expect(parseInteger(plain(text))).toBeNull()
  })

  test('is none with quotes', () => {
    expect(parseInteger(quoted('9042'))).toBeNull()
    expect(parseNumber(quoted('2.5'))).toBeNull()
  })

  test.each([
    ['9042.5', '9042, without the fraction'],
    ['010', '8, because a leading 0 means octal'],
    ['9042.0', undefined],
    ['1e3', undefined],
  ])('%s has the remark %j', (text, remark) => {
    expect(parseInteger(plain(text))?.remark).toBe(remark)
  })
})

describe('a number with a fraction', () => {
  test.each([
    ['2', 2],
    ['-2.5', -2.5],
    ['+.5', 0.5],
    ['5.', 5],
    ['1e-3', 0.001],
    ['1.5E2', 150],
    ['010', 10],
  ])('in the environment %s is %d', (text, value) => {
    expect(parseNumber(environment(text))?.value).toBe(value)
  })

  test.each(['', '.', 'e5', '1e', 'inf', 'NaN', '1e999', '0x10', '1_000', ' 2', '2 '])(
    'in the environment %j is none',
    (text) => {
      expect(parseNumber(environment(text))).toBeNull()
    },
  )

  test.each([
    ['2', 2],
    ['1.5', 1.5],
    ['0x10', 16],
    ['1_000.5', 1000.5],
  ])('in YAML %s is %d', (text, value) => {
    expect(parseNumber(plain(text))?.value).toBe(value)
  })

  test.each(['.inf', '.nan', 'two'])('in YAML %s is none', (text) => {
    expect(parseNumber(plain(text))).toBeNull()
  })
})

const GO_TRUE = ['1', 't', 'T', 'TRUE', 'true', 'True']
const GO_FALSE = ['0', 'f', 'F', 'FALSE', 'false', 'False']
const YAML_TRUE = ['y', 'Y', 'yes', 'Yes', 'YES', 'on', 'On', 'ON']
const YAML_FALSE = ['n', 'N', 'no', 'No', 'NO', 'off', 'Off', 'OFF']

describe('a boolean', () => {
  test.each([
    ['environment', GO_TRUE, true],
    ['environment', GO_FALSE, false],
    ['environment', [...YAML_TRUE, ...YAML_FALSE, '', ' true', 'tRUE', 'enabled', '2'], null],
    ['plain', [...YAML_TRUE, 'true', 'True', 'TRUE'], true],
    ['plain', [...YAML_FALSE, 'false', 'False', 'FALSE'], false],
    ['plain', ['0', '1', 't', 'f', 'T', 'F', 'tRUE', 'yEs', 'enabled'], null],
    ['quoted', YAML_TRUE, true],
    ['quoted', YAML_FALSE, false],
    ['quoted', ['true', 'false', '0', '1', 't', '', 'True'], null],
  ] as const)('in the form %s: %j is %j', (form, texts, value) => {
    const parsed = texts.map((text) => [text, parseBoolean({ form, text })])
    expect(parsed).toEqual(texts.map((text) => [text, value]))
  })
})

describe('nothing', () => {
  test.each(['', '~', 'null', 'Null', 'NULL'])(
    'is %j in YAML without quotes, and only there',
    (text) => {
      expect(isNull(plain(text))).toBe(true)
      expect(isNull(quoted(text))).toBe(false)
      expect(isNull(environment(text))).toBe(false)
    },
  )

  test.each(['nULL', 'none', '0', ' '])('is not %j', (text) => {
    expect(isNull(plain(text))).toBe(false)
  })
})
