/**
 * One data plane: the clients of one thread, their requests and the upstream connections they share.
 * Shared-nothing: it gets immutable snapshots from the control plane, and asks other planes only for
 * prepared statements that it does not know (architecture §2.1).
 */
import { AsyncReads } from '../async/async-reads.ts'
import type { MismatchSample } from '../async/mismatch-samples.ts'
import type { Clock, Timer } from '../clock.ts'
import type { ClientGroups, ClientSelection } from '../control/report.ts'
import {
  type AcceptedVersions,
  type EnvelopeRewrite,
  requestVersions,
} from '../cql/envelope-decoder.ts'
import type { ProtocolError } from '../cql/errors.ts'
import type { VersionTraits } from '../cql/protocol.ts'
import type { Logger } from '../log.ts'
import { DataPlaneMetrics } from '../metrics/data-plane-metrics.ts'
import type { PlaneSeries } from '../metrics/plane-series.ts'
import { Dialer } from '../net/dialer.ts'
import { type Listener, listen } from '../net/listener.ts'
import { Flusher } from '../net/output.ts'
import { type TlsMaterial, type UpstreamTls, upstreamTlsOf } from '../net/tls.ts'
import { PreparedCache } from '../prepared/cache.ts'
import type { SharedStatement } from '../prepared/statement.ts'
import { CLUSTERS, type Cluster, clusterLabel, clusterName } from '../routing/cluster.ts'
import type { RoutingState } from '../routing/routing-state.ts'
import { Answers } from '../session/answers.ts'
import type { ClientEvent } from '../session/client-events.ts'
import type { SessionContext, Snapshot } from '../session/context.ts'
import { RequestDispatcher } from '../session/dispatch.ts'
import { FailedWriteTables } from '../session/failed-writes.ts'
import { Healer } from '../session/healer.ts'
import { KeyspaceRequests } from '../session/keyspace-requests.ts'
import { type Quiescence, quiescence, quiescenceBoundMs } from '../session/quiescence.ts'
import type { RequestSpans } from '../session/request-spans.ts'
import { RequestKind, RequestTable } from '../session/request-table.ts'
import type { Session } from '../session/session.ts'
import { SlowRequests } from '../session/slow-requests.ts'
import { UpstreamWaiters } from '../session/upstream-waiters.ts'
import { Turn } from '../turn.ts'
import { UpstreamConnection, type UpstreamListener } from '../upstream/connection.ts'
import { ClusterError, ClusterErrorCode } from '../upstream/errors.ts'
import { firstToOpen } from '../upstream/first-to-open.ts'
import { completeHandshake } from '../upstream/handshake.ts'
import { inTurn, type Node, UpstreamPool } from '../upstream/pool.ts'
import type { Profile } from '../upstream/profile.ts'
import { ProfileRegistry } from '../upstream/profile-registry.ts'
import { AddressCounts } from './address-counts.ts'
import { ClientFailures } from './client-failures.ts'
import { groupClients } from './client-groups.ts'
import { Clients } from './clients.ts'
import type {
  DataPlaneOptions,
  DataPlaneSettings,
  SchemaAgreementCall,
} from './data-plane-options.ts'
import type { NodeStatus } from './plane-messages.ts'
import { makeReplacement, makeRequestIds, makeRewriter, makeSpans } from './rewriting.ts'
import { UpstreamLog } from './upstream-log.ts'

/** The error of a time-out is at most one sweep. */
const SWEEP_INTERVAL_MS = 250
const MS_PER_SECOND = 1000

export class DataPlane implements SessionContext, UpstreamListener {
  settings: DataPlaneSettings
  clientVersions: AcceptedVersions
  readonly clock: Clock
  readonly turn: Turn
  readonly flusher: Flusher
  readonly requests = new RequestTable()
  readonly prepared: PreparedCache
  readonly profiles: ProfileRegistry
  readonly metrics: DataPlaneMetrics
  readonly failedWrites: FailedWriteTables
  readonly keyspaceRequests: KeyspaceRequests
  readonly spans: RequestSpans | null
  readonly log: Logger
  readonly dispatcher: RequestDispatcher
  readonly readCopies: AsyncReads
  readonly rewriter: SessionContext['rewriter']
  readonly replacement: SessionContext['replacement']
  readonly requestIds: SessionContext['requestIds']
  readonly waitingForUpstream = new UpstreamWaiters()
  readonly rewriteEnvelope: EnvelopeRewrite | null
  readonly askOthers: (id: Uint8Array) => Promise<SharedStatement | null>
  readonly schemaAgreement: SchemaAgreementCall
  snapshot: Snapshot
  routing: RoutingState
  readonly #upstreamLog: UpstreamLog
  readonly #failures: ClientFailures
  readonly #answers: Answers
  readonly #slow: SlowRequests
  readonly #dialer = new Dialer()
  readonly #clients: Clients
  readonly #connections = new Set<UpstreamConnection>()
  readonly #nextNode: [number, number] = [0, 0]
  readonly #sweepTimer: Timer
  #tls: TlsMaterial
  #upstreamTls: readonly [UpstreamTls | null, UpstreamTls | null]
  #listener: Listener | null = null

  constructor(options: DataPlaneOptions) {
    this.settings = options.settings
    this.clientVersions = requestVersions(options.settings.blockedVersions)
    this.clock = options.clock
    this.turn = new Turn(options.clock)
    this.flusher = this.#makeFlusher()
    const { preparedEntriesMax, preparedBytesMax } = options.settings
    this.prepared = new PreparedCache(preparedEntriesMax, preparedBytesMax)
    this.keyspaceRequests = new KeyspaceRequests(this.requests, this.prepared)
    this.log = options.log.child({ component: 'session' })
    this.#upstreamLog = new UpstreamLog(options.log.child({ component: 'upstream' }))
    this.snapshot = options.snapshot
    this.routing = options.routing
    this.rewriteEnvelope = options.rewriteEnvelope ?? null
    this.askOthers = options.askOthers
    this.schemaAgreement = options.schemaAgreement
    this.#tls = options.tls
    this.#upstreamTls = upstreamTlsOf(options.tls)
    const [originBoundsSeconds, targetBoundsSeconds] = options.settings.latencyBoundsSeconds
    this.metrics = new DataPlaneMetrics({
      originBoundsSeconds,
      targetBoundsSeconds,
      asyncBoundsSeconds: options.settings.asyncLatencyBoundsSeconds,
      honoursTargetBuckets: options.settings.honoursTargetBuckets,
    })
    this.#failures = new ClientFailures(this.metrics, this.log)
    this.failedWrites = new FailedWriteTables(() => options.clock.wallMs())
    this.profiles = new ProfileRegistry((cluster, profile) =>
      this.#makePool(cluster, profile, false),
    )
    this.readCopies = new AsyncReads({
      context: this,
      settings: options.settings.asyncReads,
      makePool: (cluster, profile) => this.#makePool(cluster, profile, true),
      schedule: (run) => setImmediate(run),
    })
    this.replacement = makeReplacement(this, options.shared)
    this.rewriter = makeRewriter(this, options.shared)
    this.requestIds = makeRequestIds(this, options.shared)
    this.spans = makeSpans(this, options.onTraced)
    const addresses = new AddressCounts(options.shared.clientAddresses)
    this.#clients = new Clients(this, options.clientCount, addresses, this.#failures)
    this.#answers = new Answers(this, new Healer(this))
    this.#slow = new SlowRequests(this)
    this.dispatcher = new RequestDispatcher(this, this.#slow)
    this.#sweepTimer = this.clock.setInterval(() => this.#sweep(), SWEEP_INTERVAL_MS)
  }

  /** Accepts clients; resolves with the port. */
  async listen(port: number, reusePort: boolean): Promise<number> {
    const options = {
      address: this.settings.listenAddress,
      port,
      reusePort,
      tls: this.#tls.listener,
      onAcceptFailed: (error: Error) => this.#failures.accept(error),
      onTlsFailed: (peer: string, why: string) => this.#failures.tls(peer, why),
    }
    this.#listener = await listen(options, (transport) => this.#clients.accept(transport))
    return this.#listener.port
  }

  setSnapshot(snapshot: Snapshot): void {
    this.snapshot = snapshot
    for (const cluster of CLUSTERS) {
      this.profiles.setNodes(cluster, snapshot.clusters[cluster].nodes)
      this.readCopies.setNodes(cluster, snapshot.clusters[cluster].nodes)
    }
  }

  /**
   * Every request that starts from now on is routed by it. Resolves when the last one that was in
   * flight before has been answered, or the wait was given up.
   */
  setRouting(routing: RoutingState): Promise<Quiescence> {
    this.routing = routing
    for (const session of this.#clients) this.readCopies.warm(session)
    const boundMs = quiescenceBoundMs(this.settings.requestTimeoutMs)
    return quiescence(this.requests, this.#slow, this.clock, boundMs)
  }

  /** The last reads that the clusters have answered differently. */
  mismatches(): readonly MismatchSample[] {
    return this.readCopies.mismatches()
  }

  /** Who its clients are, as of now. */
  clients(): ClientGroups {
    return groupClients(this.#clients, this.clock.now())
  }

  /** Lets these clients go; returns how many they are (clients.ts). */
  closeClients(selection: ClientSelection): number {
    return this.#clients.close(selection)
  }

  /** Whatever reads a setting from now on reads the new one. */
  setSettings(settings: DataPlaneSettings): void {
    this.settings = settings
    this.clientVersions = requestVersions(settings.blockedVersions)
    this.readCopies.setSettings(settings.asyncReads)
    this.spans?.setSamplePercent(settings.tracing.samplePercent)
  }

  /** The cluster's nodes know sooner than a time-out that one of them has gone, or is back. */
  setNodeStatus({ cluster, hostId, isUp }: NodeStatus): void {
    this.profiles.setNodeStatus(cluster, hostId, isUp)
  }

  /** For every connection that is made from now on; those that are open stay. */
  setTls(tls: TlsMaterial): void {
    this.#tls = tls
    this.#upstreamTls = upstreamTlsOf(tls)
    if (tls.listener !== null) this.#listener?.setTls(tls.listener)
  }

  /** What another plane asks for. */
  knownStatement(id: Uint8Array): SharedStatement | null {
    return this.prepared.find(id, 0, id.length)?.share() ?? null
  }

  /** Passes an event on to the clients that have registered for its type. */
  announce(event: ClientEvent): void {
    this.turn.begin()
    this.#clients.announce(event)
  }

  /** Stops accepting, finishes what is in flight; resolves when the last client is gone (clients.ts). */
  drain(announceMs: number): Promise<void> {
    void this.#listener?.close()
    return this.#clients.drain(announceMs)
  }

  /** Closes everything now. */
  close(): void {
    this.clock.clearInterval(this.#sweepTimer)
    this.spans?.sweep()
    void this.#listener?.close()
    this.#clients.destroyAll()
    this.profiles.closeAll()
    this.readCopies.close()
    for (const connection of this.#connections) connection.destroy()
  }

  nextPreferredNode(cluster: Cluster): number {
    return this.#nextNode[cluster]++
  }

  async openForHandshake(
    cluster: Cluster,
    preferred: number,
    profile: Profile,
  ): Promise<UpstreamConnection> {
    const { nodes } = this.snapshot.clusters[cluster]
    if (nodes.length === 0) {
      throw new ClusterError(
        ClusterErrorCode.UNAVAILABLE,
        cluster,
        `no node of ${clusterName(cluster)} is known to this instance`,
      )
    }
    return firstToOpen(
      inTurn(nodes, preferred),
      (node) => this.#open(cluster, node, profile.traits, false),
      {
        clock: this.clock,
        isFinal: () => false,
        discard: (late) => late.destroy(),
      },
    )
  }

  onAnswer(
    connection: UpstreamConnection,
    request: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    this.#answers.onAnswer(connection, request, bytes, start, end)
  }

  onEvent(): void {
    // Request connections register for nothing.
  }

  onLateAnswer(connection: UpstreamConnection): void {
    this.metrics.lateAnswers[clusterLabel(connection.cluster)]++
  }

  onWritable(connection: UpstreamConnection): void {
    this.waitingForUpstream.wake(connection)
  }

  onLost(connection: UpstreamConnection, cause: Error | null): void {
    this.#connections.delete(connection)
    connection.metrics.connections--
    connection.metrics.usedStreamIds = 0
    const requests = connection.requests()
    for (const request of requests) this.#answers.onConnectionLost(request, connection)
    this.waitingForUpstream.wake(connection)
    if (connection.endsByWish) {
      this.#upstreamLog.closed(connection)
      return
    }
    this.metrics.upstreamConnectionsLost[clusterLabel(connection.cluster)]++
    if (requests.length === 0 && cause === null) return
    this.#upstreamLog.lost(connection, requests.length, cause)
  }

  onSessionClosed(session: Session): void {
    this.#clients.onClosed(session)
  }

  onHandshakeFailed(session: Session, error: unknown): void {
    this.#failures.handshake(session.transport.peer, error)
  }

  onBadBytes(session: Session, error: ProtocolError): void {
    this.#failures.badBytes(session.transport.peer, error)
  }

  onInvariantBroken(session: Session, error: unknown): void {
    this.#failures.invariant(session.transport.peer, error, session.destroy())
  }

  /** Its counters as they are now, with the gauges that are read rather than counted. */
  series(): PlaneSeries {
    this.metrics.preparedEntries = this.prepared.size
    this.metrics.preparedEvictions = this.prepared.evictions
    const { upstreamStreamIds } = this.metrics
    upstreamStreamIds.origin = 0
    upstreamStreamIds.target = 0
    for (const connection of this.#connections) connection.metrics.usedStreamIds = 0
    for (const connection of this.#connections) {
      upstreamStreamIds[clusterLabel(connection.cluster)] += connection.options.streamIdsMax
      connection.metrics.usedStreamIds += connection.slots.used
    }
    this.readCopies.updateGauges()
    return this.metrics.toSeries(this.failedWrites.toSeries(), this.keyspaceRequests.toSeries())
  }

  /** Writes once per turn, and measures from the read that was the first to have something to write. */
  #makeFlusher(): Flusher {
    let readAtMs = 0
    let flush = (): void => {}
    const flushTurn = (): void => {
      const sinceMs = readAtMs
      flush()
      this.metrics.turnDuration.observe((this.clock.now() - sinceMs) / MS_PER_SECOND)
    }
    return new Flusher((flushAll) => {
      readAtMs = this.turn.nowMs
      flush = flushAll
      setImmediate(flushTurn)
    })
  }

  #makePool(cluster: Cluster, profile: Profile, isForCopies: boolean): UpstreamPool {
    const { exclusiveTo } = profile
    return new UpstreamPool(
      {
        cluster,
        connectionsPerNodeMax: exclusiveTo === null ? this.settings.connectionsPerNodeMax : 1,
        isExclusive: exclusiveTo !== null,
        clock: this.clock,
        open: (node, signal) => this.#openForProfile(cluster, node, profile, isForCopies, signal),
        onExclusiveLost: () => this.#drainExclusive(exclusiveTo),
        onReconnectFailed: (node, error) =>
          this.#upstreamLog.reconnectFailed(cluster, node.label, error),
        onOrphanedReplaced: () => {
          this.metrics.orphanedConnectionsReplaced[clusterLabel(cluster)]++
        },
      },
      this.snapshot.clusters[cluster].nodes,
    )
  }

  /** The one-to-one model: a client goes with its connection, once all that it asked is answered. */
  #drainExclusive(sessionId: number | null): void {
    for (const session of this.#clients) if (session.id === sessionId) session.drain()
  }

  async #open(
    cluster: Cluster,
    node: Node,
    traits: VersionTraits,
    isForCopies: boolean,
    signal?: AbortSignal,
  ): Promise<UpstreamConnection> {
    const counters = isForCopies ? this.metrics.asyncReads : this.metrics
    const metrics = counters.node(clusterLabel(cluster), node.label)
    const options = {
      cluster,
      endpoint: node.endpoint,
      node: node.label,
      traits,
      metrics,
      streamIdsMax: this.settings.streamIdsMax,
      connectTimeoutMs: this.settings.connectTimeoutMs[cluster],
      callTimeoutMs: () =>
        isForCopies ? this.settings.asyncReads.handshakeTimeoutMs : this.settings.requestTimeoutMs,
      heartbeatIntervalMs: () => this.settings.heartbeatIntervalMs,
    }
    const context = {
      dialer: this.#dialer,
      flusher: this.flusher,
      turn: this.turn,
      rewriteEnvelope: this.rewriteEnvelope,
      tls: this.#upstreamTls[cluster],
      traffic: this.metrics.upstreamTraffic[clusterLabel(cluster)],
    }
    try {
      const listener = isForCopies ? this.readCopies : this
      const connection = await UpstreamConnection.open(options, context, listener, signal)
      if (isForCopies) {
        this.readCopies.onOpened(connection)
        return connection
      }
      this.#connections.add(connection)
      metrics.connections++
      this.#upstreamLog.opened(cluster, node.label)
      this.metrics.upstreamConnectionsOpened[clusterLabel(cluster)]++
      return connection
    } catch (error) {
      metrics.failedConnections++
      throw error
    }
  }

  async #openForProfile(
    cluster: Cluster,
    node: Node,
    profile: Profile,
    isForCopies: boolean,
    signal: AbortSignal,
  ): Promise<UpstreamConnection> {
    const connection = await this.#open(cluster, node, profile.traits, isForCopies, signal)
    try {
      // Never the configured credentials: they would lend the proxy's identity to a client that
      // has shown none.
      const credentials = profile.credentials[cluster]
      await completeHandshake(connection, profile.startupOptions, credentials, profile.keyspace)
      return connection
    } catch (error) {
      connection.destroy()
      throw error
    }
  }

  #sweep(): void {
    const nowMs = this.turn.begin()
    const { requests } = this
    const expiredBefore = nowMs - this.settings.requestTimeoutMs
    for (let request = 0; request < requests.highWater; request++) {
      if (requests.kind[request] === RequestKind.FREE) continue
      if (requests.startMs[request]! < expiredBefore) this.#answers.timeOut(request)
    }
    for (const connection of this.#connections) connection.sweep(nowMs)
    for (const session of this.#clients) session.sweep(nowMs)
    this.spans?.sweep()
    this.profiles.sweep(nowMs)
    this.readCopies.sweep(nowMs)
  }
}
