/**
 * A cursor over the body of one envelope that reads the protocol's notations (v5 §3). It never
 * reads past its end: a body that is cut off is a ProtocolError that tells the offset. Strings and
 * bytes are views or copies as each method says; the cursor owns nothing.
 */
import { ProtocolError } from './errors.ts'

/** A byte order mark is text like any other: it must survive being read and written. */
const UTF8 = new TextDecoder('utf-8', { ignoreBOM: true })

/** [bytes] and [value] know three states: bytes, null and (value only) not set. */
export const NOT_SET = Symbol('not set')

export class BodyReader {
  readonly bytes: Uint8Array
  readonly end: number
  offset: number

  /** Reads `bytes` from `start` (inclusive) to `end` (exclusive), offsets in bytes. */
  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.bytes = bytes
    this.offset = start
    this.end = end
  }

  get remaining(): number {
    return this.end - this.offset
  }

  /** Moves over `length` bytes and returns where they began. */
  skip(length: number, what: string): number {
    const at = this.offset
    if (length < 0 || at + length > this.end) {
      throw new ProtocolError(
        'CQL_BODY_TRUNCATED',
        `Cannot read ${what}: ${length} bytes needed at offset ${at}, ${this.remaining} left`,
      )
    }
    this.offset = at + length
    return at
  }

  readByte(what = '[byte]'): number {
    return this.bytes[this.skip(1, what)]!
  }

  /** [short]: 2 bytes unsigned. */
  readShort(what = '[short]'): number {
    const at = this.skip(2, what)
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!
  }

  /** [int]: 4 bytes signed. */
  readInt(what = '[int]'): number {
    const at = this.skip(4, what)
    const b = this.bytes
    return (b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!
  }

  /** [long]: 8 bytes signed. */
  readLong(what = '[long]'): bigint {
    const high = this.readInt(what)
    const low = this.readInt(what) >>> 0
    return (BigInt(high) << 32n) | BigInt(low)
  }

  #text(length: number, what: string): string {
    const at = this.skip(length, what)
    return UTF8.decode(this.bytes.subarray(at, at + length))
  }

  /** [string]: a [short] n and n bytes of UTF-8. */
  readString(what = '[string]'): string {
    return this.#text(this.readShort(what), what)
  }

  /** [long string]: an [int] n and n bytes of UTF-8. */
  readLongString(what = '[long string]'): string {
    return this.#text(this.readInt(what), what)
  }

  /** [long string] as a view of its UTF-8, for text that is scanned or kept and never shown. */
  readLongStringBytes(what = '[long string]'): Uint8Array {
    const length = this.readInt(what)
    const at = this.skip(length, what)
    return this.bytes.subarray(at, at + length)
  }

  /** [uuid]: 16 bytes, as a view. */
  readUuid(what = '[uuid]'): Uint8Array {
    const at = this.skip(16, what)
    return this.bytes.subarray(at, at + 16)
  }

  /** [string list]: a [short] n and n [string]. */
  readStringList(what = '[string list]'): string[] {
    const count = this.readShort(what)
    const list: string[] = []
    for (let i = 0; i < count; i++) list.push(this.readString(what))
    return list
  }

  /** [string map]: a [short] n and n pairs of [string]. */
  readStringMap(what = '[string map]'): Map<string, string> {
    const count = this.readShort(what)
    const map = new Map<string, string>()
    for (let i = 0; i < count; i++) map.set(this.readString(what), this.readString(what))
    return map
  }

  /** [string multimap]: a [short] n and n pairs of [string] and [string list]. */
  readStringMultimap(what = '[string multimap]'): Map<string, string[]> {
    const count = this.readShort(what)
    const map = new Map<string, string[]>()
    for (let i = 0; i < count; i++) map.set(this.readString(what), this.readStringList(what))
    return map
  }

  /** [bytes]: an [int] n and n bytes, as a view; null when n < 0. */
  readBytes(what = '[bytes]'): Uint8Array | null {
    const length = this.readInt(what)
    if (length < 0) return null
    const at = this.skip(length, what)
    return this.bytes.subarray(at, at + length)
  }

  /** [value]: like [bytes], with -1 for null and -2 for not set (v4 and later). */
  readValue(what = '[value]'): Uint8Array | null | typeof NOT_SET {
    const length = this.readInt(what)
    if (length === -1) return null
    if (length === -2) return NOT_SET
    const at = this.skip(length, what)
    return this.bytes.subarray(at, at + length)
  }

  /** [short bytes]: a [short] n and n bytes, as a view. */
  readShortBytes(what = '[short bytes]'): Uint8Array {
    const length = this.readShort(what)
    const at = this.skip(length, what)
    return this.bytes.subarray(at, at + length)
  }

  /** [inet]: a [byte] n (4 or 16), n bytes of address as a view, an [int] port. */
  readInet(what = '[inet]'): { address: Uint8Array; port: number } {
    const length = this.readByte(what)
    if (length !== 4 && length !== 16) {
      throw new ProtocolError('CQL_INET_LENGTH', `Cannot read ${what}: ${length} address bytes`)
    }
    const at = this.skip(length, what)
    return { address: this.bytes.subarray(at, at + length), port: this.readInt(what) }
  }

  /** [bytes map] of a custom payload: a [short] n and n pairs of [string] and [bytes] views. */
  readBytesMap(what = '[bytes map]'): Map<string, Uint8Array | null> {
    const count = this.readShort(what)
    const map = new Map<string, Uint8Array | null>()
    for (let i = 0; i < count; i++) map.set(this.readString(what), this.readBytes(what))
    return map
  }
}
