/**
 * What of a SELECT decides whether two clusters must answer it alike: its table, an order that it asks
 * for, a limit, calls whose value is not in the data. Read off the request path, and like the
 * classifier no grammar: what it does not know is neither refused nor guessed.
 */
import { Lexer, TokenKind } from './lexer.ts'
import { internalName, isKeyword, keyword, tokenText } from './token-text.ts'

export type SelectShape = {
  /** As the statement spells it, in its internal form; null where it names none. */
  readonly keyspace: string | null
  readonly table: string | null
  /** The columns of ORDER BY; empty where there is none, or it is no list of columns. */
  readonly orderBy: readonly string[]
  /** It may leave out rows at the end: LIMIT, but not PER PARTITION LIMIT. */
  readonly isLimited: boolean
  /** Two reads of the same data give the same rows. */
  readonly isRepeatable: boolean
  /** `token(…)`: its values and ranges are those of the cluster's partitioner. */
  readonly usesTokens: boolean
}

const FROM = keyword('FROM')
const AS = keyword('AS')
const ORDER = keyword('ORDER')
const BY = keyword('BY')
const LIMIT = keyword('LIMIT')
const PARTITION = keyword('PARTITION')
const ANN = keyword('ANN')
const ASC = keyword('ASC')
const DESC = keyword('DESC')
const TOKEN = 'token'

/**
 * Values of the moment, of chance, and of the writing: what a tool has migrated keeps its values, and
 * its write times and times to live only where that tool was told so.
 */
const UNREPEATABLE_CALLS: ReadonlySet<string> = new Set([
  'now',
  'uuid',
  'current_timestamp',
  'current_date',
  'current_time',
  'current_timeuuid',
  'currenttimestamp',
  'currentdate',
  'currenttime',
  'currenttimeuuid',
  'writetime',
  'maxwritetime',
  'minwritetime',
  'ttl',
])

const isMark = (lexer: Lexer, mark: string): boolean =>
  lexer.kind === TokenKind.PUNCTUATION && lexer.bytes[lexer.start] === mark.charCodeAt(0)

/** +1 where the token opens a bracket of any kind, -1 where it closes one. */
const nesting = (lexer: Lexer): number => {
  if (lexer.kind !== TokenKind.PUNCTUATION) return 0
  const character = String.fromCharCode(lexer.bytes[lexer.start]!)
  if ('([{'.includes(character)) return 1
  return ')]}'.includes(character) ? -1 : 0
}

/**
 * What pages and orders of a SELECT depend on. Reads any text without error; what it does not understand it
 * leaves null.
 */
export const selectShape = (text: Uint8Array): SelectShape => {
  const lexer = new Lexer(text, 0, text.length)
  let target: Target = { keyspace: null, table: null }
  let orderBy: readonly string[] = []
  let hasAlias = false
  let isLimited = false
  let isRepeatable = true
  let usesTokens = false
  let depth = 0
  let isBehindFrom = false
  let isBehindDot = false
  let isBehindPartition = false
  let name: string | null = null
  for (lexer.next(); lexer.kind !== TokenKind.END; lexer.next()) {
    if (isMark(lexer, '(') && name !== null) {
      if (UNREPEATABLE_CALLS.has(name)) isRepeatable = false
      if (name === TOKEN) usesTokens = true
    }
    depth += nesting(lexer)
    name = lexer.kind === TokenKind.WORD ? tokenText(lexer).toLowerCase() : null
    const isOutside = depth === 0 && !isBehindDot
    if (isOutside && !isBehindFrom && isKeyword(lexer, AS)) hasAlias = true
    if (isOutside && !isBehindFrom && isKeyword(lexer, FROM)) {
      isBehindFrom = true
      target = readTarget(lexer)
    } else if (isOutside && isBehindFrom) {
      if (isKeyword(lexer, ANN)) isRepeatable = false
      if (isKeyword(lexer, LIMIT) && !isBehindPartition) isLimited = true
      if (isKeyword(lexer, ORDER)) orderBy = readOrder(lexer)
    }
    isBehindDot = isMark(lexer, '.')
    isBehindPartition = isKeyword(lexer, PARTITION)
  }
  // An alias may be the name of another column: then the order cannot be told from the rows.
  return {
    ...target,
    orderBy: hasAlias ? [] : orderBy,
    isLimited,
    isRepeatable,
    usesTokens,
  }
}

type Target = Pick<SelectShape, 'keyspace' | 'table'>

/** From FROM on `[keyspace.]table`; the lexer is left on its last token. */
const readTarget = (lexer: Lexer): Target => {
  lexer.next()
  const first = internalName(lexer)
  const firstStart = lexer.start
  lexer.next()
  if (isMark(lexer, '.')) {
    lexer.next()
    return { keyspace: first, table: internalName(lexer) }
  }
  lexer.rewind(firstStart)
  lexer.next()
  return { keyspace: null, table: first }
}

/** From ORDER on `BY column [ASC | DESC], …`; the lexer is left on the last token that belongs to it. */
const readOrder = (lexer: Lexer): readonly string[] => {
  const names: string[] = []
  const back = lexer.start
  lexer.next()
  let isList = isKeyword(lexer, BY)
  while (isList) {
    lexer.next()
    const column = internalName(lexer)
    if (column === null) isList = false
    else names.push(column)
    lexer.next()
    if (isKeyword(lexer, ASC) || isKeyword(lexer, DESC)) lexer.next()
    if (!isMark(lexer, ',')) break
  }
  const isPlain = isList && !isMark(lexer, '(') && !isKeyword(lexer, ANN)
  // What follows is read again by the caller, which must see a LIMIT or ANN there.
  lexer.rewind(back)
  lexer.next()
  return isPlain ? names : []
}
