/**
 * One client connection: bytes in, envelopes to the handshake or the dispatcher, replies out. Owns
 * the client's socket, its framing, and the profile whose pools it uses.
 *
 *   handshaking ──READY──► ready ──► closed
 *        └── deadline, garbage, refusal ──┘
 */

import { type Compression, decompressEnvelope, isCompressed } from '../cql/compression.ts'
import { FLAGS_OFFSET, OPCODE_OFFSET, writeStreamId } from '../cql/envelope.ts'
import { EnvelopeDecoder, type EnvelopeHandler, rewritten } from '../cql/envelope-decoder.ts'
import { type EnvelopeVersionError, ProtocolError } from '../cql/errors.ts'
import { FrameDecoder } from '../cql/frame.ts'
import { EnvelopeFlag, type VersionTraits } from '../cql/protocol.ts'
import { isSentShort } from '../cql/short-header.ts'
import { Output } from '../net/output.ts'
import type { Transport, TransportHandler } from '../net/transport.ts'
import { KeyspaceClass, keyspaceClassOf } from '../statement/classify.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { ProfilePools } from '../upstream/profile-registry.ts'
import type { SessionContext } from './context.ts'
import { Handshake } from './handshake.ts'
import { notNegotiated, protocolErrorEnvelope } from './replies.ts'

/** Before authentication nothing that a client may send is larger (architecture §4). */
const HANDSHAKE_BODY_LENGTH_MAX = 128 * 1024
/** More than this queued for a client that does not read, and the proxy stops reading from it. */
const PAUSE_ABOVE_QUEUED_BYTES = 1024 * 1024
const NO_EVENTS: ReadonlySet<string> = new Set()
/** How long a client that was told to go may take to close its side. */
const END_GRACE_MS = 2_000

export class Session implements TransportHandler {
  readonly id: number
  readonly transport: Transport
  readonly output: Output
  readonly acceptedAtMs: number
  /** When bytes came last, in the turn's milliseconds. */
  lastReadAtMs: number
  state: 'handshaking' | 'ready' | 'closed' = 'handshaking'
  /** No new requests; it closes when the last answer is out. */
  isDraining = false
  /** Set by the STARTUP. */
  traits: VersionTraits | null = null
  /** What the STARTUP has asked for: of envelopes, of frames on v5. */
  compression: Compression | null = null
  profile: ProfilePools | null = null
  /** Whom the client has signed in as; '' where nobody asked. */
  user = ''
  keyspaceClass: KeyspaceClass = KeyspaceClass.USER
  /** Where in the cluster's node list this session begins to look, per cluster. */
  preferredNode: [number, number] = [0, 0]
  /** The connections it used last, per cluster. */
  connections: [UpstreamConnection | null, UpstreamConnection | null] = [null, null]
  /** Requests forwarded and slow requests under way. */
  inFlight = 0
  /** What it has REGISTERed for. */
  eventTypes: ReadonlySet<string> = NO_EVENTS
  readonly #context: SessionContext
  readonly #handshake: Handshake
  readonly #decoder: EnvelopeDecoder
  #frames: FrameDecoder | null = null
  #isPaused = false
  /** When `end` was called, in the turn's milliseconds; a peer that does not close is cut off. */
  #endingSinceMs: number | null = null
  /** At the last `drainIfQuiet`. */
  #bytesReadBefore = -1
  /** Nothing that the client sends is looked at any more. */
  #isDeaf = false
  /** `destroy` was called; the transport's close follows. */
  #isDestroyed = false
  /** Of the longest answer since the queue was last seen empty. */
  #longestQueuedBytes = 0
  readonly #onEnvelope: EnvelopeHandler
  readonly #onPayload = (bytes: Uint8Array, start: number, end: number): void => {
    this.#decoder.push(bytes, start, end, this.#onEnvelope)
  }

  constructor(id: number, transport: Transport, context: SessionContext) {
    this.id = id
    this.transport = transport
    this.output = new Output(context.flusher, transport, context.metrics.clientTraffic)
    this.acceptedAtMs = context.turn.begin()
    this.lastReadAtMs = this.acceptedAtMs
    this.#context = context
    const route: EnvelopeHandler = (bytes, start, end) => this.#route(bytes, start, end)
    const rewrite = context.rewriteEnvelope
    this.#onEnvelope = rewrite === null ? route : rewritten(rewrite, route)
    this.#decoder = new EnvelopeDecoder({
      bodyLengthMax: HANDSHAKE_BODY_LENGTH_MAX,
      isRequestSide: true,
      versions: context.clientVersions,
    })
    this.#decoder.onRefused = (error) => this.#refuseVersion(error)
    this.#handshake = new Handshake(this, context)
  }

  /** Both directions go in v5's frames. */
  get isFramed(): boolean {
    return this.#frames !== null
  }

  /** The keyspace that USE has set, in its internal form. */
  get keyspace(): string | null {
    return this.profile?.profile.keyspace ?? null
  }

  onBytes(chunk: Uint8Array, start: number, end: number): void {
    this.#context.metrics.clientTraffic.receivedBytes += end - start
    if (this.state === 'closed' || this.#isDeaf) return
    this.lastReadAtMs = this.#context.turn.begin()
    try {
      if (this.#frames === null) this.#decoder.push(chunk, start, end, this.#onEnvelope)
      else this.#frames.push(chunk, start, end, this.#onPayload)
    } catch (error) {
      if (error instanceof ProtocolError) this.#refuseBytes(error)
      else this.#context.onInvariantBroken(this, error)
    }
    this.#pauseIfNeeded()
  }

  /**
   * The envelope with its body as it is read: itself, or decompressed in a buffer of its own. Throws
   * ProtocolError where that cannot be.
   */
  readable(envelope: Uint8Array): Uint8Array {
    if (!isCompressed(envelope, 0)) return envelope
    if (this.isFramed) {
      // v5 compresses frames. Some drivers leave the flag set all the same (request-path §1.4).
      envelope[FLAGS_OFFSET]! &= ~EnvelopeFlag.COMPRESSION
      return envelope
    }
    if (this.compression === null) throw notNegotiated()
    const { bodyLengthMax } = this.#decoder
    return decompressEnvelope(this.compression, envelope, 0, envelope.length, bodyLengthMax)
  }

  /** Sends a complete envelope under the client's stream id. */
  reply(streamId: number, envelope: Uint8Array): void {
    if (this.state === 'closed') return
    if (isSentShort(envelope, 0)) this.output.useShortHeaders()
    const at = this.output.append(envelope, 0, envelope.length)
    writeStreamId(this.output.buffer, at, streamId)
    this.noteQueued(envelope.length)
  }

  /** After the first answer to a STARTUP of v5 both directions are framed (v5 §2.2). */
  startFrames(): void {
    if (this.#frames !== null || this.traits?.hasFrames !== true) return
    // What is damaged inside a frame was damaged by whoever sealed it.
    this.#decoder.onRefused = null
    const hasLz4 = this.compression !== null
    this.output.startFrames(hasLz4)
    this.#frames = new FrameDecoder(hasLz4)
  }

  /** The handshake is complete: requests may come. */
  becomeReady(profile: ProfilePools): void {
    this.state = 'ready'
    this.profile = profile
    this.#context.log.debug(
      { code: 'CLIENT_READY', client: this.transport.peer, version: this.traits?.version },
      'handshake of a client complete',
    )
    this.#decoder.bodyLengthMax = this.#context.settings.envelopeBodyLengthMax
    this.#context.readCopies.warm(this)
  }

  /** Uses another profile's pools from the next request on. */
  moveTo(profile: ProfilePools): void {
    const before = this.profile
    if (this.state === 'closed') {
      this.#context.profiles.release(profile, this.#context.turn.nowMs)
      return
    }
    this.profile = profile
    this.connections = [null, null]
    this.keyspaceClass = keyspaceClassOf(profile.profile.keyspace ?? '')
    if (before !== null) this.#context.profiles.release(before, this.#context.turn.nowMs)
    this.#context.readCopies.warm(this)
  }

  /**
   * A usable connection to the cluster for the next request, or null. The one that was used last is
   * kept while it is neither lost nor busy: requests of one read then leave in one write.
   */
  upstream(cluster: 0 | 1): UpstreamConnection | null {
    const last = this.connections[cluster]
    if (last?.isUsable === true && !last.isBusy) return last
    const next = this.profile!.pools[cluster].pick(this.preferredNode[cluster])
    this.connections[cluster] = next
    return next
  }

  /** Stops taking requests; closes as soon as nothing is in flight. */
  drain(): void {
    this.isDraining = true
    this.closeIfDrained()
  }

  /** The same, if nothing is in flight and the client has been silent since the last look. */
  drainIfQuiet(): void {
    const { bytesRead } = this.transport
    const isQuiet = this.inFlight === 0 && bytesRead === this.#bytesReadBefore
    this.#bytesReadBefore = bytesRead
    if (isQuiet) this.drain()
  }

  /** A request has been answered. */
  requestDone(): void {
    this.inFlight--
    if (this.isDraining) this.closeIfDrained()
  }

  closeIfDrained(): void {
    if (this.isDraining && this.inFlight === 0 && this.state !== 'closed') this.end()
  }

  /** Sends what is queued, then closes. What the client still sends is not looked at. */
  end(): void {
    if (this.#endingSinceMs !== null) return
    this.#isDeaf = true
    this.#endingSinceMs = this.#context.turn.nowMs
    this.output.flush()
    this.transport.end()
  }

  /** Cuts off a client that was told to go, or that has not finished its handshake in time. */
  sweep(nowMs: number): void {
    // The preferred nodes may be back: the next request looks again.
    this.connections[0] = null
    this.connections[1] = null
    if (this.#endingSinceMs !== null) {
      if (nowMs - this.#endingSinceMs > END_GRACE_MS) this.destroy()
      return
    }
    const deadlineMs = this.acceptedAtMs + this.#context.settings.handshakeTimeoutMs
    if (this.state === 'handshaking' && nowMs > deadlineMs) {
      this.#context.metrics.clientsClosed.handshakeTimeout++
      if (this.#handshake.expire()) {
        this.end()
        return
      }
      this.#endingSinceMs = nowMs
      this.destroy()
    }
  }

  /** Closes it now; false where that was done before, or the client has gone by itself. */
  destroy(): boolean {
    const isFirst = !this.#isDestroyed && this.state !== 'closed'
    this.#isDestroyed = true
    this.transport.destroy()
    return isFirst
  }

  /**
   * Called when an answer of so many bytes was queued: a client that does not read is closed in the end. A
   * node may send one answer that is longer than the limit; whoever asked for it is given the time to read it.
   */
  noteQueued(length: number): void {
    if (length > this.#longestQueuedBytes) this.#longestQueuedBytes = length
    const othersBytes = this.output.queuedBytes - this.#longestQueuedBytes
    if (othersBytes <= this.#context.settings.clientOutputBytesMax) return
    if (this.destroy()) this.#context.metrics.clientsClosed.slow++
  }

  onDrain(): void {
    if (this.output.queuedBytes === 0) this.#longestQueuedBytes = 0
    this.output.onDrain()
    this.#resumeIfPossible()
  }

  /** A connection that it waited for takes bytes again, or is lost. */
  onUpstreamWritable(): void {
    this.#resumeIfPossible()
  }

  onEnd(): void {
    this.transport.end()
  }

  onClose(_cause: Error | null): void {
    if (this.state === 'closed') return
    this.state = 'closed'
    this.output.close()
    this.#context.waitingForUpstream.remove(this)
    this.#handshake.abandon()
    if (this.profile !== null)
      this.#context.profiles.release(this.profile, this.#context.turn.nowMs)
    this.#context.onSessionClosed(this)
  }

  #route(bytes: Uint8Array, start: number, end: number): boolean {
    this.#context.metrics.requestsByOpcode[bytes[start + OPCODE_OFFSET]!]!++
    if (this.state === 'ready') this.#context.dispatcher.dispatch(this, bytes, start, end)
    else if (this.state === 'handshaking') this.#handshake.take(bytes.slice(start, end))
    return this.state !== 'closed'
  }

  /** Bytes that are no envelope: the protocol's error on stream 0, and the end. */
  #refuseBytes(error: ProtocolError): void {
    this.#context.onBadBytes(this, error)
    const version = this.traits?.version ?? this.#context.snapshot.errorVersion
    this.reply(0, protocolErrorEnvelope(version, error))
    this.end()
  }

  /** A version that is not accepted, and only that: the client may go on in another one. */
  #refuseVersion(error: EnvelopeVersionError): void {
    if (this.state === 'closed' || this.#isDeaf) return
    const isReady = this.state === 'ready'
    if (!isReady) this.#context.onHandshakeFailed(this, error)
    const version = isReady ? this.traits!.version : this.#context.snapshot.errorVersion
    this.reply(0, protocolErrorEnvelope(version, error))
  }

  #pauseIfNeeded(): void {
    const isOriginFull = this.#waitsFor(this.connections[0])
    const isTargetFull = this.#waitsFor(this.connections[1])
    if (isOriginFull || isTargetFull || this.#isOutputFull()) {
      this.#isPaused = true
      this.transport.pause()
    }
  }

  /** Whether the connection's queue is full; then it is waited for. */
  #waitsFor(connection: UpstreamConnection | null): boolean {
    if (connection?.isCongested !== true) return false
    // What is not written yet the kernel may take at once, and then no drain tells.
    connection.flush()
    if (!connection.isCongested) return false
    this.#context.waitingForUpstream.add(this, connection)
    return true
  }

  /** Whether a drain will tell when the client has taken what it was sent. */
  #isOutputFull(): boolean {
    if (this.output.queuedBytes <= PAUSE_ABOVE_QUEUED_BYTES) return false
    this.output.flush()
    return this.output.queuedBytes > PAUSE_ABOVE_QUEUED_BYTES
  }

  #resumeIfPossible(): void {
    if (!this.#isPaused || this.#context.waitingForUpstream.has(this)) return
    if (this.#isOutputFull()) return
    this.#isPaused = false
    this.transport.resume()
  }
}
