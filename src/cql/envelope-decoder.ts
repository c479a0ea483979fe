/**
 * A stream of bytes in, whole envelopes out, wherever the stream was cut (v5 §2.1). Feeds on a
 * socket's chunks (v3, v4, and v5 before its first answer) or on frame payloads. It checks the header
 * as soon as its bytes are there; what a message says is left to the reader of its body.
 */
import { allocateUnfilled } from './allocate.ts'
import { HEADER_LENGTH, RESPONSE_BIT, readBodyLength } from './envelope.ts'
import { EnvelopeVersionError, ProtocolError } from './errors.ts'
import { versionTraits } from './protocol.ts'

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

/**
 * Up to here a straddling envelope gets all its memory at once, so that it is copied only once. Beyond it
 * memory follows the bytes that came, never the length that was announced.
 */
const ASSEMBLY_LENGTH_FIRST = 256 * 1024
/** Lowest version whose header has nine bytes. */
const NINE_BYTE_HEADER_VERSION_MIN = 3

const acceptedVersions = (isAccepted: (versionByte: number) => boolean): Uint8Array =>
  new Uint8Array(256).map((_, versionByte) => (isAccepted(versionByte) ? 1 : 0))

const REQUEST_VERSIONS = acceptedVersions((byte) => versionTraits(byte) !== undefined)
const RESPONSE_VERSIONS = acceptedVersions(
  (byte) => byte >= RESPONSE_BIT && versionTraits(byte & ~RESPONSE_BIT) !== undefined,
)
const ANY_RESPONSE_VERSIONS = acceptedVersions(
  (byte) => byte >= RESPONSE_BIT + NINE_BYTE_HEADER_VERSION_MIN,
)
const ANY_REQUEST_VERSIONS = acceptedVersions(
  (byte) => byte < RESPONSE_BIT && byte >= NINE_BYTE_HEADER_VERSION_MIN,
)

export class EnvelopeDecoder {
  /** The longest body that is accepted from now on, in bytes. */
  bodyLengthMax: number
  /**
   * Accepts every version with a nine-byte header, not only those that we speak: a cluster may
   * answer a STARTUP that it does not understand in a version of its own choice.
   */
  acceptAnyVersion = false
  readonly #isRequestSide: boolean
  readonly #header = new Uint8Array(HEADER_LENGTH)
  #headerFill = 0
  /** The envelope that straddles chunks, once its header is known. */
  #partial: Uint8Array | null = null
  #partialFill = 0
  #partialLength = 0
  #hasFailed = false

  constructor(options: { readonly bodyLengthMax: number; readonly isRequestSide: boolean }) {
    this.bodyLengthMax = options.bodyLengthMax
    this.#isRequestSide = options.isRequestSide
  }

  /**
   * Hands every envelope that is complete to `onEnvelope`: where it lies in the chunk, or in a buffer
   * of its own if it straddles chunks. Returns the offset of the first byte that was not consumed,
   * which is `end` unless `onEnvelope` returned false. After an error it takes nothing more.
   */
  push(chunk: Uint8Array, start: number, end: number, onEnvelope: EnvelopeHandler): number {
    if (this.#hasFailed) return end
    let at = start
    if (this.#headerFill > 0) {
      at = this.#resume(chunk, start, end)
      const envelope = this.#takeComplete()
      if (envelope === null) return end
      if (onEnvelope(envelope, 0, envelope.length) === false) return at
    }
    while (end - at >= HEADER_LENGTH) {
      this.#checkVersion(chunk[at]!)
      const next = at + HEADER_LENGTH + this.#checkLength(readBodyLength(chunk, at))
      if (next > end) break
      const envelopeStart = at
      at = next
      if (onEnvelope(chunk, envelopeStart, next) === false) return next
    }
    if (at < end) this.#resume(chunk, at, end)
    return end
  }

  /** Moves bytes into the straddling envelope; returns the offset of what it did not need. */
  #resume(chunk: Uint8Array, start: number, end: number): number {
    let at = start
    if (this.#partial === null) {
      if (this.#headerFill === 0) this.#checkVersion(chunk[at]!)
      while (this.#headerFill < HEADER_LENGTH) {
        if (at === end) return end
        this.#header[this.#headerFill++] = chunk[at++]!
      }
      this.#startPartial(end - at)
    }
    const taken = Math.min(end - at, this.#partialLength - this.#partialFill)
    const partial = this.#reservePartial(taken)
    partial.set(chunk.subarray(at, at + taken), this.#partialFill)
    this.#partialFill += taken
    return at + taken
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

  /** The straddling envelope's buffer with room for `count` more bytes. */
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

  /** The straddling envelope if its last byte has come; the decoder then forgets it. */
  #takeComplete(): Uint8Array | null {
    const partial = this.#partial
    if (partial === null || this.#partialFill < this.#partialLength) return null
    this.#partial = null
    this.#headerFill = 0
    return partial
  }

  #checkVersion(versionByte: number): void {
    if (this.#acceptedVersions()[versionByte] === 1) return
    this.#hasFailed = true
    throw new EnvelopeVersionError(versionByte, this.#isRequestSide)
  }

  #acceptedVersions(): Uint8Array {
    if (this.#isRequestSide) return this.acceptAnyVersion ? ANY_REQUEST_VERSIONS : REQUEST_VERSIONS
    return this.acceptAnyVersion ? ANY_RESPONSE_VERSIONS : RESPONSE_VERSIONS
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
