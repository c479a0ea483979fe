/**
 * The counters of one data plane: plain numbers and preallocated arrays that the request path
 * changes in place. What they are called and how they add up over planes: families.ts and
 * exposition.ts. When each changes: operations §3.2, request path §5.7.
 */
import { noTraffic, type Traffic } from '../net/transport.ts'
import { AsyncMetrics } from './async-metrics.ts'
import { LatencyHistogram, readsTargetBounds } from './histogram.ts'
import { FINE_BOUNDS_SECONDS } from './latency-families.ts'
import { NodeMetrics } from './node-metrics.ts'
import type {
  ClusterKey,
  FailedTable,
  KeyspaceCount,
  PerCloseReason,
  PerCluster,
  PerFailedWrite,
  PerRequestType,
  PerUnreplacedReason,
  PlaneSeries,
} from './plane-series.ts'
import { readThread, watchThread } from './thread-series.ts'

export type DataPlaneMetricsOptions = {
  readonly originBoundsSeconds: readonly number[]
  readonly targetBoundsSeconds: readonly number[]
  readonly asyncBoundsSeconds: readonly number[]
  /** Reads from Target in Target's bounds (metrics_honour_target_buckets); absent: all requests in Origin's. */
  readonly honoursTargetBuckets?: boolean
}

/** An opcode is a byte. */
const OPCODES = 256

const perCluster = (): PerCluster => ({ origin: 0, target: 0 })

export class DataPlaneMetrics {
  clientConnections = 0
  preparedEntries = 0
  preparedMisses = 0
  /** Statements that the cache has forgotten to make room. */
  preparedEvictions = 0
  /** Spans that were not handed over, there being too many. */
  spansDropped = 0
  /** Bytes from and to clients. */
  readonly clientTraffic = noTraffic()
  /** Bytes from and to the nodes of each cluster, control connections left out. */
  readonly upstreamTraffic: Readonly<Record<ClusterKey, Traffic>> = {
    origin: noTraffic(),
    target: noTraffic(),
  }
  /** Envelopes of clients by their opcode's byte, whatever it is. */
  readonly requestsByOpcode = new Float64Array(OPCODES)
  readonly inflight: PerRequestType = { readsOrigin: 0, readsTarget: 0, writes: 0 }
  readonly requestDuration: {
    readonly readsOrigin: LatencyHistogram
    readonly readsTarget: LatencyHistogram
    readonly writes: LatencyHistogram
  }
  readonly fineDuration = {
    readsOrigin: new LatencyHistogram(FINE_BOUNDS_SECONDS),
    readsTarget: new LatencyHistogram(FINE_BOUNDS_SECONDS),
    writes: new LatencyHistogram(FINE_BOUNDS_SECONDS),
  }
  /** Between the two answers to a dual request, by who answered first. */
  readonly writeGap = {
    origin: new LatencyHistogram(FINE_BOUNDS_SECONDS),
    target: new LatencyHistogram(FINE_BOUNDS_SECONDS),
  }
  /** From a read to the write of what it caused. */
  readonly turnDuration = new LatencyHistogram(FINE_BOUNDS_SECONDS)
  /** Of all open request connections, free or not. */
  readonly upstreamStreamIds: PerCluster = perCluster()
  /** Single-cluster requests answered with an error. */
  readonly failedReads: PerCluster = perCluster()
  /** Dual requests answered with an error, by who answered so. */
  readonly failedWrites: PerFailedWrite = { origin: 0, target: 0, both: 0 }
  /** Clients turned away because no request connection could be had. */
  readonly failedConnections: PerCluster = perCluster()
  /** Client handshakes that a cluster refused for their credentials. */
  readonly authenticationFailures: PerCluster = perCluster()
  /** Statements prepared again on a node that did not know them. */
  readonly preparedHeals: PerCluster = perCluster()
  /** Answers that came after their request had timed out. */
  readonly lateAnswers: PerCluster = perCluster()
  /** Connections replaced because too many of their stream ids waited for late answers. */
  readonly orphanedConnectionsReplaced: PerCluster = perCluster()
  /** Requests that a cluster had not answered in time. */
  readonly requestsTimedOut: PerCluster = perCluster()
  /** Calls of non-deterministic functions that became one value for both clusters. */
  functionsReplaced = 0
  /** Statements, each once, with such a call that was left to the clusters. */
  readonly unreplacedFunctions: PerUnreplacedReason = {
    off: 0,
    collection: 0,
    json: 0,
    refused: 0,
  }
  /** Requests that got a write time of the proxy's. */
  writeTimestampsSet = 0
  readonly upstreamConnectionsOpened: PerCluster = perCluster()
  /** Upstream connections that ended without the proxy's wish. */
  readonly upstreamConnectionsLost: PerCluster = perCluster()
  readonly clientsClosed: PerCloseReason = {
    slow: 0,
    handshakeTimeout: 0,
    protocolError: 0,
    limit: 0,
    addressLimit: 0,
    accept: 0,
    internalError: 0,
    tlsHandshake: 0,
  }
  readonly asyncReads: AsyncMetrics
  readonly #options: DataPlaneMetricsOptions
  readonly #nodes: Record<ClusterKey, Map<string, NodeMetrics>> = {
    origin: new Map(),
    target: new Map(),
  }

  constructor(options: DataPlaneMetricsOptions) {
    this.#options = options
    this.asyncReads = new AsyncMetrics(options.asyncBoundsSeconds)
    watchThread()
    // All three with Origin's bounds, as dashboards know them, unless it is asked for (operations §3.4).
    this.requestDuration = {
      readsOrigin: new LatencyHistogram(options.originBoundsSeconds),
      readsTarget: new LatencyHistogram(readsTargetBounds(options)),
      writes: new LatencyHistogram(options.originBoundsSeconds),
    }
  }

  /** The counters of a node, made on first use. Look them up once per connection, not per request. */
  node(cluster: ClusterKey, nodeLabel: string): NodeMetrics {
    const nodes = this.#nodes[cluster]
    const known = nodes.get(nodeLabel)
    if (known !== undefined) return known
    const { originBoundsSeconds, targetBoundsSeconds } = this.#options
    const bounds = cluster === 'origin' ? originBoundsSeconds : targetBoundsSeconds
    const made = new NodeMetrics(cluster, nodeLabel, bounds)
    nodes.set(nodeLabel, made)
    return made
  }

  /** A copy that can be sent to the control plane. */
  toSeries(
    failedTables: readonly FailedTable[] = [],
    keyspaceRequests: readonly KeyspaceCount[] = [],
  ): PlaneSeries {
    const nodes = [...this.#nodes.origin.values(), ...this.#nodes.target.values()]
    return {
      clientConnections: this.clientConnections,
      preparedEntries: this.preparedEntries,
      preparedMisses: this.preparedMisses,
      preparedEvictions: this.preparedEvictions,
      spansDropped: this.spansDropped,
      clientTraffic: { ...this.clientTraffic },
      upstreamTraffic: {
        origin: { ...this.upstreamTraffic.origin },
        target: { ...this.upstreamTraffic.target },
      },
      requestsByOpcode: Array.from(this.requestsByOpcode),
      inflight: { ...this.inflight },
      requestDuration: {
        readsOrigin: this.requestDuration.readsOrigin.snapshot(),
        readsTarget: this.requestDuration.readsTarget.snapshot(),
        writes: this.requestDuration.writes.snapshot(),
      },
      fineDuration: {
        readsOrigin: this.fineDuration.readsOrigin.snapshot(),
        readsTarget: this.fineDuration.readsTarget.snapshot(),
        writes: this.fineDuration.writes.snapshot(),
      },
      writeGap: {
        origin: this.writeGap.origin.snapshot(),
        target: this.writeGap.target.snapshot(),
      },
      turnDuration: this.turnDuration.snapshot(),
      upstreamStreamIds: { ...this.upstreamStreamIds },
      failedReads: { ...this.failedReads },
      failedWrites: { ...this.failedWrites },
      failedConnections: { ...this.failedConnections },
      authenticationFailures: { ...this.authenticationFailures },
      preparedHeals: { ...this.preparedHeals },
      lateAnswers: { ...this.lateAnswers },
      orphanedConnectionsReplaced: { ...this.orphanedConnectionsReplaced },
      requestsTimedOut: { ...this.requestsTimedOut },
      functionsReplaced: this.functionsReplaced,
      unreplacedFunctions: { ...this.unreplacedFunctions },
      writeTimestampsSet: this.writeTimestampsSet,
      upstreamConnectionsOpened: { ...this.upstreamConnectionsOpened },
      upstreamConnectionsLost: { ...this.upstreamConnectionsLost },
      clientsClosed: { ...this.clientsClosed },
      failedTables,
      keyspaceRequests,
      nodes: nodes.map((node) => node.toSeries()),
      asyncReads: this.asyncReads.toSeries(),
      thread: readThread(),
    }
  }
}
