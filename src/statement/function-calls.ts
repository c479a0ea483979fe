/**
 * Finds the calls of non-deterministic functions in a write (request-path §3.4): where each lies, how
 * many markers are in front of it, and what may stand in its place. What is put there is
 * replacement.ts's business. Offsets are of bytes; text is never decoded but for names.
 */
import { decodeText } from '../cql/values.ts'
import { type CqlFunction, functionNamed } from './functions.ts'
import { Lexer, skipBlanks, TokenKind } from './lexer.ts'

/** What can stand where a call stands. */
export const CallPlace = {
  /** A value of its own: a bare marker or literal gets its type from what it is compared with or set to. */
  VALUE: 0,
  /** An argument, an operand or a UDT's field: a marker or literal needs its type beside it. */
  TYPED: 1,
  /** In a list, set or map literal: servers take no markers there, but typed literals. */
  COLLECTION: 2,
} as const
export type CallPlace = (typeof CallPlace)[keyof typeof CallPlace]

export type FunctionCall = {
  readonly function: CqlFunction
  /** From the keyspace, where there is one, to behind the closing parenthesis. */
  readonly start: number
  readonly end: number
  /** All markers to its left, wherever they stand. */
  readonly markersBefore: number
  readonly place: CallPlace
}

export type StatementCalls = {
  readonly calls: readonly FunctionCall[]
  /** Functions that are named in the text of an INSERT … JSON, where servers call none. */
  readonly inJson: readonly CqlFunction[]
  readonly markers: number
  /** Internal forms, in order. A statement with one of them is bound by name. */
  readonly markerNames: readonly string[]
  /** Of the text but for its literals: what tells one statement from another. Never 0. */
  readonly shape: number
}

type Token = { readonly kind: TokenKind; readonly start: number; readonly end: number }

const OPENING_PARENTHESIS = 0x28
const CLOSING_PARENTHESIS = 0x29
const ASTERISK = 0x2a
const PLUS = 0x2b
const COMMA = 0x2c
const MINUS = 0x2d
const DOT = 0x2e
const SLASH = 0x2f
const COLON = 0x3a
const OPENING_BRACKET = 0x5b
const CLOSING_BRACKET = 0x5d
const PERCENT = 0x25
const OPENING_BRACE = 0x7b
const CLOSING_BRACE = 0x7d
const OPERATORS: ReadonlySet<number> = new Set([PLUS, MINUS, ASTERISK, SLASH, PERCENT])

/** Words in front of a parenthesis that are no function's name. */
const KEYWORDS_BEFORE_PARENTHESIS: ReadonlySet<string> = new Set(
  'values in and or if where set not contains key like using'.split(' '),
)

/** Above all that can follow the opening parenthesis of an empty pair: blanks, comments, `)`. */
const FOLLOWS_PARENTHESIS_MAX = SLASH

/**
 * Whether the text has an empty pair of parentheses: without one it calls none of the functions. No
 * allocation, for the request path; every other byte is enough, since an opening parenthesis that is
 * stepped over shows by what follows it.
 */
export const mayCallFunction = (bytes: Uint8Array, start: number, end: number): boolean => {
  for (let at = start + 1; at < end; at += 2) {
    const byte = bytes[at]!
    if (byte > FOLLOWS_PARENTHESIS_MAX) continue
    const opening = bytes[at - 1] === OPENING_PARENTHESIS ? at - 1 : at
    if (bytes[opening] !== OPENING_PARENTHESIS) continue
    if (isClosedAt(bytes, opening + 1, end)) return true
    // Both may be one: `((`.
    if (opening < at && byte === OPENING_PARENTHESIS && isClosedAt(bytes, at + 1, end)) return true
  }
  return false
}

const isClosedAt = (bytes: Uint8Array, at: number, end: number): boolean => {
  const inside = skipBlanks(bytes, at, end)
  return inside < end && bytes[inside] === CLOSING_PARENTHESIS
}

const tokensOf = (bytes: Uint8Array, start: number, end: number): Token[] => {
  const lexer = new Lexer(bytes, start, end)
  const tokens: Token[] = []
  while (lexer.next() !== TokenKind.END) {
    tokens.push({ kind: lexer.kind, start: lexer.start, end: lexer.end })
  }
  return tokens
}

const isLiteral = (kind: TokenKind): boolean =>
  kind === TokenKind.STRING || kind === TokenKind.NUMBER || kind === TokenKind.UUID

/** The text with each literal as `…` and each blank or comment as a space: for logs. */
export const textWithoutLiterals = (text: Uint8Array): string => {
  let shown = ''
  let behind = 0
  for (const { kind, start, end } of tokensOf(text, 0, text.length)) {
    if (start > behind && shown !== '') shown += ' '
    shown += isLiteral(kind) ? '…' : decodeText(text.subarray(start, end))
    behind = end
  }
  return shown
}

const FNV_OFFSET = 0x811c9dc5
const FNV_PRIME = 0x01000193

const shapeOf = (bytes: Uint8Array, tokens: readonly Token[]): number => {
  let hash = FNV_OFFSET
  const add = (byte: number): void => {
    hash = Math.imul(hash ^ byte, FNV_PRIME)
  }
  for (const { kind, start, end } of tokens) {
    add(kind)
    if (isLiteral(kind)) continue
    for (let at = start; at < end; at++) add(bytes[at]!)
  }
  return hash === 0 ? 1 : hash
}

/** What an opening bracket opened. */
const Scope = { GROUP: 0, ARGUMENTS: 1, INDEX: 2, LIST: 3, BRACES: 4, UDT: 5 } as const
type Scope = (typeof Scope)[keyof typeof Scope]

class CallFinder {
  readonly calls: FunctionCall[] = []
  readonly inJson: CqlFunction[] = []
  readonly markerNames: string[] = []
  markers = 0
  readonly #bytes: Uint8Array
  readonly #tokens: readonly Token[]
  readonly #scopes: Scope[] = []
  /** Per open scope: the next `:` of its own parts a key from its value. */
  readonly #awaitsColon: boolean[] = []

  constructor(bytes: Uint8Array, tokens: readonly Token[]) {
    this.#bytes = bytes
    this.#tokens = tokens
  }

  run(): void {
    for (let at = 0; at < this.#tokens.length; at++) this.#take(at)
  }

  #take(at: number): void {
    const { kind, start } = this.#tokens[at]!
    if (kind === TokenKind.MARKER) this.markers++
    else if (kind === TokenKind.STRING) this.#takeString(at)
    if (kind !== TokenKind.PUNCTUATION) return
    const byte = this.#bytes[start]!
    switch (byte) {
      case OPENING_PARENTHESIS:
        this.#takeParenthesis(at)
        break
      case OPENING_BRACKET:
        this.#open(this.#isName(at - 1) ? Scope.INDEX : Scope.LIST)
        break
      case OPENING_BRACE:
        this.#open(
          this.#isName(at + 1) && this.#byteAt(at + 2) === COLON ? Scope.UDT : Scope.BRACES,
        )
        break
      case CLOSING_PARENTHESIS:
      case CLOSING_BRACKET:
      case CLOSING_BRACE:
        this.#scopes.pop()
        this.#awaitsColon.pop()
        break
      case COMMA:
        if (this.#awaitsColon.length > 0) this.#awaitsColon[this.#awaitsColon.length - 1] = true
        break
      case COLON:
        this.#takeColon(at)
        break
      default:
    }
  }

  #open(scope: Scope): void {
    this.#scopes.push(scope)
    this.#awaitsColon.push(true)
  }

  /** Behind a key it parts key from value; everywhere else it begins a marker's name. */
  #takeColon(at: number): void {
    const scope = this.#scopes.at(-1)
    const isInBraces = scope === Scope.BRACES || scope === Scope.UDT
    const before = this.#byteAt(at - 1)
    const isBehindKey = before !== OPENING_BRACE && before !== COMMA
    if (isInBraces && isBehindKey && this.#awaitsColon.at(-1) === true) {
      this.#awaitsColon[this.#awaitsColon.length - 1] = false
      return
    }
    if (!this.#isName(at + 1)) return
    this.markers++
    this.markerNames.push(this.#nameAt(at + 1))
  }

  #takeParenthesis(at: number): void {
    const isCall = this.#isName(at - 1) && !KEYWORDS_BEFORE_PARENTHESIS.has(this.#nameAt(at - 1))
    if (isCall && this.#byteAt(at + 1) === CLOSING_PARENTHESIS) this.#takeCall(at)
    this.#open(isCall ? Scope.ARGUMENTS : Scope.GROUP)
  }

  /** `name()` or `system.name()`, its opening parenthesis at `at`. */
  #takeCall(at: number): void {
    let first = at - 1
    if (this.#byteAt(at - 2) === DOT) {
      first = at - 3
      if (!this.#isName(first) || this.#nameAt(first) !== 'system') return
    }
    const called = functionNamed(this.#nameAt(at - 1))
    if (called === null) return
    this.calls.push({
      function: called,
      start: this.#tokens[first]!.start,
      end: this.#tokens[at + 1]!.end,
      markersBefore: this.markers,
      place: this.#placeOf(first, at + 1),
    })
  }

  #placeOf(first: number, last: number): CallPlace {
    const scopes = this.#scopes
    if (scopes.includes(Scope.LIST) || scopes.includes(Scope.BRACES)) return CallPlace.COLLECTION
    const isOperand =
      OPERATORS.has(this.#byteAt(first - 1)) || OPERATORS.has(this.#byteAt(last + 1))
    const isInner = scopes.includes(Scope.ARGUMENTS) || scopes.includes(Scope.UDT)
    return isOperand || isInner ? CallPlace.TYPED : CallPlace.VALUE
  }

  /** The document of an INSERT … JSON. */
  #takeString(at: number): void {
    if (!this.#isName(at - 1) || this.#nameAt(at - 1) !== 'json') return
    const { start, end } = this.#tokens[at]!
    const text = decodeText(this.#bytes.subarray(start, end))
    for (const [, name] of text.matchAll(/(\w+)\s*\(\s*\)/g)) {
      const called = functionNamed((name ?? '').toLowerCase())
      if (called !== null) this.inJson.push(called)
    }
  }

  #isName(at: number): boolean {
    const kind = this.#tokens[at]?.kind
    return kind === TokenKind.WORD || kind === TokenKind.QUOTED_NAME
  }

  /** In its internal form. */
  #nameAt(at: number): string {
    const { kind, start, end } = this.#tokens[at]!
    const text = decodeText(this.#bytes.subarray(start, end))
    return kind === TokenKind.WORD ? text.toLowerCase() : text.slice(1, -1).replaceAll('""', '"')
  }

  /** The byte of a token that is one, else -1. */
  #byteAt(at: number): number {
    const token = this.#tokens[at]
    return token?.kind === TokenKind.PUNCTUATION ? this.#bytes[token.start]! : -1
  }
}

/** All calls in `bytes[start, end)`, in order. Total: of any text. */
export const findFunctionCalls = (
  bytes: Uint8Array,
  start: number,
  end: number,
): StatementCalls => {
  const tokens = tokensOf(bytes, start, end)
  const finder = new CallFinder(bytes, tokens)
  finder.run()
  const { calls, inJson, markers, markerNames } = finder
  return { calls, inJson, markers, markerNames, shape: shapeOf(bytes, tokens) }
}
