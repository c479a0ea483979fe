/**
 * One native protocol connection of the bench, either end: whole envelopes in, batched writes out
 * (one write per turn of the event loop, so that the bench itself costs few system calls). What the
 * envelopes mean is fake-node.ts's and load-connection.ts's business.
 */
import type { EnvelopeHandler } from '../src/cql/envelope-decoder.ts'
import { EnvelopeDecoder } from '../src/cql/envelope-decoder.ts'
import { FrameDecoder } from '../src/cql/frame.ts'
import { Flusher, Output } from '../src/net/output.ts'
import type { Transport, TransportHandler } from '../src/net/transport.ts'

/** Larger than any envelope that the bench makes. */
const BODY_LENGTH_MAX = 16 * 1024 * 1024

/** One per process: all its connections share the buffers and the flush. */
export const flusher = new Flusher((flush) => {
  setImmediate(flush)
})

export type WireOwner = {
  /** Returns false to say that what follows in this direction are v5 frames. */
  readonly onEnvelope: EnvelopeHandler
  /** Once; `cause` is null when the peer has closed in order. */
  onClose(cause: Error | null): void
}

export class Wire implements TransportHandler {
  /** When the bytes that are being handled came, in `performance.now()` milliseconds. */
  nowMs = 0
  /** Reads from the socket so far. */
  reads = 0
  readonly #owner: WireOwner
  readonly #onEnvelope: EnvelopeHandler
  readonly #decoder: EnvelopeDecoder
  readonly #onPayload = (bytes: Uint8Array, start: number, end: number): void => {
    this.#decoder.push(bytes, start, end, this.#onEnvelope)
  }
  #frames: FrameDecoder | null = null
  #transport: Transport | null = null
  #output: Output | null = null

  constructor(owner: WireOwner, isServer: boolean) {
    this.#owner = owner
    this.#onEnvelope = owner.onEnvelope
    this.#decoder = new EnvelopeDecoder({
      bodyLengthMax: BODY_LENGTH_MAX,
      isRequestSide: isServer,
    })
    // A server must answer versions that it does not speak: drivers step down by that answer.
    this.#decoder.acceptAnyVersion = isServer
  }

  attach(transport: Transport): void {
    this.#transport = transport
    this.#output = new Output(flusher, transport)
  }

  /** The buffer that `send`'s offset points into. */
  get buffer(): Uint8Array {
    return this.#output!.buffer
  }

  /** Queues one envelope; returns where its copy can be patched until the next one is sent. */
  send(envelope: Uint8Array): number {
    return this.#output!.append(envelope, 0, envelope.length)
  }

  /** From here on both directions are v5 frames. What was sent before leaves bare. */
  startFrames(): void {
    this.#frames = new FrameDecoder()
    this.#output!.startFrames()
  }

  /** Sends what is queued, then closes. */
  end(): void {
    this.#output?.flush()
    this.#transport?.end()
  }

  destroy(): void {
    this.#transport?.destroy()
  }

  onBytes(chunk: Uint8Array, start: number, end: number): void {
    this.nowMs = performance.now()
    this.reads++
    let at = start
    try {
      if (this.#frames === null) at = this.#decoder.push(chunk, at, end, this.#onEnvelope)
      this.#frames?.push(chunk, at, end, this.#onPayload)
    } catch (error) {
      this.#owner.onClose(error instanceof Error ? error : new Error(String(error)))
      this.destroy()
    }
  }

  onDrain(): void {
    this.#output?.onDrain()
  }

  onEnd(): void {
    this.end()
  }

  onClose(cause: Error | null): void {
    this.#output?.close()
    this.#owner.onClose(cause)
  }
}
