import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Lexer, TokenKind } from '../../src/statement/lexer.ts'
import { embed, SURROUNDINGS, type Token, tokensOf, utf8 } from './tokens.ts'

const UUID = '3d89fc3f-6076-51b1-9580-24975aa4ba0a'

type Case = { readonly text: string; readonly tokens: readonly Token[] }

const one = (kind: Token[0], text: string): Case => ({ text, tokens: [[kind, text]] })

const CASES: Record<string, readonly Case[]> = {
  words: [
    one('WORD', 'SELECT'),
    one('WORD', '_x1'),
    one('WORD', 'größe'),
    one('WORD', '名前'),
    {
      text: 'a b',
      tokens: [
        ['WORD', 'a'],
        ['WORD', 'b'],
      ],
    },
    {
      text: 'SELECT*',
      tokens: [
        ['WORD', 'SELECT'],
        ['PUNCTUATION', '*'],
      ],
    },
    {
      text: 'abcdefab-c',
      tokens: [
        ['WORD', 'abcdefab'],
        ['PUNCTUATION', '-'],
        ['WORD', 'c'],
      ],
    },
  ],
  'quoted names': [
    one('QUOTED_NAME', '"From"'),
    one('QUOTED_NAME', '"a""b"'),
    one('QUOTED_NAME', '""'),
    one('QUOTED_NAME', `"it's -- no /* comment"`),
    {
      text: '"a" "b"',
      tokens: [
        ['QUOTED_NAME', '"a"'],
        ['QUOTED_NAME', '"b"'],
      ],
    },
    {
      text: '"a"b',
      tokens: [
        ['QUOTED_NAME', '"a"'],
        ['WORD', 'b'],
      ],
    },
  ],
  strings: [
    one('STRING', "'x'"),
    one('STRING', "''"),
    one('STRING', "'it''s'"),
    one('STRING', "''''"),
    one('STRING', `'"$$--/*'`),
    one('STRING', '$$it\'s "all" $ -- one$$'),
    one('STRING', '$$$$'),
    {
      text: '$$a$$b',
      tokens: [
        ['STRING', '$$a$$'],
        ['WORD', 'b'],
      ],
    },
    {
      text: '$a',
      tokens: [
        ['PUNCTUATION', '$'],
        ['WORD', 'a'],
      ],
    },
    {
      text: "'a' 'b'",
      tokens: [
        ['STRING', "'a'"],
        ['STRING', "'b'"],
      ],
    },
  ],
  'what is not closed': [
    one('STRING', "'a b"),
    one('STRING', "'a''"),
    one('STRING', "'"),
    one('STRING', '$$a$'),
    one('STRING', '$$'),
    one('STRING', '$$$'),
    one('QUOTED_NAME', '"a b'),
    one('QUOTED_NAME', '"a""'),
    { text: 'a /* b', tokens: [['WORD', 'a']] },
    { text: 'a /*', tokens: [['WORD', 'a']] },
    { text: 'a /*/', tokens: [['WORD', 'a']] },
    { text: 'a --', tokens: [['WORD', 'a']] },
  ],
  numbers: [
    ...['0', '42', '1.5', '1e3', '1.5e-3', '1E+9', '0xCAFE', '1h30m', '12y3mo', '1a'].map((text) =>
      one('NUMBER', text),
    ),
    one('NUMBER', '0b1'),
    {
      text: '0x1e-3',
      tokens: [
        ['NUMBER', '0x1e'],
        ['PUNCTUATION', '-'],
        ['NUMBER', '3'],
      ],
    },
    {
      text: '-1',
      tokens: [
        ['PUNCTUATION', '-'],
        ['NUMBER', '1'],
      ],
    },
    {
      text: '1-2',
      tokens: [
        ['NUMBER', '1'],
        ['PUNCTUATION', '-'],
        ['NUMBER', '2'],
      ],
    },
    {
      text: '1.',
      tokens: [
        ['NUMBER', '1'],
        ['PUNCTUATION', '.'],
      ],
    },
    {
      text: '1..2',
      tokens: [
        ['NUMBER', '1'],
        ['PUNCTUATION', '.'],
        ['PUNCTUATION', '.'],
        ['NUMBER', '2'],
      ],
    },
  ],
  uuids: [
    one('UUID', UUID),
    one('UUID', UUID.toUpperCase()),
    one('UUID', `b${UUID.slice(1)}`),
    {
      text: `(${UUID})`,
      tokens: [
        ['PUNCTUATION', '('],
        ['UUID', UUID],
        ['PUNCTUATION', ')'],
      ],
    },
    {
      text: UUID.slice(0, 18),
      tokens: [
        ['NUMBER', '3d89fc3f'],
        ['PUNCTUATION', '-'],
        ['NUMBER', '6076'],
        ['PUNCTUATION', '-'],
        ['NUMBER', '51b1'],
      ],
    },
  ],
  'markers and punctuation': [
    one('MARKER', '?'),
    {
      text: ':a',
      tokens: [
        ['PUNCTUATION', ':'],
        ['WORD', 'a'],
      ],
    },
    {
      text: ':"A"',
      tokens: [
        ['PUNCTUATION', ':'],
        ['QUOTED_NAME', '"A"'],
      ],
    },
    {
      text: 'a/b',
      tokens: [
        ['WORD', 'a'],
        ['PUNCTUATION', '/'],
        ['WORD', 'b'],
      ],
    },
    { text: '/', tokens: [['PUNCTUATION', '/']] },
    { text: '-', tokens: [['PUNCTUATION', '-']] },
    {
      text: '[{(;',
      tokens: [
        ['PUNCTUATION', '['],
        ['PUNCTUATION', '{'],
        ['PUNCTUATION', '('],
        ['PUNCTUATION', ';'],
      ],
    },
  ],
  'white space and comments': [
    { text: '', tokens: [] },
    { text: ' \t\r\n', tokens: [] },
    { text: '\ufeffa', tokens: [['WORD', 'a']] },
    { text: '\ufeff', tokens: [] },
    { text: '-- a\nb', tokens: [['WORD', 'b']] },
    { text: '// a\rb', tokens: [['WORD', 'b']] },
    { text: '// a\r\nb -- c', tokens: [['WORD', 'b']] },
    {
      text: 'a/* b */c',
      tokens: [
        ['WORD', 'a'],
        ['WORD', 'c'],
      ],
    },
    { text: '/**/a', tokens: [['WORD', 'a']] },
    {
      text: '/* /* */ a */',
      tokens: [
        ['WORD', 'a'],
        ['PUNCTUATION', '*'],
        ['PUNCTUATION', '/'],
      ],
    },
    { text: "/* ' */a", tokens: [['WORD', 'a']] },
    {
      text: 'a--b\n-c',
      tokens: [
        ['WORD', 'a'],
        ['PUNCTUATION', '-'],
        ['WORD', 'c'],
      ],
    },
  ],
}

describe.each(Object.entries(CASES))('%s', (_, cases) => {
  test.each(cases)('$text', ({ text, tokens }) => {
    expect(tokensOf(utf8(text))).toEqual(tokens)
  })

  test.each(cases)('$text, whatever surrounds it', ({ text, tokens }) => {
    for (const around of SURROUNDINGS) {
      const { bytes, start, end } = embed(utf8(text), around)
      expect(tokensOf(bytes, start, end), around).toEqual(tokens)
    }
  })
})

test('a quoted token tells whether it is closed', () => {
  const closed = ["'a'", "''", "'a'''", '"a"', '"a"""', '$$a$$', '$$$$']
  const open = ["'a", "'", "'a''", '"a', '"a""', '$$a', '$$a$', '$$', '$$$']
  const isClosed = (text: string): boolean => {
    const lexer = new Lexer(utf8(text), 0, utf8(text).length)
    lexer.next()
    return lexer.isClosed
  }
  expect(closed.filter((text) => !isClosed(text))).toEqual([])
  expect(open.filter(isClosed)).toEqual([])
})

test('a uuid that the text cuts off is none', () => {
  const kinds = tokensOf(utf8(UUID), 0, UUID.length - 1).map(([kind]) => kind)
  expect(kinds).not.toContain('UUID')
})

test('a walk can go back to a token', () => {
  const text = utf8('a /* x */ b c')
  const lexer = new Lexer(text, 0, text.length)
  lexer.next()
  lexer.next()
  const { start, end } = lexer
  lexer.next()
  lexer.rewind(start)
  expect([lexer.next(), lexer.start, lexer.end]).toEqual([TokenKind.WORD, start, end])
})

test('the end comes again for ever', () => {
  const lexer = new Lexer(utf8('xay'), 1, 2)
  expect([lexer.next(), lexer.next(), lexer.next()]).toEqual([
    TokenKind.WORD,
    TokenKind.END,
    TokenKind.END,
  ])
  expect([lexer.start, lexer.end]).toEqual([2, 2])
})

describe('any input', () => {
  const fragment = fc.constantFrom(
    ...["'", '"', '$', '-', '/', '*', '.', '\n', ' ', '?', ':', 'e', '1', 'x', '\ufeff', 'ü', UUID],
  )
  const nasty = fc.array(fragment, { maxLength: 30 }).map((parts) => utf8(parts.join('')))
  const input = fc.oneof(nasty, fc.uint8Array({ maxLength: 60 }))

  test('has tokens that move on, end inside the text, and do not depend on what surrounds it', () => {
    fc.assert(
      fc.property(input, fc.constantFrom(...SURROUNDINGS), (text, around) => {
        const { bytes, start, end } = embed(text, around)
        expect(tokensOf(bytes, start, end)).toEqual(tokensOf(text))
      }),
      { numRuns: 2_000 },
    )
  })

  test('loses no byte but white space and comments', () => {
    const token = fc.constantFrom('a', '"b "" "', "'c '' '", '$$d $$', '1.5', UUID, '?', '(', ';')
    fc.assert(
      fc.property(fc.array(token), (tokens) => {
        const text = utf8(tokens.join('/* x */ -- y\n'))
        expect(tokensOf(text).map(([, written]) => written)).toEqual(tokens)
      }),
    )
  })
})
