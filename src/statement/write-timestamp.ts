/**
 * Whether a write takes the write time of its request (v5 §4.1.4, default timestamp), as far as its
 * text tells. Where nothing tells, it does: servers ignore a default timestamp for what cannot have it.
 */
import { Lexer, TokenKind } from './lexer.ts'
import { isKeyword, keyword } from './token-text.ts'

export const WriteTimestamp = {
  /** It is stored with the request's write time. */
  OF_REQUEST: 0,
  /** USING TIMESTAMP: it says its own. */
  OF_STATEMENT: 1,
  /** A counter or a lightweight transaction: the server decides. */
  OF_SERVER: 2,
} as const
export type WriteTimestamp = (typeof WriteTimestamp)[keyof typeof WriteTimestamp]

const BEGIN = keyword('BEGIN')
const COUNTER = keyword('COUNTER')
const USING = keyword('USING')
const TIMESTAMP = keyword('TIMESTAMP')
const TTL = keyword('TTL')
const AND = keyword('AND')
const IF = keyword('IF')
const CHILD_VERBS = ['INSERT', 'UPDATE', 'DELETE'].map(keyword)

const PLUS = 0x2b
const MINUS = 0x2d
const EQUALS = 0x3d
const COLON = 0x3a
const OPENING = new Set([0x28, 0x5b, 0x7b])
const CLOSING = new Set([0x29, 0x5d, 0x7d])

const byteOf = (lexer: Lexer): number =>
  lexer.kind === TokenKind.PUNCTUATION ? lexer.bytes[lexer.start]! : -1

const isName = (lexer: Lexer): boolean =>
  lexer.kind === TokenKind.WORD || lexer.kind === TokenKind.QUOTED_NAME

/** Behind USING: `TIMESTAMP …` or `TTL value AND TIMESTAMP …`. */
const usesTimestamp = (lexer: Lexer): boolean => {
  lexer.next()
  if (isKeyword(lexer, TTL)) {
    lexer.next()
    if (byteOf(lexer) === COLON) lexer.next()
    lexer.next()
    if (!isKeyword(lexer, AND)) return false
    lexer.next()
  }
  return isKeyword(lexer, TIMESTAMP)
}

/** Behind `=`: `name + 1` or `name - 1`. Only a counter takes that. */
const countsUp = (lexer: Lexer): boolean => {
  lexer.next()
  if (!isName(lexer)) return false
  lexer.next()
  const sign = byteOf(lexer)
  return (sign === PLUS || sign === MINUS) && lexer.next() === TokenKind.NUMBER
}

/** What the write `bytes[start, end)` takes. Total, and allocates no more than its cursor. */
export const writeTimestampOf = (bytes: Uint8Array, start: number, end: number): WriteTimestamp => {
  const lexer = new Lexer(bytes, start, end)
  lexer.next()
  const isBatch = isKeyword(lexer, BEGIN)
  // A batch's children may have timestamps of their own: the others still take the request's.
  let isInChild = false
  let depth = 0
  let before = -1
  for (; lexer.kind !== TokenKind.END; lexer.next()) {
    const byte = byteOf(lexer)
    if (OPENING.has(byte)) depth++
    else if (CLOSING.has(byte)) depth--
    else if (depth === 0) {
      const behind = lexer.end
      if (byte === EQUALS) {
        const isAssignment = before === PLUS || before === MINUS
        if (isAssignment ? lexer.next() === TokenKind.NUMBER : countsUp(lexer)) {
          return WriteTimestamp.OF_SERVER
        }
        lexer.rewind(behind)
      } else if (isKeyword(lexer, IF)) {
        return WriteTimestamp.OF_SERVER
      } else if (isBatch && !isInChild && isKeyword(lexer, COUNTER)) {
        return WriteTimestamp.OF_SERVER
      } else if (isBatch && CHILD_VERBS.some((verb) => isKeyword(lexer, verb))) {
        isInChild = true
      } else if (!isInChild && isKeyword(lexer, USING)) {
        if (usesTimestamp(lexer)) return WriteTimestamp.OF_STATEMENT
        lexer.rewind(behind)
      }
    }
    before = byte
  }
  return WriteTimestamp.OF_REQUEST
}
