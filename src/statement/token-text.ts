/**
 * What single tokens spell: names in their internal form, strings without their quotes, keywords.
 * Only `isKeyword` is for the request path; the others make strings.
 */
import { decodeText } from '../cql/values.ts'
import { type Lexer, TokenKind } from './lexer.ts'

/** A keyword as `isKeyword` wants it: lower case. */
export const keyword = (word: string): Uint8Array => new TextEncoder().encode(word.toLowerCase())

/** Whether the token is this keyword, in whatever case. Keywords are ASCII letters alone. */
export const isKeyword = (lexer: Lexer, word: Uint8Array): boolean => {
  const { bytes, start } = lexer
  if (lexer.kind !== TokenKind.WORD || lexer.end - start !== word.length) return false
  for (let i = 0; i < word.length; i++) if ((bytes[start + i]! | 0x20) !== word[i]) return false
  return true
}

/** The token as it was written. */
export const tokenText = (lexer: Lexer): string =>
  decodeText(lexer.bytes.subarray(lexer.start, lexer.end))

/**
 * The name that the token is, in the form that servers keep it in: lower case unless quoted (request-path
 * §3.3). Null where it is none: another kind, empty, or without its closing quote.
 */
export const internalName = (lexer: Lexer): string | null => {
  if (lexer.kind === TokenKind.WORD) return tokenText(lexer).toLowerCase()
  if (lexer.kind !== TokenKind.QUOTED_NAME || !lexer.isClosed) return null
  const name = tokenText(lexer).slice(1, -1).replaceAll('""', '"')
  return name === '' ? null : name
}

/** The value of a STRING token that is closed. */
export const stringValue = (lexer: Lexer): string => {
  const text = tokenText(lexer)
  return text.startsWith('$$') ? text.slice(2, -2) : text.slice(1, -1).replaceAll("''", "'")
}

const SHOWN_LENGTH_MAX = 40
const LF = 0x0a

/** Where the token is, as servers say it: lines from 1, characters of the line from 0. */
const position = ({ bytes, start }: Lexer, textStart: number): string => {
  let line = 1
  let lineStart = textStart
  for (let at = textStart; at < start; at++) {
    if (bytes[at] !== LF) continue
    line++
    lineStart = at + 1
  }
  return `${line}:${decodeText(bytes.subarray(lineStart, start)).length}`
}

/** The message of a SYNTAX_ERROR at the token, in Cassandra's wording. */
export const syntaxErrorMessage = (lexer: Lexer, expected: string): string => {
  const isEnd = lexer.kind === TokenKind.END
  const shownEnd = Math.min(lexer.end, lexer.start + SHOWN_LENGTH_MAX)
  const shown = isEnd ? '<EOF>' : decodeText(lexer.bytes.subarray(lexer.start, shownEnd))
  const at = position(lexer, lexer.textStart)
  return `line ${at} mismatched input '${shown}' expecting ${expected}`
}
