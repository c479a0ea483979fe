/**
 * One fake node: a listening socket, its prepared cache and its connections. Whether a request is
 * answered, and how, is asked of the cluster's script first (script.ts), else of answers.ts.
 */
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { encodeHeader, HEADER_LENGTH } from '../../../src/cql/envelope.ts'
import {
  EnvelopeFlag,
  ErrorCode,
  Opcode,
  Version,
  versionLabel,
} from '../../../src/cql/protocol.ts'
import { messageOf } from '../../../src/message-of.ts'
import {
  answerRequest,
  type ConnectionState,
  type NodeBehaviour,
  type PreparedStatement,
} from './answers.ts'
import { type DecodedRequest, decodeRequest } from './requests.ts'
import { type Answer, errorAnswer } from './results.ts'
import type { ForgedHeader, Reaction, Received } from './script.ts'
import {
  type Algorithm,
  buildEnvelope,
  compressBody,
  type Envelope,
  EnvelopeStream,
  encodeFrames,
  startsFrames,
  UnsupportedVersionError,
} from './wire.ts'

/** What a node needs of its cluster. */
export type NodeOwner = {
  /** Ascending. */
  readonly versions: readonly number[]
  nextConnectionIndex(): number
  /** Text of any statement that was ever prepared in the cluster. */
  preparedText(statementId: string): string | undefined
  onConnection(connection: FakeConnection): void
  onReceived(received: Received): Reaction
  onViolation(message: string): void
  /** Something changed that a test may wait for. */
  onChange(): void
}

export class FakeConnection implements ConnectionState {
  /** Counted over the cluster from 0, in the order of acceptance. */
  readonly index: number
  readonly node: FakeNode
  readonly socket: Socket
  phase: ConnectionState['phase'] = 'startup'
  keyspace: string | undefined = undefined
  username: string | undefined = undefined
  readonly eventTypes = new Set<string>()
  startupOptions: ReadonlyMap<string, string> = new Map()
  version: number | undefined = undefined
  isClosed = false
  /** Resolves when the connection is gone, whoever closed it. */
  readonly closed: Promise<void>
  readonly #owner: NodeOwner
  readonly #input: EnvelopeStream
  #framesOut = false

  constructor(owner: NodeOwner, node: FakeNode, socket: Socket) {
    this.index = owner.nextConnectionIndex()
    this.node = node
    this.socket = socket
    this.#owner = owner
    this.#input = new EnvelopeStream((version) => owner.versions.includes(version))
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('end', () => socket.end())
    // A reset by the peer is a way to close; 'close' follows.
    socket.on('error', () => {})
    const { promise, resolve } = Promise.withResolvers<void>()
    this.closed = promise
    socket.once('close', () => {
      this.isClosed = true
      resolve()
      owner.onChange()
    })
  }

  get compression(): Algorithm | undefined {
    return this.#input.compression
  }

  /** Sends bytes as they are, unframed. */
  sendRaw(bytes: Uint8Array): void {
    if (!this.socket.destroyed && !this.socket.writableEnded) this.socket.write(bytes)
  }

  /** Sends whole envelopes, framed if the connection has come so far. */
  sendEnvelope(bytes: Uint8Array): void {
    this.sendRaw(this.#framesOut ? encodeFrames(bytes, this.compression !== undefined) : bytes)
  }

  /** Sends an answer on a stream id of any request; also one that was never sent. */
  send(streamId: number, answer: Answer): void {
    const version = this.version ?? this.#owner.versions.at(-1) ?? 0
    this.sendEnvelope(this.#build(version, streamId, answer))
  }

  /** Closes without a word, as a machine that lost power behind a router does after a while. */
  destroy(): void {
    this.socket.destroy()
  }

  /** Stops reading: the peer's writes fill the kernel's buffers. */
  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  #receive(chunk: Buffer): void {
    try {
      for (const envelope of this.#input.push(chunk)) {
        this.#handle(envelope)
        // A reaction may have closed the connection in the middle of a chunk.
        if (this.socket.destroyed) return
      }
    } catch (error) {
      if (error instanceof UnsupportedVersionError) this.#refuseVersion(error.version)
      else {
        const reason = messageOf(error)
        this.#owner.onViolation(`connection ${this.index}: ${reason}`)
        this.destroy()
      }
    }
  }

  /** Cassandra answers in its own highest version on stream 0, and closes. */
  #refuseVersion(version: number): void {
    const { versions } = this.#owner
    const supported = versions.map(versionLabel)
    const answer = errorAnswer(
      ErrorCode.PROTOCOL_ERROR,
      `Invalid or unsupported protocol version (${version}); supported versions are (${supported.join(', ')})`,
    )
    this.version = versions.at(-1)
    this.send(0, answer)
    this.socket.end()
    this.socket.removeAllListeners('data')
    this.socket.resume()
  }

  #handle(envelope: Envelope): void {
    this.version ??= envelope.version
    let request: DecodedRequest = {}
    let refusal: Answer | undefined
    try {
      request = decodeRequest(envelope)
    } catch (error) {
      const reason = messageOf(error)
      refusal = errorAnswer(ErrorCode.PROTOCOL_ERROR, reason)
    }
    if (envelope.version !== this.version) {
      const message = `Invalid message version. Got ${envelope.version}/v${envelope.version} but previous messages on this connection had version ${this.version}/v${this.version}`
      refusal = errorAnswer(ErrorCode.PROTOCOL_ERROR, message)
    }
    if (request.startupOptions !== undefined) this.startupOptions = request.startupOptions
    const reaction = this.#owner.onReceived(this.#record(envelope, request))
    this.#react(reaction, envelope, () => refusal ?? this.#answer(envelope, request))
  }

  #record(envelope: Envelope, request: DecodedRequest): Received {
    const { text, keyspace, skipMetadata: _, token: __, children, ...rest } = request
    const known = text ?? this.#owner.preparedText(request.statementId ?? '')
    const effective = keyspace ?? this.keyspace
    const texts = children?.map((child) => {
      const childText = child.text ?? this.#owner.preparedText(child.statementId ?? '')
      return childText === undefined ? child : { ...child, text: childText }
    })
    return {
      connection: this.index,
      node: this.node.index,
      opcode: envelope.opcode,
      streamId: envelope.streamId,
      version: envelope.version,
      flags: envelope.flags,
      envelope,
      ...rest,
      ...(known === undefined ? {} : { text: known }),
      ...(effective === undefined ? {} : { keyspace: effective }),
      ...(texts === undefined ? {} : { children: texts }),
    }
  }

  #answer(envelope: Envelope, request: DecodedRequest): Answer {
    const answer = answerRequest(
      this.node.behaviour,
      this,
      envelope.version,
      envelope.opcode,
      request,
    )
    if ((envelope.flags & EnvelopeFlag.TRACING) === 0) return answer
    // Begins with the cluster's name, so that a test can tell whose trace it is.
    const tracingId = Buffer.alloc(16, `${this.node.behaviour.clusterName} ${this.node.index} `)
    const flags = (answer.flags ?? 0) | EnvelopeFlag.TRACING
    return { opcode: answer.opcode, flags, body: Buffer.concat([tracingId, answer.body]) }
  }

  #react(reaction: Reaction, envelope: Envelope, answer: () => Answer): void {
    switch (reaction.kind) {
      case 'proceed':
        this.#reply(envelope, answer())
        return
      case 'respond':
        this.#reply(envelope, reaction.answer)
        return
      case 'delay':
        void reaction.until.then(() => this.#react(reaction.then, envelope, answer))
        return
      case 'drop':
        return
      case 'closeSocket':
        this.destroy()
        return
      case 'resetSocket':
        this.socket.resetAndDestroy()
        return
      case 'halfClose':
        this.socket.end()
        return
      case 'rawBytes':
        this.sendRaw(reaction.bytes)
        return
      case 'forgeHeader':
        this.#forge(envelope, answer(), reaction.header)
        return
      case 'answerTwice': {
        const twice = answer()
        this.#reply(envelope, twice)
        this.#reply(envelope, twice)
        return
      }
      case 'forgetPrepared':
        this.node.behaviour.prepared.clear()
        this.#reply(envelope, answer())
    }
  }

  #reply(request: Envelope, answer: Answer): void {
    const { version, streamId } = request
    if (request.opcode === Opcode.STARTUP && answer.opcode !== Opcode.ERROR) this.#agree()
    this.sendEnvelope(this.#build(version, streamId, answer))
    const isFirstAnswer = request.opcode === Opcode.STARTUP && !this.#framesOut
    if (isFirstAnswer && startsFrames({ ...request, opcode: answer.opcode })) {
      this.#framesOut = true
      this.#input.useFrames()
    }
  }

  /** What the STARTUP has asked for holds from its answer on, as with Cassandra. */
  #agree(): void {
    const name = this.startupOptions.get('COMPRESSION')?.toLowerCase()
    if (name === 'lz4' || name === 'snappy') this.#input.compression = name
  }

  #build(version: number, streamId: number, answer: Answer): Buffer {
    const { flags = 0, opcode, body } = answer
    const { compression } = this
    if (compression === undefined || version === Version.V5) {
      return buildEnvelope(version | 0x80, flags, streamId, opcode, body)
    }
    const packed = compressBody(compression, body)
    return buildEnvelope(version | 0x80, flags | EnvelopeFlag.COMPRESSION, streamId, opcode, packed)
  }

  #forge(request: Envelope, answer: Answer, header: ForgedHeader): void {
    const bytes = Buffer.alloc(HEADER_LENGTH + answer.body.length)
    encodeHeader(
      bytes,
      0,
      header.versionByte ?? request.version | 0x80,
      header.flags ?? answer.flags ?? 0,
      header.streamId ?? request.streamId,
      header.opcode ?? answer.opcode,
      header.bodyLength ?? answer.body.length,
    )
    bytes.set(answer.body, HEADER_LENGTH)
    this.sendEnvelope(bytes)
  }
}

export class FakeNode {
  readonly index: number
  readonly behaviour: NodeBehaviour
  readonly address: string
  port = 0
  readonly connections: FakeConnection[] = []
  readonly #owner: NodeOwner
  readonly #tls: TlsOptions | undefined
  #server: Server | undefined

  constructor(
    owner: NodeOwner,
    index: number,
    address: string,
    behaviour: NodeBehaviour,
    tls: TlsOptions | undefined,
  ) {
    this.#owner = owner
    this.index = index
    this.address = address
    this.behaviour = behaviour
    this.#tls = tls
  }

  get prepared(): ReadonlyMap<string, PreparedStatement> {
    return this.behaviour.prepared
  }

  /** Connections that are open now. */
  get openConnections(): readonly FakeConnection[] {
    return this.connections.filter((connection) => !connection.isClosed)
  }

  async listen(port: number): Promise<void> {
    const accept = (socket: Socket): void => {
      const connection = new FakeConnection(this.#owner, this, socket)
      this.connections.push(connection)
      this.#owner.onConnection(connection)
    }
    const server =
      this.#tls === undefined
        ? createServer({ allowHalfOpen: true }, accept)
        : createTlsServer({ ...this.#tls, allowHalfOpen: true }, accept)
    server.listen(port, this.address)
    await once(server, 'listening')
    this.#server = server
    const bound = server.address()
    if (bound === null || typeof bound === 'string') throw new Error('Not a TCP listener')
    this.port = bound.port
  }

  /** Refuses new connections; those that are open stay unless told otherwise. */
  async stopListening(options: { keepConnections?: boolean } = {}): Promise<void> {
    const server = this.#server
    this.#server = undefined
    // `close` also waits for connections, which may stay: only the port matters here.
    server?.close()
    if (options.keepConnections) return
    for (const connection of this.openConnections) connection.destroy()
    await Promise.all(this.connections.map((connection) => connection.closed))
  }

  /** Listens again on the same address and port. */
  async resume(): Promise<void> {
    if (this.#server === undefined) await this.listen(this.port)
  }

  forgetPrepared(): void {
    this.behaviour.prepared.clear()
  }
}
