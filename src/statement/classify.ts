/**
 * What a statement is, as far as its way through the proxy depends on it (request-path §2.3): the
 * verb and, for a SELECT, the FROM target. A classifier, not a grammar (architecture §2.7): it is right
 * for CQL that did not exist when it was written, and leaves every mistake to the clusters.
 */
import { ProtocolError } from '../cql/errors.ts'
import { ErrorCode } from '../cql/protocol.ts'
import { behindWord, Lexer, skipBlanks, skipByteOrderMark, TokenKind, tokenEnd } from './lexer.ts'
import { internalName, isKeyword, keyword, syntaxErrorMessage } from './token-text.ts'

export const StatementClass = {
  /** SELECT from a user keyspace, or from what cannot be made out. */
  READ: 0,
  /** SELECT from a system keyspace that the proxy does not answer itself; LIST, DESCRIBE. */
  SYSTEM_READ: 1,
  /** SELECT from system.local, system.peers or system.peers_v2. */
  VIRTUAL_READ: 2,
  /** CALL InsightsRpc.…: a driver reports on itself to DSE. */
  INSIGHTS_CALL: 3,
  USE: 4,
  /** INSERT, UPDATE, DELETE, BEGIN … BATCH: what may hold calls of now(). */
  WRITE: 5,
  /** All else, known or not: schema, roles, other CALLs, garbage, nothing at all. */
  OTHER: 6,
  /** SELECT from system_traces: only the cluster that has traced a request knows of it. */
  TRACE_READ: 7,
} as const
export type StatementClass = (typeof StatementClass)[keyof typeof StatementClass]

/** What a keyspace is to routing. Names are in their internal form and compared exactly. */
export const KeyspaceClass = {
  USER: 0,
  /** `system` itself: it has the virtual tables. */
  SYSTEM: 1,
  /** `system_…` and `dse_…`. */
  SYSTEM_LIKE: 2,
  /** `system_traces`. */
  TRACES: 3,
} as const
export type KeyspaceClass = (typeof KeyspaceClass)[keyof typeof KeyspaceClass]

const SYSTEM = 'system'
const TRACES = 'system_traces'
const SYSTEM_PREFIXES = ['system_', 'dse_']
const VIRTUAL_TABLES = ['local', 'peers', 'peers_v2']

/** The class of the keyspace with this internal name; none ('') is like a user's. */
export const keyspaceClassOf = (internalName: string): KeyspaceClass => {
  if (internalName === SYSTEM) return KeyspaceClass.SYSTEM
  if (internalName === TRACES) return KeyspaceClass.TRACES
  return SYSTEM_PREFIXES.some((prefix) => internalName.startsWith(prefix))
    ? KeyspaceClass.SYSTEM_LIKE
    : KeyspaceClass.USER
}

const SELECT = keyword('SELECT')
const FROM = keyword('FROM')
const INSERT = keyword('INSERT')
const UPDATE = keyword('UPDATE')
const DELETE = keyword('DELETE')
const BEGIN = keyword('BEGIN')
const DESCRIBE = keyword('DESCRIBE')
const DESC = keyword('DESC')
const LIST = keyword('LIST')
const USE = keyword('USE')
const CALL = keyword('CALL')
const INSIGHTS_RPC = keyword('InsightsRpc')

const SYSTEM_NAME = new TextEncoder().encode(SYSTEM)
const TRACES_NAME = new TextEncoder().encode(TRACES)
const SYSTEM_PREFIX_NAMES = SYSTEM_PREFIXES.map((prefix) => new TextEncoder().encode(prefix))
const VIRTUAL_TABLE_NAMES = VIRTUAL_TABLES.map((table) => new TextEncoder().encode(table))

const DOUBLE_QUOTE = 0x22
const OPENING_PARENTHESIS = 0x28
const CLOSING_PARENTHESIS = 0x29
const DOT = 0x2e
const SEMICOLON = 0x3b
const OPENING_BRACKET = 0x5b
const CLOSING_BRACKET = 0x5d
const OPENING_BRACE = 0x7b
const CLOSING_BRACE = 0x7d
const UPPER_A = 0x41
const UPPER_F = 0x46
const UPPER_Z = 0x5a
const LOWER_F = 0x66
const LOWER_CASE_BIT = 0x20

/**
 * The class of the statement `bytes[start, end)`, UTF-8. `keyspaceClass` is that of the keyspace that
 * unqualified names mean. Total, and allocates nothing.
 */
export const classifyStatement = (
  bytes: Uint8Array,
  start: number,
  end: number,
  keyspaceClass: KeyspaceClass,
): StatementClass => {
  const at = verbStart(bytes, start, end)
  if (at === end) return StatementClass.OTHER
  switch (bytes[at]! | LOWER_CASE_BIT) {
    case 0x73: // s
      if (!isKeywordAt(SELECT, bytes, at, end)) return StatementClass.OTHER
      return classifySelect(bytes, at + SELECT.length, end, keyspaceClass)
    case 0x69: // i
      return isKeywordAt(INSERT, bytes, at, end) ? StatementClass.WRITE : StatementClass.OTHER
    case 0x75: // u
      if (isKeywordAt(UPDATE, bytes, at, end)) return StatementClass.WRITE
      return isKeywordAt(USE, bytes, at, end) ? StatementClass.USE : StatementClass.OTHER
    case 0x64: // d
      if (isKeywordAt(DELETE, bytes, at, end)) return StatementClass.WRITE
      return isKeywordAt(DESCRIBE, bytes, at, end) || isKeywordAt(DESC, bytes, at, end)
        ? StatementClass.SYSTEM_READ
        : StatementClass.OTHER
    case 0x6c: // l
      return isKeywordAt(LIST, bytes, at, end) ? StatementClass.SYSTEM_READ : StatementClass.OTHER
    case 0x62: // b
      return isKeywordAt(BEGIN, bytes, at, end) ? StatementClass.WRITE : StatementClass.OTHER
    case 0x63: // c
      if (!isKeywordAt(CALL, bytes, at, end)) return StatementClass.OTHER
      return classifyCall(bytes, at + CALL.length, end)
    default:
      return StatementClass.OTHER
  }
}

/** The first token that can be a verb: a stray `;` or parenthesis in front changes nothing. */
const verbStart = (bytes: Uint8Array, start: number, end: number): number => {
  let at = skipBlanks(bytes, skipByteOrderMark(bytes, start, end), end)
  while (at < end && (bytes[at] === SEMICOLON || bytes[at] === OPENING_PARENTHESIS)) {
    at = skipBlanks(bytes, at + 1, end)
  }
  return at
}

/** Whether the token at `at` is this keyword. */
const isKeywordAt = (word: Uint8Array, bytes: Uint8Array, at: number, end: number): boolean => {
  const length = word.length
  if (at + length > end) return false
  for (let i = 0; i < length; i++) if ((bytes[at + i]! | LOWER_CASE_BIT) !== word[i]) return false
  return behindWord(bytes, at + length, end) === at + length
}

/**
 * Looks for the FROM that belongs to the SELECT: outside quotes, comments and brackets of any kind,
 * and no field's name (`udt.from`). Without one it is a read that the cluster will refuse.
 */
const classifySelect = (
  bytes: Uint8Array,
  at: number,
  end: number,
  keyspaceClass: KeyspaceClass,
): StatementClass => {
  let depth = 0
  let isBehindDot = false
  for (at = skipBlanks(bytes, at, end); at < end; at = skipBlanks(bytes, at, end)) {
    const byte = bytes[at]!
    switch (byte) {
      case OPENING_PARENTHESIS:
      case OPENING_BRACKET:
      case OPENING_BRACE:
        depth++
        break
      case CLOSING_PARENTHESIS:
      case CLOSING_BRACKET:
      case CLOSING_BRACE:
        depth--
        break
      case UPPER_F:
      case LOWER_F:
        if (depth === 0 && !isBehindDot && isKeywordAt(FROM, bytes, at, end)) {
          return classifyTarget(bytes, at + FROM.length, end, keyspaceClass)
        }
        break
    }
    isBehindDot = byte === DOT
    at = tokenEnd(bytes, at, end)
  }
  return StatementClass.READ
}

/** `table` or `keyspace.table`, behind FROM. */
const classifyTarget = (
  bytes: Uint8Array,
  at: number,
  end: number,
  keyspaceClass: KeyspaceClass,
): StatementClass => {
  const start = skipBlanks(bytes, at, end)
  if (start === end) return StatementClass.READ
  const nameEnd = tokenEnd(bytes, start, end)
  const first = knownName(bytes, start, nameEnd)
  const dot = skipBlanks(bytes, nameEnd, end)
  if (dot === end || bytes[dot] !== DOT) {
    return targetClass(keyspaceClass, first === KnownName.VIRTUAL_TABLE)
  }
  if (first === KnownName.SYSTEM_LIKE) return StatementClass.SYSTEM_READ
  if (first === KnownName.TRACES) return StatementClass.TRACE_READ
  if (first !== KnownName.SYSTEM) return StatementClass.READ
  const table = skipBlanks(bytes, dot + 1, end)
  const isVirtual =
    table < end && knownName(bytes, table, tokenEnd(bytes, table, end)) === KnownName.VIRTUAL_TABLE
  return targetClass(KeyspaceClass.SYSTEM, isVirtual)
}

const targetClass = (keyspaceClass: KeyspaceClass, isVirtualTable: boolean): StatementClass => {
  if (keyspaceClass === KeyspaceClass.USER) return StatementClass.READ
  if (keyspaceClass === KeyspaceClass.TRACES) return StatementClass.TRACE_READ
  return keyspaceClass === KeyspaceClass.SYSTEM && isVirtualTable
    ? StatementClass.VIRTUAL_READ
    : StatementClass.SYSTEM_READ
}

/** `CALL InsightsRpc.…`; a quoted name is somebody else's. */
const classifyCall = (bytes: Uint8Array, at: number, end: number): StatementClass => {
  const name = skipBlanks(bytes, at, end)
  if (!isKeywordAt(INSIGHTS_RPC, bytes, name, end)) return StatementClass.OTHER
  const dot = skipBlanks(bytes, name + INSIGHTS_RPC.length, end)
  return dot < end && bytes[dot] === DOT ? StatementClass.INSIGHTS_CALL : StatementClass.OTHER
}

/** The names of keyspaces and tables that decide on a class. */
const KnownName = { NONE: 0, SYSTEM: 1, SYSTEM_LIKE: 2, VIRTUAL_TABLE: 3, TRACES: 4 } as const
type KnownName = (typeof KnownName)[keyof typeof KnownName]

/**
 * What the token `bytes[start, end)` names. Raw bytes are compared: a quoted name with an escape inside
 * has a `"`, which none of ours has; one that is not closed lacks the `"` at its end.
 */
const knownName = (bytes: Uint8Array, start: number, end: number): KnownName => {
  const isQuoted = bytes[start] === DOUBLE_QUOTE
  if (isQuoted) {
    start++
    end--
    if (end < start || bytes[end] !== DOUBLE_QUOTE) return KnownName.NONE
  }
  if (start === end) return KnownName.NONE
  switch (bytes[start]! | LOWER_CASE_BIT) {
    case 0x64: // d
    case 0x73: // s
      if (isName(SYSTEM_NAME, bytes, start, end, isQuoted)) return KnownName.SYSTEM
      if (isName(TRACES_NAME, bytes, start, end, isQuoted)) return KnownName.TRACES
      for (let i = 0; i < SYSTEM_PREFIX_NAMES.length; i++) {
        const prefix = SYSTEM_PREFIX_NAMES[i]!
        if (isPrefix(prefix, bytes, start, end, isQuoted)) return KnownName.SYSTEM_LIKE
      }
      return KnownName.NONE
    case 0x6c: // l
    case 0x70: // p
      for (let i = 0; i < VIRTUAL_TABLE_NAMES.length; i++) {
        const name = VIRTUAL_TABLE_NAMES[i]!
        if (isName(name, bytes, start, end, isQuoted)) return KnownName.VIRTUAL_TABLE
      }
      return KnownName.NONE
    default:
      return KnownName.NONE
  }
}

/** Whether the internal form of `bytes[start, end)` is `name`. */
const isName = (
  name: Uint8Array,
  bytes: Uint8Array,
  start: number,
  end: number,
  isQuoted: boolean,
): boolean => end - start === name.length && isPrefix(name, bytes, start, end, isQuoted)

/** Whether the internal form of `bytes[start, end)` begins with `name`. */
const isPrefix = (
  name: Uint8Array,
  bytes: Uint8Array,
  start: number,
  end: number,
  isQuoted: boolean,
): boolean => {
  if (end - start < name.length) return false
  for (let i = 0; i < name.length; i++) {
    const byte = bytes[start + i]!
    const isUpper = !isQuoted && byte >= UPPER_A && byte <= UPPER_Z
    if ((isUpper ? byte | LOWER_CASE_BIT : byte) !== name[i]) return false
  }
  return true
}

/**
 * The internal form of the keyspace that the USE statement `bytes[start, end)` names. Throws a
 * ProtocolError with SYNTAX_ERROR, as a server would answer, where it is not `USE <name>`: sessions
 * move to the keyspace before any server has seen the text.
 */
export const useKeyspace = (bytes: Uint8Array, start: number, end: number): string => {
  const walk = new Lexer(bytes, start, end)
  walk.next()
  if (!isKeyword(walk, USE)) throw malformedUse(walk, 'USE')
  walk.next()
  const keyspace = internalName(walk)
  if (keyspace === null) throw malformedUse(walk, "a keyspace's name")
  while (walk.next() === TokenKind.PUNCTUATION && bytes[walk.start] === SEMICOLON);
  if (walk.kind !== TokenKind.END) throw malformedUse(walk, 'the end of the statement')
  return keyspace
}

const malformedUse = (walk: Lexer, expected: string): ProtocolError =>
  new ProtocolError('STATEMENT_USE', syntaxErrorMessage(walk, expected), ErrorCode.SYNTAX_ERROR)
