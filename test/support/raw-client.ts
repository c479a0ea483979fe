/**
 * A CQL client for tests that shows every byte: it sends envelopes as given, v5 frames included, and
 * hands over every answer as it came. No retries, no re-preparing, no stream ids of its own but a
 * counter. Its transcript is a text, one line an envelope.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import {
  EnvelopeFlag,
  Opcode,
  opcodeName,
  ResultKind,
  Version,
  versionTraits,
} from '../../src/cql/protocol.ts'
import {
  type BatchChildBody,
  batchBody,
  executeBody,
  type ParameterOptions,
  type PreparedIds,
  plainTokenBody,
  prepareBody,
  queryBody,
  readError,
  readPrepared,
  resultKind,
  startupBody,
} from './fake-cluster/request-bodies.ts'
import { decodeRequest } from './fake-cluster/requests.ts'
import {
  type Algorithm,
  buildEnvelope,
  compressBody,
  type Envelope,
  EnvelopeStream,
  encodeFrames,
  startsFrames,
} from './fake-cluster/wire.ts'

export type RawClientOptions = {
  readonly host?: string
  readonly version?: Version
  /** Asked for in the STARTUP, and used for every request behind it. */
  readonly compression?: Algorithm
  readonly tls?: ConnectionOptions
  /** Stay open for sending after the peer's FIN. */
  readonly allowHalfOpen?: boolean
}

export type HandshakeOptions = {
  readonly credentials?: { readonly username: string; readonly password: string }
  /** Selected with `USE` afterwards. */
  readonly keyspace?: string
  readonly startupOptions?: Readonly<Record<string, string>>
}

export type SendOptions = { readonly streamId?: number; readonly flags?: number }

type Waiter<T> = { readonly resolve: (value: T) => void; readonly reject: (error: Error) => void }

const kindName = (kind: number | undefined): string =>
  Object.entries(ResultKind).find(([, value]) => value === kind)?.[0] ?? `kind ${kind}`

const describeRequest = (envelope: Envelope): string => {
  const request = decodeRequest(envelope)
  if (request.text !== undefined) return ` ${JSON.stringify(request.text)}`
  if (request.statementId !== undefined) return ` ${request.statementId}`
  if (request.children !== undefined) return ` of ${request.children.length}`
  return ''
}

const describeResponse = (envelope: Envelope): string => {
  if (envelope.opcode === Opcode.RESULT) return ` ${kindName(resultKind(envelope))}`
  if (envelope.opcode !== Opcode.ERROR) return ''
  const { code, message } = readError(envelope)
  return ` 0x${code.toString(16).padStart(4, '0')} ${JSON.stringify(message)}`
}

/** Tests send wrong bodies on purpose. */
const describeBody = (envelope: Envelope): string => {
  try {
    return envelope.isResponse ? describeResponse(envelope) : describeRequest(envelope)
  } catch {
    return ' (undecodable)'
  }
}

/** One line of a transcript: direction, stream id, opcode and what matters of the body. */
export const describeEnvelope = (envelope: Envelope): string => {
  const arrow = envelope.isResponse ? '<-' : '->'
  const detail = describeBody(envelope)
  return `${arrow} ${envelope.streamId} ${opcodeName(envelope.opcode)}${detail}`
}

export class RawClient {
  readonly version: Version
  readonly socket: Socket
  readonly transcript: string[] = []
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>
  /** Resolves when the peer has sent FIN, or the connection is gone. */
  readonly ended: Promise<void>
  readonly compression: Algorithm | undefined
  readonly #input = new EnvelopeStream()
  readonly #arrived: Envelope[] = []
  readonly #nextWaiters: Waiter<Envelope>[] = []
  readonly #responseWaiters = new Map<number, Waiter<Envelope>>()
  #failure: Error | undefined
  #lastStreamId = 0

  private constructor(socket: Socket, version: Version, compression: Algorithm | undefined) {
    this.socket = socket
    this.version = version
    this.compression = compression
    this.#input.compression = compression
    const closed = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<void>()
    this.closed = closed.promise
    this.ended = ended.promise
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('error', (error) => this.#fail(error))
    socket.on('end', () => ended.resolve())
    socket.on('close', () => {
      this.#fail(new Error('The connection was closed'))
      ended.resolve()
      closed.resolve()
    })
  }

  static async connect(port: number, options: RawClientOptions = {}): Promise<RawClient> {
    const { host = '127.0.0.1', version = Version.V4, allowHalfOpen = false, tls } = options
    const socket =
      tls === undefined
        ? connect({ host, port, allowHalfOpen, noDelay: true })
        : connectTls({ host, port, ...tls })
    await once(socket, tls === undefined ? 'connect' : 'secureConnect')
    return new RawClient(socket, version, options.compression)
  }

  /** Sends bytes as they are. */
  sendRaw(bytes: Uint8Array): void {
    this.socket.write(bytes)
  }

  /** Sends one or more whole envelopes; on v5, after the handshake's first answer, in a frame. */
  send(envelopes: Uint8Array): void {
    const sent = new EnvelopeStream()
    sent.compression = this.compression
    for (const envelope of sent.push(envelopes)) {
      this.transcript.push(describeEnvelope(envelope))
    }
    const hasLz4 = this.compression !== undefined
    this.sendRaw(this.#input.isFramed ? encodeFrames(envelopes, hasLz4) : envelopes)
  }

  /** The envelope of a request of this client's version. */
  envelope(opcode: number, body: Uint8Array, options: SendOptions = {}): Buffer {
    const streamId = options.streamId ?? this.nextStreamId()
    const { compression, version } = this
    const { flags = 0 } = options
    // v5 compresses frames; STARTUP is where compression is asked for.
    const isPlain = compression === undefined || version === Version.V5
    if (isPlain || opcode === Opcode.STARTUP || opcode === Opcode.OPTIONS) {
      return buildEnvelope(version, flags, streamId, opcode, body)
    }
    const packed = compressBody(compression, body)
    return buildEnvelope(version, flags | EnvelopeFlag.COMPRESSION, streamId, opcode, packed)
  }

  nextStreamId(): number {
    this.#lastStreamId =
      this.#lastStreamId === (versionTraits(this.version)?.streamIdsMax ?? 32767)
        ? 1
        : this.#lastStreamId + 1
    return this.#lastStreamId
  }

  /** The next envelope that no `request` waits for, in the order of arrival. */
  next(): Promise<Envelope> {
    const envelope = this.#arrived.shift()
    if (envelope !== undefined) return Promise.resolve(envelope)
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const { promise, resolve, reject } = Promise.withResolvers<Envelope>()
    this.#nextWaiters.push({ resolve, reject })
    promise.catch(() => {})
    return promise
  }

  /** What has come and was not asked for yet. */
  get unread(): readonly Envelope[] {
    return this.#arrived
  }

  /** Sends a request and waits for the envelope on its stream id. */
  request(opcode: number, body: Uint8Array, options: SendOptions = {}): Promise<Envelope> {
    const streamId = options.streamId ?? this.nextStreamId()
    if (this.#responseWaiters.has(streamId)) throw new Error(`Stream id ${streamId} is in flight`)
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const { promise, resolve, reject } = Promise.withResolvers<Envelope>()
    this.#responseWaiters.set(streamId, { resolve, reject })
    // A test may leave a request behind on purpose; who awaits it hears of the failure all the same.
    promise.catch(() => {})
    this.send(this.envelope(opcode, body, { ...options, streamId }))
    return promise
  }

  /**
   * Stops waiting on a stream id, as a driver does on a time-out: its promise never settles, the id
   * may be used again, and whatever comes next on it goes to whoever waits then.
   */
  abandon(streamId: number): void {
    this.#responseWaiters.delete(streamId)
  }

  /** STARTUP, credentials if asked for, USE; the last answer, which may be an ERROR. */
  async handshake(options: HandshakeOptions = {}): Promise<Envelope> {
    const { compression } = this
    const asked = compression === undefined ? {} : { COMPRESSION: compression }
    const startup = startupBody({ ...asked, ...options.startupOptions })
    let answer = await this.request(Opcode.STARTUP, startup)
    const { credentials, keyspace } = options
    if (answer.opcode === Opcode.AUTHENTICATE && credentials !== undefined) {
      const token = plainTokenBody(credentials.username, credentials.password)
      answer = await this.request(Opcode.AUTH_RESPONSE, token)
    }
    const isReady = answer.opcode === Opcode.READY || answer.opcode === Opcode.AUTH_SUCCESS
    return isReady && keyspace !== undefined ? this.query(`USE "${keyspace}"`) : answer
  }

  query(text: string, options: ParameterOptions & SendOptions = {}): Promise<Envelope> {
    return this.request(Opcode.QUERY, queryBody(this.version, text, options), options)
  }

  /** PREPARE; throws on an ERROR. */
  async prepare(text: string, keyspace?: string): Promise<PreparedIds> {
    const body = prepareBody(this.version, text, keyspace)
    return readPrepared(await this.request(Opcode.PREPARE, body))
  }

  execute(prepared: PreparedIds, options: ParameterOptions & SendOptions = {}): Promise<Envelope> {
    return this.request(Opcode.EXECUTE, executeBody(this.version, prepared, options), options)
  }

  batch(children: readonly BatchChildBody[], options: SendOptions = {}): Promise<Envelope> {
    return this.request(Opcode.BATCH, batchBody(this.version, children), options)
  }

  /** Sends FIN; answers may still come. */
  endWriting(): void {
    this.socket.end()
  }

  async close(): Promise<void> {
    this.socket.destroy()
    await this.closed
  }

  #receive(chunk: Buffer): void {
    try {
      for (const envelope of this.#input.push(chunk)) {
        if (!this.#input.isFramed && startsFrames(envelope)) this.#input.useFrames()
        this.#deliver(envelope)
      }
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)))
      this.socket.destroy()
    }
  }

  #deliver(envelope: Envelope): void {
    this.transcript.push(describeEnvelope(envelope))
    const { streamId } = envelope
    const waiter = this.#responseWaiters.get(streamId) ?? this.#nextWaiters.shift()
    this.#responseWaiters.delete(streamId)
    if (waiter === undefined) this.#arrived.push(envelope)
    else waiter.resolve(envelope)
  }

  /** Everybody who waits hears of it. */
  #fail(error: Error): void {
    this.#failure ??= error
    const waiters = [...this.#nextWaiters, ...this.#responseWaiters.values()]
    this.#nextWaiters.length = 0
    this.#responseWaiters.clear()
    for (const waiter of waiters) waiter.reject(this.#failure)
  }
}
