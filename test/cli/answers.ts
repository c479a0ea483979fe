/** What an admin API says, for tests of what the command makes of it. */
import type {
  ChangeReport,
  CheckReport,
  CheckResult,
  ClientGroup,
  DeploymentStatus,
  InstanceClients,
  InstanceStatus,
  Mismatch,
  Plan,
} from '../../src/control/report.ts'

export const PASSED: CheckResult = {
  id: 'control-connections',
  outcome: 'pass',
  evidence: 'both are up',
  remedy: null,
  instance: null,
}

export const FAILED: CheckResult = {
  id: 'failed-writes',
  outcome: 'fail',
  evidence: '3 writes failed on Target only since 2026-01-01T00:00:00.000Z',
  remedy: 'copy shop.orders again, then run `zdm reconciled`',
  instance: 'http://127.0.0.1:14003',
}

export const statusOf = (overrides: Partial<InstanceStatus> = {}): InstanceStatus => ({
  name: 'http://127.0.0.1:14003',
  index: 0,
  version: '0.1.0',
  startedAt: '2026-01-01T00:00:00.000Z',
  serving: 'running',
  clientPort: 14_002,
  state: {
    revision: 3,
    phase: 'dual-read',
    rolledBackFrom: null,
    routing: { primary: 'ORIGIN', readMode: 'DUAL_ASYNC_ON_SECONDARY', writeMode: 'both' },
    changedAt: '2026-01-02T00:00:00.000Z',
    changedBy: 'ada@ops',
    reason: 'validated',
    reconciledAt: '2026-01-01T12:00:00.000Z',
    comparisonBegunAt: '2026-01-01T12:00:00.000Z',
    originLacks: null,
    targetLacks: null,
    cutOverAt: null,
  },
  settingsRouting: { primary: 'ORIGIN', readMode: 'PRIMARY_ONLY', writeMode: 'both' },
  isPhaseRouting: true,
  isStateKept: true,
  notReady: null,
  stateFault: null,
  auditFault: null,
  unwritable: { stateFile: null, auditLog: null },
  next: ['target-reads'],
  pending: null,
  clusters: {
    origin: { isUp: true, endpoint: '10.0.0.1:9042', failures: 0 },
    target: { isUp: true, endpoint: '10.0.1.1:9042', failures: 0 },
  },
  traffic: {
    windowSeconds: 60,
    clientConnections: 12,
    inFlight: 3,
    rates: { readsOrigin: 1200, readsTarget: 0, writes: 340.4, failedReads: 0, failedWrites: 0 },
    latency: {
      readsOrigin: { p50Ms: 1.25, p99Ms: 14.2 },
      readsTarget: { p50Ms: null, p99Ms: null },
      writes: { p50Ms: 2, p99Ms: 22 },
    },
    clusters: {
      origin: { requestsPerSecond: 1540, errorsPerSecond: 0, latency: { p50Ms: 1, p99Ms: 9 } },
      target: { requestsPerSecond: 340, errorsPerSecond: 0, latency: { p50Ms: 2, p99Ms: 11 } },
    },
  },
  failedWrites: {
    since: '2026-01-01T12:00:00.000Z',
    originSince: '2026-01-01T12:00:00.000Z',
    originOnly: 0,
    targetOnly: 0,
    both: 0,
    tables: [],
    gaps: [],
    originGaps: [],
  },
  asyncReads: {
    windowSeconds: 600,
    reads: 5000,
    errors: 0,
    compared: 4000,
    mismatches: 0,
    dropped: 0,
  },
  certificates: [],
  lastCheck: null,
  instances: ['http://127.0.0.1:14003'],
  ...overrides,
})

export const deploymentOf = (
  statuses: readonly InstanceStatus[],
  overrides: Partial<DeploymentStatus> = {},
): DeploymentStatus => ({
  isInAgreement: true,
  checks: [PASSED],
  instances: statuses.map((status) => ({ name: status.name, status, error: null })),
  ...overrides,
})

export const planOf = (overrides: Partial<Plan> = {}): Plan => ({
  verb: 'advance',
  from: 'dual-read',
  to: 'target-reads',
  routing: { primary: 'TARGET', readMode: 'PRIMARY_ONLY', writeMode: 'both' },
  isAllowed: true,
  message: 'It may be done: zdm advance target-reads',
  steps: ['prepare on 1 instance at revision 3', 'commit on it at revision 4'],
  checks: [PASSED],
  leave: null,
  ...overrides,
})

export const reportOf = (overrides: Partial<ChangeReport> = {}): ChangeReport => ({
  outcome: 'done',
  verb: 'advance',
  from: 'dual-read',
  to: 'target-reads',
  revision: 4,
  message: 'Every instance is in target-reads.',
  checks: [PASSED],
  instances: [
    {
      name: 'http://127.0.0.1:14003',
      outcome: 'changed',
      phase: 'target-reads',
      revision: 4,
      quiescence: { inFlight: 17, waitedMs: 3.2, remaining: 0 },
      error: null,
    },
  ],
  askedAt: '2026-03-04T05:06:07.000Z',
  skewMs: 0.8,
  finish: null,
  revert: null,
  leave: null,
  ...overrides,
})

export const mismatchOf = (overrides: Partial<Mismatch> = {}): Mismatch => ({
  at: '2026-01-02T03:04:05.000Z',
  primary: 'ORIGIN',
  keyspace: 'shop',
  table: 'orders',
  statement: 'SELECT total FROM shop.orders WHERE id = ?',
  missingOnOrigin: 0,
  missingOnTarget: 0,
  changedRows: 0,
  columns: [],
  isOrder: false,
  isPartial: false,
  keyOf: 'partition_key',
  keyHash: '0123456789abcdef',
  ...overrides,
})

export const checkReportOf = (overrides: Partial<CheckReport> = {}): CheckReport => ({
  checkedAt: '2026-01-02T03:04:05.000Z',
  isFeasible: true,
  instances: [
    {
      name: 'http://10.0.0.1:14003',
      rows: [{ subject: 'Origin', name: 'TCP', verdict: 'pass', detail: 'reached', remedy: '' }],
      error: null,
    },
  ],
  schema: {
    keyspaces: ['shop'],
    unread: [],
    tables: 1,
    errors: 0,
    warnings: 0,
    notes: 0,
    differences: [],
  },
  ...overrides,
})

export const clientGroupOf = (overrides: Partial<ClientGroup> = {}): ClientGroup => ({
  address: '10.0.0.7',
  user: 'orders',
  driverName: 'DataStax Java driver for Apache Cassandra(R)',
  driverVersion: '4.17.0',
  applicationName: 'shop',
  applicationVersion: '2.1',
  protocolVersion: 4,
  connections: 2,
  inFlight: 1,
  oldestSeconds: 93_784,
  idleSeconds: 3,
  ...overrides,
})

export const clientsOf = (name: string, groups: readonly ClientGroup[] = []): InstanceClients => ({
  name,
  groups,
  unlistedConnections: 0,
  error: null,
})
