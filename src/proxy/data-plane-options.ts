/** What a data plane is started with; units in the names of settings. */
import type { AsyncReadSettings } from '../async/async-reads.ts'
import type { Clock } from '../clock.ts'
import type { EnvelopeRewrite } from '../cql/envelope-decoder.ts'
import type { Logger } from '../log.ts'
import type { TlsMaterial } from '../net/tls.ts'
import type { SharedStatement } from '../prepared/statement.ts'
import type { RoutingState } from '../routing/routing-state.ts'
import type { SessionSettings, Snapshot } from '../session/context.ts'
import type { SchemaQuestion } from '../session/schema-changes.ts'
import type { TracedRequest } from '../tracing/traced-request.ts'
import type { SharedState } from './shared-state.ts'

export type DataPlaneSettings = SessionSettings & {
  readonly listenAddress: string
  /** Protocol versions that clients may not use. */
  readonly blockedVersions: readonly number[]
  readonly clientConnectionsMax: number
  /** 0: no limit. */
  readonly clientConnectionsPerAddressMax: number
  readonly streamIdsMax: number
  readonly connectionsPerNodeMax: number
  readonly preparedEntriesMax: number
  readonly preparedBytesMax: number
  readonly connectTimeoutMs: readonly [number, number]
  readonly heartbeatIntervalMs: number
  readonly latencyBoundsSeconds: readonly [readonly number[], readonly number[]]
  readonly honoursTargetBuckets: boolean
  readonly asyncLatencyBoundsSeconds: readonly number[]
  readonly asyncReads: AsyncReadSettings
}

/** Resolves when the clusters' nodes agree on their schema, or it was waited for in vain. Never rejects. */
export type SchemaAgreementCall = (questions: readonly SchemaQuestion[]) => Promise<void>

export type DataPlaneOptions = {
  readonly settings: DataPlaneSettings
  readonly snapshot: Snapshot
  readonly routing: RoutingState
  readonly tls: TlsMaterial
  /** One Int32: the client connections of all planes together. */
  readonly clientCount: SharedArrayBuffer
  readonly shared: SharedState
  readonly log: Logger
  readonly clock: Clock
  /** For tests: see `InstanceTools`. */
  readonly rewriteEnvelope?: EnvelopeRewrite | undefined
  /** Takes traced requests that are answered; nowhere if absent. */
  readonly onTraced?: (requests: readonly TracedRequest[]) => void
  askOthers(id: Uint8Array): Promise<SharedStatement | null>
  /** Asks the control plane; see `SessionContext`. */
  readonly schemaAgreement: SchemaAgreementCall
}
