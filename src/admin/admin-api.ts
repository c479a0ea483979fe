/** What the admin API asks of the proxy that it is part of; implemented by src/proxy/migration-control.ts. */
import type { InstanceClient } from '../control/coordinate.ts'
import type {
  AuditEntry,
  ChangeReport,
  CheckReport,
  ClientGroups,
  ClientSelection,
  CommittedChange,
  ConfigEntry,
  InstanceStatus,
  MismatchReport,
  PreparedChange,
  PrepareRequest,
  Reconciliation,
  Requester,
} from '../control/report.ts'
import type { Component, LogLevel, LogLevels } from '../log-levels.ts'

/** Who asks: a remote address, and the name on its certificate where it has shown one. */
export type Via = string

export interface AdminApi {
  readonly version: string
  /** Its own address. */
  readonly name: string
  status(): Promise<InstanceStatus>
  config(): readonly ConfigEntry[]
  prepare(request: PrepareRequest, via: Via): Promise<PreparedChange>
  commit(id: string, via: Via): Promise<CommittedChange>
  abort(id: string): void
  reconciled(
    reconciliation: Reconciliation,
    requester: Omit<Requester, 'force'>,
    via: Via,
  ): Promise<void>
  /** Records a change of the deployment that was refused before it got to this instance. */
  refused(report: ChangeReport, requester: Requester, via: Via): void
  audit(limit: number): readonly AuditEntry[]
  /**
   * Looks at both clusters, which takes seconds. `keyspaces`: none named: all; null: schemas are left out.
   * Throws CHECK_IN_PROGRESS.
   */
  check(keyspaces: readonly string[] | null): Promise<CheckReport>
  /** The newest first, at most `limit`. */
  mismatches(limit: number): Promise<MismatchReport>
  /** Who the clients of this instance are. */
  clients(): Promise<ClientGroups>
  /** Lets these clients go, recorded; resolves with how many they are. Nothing keeps them from coming back. */
  closeClients(
    selection: ClientSelection,
    requester: Omit<Requester, 'force'>,
    via: Via,
  ): Promise<number>
  /**
   * Has this instance leave as SIGTERM does; resolves when it has begun to. Throws REASON_MISSING, and
   * LAST_INSTANCE unless forced.
   */
  drain(requester: Requester, via: Via): Promise<void>
  readonly logLevels: LogLevels
  /** Of one component; null: of all that have none of their own. Throws AUDIT_NOT_WRITTEN. */
  setLogLevel(
    level: LogLevel,
    component: Component | null,
    requester: Omit<Requester, 'force'>,
    via: Via,
  ): void
  /** All instances of the deployment, this one first; `via` is who asks through this one. */
  deployment(via: Via): readonly InstanceClient[]
}
