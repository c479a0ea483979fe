/** `zdm status`: one screen that answers where the migration stands and what is safe now. Pure. */
import { describeMirroredReads } from '../control/async-read-window.ts'
import { addTables } from '../control/deployment.ts'
import { PHASE_TABLE, type Phase } from '../control/phase.ts'
import { forgottenBy, lackingIn } from '../control/reconciliation.ts'
import type {
  AsyncReadEvidence,
  DeploymentStatus,
  FailedWrites,
  InstanceStatus,
  Latency,
} from '../control/report.ts'
import { notPassed, renderChecks, renderTableFailures } from './render-checks.ts'
import { formatCount, formatMs, formatRate, type Style, table } from './style.ts'

/** The way, without the phase that is nowhere on it. */
const WAY: readonly Phase[] = ['connect', 'migrate', 'dual-read', 'target-reads', 'cut-over']
const TABLES_SHOWN_MAX = 10
/** Instances that are started together count as having counted since the same time. */
const SINCE_TOLERANCE_MS = 60_000

/** `connect ─ migrate ─ [dual-read] ─ target-reads ─ cut-over` */
export const renderWay = (phase: Phase, style: Style): string => {
  const way = WAY.map((one) => (one === phase ? style.bold(`[${one}]`) : style.dim(one)))
  const back = phase === 'rolled-back' ? style.bold('[rolled-back]  ') : ''
  return `${back}${way.join(style.dim(' ─ '))}`
}

type Answering = { readonly name: string; readonly status: InstanceStatus }

const answering = (deployment: DeploymentStatus): Answering[] =>
  deployment.instances.flatMap(({ name, status }) => (status === null ? [] : [{ name, status }]))

const clusterText = (isUp: boolean, style: Style): string =>
  isUp ? style.good('up') : style.bad('DOWN')

const instanceRows = (deployment: DeploymentStatus, style: Style): string[][] => [
  ['instance', 'serving', 'phase', 'revision', 'Origin', 'Target', 'clients', 'in flight'].map(
    style.dim,
  ),
  ...deployment.instances.map(({ name, status, error }) =>
    status === null
      ? [name, style.bad('unreachable'), error ?? '']
      : [
          name,
          status.serving === 'running' ? style.good('running') : style.warning(status.serving),
          status.state.phase + (status.isPhaseRouting ? '' : style.warning(' (own routing)')),
          String(status.state.revision),
          clusterText(status.clusters.origin.isUp, style),
          clusterText(status.clusters.target.isUp, style),
          formatCount(status.traffic?.clientConnections ?? 0),
          formatCount(status.traffic?.inFlight ?? 0),
        ],
  ),
]

const RATES = [
  ['reads from Origin', 'readsOrigin'],
  ['reads from Target', 'readsTarget'],
  ['writes', 'writes'],
] as const

/** The slowest instance's figures: a mean would hide it. */
const worst = (latencies: readonly Latency[], which: keyof Latency): number | null =>
  latencies.reduce<number | null>((most, one) => {
    const ms = one[which]
    return ms === null || (most !== null && most >= ms) ? most : ms
  }, null)

const trafficLines = (instances: readonly Answering[], style: Style): string[] => {
  const traffic = instances.flatMap(({ status }) =>
    status.traffic === null ? [] : [status.traffic],
  )
  if (traffic.length === 0) return []
  const sum = (pick: (one: (typeof traffic)[number]) => number): number =>
    traffic.reduce((total, one) => total + pick(one), 0)
  const failed = (count: number): string => (count === 0 ? '0' : style.bad(formatRate(count)))
  const rows = RATES.map(([label, key]) => {
    const latencies = traffic.map((one) => one.latency[key])
    return [
      label,
      `${formatRate(sum((one) => one.rates[key]))}/s`,
      `p50 ${formatMs(worst(latencies, 'p50Ms'))}`,
      `p99 ${formatMs(worst(latencies, 'p99Ms'))}`,
    ]
  })
  return [
    ...table(rows),
    `failed per second: reads ${failed(sum((one) => one.rates.failedReads))}, writes ${failed(sum((one) => one.rates.failedWrites))}` +
      style.dim(`  (last ${Math.round(traffic[0]!.windowSeconds)} s)`),
  ]
}

/** All instances' books as one: a table's counts add up, its times are the outermost; `since` is the earliest. */
export const mergeFailedWrites = (books: readonly FailedWrites[]): FailedWrites => {
  const sum = (pick: (book: FailedWrites) => number): number =>
    books.reduce((total, book) => total + pick(book), 0)
  return {
    since: books.map(({ since }) => since).sort()[0] ?? '',
    originSince: books.map(({ originSince }) => originSince).sort()[0] ?? '',
    originOnly: sum((book) => book.originOnly),
    targetOnly: sum((book) => book.targetOnly),
    both: sum((book) => book.both),
    tables: [...addTables(books.flatMap((book) => book.tables))].sort(
      (a, b) => b.originOnly + b.targetOnly - (a.originOnly + a.targetOnly),
    ),
    gaps: [...new Set(books.flatMap((book) => book.gaps))],
    originGaps: [...new Set(books.flatMap((book) => book.originGaps))],
  }
}

const divergenceLines = (instances: readonly Answering[], style: Style): string[] => {
  const failed = mergeFailedWrites(instances.map(({ status }) => status.failedWrites))
  const isClean = failed.originOnly + failed.targetOnly === 0
  const reads = instances.flatMap(({ status }) =>
    status.asyncReads === null ? [] : [status.asyncReads],
  )
  const sum = (pick: (one: AsyncReadEvidence) => number): number =>
    reads.reduce((total, one) => total + pick(one), 0)
  const mirrored = {
    reads: sum((one) => one.reads),
    errors: sum((one) => one.errors),
    compared: sum((one) => one.compared),
    mismatches: sum((one) => one.mismatches),
    dropped: sum((one) => one.dropped),
  }
  const later = instances.filter(
    ({ status }) =>
      Date.parse(status.failedWrites.since) - Date.parse(failed.since) > SINCE_TOLERANCE_MS,
  )
  const exceptions = later.map(({ name, status }) => `${name} since ${status.failedWrites.since}`)
  const only = later.length === 0 ? '' : ` (but ${exceptions.join(', ')} only)`
  const text =
    failed.since === failed.originSince
      ? `writes that failed on one cluster only since ${failed.since}${only}: Origin ${formatCount(failed.originOnly)}, Target ${formatCount(failed.targetOnly)}`
      : `writes that failed on Origin only since ${failed.originSince}: ${formatCount(failed.originOnly)}; on Target only since ${failed.since}${only}: ${formatCount(failed.targetOnly)}`
  const lacks = lackingIn(instances.map(({ status }) => status.state))
  return [
    ...lacks.map((lack) => style.bad(lack)),
    isClean ? style.good(text) : style.bad(text),
    ...(isClean ? [] : renderTableFailures(failed.tables.slice(0, TABLES_SHOWN_MAX))),
    ...failed.gaps.map((gap) => style.bad(`not counted: ${gap}`)),
    ...(reads.length === 0 ? [] : [describeMirroredReads(mirrored, formatCount)]),
  ]
}

const reconciliationLine = ({ state }: InstanceStatus, style: Style): string =>
  state.reconciledAt === null
    ? style.warning(
        'reconciled: not recorded in this attempt (zdm reconciled, after both clusters were compared)',
      )
    : `reconciled: ${state.reconciledAt}`

/** What the phase means; what it does not where the routing has left it. */
const meaningOf = ({ state, isPhaseRouting }: InstanceStatus, style: Style): string => {
  const { writeMode, primary, readMode } = state.routing
  if (writeMode !== 'both') {
    const [to, without] = writeMode === 'origin_only' ? ['Origin', 'Target'] : ['Target', 'Origin']
    return style.bad(
      `Outside the phases: every write goes to ${to} alone (${writeMode}); ${without} lacks them.`,
    )
  }
  if (isPhaseRouting) return PHASE_TABLE[state.phase].meaning
  return style.warning(
    `Outside the phases: in ${state.phase}, but reads come from ${primary} with ${readMode}.`,
  )
}

const rollbackStep = ({ state }: InstanceStatus): string =>
  state.routing.writeMode === 'target_only'
    ? 'zdm plan rollback    why it is refused now: Origin lacks what was written to Target alone'
    : 'zdm rollback         every read back on Origin, at once'

const pendingLines = (instances: readonly Answering[], style: Style): string[] =>
  instances.flatMap(({ name, status: { pending } }) =>
    pending === null
      ? []
      : [
          style.warning(
            `${name}: ${pending.by || 'somebody'} is making a change (${pending.verb}), until ${pending.expiresAt} at most; a rollback takes its place`,
          ),
        ],
  )

const nextSteps = (first: InstanceStatus, isInAgreement: boolean): string[] => {
  if (!isInAgreement) return ['zdm instances        see where they differ', rollbackStep(first)]
  const { state, next } = first
  const onward = next.at(-1)
  if (state.phase === 'rolled-back' && onward !== undefined && onward !== 'migrate') {
    const forgotten = forgottenBy(state, 'migrate') ?? 'a new attempt begins'
    return table([
      [`zdm plan advance ${onward}`, `what ${onward} needs, going on with this attempt`],
      ['zdm plan advance migrate', forgotten],
    ])
  }
  const [following] = next
  return [
    ...(following === undefined ? [] : [`zdm plan advance     what ${following} needs`]),
    rollbackStep(first),
  ]
}

const keptLines = (instances: readonly Answering[], style: Style): string[] => {
  const faults = instances.flatMap(({ name, status: { stateFault } }) =>
    stateFault === null
      ? []
      : [style.bad(`${name} forgets this state with a restart: ${stateFault}`)],
  )
  if (faults.length > 0) return [...faults, style.bad('mend it, then zdm rollback or align again')]
  return instances[0]!.status.isStateKept
    ? []
    : [style.warning('a restart forgets this state: set routing_state_path')]
}

/** What would stop the next change; a state that is not kept has been told already. */
const fileLines = (instances: readonly Answering[], style: Style): string[] =>
  instances.flatMap(({ name, status: { auditFault, stateFault, unwritable } }) => [
    ...(auditFault === null ? [] : [style.bad(`${name}: ${auditFault}`)]),
    // Absent in the answer of an instance that runs an older version.
    ...[stateFault === null ? unwritable?.stateFile : null, unwritable?.auditLog].flatMap((why) =>
      why == null ? [] : [style.bad(`${name} would refuse every change but a rollback: ${why}`)],
    ),
  ])

/** Absent in the answer of an instance that runs an older version. */
const notReadyLines = (instances: readonly Answering[], style: Style): string[] =>
  instances.flatMap(({ name, status: { notReady } }) =>
    (notReady ?? null) === null ? [] : [style.warning(`${name} is not ready: ${notReady}`)],
  )

export const renderStatus = (deployment: DeploymentStatus, style: Style): string[] => {
  const instances = answering(deployment)
  const [first] = instances
  if (first === undefined) {
    return [
      style.bad('No instance can be reached.'),
      ...deployment.instances.map(({ name, error }) => `  ${name}: ${error}`),
    ]
  }
  const { state } = first.status
  const { primary, readMode, writeMode } = state.routing
  const faults = renderChecks(notPassed(deployment.checks), style)
  return [
    renderWay(state.phase, style),
    meaningOf(first.status, style),
    '',
    `reads ${style.bold(primary)}, read mode ${readMode}, writes ${writeMode}; revision ${state.revision}, changed ${state.changedAt} by ${state.changedBy}` +
      (state.reason === '' ? '' : ` (${state.reason})`),
    reconciliationLine(first.status, style),
    ...keptLines(instances, style),
    ...fileLines(instances, style),
    ...pendingLines(instances, style),
    '',
    ...table(instanceRows(deployment, style)),
    ...notReadyLines(instances, style),
    ...(deployment.isInAgreement ? [] : ['', style.bad('The instances do not agree.')]),
    ...(faults.length === 0 ? [] : ['', ...faults]),
    '',
    ...trafficLines(instances, style),
    '',
    ...divergenceLines(instances, style),
    '',
    ...nextSteps(first.status, deployment.isInAgreement),
  ]
}
