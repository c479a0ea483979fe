/**
 * A growing buffer that writes the protocol's notations (v5 §3) and whole envelopes. Slow path only:
 * the request path patches bytes in place and never comes here.
 */
import { encodeHeader, HEADER_LENGTH } from './envelope.ts'

const UTF8 = new TextEncoder()

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

  writeByte(value: number): this {
    this.#bytes[this.#reserve(1)] = value
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
    return this.writeShort(text.length).writeRaw(text)
  }

  writeLongString(value: string): this {
    const text = UTF8.encode(value)
    return this.writeInt(text.length).writeRaw(text)
  }

  writeStringList(values: readonly string[]): this {
    this.writeShort(values.length)
    for (const value of values) this.writeString(value)
    return this
  }

  writeStringMap(map: ReadonlyMap<string, string>): this {
    this.writeShort(map.size)
    for (const [key, value] of map) this.writeString(key).writeString(value)
    return this
  }

  writeStringMultimap(map: ReadonlyMap<string, readonly string[]>): this {
    this.writeShort(map.size)
    for (const [key, values] of map) this.writeString(key).writeStringList(values)
    return this
  }

  writeBytes(value: Uint8Array | null): this {
    if (value === null) return this.writeInt(-1)
    return this.writeInt(value.length).writeRaw(value)
  }

  writeShortBytes(value: Uint8Array): this {
    return this.writeShort(value.length).writeRaw(value)
  }

  writeBytesMap(map: ReadonlyMap<string, Uint8Array | null>): this {
    this.writeShort(map.size)
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
