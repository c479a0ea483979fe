/**
 * How numbers and booleans are written (operations §1.1). The two sources differ, for the Go proxy
 * reads one with Go's own rules and the other with those of YAML. What a setting allows is value.ts.
 */

/** environment: a variable's text. plain, quoted: a scalar of a YAML file without and with quotes. */
export type Scalar = {
  readonly form: 'environment' | 'plain' | 'quoted'
  readonly text: string
}

/** A number, and a remark where it may not be the one that was meant. */
export type ParsedNumber = { readonly value: number; readonly remark?: string }

const SIGN = /^[+-]/
const INTEGER =
  /^[+-]?(?:0x(?:_?[\da-f])+|0o(?:_?[0-7])+|0b(?:_?[01])+|0(?:_?[0-7])*|[1-9](?:_?\d)*)$/i
const FLOAT = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i
const OCTAL = /^0[0-7]+$/
const BASES: ReadonlyMap<string, number> = new Map([
  ['0x', 16],
  ['0o', 8],
  ['0b', 2],
])

const ENVIRONMENT_BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ...['1', 't', 'T', 'TRUE', 'true', 'True'].map((word) => [word, true] as const),
  ...['0', 'f', 'F', 'FALSE', 'false', 'False'].map((word) => [word, false] as const),
])

/** lower, UPPER and Capitalised. */
const spellings = (word: string): string[] => [
  word,
  word.toUpperCase(),
  word.slice(0, 1).toUpperCase() + word.slice(1),
]

const wordsFor = (value: boolean, words: readonly string[]): [string, boolean][] =>
  words.flatMap(spellings).map((word) => [word, value])

/** YAML 1.1's, which the Go proxy takes with quotes too. */
const YAML_WORDS: ReadonlyMap<string, boolean> = new Map([
  ...wordsFor(true, ['y', 'yes', 'on']),
  ...wordsFor(false, ['n', 'no', 'off']),
])

const YAML_BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ...wordsFor(true, ['true']),
  ...wordsFor(false, ['false']),
  ...YAML_WORDS,
])

const YAML_NULLS: ReadonlySet<string> = new Set(['', '~', 'null', 'Null', 'NULL'])

/** Whether a scalar stands for "nothing given"; a variable never does. */
export const isNull = (scalar: Scalar): boolean =>
  scalar.form === 'plain' && YAML_NULLS.has(scalar.text)

const integerOf = (text: string): ParsedNumber | null => {
  if (!INTEGER.test(text)) return null
  const digits = text.replace(SIGN, '').replaceAll('_', '')
  const base = BASES.get(digits.slice(0, 2).toLowerCase())
  const isOctal = OCTAL.test(digits)
  const size =
    base === undefined
      ? Number.parseInt(digits, isOctal ? 8 : 10)
      : Number.parseInt(digits.slice(2), base)
  const value = text.startsWith('-') && size !== 0 ? -size : size
  const isTelling = isOctal && size > 7
  return isTelling ? { value, remark: `${value}, because a leading 0 means octal` } : { value }
}

const decimalOf = (text: string): number | null => {
  const value = FLOAT.test(text) ? Number(text) : Number.NaN
  return Number.isFinite(value) ? value : null
}

/** A whole number, or null. YAML cuts the fraction off. */
export const parseInteger = ({ form, text }: Scalar): ParsedNumber | null => {
  if (form === 'quoted') return null
  if (form === 'environment') return integerOf(text)
  const digits = text.replaceAll('_', '')
  const integer = integerOf(digits)
  if (integer !== null) return integer
  const decimal = decimalOf(digits)
  if (decimal === null) return null
  const value = Math.trunc(decimal) + 0
  return value === decimal ? { value } : { value, remark: `${value}, without the fraction` }
}

/** Any finite number, or null. */
export const parseNumber = (scalar: Scalar): ParsedNumber | null => {
  if (scalar.form === 'quoted') return null
  if (scalar.form === 'environment') {
    const value = decimalOf(scalar.text)
    return value === null ? null : { value }
  }
  const digits = scalar.text.replaceAll('_', '')
  const integer = integerOf(digits)
  if (integer !== null) return integer
  const value = decimalOf(digits)
  return value === null ? null : { value }
}

/** null where the text is none of the words of its source. */
export const parseBoolean = ({ form, text }: Scalar): boolean | null => {
  switch (form) {
    case 'environment':
      return ENVIRONMENT_BOOLEANS.get(text) ?? null
    case 'plain':
      return YAML_BOOLEANS.get(text) ?? null
    case 'quoted':
      return YAML_WORDS.get(text) ?? null
  }
}
