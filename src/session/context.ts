/**
 * What a session needs of the data plane that it lives in, as an interface: sessions know pools,
 * tables and snapshots, and nothing of threads, listeners or the control plane.
 */

import type { Clock } from '../clock.ts'
import type { VirtualTables } from '../cluster/virtual-tables.ts'
import type { AcceptedVersions, EnvelopeRewrite } from '../cql/envelope-decoder.ts'
import type { ProtocolError } from '../cql/errors.ts'
import type { Logger } from '../log.ts'
import type { DataPlaneMetrics } from '../metrics/data-plane-metrics.ts'
import type { Flusher } from '../net/output.ts'
import type { PreparedCache } from '../prepared/cache.ts'
import type { SharedStatement } from '../prepared/statement.ts'
import type { Cluster } from '../routing/cluster.ts'
import type { RoutingState } from '../routing/routing-state.ts'
import type { CqlFunctionName } from '../statement/functions.ts'
import type { Turn } from '../turn.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { Node } from '../upstream/pool.ts'
import type { Credentials, Profile } from '../upstream/profile.ts'
import type { ProfileRegistry } from '../upstream/profile-registry.ts'
import type { FailedWriteTables } from './failed-writes.ts'
import type { FunctionReplacement } from './function-replacement.ts'
import type { CredentialsMap } from './identities.ts'
import type { KeyspaceRequests } from './keyspace-requests.ts'
import type { RequestIds } from './request-ids.ts'
import type { RequestRewriter } from './request-rewriter.ts'
import type { RequestSpans } from './request-spans.ts'
import type { RequestTable } from './request-table.ts'
import type { SchemaQuestion } from './schema-changes.ts'
import type { Session } from './session.ts'
import type { UpstreamWaiters } from './upstream-waiters.ts'

/** The settings that shape the request path; units in the names. */
export type SessionSettings = {
  readonly requestTimeoutMs: number
  readonly repliesToTimeouts: boolean
  readonly handshakeTimeoutMs: number
  readonly envelopeBodyLengthMax: number
  readonly clientOutputBytesMax: number
  readonly upstreamConnections: 'shared' | 'per_client'
  readonly credentials: readonly [Credentials | null, Credentials | null]
  readonly forwardsClientCredentialsToOrigin: boolean
  /** Null: the configured credentials stand for all clients. */
  readonly credentialsMap: CredentialsMap | null
  /** Whose calls in writes become one value for both clusters; none where replacement is off. */
  readonly replacedFunctions: readonly CqlFunctionName[]
  readonly unifiesWriteTimestamps: boolean
  readonly countsKeyspaces: boolean
  /** Each request gets an id in its custom payload, and is logged; at most so many a second, 0: all. */
  readonly tracing: {
    readonly isEnabled: boolean
    readonly perSecondMax: number
    readonly key: string
    /** Sampled requests are told to the control plane as spans. */
    readonly exportsSpans: boolean
    readonly samplePercent: number
  }
}

/** One cluster as the control plane knows it now. */
export type ClusterView = {
  readonly nodes: readonly Node[]
  readonly requiresAuthentication: boolean
  /** Of the node that was asked. */
  readonly schemaVersion: string | null
}

/** What the control plane tells its data planes; replaced as a whole, never changed. */
export type Snapshot = {
  readonly clusters: readonly [ClusterView, ClusterView]
  /** The body of SUPPORTED. */
  readonly supported: ReadonlyMap<string, readonly string[]>
  /** The version of errors to clients whose own version is not known or not spoken. */
  readonly errorVersion: number
  readonly virtualTables: VirtualTables
  /** Both clusters have the same partitioner: they go through partitions in the same order. */
  readonly isSameTokenOrder: boolean
}

export interface Dispatcher {
  /** Takes one request envelope of a session that is ready. */
  dispatch(session: Session, bytes: Uint8Array, start: number, end: number): void
  /** Takes a request that `dispatch` has given to the slow requests, once its statement is known. */
  dispatchAgain(session: Session, bytes: Uint8Array, start: number, end: number): void
}

/** Copies of reads for the secondary, which nobody waits for. */
export interface ReadCopies {
  /** Copies a read of the request table that has just been sent to its cluster. Never throws. */
  copy(request: number): void
  /** A session has come, or has changed its profile: its reads are going to be copied. */
  warm(session: Session): void
}

export interface SessionContext {
  /** Replaced as a whole when an operator changes them: never keep one beyond a turn. */
  readonly settings: SessionSettings
  /** The protocol versions that new clients may use; replaced as a whole, as the settings are. */
  readonly clientVersions: AcceptedVersions
  readonly clock: Clock
  readonly turn: Turn
  readonly flusher: Flusher
  readonly requests: RequestTable
  readonly prepared: PreparedCache
  readonly profiles: ProfileRegistry
  readonly metrics: DataPlaneMetrics
  readonly failedWrites: FailedWriteTables
  readonly keyspaceRequests: KeyspaceRequests
  /** Null where nothing is exported. */
  readonly spans: RequestSpans | null
  readonly log: Logger
  readonly dispatcher: Dispatcher
  readonly readCopies: ReadCopies
  /** For tests, else null: what is done to every envelope of a client before it is looked at. */
  readonly rewriteEnvelope: EnvelopeRewrite | null
  readonly replacement: FunctionReplacement
  readonly rewriter: RequestRewriter
  readonly requestIds: RequestIds
  /** Sessions that read nothing until a node takes bytes again. */
  readonly waitingForUpstream: UpstreamWaiters
  snapshot: Snapshot
  routing: RoutingState
  /** A connection without a handshake, for a client's own. Tries the cluster's nodes in turn. */
  openForHandshake(
    cluster: Cluster,
    preferred: number,
    profile: Profile,
  ): Promise<UpstreamConnection>
  /** Asks the other data planes for a statement that this one does not know. */
  askOthers(id: Uint8Array): Promise<SharedStatement | null>
  /** Resolves when these clusters' nodes agree on their schema, or it was waited for in vain. Never rejects. */
  schemaAgreement(questions: readonly SchemaQuestion[]): Promise<void>
  /** Deals sessions out over the nodes: an index into the node list, counted on. */
  nextPreferredNode(cluster: Cluster): number
  onSessionClosed(session: Session): void
  onHandshakeFailed(session: Session, error: unknown): void
  onBadBytes(session: Session, error: ProtocolError): void
  /** A bug of ours: loud, and the connection that it happened on ends. */
  onInvariantBroken(session: Session, error: unknown): void
}
