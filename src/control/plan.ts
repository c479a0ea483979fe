/** What a change of the deployment would do, step by step, and every check beforehand. Changes nothing. */
import type { Clock } from '../clock.ts'
import { plural } from '../plural.ts'
import { evidenceOf, hasFailed, runChecks } from './checks.ts'
import { type InstanceClient, lookDeadline } from './coordinate.ts'
import { leaveReport, type Seen, statusesOf } from './deployment.ts'
import { ControlError, ControlErrorCode } from './errors.ts'
import { lookInTime } from './look.ts'
import type { MigrationState } from './migration-state.ts'
import type { ClusterWord, Phase, Routing } from './phase.ts'
import { forgottenBy } from './reconciliation.ts'
import type { AlignedState, InstanceStatus, Plan } from './report.ts'
import { nextState, resultOf } from './transitions.ts'
import { deploymentChecks, transitionFor, type Wish } from './wish.ts'

/** What a wish would do, and every check of every instance. Changes nothing. Throws NO_SUCH_WAY. */
export const planChange = async (
  clients: readonly InstanceClient[],
  wish: Wish,
  clock: Clock,
): Promise<Plan> => {
  const looks = await lookInTime(clients, lookDeadline(wish), clock)
  const seen = looks.map(({ value }) => value)
  const transition = transitionFor(wish, seen)
  const all = statusesOf(seen)
  const results = all.map(({ state }) => resultOf(state, transition))
  const refused = results.find((result) => result.kind === 'refused')
  const [first] = all
  if (first === undefined || refused !== undefined) {
    const message = refused?.message ?? 'no instance can be reached'
    throw new ControlError(ControlErrorCode.NO_SUCH_WAY, message)
  }
  const nowMs = clock.wallMs()
  const checks = [
    ...deploymentChecks(wish, seen),
    ...all.flatMap((status, i) => {
      const result = results[i]!
      if (result.kind !== 'change') return []
      const evidence = evidenceOf(status, nowMs)
      const { state, name } = status
      const { revision, changedBy, reason } = state
      const changedAt = new Date(nowMs).toISOString()
      const stamp = { revision, changedAt, changedBy, reason }
      const to = nextState(state, transition, result, stamp)
      return runChecks(result.checks, evidence, state, to, name)
    }),
  ]
  const change = results.find((result) => result.kind === 'change')
  const to = change?.to ?? first.state
  const pending = all.find((status) => status.pending !== null)
  const isAllowed = !hasFailed(checks) && pending === undefined
  return {
    verb: wish.verb,
    from: first.state.phase,
    to: to.phase,
    routing: to.routing,
    isAllowed,
    message: planMessage(change !== undefined, isAllowed, to.phase, pending),
    steps: change === undefined ? [] : stepsOf(seen, first.state, wish, to),
    checks,
    leave: wish.verb === 'rollback' && wish.leave ? leaveReport(seen) : null,
  }
}

const planMessage = (
  isChange: boolean,
  isAllowed: boolean,
  to: Phase,
  pending: InstanceStatus | undefined,
): string => {
  if (pending?.pending != null) {
    const { verb, by, expiresAt } = pending.pending
    return `would be refused: ${by || 'somebody'} is making a change (${verb}) on ${pending.name}; it is done, or forgotten, by ${expiresAt}`
  }
  if (!isChange) return `already in ${to}, everywhere`
  return isAllowed ? 'would be done' : 'would be refused: see the checks that failed'
}

const NAMES: Readonly<Record<ClusterWord, string>> = { ORIGIN: 'Origin', TARGET: 'Target' }

/** What a change means for reads and writes, in words. */
const describeRoutingChange = (from: Routing, to: Routing): string => {
  const other = to.primary === 'ORIGIN' ? 'Target' : 'Origin'
  const isCopied = to.readMode === 'DUAL_ASYNC_ON_SECONDARY'
  const wasCopied = from.readMode === 'DUAL_ASYNC_ON_SECONDARY'
  const reads =
    from.primary === to.primary
      ? `reads stay on ${NAMES[to.primary]}`
      : `reads go ${NAMES[from.primary]} → ${NAMES[to.primary]}`
  const copies = isCopied
    ? `are copied to ${other}${wasCopied ? ' still' : ''}`
    : `are ${wasCopied ? 'no longer' : 'not'} copied`
  const writes =
    from.writeMode === to.writeMode
      ? `writes stay as they are (${to.writeMode})`
      : `writes go ${from.writeMode} → ${to.writeMode}`
  return `${reads} and ${copies}; ${writes}`
}

const stepsOf = (
  seen: readonly Seen[],
  from: MigrationState,
  wish: Wish,
  to: AlignedState,
): readonly string[] => {
  const all = statusesOf(seen)
  const lost = seen.filter(({ status }) => status === null).map(({ name }) => name)
  const revisions = all.map(({ state }) => state.revision)
  const without = lost.length === 0 ? '' : `; without ${lost.join(', ')}`
  const forgotten = wish.verb === 'advance' ? forgottenBy(from, wish.to) : null
  const count = plural(all.length, 'instance')
  return [
    `prepare on ${count} at revision ${[...new Set(revisions)].join(' and ')}: the checks below, and the new state written beside the old${without}`,
    `commit on ${all.length === 1 ? 'it' : `all ${all.length}`} at revision ${Math.max(...revisions) + 1}: ${describeRoutingChange(from.routing, to.routing)}; connections stay`,
    'wait until every request that was routed before has been answered',
    ...(forgotten === null ? [] : [forgotten]),
  ]
}
