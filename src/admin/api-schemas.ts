/**
 * The JSON Schemas of the admin API: what requests are checked against, what answers are written by, and
 * what the OpenAPI document shows. One for each type of src/control/report.ts, under its name.
 */
import { CHECKS, PHASES } from '../control/phase.ts'
import { COMPONENTS } from '../log-levels.ts'
import {
  COUNT,
  COUNT_OR_NULL,
  described,
  FLAG,
  list,
  NUMBER,
  NUMBER_OR_NULL,
  object,
  orNull,
  ref,
  type Schema,
  TEXT,
  TEXT_OR_NULL,
  TIME,
  TIME_OR_NULL,
  word,
} from './json-schema.ts'

const NAME_LENGTH_MAX = 200
const REASON_LENGTH_MAX = 2000

const PHASE: Schema = word(...PHASES)
const PHASE_OR_NULL: Schema = { type: ['string', 'null'], enum: [...PHASES, null] }
const VERB: Schema = word('advance', 'rollback', 'route', 'align')
const LOG_LEVEL: Schema = word('fatal', 'error', 'warn', 'info', 'debug', 'trace')

const NAME: Schema = { type: 'string', maxLength: NAME_LENGTH_MAX }
const BY: Schema = {
  ...NAME,
  default: '',
  description: 'Who wants it, for the audit log: a person, a pipeline.',
}
const REASON: Schema = {
  type: 'string',
  maxLength: REASON_LENGTH_MAX,
  default: '',
  description: 'Why, for the audit log. Must not be empty with `force`.',
}
const FORCE: Schema = {
  type: 'boolean',
  default: false,
  description: 'Goes on although checks failed. Recorded.',
}

/** What every change may carry. */
const REQUESTER = { by: BY, reason: REASON, force: FORCE }
const REQUESTER_OPTIONAL = ['by', 'reason', 'force']

const CLUSTER = word('ORIGIN', 'TARGET')

const ROUTING = object({
  primary: CLUSTER,
  readMode: word('PRIMARY_ONLY', 'DUAL_ASYNC_ON_SECONDARY'),
  writeMode: word('both', 'origin_only', 'target_only'),
})

const STATE = object({
  revision: COUNT,
  phase: PHASE,
  rolledBackFrom: PHASE_OR_NULL,
  routing: ref('Routing'),
  changedAt: TIME,
  changedBy: TEXT,
  reason: TEXT,
  reconciledAt: described(TIME_OR_NULL, 'Until when Target has what Origin has, as recorded.'),
  comparisonBegunAt: TIME_OR_NULL,
  originLacks: described(
    orNull(ref('Lack')),
    'When writes went to Target alone, and were not brought to Origin since.',
  ),
  targetLacks: described(orNull(ref('Lack')), 'The same of writes to Origin alone.'),
  cutOverAt: described(
    TIME_OR_NULL,
    'Since when clients may have written to Target directly, so that nobody knows what Origin lacks.',
  ),
})

const TRANSITION: Schema = {
  anyOf: [
    object({ verb: word('advance'), to: PHASE }),
    object({ verb: word('rollback'), from: PHASE }, ['from']),
    object({ verb: word('route'), routing: ref('Routing') }),
    object({ verb: word('align'), state: ref('MigrationState') }),
  ],
}

const LATENCY = object({ p50Ms: NUMBER_OR_NULL, p99Ms: NUMBER_OR_NULL })

const TRAFFIC = object({
  windowSeconds: NUMBER,
  clientConnections: COUNT,
  inFlight: COUNT,
  rates: object({
    readsOrigin: NUMBER,
    readsTarget: NUMBER,
    writes: NUMBER,
    failedReads: NUMBER,
    failedWrites: NUMBER,
  }),
  latency: object({
    readsOrigin: ref('Latency'),
    readsTarget: ref('Latency'),
    writes: ref('Latency'),
  }),
  clusters: object({ origin: ref('ClusterTraffic'), target: ref('ClusterTraffic') }),
})

const INSTANCE_STATUS = object({
  name: TEXT,
  index: COUNT,
  version: TEXT,
  startedAt: TIME,
  serving: word('starting', 'running', 'stuck', 'draining', 'stopped'),
  clientPort: COUNT_OR_NULL,
  state: ref('MigrationState'),
  isPhaseRouting: FLAG,
  isStateKept: FLAG,
  notReady: described(TEXT_OR_NULL, 'Why its readiness is not UP, one sentence; null where it is.'),
  stateFault: described(
    TEXT_OR_NULL,
    'Why the state in effect is not on disk, where it should be.',
  ),
  auditFault: described(
    TEXT_OR_NULL,
    "Why the latest changes are not in the audit log's file, where it should have them; the next that is written brings them.",
  ),
  unwritable: described(
    object({ stateFile: TEXT_OR_NULL, auditLog: TEXT_OR_NULL }),
    'Why these files cannot be written now, which would stop the next change.',
  ),
  settingsRouting: ref('Routing'),
  next: list(PHASE),
  pending: orNull(ref('PendingChange')),
  clusters: object({ origin: ref('ClusterStatus'), target: ref('ClusterStatus') }),
  traffic: orNull(ref('Traffic')),
  failedWrites: ref('FailedWrites'),
  asyncReads: orNull(ref('AsyncReadEvidence')),
  certificates: list(ref('CertificateEvidence')),
  lastCheck: orNull(ref('LastCheck')),
  instances: list(TEXT),
})

const CHANGE_REPORT = object({
  outcome: word('done', 'unchanged', 'refused', 'partial'),
  verb: VERB,
  from: PHASE_OR_NULL,
  to: PHASE_OR_NULL,
  revision: COUNT_OR_NULL,
  message: TEXT,
  checks: list(ref('CheckResult')),
  instances: list(ref('InstanceOutcome')),
  askedAt: described(TIME, 'When the instance that was asked began with it.'),
  skewMs: NUMBER_OR_NULL,
  finish: TEXT_OR_NULL,
  revert: TEXT_OR_NULL,
  leave: orNull(ref('LeaveReport')),
})

const AUDIT_ENTRY = object({
  at: TIME,
  instance: TEXT,
  changeId: TEXT,
  event: word(
    'begun',
    'committed',
    'refused',
    'failed',
    'adopted',
    'discarded',
    'comparison-begun',
    'reconciled',
    'log-level',
    'clients-closed',
    'drained',
  ),
  verb: { type: ['string', 'null'], enum: ['advance', 'rollback', 'route', 'align', null] },
  by: TEXT,
  via: TEXT,
  reason: TEXT,
  isForced: FLAG,
  from: orNull(ref('MigrationState')),
  to: orNull(ref('MigrationState')),
  checks: list(ref('CheckResult')),
  message: TEXT,
})

/** The named ones, in the order of the document. */
export const SCHEMAS: Readonly<Record<string, Schema>> = {
  Routing: ROUTING,
  MigrationState: STATE,
  Lack: object({ since: TIME, until: described(TIME_OR_NULL, 'Null: it lasts.') }),
  Transition: TRANSITION,
  CheckResult: object({
    id: word(...CHECKS),
    outcome: word('pass', 'warn', 'fail'),
    evidence: TEXT,
    remedy: TEXT_OR_NULL,
    instance: TEXT_OR_NULL,
  }),
  TableFailures: object({
    keyspace: TEXT,
    table: TEXT,
    originOnly: COUNT,
    targetOnly: COUNT,
    both: COUNT,
    firstAt: TIME,
    lastAt: TIME,
  }),
  FailedWrites: object({
    since: described(TIME, 'Of those that failed on Target only.'),
    originSince: described(TIME, 'Of those that failed on Origin only.'),
    originOnly: COUNT,
    targetOnly: COUNT,
    both: COUNT,
    tables: list(ref('TableFailures')),
    gaps: described(list(TEXT), 'What the counts may lack: after a kill, or a damaged file.'),
    originGaps: described(list(TEXT), 'Those of them that concern Origin still.'),
  }),
  AsyncReadEvidence: object({
    windowSeconds: NUMBER,
    reads: COUNT,
    errors: COUNT,
    compared: described(COUNT, '0 where compare_async_reads is off: mismatches says nothing then.'),
    mismatches: COUNT,
    dropped: described(COUNT, 'Copies that never reached the other cluster.'),
  }),
  CertificateEvidence: object({ name: TEXT, expiresAt: TIME }),
  ClusterStatus: object({ isUp: FLAG, endpoint: TEXT_OR_NULL, failures: COUNT }),
  Latency: LATENCY,
  ClusterTraffic: object({
    requestsPerSecond: NUMBER,
    errorsPerSecond: NUMBER,
    latency: ref('Latency'),
  }),
  Traffic: TRAFFIC,
  PendingChange: object({ id: TEXT, verb: VERB, by: TEXT, expiresAt: TIME }),
  InstanceStatus: INSTANCE_STATUS,
  PrepareRequest: object(
    {
      transition: ref('Transition'),
      expectedRevision: COUNT,
      revision: described(COUNT, 'Above the expected one, and the same on all instances.'),
      deployment: described(
        list(ref('CheckResult')),
        'What whoever coordinates has found of the deployment as a whole, for the record.',
      ),
      at: described(TIME, 'When the change is made, for all instances; absent: now.'),
      ...REQUESTER,
    },
    ['deployment', 'at', ...REQUESTER_OPTIONAL],
  ),
  PreparedChange: object({
    id: TEXT,
    from: ref('MigrationState'),
    to: ref('MigrationState'),
    checks: list(ref('CheckResult')),
    expiresAt: TIME,
  }),
  Quiescence: object({ inFlight: COUNT, waitedMs: NUMBER, remaining: COUNT }),
  CommittedChange: object({
    state: ref('MigrationState'),
    quiescence: ref('Quiescence'),
    stateFault: TEXT_OR_NULL,
  }),
  InstanceOutcome: object({
    name: TEXT,
    outcome: word('changed', 'unchanged', 'failed', 'unreachable'),
    phase: PHASE_OR_NULL,
    revision: COUNT_OR_NULL,
    quiescence: orNull(ref('Quiescence')),
    error: TEXT_OR_NULL,
  }),
  LeaveReport: object({
    clientConnections: COUNT,
    isOriginComplete: FLAG,
    doubts: list(TEXT),
    missingOnOrigin: list(ref('TableFailures')),
    since: TIME,
    gaps: described(list(TEXT), 'What the counts may lack, by instance.'),
    steps: list(TEXT),
  }),
  ChangeReport: CHANGE_REPORT,
  Plan: object({
    verb: VERB,
    from: PHASE,
    to: PHASE,
    routing: ref('Routing'),
    isAllowed: FLAG,
    message: TEXT,
    steps: described(list(TEXT), 'What would be done, in order.'),
    checks: list(ref('CheckResult')),
    leave: orNull(ref('LeaveReport')),
  }),
  DeploymentStatus: object({
    isInAgreement: FLAG,
    checks: list(ref('CheckResult')),
    instances: list(
      object({ name: TEXT, status: orNull(ref('InstanceStatus')), error: TEXT_OR_NULL }),
    ),
  }),
  ConfigEntry: object({
    key: TEXT,
    value: {
      anyOf: [TEXT, NUMBER, FLAG, list(TEXT), list(NUMBER)],
      description: 'Secrets are hidden.',
    },
    source: word('default', 'environment', 'file', 'secret file'),
    path: described(TEXT_OR_NULL, 'The file that it came from, if it came from one.'),
  }),
  AuditEntry: AUDIT_ENTRY,
  CheckRow: object({
    subject: described(TEXT, 'Settings, Origin, Target, Both.'),
    name: TEXT,
    verdict: word('pass', 'warn', 'fail', 'skipped'),
    detail: TEXT,
    remedy: described(TEXT, 'Empty where there is nothing to do.'),
  }),
  InstanceCheck: object({ name: TEXT, rows: list(ref('CheckRow')), error: TEXT_OR_NULL }),
  Difference: object({
    severity: described(
      word('error', 'warning', 'note'),
      'error: writes to Target fail or are lost. warning: some requests fail or answers differ once Target serves them.',
    ),
    subject: described(TEXT, 'A keyspace, table, column, type, or a setting.'),
    text: TEXT,
    remedy: TEXT,
  }),
  SchemaReport: object({
    keyspaces: list(TEXT),
    unread: described(list(TEXT), 'Too large to be compared with the rest: ask for them by name.'),
    tables: COUNT,
    errors: COUNT,
    warnings: COUNT,
    notes: COUNT,
    differences: described(list(ref('Difference')), 'The worst first, at most 500.'),
  }),
  CheckReport: object({
    checkedAt: TIME,
    isFeasible: described(FLAG, 'No check failed, and no difference loses writes.'),
    instances: list(ref('InstanceCheck')),
    schema: orNull(ref('SchemaReport')),
  }),
  LastCheck: object({
    checkedAt: TIME,
    keyspaces: list(TEXT),
    faults: described(COUNT, 'Checks that failed, and differences that lose writes.'),
  }),
  Mismatch: object({
    at: TIME,
    primary: CLUSTER,
    keyspace: TEXT,
    table: TEXT,
    statement: described(TEXT, 'With `?` in place of its literals.'),
    missingOnOrigin: COUNT,
    missingOnTarget: COUNT,
    changedRows: COUNT,
    columns: list(TEXT),
    isOrder: FLAG,
    isPartial: FLAG,
    keyOf: word('partition_key', 'bound_values', 'statement'),
    keyHash: described(TEXT, 'With a secret of the process; equal keys have equal hashes.'),
  }),
  MismatchReport: object({
    instance: TEXT,
    isComparing: FLAG,
    mismatches: list(ref('Mismatch')),
  }),
  ClientGroup: object({
    address: TEXT,
    user: described(TEXT, 'Whom the clients have signed in as; empty where nobody asked.'),
    driverName: TEXT,
    driverVersion: TEXT,
    applicationName: TEXT,
    applicationVersion: TEXT,
    protocolVersion: COUNT_OR_NULL,
    connections: COUNT,
    inFlight: COUNT,
    oldestSeconds: described(COUNT, 'Age of the oldest connection.'),
    idleSeconds: described(COUNT, 'Since anything came, heartbeats of drivers included.'),
  }),
  InstanceClients: object({
    name: TEXT,
    groups: described(list(ref('ClientGroup')), 'Those with the most connections first.'),
    unlistedConnections: described(COUNT, 'Of further groups, which are not listed.'),
    error: TEXT_OR_NULL,
  }),
  ClientReport: object({ instances: list(ref('InstanceClients')) }),
  ClientCloseRequest: object(
    {
      address: { ...described(NAME, 'Without a port.'), minLength: 1 },
      user: {
        type: ['string', 'null'],
        default: null,
        description: 'As GET /v1/clients shows it; null: whoever it is.',
      },
      by: BY,
      reason: { ...REASON, description: 'Why, for the audit log. Must not be empty.' },
      scope: { ...word('instance', 'deployment'), default: 'deployment' },
    },
    ['user', 'by', 'reason', 'scope'],
  ),
  ClientCloseReport: object({
    instances: list(
      object({
        name: TEXT,
        closed: described(COUNT_OR_NULL, 'Connections that are being closed.'),
        error: TEXT_OR_NULL,
      }),
    ),
  }),
  DrainRequest: object(
    {
      by: BY,
      reason: { ...REASON, description: 'Why, for the audit log. Must not be empty.' },
      force: {
        ...FORCE,
        description: 'Also where no other instance is ready: its clients have nowhere to go then.',
      },
    },
    REQUESTER_OPTIONAL,
  ),
  LogLevelReport: object({
    level: LOG_LEVEL,
    components: object(Object.fromEntries(COMPONENTS.map((name) => [name, LOG_LEVEL])), COMPONENTS),
  }),
  Problem: object({ code: TEXT, message: TEXT, checks: list(ref('CheckResult')) }, ['checks']),
  AdvanceRequest: object(
    {
      to: described(PHASE, 'Where to: an end, never a direction.'),
      from: described(
        PHASE,
        'The phase that it was planned from: refused where the deployment is elsewhere, unless it is in `to` already.',
      ),
      ...REQUESTER,
    },
    ['from', ...REQUESTER_OPTIONAL],
  ),
  RollbackRequest: object(
    {
      leave: {
        type: 'boolean',
        default: false,
        description: 'Tells too what remains to move clients back to Origin directly.',
      },
      ...REQUESTER,
    },
    ['leave', ...REQUESTER_OPTIONAL],
  ),
  AlignRequest: object(
    {
      like: described(TEXT, 'The name of the instance whose state all others get.'),
      ...REQUESTER,
    },
    REQUESTER_OPTIONAL,
  ),
  RoutingRequest: object({ routing: ref('Routing'), ...REQUESTER }, REQUESTER_OPTIONAL),
  ReconciliationRequest: object(
    {
      step: {
        ...word('begin', 'done'),
        default: 'done',
        description: 'begin: a comparison begins now; what fails from now on is not covered by it.',
      },
      into: {
        ...word('origin', 'target'),
        default: 'target',
        description: 'The cluster that has the rows of the other now.',
      },
      since: {
        type: ['string', 'null'],
        default: null,
        description:
          'When the comparison began, where no `begin` was recorded: ISO 8601, or "now" if nothing has been written meanwhile.',
      },
      at: {
        type: ['string', 'null'],
        default: null,
        description: 'With `scope` instance: the time that all instances are to record.',
      },
      by: BY,
      reason: REASON,
      scope: { ...word('instance', 'deployment'), default: 'deployment' },
    },
    ['step', 'into', 'since', 'at', 'by', 'reason', 'scope'],
  ),
  LogLevelRequest: object(
    {
      level: LOG_LEVEL,
      component: {
        type: ['string', 'null'],
        enum: [...COMPONENTS, null],
        default: null,
        description: 'Of what alone; null: of all that have no level of their own.',
      },
      by: BY,
      reason: REASON,
    },
    ['component', 'by', 'reason'],
  ),
  Empty: { type: 'object', additionalProperties: false },
}
