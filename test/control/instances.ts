/** Instances of a deployment without sockets: real switches, and what each sees made up by the test. */
import { AuditLog } from '../../src/control/audit-log.ts'
import { type Evidence, evidenceOf } from '../../src/control/checks.ts'
import type { InstanceClient } from '../../src/control/coordinate.ts'
import {
  firstState,
  hasPhaseRouting,
  type MigrationState,
} from '../../src/control/migration-state.ts'
import { PHASE_TABLE, type Phase, type Routing } from '../../src/control/phase.ts'
import type {
  CheckReport,
  ConfigEntry,
  FailedWrites,
  InstanceStatus,
  LastCheck,
} from '../../src/control/report.ts'
import { FORGETFUL_STORE, type StateStore } from '../../src/control/state-store.ts'
import { MigrationSwitch } from '../../src/control/switch.ts'
import { waysFrom } from '../../src/control/transitions.ts'
import { createLogger } from '../../src/log.ts'
import { FakeClock } from '../support/fake-clock.ts'

export const START = '2026-01-02T03:04:05.000Z'
export const ON_ORIGIN: Routing = {
  primary: 'ORIGIN',
  readMode: 'PRIMARY_ONLY',
  writeMode: 'both',
}

export const stateIn = (phase: Phase, changes: Partial<MigrationState> = {}): MigrationState => ({
  ...firstState(PHASE_TABLE[phase].routing, START),
  phase,
  reconciledAt: START,
  ...changes,
})

export const noFailures: FailedWrites = {
  since: START,
  originSince: START,
  originOnly: 0,
  targetOnly: 0,
  both: 0,
  tables: [],
  gaps: [],
  originGaps: [],
}

export const failuresOf = (originOnly: number, targetOnly: number): FailedWrites => {
  const counts = { originOnly, targetOnly, both: 0 }
  const row = { keyspace: 'ks', table: 't', ...counts, firstAt: START, lastAt: START }
  return { since: START, originSince: START, ...counts, tables: [row], gaps: [], originGaps: [] }
}

/** Nothing that any check finds fault with. */
export const goodEvidence = (changes: Partial<Evidence> = {}): Evidence => ({
  nowMs: Date.parse(START),
  serving: 'running',
  clusters: {
    origin: { isUp: true, endpoint: '10.0.0.1:9042', failures: 0 },
    target: { isUp: true, endpoint: '10.0.1.1:9042', failures: 0 },
  },
  isStateKept: true,
  stateFault: null,
  auditFault: null,
  unwritable: { stateFile: null, auditLog: null },
  settingsRouting: ON_ORIGIN,
  failedWrites: noFailures,
  asyncReads: {
    windowSeconds: 600,
    reads: 100_000,
    errors: 0,
    compared: 100_000,
    mismatches: 0,
    dropped: 0,
  },
  certificates: [],
  clientConnections: 3,
  ...changes,
})

export type FakeInstance = InstanceClient & {
  readonly switch: MigrationSwitch
  readonly audit: AuditLog
  /** What goes wrong with each call; `lost answer` carries the call out first. */
  faults: Partial<
    Record<'status' | 'check' | 'prepare' | 'commit' | 'clients', 'refuse' | 'lost answer' | 'hang'>
  >
  /** Ends the hanging. */
  goOn(): void
  /** Who it takes itself for, where that is not its name. */
  identity: Partial<Pick<InstanceStatus, 'name' | 'index' | 'instances' | 'startedAt'>>
  evidence: Partial<Evidence>
  configuration: readonly ConfigEntry[]
  lastCheck: LastCheck | null
  readonly applied: MigrationState[]
}

export type FakeInstanceOptions = {
  readonly state?: MigrationState
  readonly store?: StateStore
  readonly clock?: FakeClock
  readonly auditPath?: string
  /** Why a change does not reach every thread. */
  readonly applyFault?: string
  /** Takes the lines of its log; nobody if absent. */
  readonly sink?: { write(line: string): void }
}

export const fakeInstance = (name: string, options: FakeInstanceOptions = {}): FakeInstance => {
  const clock = options.clock ?? new FakeClock()
  const audit = new AuditLog(options.auditPath ?? null)
  const applied: MigrationState[] = []
  const { promise: hanging, resolve: goOn } = Promise.withResolvers<void>()
  let changes = 0
  const evidence = (): Evidence => goodEvidence(instance.evidence)
  const own = new MigrationSwitch(options.state ?? stateIn('connect'), {
    name,
    store: options.store ?? FORGETFUL_STORE,
    audit,
    clock,
    log: createLogger({
      clock,
      ...(options.sink === undefined ? { level: 'fatal' } : { level: 'debug', sink: options.sink }),
    }),
    newId: () => `${name}-${++changes}`,
    evidence: () => Promise.resolve(evidence()),
    apply: (state) => {
      applied.push(state)
      if (options.applyFault !== undefined) return Promise.reject(new Error(options.applyFault))
      return Promise.resolve({ inFlight: 2, waitedMs: 1, remaining: 0 })
    },
  })
  const faulty = async <T>(
    call: keyof FakeInstance['faults'],
    work: () => Promise<T>,
  ): Promise<T> => {
    const fault = instance.faults[call]
    if (fault === 'hang') {
      await hanging
      return work()
    }
    const result = fault === 'refuse' ? null : await work()
    if (fault !== undefined || result === null) throw new Error('connection refused')
    return result
  }
  const instance: FakeInstance = {
    name,
    switch: own,
    audit,
    faults: {},
    goOn,
    identity: {},
    evidence: {},
    configuration: [{ key: 'read_mode', value: 'PRIMARY_ONLY', source: 'default', path: null }],
    lastCheck: null,
    applied,
    status: () =>
      faulty('status', async () => ({
        ...statusOf(name, own, evidence()),
        lastCheck: instance.lastCheck,
        ...instance.identity,
      })),
    config: () => Promise.resolve(instance.configuration),
    check: () => faulty('check', () => Promise.resolve(checkOf(name))),
    prepare: (request) => faulty('prepare', () => own.prepare(request, 'test')),
    commit: (id) => faulty('commit', () => own.commit(id, 'test')),
    abort: (id) => Promise.resolve(own.abort(id)),
    reconciled: async (reconciliation, requester) =>
      own.reconciled(reconciliation, requester, 'test'),
    clients: () => faulty('clients', async () => ({ groups: [], unlistedConnections: 3 })),
    closeClients: () => faulty('clients', async () => 3),
  }
  return instance
}

/** What an instance says that finds nothing wrong. */
export const checkOf = (name: string): CheckReport => ({
  checkedAt: START,
  isFeasible: true,
  instances: [{ name, rows: [], error: null }],
  schema: null,
})

const statusOf = (name: string, own: MigrationSwitch, evidence: Evidence): InstanceStatus => {
  const { clusters, isStateKept, settingsRouting, failedWrites, asyncReads, certificates } =
    evidence
  const latency = { p50Ms: null, p99Ms: null }
  return {
    name,
    index: 0,
    version: '1',
    startedAt: START,
    serving: evidence.serving,
    notReady: null,
    clientPort: 9042,
    state: own.state,
    isPhaseRouting: hasPhaseRouting(own.state),
    isStateKept: isStateKept && own.stateFault === null,
    stateFault: own.stateFault,
    auditFault: null,
    unwritable: evidence.unwritable,
    settingsRouting,
    next: waysFrom(own.state),
    pending: own.pending,
    clusters,
    traffic: {
      windowSeconds: 10,
      clientConnections: evidence.clientConnections,
      inFlight: 0,
      rates: { readsOrigin: 0, readsTarget: 0, writes: 0, failedReads: 0, failedWrites: 0 },
      latency: { readsOrigin: latency, readsTarget: latency, writes: latency },
      clusters: {
        origin: { requestsPerSecond: 0, errorsPerSecond: 0, latency },
        target: { requestsPerSecond: 0, errorsPerSecond: 0, latency },
      },
    },
    failedWrites,
    asyncReads,
    certificates,
    lastCheck: null,
    instances: [name],
  }
}

/** What a status says is all that a check needs. */
export const sameEvidence = (status: InstanceStatus, nowMs: number): Evidence =>
  evidenceOf(status, nowMs)
