/**
 * One client connection of the load generator: handshake, sending ready-made requests, checking each
 * answer. When to send what is load.ts's business.
 */
import { FLAGS_OFFSET, HEADER_LENGTH, OPCODE_OFFSET, readStreamId } from '../src/cql/envelope.ts'
import { decodeError } from '../src/cql/messages/error.ts'
import { Opcode, opcodeName, ResultKind, type VersionTraits } from '../src/cql/protocol.ts'
import { BodyReader } from '../src/cql/reader.ts'
import { BodyWriter } from '../src/cql/writer.ts'
import type { Dialer } from '../src/net/dialer.ts'
import { AnswerKind, InFlight, WrongAnswerError } from './in-flight.ts'
import { type RequestTemplate, writeKey } from './mix.ts'
import { Wire, type WireOwner } from './wire.ts'

const CONNECT_TIMEOUT_MS = 10_000
const KEYS = 10_000_000

export type LoadConnectionOptions = {
  readonly port: number
  readonly traits: VersionTraits
  /** Requests in flight at most. */
  readonly capacity: number
  /** What reads must find: so many bytes of this character code. */
  readonly valueLength: number
  readonly mark: number
}

export interface LoadListener {
  onAnswer(connection: LoadConnection, startMs: number): void
  /** The connection is unusable: closed by the peer, or the peer's answer was wrong. */
  onFailure(error: Error): void
}

type PendingCall = { resolve(envelope: Uint8Array): void; reject(error: Error): void }

export class LoadConnection implements WireOwner {
  readonly inFlight: InFlight
  readonly wire: Wire
  readonly #options: LoadConnectionOptions
  readonly #listener: LoadListener
  readonly onEnvelope = (bytes: Uint8Array, start: number, end: number): boolean => {
    if (this.#call === null) this.#settle(bytes, start, end)
    else return this.#answerCall(bytes, start, end)
    return true
  }
  #call: PendingCall | null = null
  #isClosing = false
  #key = 0

  private constructor(options: LoadConnectionOptions, listener: LoadListener) {
    this.#options = options
    this.#listener = listener
    this.inFlight = new InFlight(options.capacity)
    this.wire = new Wire(this, false)
  }

  /** Connects to 127.0.0.1 and does the handshake without credentials. */
  static async open(
    dialer: Dialer,
    options: LoadConnectionOptions,
    listener: LoadListener,
  ): Promise<LoadConnection> {
    const connection = new LoadConnection(options, listener)
    const target = { address: '127.0.0.1', port: options.port, timeoutMs: CONNECT_TIMEOUT_MS }
    connection.wire.attach(await dialer.dial(target, connection.wire))
    const startup = new BodyWriter().writeStringMap(
      new Map([
        ['CQL_VERSION', '3.0.0'],
        ['DRIVER_NAME', 'bench'],
        ['DRIVER_VERSION', '1'],
      ]),
    )
    await connection.call(Opcode.STARTUP, startup, Opcode.READY)
    return connection
  }

  /** Sends one request of the load under a free stream id; returns false when there is none. */
  send(request: RequestTemplate, startMs: number): boolean {
    const streamId = this.inFlight.take(request.answer, startMs)
    if (streamId < 0) return false
    const at = this.wire.send(request.envelope)
    const { buffer } = this.wire
    buffer[at + 2] = streamId >>> 8
    buffer[at + 3] = streamId
    writeKey(buffer, at + request.keyOffset, this.#key)
    this.#key = (this.#key + 1) % KEYS
    return true
  }

  /**
   * Asks alone, with no load in flight, and resolves with a copy of the answer. Rejects when the
   * answer has another opcode.
   */
  async call(opcode: number, body: BodyWriter, expected: number): Promise<Uint8Array> {
    const envelope = body.toEnvelope(this.#options.traits.version, 0, 0, opcode)
    const answer = await new Promise<Uint8Array>((resolve, reject) => {
      this.#call = { resolve, reject }
      this.wire.send(envelope)
    })
    if (answer[OPCODE_OFFSET] === expected) return answer
    throw new WrongAnswerError(
      `${opcodeName(opcode)} was answered with ${describe(answer, 0, answer.length)}`,
    )
  }

  close(): void {
    this.#isClosing = true
    this.wire.end()
  }

  destroy(): void {
    this.#isClosing = true
    this.wire.destroy()
  }

  onClose(cause: Error | null): void {
    if (this.#isClosing) return
    this.#isClosing = true
    const error =
      cause ?? new Error(`the server on port ${this.#options.port} has closed a connection`)
    if (this.#call === null) this.#listener.onFailure(error)
    else this.#call.reject(error)
  }

  #answerCall(bytes: Uint8Array, start: number, end: number): boolean {
    const call = this.#call!
    this.#call = null
    const isReady = bytes[start + OPCODE_OFFSET] === Opcode.READY
    if (isReady && this.#options.traits.hasFrames) this.wire.startFrames()
    call.resolve(bytes.slice(start, end))
    return !(isReady && this.#options.traits.hasFrames)
  }

  #settle(bytes: Uint8Array, start: number, end: number): void {
    const startMs = this.inFlight.settle(
      readStreamId(bytes, start),
      this.#answerKind(bytes, start, end),
    )
    this.#listener.onAnswer(this, startMs)
  }

  #answerKind(bytes: Uint8Array, start: number, end: number): AnswerKind {
    const body = start + HEADER_LENGTH
    if (bytes[start + OPCODE_OFFSET] === Opcode.RESULT && bytes[start + FLAGS_OFFSET] === 0) {
      const kind = intAt(bytes, body)
      if (kind === ResultKind.VOID && end === body + 4) return AnswerKind.DONE
      if (kind === ResultKind.ROWS && this.#hasValue(bytes, body, end)) return AnswerKind.ROWS
    }
    const streamId = readStreamId(bytes, start)
    throw new WrongAnswerError(
      `stream ${streamId} was answered with ${describe(bytes, start, end)}`,
    )
  }

  /** One row with the origin's value: `…<row count><length><bytes>`. */
  #hasValue(bytes: Uint8Array, body: number, end: number): boolean {
    const { valueLength, mark } = this.#options
    const value = end - valueLength
    return (
      value - 8 > body &&
      intAt(bytes, value - 8) === 1 &&
      intAt(bytes, value - 4) === valueLength &&
      bytes[value] === mark &&
      bytes[end - 1] === mark
    )
  }
}

const intAt = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!

const HEX_LENGTH_MAX = 96

const describe = (bytes: Uint8Array, start: number, end: number): string => {
  const opcode = bytes[start + OPCODE_OFFSET]!
  if (opcode === Opcode.ERROR && bytes[start + FLAGS_OFFSET] === 0) {
    const { code, message } = decodeError(new BodyReader(bytes, start + HEADER_LENGTH, end))
    return `ERROR 0x${code.toString(16)}: ${message}`
  }
  const shown = bytes.subarray(start, Math.min(end, start + HEX_LENGTH_MAX)).toHex()
  return `${opcodeName(opcode)} that is not what the bench's cluster sends, ${end - start} bytes: ${shown}`
}
