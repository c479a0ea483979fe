/**
 * Asynchronous dual reads (request-path §7): a copy of a read goes to the secondary, over connections
 * of its own, after the client's read was sent, and nothing waits for it. What cannot be sent at once is
 * dropped and counted; there is no queue that could fill and no way from here back to a client. With
 * `compare_async_reads` both answers go on to the comparer.
 */
import { OPCODE_OFFSET } from '../cql/envelope.ts'
import { ProtocolError } from '../cql/errors.ts'
import { readErrorCode } from '../cql/messages/answer.ts'
import { ErrorCode, Opcode } from '../cql/protocol.ts'
import { messageOf } from '../message-of.ts'
import type { AsyncNodeMetrics } from '../metrics/async-metrics.ts'
import { ErrorKind, errorKindOf } from '../metrics/node-metrics.ts'
import type { PerDropReason } from '../metrics/plane-series.ts'
import { plural } from '../plural.ts'
import { type Cluster, clusterLabel, clusterName, otherCluster } from '../routing/cluster.ts'
import { Sampler } from '../sampler.ts'
import type { ReadCopies, SessionContext } from '../session/context.ts'
import { HEALS_MAX } from '../session/healer.ts'
import type { Session } from '../session/session.ts'
import { sendEnvelope } from '../session/upstream-request.ts'
import type { UpstreamConnection, UpstreamListener } from '../upstream/connection.ts'
import type { Node, UpstreamPool } from '../upstream/pool.ts'
import type { Profile } from '../upstream/profile.ts'
import { Comparer } from './comparer.ts'
import type { Comparison, ComparisonOrigin } from './comparison.ts'
import { type CopiedRequest, withMetadata } from './copied-request.ts'
import { CopiedStatements } from './copied-statements.ts'
import { type CopyPools, CopyPoolsRegistry } from './copy-pools.ts'
import type { MismatchSample } from './mismatch-samples.ts'

/** What the copies in flight may keep of their requests, per thread. */
const HELD_BYTES_MAX = 16 * 1024 * 1024
const MS_PER_SECOND = 1000

export type AsyncReadSettings = {
  /** Copies in flight, per thread. */
  readonly inFlightMax: number
  /** Which part of the reads is copied, 0 to 100. */
  readonly samplePercent: number
  readonly compares: boolean
  readonly recheckDelayMs: number
  /** Per message of a handshake, and per PREPARE. */
  readonly handshakeTimeoutMs: number
  /** The same for all threads, so that their samples can be told to belong together. */
  readonly hashSecret: Uint8Array
}

export type AsyncReadsOptions = {
  readonly context: SessionContext
  readonly settings: AsyncReadSettings
  /** A pool whose connections report to this object. */
  makePool(cluster: Cluster, profile: Profile): UpstreamPool
  schedule(run: () => void): void
}

/** One copy in flight. */
type AsyncRead = {
  readonly index: number
  readonly cluster: Cluster
  readonly request: CopiedRequest
  readonly pools: CopyPools
  readonly preferredNode: readonly [number, number]
  readonly startMs: number
  readonly comparison: Comparison | null
  /** Null while the statement is prepared again. */
  connection: UpstreamConnection | null
  slot: number
  heals: number
  node: AsyncNodeMetrics | null
}

export class AsyncReads implements ReadCopies, UpstreamListener {
  readonly #context: SessionContext
  #settings: AsyncReadSettings
  readonly #pools: CopyPoolsRegistry
  readonly #statements: CopiedStatements
  readonly #comparer: Comparer
  readonly #sampler: Sampler
  readonly #connections = new Set<UpstreamConnection>()
  /** By the number that their slots have as owner. */
  readonly #reads: (AsyncRead | null)[] = []
  readonly #free: number[] = []
  #heldBytes = 0

  constructor(options: AsyncReadsOptions) {
    const { context, settings } = options
    const { clock, log, metrics } = context
    this.#context = context
    this.#settings = settings
    this.#sampler = new Sampler(settings.samplePercent)
    this.#pools = new CopyPoolsRegistry({
      makePool: (cluster, profile) => options.makePool(cluster, profile),
      onOpenFailed: (cluster, error) => this.#onOpenFailed(cluster, error),
    })
    this.#statements = new CopiedStatements(this.#pools, context.turn)
    this.#comparer = new Comparer({
      hashSecret: settings.hashSecret,
      recheckDelayMs: () => this.#settings.recheckDelayMs,
      clock,
      log,
      metrics: metrics.asyncReads,
      schedule: options.schedule,
      isSameTokenOrder: () => context.snapshot.isSameTokenOrder,
      prepareToReadAgain: (origin) => this.#prepareToReadAgain(origin),
      readAgain: (comparison, cluster) => this.#readAgain(comparison, cluster),
      keyIndices: ({ statement }) =>
        statement === null ? null : this.#statements.keyIndices(statement),
    })
  }

  get inFlight(): number {
    return this.#reads.length - this.#free.length
  }

  /** The last mismatches, oldest first. */
  mismatches(): readonly MismatchSample[] {
    return this.#comparer.samples()
  }

  /** For the reads that come; copies in flight stay as they are, and so does the secret of the hashes. */
  setSettings(settings: AsyncReadSettings): void {
    this.#settings = settings
    this.#sampler.setPercent(settings.samplePercent)
  }

  /** Opens connections for the reads of this session, so that not even its first ones are dropped for long. */
  warm(session: Session): void {
    const { routing, turn } = this.#context
    if (routing.readMode === 'PRIMARY_ONLY' || session.profile === null) return
    const secondary = otherCluster(routing.primary)
    const pools = this.#pools.of(session.profile, turn.nowMs)
    pools.connection(secondary, session.preferredNode[secondary], turn.nowMs)
  }

  /** Copies a read of the request table that has just been sent to its cluster. Never throws. */
  copy(request: number): void {
    try {
      if (this.#sampler.takes()) this.#copy(request)
    } catch (error) {
      this.#context.log.limited(
        'copy failed',
        'error',
        { code: 'INTERNAL_ERROR', error },
        'a fault of the proxy itself: a read could not be copied to the secondary',
      )
    }
  }

  onAnswer(
    connection: UpstreamConnection,
    index: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const read = this.#reads[index]!
    const { node } = read
    node!.requestDurationReads.observe((this.#context.turn.nowMs - read.startMs) / MS_PER_SECOND)
    const isError = bytes[start + OPCODE_OFFSET] === Opcode.ERROR
    if (!isError) this.#logAnswer(read, connection, null)
    else {
      const error = readableError(connection, bytes, start, end)
      const code = readErrorCode(error, 0, error.length)
      node!.failed[errorKindOf(code)]!++
      this.#logAnswer(read, connection, code)
      if (code === ErrorCode.UNPREPARED && read.request.statement !== null) {
        this.#heal(read, connection)
        return
      }
    }
    this.#finish(read, bytes, start, end)
  }

  #logAnswer(read: AsyncRead, connection: UpstreamConnection, errorCode: number | null): void {
    const { requestIds } = this.#context
    const { envelope } = read.request
    if (!requestIds.isEnabled) return
    requestIds.onAnswer(connection, envelope, 0, envelope.length, errorCode, true)
  }

  onEvent(): void {
    // Connections for copies register for nothing.
  }

  onLateAnswer(): void {
    // Its client_timeout has been counted; the slot is free again.
  }

  onWritable(): void {
    // Nothing waits: what did not fit was dropped.
  }

  onOpened(connection: UpstreamConnection): void {
    this.#connections.add(connection)
    connection.metrics.connections++
  }

  onLost(connection: UpstreamConnection, cause: Error | null): void {
    this.#connections.delete(connection)
    connection.metrics.connections--
    connection.metrics.usedStreamIds = 0
    const indices = connection.requests()
    for (const index of indices) {
      connection.metrics.failed[ErrorKind.OTHER]!++
      this.#finish(this.#reads[index]!, null, 0, 0)
    }
    if (connection.endsByWish) return
    const { cluster, node } = connection
    this.#context.log.limited(
      `lost async ${node}`,
      'warn',
      { code: 'ASYNC_CONNECTION_LOST', cluster: clusterLabel(cluster), node },
      `connection for asynchronous reads to ${clusterName(cluster)} ${node} lost with ${plural(indices.length, 'read')} in flight: ${cause?.message ?? 'closed by the node'}`,
    )
  }

  setNodes(cluster: Cluster, nodes: readonly Node[]): void {
    this.#pools.setNodes(cluster, nodes)
  }

  /** Gives up copies whose time is over; closes what has not been used for long. */
  sweep(nowMs: number): void {
    const { settings, routing } = this.#context
    const expiredBefore = nowMs - settings.requestTimeoutMs
    for (const read of this.#reads) {
      if (read !== null && read.startMs < expiredBefore) this.#timeOut(read)
    }
    for (const connection of this.#connections) connection.sweep(nowMs)
    this.#pools.sweep(nowMs, routing.readMode !== 'PRIMARY_ONLY')
    this.#comparer.sweep(nowMs)
  }

  /** Gauges that are read rather than counted. */
  updateGauges(): void {
    for (const { metrics } of this.#connections) metrics.usedStreamIds = 0
    for (const { metrics, slots } of this.#connections) metrics.usedStreamIds += slots.used
  }

  close(): void {
    this.#pools.closeAll()
    for (const connection of this.#connections) connection.destroy()
  }

  #copy(request: number): void {
    const { requests } = this.#context
    const session = requests.session[request]!
    const primary: Cluster = requests.primary[request] === 0 ? 0 : 1
    const chunk = requests.chunk[request]!
    const start = requests.chunkStart[request]!
    const end = requests.chunkEnd[request]!
    const { nowMs } = this.#context.turn
    const cluster = otherCluster(primary)
    const pools = this.#pools.of(session.profile!, nowMs)
    const connection = pools.connection(cluster, session.preferredNode[cluster], nowMs)
    const dropReason = this.#dropReason(connection, end - start)
    if (connection === null || dropReason !== null) {
      this.#context.metrics.asyncReads.dropped[dropReason ?? 'noConnection']++
      return
    }
    const origin: ComparisonOrigin = {
      request: {
        envelope: chunk.slice(start, end),
        statement: requests.statement[request]!,
        traits: session.traits!,
        compression: session.compression,
        keyspace: session.keyspace,
      },
      pools,
      preferredNode: [session.preferredNode[0], session.preferredNode[1]],
      primary,
    }
    const comparison = this.#settings.compares ? this.#comparer.start(origin) : null
    if (comparison !== null) requests.watcher[request] = comparison
    this.#send(this.#take(cluster, origin, origin.request, comparison), connection)
  }

  /** Why a copy of so many bytes cannot be sent there now, or null. */
  #dropReason(connection: UpstreamConnection | null, length: number): keyof PerDropReason | null {
    if (connection === null) return 'noConnection'
    if (this.inFlight >= this.#settings.inFlightMax) return 'inFlightLimit'
    if (!connection.slots.hasFree) return 'noStreamId'
    const isFull = connection.isCongested || this.#heldBytes + length > HELD_BYTES_MAX
    return isFull ? 'queueFull' : null
  }

  #take(
    cluster: Cluster,
    { pools, preferredNode }: ComparisonOrigin,
    request: CopiedRequest,
    comparison: Comparison | null,
  ): AsyncRead {
    const index = this.#free.pop() ?? this.#reads.length
    const read: AsyncRead = {
      index,
      cluster,
      request,
      pools,
      preferredNode,
      startMs: this.#context.turn.nowMs,
      comparison,
      connection: null,
      slot: 0,
      heals: 0,
      node: null,
    }
    this.#reads[index] = read
    this.#heldBytes += request.envelope.length
    return read
  }

  #send(read: AsyncRead, connection: UpstreamConnection): void {
    const { envelope, statement } = read.request
    this.#countInflight(read, connection)
    read.connection = connection
    read.slot = connection.slots.take(read.index)
    sendEnvelope(connection, read.slot, envelope, 0, envelope.length, statement)
  }

  #countInflight(read: AsyncRead, connection: UpstreamConnection | null): void {
    if (read.node !== null) read.node.inflight--
    read.node =
      connection === null
        ? null
        : this.#context.metrics.asyncReads.node(clusterLabel(read.cluster), connection.node)
    if (read.node !== null) read.node.inflight++
  }

  #finish(read: AsyncRead, bytes: Uint8Array | null, start: number, end: number): void {
    this.#countInflight(read, null)
    this.#reads[read.index] = null
    this.#free.push(read.index)
    this.#heldBytes -= read.request.envelope.length
    read.comparison?.take(read.cluster, bytes, start, end)
  }

  #timeOut(read: AsyncRead): void {
    read.node!.failed[ErrorKind.CLIENT_TIMEOUT]!++
    read.connection?.slots.orphan(read.slot)
    this.#finish(read, null, 0, 0)
  }

  #heal(read: AsyncRead, connection: UpstreamConnection): void {
    const { metrics, turn } = this.#context
    read.connection = null
    if (read.heals >= HEALS_MAX) {
      this.#giveUp(read, 'notPrepared')
      return
    }
    read.heals++
    metrics.preparedHeals[clusterLabel(read.cluster)]++
    this.#statements
      .prepare(read.request.statement!, connection, read.pools, turn.nowMs)
      .then(
        () => this.#sendAgain(read, connection),
        () => this.#giveUp(read, 'notPrepared'),
      )
      .catch((error: unknown) => {
        this.#context.log.limited(
          'async heal failed',
          'error',
          { code: 'INTERNAL_ERROR', error },
          'a fault of the proxy itself: a copied read could not be sent again',
        )
      })
  }

  #sendAgain(read: AsyncRead, before: UpstreamConnection): void {
    // It may have timed out meanwhile, and its number be another read's.
    if (this.#reads[read.index] !== read) return
    const { cluster, pools } = read
    const nowMs = this.#context.turn.begin()
    const connection = before.isUsable
      ? before
      : pools.connection(cluster, read.preferredNode[cluster], nowMs)
    if (connection === null) this.#giveUp(read, 'noConnection')
    else if (!connection.slots.hasFree) this.#giveUp(read, 'noStreamId')
    else this.#send(read, connection)
  }

  #giveUp(read: AsyncRead, reason: keyof PerDropReason): void {
    if (this.#reads[read.index] !== read) return
    this.#context.metrics.asyncReads.dropped[reason]++
    this.#finish(read, null, 0, 0)
  }

  /** Connections to both clusters, and the statement's partition key. */
  #prepareToReadAgain({ request, pools, preferredNode, primary }: ComparisonOrigin): void {
    const nowMs = this.#context.turn.begin()
    const { statement } = request
    pools.connection(primary, preferredNode[primary], nowMs)
    const secondary = otherCluster(primary)
    const connection = pools.connection(secondary, preferredNode[secondary], nowMs)
    if (statement === null || connection === null) return
    if (this.#statements.keyIndices(statement) !== null) return
    this.#statements.prepare(statement, connection, pools, nowMs).catch(() => {
      // Then the sample's hash is of all bound values.
    })
  }

  #readAgain(comparison: Comparison, cluster: Cluster): void {
    const { origin } = comparison
    const { pools, preferredNode } = origin
    const nowMs = this.#context.turn.begin()
    const connection = pools.connection(cluster, preferredNode[cluster], nowMs)
    const { envelope } = origin.request
    if (connection === null || this.#dropReason(connection, envelope.length) !== null) {
      comparison.take(cluster, null, 0, 0)
      return
    }
    const request = { ...origin.request, envelope: withMetadata(origin.request) }
    this.#send(this.#take(cluster, origin, request, comparison), connection)
  }

  #onOpenFailed(cluster: Cluster, error: unknown): void {
    const text = messageOf(error)
    this.#context.log.limited(
      `async connect ${clusterName(cluster)}`,
      'warn',
      { code: 'ASYNC_CONNECT_FAILED', cluster: clusterLabel(cluster) },
      `asynchronous reads are dropped while no connection can be opened: ${text}`,
    )
  }
}

/** A copy of an ERROR, decompressed where it came compressed. */
const readableError = (
  connection: UpstreamConnection,
  bytes: Uint8Array,
  start: number,
  end: number,
): Uint8Array => {
  try {
    return connection.readable(bytes, start, end)
  } catch (error) {
    // What cannot be decompressed has no code either.
    if (error instanceof ProtocolError) return bytes.slice(start, end)
    throw error
  }
}
