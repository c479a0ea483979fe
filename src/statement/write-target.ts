/**
 * Which tables a statement writes to, for the record of a write that failed: never on the way of a success.
 * A reader of tokens like the classifier: what it does not understand has no table.
 */
import { Lexer, TokenKind } from './lexer.ts'
import { internalName, isKeyword, keyword } from './token-text.ts'

export type WriteTarget = {
  /** Null where the statement leaves it to the session. Both in their internal form. */
  readonly keyspace: string | null
  readonly table: string
}

const INSERT = keyword('INSERT')
const INTO = keyword('INTO')
const UPDATE = keyword('UPDATE')
const DELETE = keyword('DELETE')
const FROM = keyword('FROM')
const TRUNCATE = keyword('TRUNCATE')
const TABLE = keyword('TABLE')
const BEGIN = keyword('BEGIN')
const COLUMNFAMILY = keyword('COLUMNFAMILY')
const DOT = 0x2e
const SEMICOLON = 0x3b

const is = (lexer: Lexer, byte: number): boolean =>
  lexer.kind === TokenKind.PUNCTUATION && lexer.bytes[lexer.start] === byte

/** Reads `[keyspace.]table` from the current token on. */
const readName = (lexer: Lexer): WriteTarget | null => {
  const first = internalName(lexer)
  if (first === null) return null
  lexer.next()
  if (!is(lexer, DOT)) return { keyspace: null, table: first }
  lexer.next()
  const second = internalName(lexer)
  return second === null ? null : { keyspace: first, table: second }
}

const skipTo = (lexer: Lexer, word: Uint8Array): boolean => {
  while (lexer.kind !== TokenKind.END && !is(lexer, SEMICOLON)) {
    if (isKeyword(lexer, word)) return true
    lexer.next()
  }
  return false
}

/** The table of the statement whose verb is the current token. */
const readStatement = (lexer: Lexer): WriteTarget | null => {
  if (isKeyword(lexer, INSERT)) return readAfter(lexer, INTO)
  if (isKeyword(lexer, DELETE)) return readAfter(lexer, FROM)
  if (!isKeyword(lexer, UPDATE) && !isKeyword(lexer, TRUNCATE)) return null
  lexer.next()
  if (isKeyword(lexer, TABLE) || isKeyword(lexer, COLUMNFAMILY)) lexer.next()
  return readName(lexer)
}

const readAfter = (lexer: Lexer, word: Uint8Array): WriteTarget | null => {
  if (!skipTo(lexer, word)) return null
  lexer.next()
  return readName(lexer)
}

/** Every table that the text writes to; in a BEGIN … APPLY BATCH those of all its statements. */
export const writeTargets = (text: Uint8Array): readonly WriteTarget[] => {
  const lexer = new Lexer(text, 0, text.length)
  lexer.next()
  while (is(lexer, SEMICOLON)) lexer.next()
  if (!isKeyword(lexer, BEGIN)) {
    const target = readStatement(lexer)
    return target === null ? [] : [target]
  }
  const targets: WriteTarget[] = []
  while (lexer.kind !== TokenKind.END) {
    const isVerb = isKeyword(lexer, INSERT) || isKeyword(lexer, UPDATE) || isKeyword(lexer, DELETE)
    const target = isVerb ? readStatement(lexer) : null
    if (target === null) lexer.next()
    else targets.push(target)
  }
  return targets
}
