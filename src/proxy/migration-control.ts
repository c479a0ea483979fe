/**
 * The migration as this instance takes part in it: its switch, what it has seen of the traffic and of
 * failed writes, and the other instances of the deployment. What the admin API asks is answered here.
 */
import { randomUUID } from 'node:crypto'
import type { AdminApi } from '../admin/admin-api.ts'
import { HttpInstanceClient, type InstanceAccess } from '../admin/instance-client.ts'
import type { MismatchSample } from '../async/mismatch-samples.ts'
import type { Clock, Timer } from '../clock.ts'
import { bindAddress } from '../config/address.ts'
import type { Settings } from '../config/settings.ts'
import type { AuditLog } from '../control/audit-log.ts'
import { askOthers, CATCH_UP_TIMEOUT_MS } from '../control/catch-up.ts'
import { evidenceOf } from '../control/checks.ts'
import type { InstanceClient } from '../control/coordinate.ts'
import { requireAnother } from '../control/drain.ts'
import { ControlError, ControlErrorCode } from '../control/errors.ts'
import { FailureStore, failuresPath } from '../control/failure-store.ts'
import { lookAtAll } from '../control/look.ts'
import { hasPhaseRouting, type MigrationState, routingStateOf } from '../control/migration-state.ts'
import { MissingWritesLog } from '../control/missing-writes-log.ts'
import { beganAt } from '../control/reconciliation.ts'
import type {
  AsyncReadEvidence,
  AuditEntry,
  CertificateEvidence,
  ChangeReport,
  CheckReport,
  ClientGroups,
  ClientSelection,
  ClusterStatus,
  CommittedChange,
  ConfigEntry,
  InstanceStatus,
  Mismatch,
  MismatchReport,
  PreparedChange,
  PrepareRequest,
  Reconciliation,
  Requester,
  Unwritable,
} from '../control/report.ts'
import type { StateStore } from '../control/state-store.ts'
import { MigrationSwitch } from '../control/switch.ts'
import { TrafficWindow } from '../control/traffic-window.ts'
import { waysFrom } from '../control/transitions.ts'
import type { Logger } from '../log.ts'
import { type Component, type LogLevel, type LogLevels, levelOf, withLevel } from '../log-levels.ts'
import type { ControlSeries } from '../metrics/control-series.ts'
import type { FailedTable, PlaneSeries } from '../metrics/plane-series.ts'
import { formatEndpoint } from '../net/dialer.ts'
import { Cluster } from '../routing/cluster.ts'
import { routingSetting, trafficBounds } from './derived-settings.ts'
import { Feasibility } from './feasibility.ts'
import type { ProxyInstance } from './instance.ts'
import { readinessDetailsNow } from './readiness-view.ts'

const SAMPLE_EVERY_MS = 1000
const MS_PER_SECOND = 1000

/** What others of the proxy measure, where they do. */
export type EvidenceSources = {
  /** Takes the counters of all planes as they were at `nowMs`, monotonic. */
  sample(planes: readonly PlaneSeries[], nowMs: number): void
  /** Of mirrored reads; null where none has been mirrored. */
  asyncReads(): AsyncReadEvidence | null
  certificates(): readonly CertificateEvidence[]
}

export type MigrationControlOptions = {
  /** As they were at the start. */
  readonly settings: Settings
  /** Every setting in effect now, secrets hidden. */
  readonly config: () => readonly ConfigEntry[]
  readonly version: string
  readonly instance: ProxyInstance
  readonly state: MigrationState
  readonly store: StateStore
  readonly audit: AuditLog
  /** How the other instances are called now. */
  readonly access: () => InstanceAccess
  readonly isTls: boolean
  readonly clock: Clock
  readonly log: Logger
  readonly evidence: EvidenceSources
  /** Ends the process as SIGTERM does. */
  leave(): void
}

export class MigrationControl implements AdminApi {
  readonly #options: MigrationControlOptions
  readonly #switch: MigrationSwitch
  readonly #failures: FailureStore
  readonly #missingWrites: MissingWritesLog
  readonly #traffic: TrafficWindow
  readonly #feasibility: Feasibility
  readonly #startedAt: string
  readonly #sampleTimer: Timer
  #adminPort: number

  constructor(options: MigrationControlOptions) {
    const { settings, clock, store, audit, log, instance, state } = options
    this.#options = options
    this.#adminPort = settings.adminPort
    this.#startedAt = new Date(clock.wallMs()).toISOString()
    this.#feasibility = new Feasibility(instance, clock)
    const { routingStatePath } = settings
    const path = routingStatePath === '' ? null : failuresPath(routingStatePath)
    this.#failures = new FailureStore(path, { clock, log })
    this.#missingWrites = new MissingWritesLog(log)
    if (state.reconciledAt !== null) this.#failures.settle(Date.parse(state.reconciledAt))
    this.#traffic = new TrafficWindow(trafficBounds(settings))
    const nameOf = (): string => this.name
    this.#switch = new MigrationSwitch(state, {
      get name() {
        return nameOf()
      },
      store,
      audit,
      clock,
      log,
      newId: randomUUID,
      evidence: async () => evidenceOf(await this.status(), clock.wallMs()),
      apply: (next) => instance.setRouting(routingStateOf(next, instance.routing.systemQueries)),
    })
    this.#sampleTimer = clock.setInterval(() => void this.#sample(), SAMPLE_EVERY_MS)
  }

  /** Once the instance has stopped. */
  async close(): Promise<void> {
    this.#options.clock.clearInterval(this.#sampleTimer)
    const planes = await this.#planes().catch(() => null)
    await this.#failures.close(planes && failedTables(planes))
  }

  /** Before clients are served: takes over what has been changed while it was down (catch-up.ts). */
  async catchUp(): Promise<void> {
    const { access, clock, log } = this.#options
    const quick = { ...access(), timeoutMs: CATCH_UP_TIMEOUT_MS }
    const others = this.#otherNames().map((name) => new HttpInstanceClient(name, quick))
    const found = await askOthers(this.state, others, clock)
    const here = `this instance begins in ${this.state.phase}, revision ${this.state.revision}, reads from ${this.state.routing.primary}`
    switch (found.kind) {
      case 'current':
        break
      case 'adopt':
        await this.#switch.adopt(found.state, found.from)
        if (this.state.reconciledAt !== null) {
          this.#failures.settle(Date.parse(this.state.reconciledAt))
        }
        break
      case 'silent':
        log.warn({ code: 'OTHERS_SILENT' }, `${here}; no other instance answers: ${found.text}`)
        break
      case 'disagree': {
        const text = `${here}, the others are elsewhere: ${found.text}. Give all the state of the one that is right: zdm align --like …`
        log.error({ code: 'INSTANCES_DISAGREE' }, text)
      }
    }
  }

  get version(): string {
    return this.#options.version
  }

  get state(): MigrationState {
    return this.#switch.state
  }

  /** The address of the admin API, by which the deployment calls this instance. */
  get name(): string {
    const { proxyTopologyIndex, adminAddress } = this.#options.settings
    return this.#urlOf(this.#addresses[proxyTopologyIndex] ?? bindAddress(adminAddress))
  }

  /** The port that was bound, where the settings ask for any. */
  setAdminPort(port: number): void {
    this.#adminPort = port
  }

  async status(): Promise<InstanceStatus> {
    const { instance, version, settings, evidence } = this.#options
    const [planes, unwritable] = await Promise.all([this.#planes(), this.#unwritable()])
    const { state } = this.#switch
    if (planes !== null) this.#take(planes)
    return {
      name: this.name,
      index: settings.proxyTopologyIndex,
      version,
      startedAt: this.#startedAt,
      serving: instance.stuckThreads > 0 ? 'stuck' : instance.phase,
      notReady: readinessDetailsNow(instance, this.#options.clock).Reason,
      clientPort: instance.port,
      state,
      isPhaseRouting: hasPhaseRouting(state),
      isStateKept: this.#switch.isStateKept,
      stateFault: this.#switch.stateFault,
      auditFault: this.#options.audit.fault,
      unwritable,
      settingsRouting: routingSetting(settings),
      next: waysFrom(state),
      pending: this.#switch.pending,
      clusters: {
        origin: this.#cluster(Cluster.ORIGIN),
        target: this.#cluster(Cluster.TARGET),
      },
      traffic: this.#traffic.read(instance.settings.proxyRequestTimeoutMs),
      failedWrites: this.#failures.read(failedTables(planes)),
      asyncReads: evidence.asyncReads(),
      certificates: evidence.certificates(),
      lastCheck: this.#feasibility.latest,
      instances: this.#names(),
    }
  }

  config(): readonly ConfigEntry[] {
    return this.#options.config()
  }

  async check(keyspaces: readonly string[] | null): Promise<CheckReport> {
    const { rows, schema } = await this.#feasibility.run(keyspaces)
    return {
      checkedAt: new Date(this.#options.clock.wallMs()).toISOString(),
      // The row of the schemas fails where a difference loses writes.
      isFeasible: rows.every(({ verdict }) => verdict !== 'fail'),
      instances: [{ name: this.name, rows, error: null }],
      schema,
    }
  }

  prepare(request: PrepareRequest, via: string): Promise<PreparedChange> {
    return this.#switch.prepare(request, via)
  }

  commit(id: string, via: string): Promise<CommittedChange> {
    return this.#switch.commit(id, via)
  }

  abort(id: string): void {
    this.#switch.abort(id)
  }

  async reconciled(
    reconciliation: Reconciliation,
    requester: Omit<Requester, 'force'>,
    via: string,
  ): Promise<void> {
    const rows = failedTables(await this.#planes())
    const began = Date.parse(beganAt(this.#switch.state, reconciliation))
    this.#switch.reconciled(reconciliation, requester, via)
    if (reconciliation.step === 'begin') this.#failures.begin(rows, began)
    else await this.#failures.forget(reconciliation.into, rows, began)
  }

  refused(report: ChangeReport, requester: Requester, via: string): void {
    this.#switch.refused(report, requester, via)
  }

  audit(limit: number): readonly AuditEntry[] {
    return this.#options.audit.latest(limit)
  }

  async mismatches(limit: number): Promise<MismatchReport> {
    const { instance } = this.#options
    const samples = await instance.mismatches()
    return {
      instance: this.name,
      isComparing: instance.settings.compareAsyncReads,
      mismatches: samples.slice(0, limit).map(mismatchOf),
    }
  }

  async clients(): Promise<ClientGroups> {
    const { groups, unlistedConnections } = await this.#options.instance.clientGroups()
    return { groups, unlistedConnections }
  }

  /** Users' names are for who asks, and stay out of what is written. */
  closeClients(
    { address, user }: ClientSelection,
    requester: Omit<Requester, 'force'>,
    via: string,
  ): Promise<number> {
    const whose = user === null ? '' : ', those of one user'
    const text = `client connections from ${address}${whose}`
    this.#switch.note('clients-closed', requester, via, `closes ${text}`)
    return this.#options.instance.closeClients({ address, user })
  }

  async drain(requester: Requester, via: string): Promise<void> {
    if (requester.reason === '') {
      const text = 'draining an instance needs a reason: it is recorded why'
      throw new ControlError(ControlErrorCode.REASON_MISSING, text)
    }
    const { instance, leave } = this.#options
    if (instance.phase === 'draining') return
    if (!requester.force) {
      requireAnother(await lookAtAll(this.#otherNames().map((name) => this.#peer(name))))
    }
    this.#switch.note('drained', requester, via, 'leaves, as on SIGTERM')
    leave()
  }

  get logLevels(): LogLevels {
    return this.#options.instance.logLevels
  }

  setLogLevel(
    level: LogLevel,
    component: Component | null,
    requester: Omit<Requester, 'force'>,
    via: string,
  ): void {
    const { logLevels } = this
    const whose = component === null ? '' : ` of ${component}`
    const before = levelOf(logLevels, component)
    this.#switch.note('log-level', requester, via, `log level${whose} ${before} → ${level}`)
    this.#options.instance.setLogLevels(withLevel(logLevels, component, level))
  }

  deployment(via: string): readonly InstanceClient[] {
    return [this.#asClient(via), ...this.#otherNames().map((name) => this.#peer(name))]
  }

  series(planes: readonly PlaneSeries[]): ControlSeries {
    const { state, counts } = this.#switch
    const { originOnly, targetOnly } = this.#failures.read(failedTables(planes))
    return {
      phase: state.phase,
      ...state.routing,
      revision: state.revision,
      changedAtSeconds: Date.parse(state.changedAt) / MS_PER_SECOND,
      changes: { ...counts.changes },
      failedChecks: [...counts.failedChecks],
      quiescenceSeconds: (counts.lastQuiescence?.waitedMs ?? 0) / MS_PER_SECOND,
      unreconciled: { origin: originOnly, target: targetOnly },
    }
  }

  #asClient(via: string): InstanceClient {
    return {
      name: this.name,
      status: () => this.status(),
      config: () => Promise.resolve(this.config()),
      check: () => this.check(null),
      prepare: (request) => this.prepare(request, via),
      commit: (id) => this.commit(id, via),
      abort: (id) => Promise.resolve(this.abort(id)),
      reconciled: (reconciliation, requester) => this.reconciled(reconciliation, requester, via),
      clients: () => this.clients(),
      closeClients: (selection, requester) => this.closeClients(selection, requester, via),
    }
  }

  #peer(name: string): InstanceClient {
    return new HttpInstanceClient(name, this.#options.access())
  }

  #otherNames(): readonly string[] {
    return this.#names().filter((name) => name !== this.name)
  }

  #names(): readonly string[] {
    const addresses = this.#addresses
    return addresses.length < 2 ? [this.name] : addresses.map((address) => this.#urlOf(address))
  }

  /** Where the instances reach each other. */
  get #addresses(): readonly string[] {
    const { adminPeerAddresses, proxyTopologyAddresses } = this.#options.settings
    return adminPeerAddresses.length > 0 ? adminPeerAddresses : proxyTopologyAddresses
  }

  #urlOf(address: string): string {
    const scheme = this.#options.isTls ? 'https' : 'http'
    return `${scheme}://${formatEndpoint(address, this.#adminPort)}`
  }

  #cluster(cluster: Cluster): ClusterStatus {
    const { instance } = this.#options
    const health = instance.health(cluster)
    if (health === null) return { isUp: false, endpoint: null, failures: 0 }
    const { endpoint, failures } = health
    return { isUp: failures < instance.settings.heartbeatFailureThreshold, endpoint, failures }
  }

  async #unwritable(): Promise<Unwritable> {
    const { store, audit } = this.#options
    const [stateFile, auditLog] = await Promise.all([store.writeFault(), audit.writeFault()])
    return { stateFile, auditLog }
  }

  async #planes(): Promise<readonly PlaneSeries[] | null> {
    return (await this.#options.instance.series()) ?? null
  }

  #take(planes: readonly PlaneSeries[]): void {
    const nowMs = this.#options.clock.now()
    this.#traffic.sample(planes, nowMs)
    this.#options.evidence.sample(planes, nowMs)
    const failed = failedTables(planes)
    this.#failures.sample(failed)
    this.#missingWrites.sample(failed)
  }

  async #sample(): Promise<void> {
    try {
      const planes = await this.#planes()
      if (planes !== null) this.#take(planes)
    } catch {
      // A plane that is gone is told by others; the window has a gap.
    }
  }
}

/** By cluster instead of by role: the primary may be another one by now. */
const mismatchOf = (sample: MismatchSample): Mismatch => {
  const { atMs, primary, missingOnPrimary, missingOnSecondary, ...rest } = sample
  const isOrigin = primary === 'origin'
  return {
    at: new Date(atMs).toISOString(),
    primary: isOrigin ? 'ORIGIN' : 'TARGET',
    missingOnOrigin: isOrigin ? missingOnPrimary : missingOnSecondary,
    missingOnTarget: isOrigin ? missingOnSecondary : missingOnPrimary,
    ...rest,
  }
}

const failedTables = (planes: readonly PlaneSeries[] | null): readonly FailedTable[] =>
  (planes ?? []).flatMap((plane) => plane.failedTables)

/** One line where what is kept differs from what the settings say (architecture §2.5). */
export const describeKeptState = (state: MigrationState, path: string): string => {
  const { phase, revision, routing, changedAt, changedBy } = state
  return `${path}: phase ${phase}, reads from ${routing.primary} with ${routing.readMode}, writes ${routing.writeMode} (revision ${revision}, ${changedAt}, by ${changedBy || 'unknown'}); this wins over primary_cluster and read_mode`
}
