import { describe, expect, test } from 'vitest'
import { redactStatement } from '../../src/statement/redact.ts'
import { type SelectShape, selectShape } from '../../src/statement/select-shape.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const PLAIN: SelectShape = {
  keyspace: null,
  table: 't',
  orderBy: [],
  isLimited: false,
  isRepeatable: true,
  usesTokens: false,
}

const SHAPES: readonly (readonly [text: string, shape: Partial<SelectShape>])[] = [
  ['SELECT * FROM t', {}],
  ['select "from".x, y from KS.T;', { keyspace: 'ks', table: 't' }],
  ['SELECT a FROM "Ks" . "T""x"', { keyspace: 'Ks', table: 'T"x' }],
  ['SELECT u.from FROM t', {}],
  ['SELECT (int) f(a) FROM /* FROM x */ t -- LIMIT 3\nWHERE a = 1', {}],
  ['SELECT a', { table: null }],
  ['SELECT a FROM', { table: null }],
  ['SELECT a FROM t LIMIT 3', { isLimited: true }],
  ['SELECT a FROM t limit ? ALLOW FILTERING', { isLimited: true }],
  ['SELECT a FROM t PER PARTITION LIMIT 3', {}],
  ['SELECT a FROM t PER PARTITION LIMIT 3 LIMIT :n', { isLimited: true }],
  ["SELECT a FROM t WHERE b = 'LIMIT 1'", {}],
  ['SELECT a FROM t WHERE p = 1 ORDER BY b', { orderBy: ['b'] }],
  [
    'SELECT a FROM t WHERE p = 1 ORDER BY b DESC, "C" ASC LIMIT 2',
    { orderBy: ['b', 'C'], isLimited: true },
  ],
  ['SELECT b AS a FROM t WHERE p = 1 ORDER BY b', {}],
  ['SELECT CAST(b AS int) FROM t WHERE p = 1 ORDER BY b', { orderBy: ['b'] }],
  [
    'SELECT a FROM t ORDER BY v ANN OF [1.0, 2.0] LIMIT 3',
    { isRepeatable: false, isLimited: true },
  ],
  ['SELECT a FROM t ORDER BY f(v)', {}],
  ['SELECT now() FROM t', { isRepeatable: false }],
  ['SELECT a FROM t WHERE b > toTimestamp( NOW ( ) )', { isRepeatable: false }],
  ['SELECT a, WRITETIME(b), ttl (c) FROM t', { isRepeatable: false }],
  ['SELECT ttl, now FROM t', {}],
  ['SELECT a FROM t WHERE token(p) > ?', { usesTokens: true }],
  ['', { table: null }],
]

describe('the shape of', () => {
  test.each(SHAPES)('%s', (text, shape) => {
    expect(selectShape(bytes(text))).toEqual({ ...PLAIN, ...shape })
  })

  test('every beginning of a statement is found out without end', () => {
    const text = 'SELECT "a"\'b\' FROM ks . t ORDER BY "x" DESC , y LIMIT 3 /* c */ $$d$$'
    for (let length = 0; length <= text.length; length++) {
      expect(selectShape(bytes(text.slice(0, length)))).toBeDefined()
    }
  })
})

const REDACTED: readonly (readonly [text: string, redacted: string])[] = [
  [
    "SELECT a, b FROM ks.t WHERE k = 'it''s' AND n=-12.5e+3;",
    'SELECT a, b FROM ks.t WHERE k = ? AND n = - ?;',
  ],
  [
    'SELECT "Q" FROM t WHERE u = 01234567-89ab-cdef-0123-456789abcdef',
    'SELECT "Q" FROM t WHERE u = ?',
  ],
  ['SELECT a FROM t WHERE b = 0xCAFE AND c = $$secret$$', 'SELECT a FROM t WHERE b = ? AND c = ?'],
  ['SELECT f(1, ?), :n FROM t /* secret */ -- secret', 'SELECT f(?, ?), :n FROM t'],
  [
    'SELECT a FROM t WHERE d = P1Y2M AND e = 12h AND g = true',
    'SELECT a FROM t WHERE d = ? AND e = ? AND g = ?',
  ],
  ['SELECT a FROM t WHERE m = {1: [2, 3]}', 'SELECT a FROM t WHERE m = {? :[?, ?]}'],
  ["SELECT a FROM t WHERE b = 'secret", 'SELECT a FROM t WHERE b = ?'],
  ['SELECT a FROM t WHERE "secret', 'SELECT a FROM t WHERE ?'],
]

describe('without its values', () => {
  test.each(REDACTED)('%s', (text, redacted) => {
    expect(redactStatement(bytes(text))).toBe(redacted)
  })

  test('a long statement is cut', () => {
    const text = `SELECT ${'column, '.repeat(1000)}x FROM t`
    expect(redactStatement(bytes(text))).toHaveLength(501)
  })
})
