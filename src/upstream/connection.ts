/**
 * One connection to one node: framing, stream ids, and two ways to ask. `send` is the request path:
 * bytes are copied, the answer goes to the listener with the request's index. `call` is the slow
 * path (handshake, PREPARE, USE, control queries): a promise of a copy of the answer.
 *
 *   open ──► handshaking ──► ready ──► draining ──► closed
 *                 └───────────┴──────────┴────────────┘ (lost)
 */

import { type Compression, decompressEnvelope, isCompressed } from '../cql/compression.ts'
import { HEADER_LENGTH, OPCODE_OFFSET, readStreamId, writeStreamId } from '../cql/envelope.ts'
import {
  EnvelopeDecoder,
  type EnvelopeHandler,
  type EnvelopeRewrite,
  rewritten,
} from '../cql/envelope-decoder.ts'
import { FrameDecoder } from '../cql/frame.ts'
import { answerReader } from '../cql/messages/answer.ts'
import { decodeError } from '../cql/messages/error.ts'
import { Opcode, opcodeName, type VersionTraits } from '../cql/protocol.ts'
import { BodyWriter } from '../cql/writer.ts'
import { messageOf } from '../message-of.ts'
import type { NodeMetrics } from '../metrics/node-metrics.ts'
import type { Dialer } from '../net/dialer.ts'
import { type Flusher, Output } from '../net/output.ts'
import type { UpstreamTls } from '../net/tls.ts'
import { noTraffic, type Traffic, type Transport, type TransportHandler } from '../net/transport.ts'
import type { Cluster } from '../routing/cluster.ts'
import type { Turn } from '../turn.ts'
import { ClusterError, ClusterErrorCode } from './errors.ts'
import { SLOT_CALL, SLOT_ORPHAN, SlotTable } from './slots.ts'

/** A node's address as topology and settings name it. */
export type Endpoint = {
  readonly address: string
  readonly port: number
  /** Where a router is dialled: the name by which it knows the node. */
  readonly serverName?: string
}

/** Past this many bytes that a node does not take, the clients that feed it are paused. */
export const UPSTREAM_QUEUED_BYTES_MAX = 4 * 1024 * 1024
/** A server reads a connection on one thread: above this many in flight another one is worth it. */
export const GROW_ABOVE_IN_FLIGHT = 128
/** A node's answer may be as large as the protocol allows (v5 §2.4.1.5). */
const ANSWER_BODY_LENGTH_MAX = 256 * 1024 * 1024

export interface UpstreamListener {
  /** The slot is free again when this is called. Bytes are valid until it returns. */
  onAnswer(
    connection: UpstreamConnection,
    request: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void
  onEvent(connection: UpstreamConnection, bytes: Uint8Array, start: number, end: number): void
  /** An answer that nobody waits for any more. */
  onLateAnswer(connection: UpstreamConnection): void
  /** The queue towards the node is empty again. */
  onWritable(connection: UpstreamConnection): void
  /** Once; `requests()` still tells what was in flight. */
  onLost(connection: UpstreamConnection, cause: Error | null): void
}

/** A copied answer of a call. */
export type CallAnswer = {
  readonly opcode: number
  readonly envelope: Uint8Array
}

type PendingCall = {
  readonly opcode: number
  readonly startMs: number
  resolve(answer: CallAnswer): void
  reject(error: ClusterError): void
}

export type ConnectionOptions = {
  readonly metrics: NodeMetrics
  readonly cluster: Cluster
  readonly endpoint: Endpoint
  /** Label of the node in metrics and logs. */
  readonly node: string
  readonly traits: VersionTraits
  readonly streamIdsMax: number
  readonly connectTimeoutMs: number
  /** How long a call may wait for its answer; asked while it waits, since a setting may change. */
  readonly callTimeoutMs: () => number
  /** After how long without a byte from the node it is asked whether it lives; never, if absent. */
  readonly heartbeatIntervalMs?: () => number
}

export type ConnectionContext = {
  readonly dialer: Dialer
  readonly flusher: Flusher
  readonly turn: Turn
  /** For tests: what is done to every answer before it is looked at. */
  readonly rewriteEnvelope?: EnvelopeRewrite | null
  /** As it is for connections that are opened now; none where the cluster has no TLS. */
  readonly tls?: UpstreamTls | null
  /** Where bytes are counted; nowhere if absent. */
  readonly traffic?: Traffic
}

export class UpstreamConnection implements TransportHandler {
  readonly options: ConnectionOptions
  readonly cluster: Cluster
  readonly node: string
  readonly traits: VersionTraits
  readonly metrics: NodeMetrics
  readonly slots: SlotTable
  /** The proxy itself asked for its end (`drain`, `destroy`): no loss. */
  endsByWish = false
  /** The keyspace that USE has set on this connection, in its internal form. */
  keyspace: string | null = null
  /** What its STARTUP has asked for: of envelopes, of frames on v5. */
  compression: Compression | null = null
  /** The pool's ear: called once, after the listener has heard of the loss. */
  onClosed: (() => void) | null = null
  #state: 'handshaking' | 'ready' | 'draining' | 'closed' = 'handshaking'
  /** `destroy` was called; the transport's close follows. */
  #isEnding = false
  /** When bytes came last, in the turn's milliseconds. */
  #heardAtMs = 0
  #isBeating = false
  readonly #busyFrom: number
  readonly #listener: UpstreamListener
  readonly #turn: Turn
  readonly #traffic: Traffic
  readonly #calls = new Map<number, PendingCall>()
  readonly #decoder: EnvelopeDecoder
  #frames: FrameDecoder | null = null
  #transport: Transport | null = null
  #output: Output | null = null
  readonly #onEnvelope: EnvelopeHandler
  readonly #onPayload = (bytes: Uint8Array, start: number, end: number): void => {
    this.#decoder.push(bytes, start, end, this.#onEnvelope)
  }

  private constructor(
    options: ConnectionOptions,
    { turn, rewriteEnvelope: rewrite = null, traffic = noTraffic() }: ConnectionContext,
    listener: UpstreamListener,
  ) {
    this.options = options
    this.cluster = options.cluster
    this.node = options.node
    this.traits = options.traits
    this.metrics = options.metrics
    const streamIdsMax = Math.min(options.streamIdsMax, options.traits.streamIdsMax)
    this.slots = new SlotTable(streamIdsMax)
    this.#busyFrom = Math.min(GROW_ABOVE_IN_FLIGHT, Math.ceil(streamIdsMax / 2))
    this.#turn = turn
    this.#traffic = traffic
    this.#listener = listener
    const route: EnvelopeHandler = (bytes, start, end) => this.#route(bytes, start, end)
    this.#onEnvelope = rewrite === null ? route : rewritten(rewrite, route)
    this.#decoder = new EnvelopeDecoder({
      bodyLengthMax: ANSWER_BODY_LENGTH_MAX,
      isRequestSide: false,
    })
    this.#decoder.acceptAnyVersion = true
  }

  /** Connects; the handshake is the caller's. Rejects with CONNECT_FAILED. */
  static async open(
    options: ConnectionOptions,
    context: ConnectionContext,
    listener: UpstreamListener,
    signal?: AbortSignal,
  ): Promise<UpstreamConnection> {
    const connection = new UpstreamConnection(options, context, listener)
    const { tls = null } = context
    const target = { ...options.endpoint, timeoutMs: options.connectTimeoutMs, tls }
    try {
      const transport = await context.dialer.dial(target, connection, signal)
      connection.#transport = transport
      connection.#output = new Output(context.flusher, transport, connection.#traffic)
      if (options.traits.hasShortHeader) connection.#output.useShortHeaders()
      return connection
    } catch (cause) {
      const text = messageOf(cause)
      throw new ClusterError(
        ClusterErrorCode.CONNECT_FAILED,
        options.cluster,
        `cannot connect to ${options.node}: ${text}`,
        { cause },
      )
    }
  }

  get state(): 'handshaking' | 'ready' | 'draining' | 'closed' {
    return this.#state
  }

  get isUsable(): boolean {
    return this.#state === 'ready'
  }

  /** The handshake is complete: requests may come. False where it was lost or is unwanted meanwhile. */
  becomeReady(): boolean {
    if (this.#state === 'handshaking') this.#state = 'ready'
    return this.#state === 'ready'
  }

  /** Requests and calls that wait for an answer. */
  get inFlight(): number {
    return this.slots.used - this.slots.orphans
  }

  /** So many requests wait, or so few stream ids are left, that another connection is worth it. */
  get isBusy(): boolean {
    return this.inFlight >= this.#busyFrom
  }

  /** More is queued than a node should be owed; never once it is lost: nothing would drain then. */
  get isCongested(): boolean {
    if (this.#state === 'closed' || this.#output === null) return false
    return this.#output.queuedBytes > UPSTREAM_QUEUED_BYTES_MAX
  }

  /** Writes now what would be written at the end of the turn. */
  flush(): void {
    this.#output?.flush()
  }

  /** The buffer that `send`'s offset points into. */
  get outputBuffer(): Uint8Array {
    return this.#output!.buffer
  }

  /**
   * Sends a request envelope under the given slot (from `slots.take`) and returns its offset in
   * `outputBuffer`, where the caller may patch ids in the first `patchedLength` bytes until anything else
   * is sent. The bytes must stay as they are until they have left.
   */
  send(
    slot: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    patchedLength = HEADER_LENGTH,
  ): number {
    const output = this.#output!
    const at = output.append(bytes, start, end, patchedLength)
    writeStreamId(output.buffer, at, slot)
    return at
  }

  /**
   * A copy of an answer with its body as it is read, decompressed where it came compressed. Throws
   * ProtocolError where that cannot be.
   */
  readable(bytes: Uint8Array, start: number, end: number): Uint8Array {
    if (!isCompressed(bytes, start) || this.compression === null || this.#frames !== null) {
      return bytes.slice(start, end)
    }
    return decompressEnvelope(this.compression, bytes, start, end, ANSWER_BODY_LENGTH_MAX)
  }

  /** Asks and waits; the body is written by `body`. Rejects with a ClusterError. */
  call(opcode: number, body: BodyWriter, flags = 0): Promise<CallAnswer> {
    return this.callEnvelope(body.toEnvelope(this.traits.version, flags, 0, opcode))
  }

  /** Like `call`, with an envelope that is complete but for its stream id. */
  callEnvelope(envelope: Uint8Array): Promise<CallAnswer> {
    const opcode = envelope[OPCODE_OFFSET]!
    if (this.#state === 'closed' || this.#isEnding) {
      return Promise.reject(this.#lostError(opcode, null))
    }
    if (!this.slots.hasFree) return Promise.reject(this.#fullError())
    const slot = this.slots.take(SLOT_CALL)
    const startMs = this.#turn.begin()
    return new Promise((resolve, reject) => {
      this.#calls.set(slot, { opcode, startMs, resolve, reject })
      this.send(slot, envelope, 0, envelope.length)
    })
  }

  /** Indices of the requests that wait for an answer, for the listener's `onLost`. */
  requests(): number[] {
    return Array.from(this.slots.owner).filter((owner) => owner >= 0)
  }

  /** Rejects the calls whose time is over; their slots stay taken as orphans. Looks after a silent node. */
  sweep(nowMs: number): void {
    const timeoutMs = this.options.callTimeoutMs()
    for (const [slot, call] of this.#calls) {
      if (call.startMs + timeoutMs > nowMs) continue
      this.#calls.delete(slot)
      this.slots.orphan(slot)
      call.reject(
        new ClusterError(
          ClusterErrorCode.TIMEOUT,
          this.cluster,
          `${this.node} did not answer ${opcodeName(call.opcode)} within ${timeoutMs} ms`,
        ),
      )
    }
    this.#closeIfDrained()
    const heartbeatMs = this.options.heartbeatIntervalMs?.() ?? Number.POSITIVE_INFINITY
    if (nowMs - this.#heardAtMs >= heartbeatMs) this.#beat()
  }

  /**
   * A node that says nothing at all until the call's time is over is given up: its machine may answer TCP's
   * probes while it does not answer anybody, and what lies between may forget a silent connection.
   */
  #beat(): void {
    if (this.#isBeating || !this.isUsable || !this.slots.hasFree) return
    this.#isBeating = true
    const heardBeforeMs = this.#heardAtMs
    this.call(Opcode.OPTIONS, new BodyWriter())
      .catch((error: unknown) => {
        if (this.#heardAtMs !== heardBeforeMs) return
        this.fail(new Error(`no heartbeat: ${messageOf(error)}`))
      })
      .finally(() => {
        this.#isBeating = false
      })
  }

  /** Takes no new work and closes when the last answer has come. */
  drain(): void {
    if (this.#state === 'closed') return
    this.#state = 'draining'
    this.endsByWish = true
    this.#closeIfDrained()
  }

  /** Closes now; what is in flight is lost. The listener hears of it afterwards. */
  destroy(): void {
    if (this.#state === 'closed') return
    this.#state = 'draining'
    this.endsByWish = true
    this.#isEnding = true
    this.#transport?.destroy()
  }

  /** Gives it up although nothing has closed it: all that is in flight is lost, and is told why. */
  fail(cause: Error): void {
    if (this.#state === 'closed' || this.#isEnding) return
    this.onClose(cause)
    this.#transport?.destroy()
  }

  onBytes(chunk: Uint8Array, start: number, end: number): void {
    this.#heardAtMs = this.#turn.begin()
    this.#traffic.receivedBytes += end - start
    try {
      let at = start
      if (this.#frames === null) at = this.#decoder.push(chunk, start, end, this.#onEnvelope)
      if (at < end) this.#frames?.push(chunk, at, end, this.#onPayload)
    } catch (error) {
      // What follows undecodable bytes cannot be trusted either.
      this.onClose(error instanceof Error ? error : new Error(String(error)))
      this.#transport?.destroy()
    }
  }

  onDrain(): void {
    this.#output?.onDrain()
    this.#listener.onWritable(this)
  }

  /** Nothing that is owed will come any more, and nothing new may be sent here. */
  onEnd(): void {
    this.onClose(null)
    this.#transport?.destroy()
  }

  onClose(cause: Error | null): void {
    if (this.#state === 'closed') return
    this.#turn.begin()
    this.#state = 'closed'
    this.#output?.close()
    const calls = [...this.#calls.values()]
    this.#calls.clear()
    for (const call of calls) call.reject(this.#lostError(call.opcode, cause))
    this.#listener.onLost(this, cause)
    this.onClosed?.()
  }

  /** Returns false where the decoder must stop: what follows are frames, or nobody's. */
  #route(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#state === 'closed') return false
    const hadFrames = this.#frames !== null
    const streamId = readStreamId(bytes, start)
    if (streamId < 0) {
      this.#listener.onEvent(this, bytes, start, end)
      return true
    }
    const owner = this.slots.ownerOf(streamId)
    if (owner >= 0) {
      this.slots.release(streamId)
      this.#listener.onAnswer(this, owner, bytes, start, end)
    } else if (owner === SLOT_CALL) {
      this.slots.release(streamId)
      this.#answerCall(streamId, bytes, start, end)
    } else if (owner === SLOT_ORPHAN) {
      this.slots.release(streamId)
      this.#listener.onLateAnswer(this)
    } else {
      this.#onStray(streamId, bytes, start, end)
    }
    if (this.#state === 'draining') this.#closeIfDrained()
    return hadFrames === (this.#frames !== null)
  }

  #answerCall(slot: number, bytes: Uint8Array, start: number, end: number): void {
    const envelope = this.readable(bytes, start, end)
    const call = this.#calls.get(slot)
    this.#calls.delete(slot)
    const opcode = bytes[start + OPCODE_OFFSET]!
    // From the first answer to a STARTUP on, both directions are framed, unless it is an ERROR (v5 §2.2).
    const isHandshakeAnswer = opcode === Opcode.READY || opcode === Opcode.AUTHENTICATE
    if (this.traits.hasFrames && this.#frames === null && isHandshakeAnswer) {
      const hasLz4 = this.compression !== null
      this.#frames = new FrameDecoder(hasLz4)
      this.#output!.startFrames(hasLz4)
    }
    call?.resolve({ opcode, envelope })
  }

  /**
   * An ERROR on stream 0 is about the connection: in a handshake it is the answer to the only call (a
   * node that does not speak the version cannot read the stream id), later it is the end.
   */
  #onStray(streamId: number, bytes: Uint8Array, start: number, end: number): void {
    const opcode = bytes[start + OPCODE_OFFSET]!
    const isAboutAll = streamId === 0 && opcode === Opcode.ERROR
    if (isAboutAll && this.#state === 'handshaking' && this.#calls.size === 1) {
      for (const slot of this.#calls.keys()) {
        this.slots.release(slot)
        this.#answerCall(slot, bytes, start, end)
      }
      return
    }
    if (isAboutAll) {
      const error = this.readable(bytes, start, end)
      const { message } = decodeError(answerReader(error))
      throw new Error(`${this.node} reports an error of the connection: ${message}`)
    }
    throw new Error(
      `${this.node} answered ${opcodeName(opcode)} on stream ${streamId}, which nobody uses`,
    )
  }

  /** A node that owes orphans may be stuck, and would never answer a polite end: nobody waits for it. */
  #closeIfDrained(): void {
    if (this.#state === 'draining' && this.inFlight === 0) this.destroy()
  }

  #lostError(opcode: number, cause: Error | null): ClusterError {
    const why = cause ? `: ${cause.message}` : ''
    return new ClusterError(
      ClusterErrorCode.CONNECTION_LOST,
      this.cluster,
      `the connection to ${this.node} was lost while it owed an answer to ${opcodeName(opcode)}${why}`,
      { cause },
    )
  }

  #fullError(): ClusterError {
    return new ClusterError(
      ClusterErrorCode.UNAVAILABLE,
      this.cluster,
      `all ${this.options.streamIdsMax} stream ids of the connection to ${this.node} are in use`,
    )
  }
}
