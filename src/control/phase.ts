/**
 * The phases of a migration as one table: what each means, how it routes, where it leads, what must hold
 * on entering it, and the way back (migration-lifecycle §4, §7). Pure data; transitions.ts reads it, and
 * docs/operations.md is held to it by a test.
 */
import type { ReadMode, WriteMode } from '../routing/routing-state.ts'

export const PHASES = [
  'connect',
  'migrate',
  'dual-read',
  'target-reads',
  'cut-over',
  'rolled-back',
] as const
export type Phase = (typeof PHASES)[number]

/** The clusters as settings and the API spell them. */
export type ClusterWord = 'ORIGIN' | 'TARGET'

/** What an operator may change of the routing state. */
export type Routing = {
  readonly primary: ClusterWord
  readonly readMode: ReadMode
  readonly writeMode: WriteMode
}

/** What is looked at before a change. What each says: checks.ts. */
export const CHECKS = [
  'serving',
  'control-connections',
  'state-kept',
  'files-writable',
  'failed-writes',
  'reconciled',
  'async-reads',
  'certificates',
  'clients',
  'dual-read-skipped',
  'origin-complete',
  'phase-routing',
  'safety-net',
  'instances-reachable',
  'instances-agree',
  'configuration-equal',
  'clusters-checked',
] as const
export type CheckId = (typeof CHECKS)[number]

/** refuse: a failure stops the change unless it is forced. warn: it is told and recorded. */
export type Severity = 'refuse' | 'warn'

export type EntryCheck = { readonly id: CheckId; readonly severity: Severity }

export type PhaseDefinition = {
  readonly meaning: string
  readonly routing: Routing
  /** Where `advance` may go; the first is where it goes unless told. */
  readonly next: readonly Phase[]
  readonly entryChecks: readonly EntryCheck[]
  /** What going back from here means for the operator. */
  readonly wayBack: string
}

const READS_ON_ORIGIN = {
  primary: 'ORIGIN',
  readMode: 'PRIMARY_ONLY',
  writeMode: 'both',
} as const satisfies Routing
const MIRRORED_READS = { ...READS_ON_ORIGIN, readMode: 'DUAL_ASYNC_ON_SECONDARY' } as const
const READS_ON_TARGET = { ...READS_ON_ORIGIN, primary: 'TARGET' } as const

const refuse = (id: CheckId): EntryCheck => ({ id, severity: 'refuse' })
const warn = (id: CheckId): EntryCheck => ({ id, severity: 'warn' })

/** Of every change that goes forward. */
const HEALTHY = [
  refuse('serving'),
  refuse('control-connections'),
  refuse('safety-net'),
  refuse('files-writable'),
  warn('certificates'),
] as const

export const PHASE_TABLE: Readonly<Record<Phase, PhaseDefinition>> = {
  connect: {
    meaning: 'Clients move from Origin to the proxy; what they write goes to both clusters.',
    routing: READS_ON_ORIGIN,
    next: ['migrate'],
    entryChecks: [refuse('safety-net'), refuse('files-writable')],
    wayBack: 'Point the clients back at Origin; it has everything.',
  },
  migrate: {
    meaning: 'Every writer uses the proxy; the existing data is copied to Target and validated.',
    routing: READS_ON_ORIGIN,
    next: ['dual-read', 'target-reads'],
    entryChecks: [...HEALTHY, refuse('clusters-checked'), warn('failed-writes'), warn('clients')],
    wayBack: 'Stop the copy; point the clients back at Origin, which has everything.',
  },
  'dual-read': {
    meaning: 'Reads are served by Origin and copied to Target, to see that it carries the load.',
    routing: MIRRORED_READS,
    next: ['target-reads'],
    entryChecks: [...HEALTHY, refuse('state-kept'), refuse('reconciled'), warn('failed-writes')],
    wayBack: 'Rollback switches the copies off; clients notice nothing.',
  },
  'target-reads': {
    meaning:
      'Target serves reads; Origin gets every write still, so that going back loses nothing.',
    routing: READS_ON_TARGET,
    next: ['cut-over'],
    entryChecks: [
      ...HEALTHY,
      refuse('state-kept'),
      refuse('reconciled'),
      refuse('failed-writes'),
      refuse('async-reads'),
      refuse('dual-read-skipped'),
    ],
    wayBack: 'Rollback puts every read back on Origin at once.',
  },
  'cut-over': {
    meaning:
      'Clients move from the proxy to Target directly. Their first write there is the point of no return.',
    routing: READS_ON_TARGET,
    next: [],
    entryChecks: [
      ...HEALTHY,
      refuse('state-kept'),
      refuse('reconciled'),
      refuse('failed-writes'),
      warn('clients'),
    ],
    wayBack:
      'Rollback loses nothing as long as no client has written to Target directly; those writes must be copied back first, and no proxy knows of them.',
  },
  'rolled-back': {
    meaning: 'Reads are served by Origin again; writes go to both clusters still.',
    routing: READS_ON_ORIGIN,
    next: ['migrate', 'dual-read', 'target-reads'],
    entryChecks: [
      warn('serving'),
      warn('control-connections'),
      warn('state-kept'),
      warn('files-writable'),
      refuse('origin-complete'),
    ],
    wayBack: 'Point the clients back at Origin, or advance again when the cause is mended.',
  },
}

/** Of a change of the routing outside the phases. */
export const ROUTE_CHECKS: readonly EntryCheck[] = [
  refuse('serving'),
  refuse('control-connections'),
  refuse('state-kept'),
  refuse('phase-routing'),
  refuse('safety-net'),
  refuse('files-writable'),
]

const withoutDoubles = (checks: readonly EntryCheck[]): readonly EntryCheck[] => [
  ...new Map(
    // Of two the one that refuses stays.
    [...checks]
      .sort((a, b) => b.severity.localeCompare(a.severity))
      .map((check) => [check.id, check]),
  ).values(),
]

/** Of going from one phase to another, whatever lies between: those of every phase on the way. */
export const checksBetween = (from: Phase, to: Phase): readonly EntryCheck[] => {
  const onTheWay = PHASES.filter(
    (phase) =>
      phase === to || (phaseRank(phase) > phaseRank(from) && phaseRank(phase) <= phaseRank(to)),
  )
  return withoutDoubles(onTheWay.flatMap((phase) => PHASE_TABLE[phase].entryChecks))
}

/** Of catching up with instances that have gone on already. */
export const CATCH_UP_CHECKS: readonly EntryCheck[] = [
  warn('serving'),
  warn('control-connections'),
  warn('state-kept'),
  refuse('safety-net'),
  refuse('files-writable'),
]

/** Of the deployment as a whole, going forward. */
export const DEPLOYMENT_CHECKS: readonly EntryCheck[] = [
  refuse('instances-reachable'),
  refuse('instances-agree'),
  refuse('configuration-equal'),
]

/** Of the deployment as a whole, going back: nothing may hold that up. */
export const DEPLOYMENT_CHECKS_BACK: readonly EntryCheck[] = [
  warn('instances-reachable'),
  warn('instances-agree'),
  warn('configuration-equal'),
]

export const isSameRouting = (a: Routing, b: Routing): boolean =>
  a.primary === b.primary && a.readMode === b.readMode && a.writeMode === b.writeMode

/** How far a phase is on the way; a rollback is nowhere on it. */
export const phaseRank = (phase: Phase): number =>
  phase === 'rolled-back' ? -1 : PHASES.indexOf(phase)
