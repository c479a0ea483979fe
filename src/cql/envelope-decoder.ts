/**
 * A stream of bytes in, whole envelopes out, wherever the stream was cut (v5 §2.1). Feeds on a
 * socket's chunks (all but v5, and v5 before its first answer) or on frame payloads. It checks the header
 * as soon as its bytes are there; what a message says is left to the reader of its body.
 */
import { allocateUnfilled } from './allocate.ts'
import { HEADER_LENGTH, RESPONSE_BIT, readBodyLength } from './envelope.ts'
import { EnvelopeVersionError, ProtocolError } from './errors.ts'
import { versionTraits } from './protocol.ts'
import { SHORT_HEADER_LENGTH, widenHeader } from './short-header.ts'

/**
 * Gets one envelope, header included. When it returns false, `push` stops behind that envelope: what
 * follows READY or AUTHENTICATE in v5 are frames.
 */
// biome-ignore lint/suspicious/noConfusingVoidType: most handlers never stop and return nothing.
export type EnvelopeHandler = (bytes: Uint8Array, start: number, end: number) => void | boolean

/** One envelope, header included, in another form that means the same. */
export type EnvelopeRewrite = (envelope: Uint8Array) => Uint8Array

/** `handler`, which gets every envelope rewritten: for tests that put a codec into the path. */
export const rewritten =
  (rewrite: EnvelopeRewrite, handler: EnvelopeHandler): EnvelopeHandler =>
  (bytes, start, end) => {
    const envelope = rewrite(bytes.subarray(start, end))
    return handler(envelope, 0, envelope.length)
  }

/** Gets the error of an envelope whose version is refused. The envelope's bytes are passed over. */
export type RefusalHandler = (error: EnvelopeVersionError) => void

/**
 * Up to here a straddling envelope gets all its memory at once, so that it is copied only once. Beyond it
 * memory follows the bytes that came, never the length that was announced.
 */
const ASSEMBLY_LENGTH_FIRST = 256 * 1024
/** In place of a header's length: bytes of a refused envelope are passed over. */
const PASSING_OVER = -1

/** What a first byte announces. */
const Format = {
  /** No envelope: the end of the stream. */
  NONE: 0,
  /** An envelope with a header of nine bytes, and one of eight (v2 and before). */
  LONG: 1,
  SHORT: 2,
  /** The same, of a version that is not accepted. */
  REFUSED_LONG: 3,
  REFUSED_SHORT: 4,
} as const

/** Which versions a side accepts: a format for each first byte, and what is said of the others. */
export type AcceptedVersions = {
  readonly formats: Uint8Array
  readonly blocked: readonly number[]
}

const hasShortHeader = (version: number): boolean => version === 1 || version === 2

const formatOfRequest = (byte: number, isAccepted: boolean): number => {
  if (byte >= RESPONSE_BIT) return Format.NONE
  if (hasShortHeader(byte)) return isAccepted ? Format.SHORT : Format.REFUSED_SHORT
  return isAccepted ? Format.LONG : Format.REFUSED_LONG
}

const formatOfResponse = (byte: number, isAccepted: boolean): number => {
  if (!isAccepted || byte <= RESPONSE_BIT) return Format.NONE
  return hasShortHeader(byte & ~RESPONSE_BIT) ? Format.SHORT : Format.LONG
}

const formats = (formatOf: (byte: number) => number): Uint8Array =>
  new Uint8Array(256).map((_, byte) => formatOf(byte))

/** What clients may send: every version that is spoken but for the blocked ones. */
export const requestVersions = (blocked: readonly number[] = []): AcceptedVersions => ({
  formats: formats((byte) =>
    formatOfRequest(byte, versionTraits(byte) !== undefined && !blocked.includes(byte)),
  ),
  blocked,
})

const REQUEST_VERSIONS = requestVersions()
const ANY_REQUEST_FORMATS = formats((byte) => formatOfRequest(byte, byte > 0))
const RESPONSE_VERSIONS: AcceptedVersions = {
  formats: formats((byte) =>
    formatOfResponse(byte, versionTraits(byte & ~RESPONSE_BIT) !== undefined),
  ),
  blocked: [],
}
const ANY_RESPONSE_FORMATS = formats((byte) => formatOfResponse(byte, true))

export class EnvelopeDecoder {
  /** The longest body that is accepted from now on, in bytes. */
  bodyLengthMax: number
  /**
   * Told of each envelope of a version that is not accepted, as soon as its header is there; the decoder
   * goes on behind it. Without a handler, or where the length cannot be true, such a version is an error.
   */
  onRefused: RefusalHandler | null = null
  readonly #isRequestSide: boolean
  readonly #versions: AcceptedVersions
  #formats: Uint8Array
  readonly #header = new Uint8Array(HEADER_LENGTH)
  #headerFill = 0
  /** The envelope that is put together, once its header is known. */
  #partial: Uint8Array | null = null
  #partialFill = 0
  #partialLength = 0
  /** Bytes of a refused envelope that are still to come. */
  #refusedLeft = 0
  #hasFailed = false

  constructor(options: {
    readonly bodyLengthMax: number
    readonly isRequestSide: boolean
    readonly versions?: AcceptedVersions
  }) {
    this.bodyLengthMax = options.bodyLengthMax
    this.#isRequestSide = options.isRequestSide
    this.#versions =
      options.versions ?? (options.isRequestSide ? REQUEST_VERSIONS : RESPONSE_VERSIONS)
    this.#formats = this.#versions.formats
  }

  /**
   * Accepts every version whose header is known, not only those that we speak: a cluster may answer a
   * STARTUP that it does not understand in a version of its own choice.
   */
  set acceptAnyVersion(acceptsAny: boolean) {
    const any = this.#isRequestSide ? ANY_REQUEST_FORMATS : ANY_RESPONSE_FORMATS
    this.#formats = acceptsAny ? any : this.#versions.formats
  }

  /**
   * Hands every envelope that is complete to `onEnvelope`: where it lies in the chunk, or in a buffer
   * of its own if it straddles chunks or came with a short header. Returns the offset of the first byte
   * that was not consumed, which is `end` unless `onEnvelope` returned false. After an error it takes
   * nothing more.
   */
  push(chunk: Uint8Array, start: number, end: number, onEnvelope: EnvelopeHandler): number {
    if (this.#hasFailed) return end
    let at = start
    while (at < end) {
      if (this.#headerFill === 0 && end - at >= HEADER_LENGTH) {
        if (this.#formats[chunk[at]!] === Format.LONG) {
          const next = at + HEADER_LENGTH + this.#checkLength(readBodyLength(chunk, at))
          if (next <= end) {
            const envelopeStart = at
            at = next
            if (onEnvelope(chunk, envelopeStart, next) === false) return next
            continue
          }
        }
      }
      at = this.#resume(chunk, at, end)
      const envelope = this.#takeComplete()
      if (envelope !== null && onEnvelope(envelope, 0, envelope.length) === false) return at
    }
    return end
  }

  /** Moves bytes into the envelope that is put together; returns the offset of what it did not need. */
  #resume(chunk: Uint8Array, start: number, end: number): number {
    let at = start
    if (this.#headerFill === PASSING_OVER) return this.#passOver(at, end)
    if (this.#partial === null) {
      if (this.#headerFill === 0) this.#checkFormat(chunk[at]!)
      const format = this.#formats[this.#headerFill === 0 ? chunk[at]! : this.#header[0]!]!
      const isShort = format === Format.SHORT || format === Format.REFUSED_SHORT
      const headerLength = isShort ? SHORT_HEADER_LENGTH : HEADER_LENGTH
      while (this.#headerFill < headerLength) {
        if (at === end) return end
        this.#header[this.#headerFill++] = chunk[at++]!
      }
      if (isShort) widenHeader(this.#header)
      if (format === Format.REFUSED_LONG || format === Format.REFUSED_SHORT) {
        this.#refuse()
        return this.#passOver(at, end)
      }
      this.#startPartial(end - at)
    }
    const taken = Math.min(end - at, this.#partialLength - this.#partialFill)
    const partial = this.#reservePartial(taken)
    partial.set(chunk.subarray(at, at + taken), this.#partialFill)
    this.#partialFill += taken
    return at + taken
  }

  /** A byte that can begin nothing is told at once; a refused version, where its envelope ends as well. */
  #checkFormat(versionByte: number): void {
    const format = this.#formats[versionByte]!
    const isRefused = format === Format.REFUSED_LONG || format === Format.REFUSED_SHORT
    if (format === Format.NONE || (isRefused && this.onRefused === null)) {
      this.#hasFailed = true
      throw this.#versionError(versionByte)
    }
  }

  #refuse(): void {
    const versionByte = this.#header[0]!
    const length = readBodyLength(this.#header, 0)
    const error = this.#versionError(versionByte)
    if (this.onRefused === null || length < 0 || length > this.bodyLengthMax) {
      // What follows has no borders that could be trusted.
      this.#hasFailed = true
      throw error
    }
    this.#headerFill = length === 0 ? 0 : PASSING_OVER
    this.#refusedLeft = length
    this.onRefused(error)
  }

  #passOver(start: number, end: number): number {
    const passed = Math.min(end - start, this.#refusedLeft)
    this.#refusedLeft -= passed
    if (this.#refusedLeft === 0) this.#headerFill = 0
    return start + passed
  }

  #versionError(versionByte: number): EnvelopeVersionError {
    return new EnvelopeVersionError(versionByte, this.#isRequestSide, this.#versions.blocked)
  }

  #startPartial(available: number): void {
    const length = HEADER_LENGTH + this.#checkLength(readBodyLength(this.#header, 0))
    const capacity = Math.max(ASSEMBLY_LENGTH_FIRST, HEADER_LENGTH + available)
    const partial = allocateUnfilled(Math.min(length, capacity))
    partial.set(this.#header, 0)
    this.#partial = partial
    this.#partialFill = HEADER_LENGTH
    this.#partialLength = length
  }

  /** The envelope's buffer with room for `count` more bytes. */
  #reservePartial(count: number): Uint8Array {
    const partial = this.#partial!
    const needed = this.#partialFill + count
    if (needed <= partial.length) return partial
    const capacity = Math.min(this.#partialLength, Math.max(partial.length * 2, needed))
    const grown = allocateUnfilled(capacity)
    grown.set(partial.subarray(0, this.#partialFill))
    this.#partial = grown
    return grown
  }

  /** The envelope if its last byte has come; the decoder then forgets it. */
  #takeComplete(): Uint8Array | null {
    const partial = this.#partial
    if (partial === null || this.#partialFill < this.#partialLength) return null
    this.#partial = null
    this.#headerFill = 0
    return partial
  }

  #checkLength(length: number): number {
    if (length >= 0 && length <= this.bodyLengthMax) return length
    this.#hasFailed = true
    if (length < 0) {
      throw new ProtocolError(
        'ENVELOPE_LENGTH',
        `Envelope announces a body of ${length} bytes: the stream is damaged; reconnect`,
      )
    }
    throw new ProtocolError(
      'ENVELOPE_TOO_LARGE',
      `Envelope announces a body of ${length} bytes, at most ${this.bodyLengthMax} are accepted ` +
        'here: send less in one message',
    )
  }
}
