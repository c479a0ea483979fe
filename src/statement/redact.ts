/**
 * A statement without its values, for logs and operators: names, keywords and structure stay, literals
 * and comments go. What cannot be told apart from a value is treated as one.
 */
import { Lexer, TokenKind } from './lexer.ts'
import { tokenText } from './token-text.ts'

const REDACTED = '?'
const REDACTED_LENGTH_MAX = 500

/** Words that are values: durations as ISO 8601 has them, and constants. */
const VALUE_WORD = /^(?:p[\dt].*|true|false|nan|infinity)$/i
/** No blank in front of or behind these, so that the text reads as it was written. */
const CLINGS_TO_LEFT = new Set([',', ')', ']', '}', '.', ';', '('])
const CLINGS_TO_RIGHT = new Set(['(', '[', '{', '.', ':'])

const shown = (lexer: Lexer): string => {
  switch (lexer.kind) {
    case TokenKind.STRING:
    case TokenKind.NUMBER:
    case TokenKind.UUID:
      return REDACTED
    case TokenKind.QUOTED_NAME:
      return lexer.isClosed ? tokenText(lexer) : REDACTED
    case TokenKind.WORD: {
      const word = tokenText(lexer)
      return VALUE_WORD.test(word) ? REDACTED : word
    }
    default:
      return tokenText(lexer)
  }
}

/** The text with every literal as `?`, one blank between words, at most 500 characters. */
export const redactStatement = (text: Uint8Array): string => {
  const lexer = new Lexer(text, 0, text.length)
  let result = ''
  let last = ''
  for (lexer.next(); lexer.kind !== TokenKind.END; lexer.next()) {
    const token = shown(lexer)
    const isJoined = result === '' || CLINGS_TO_LEFT.has(token) || CLINGS_TO_RIGHT.has(last)
    result += isJoined ? token : ` ${token}`
    last = token
    if (result.length > REDACTED_LENGTH_MAX) return `${result.slice(0, REDACTED_LENGTH_MAX)}…`
  }
  return result
}
