/**
 * A SELECT on a virtual system table, from text to its parts. Syntax only: what the names mean is
 * virtual-select.ts's business. What is CQL but more than these tables need is refused by its name;
 * what is not CQL is a SYNTAX_ERROR.
 */
import { ErrorCode } from '../cql/protocol.ts'
import { TokenKind } from '../statement/lexer.ts'
import { keyword } from '../statement/token-text.ts'
import { TokenCursor } from './virtual-select-tokens.ts'
import { type Constant, VirtualSelectError } from './virtual-value.ts'

export type Selector = {
  readonly kind: 'column' | 'count'
  /** Null for the count of rows: `count(*)`, `count(1)`. */
  readonly column: string | null
  readonly alias: string | null
}

/** What a bind marker stands for. */
export type MarkerUse = 'value' | 'list' | 'limit' | 'perPartitionLimit'

export type Marker = {
  /** Of `:name`; null for `?`. */
  readonly name: string | null
  readonly use: MarkerUse
  /** Of a value or list. */
  readonly column: string | null
}

export type Term =
  | { readonly kind: 'constant'; readonly constant: Constant }
  /** The position among the statement's markers. */
  | { readonly kind: 'marker'; readonly index: number }

export type Operator = '=' | '<' | '<=' | '>' | '>=' | 'IN'

export type Relation = {
  readonly column: string
  readonly operator: Operator
  /** One, but for IN; `IN ?` has none. */
  readonly terms: readonly Term[]
  /** The marker of `IN ?`. */
  readonly list: number | null
}

export type VirtualSelect = {
  readonly isJson: boolean
  readonly isDistinct: boolean
  /** Null for `*`. */
  readonly selectors: readonly Selector[] | null
  readonly keyspace: string | null
  readonly table: string
  readonly relations: readonly Relation[]
  readonly groupBy: readonly string[]
  readonly orderBy: readonly string[]
  readonly perPartitionLimit: Term | null
  readonly limit: Term | null
  /** In the order of the text. */
  readonly markers: readonly Marker[]
}

/** Longer than any list of hosts; what is parsed here is held as objects. Bytes. */
export const VIRTUAL_TEXT_LENGTH_MAX = 64 * 1024
/** Each selector is a value in each row, and a row's tokens alone are kilobytes. */
export const VIRTUAL_SELECTORS_MAX = 256

/** Throws VirtualSelectError with INVALID or SYNTAX_ERROR. `text` is UTF-8. */
export const parseVirtualSelect = (text: Uint8Array): VirtualSelect => {
  if (text.length > VIRTUAL_TEXT_LENGTH_MAX) {
    throw new VirtualSelectError(
      `The statement is ${text.length} bytes long: on the system tables that the proxy answers ` +
        `itself it may have ${VIRTUAL_TEXT_LENGTH_MAX}`,
    )
  }
  return new SelectParser(text).parse()
}

const KEYWORD = {
  select: keyword('SELECT'),
  json: keyword('JSON'),
  distinct: keyword('DISTINCT'),
  count: keyword('COUNT'),
  as: keyword('AS'),
  from: keyword('FROM'),
  where: keyword('WHERE'),
  and: keyword('AND'),
  or: keyword('OR'),
  in: keyword('IN'),
  group: keyword('GROUP'),
  order: keyword('ORDER'),
  by: keyword('BY'),
  asc: keyword('ASC'),
  desc: keyword('DESC'),
  per: keyword('PER'),
  partition: keyword('PARTITION'),
  limit: keyword('LIMIT'),
  allow: keyword('ALLOW'),
  filtering: keyword('FILTERING'),
  bypass: keyword('BYPASS'),
  cache: keyword('CACHE'),
  using: keyword('USING'),
  timeout: keyword('TIMEOUT'),
}

/** CQL's operators that need more than a comparison. */
const OTHER_OPERATORS = ['CONTAINS', 'LIKE', 'IS', 'NOT', 'BETWEEN'].map(keyword)
const DURATION = /^(\d+(y|mo|w|d|h|m|s|ms|us|µs|ns))+$/i
const LITERALS: readonly TokenKind[] = [
  TokenKind.STRING,
  TokenKind.NUMBER,
  TokenKind.UUID,
  TokenKind.MARKER,
]
/** Begin an expression that is no column. */
const EXPRESSION_SYMBOLS: readonly string[] = ['(', '[', '{', '-', ':']

const unsupported = (what: string): VirtualSelectError =>
  new VirtualSelectError(
    `${what} is not supported on the system tables that the proxy answers itself: select columns, ` +
      'count(*) or *, and compare columns with constants or bind markers',
  )

class SelectParser {
  readonly #tokens: TokenCursor
  readonly #markers: Marker[] = []

  constructor(text: Uint8Array) {
    this.#tokens = new TokenCursor(text)
  }

  parse(): VirtualSelect {
    const tokens = this.#tokens
    tokens.expect(KEYWORD.select, 'SELECT')
    const isJson = this.#takeModifier(KEYWORD.json)
    const isDistinct = this.#takeModifier(KEYWORD.distinct)
    const selectors = tokens.takeSymbol('*') ? null : tokens.list(() => this.#selector())
    if (selectors !== null && selectors.length > VIRTUAL_SELECTORS_MAX) {
      throw unsupported(`A select list of more than ${VIRTUAL_SELECTORS_MAX} columns`)
    }
    tokens.expect(KEYWORD.from, "',' or FROM")
    const first = tokens.takeName("a table's name")
    const second = tokens.takeSymbol('.') ? tokens.takeName("a table's name") : null
    const relations = tokens.take(KEYWORD.where) ? this.#relations() : []
    const groupBy = this.#takeBy(KEYWORD.group) ? tokens.list(() => this.#column()) : []
    const orderBy = this.#takeBy(KEYWORD.order) ? tokens.list(() => this.#ordering()) : []
    const perPartitionLimit = this.#perPartitionLimit()
    const limit = tokens.take(KEYWORD.limit) ? this.#limit('limit') : null
    this.#end()
    return {
      isJson,
      isDistinct,
      selectors,
      keyspace: second === null ? null : first,
      table: second ?? first,
      relations,
      groupBy,
      orderBy,
      perPartitionLimit,
      limit,
      markers: this.#markers,
    }
  }

  /** GROUP BY, ORDER BY. */
  #takeBy(word: Uint8Array): boolean {
    if (!this.#tokens.take(word)) return false
    this.#tokens.expect(KEYWORD.by, 'BY')
    return true
  }

  /** JSON and DISTINCT are columns' names too: `SELECT json, key FROM …`. */
  #takeModifier(word: Uint8Array): boolean {
    const tokens = this.#tokens
    if (!tokens.isKeyword(word)) return false
    const isColumn = tokens.peek(
      () =>
        tokens.isOneOf([',', '(']) ||
        tokens.isKeyword(KEYWORD.from) ||
        tokens.isKeyword(KEYWORD.as),
    )
    return !isColumn && tokens.take(word)
  }

  #selector(): Selector {
    const tokens = this.#tokens
    if (tokens.isKeyword(KEYWORD.count) && tokens.peek(() => tokens.isSymbol('('))) {
      return { kind: 'count', column: this.#countArgument(), alias: this.#alias() }
    }
    if (LITERALS.includes(tokens.kind) || tokens.isOneOf(EXPRESSION_SYMBOLS)) {
      throw unsupported(`Selecting ${tokens.text}`)
    }
    if (tokens.isKeyword(KEYWORD.from)) throw tokens.syntaxError('a column')
    return { kind: 'column', column: this.#column(), alias: this.#alias() }
  }

  /** Null for `*` and `1`, which count rows. */
  #countArgument(): string | null {
    const tokens = this.#tokens
    tokens.next()
    tokens.expectSymbol('(')
    const isOne = tokens.kind === TokenKind.NUMBER && tokens.text === '1'
    if (isOne) tokens.next()
    const column = isOne || tokens.takeSymbol('*') ? null : this.#column()
    tokens.expectSymbol(')')
    return column
  }

  #alias(): string | null {
    return this.#tokens.take(KEYWORD.as) ? this.#tokens.takeName('an alias') : null
  }

  /** A column's name, and no more: calls, elements and fields are refused. */
  #column(): string {
    const tokens = this.#tokens
    const name = tokens.takeName('a column')
    if (tokens.isSymbol('(')) throw unsupported(`The function ${name}(…)`)
    if (tokens.isOneOf(['.', '['])) throw unsupported(`A part of column ${name}`)
    if (tokens.isOneOf(['+', '-', '*', '/', '%'])) throw unsupported(`Arithmetic on column ${name}`)
    return name
  }

  #relations(): Relation[] {
    const relations = [this.#relation()]
    while (this.#tokens.take(KEYWORD.and)) relations.push(this.#relation())
    if (this.#tokens.isKeyword(KEYWORD.or)) throw unsupported('OR')
    return relations
  }

  /** In any number of parentheses. */
  #relation(): Relation {
    const tokens = this.#tokens
    let depth = 0
    while (tokens.takeSymbol('(')) depth++
    if (depth > 0 && tokens.isName && tokens.peek(() => tokens.isOneOf([',', ')']))) {
      throw unsupported('A relation on several columns')
    }
    const column = this.#column()
    const relation = tokens.take(KEYWORD.in) ? this.#inRelation(column) : this.#comparison(column)
    while (depth-- > 0) tokens.expectSymbol(')')
    return relation
  }

  #comparison(column: string): Relation {
    const operator = this.#operator(column)
    return { column, operator, terms: [this.#term(column)], list: null }
  }

  #operator(column: string): Operator {
    const tokens = this.#tokens
    if (OTHER_OPERATORS.some((word) => tokens.isKeyword(word))) {
      throw unsupported(`${tokens.text.toUpperCase()} on column ${column}`)
    }
    if (tokens.isSymbol('!')) throw unsupported(`!= on column ${column}`)
    if (tokens.takeSymbol('=')) return '='
    for (const symbol of ['<', '>'] as const) {
      const behind = tokens.end
      if (!tokens.takeSymbol(symbol)) continue
      // `<=` is one operator: nothing may stand inside.
      const isWithEqual = tokens.start === behind && tokens.takeSymbol('=')
      return isWithEqual ? `${symbol}=` : symbol
    }
    throw tokens.syntaxError('an operator')
  }

  #inRelation(column: string): Relation {
    const tokens = this.#tokens
    const list = this.#marker('list', column)
    if (list !== null) return { column, operator: 'IN', terms: [], list }
    tokens.expectSymbol('(')
    const terms = tokens.isSymbol(')') ? [] : tokens.list(() => this.#term(column))
    tokens.expectSymbol(')')
    return { column, operator: 'IN', terms, list: null }
  }

  /** `?` or `:name`: its index; null where the token is neither. */
  #marker(use: MarkerUse, column: string | null): number | null {
    const tokens = this.#tokens
    let name: string | null = null
    if (tokens.kind === TokenKind.MARKER) tokens.next()
    else if (tokens.takeSymbol(':')) name = tokens.takeName("a bind marker's name")
    else return null
    return this.#markers.push({ name, use, column }) - 1
  }

  #term(column: string): Term {
    const index = this.#marker('value', column)
    if (index !== null) return { kind: 'marker', index }
    if (this.#tokens.isOneOf(['(', '[', '{'])) {
      throw unsupported(`A value other than a constant for column ${column}`)
    }
    return { kind: 'constant', constant: this.#constant() }
  }

  #constant(): Constant {
    const tokens = this.#tokens
    const isNegative = tokens.takeSymbol('-')
    if (tokens.kind === TokenKind.WORD && tokens.peek(() => tokens.isSymbol('('))) {
      throw unsupported(`The function ${tokens.text}(…)`)
    }
    const constant = tokens.takeConstant(isNegative)
    if (constant === null) throw tokens.syntaxError('a constant or bind marker')
    return constant
  }

  #ordering(): string {
    const column = this.#column()
    if (!this.#tokens.take(KEYWORD.asc)) this.#tokens.take(KEYWORD.desc)
    return column
  }

  #perPartitionLimit(): Term | null {
    const tokens = this.#tokens
    if (!tokens.take(KEYWORD.per)) return null
    tokens.expect(KEYWORD.partition, 'PARTITION')
    tokens.expect(KEYWORD.limit, 'LIMIT')
    return this.#limit('perPartitionLimit')
  }

  #limit(use: 'limit' | 'perPartitionLimit'): Term {
    const index = this.#marker(use, null)
    if (index !== null) return { kind: 'marker', index }
    const constant = this.#constant()
    if (constant.kind === 'integer') return { kind: 'constant', constant }
    throw new VirtualSelectError(`LIMIT ${constant.text} is no integer`, ErrorCode.SYNTAX_ERROR)
  }

  /** What follows the limits changes nothing here: filtering is free, and there is no cache. */
  #end(): void {
    const tokens = this.#tokens
    if (tokens.take(KEYWORD.allow)) tokens.expect(KEYWORD.filtering, 'FILTERING')
    if (tokens.take(KEYWORD.bypass)) tokens.expect(KEYWORD.cache, 'CACHE')
    if (tokens.take(KEYWORD.using)) {
      tokens.expect(KEYWORD.timeout, 'TIMEOUT')
      if (!DURATION.test(tokens.text)) throw tokens.syntaxError('a duration')
      tokens.next()
    }
    while (tokens.takeSymbol(';'));
    if (tokens.kind !== TokenKind.END) throw tokens.syntaxError('the end of the statement')
  }
}
