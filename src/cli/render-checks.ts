/** Verdicts of checks, plans and the reports of changes, as lines of text. Pure. */
import type {
  ChangeReport,
  CheckResult,
  InstanceOutcome,
  LeaveReport,
  Plan,
  TableFailures,
} from '../control/report.ts'
import { formatCount, formatMs, outcomeMark, type Style, table } from './style.ts'

/** What did not pass comes with what to do about it. */
export const renderChecks = (checks: readonly CheckResult[], style: Style): string[] =>
  checks.flatMap((check) => {
    const where = check.instance === null ? '' : style.dim(`  (${check.instance})`)
    const line = `  ${outcomeMark(check.outcome, style)} ${check.id}: ${check.evidence}${where}`
    const isTold = check.outcome !== 'pass' && check.remedy !== null
    return isTold ? [line, `      → ${check.remedy}`] : [line]
  })

export const notPassed = (checks: readonly CheckResult[]): readonly CheckResult[] =>
  checks.filter(({ outcome }) => outcome !== 'pass')

/**
 * One line a check where all instances say the same of it, else one for each verdict. What passed is told
 * once, whatever each has seen; what did not is told with every reason.
 */
export const groupChecks = (checks: readonly CheckResult[]): readonly CheckResult[] => {
  const groups = new Map<string, CheckResult[]>()
  for (const check of checks) {
    const { id, outcome, evidence, instance } = check
    const why = outcome === 'pass' ? '' : evidence
    const key = JSON.stringify([id, outcome, why, instance === null])
    groups.set(key, [...(groups.get(key) ?? []), check])
  }
  return [...groups.values()].map((group) => {
    const first = group[0]!
    const instances = group.flatMap(({ instance }) => instance ?? [])
    const asked = checks.filter(({ id, instance }) => id === first.id && instance !== null)
    const isAll = instances.length === asked.length && instances.length > 1
    const isAlike = new Set(group.map(({ evidence }) => evidence)).size === 1
    const all = `all ${instances.length} instances${isAlike ? '' : `; this is what ${instances[0]} sees`}`
    return { ...first, instance: isAll ? all : instances.join(', ') || null }
  })
}

const tableName = ({ keyspace, table: name }: TableFailures): string => {
  if (name === '') return '(no table)'
  return keyspace === '' ? name : `${keyspace}.${name}`
}

export const renderTableFailures = (failures: readonly TableFailures[]): string[] =>
  table([
    ['table', 'on Origin only failed', 'on Target only failed', 'on both', 'last'],
    ...failures.map((one) => [
      tableName(one),
      formatCount(one.originOnly),
      formatCount(one.targetOnly),
      formatCount(one.both),
      one.lastAt,
    ]),
  ]).map((line) => `  ${line}`)

/** Null where nothing is known to have failed: doubts and gaps say what may be missing then. */
const originLine = (leave: LeaveReport, style: Style): string | null => {
  const { isOriginComplete, missingOnOrigin, since } = leave
  if (isOriginComplete) return `  Origin has every write that was acknowledged since ${since}.`
  return missingOnOrigin.length === 0
    ? null
    : style.bad(`  Origin may lack writes that have failed there since ${since}:`)
}

const renderLeave = (leave: LeaveReport, style: Style): string[] => [
  '',
  style.bold('To leave'),
  ...[originLine(leave, style) ?? []].flat(),
  ...(leave.missingOnOrigin.length === 0 ? [] : renderTableFailures(leave.missingOnOrigin)),
  ...leave.doubts.map((doubt) => style.bad(`  ${doubt}`)),
  ...leave.gaps.map((gap) => style.bad(`  Not counted: ${gap}`)),
  `  Clients connected: ${formatCount(leave.clientConnections)}`,
  ...leave.steps.map((step, at) => `  ${at + 1}. ${step}`),
]

export const renderPlan = (plan: Plan, style: Style): string[] => {
  const { primary, readMode, writeMode } = plan.routing
  return [
    style.bold(`${plan.verb}: ${plan.from} → ${plan.to}`),
    `  reads ${primary}, read mode ${readMode}, writes ${writeMode}`,
    '',
    ...(plan.steps.length === 0
      ? []
      : [
          style.bold('Steps, if you say so (nothing has been done)'),
          ...plan.steps.map((step, at) => `  ${at + 1}. ${step}`),
          '',
          style.bold('Checks'),
        ]),
    ...renderChecks(groupChecks(plan.checks), style),
    '',
    plan.isAllowed ? style.good(plan.message) : style.bad(plan.message),
    ...(plan.leave === null ? [] : renderLeave(plan.leave, style)),
  ]
}

const outcomeText = ({ outcome, error, quiescence }: InstanceOutcome): string => {
  if (error !== null) return error
  if (quiescence === null) return outcome
  const { inFlight, waitedMs, remaining } = quiescence
  const rest = remaining === 0 ? '' : `, ${formatCount(remaining)} not answered yet`
  return `${outcome}; ${formatCount(inFlight)} requests in flight were answered in ${formatMs(waitedMs)}${rest}`
}

const renderInstances = (instances: readonly InstanceOutcome[]): string[] =>
  table(
    instances.map((one) => [
      one.name,
      one.phase ?? '?',
      one.revision === null ? '?' : `revision ${one.revision}`,
      outcomeText(one),
    ]),
  ).map((line) => `  ${line}`)

export const renderChange = (report: ChangeReport, style: Style): string[] => {
  const isGood = report.outcome === 'done' || report.outcome === 'unchanged'
  const skew =
    report.skewMs === null ? [] : [`  skew between instances: ${formatMs(report.skewMs)}`]
  return [
    isGood ? style.good(report.message) : style.bad(report.message),
    ...(report.checks.length === 0 || (isGood && report.checks.every((c) => c.outcome === 'pass'))
      ? []
      : ['', ...renderChecks(groupChecks(report.checks), style)]),
    ...(report.instances.length === 0 ? [] : ['', ...renderInstances(report.instances)]),
    ...skew,
    ...(report.finish === null ? [] : ['', `To finish:  ${style.bold(report.finish)}`]),
    ...(report.revert === null ? [] : [`To revert:  ${style.bold(report.revert)}`]),
    ...(report.leave === null ? [] : renderLeave(report.leave, style)),
  ]
}
