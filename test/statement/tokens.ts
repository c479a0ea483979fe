/** Text to tokens and back, for the tests of this folder. */
import { Lexer, TokenKind } from '../../src/statement/lexer.ts'

export type Token = readonly [kind: keyof typeof TokenKind, text: string]

const NAMES = new Map(Object.entries(TokenKind).map(([name, kind]) => [kind, name]))

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Every token of `bytes[start, end)`; throws where the walk does not move on. */
export const tokensOf = (bytes: Uint8Array, start = 0, end = bytes.length): Token[] => {
  const lexer = new Lexer(bytes, start, end)
  const tokens: Token[] = []
  let behind = start
  while (lexer.next() !== TokenKind.END) {
    if (lexer.start < behind || lexer.end <= lexer.start || lexer.end > end) {
      throw new Error(`token [${lexer.start}, ${lexer.end}) behind ${behind} of [${start}, ${end})`)
    }
    behind = lexer.end
    const name = NAMES.get(lexer.kind) as keyof typeof TokenKind
    tokens.push([name, Buffer.from(bytes.subarray(lexer.start, lexer.end)).toString()])
  }
  return tokens
}

/** The bytes between others that would be read as more of the text. */
export const embed = (
  text: Uint8Array,
  around: string,
): { bytes: Uint8Array; start: number; end: number } => {
  const edge = utf8(around)
  const bytes = new Uint8Array(edge.length * 2 + text.length)
  bytes.set(edge, 0)
  bytes.set(text, edge.length)
  bytes.set(edge, edge.length + text.length)
  return { bytes, start: edge.length, end: edge.length + text.length }
}

/** What surrounds a text hostilely: each would end a quote or comment, or lengthen a token. */
export const SURROUNDINGS = [
  "'",
  '"',
  '$$',
  '*/',
  '\n',
  'x',
  '-',
  '/',
  '.5',
  '(',
  ' FROM system.local ',
]
