/**
 * A growing buffer that writes the protocol's notations (v5 §3) and whole envelopes. Slow path only:
 * the request path patches bytes in place and never comes here.
 */
import { encodeHeader, HEADER_LENGTH } from './envelope.ts'
import { ProtocolError } from './errors.ts'
import { ErrorCode } from './protocol.ts'
import { NOT_SET } from './reader.ts'

const UTF8 = new TextEncoder()
/** What a [short] can count. */
const SHORT_MAX = 0xffff

export class BodyWriter {
  #bytes: Uint8Array
  #length = 0

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity)
  }

  get length(): number {
    return this.#length
  }

  #reserve(count: number): number {
    const at = this.#length
    if (at + count > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#bytes.length * 2, at + count))
      grown.set(this.#bytes.subarray(0, at))
      this.#bytes = grown
    }
    this.#length = at + count
    return at
  }

  /** The [short] in front of a list or text. Cut to 16 bits it would make the rest unreadable. */
  writeCount(count: number, what: string): this {
    if (count <= SHORT_MAX) return this.writeShort(count)
    throw new ProtocolError(
      'CQL_SHORT_OVERFLOW',
      `Cannot write ${what} of ${count}: the protocol allows ${SHORT_MAX} here`,
      ErrorCode.INVALID,
    )
  }

  writeByte(value: number): this {
    // Reserved first: `this.#bytes` may be another array afterwards.
    const at = this.#reserve(1)
    this.#bytes[at] = value
    return this
  }

  writeShort(value: number): this {
    const at = this.#reserve(2)
    this.#bytes[at] = value >>> 8
    this.#bytes[at + 1] = value
    return this
  }

  writeInt(value: number): this {
    const at = this.#reserve(4)
    const b = this.#bytes
    b[at] = value >>> 24
    b[at + 1] = value >>> 16
    b[at + 2] = value >>> 8
    b[at + 3] = value
    return this
  }

  writeLong(value: bigint): this {
    return this.writeInt(Number(BigInt.asIntN(32, value >> 32n))).writeInt(
      Number(BigInt.asIntN(32, value)),
    )
  }

  /** Bytes as they are, without a length. */
  writeRaw(value: Uint8Array): this {
    const at = this.#reserve(value.length)
    this.#bytes.set(value, at)
    return this
  }

  writeString(value: string): this {
    const text = UTF8.encode(value)
    return this.writeCount(text.length, '[string]').writeRaw(text)
  }

  /** Text, or its UTF-8 as it is. */
  writeLongString(value: string | Uint8Array): this {
    const text = typeof value === 'string' ? UTF8.encode(value) : value
    return this.writeInt(text.length).writeRaw(text)
  }

  writeStringList(values: readonly string[]): this {
    this.writeCount(values.length, '[string list]')
    for (const value of values) this.writeString(value)
    return this
  }

  writeStringMap(map: ReadonlyMap<string, string>): this {
    this.writeCount(map.size, '[string map]')
    for (const [key, value] of map) this.writeString(key).writeString(value)
    return this
  }

  writeStringMultimap(map: ReadonlyMap<string, readonly string[]>): this {
    this.writeCount(map.size, '[string multimap]')
    for (const [key, values] of map) this.writeString(key).writeStringList(values)
    return this
  }

  writeBytes(value: Uint8Array | null): this {
    if (value === null) return this.writeInt(-1)
    return this.writeInt(value.length).writeRaw(value)
  }

  /** [value]: bytes, null or not set. */
  writeValue(value: Uint8Array | null | typeof NOT_SET): this {
    return value === NOT_SET ? this.writeInt(-2) : this.writeBytes(value)
  }

  /** [value] list: a [short] n and n [value]. */
  writeValues(values: readonly (Uint8Array | null | typeof NOT_SET)[]): this {
    this.writeCount(values.length, 'values')
    for (const value of values) this.writeValue(value)
    return this
  }

  /** [inet]: a [byte] n, n bytes of address, an [int] port. */
  writeInet(address: Uint8Array, port: number): this {
    return this.writeByte(address.length).writeRaw(address).writeInt(port)
  }

  writeShortBytes(value: Uint8Array): this {
    return this.writeCount(value.length, '[short bytes]').writeRaw(value)
  }

  writeBytesMap(map: ReadonlyMap<string, Uint8Array | null>): this {
    this.writeCount(map.size, '[bytes map]')
    for (const [key, value] of map) this.writeString(key).writeBytes(value)
    return this
  }

  /** A copy of what was written. */
  toBytes(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }

  /**
   * What was written as the body of one envelope, header in front.
   * `version` is the whole version byte (with 0x80 for a response); `streamId` is signed 16 bit.
   */
  toEnvelope(version: number, flags: number, streamId: number, opcode: number): Uint8Array {
    const envelope = new Uint8Array(HEADER_LENGTH + this.#length)
    encodeHeader(envelope, 0, version, flags, streamId, opcode, this.#length)
    envelope.set(this.#bytes.subarray(0, this.#length), HEADER_LENGTH)
    return envelope
  }
}
