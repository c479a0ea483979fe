/** Streams of envelopes for the tests of the decoders, and what comes out of them. */
import { type AcceptedVersions, EnvelopeDecoder } from '../../src/cql/envelope-decoder.ts'
import {
  FRAME_HEADER_LENGTH,
  FRAME_TRAILER_LENGTH,
  FrameDecoder,
  sealFrame,
} from '../../src/cql/frame.ts'
import { BodyWriter } from '../../src/cql/writer.ts'

export const BODY_LENGTH_MAX = 1024 * 1024

/** Bytes that differ from their neighbours, so that a shift shows. */
export const pattern = (length: number, seed = 0): Uint8Array =>
  new Uint8Array(length).map((_, index) => (index * 31 + (index >> 8) + seed) & 0xff)

export const envelope = (version: number, streamId: number, bodyLength: number): Uint8Array =>
  new BodyWriter(bodyLength)
    .writeRaw(pattern(bodyLength, streamId))
    .toEnvelope(version, 0, streamId, 7)

export const frameOf = (payload: Uint8Array, isSelfContained = true): Uint8Array => {
  const frame = new Uint8Array(FRAME_HEADER_LENGTH + payload.length + FRAME_TRAILER_LENGTH)
  frame.set(payload, FRAME_HEADER_LENGTH)
  sealFrame(frame, 0, payload.length, isSelfContained)
  return frame
}

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

export const concat = (parts: readonly Uint8Array[]): Uint8Array =>
  new Uint8Array(Buffer.concat(parts))

/** Decodes bare envelopes; collects each as hex, copied at once since a chunk is reused. */
export class BareReader {
  readonly envelopes: string[] = []
  readonly decoder: EnvelopeDecoder

  constructor(isRequestSide = true, bodyLengthMax = BODY_LENGTH_MAX, versions?: AcceptedVersions) {
    const options = { bodyLengthMax, isRequestSide }
    this.decoder = new EnvelopeDecoder(versions === undefined ? options : { ...options, versions })
  }

  push(chunk: Uint8Array, start = 0, end = chunk.length): number {
    return this.decoder.push(chunk, start, end, (bytes, from, to) => {
      this.envelopes.push(hex(bytes.subarray(from, to)))
    })
  }
}

/** Decodes envelopes in frames. */
export class FramedReader {
  readonly bare: BareReader
  readonly payloads: string[] = []
  readonly #frames: FrameDecoder

  constructor(isRequestSide = true, bodyLengthMax = BODY_LENGTH_MAX, hasLz4 = false) {
    this.bare = new BareReader(isRequestSide, bodyLengthMax)
    this.#frames = new FrameDecoder(hasLz4)
  }

  get envelopes(): readonly string[] {
    return this.bare.envelopes
  }

  push(chunk: Uint8Array, start = 0, end = chunk.length): void {
    this.#frames.push(chunk, start, end, (bytes, from, to) => {
      this.payloads.push(hex(bytes.subarray(from, to)))
      this.bare.push(bytes, from, to)
    })
  }
}

/** Pushes the parts of `bytes` between the cuts, each through the same buffer as a socket would. */
export const pushCut = (
  reader: BareReader | FramedReader,
  bytes: Uint8Array,
  cuts: readonly number[],
): void => {
  const shared = new Uint8Array(bytes.length + 3)
  const borders = [0, ...cuts, bytes.length]
  for (let i = 1; i < borders.length; i++) {
    const part = bytes.subarray(borders[i - 1], borders[i])
    shared.fill(0xee)
    shared.set(part, 3)
    reader.push(shared, 3, 3 + part.length)
  }
}

/** Every offset: one byte at a time. */
export const everyByte = (bytes: Uint8Array): number[] =>
  Array.from({ length: Math.max(bytes.length - 1, 0) }, (_, index) => index + 1)
