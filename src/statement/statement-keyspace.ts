/**
 * The keyspace that a statement names, for counting (`metrics_keyspaces`): of its first table, read no further
 * than that. Like the classifier no grammar: what it does not understand names none.
 */
import { Lexer, TokenKind } from './lexer.ts'
import { internalName, isKeyword, keyword } from './token-text.ts'
import { writeTargets } from './write-target.ts'

const SELECT = keyword('SELECT')
const FROM = keyword('FROM')
const OPENING = new Set([0x28, 0x5b, 0x7b])
const CLOSING = new Set([0x29, 0x5d, 0x7d])
const DOT = 0x2e
const SEMICOLON = 0x3b

/** The punctuation mark that the token is; -1 where it is none. */
const mark = ({ kind, bytes, start }: Lexer): number =>
  kind === TokenKind.PUNCTUATION ? bytes[start]! : -1

/** In its internal form; null where the statement leaves it to the session. */
export const statementKeyspace = (text: Uint8Array): string | null => {
  const lexer = new Lexer(text, 0, text.length)
  lexer.next()
  while (mark(lexer) === SEMICOLON || OPENING.has(mark(lexer))) lexer.next()
  if (isKeyword(lexer, SELECT)) return selectKeyspace(lexer)
  return writeTargets(text)[0]?.keyspace ?? null
}

/** From SELECT on. A FROM in brackets or behind a dot is a name, as the classifier has it. */
const selectKeyspace = (lexer: Lexer): string | null => {
  let depth = 0
  let isBehindDot = false
  for (lexer.next(); lexer.kind !== TokenKind.END; lexer.next()) {
    const byte = mark(lexer)
    if (OPENING.has(byte)) depth++
    else if (CLOSING.has(byte)) depth--
    else if (depth === 0 && !isBehindDot && isKeyword(lexer, FROM)) {
      lexer.next()
      const first = internalName(lexer)
      lexer.next()
      return mark(lexer) === DOT ? first : null
    }
    isBehindDot = byte === DOT
  }
  return null
}
