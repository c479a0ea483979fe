/**
 * The tokens of a SELECT on a virtual table, one at a time, with what a parser asks of them: is it
 * this keyword, this symbol, a name, a constant. Stands on the token to be parsed next.
 */
import { ErrorCode } from '../cql/protocol.ts'
import { Lexer, TokenKind } from '../statement/lexer.ts'
import {
  internalName,
  isKeyword,
  stringValue,
  syntaxErrorMessage,
  tokenText,
} from '../statement/token-text.ts'
import { type Constant, VirtualSelectError } from './virtual-value.ts'

const INTEGER = /^\d+$/
const FLOAT = /^\d+(\.\d+)?(e[+-]?\d+)?$/i
const BLOB = /^0x[0-9a-f]*$/i
const NUMBER_NAME = /^(nan|infinity)$/i
const BOOLEAN = /^(true|false)$/i
const NULL = /^null$/i

export class TokenCursor {
  readonly #token: Lexer

  constructor(text: Uint8Array) {
    this.#token = new Lexer(text, 0, text.length)
    this.#token.next()
  }

  get kind(): TokenKind {
    return this.#token.kind
  }

  /** As it was written. */
  get text(): string {
    return tokenText(this.#token)
  }

  /** Its offset, and that behind it. */
  get start(): number {
    return this.#token.start
  }

  get end(): number {
    return this.#token.end
  }

  next(): void {
    this.#token.next()
  }

  /** What `look` sees on the token behind this one. */
  peek<T>(look: () => T): T {
    const at = this.#token.start
    this.#token.next()
    const seen = look()
    this.#token.rewind(at)
    this.#token.next()
    return seen
  }

  syntaxError(expected: string): VirtualSelectError {
    const message = syntaxErrorMessage(this.#token, expected)
    return new VirtualSelectError(message, ErrorCode.SYNTAX_ERROR)
  }

  isSymbol(symbol: string): boolean {
    const { kind, bytes, start } = this.#token
    return kind === TokenKind.PUNCTUATION && bytes[start] === symbol.charCodeAt(0)
  }

  isOneOf(symbols: readonly string[]): boolean {
    return symbols.some((symbol) => this.isSymbol(symbol))
  }

  takeSymbol(symbol: string): boolean {
    const isThere = this.isSymbol(symbol)
    if (isThere) this.#token.next()
    return isThere
  }

  expectSymbol(symbol: string): void {
    if (!this.takeSymbol(symbol)) throw this.syntaxError(`'${symbol}'`)
  }

  isKeyword(word: Uint8Array): boolean {
    return isKeyword(this.#token, word)
  }

  take(word: Uint8Array): boolean {
    const isThere = isKeyword(this.#token, word)
    if (isThere) this.#token.next()
    return isThere
  }

  expect(word: Uint8Array, name: string): void {
    if (!this.take(word)) throw this.syntaxError(name)
  }

  /** One or more, with commas between. */
  list<T>(one: () => T): T[] {
    const list = [one()]
    while (this.takeSymbol(',')) list.push(one())
    return list
  }

  get isName(): boolean {
    return internalName(this.#token) !== null
  }

  /** A name in its internal form. */
  takeName(expected: string): string {
    const name = internalName(this.#token)
    if (name === null) throw this.syntaxError(expected)
    this.#token.next()
    return name
  }

  /** Null, and nothing taken, where the token is no constant; a sign is a token of its own. */
  takeConstant(isNegative: boolean): Constant | null {
    const constant = constantOf(this.#token)
    const isNumber = constant?.kind === 'integer' || constant?.kind === 'float'
    if (constant === null || (isNegative && !isNumber)) return null
    this.#token.next()
    return isNegative ? { ...constant, text: `-${constant.text}` } : constant
  }
}

const constantOf = (token: Lexer): Constant | null => {
  const text = tokenText(token)
  switch (token.kind) {
    case TokenKind.STRING:
      return token.isClosed ? { kind: 'string', text: stringValue(token) } : null
    case TokenKind.UUID:
      return { kind: 'uuid', text }
    case TokenKind.NUMBER:
      if (INTEGER.test(text)) return { kind: 'integer', text }
      if (BLOB.test(text)) return { kind: 'blob', text }
      return FLOAT.test(text) ? { kind: 'float', text } : null
    case TokenKind.WORD:
      if (BOOLEAN.test(text)) return { kind: 'boolean', text }
      if (NUMBER_NAME.test(text)) return { kind: 'float', text }
      return NULL.test(text) ? { kind: 'null', text } : null
    default:
      return null
  }
}
