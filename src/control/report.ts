/**
 * What an instance says of itself and of a change, as plain JSON: the types of the admin API, shared by the
 * server, the command line, the web console and the coordination of several instances. Their JSON Schemas
 * are in src/admin/api-schemas.ts; a test holds the two together.
 */
import type { Difference } from '../check/schema.ts'
import type { CheckRow } from '../check/verdict.ts'
import type { LogLevel, LogLevels } from '../log-levels.ts'
import type { Quiescence } from '../session/quiescence.ts'
import type { MigrationState } from './migration-state.ts'
import type { CheckId, ClusterWord, Phase, Routing } from './phase.ts'

/** What is asked of one instance. `align` takes over another instance's state. */
export type Transition =
  | { readonly verb: 'advance'; readonly to: Phase }
  /** `from`: the phase that counts as left, where several instances go back from different ones. */
  | { readonly verb: 'rollback'; readonly from?: Phase }
  | { readonly verb: 'route'; readonly routing: Routing }
  | { readonly verb: 'align'; readonly state: MigrationState }
export type Verb = Transition['verb']

/** What instances must have alike. */
export type AlignedState = Pick<MigrationState, 'phase' | 'rolledBackFrom' | 'routing'>

export type CheckOutcome = 'pass' | 'warn' | 'fail'

export type CheckResult = {
  readonly id: CheckId
  /** fail stops the change unless it is forced. */
  readonly outcome: CheckOutcome
  /** What was seen. */
  readonly evidence: string
  /** What to do where it did not pass. */
  readonly remedy: string | null
  /** The instance that says so; null where it is of the deployment as a whole. */
  readonly instance: string | null
}

/** Writes that one table may lack on one cluster. */
export type TableFailures = {
  /** Empty where the statement names none and no USE came before. */
  readonly keyspace: string
  /** Empty for statements without a table. */
  readonly table: string
  /** Failed on Origin, succeeded on Target. */
  readonly originOnly: number
  readonly targetOnly: number
  /** Failed on both: on neither, as a rule; a time-out leaves it open. */
  readonly both: number
  readonly firstAt: string
  readonly lastAt: string
}

export type FailedWrites = {
  /** Since when those that failed on Target only are counted: the last reconciliation, or when counting began. */
  readonly since: string
  /** The same of those that failed on Origin only. */
  readonly originSince: string
  readonly originOnly: number
  readonly targetOnly: number
  readonly both: number
  readonly tables: readonly TableFailures[]
  /** What the counts may lack, each a sentence for a person: after a kill, or a damaged file. */
  readonly gaps: readonly string[]
  /** Those of them that concern Origin still. */
  readonly originGaps: readonly string[]
}

/** What mirrored reads have shown over the last `windowSeconds`. */
export type AsyncReadEvidence = {
  readonly windowSeconds: number
  /** Copies that the other cluster has answered, or that failed there. */
  readonly reads: number
  readonly errors: number
  /** Of how many both answers were compared; 0 where compare_async_reads is off. */
  readonly compared: number
  /** Of those that were compared. */
  readonly mismatches: number
  /** Copies that were given up before they reached the other cluster. */
  readonly dropped: number
}

export type CertificateEvidence = {
  /** Which one, as settings name it. */
  readonly name: string
  readonly expiresAt: string
}

export type ClusterStatus = {
  /** The control connection is up. */
  readonly isUp: boolean
  readonly endpoint: string | null
  /** Failures of the control connection in a row. */
  readonly failures: number
}

/** Of the requests that ended within the window. */
export type Latency = { readonly p50Ms: number | null; readonly p99Ms: number | null }

/** One cluster's nodes together, as the proxy sees them. */
export type ClusterTraffic = {
  readonly requestsPerSecond: number
  readonly errorsPerSecond: number
  readonly latency: Latency
}

export type Traffic = {
  readonly windowSeconds: number
  readonly clientConnections: number
  readonly inFlight: number
  /** Per second. */
  readonly rates: {
    readonly readsOrigin: number
    readonly readsTarget: number
    readonly writes: number
    readonly failedReads: number
    readonly failedWrites: number
  }
  readonly latency: {
    readonly readsOrigin: Latency
    readonly readsTarget: Latency
    readonly writes: Latency
  }
  readonly clusters: { readonly origin: ClusterTraffic; readonly target: ClusterTraffic }
}

/** stuck: a thread of it does not answer, and its clients wait. */
export type Serving = 'starting' | 'running' | 'stuck' | 'draining' | 'stopped'

/** Why a file cannot be written now, as far as can be told without writing; null where it can, or none is set. */
export type Unwritable = { readonly stateFile: string | null; readonly auditLog: string | null }

export type InstanceStatus = {
  /** How the deployment calls it: the address of its admin API. */
  readonly name: string
  readonly index: number
  readonly version: string
  readonly startedAt: string
  readonly serving: Serving
  /** Why its readiness is not UP, one sentence; null where it is. */
  readonly notReady: string | null
  readonly clientPort: number | null
  readonly state: MigrationState
  /** Whether it routes as its phase says; a change outside the phases ends that. */
  readonly isPhaseRouting: boolean
  /** Whether the state outlives a restart. */
  readonly isStateKept: boolean
  /** Why it does not, where it should: the state file could not be written when a rollback went on without. */
  readonly stateFault: string | null
  /** Why the latest changes are not in the audit log's file, where it should have them. */
  readonly auditFault: string | null
  /** What would stop the next change. */
  readonly unwritable: Unwritable
  /** Where it would be after a restart without a state file. */
  readonly settingsRouting: Routing
  /** Where `advance` may go from here; the first unless told otherwise, which after a rollback it must be. */
  readonly next: readonly Phase[]
  readonly pending: PendingChange | null
  readonly clusters: { readonly origin: ClusterStatus; readonly target: ClusterStatus }
  /** Null before the clusters were reached. */
  readonly traffic: Traffic | null
  readonly failedWrites: FailedWrites
  readonly asyncReads: AsyncReadEvidence | null
  readonly certificates: readonly CertificateEvidence[]
  /** Null where nobody has asked it to compare the clusters since it was started. */
  readonly lastCheck: LastCheck | null
  /** The admin APIs of all instances, this one's included. */
  readonly instances: readonly string[]
}

export type PendingChange = {
  readonly id: string
  readonly verb: Verb
  readonly by: string
  readonly expiresAt: string
}

/**
 * What an operator says of a comparison of both clusters: that it begins, or that it is over and one of
 * them has the other's rows since.
 */
export type Reconciliation =
  | { readonly step: 'begin'; readonly at: string }
  | {
      readonly step: 'done'
      readonly at: string
      /** The cluster that rows were written into. */
      readonly into: 'origin' | 'target'
      /** When the comparison began, where that was not recorded; at the latest `at`. */
      readonly since: string | null
    }

/** Who wants a change, and why. */
export type Requester = {
  readonly by: string
  readonly reason: string
  /** Goes on although checks failed; needs a reason. */
  readonly force: boolean
}

/** First half of a change of one instance: looked at and made ready, nothing changed yet. */
export type PrepareRequest = Requester & {
  readonly transition: Transition
  /** The revision that the instance must be at. */
  readonly expectedRevision: number
  /** The revision that it gets: above the expected one, the same on all instances. */
  readonly revision: number
  /** What whoever coordinates has found of the deployment as a whole, for the record. */
  readonly deployment?: readonly CheckResult[]
  /** When the change is made, ISO 8601: one time for all instances. The instance's own where it is absent. */
  readonly at?: string
}

export type PreparedChange = {
  readonly id: string
  readonly from: MigrationState
  readonly to: MigrationState
  readonly checks: readonly CheckResult[]
  /** It is forgotten then. */
  readonly expiresAt: string
}

export type { Quiescence }

export type CommittedChange = {
  readonly state: MigrationState
  readonly quiescence: Quiescence
  /** Why the state does not outlive a restart, although it should. */
  readonly stateFault: string | null
}

export type InstanceOutcome = {
  readonly name: string
  readonly outcome: 'changed' | 'unchanged' | 'failed' | 'unreachable'
  /** Null where nobody knows. */
  readonly phase: Phase | null
  readonly revision: number | null
  readonly quiescence: Quiescence | null
  readonly error: string | null
}

/** What remains to be done to leave: clients back to Origin directly, without the proxy. */
export type LeaveReport = {
  readonly clientConnections: number
  /** Whether every write that succeeded is on Origin, as far as has been counted; false where nobody can tell. */
  readonly isOriginComplete: boolean
  /** Why Origin may lack more than has been counted, a sentence each. */
  readonly doubts: readonly string[]
  /** What Origin may lack, by table. */
  readonly missingOnOrigin: readonly TableFailures[]
  readonly since: string
  /** What the counts may lack, by instance. */
  readonly gaps: readonly string[]
  readonly steps: readonly string[]
}

export type ChangeReport = {
  /** partial: some instances have changed and some have not. */
  readonly outcome: 'done' | 'unchanged' | 'refused' | 'partial'
  readonly verb: Verb
  readonly from: Phase | null
  readonly to: Phase | null
  readonly revision: number | null
  readonly message: string
  readonly checks: readonly CheckResult[]
  readonly instances: readonly InstanceOutcome[]
  /** When the instance that was asked began with it. */
  readonly askedAt: string
  /** No two instances changed further apart than this; null where fewer than one did. */
  readonly skewMs: number | null
  /** The commands that finish and that revert a partial change. */
  readonly finish: string | null
  readonly revert: string | null
  readonly leave: LeaveReport | null
}

/** What a change would do and whether it may. */
export type Plan = {
  readonly verb: Verb
  readonly from: Phase
  readonly to: Phase
  readonly routing: Routing
  readonly isAllowed: boolean
  readonly message: string
  /** What would be done, in order; none where nothing is to be done. */
  readonly steps: readonly string[]
  readonly checks: readonly CheckResult[]
  readonly leave: LeaveReport | null
}

export type DeploymentStatus = {
  readonly isInAgreement: boolean
  readonly checks: readonly CheckResult[]
  readonly instances: readonly {
    readonly name: string
    /** Null where it cannot be reached; `error` says why. */
    readonly status: InstanceStatus | null
    readonly error: string | null
  }[]
}

export type ConfigEntry = {
  readonly key: string
  readonly value: string | number | boolean | readonly string[] | readonly number[]
  readonly source: 'default' | 'environment' | 'file' | 'secret file'
  /** The file that it came from, if it came from one. */
  readonly path: string | null
}

export type AuditEntry = {
  readonly at: string
  readonly instance: string
  readonly changeId: string
  readonly event:
    | 'begun'
    | 'committed'
    | 'refused'
    | 'failed'
    | 'discarded'
    | 'adopted'
    | 'comparison-begun'
    | 'reconciled'
    | 'log-level'
    | 'clients-closed'
    | 'drained'
  readonly verb: Verb | null
  readonly by: string
  /** Where the request came from. */
  readonly via: string
  readonly reason: string
  readonly isForced: boolean
  readonly from: MigrationState | null
  readonly to: MigrationState | null
  readonly checks: readonly CheckResult[]
  readonly message: string
}

/** A read that both clusters answered differently, also when they were asked again. No value of the data is in it. */
export type Mismatch = {
  readonly at: string
  /** The cluster that served reads then. */
  readonly primary: ClusterWord
  readonly keyspace: string
  readonly table: string
  /** With `?` in place of its literals, at most 500 characters. */
  readonly statement: string
  /** Rows that the other cluster has and this one does not, in any form. */
  readonly missingOnOrigin: number
  readonly missingOnTarget: number
  /** Rows that both have, with other values in some columns. */
  readonly changedRows: number
  /** The columns in which those differ; `#<position>` from 1 where the client had asked for no names. */
  readonly columns: readonly string[]
  /** The same rows, but not in the order that the query asks for. */
  readonly isOrder: boolean
  /** One page of more: rows beyond it were not looked at. */
  readonly isPartial: boolean
  /** What `keyHash` stands for: the partition key's values where they are known, else all bound values. */
  readonly keyOf: 'partition_key' | 'bound_values' | 'statement'
  /** With a secret of the process: equal keys have equal hashes, and no hash tells its key. */
  readonly keyHash: string
}

export type MismatchReport = {
  /** The instance whose reads these are. */
  readonly instance: string
  /** Whether answers are compared at all (compare_async_reads). */
  readonly isComparing: boolean
  /** The newest first. */
  readonly mismatches: readonly Mismatch[]
}

export type { CheckRow, Difference }

/** What one instance finds of its settings, the ways to both clusters, and the clusters themselves. */
export type InstanceCheck = {
  readonly name: string
  /** Empty where it could not be asked; `error` says why. */
  readonly rows: readonly CheckRow[]
  readonly error: string | null
}

/** Both clusters' schemas and limits, compared. */
export type SchemaReport = {
  readonly keyspaces: readonly string[]
  /** Too large to be compared with the rest: to be asked for by name. */
  readonly unread: readonly string[]
  readonly tables: number
  readonly errors: number
  readonly warnings: number
  readonly notes: number
  /** The worst first; at most DIFFERENCES_MAX of them. */
  readonly differences: readonly Difference[]
}

/** Whether a migration between the two clusters can succeed. */
export type CheckReport = {
  readonly checkedAt: string
  /** No check failed and no difference loses writes. */
  readonly isFeasible: boolean
  /** The one that was asked first. */
  readonly instances: readonly InstanceCheck[]
  /** Null where it was not asked for, or a schema could not be read: a row says why. */
  readonly schema: SchemaReport | null
}

/** What is kept of the last check that compared schemas. */
export type LastCheck = {
  readonly checkedAt: string
  readonly keyspaces: readonly string[]
  /** Checks that failed, and differences that lose writes. */
  readonly faults: number
}

/** Client connections that are alike in all that tells applications apart. Texts are cut, and safe to show. */
export type ClientGroup = {
  /** Without the port. */
  readonly address: string
  /** Whom the clients have signed in as; '' where nobody asked, or not yet. */
  readonly user: string
  /** As the driver says; '' where it does not. */
  readonly driverName: string
  readonly driverVersion: string
  readonly applicationName: string
  readonly applicationVersion: string
  /** Null before the first message. */
  readonly protocolVersion: number | null
  readonly connections: number
  readonly inFlight: number
  /** Age of the oldest of the connections. */
  readonly oldestSeconds: number
  /** Since anything came from any of them, heartbeats of drivers included. */
  readonly idleSeconds: number
}

/** Bounded: an instance may have clients without number. */
export type ClientGroups = {
  /** Those with the most connections first. */
  readonly groups: readonly ClientGroup[]
  /** Of further groups, which are not listed. */
  readonly unlistedConnections: number
}

export type InstanceClients = ClientGroups & {
  readonly name: string
  /** Why nothing is known of it; null where it has answered. */
  readonly error: string | null
}

/** Who uses the proxy, by instance; the one that was asked first. */
export type ClientReport = { readonly instances: readonly InstanceClients[] }

export type ClientSelection = {
  readonly address: string
  /** As a group has it; null: whoever it is. */
  readonly user: string | null
}

export type ClientCloseReport = {
  readonly instances: readonly {
    readonly name: string
    /** Connections that are being closed; null where `error` says why nobody knows. */
    readonly closed: number | null
    readonly error: string | null
  }[]
}

export type LogLevelReport = {
  /** Of whatever `components` does not name. */
  readonly level: LogLevel
  readonly components: LogLevels['components']
}

/** Every answer that is no success, but for a change that was refused or is partial. */
export type Problem = {
  readonly code: string
  readonly message: string
  readonly checks?: readonly CheckResult[]
}
