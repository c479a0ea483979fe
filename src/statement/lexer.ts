/**
 * Walks the tokens of CQL text in UTF-8, without allocating: offsets and kinds, no values. What a
 * token means is its readers' business (classify.ts, token-text.ts). Made for texts that no grammar of
 * ours knows: every input has tokens, every walk ends, and no byte outside the text is read.
 */

/** What a token is. Small numbers, so that a switch over them is a jump table. */
export const TokenKind = {
  /** Behind the last token; comes again for ever. */
  END: 0,
  /** An identifier without quotes, or a keyword: letters, digits, `_`, anything beyond ASCII. */
  WORD: 1,
  /** `"…"`, with `""` for a quote inside. */
  QUOTED_NAME: 2,
  /** `'…'`, with `''` for a quote inside, or `$$…$$`. */
  STRING: 3,
  /** Begins with a digit: integer, float, `0x…`, duration, or a name as some dialects allow it. */
  NUMBER: 4,
  UUID: 5,
  /** `?` */
  MARKER: 6,
  /**
   * One byte of anything else. So is `:`, since only a grammar knows whether the name behind it is a
   * marker's (`:name`) or a value in a map; and `-`, which may be a sign.
   */
  PUNCTUATION: 7,
} as const
export type TokenKind = (typeof TokenKind)[keyof typeof TokenKind]

const TAB_TO_SPACE_MAX = 0x20
const DOUBLE_QUOTE = 0x22
const DOLLAR = 0x24
const SINGLE_QUOTE = 0x27
const ASTERISK = 0x2a
const PLUS = 0x2b
const MINUS = 0x2d
const DOT = 0x2e
const SLASH = 0x2f
const ZERO = 0x30
const NINE = 0x39
const QUESTION_MARK = 0x3f
const LOWER_E = 0x65
const LOWER_X = 0x78
const LF = 0x0a
const CR = 0x0d
/** Makes an ASCII letter lower case, and no other byte a letter. */
const LOWER_CASE_BIT = 0x20

const UUID_LENGTH = 36
const isUuidHyphen = (at: number): boolean => at === 8 || at === 13 || at === 18 || at === 23

/** What a byte begins, where it begins no comment. */
const Begins = { PUNCTUATION: 0, WORD: 1, NUMBER: 2, QUOTE: 3, DOLLAR: 4, MARKER: 5 } as const

const WORD_BYTE = /[A-Za-z_\u0080-\u00ff]/
const DIGIT = /[0-9]/

const beginsOf = (byte: number): number => {
  if (byte === SINGLE_QUOTE || byte === DOUBLE_QUOTE) return Begins.QUOTE
  if (byte === DOLLAR) return Begins.DOLLAR
  if (byte === QUESTION_MARK) return Begins.MARKER
  const character = String.fromCharCode(byte)
  if (DIGIT.test(character)) return Begins.NUMBER
  return WORD_BYTE.test(character) ? Begins.WORD : Begins.PUNCTUATION
}

/** By byte. */
const BEGINS = Uint8Array.from({ length: 256 }, (_, byte) => beginsOf(byte))
/** By byte: 1 where a word goes on. */
const GOES_ON = BEGINS.map((begins) => (begins === Begins.WORD || begins === Begins.NUMBER ? 1 : 0))

const isDigit = (byte: number): boolean => byte >= ZERO && byte <= NINE

const isHexDigit = (byte: number): boolean => {
  const lower = byte | LOWER_CASE_BIT
  return isDigit(byte) || (lower >= 0x61 && lower <= 0x66)
}

/** Behind the word that goes on at `at`. */
export const behindWord = (bytes: Uint8Array, at: number, end: number): number => {
  while (at < end && GOES_ON[bytes[at]!] === 1) at++
  return at
}

const behindLine = (bytes: Uint8Array, at: number, end: number): number => {
  while (at < end && bytes[at] !== LF && bytes[at] !== CR) at++
  return at
}

/** Behind the block comment whose inside begins at `at`; one that is not closed takes all. */
const behindBlock = (bytes: Uint8Array, at: number, end: number): number => {
  for (; at + 1 < end; at++) if (bytes[at] === ASTERISK && bytes[at + 1] === SLASH) return at + 2
  return end
}

/** To the next token at or behind `at`, past white space and comments; `end` where none is left. */
export const skipBlanks = (bytes: Uint8Array, at: number, end: number): number => {
  while (at < end) {
    const byte = bytes[at]!
    if (byte <= TAB_TO_SPACE_MAX) {
      at++
      continue
    }
    if (byte !== MINUS && byte !== SLASH) return at
    const following = at + 1 < end ? bytes[at + 1] : 0
    if (following === byte) at = behindLine(bytes, at + 2, end)
    else if (byte === SLASH && following === ASTERISK) at = behindBlock(bytes, at + 2, end)
    else return at
  }
  return end
}

/**
 * Behind the token that begins at `start`. A quote that is not closed runs to `end`. Without
 * an eye for UUIDs, which are then words, numbers and hyphens.
 */
export const tokenEnd = (bytes: Uint8Array, start: number, end: number): number => {
  switch (BEGINS[bytes[start]!]) {
    case Begins.WORD:
      return behindWord(bytes, start + 1, end)
    case Begins.NUMBER:
      return behindNumber(bytes, start, end)
    case Begins.QUOTE: {
      const closing = closingQuote(bytes, start, end)
      return closing < 0 ? end : closing + 1
    }
    case Begins.DOLLAR: {
      if (start + 1 >= end || bytes[start + 1] !== DOLLAR) return start + 1
      const closing = closingDollars(bytes, start, end)
      return closing < 0 ? end : closing + 2
    }
    default:
      return start + 1
  }
}

/** The quote that closes the one at `start`, or -1. One that is doubled stands for itself. */
const closingQuote = (bytes: Uint8Array, start: number, end: number): number => {
  const quote = bytes[start]!
  for (let at = start + 1; at < end; at++) {
    if (bytes[at] !== quote) continue
    if (at + 1 >= end || bytes[at + 1] !== quote) return at
    at++
  }
  return -1
}

/** The first of the dollars that close the two at `start`, or -1. */
const closingDollars = (bytes: Uint8Array, start: number, end: number): number => {
  for (let at = start + 2; at + 1 < end; at++) {
    if (bytes[at] === DOLLAR && bytes[at + 1] === DOLLAR) return at
  }
  return -1
}

const isUuid = (bytes: Uint8Array, at: number, end: number): boolean => {
  if (at + UUID_LENGTH > end) return false
  for (let i = 0; i < UUID_LENGTH; i++) {
    const byte = bytes[at + i]!
    if (isUuidHyphen(i) ? byte !== MINUS : !isHexDigit(byte)) return false
  }
  return true
}

/** Behind what begins with a digit. A dot or sign belongs to it only where a digit follows. */
const behindNumber = (bytes: Uint8Array, start: number, end: number): number => {
  let at = behindWord(bytes, start, end)
  if (at + 1 < end && bytes[at] === DOT && isDigit(bytes[at + 1]!)) {
    at = behindWord(bytes, at + 1, end)
  }
  const isHex = at > start + 1 && (bytes[start + 1]! | LOWER_CASE_BIT) === LOWER_X
  const isExponent = !isHex && (bytes[at - 1]! | LOWER_CASE_BIT) === LOWER_E
  const isSigned = at + 1 < end && (bytes[at] === MINUS || bytes[at] === PLUS)
  return isExponent && isSigned && isDigit(bytes[at + 1]!) ? behindWord(bytes, at + 1, end) : at
}

/** Where the text proper begins: behind a byte order mark. */
export const skipByteOrderMark = (bytes: Uint8Array, start: number, end: number): number => {
  if (start + 3 > end || bytes[start] !== 0xef) return start
  return bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf ? start + 3 : start
}

/**
 * One walk over one text. After `next` the token is `bytes[start, end)`: offsets are of `bytes`, so
 * that a token can be replaced where it lies.
 */
export class Lexer {
  readonly bytes: Uint8Array
  readonly textStart: number
  readonly textEnd: number
  kind: TokenKind = TokenKind.END
  /** Where the token begins. */
  start: number
  /** Where the token ends, exclusive; the next one is looked for from here. */
  end: number

  /** Before the first token of `bytes[start, end)`. A byte order mark in front is no token. */
  constructor(bytes: Uint8Array, start: number, end: number) {
    this.bytes = bytes
    this.textStart = start
    this.textEnd = end
    this.start = start
    this.end = skipByteOrderMark(bytes, start, end)
  }

  /** Back to before the token that began at `offset`. */
  rewind(offset: number): void {
    this.end = offset
  }

  /** Moves to the next token, past white space and comments. */
  next(): TokenKind {
    const { bytes, textEnd } = this
    const start = skipBlanks(bytes, this.end, textEnd)
    this.start = start
    if (start === textEnd) {
      this.end = textEnd
      this.kind = TokenKind.END
    } else if (isUuid(bytes, start, textEnd)) {
      this.end = start + UUID_LENGTH
      this.kind = TokenKind.UUID
    } else {
      this.end = tokenEnd(bytes, start, textEnd)
      this.kind = kindOf(bytes, start, this.end)
    }
    return this.kind
  }

  /** Of a quoted token: whether its closing quote is there. One without runs to the text's end. */
  get isClosed(): boolean {
    const { bytes, start, textEnd } = this
    return bytes[start] === DOLLAR
      ? closingDollars(bytes, start, textEnd) >= 0
      : closingQuote(bytes, start, textEnd) >= 0
  }
}

const kindOf = (bytes: Uint8Array, start: number, end: number): TokenKind => {
  switch (BEGINS[bytes[start]!]) {
    case Begins.WORD:
      return TokenKind.WORD
    case Begins.NUMBER:
      return TokenKind.NUMBER
    case Begins.MARKER:
      return TokenKind.MARKER
    case Begins.QUOTE:
      return bytes[start] === SINGLE_QUOTE ? TokenKind.STRING : TokenKind.QUOTED_NAME
    case Begins.DOLLAR:
      return end > start + 1 ? TokenKind.STRING : TokenKind.PUNCTUATION
    default:
      return TokenKind.PUNCTUATION
  }
}
