/**
 * What one data plane counted, as plain objects and arrays that can cross threads. The families of
 * families.ts read their values from here; the numbers of all planes add up.
 */
import type { Traffic } from '../net/transport.ts'
import type { HistogramSnapshot } from './histogram.ts'
import type { ThreadSeries } from './thread-series.ts'

export type ClusterKey = 'origin' | 'target'

/** A number per cluster. */
export type PerCluster = { origin: number; target: number }

/** A number per way to fail a write that went to both clusters. */
export type PerFailedWrite = { origin: number; target: number; both: number }

/** A number per way in which requests are routed (operations §3.2, label `type`). */
export type PerRequestType = { readsOrigin: number; readsTarget: number; writes: number }

/** A number per reason for which the proxy itself closed a client connection. */
export type PerCloseReason = {
  /** It did not read its answers and more than proxy_client_output_max_mib was queued. */
  slow: number
  /** No READY in time. */
  handshakeTimeout: number
  /** Bytes that do not follow the protocol. */
  protocolError: number
  /** proxy_max_client_connections were open. */
  limit: number
  /** proxy_max_client_connections_per_address were open from its address. */
  addressLimit: number
  /** The system did not hand it over, for want of file descriptors for instance. */
  accept: number
  /** A fault of the proxy's own. */
  internalError: number
  /** No TLS, or no acceptable certificate. */
  tlsHandshake: number
}

/** Writes to one table that failed on one cluster, or on both. */
export type FailedTable = {
  /** Empty where there is none. */
  readonly keyspace: string
  readonly table: string
  originOnly: number
  targetOnly: number
  both: number
  /** Milliseconds since 1970. */
  readonly firstMs: number
  lastMs: number
}

/** A number per reason for which a non-deterministic function was left to the clusters. */
export type PerUnreplacedReason = {
  /** By the settings. */
  off: number
  /** In a collection literal of a prepared statement. */
  collection: number
  /** In the document of an INSERT JSON. */
  json: number
  /** A cluster did not take the statement with a marker in its place. */
  refused: number
}

export type NodeSeries = {
  readonly cluster: ClusterKey
  readonly node: string
  readonly requestDurationReads: HistogramSnapshot
  readonly requestDurationWrites: HistogramSnapshot
  /** Indexed by ErrorKind. */
  readonly failed: readonly number[]
  readonly connections: number
  readonly failedConnections: number
  readonly usedStreamIds: number
}

export type AsyncNodeSeries = NodeSeries & { readonly inflight: number }

/** A number per reason for which a read was not copied, or its copy was given up. */
export type PerDropReason = {
  /** async_reads_max_in_flight were under way. */
  inFlightLimit: number
  /** No connection for copies was ready. */
  noConnection: number
  /** All stream ids of the connection were in use. */
  noStreamId: number
  /** The node did not know the statement, and could not be taught it. */
  notPrepared: number
  /** The node did not take what was queued for it. */
  queueFull: number
}

/** A number per outcome of a comparison that was made. */
export type PerComparisonResult = {
  equal: number
  /** Different at first, and equal when both were read again. */
  equalLater: number
  /** Different twice. */
  mismatch: number
}

/** A number per reason for which two answers were not compared. */
export type PerSkipReason = {
  /** Too much was waiting to be compared or read again. */
  busy: number
  noRows: number
  notComparable: number
  tooLarge: number
}

export type TableCount = {
  readonly keyspace: string
  readonly table: string
  readonly count: number
}

/** Requests in one keyspace; an empty name: in none. */
export type KeyspaceCount = {
  readonly keyspace: string
  readonly reads: number
  readonly writes: number
}

export type AsyncSeries = {
  readonly nodes: readonly AsyncNodeSeries[]
  readonly dropped: Readonly<PerDropReason>
  readonly compared: Readonly<PerComparisonResult>
  readonly skipped: Readonly<PerSkipReason>
  readonly mismatches: readonly TableCount[]
}

export type PlaneSeries = {
  readonly clientConnections: number
  readonly preparedEntries: number
  readonly preparedMisses: number
  readonly preparedEvictions: number
  readonly spansDropped: number
  readonly clientTraffic: Readonly<Traffic>
  readonly upstreamTraffic: Readonly<Record<ClusterKey, Readonly<Traffic>>>
  /** Indexed by the opcode. */
  readonly requestsByOpcode: readonly number[]
  readonly inflight: Readonly<PerRequestType>
  readonly requestDuration: {
    readonly readsOrigin: HistogramSnapshot
    readonly readsTarget: HistogramSnapshot
    readonly writes: HistogramSnapshot
  }
  /** The same requests in fixed buckets (latency-families.ts). */
  readonly fineDuration: {
    readonly readsOrigin: HistogramSnapshot
    readonly readsTarget: HistogramSnapshot
    readonly writes: HistogramSnapshot
  }
  /** By who answered first. */
  readonly writeGap: { readonly origin: HistogramSnapshot; readonly target: HistogramSnapshot }
  readonly turnDuration: HistogramSnapshot
  readonly upstreamStreamIds: Readonly<PerCluster>
  readonly failedReads: Readonly<PerCluster>
  readonly failedWrites: Readonly<PerFailedWrite>
  readonly failedConnections: Readonly<PerCluster>
  readonly authenticationFailures: Readonly<PerCluster>
  readonly preparedHeals: Readonly<PerCluster>
  readonly lateAnswers: Readonly<PerCluster>
  readonly orphanedConnectionsReplaced: Readonly<PerCluster>
  readonly requestsTimedOut: Readonly<PerCluster>
  readonly functionsReplaced: number
  readonly unreplacedFunctions: Readonly<PerUnreplacedReason>
  readonly writeTimestampsSet: number
  readonly upstreamConnectionsOpened: Readonly<PerCluster>
  readonly upstreamConnectionsLost: Readonly<PerCluster>
  readonly clientsClosed: Readonly<PerCloseReason>
  readonly failedTables: readonly FailedTable[]
  readonly keyspaceRequests: readonly KeyspaceCount[]
  readonly nodes: readonly NodeSeries[]
  readonly asyncReads: AsyncSeries
  /** The thread that it runs in; the control plane's own where there is only one. */
  readonly thread: ThreadSeries
}
