/** Two answers to one SELECT: what is different, what is not, and what nobody can know. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareAnswers, type Difference, type Verdict } from '../../src/async/row-comparison.ts'
import { encodeError } from '../../src/cql/messages/error.ts'
import { encodeResult } from '../../src/cql/messages/result.ts'
import {
  EnvelopeFlag,
  ErrorCode,
  Opcode,
  ResultKind,
  TypeId,
  versionTraits,
} from '../../src/cql/protocol.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import { selectShape } from '../../src/statement/select-shape.ts'

const TRAITS = versionTraits(4)!
const RESPONSE = 0x84

type Cell = string | null
type Page = {
  readonly columns?: readonly string[]
  readonly rows: readonly (readonly Cell[])[]
  /** The state that follows this page. */
  readonly more?: string
  /** As for a client that knows the columns. */
  readonly isBare?: boolean
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const envelope = ({ columns = ['k', 'v'], rows, more, isBare = false }: Page): Uint8Array => {
  const specs = columns.map((name) => ({
    keyspace: 'ks',
    table: 't',
    name,
    type: { kind: 'native', id: TypeId.VARCHAR } as const,
  }))
  const body = encodeResult(
    new BodyWriter(),
    {
      kind: ResultKind.ROWS,
      metadata: {
        columnCount: columns.length,
        columns: isBare ? null : specs,
        ...(more !== undefined && { pagingState: bytes(more) }),
      },
      rows: rows.map((row) => row.map((cell) => (cell === null ? null : bytes(cell)))),
    },
    TRAITS,
  )
  return body.toEnvelope(RESPONSE, 0, 0, Opcode.RESULT)
}

type Options = { text?: string; isSameTokenOrder?: boolean; isContinuation?: boolean }

const compareEnvelopes = (a: Uint8Array, b: Uint8Array, options: Options = {}): Verdict =>
  compareAnswers(a, b, {
    traits: TRAITS,
    shape: () => selectShape(bytes(options.text ?? 'SELECT k, v FROM ks.t')),
    isSameTokenOrder: options.isSameTokenOrder ?? true,
    isContinuation: () => options.isContinuation ?? false,
  })

const compare = (a: Page, b: Page, options: Options = {}): Verdict =>
  compareEnvelopes(envelope(a), envelope(b), options)

const EQUAL: Verdict = { kind: 'equal' }
const NOT_COMPARABLE: Verdict = { kind: 'skipped', reason: 'not_comparable' }
const different = (difference: Partial<Difference> = {}): unknown => ({
  kind: 'different',
  difference: expect.objectContaining(difference),
})

const A = ['a', '1']
const B = ['b', '2']
const C = ['c', '3']

type Case = readonly [
  what: string,
  primary: Page,
  secondary: Page,
  verdict: unknown,
  options?: Options,
]

const CASES: readonly Case[] = [
  ['no rows', { rows: [] }, { rows: [] }, EQUAL],
  ['the same rows', { rows: [A, B] }, { rows: [A, B] }, EQUAL],
  ['another order', { rows: [A, B, C] }, { rows: [C, A, B] }, EQUAL],
  ['a row twice on both', { rows: [A, A, B] }, { rows: [A, B, A] }, EQUAL],
  [
    'a row twice on one',
    { rows: [A, A, B] },
    { rows: [A, B, B] },
    different({ changedRows: 1, columns: ['k', 'v'] }),
  ],
  ['a missing row', { rows: [A, B] }, { rows: [A] }, different({ missingOnSecondary: 1 })],
  ['an extra row', { rows: [A] }, { rows: [A, B] }, different({ missingOnPrimary: 1 })],
  [
    'another value',
    { rows: [A, B, C] },
    { rows: [A, ['b', 'x'], C] },
    different({ changedRows: 1, columns: ['v'], missingOnPrimary: 0, missingOnSecondary: 0 }),
  ],
  [
    'null against empty',
    { rows: [['a', null]] },
    { rows: [['a', '']] },
    different({ columns: ['v'] }),
  ],
  [
    'values that only together are the same bytes',
    { rows: [['ab', 'c']] },
    { rows: [['a', 'bc']] },
    different({ changedRows: 1 }),
  ],
  [
    'without names, by position',
    { rows: [A], isBare: true },
    { rows: [['a', 'x']], isBare: true },
    different({ columns: ['#2'] }),
  ],
  ['names on one side only', { rows: [A, B], isBare: true }, { rows: [B, A] }, EQUAL],
  ['columns in another order', { rows: [A] }, { columns: ['v', 'k'], rows: [['1', 'a']] }, EQUAL],
  [
    'columns in another order, another value',
    { rows: [A] },
    { columns: ['v', 'k'], rows: [['2', 'a']] },
    different({ columns: ['v'] }),
  ],
  [
    'a column that one side lacks',
    { rows: [A] },
    { columns: ['k', 'w'], rows: [A] },
    different({ columns: ['v', 'w'] }),
  ],
  [
    'fewer columns',
    { rows: [A] },
    { columns: ['k'], rows: [['a']] },
    different({ columns: ['v'] }),
  ],
  [
    'the order that was asked for',
    { rows: [A, B] },
    { rows: [B, A] },
    different({ isOrder: true }),
    { text: 'SELECT k, v FROM t WHERE p = 1 ORDER BY v DESC' },
  ],
  [
    'ties in the order that was asked for',
    { rows: [A, ['b', '1'], C] },
    { rows: [['b', '1'], A, C] },
    EQUAL,
    { text: 'SELECT k, v FROM t WHERE p IN (1, 2) ORDER BY v' },
  ],
  [
    'an order by a column that is not shown',
    { rows: [A, B] },
    { rows: [B, A] },
    EQUAL,
    { text: 'SELECT k, v FROM t WHERE p = 1 ORDER BY c' },
  ],
  [
    'an order that cannot be told without names',
    { rows: [A, B], isBare: true },
    { rows: [B, A], isBare: true },
    different({ isOrder: true }),
    { text: 'SELECT k, v FROM t WHERE p = 1 ORDER BY c' },
  ],
  // Pages.
  ['pages of other states', { rows: [A, B], more: 'x' }, { rows: [A, B], more: 'yy' }, EQUAL],
  ['a longer page', { rows: [A, B, C], more: 'x' }, { rows: [A, B], more: 'y' }, EQUAL],
  [
    'a row less within both pages',
    { rows: [A, B, C], more: 'x' },
    { rows: [A, C, ['d', '4']], more: 'y' },
    different({ isPartial: true }),
  ],
  ['a page against all', { rows: [A, B], more: 'x' }, { rows: [C, A, B] }, EQUAL],
  [
    'a page with a row that all does not have',
    { rows: [A, B], more: 'x' },
    { rows: [A, C] },
    different({ isPartial: true }),
  ],
  [
    'a page that is longer than all',
    { rows: [A] },
    { rows: [A, B], more: 'x' },
    different({ missingOnPrimary: 1 }),
  ],
  [
    'an empty page with more to come',
    { rows: [], more: 'x' },
    { rows: [A], more: 'x' },
    NOT_COMPARABLE,
  ],
  [
    'pages of clusters that go through partitions differently',
    { rows: [A], more: 'x' },
    { rows: [B], more: 'x' },
    NOT_COMPARABLE,
    { isSameTokenOrder: false },
  ],
  [
    'a later page there',
    { rows: [A] },
    { rows: [B] },
    NOT_COMPARABLE,
    { isSameTokenOrder: false, isContinuation: true },
  ],
  ['a later page', { rows: [A] }, { rows: [B] }, different(), { isContinuation: true }],
  // Limits.
  [
    'a limit that both have met, partitions in another order',
    { rows: [A, B] },
    { rows: [A, C] },
    NOT_COMPARABLE,
    { text: 'SELECT * FROM t LIMIT 2', isSameTokenOrder: false },
  ],
  [
    'a limit that both have met',
    { rows: [A, B] },
    { rows: [A, C] },
    different(),
    { text: 'SELECT * FROM t LIMIT 2' },
  ],
  [
    'a limit that one has not met, partitions in another order',
    { rows: [A] },
    { rows: [A, B] },
    different({ missingOnPrimary: 1 }),
    { text: 'SELECT * FROM t LIMIT ?', isSameTokenOrder: false },
  ],
  // What need not be alike.
  [
    'a value of the moment',
    { rows: [A] },
    { rows: [B] },
    NOT_COMPARABLE,
    { text: 'SELECT now() FROM t' },
  ],
  [
    'write times',
    { rows: [A] },
    { rows: [B] },
    NOT_COMPARABLE,
    { text: 'SELECT k, writetime(v) FROM t' },
  ],
  [
    'tokens of other partitioners',
    { rows: [A] },
    { rows: [B] },
    NOT_COMPARABLE,
    { text: 'SELECT token(k), v FROM t', isSameTokenOrder: false },
  ],
]

describe('two answers', () => {
  test.each(CASES.map((entry) => [entry[0], entry] as const))('%s', (_, entry) => {
    const [, primary, secondary, verdict, options] = entry
    expect(compare(primary, secondary, options)).toEqual(verdict)
  })

  test('warnings and a custom payload make no difference', () => {
    const plain = envelope({ rows: [A, B] })
    const prefix = new BodyWriter().writeStringList(['a warning']).toBytes()
    const body = new BodyWriter().writeRaw(prefix).writeRaw(plain.subarray(9))
    const warned = body.toEnvelope(RESPONSE, EnvelopeFlag.WARNING, 0, Opcode.RESULT)
    expect(compareEnvelopes(plain, warned)).toEqual(EQUAL)
  })

  test('an error is not compared', () => {
    const error = encodeError(new BodyWriter(), { code: ErrorCode.INVALID, message: 'no' })
    const answer = error.toEnvelope(RESPONSE, 0, 0, Opcode.ERROR)
    expect(compareEnvelopes(envelope({ rows: [] }), answer)).toEqual({
      kind: 'skipped',
      reason: 'no_rows',
    })
  })

  test('an answer that is cut off is not compared, wherever it is', () => {
    const whole = envelope({ rows: [A, B] })
    const other = envelope({ rows: [A, C] })
    for (let length = 9; length < whole.length; length++) {
      expect(compareEnvelopes(whole.slice(0, length), other).kind).toBe('skipped')
    }
  })

  test('more rows than are compared: only the same bytes are equal', () => {
    const rows = Array.from({ length: 5001 }, (_, i) => [String(i), 'v'])
    expect(compare({ rows }, { rows })).toEqual(EQUAL)
    expect(compare({ rows }, { rows: rows.toReversed() })).toEqual({
      kind: 'skipped',
      reason: 'too_large',
    })
  })
})

const cell = fc.option(fc.string({ maxLength: 4 }), { nil: null })
const table = fc.integer({ min: 1, max: 4 }).chain((width) =>
  fc.record({
    columns: fc.constant(['p', 'q', 'r', 's'].slice(0, width)),
    rows: fc.array(fc.array(cell, { minLength: width, maxLength: width }), { maxLength: 12 }),
    isBare: fc.boolean(),
  }),
)

describe('any answer', () => {
  test('is equal to its rows in any order', () => {
    fc.assert(
      fc.property(table, fc.infiniteStream(fc.nat()), (page, numbers) => {
        const keyed = page.rows.map((row) => ({ row, key: numbers.next().value! }))
        const rows = keyed.sort((a, b) => a.key - b.key).map(({ row }) => row)
        expect(compare(page, { ...page, rows })).toEqual(EQUAL)
      }),
    )
  })

  test('differs from itself with one value changed, in that column', () => {
    fc.assert(
      fc.property(table, fc.nat(), fc.nat(), cell, (page, rowSeed, columnSeed, value) => {
        fc.pre(page.rows.length > 0)
        const at = rowSeed % page.rows.length
        const column = columnSeed % page.columns.length
        fc.pre(page.rows[at]![column] !== value)
        const rows = page.rows.map((row, i) => (i === at ? row.with(column, value) : row))
        const verdict = compare(page, { ...page, rows })
        expect(verdict).toEqual(
          different({ columns: [page.isBare ? `#${column + 1}` : page.columns[column]!] }),
        )
      }),
    )
  })

  test('differs from itself with a row less or more', () => {
    fc.assert(
      fc.property(table, fc.nat(), (page, seed) => {
        fc.pre(page.rows.length > 0)
        const rows = page.rows.toSpliced(seed % page.rows.length, 1)
        expect(compare(page, { ...page, rows })).toEqual(
          different({ missingOnSecondary: 1, missingOnPrimary: 0 }),
        )
        expect(compare({ ...page, rows }, page)).toEqual(
          different({ missingOnSecondary: 0, missingOnPrimary: 1 }),
        )
      }),
    )
  })

  test('cut into a page anywhere is never called different', () => {
    fc.assert(
      fc.property(table, fc.nat(12), fc.nat(12), (page, a, b) => {
        const cut = (length: number): Page =>
          length >= page.rows.length
            ? page
            : { ...page, rows: page.rows.slice(0, length), more: String(length) }
        expect(compare(cut(a), cut(b)).kind).not.toBe('different')
      }),
    )
  })
})
