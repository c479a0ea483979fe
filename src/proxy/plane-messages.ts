/** What the control plane and a data plane in a thread of its own say to each other. */
import type { MessagePort } from 'node:worker_threads'
import type { MismatchSample } from '../async/mismatch-samples.ts'
import type { ClientGroups, ClientSelection } from '../control/report.ts'
import type { LogLevel, LogLevels } from '../log-levels.ts'
import type { PlaneSeries } from '../metrics/plane-series.ts'
import type { TlsMaterial } from '../net/tls.ts'
import type { Cluster } from '../routing/cluster.ts'
import type { RoutingState } from '../routing/routing-state.ts'
import type { ClientEvent } from '../session/client-events.ts'
import type { Snapshot } from '../session/context.ts'
import type { Quiescence } from '../session/quiescence.ts'
import type { SchemaQuestion } from '../session/schema-changes.ts'
import type { TracedRequest } from '../tracing/traced-request.ts'
import type { DataPlaneSettings } from './data-plane-options.ts'
import type { SharedState } from './shared-state.ts'

/** What a thread is started with. */
export type PlaneStart = {
  readonly settings: DataPlaneSettings
  readonly snapshot: Snapshot
  readonly routing: RoutingState
  readonly tls: TlsMaterial
  readonly clientCount: SharedArrayBuffer
  readonly shared: SharedState
  /** Which of the planes it is, from 0; in its log lines. */
  readonly index: number
  readonly logLevel: LogLevel | LogLevels
  /** One port to each other data plane. */
  readonly peers: readonly MessagePort[]
}

/** What a cluster's nodes say of one of theirs (STATUS_CHANGE). */
export type NodeStatus = {
  readonly cluster: Cluster
  readonly hostId: string
  readonly isUp: boolean
}

export type ToPlane =
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot }
  | { readonly kind: 'settings'; readonly settings: DataPlaneSettings }
  | { readonly kind: 'logLevels'; readonly levels: LogLevels }
  | { readonly kind: 'nodeStatus'; readonly status: NodeStatus }
  | { readonly kind: 'tls'; readonly tls: TlsMaterial }
  | { readonly kind: 'event'; readonly event: ClientEvent }
  | { readonly kind: 'schemaAgreed'; readonly question: number }
  | { readonly kind: 'call'; readonly call: number; readonly what: PlaneCall }

/** What the control plane waits for. */
export type PlaneCall =
  | { readonly name: 'listen'; readonly port: number }
  | { readonly name: 'route'; readonly routing: RoutingState }
  | { readonly name: 'series' }
  | { readonly name: 'mismatches' }
  | { readonly name: 'clients' }
  | { readonly name: 'closeClients'; readonly selection: ClientSelection }
  | { readonly name: 'drain'; readonly announceMs: number }
  | { readonly name: 'close' }

export type CallResult =
  | { readonly name: 'listen'; readonly port: number }
  | { readonly name: 'route'; readonly quiescence: Quiescence }
  | { readonly name: 'series'; readonly series: PlaneSeries }
  | { readonly name: 'mismatches'; readonly samples: readonly MismatchSample[] }
  | { readonly name: 'clients'; readonly clients: ClientGroups }
  | { readonly name: 'closeClients'; readonly closed: number }
  | { readonly name: 'drain' }
  | { readonly name: 'close' }

/** To a call of the control plane. */
export type PlaneAnswer =
  | { readonly kind: 'done'; readonly call: number; readonly result: CallResult }
  | { readonly kind: 'failed'; readonly call: number; readonly message: string }

export type FromPlane =
  | PlaneAnswer
  | { readonly kind: 'traced'; readonly requests: readonly TracedRequest[] }
  | {
      readonly kind: 'schemaQuestion'
      readonly question: number
      readonly questions: readonly SchemaQuestion[]
    }
