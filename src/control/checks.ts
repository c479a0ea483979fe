/**
 * What is looked at before a change: evidence → a result for each check, with what was seen and what to
 * do. Pure; the evidence is gathered by the instance (proxy/migration-control.ts) and, of the deployment, by deployment.ts.
 */
import { plural } from '../plural.ts'
import { describeMirroredReads } from './async-read-window.ts'
import { hasPhaseRouting, type MigrationState } from './migration-state.ts'
import { type EntryCheck, isSameRouting, PHASE_TABLE, type Routing } from './phase.ts'
import {
  bringInto,
  DIRECT_WRITES_REMEDY,
  originIsLacking,
  targetIsLacking,
  unknownSince,
} from './reconciliation.ts'
import type {
  AsyncReadEvidence,
  CertificateEvidence,
  CheckResult,
  ClusterStatus,
  FailedWrites,
  InstanceStatus,
  Serving,
  Unwritable,
} from './report.ts'

/** Of a mirrored read: more than this share failed, or differed, within the window. */
const ASYNC_ERROR_SHARE_MAX = 0.001
/** Fewer reads say nothing. */
const ASYNC_READS_MIN = 100
const CERTIFICATE_DAYS_MIN = 14
const MS_PER_DAY = 24 * 60 * 60 * 1000

/** What one instance knows when it is asked. */
export type Evidence = {
  readonly nowMs: number
  readonly serving: Serving
  readonly clusters: { readonly origin: ClusterStatus; readonly target: ClusterStatus }
  readonly isStateKept: boolean
  /** Why it is not, although it should be. */
  readonly stateFault: string | null
  /** Why the latest entries are not in the audit log's file. */
  readonly auditFault: string | null
  readonly unwritable: Unwritable
  /** What the settings say: where the instance is after a restart without a state file. */
  readonly settingsRouting: Routing
  readonly failedWrites: FailedWrites
  /** Null where reads are not mirrored. */
  readonly asyncReads: AsyncReadEvidence | null
  readonly certificates: readonly CertificateEvidence[]
  readonly clientConnections: number
}

/** What is seen, and null or what is wrong and what to do. */
type Finding = {
  readonly evidence: string
  readonly remedy: string | null
  /** Told and recorded, whatever the phase's table says: nobody can tell. */
  readonly isWarning?: true
}
type Check = (evidence: Evidence, from: MigrationState, to: MigrationState) => Finding

const pass = (evidence: string): Finding => ({ evidence, remedy: null })
const fault = (evidence: string, remedy: string): Finding => ({ evidence, remedy })
const warning = (evidence: string, remedy: string): Finding => ({
  evidence,
  remedy,
  isWarning: true,
})

/** Of counts that nobody can complete. */
const mayLack = (gaps: readonly string[]): string =>
  gaps.length === 0 ? '' : `; this may lack ${gaps.join('; ')}`

const serving: Check = ({ serving: state }) =>
  state === 'running'
    ? pass('the instance serves clients')
    : fault(
        `the instance is ${state}`,
        state === 'stuck'
          ? 'a thread of it does not answer: restart it if it stays so'
          : 'wait until it runs, or take it out of the deployment',
      )

const downText = ({ endpoint, failures }: ClusterStatus): string =>
  endpoint === null ? 'never reached' : plural(failures, 'failure')

const controlConnections: Check = ({ clusters }) => {
  const down = (['origin', 'target'] as const).filter((name) => !clusters[name].isUp)
  const seen = (['origin', 'target'] as const)
    .map((name) => `${name} ${clusters[name].endpoint ?? 'never reached'}`)
    .join(', ')
  if (down.length === 0) return pass(`both are up: ${seen}`)
  const failures = down.map((name) => `${name} (${downText(clusters[name])})`).join(', ')
  return fault(
    `down: ${failures}`,
    'see the log for UPSTREAM and CONTROL lines; mend the cluster first',
  )
}

const stateKept: Check = (evidence, _from, to) => {
  const { isStateKept, stateFault, settingsRouting, unwritable } = evidence
  if (stateFault !== null) {
    return fault(
      `a restart would forget the state in effect: ${stateFault}`,
      'mend it, then zdm rollback or zdm align again, which writes it',
    )
  }
  if (unwritable.stateFile !== null) {
    return fault(
      'a restart would undo this change: see files-writable',
      'mend the state file first',
    )
  }
  if (isStateKept) return pass('routing_state_path is set')
  if (isSameRouting(settingsRouting, to.routing)) return pass('the settings say the same')
  return fault(
    `after a restart this instance would serve reads from ${settingsRouting.primary} with ${settingsRouting.readMode} again, while the others do not`,
    'set routing_state_path and restart this instance',
  )
}

/** What can be told without writing; what went wrong last may be mended by now, so that it only warns. */
const filesWritable: Check = ({ unwritable, stateFault, auditFault }) => {
  const now = [unwritable.stateFile ?? [], unwritable.auditLog ?? []].flat()
  if (now.length > 0) {
    return fault(now.join('; '), 'mend it: a change is refused where it cannot be written down')
  }
  const last = [stateFault ?? [], auditFault ?? []].flat()
  if (last.length > 0) {
    return warning(`when it was tried last: ${last.join('; ')}`, 'see that it is mended')
  }
  return pass('the state file and the audit log can be written, where they are set')
}

const failedWrites: Check = ({ failedWrites: failed }) => {
  const { since, originSince, originOnly, targetOnly, tables, gaps } = failed
  if (originOnly + targetOnly === 0) {
    const none = `none on one cluster only since ${since}`
    if (gaps.length === 0) return pass(none)
    return warning(
      `${none}${mayLack(gaps)}`,
      `if a cluster was in trouble then: ${bringInto('target')}`,
    )
  }
  const worst = tables
    .filter((table) => table.originOnly + table.targetOnly > 0)
    .slice(0, 5)
    .map(({ keyspace, table }) => `${keyspace}.${table}`)
    .join(', ')
  return fault(
    `${plural(originOnly, 'write')} failed on Origin only since ${originSince} and ${targetOnly} on Target only since ${since}, in ${worst || 'unknown tables'}${mayLack(gaps)}`,
    [
      ...(targetOnly > 0 ? [bringInto('target')] : []),
      ...(originOnly > 0 ? [bringInto('origin')] : []),
    ].join('; '),
  )
}

const reconciled: Check = (_, { reconciledAt }, { targetLacks }) => {
  if (targetLacks !== null) return fault(targetIsLacking(targetLacks), bringInto('target'))
  return reconciledAt === null
    ? fault(
        'no reconciliation has been recorded in this attempt: nothing says that Target has the existing data',
        `copy the data first. ${bringInto('target')}`,
      )
    : pass(`Target has what Origin had at ${reconciledAt}, as recorded`)
}

/** Now, or before the rollback of this attempt. */
const hasServedReads = ({ phase, rolledBackFrom }: MigrationState): boolean =>
  [phase, rolledBackFrom].some((one) => one === 'target-reads' || one === 'cut-over')

/** What is seen comes first; that Target has served reads stands in only where nothing is. */
const asyncReads: Check = ({ asyncReads: seen }, from) => {
  const text =
    seen === null
      ? null
      : `in the last ${Math.round(seen.windowSeconds)} s: ${describeMirroredReads(seen)}`
  if (seen !== null && text !== null) {
    const { reads, errors, compared, mismatches } = seen
    if (errors > reads * ASYNC_ERROR_SHARE_MAX || mismatches > compared * ASYNC_ERROR_SHARE_MAX) {
      return fault(text, 'find out why (see zdm_async_* metrics), or go back to validation')
    }
    if (reads >= ASYNC_READS_MIN) {
      if (compared > 0) return pass(text)
      return warning(
        text,
        'that both clusters answer the same is known from your validation alone; compare_async_reads: true looks at it under production load',
      )
    }
  }
  if (hasServedReads(from)) return pass('Target has served production reads in this attempt')
  if (seen === null || text === null || seen.reads === 0) {
    return fault(
      `no read has been mirrored yet${text === null ? '' : ` (${text})`}`,
      'be in dual-read under production load first; where clients read, see async_reads_sample_percent and zdm_async_reads_dropped_total',
    )
  }
  return fault(
    `${text}: too few to tell whether Target carries the load`,
    'stay in dual-read under production load for longer',
  )
}

const certificates: Check = ({ certificates: all, nowMs }) => {
  const soon = all.filter(
    ({ expiresAt }) => Date.parse(expiresAt) - nowMs < CERTIFICATE_DAYS_MIN * MS_PER_DAY,
  )
  if (soon.length === 0) return pass(`${plural(all.length, 'certificate')} looked at`)
  const text = soon.map(({ name, expiresAt }) => `${name} expires ${expiresAt}`).join(', ')
  return fault(text, 'renew them before going on')
}

const clients: Check = ({ clientConnections }, _from, to) => {
  const text = `${plural(clientConnections, 'client connection')} to this instance`
  if (to.phase === 'cut-over') {
    if (clientConnections === 0) return pass(text)
    return fault(
      text,
      'expected at first: move the clients to Target one by one; remove the proxies when none is left',
    )
  }
  if (clientConnections > 0) return pass(text)
  return fault(
    text,
    'see that the clients use the proxy: what they write to Origin alone is missing on Target',
  )
}

const dualReadSkipped: Check = (_, from) => {
  return from.phase === 'dual-read' || hasServedReads(from)
    ? pass('Target has had the reads before')
    : fault('Target has had no production reads in this attempt', 'advance to dual-read first')
}

const originComplete: Check = ({ failedWrites: failed }, _from, { originLacks, cutOverAt }) => {
  if (originLacks !== null) {
    return fault(
      `${originIsLacking(originLacks)}: reads from it would show old data`,
      `${bringInto('origin')}; force the rollback if old data is better than none`,
    )
  }
  if (cutOverAt !== null) return warning(unknownSince(cutOverAt), DIRECT_WRITES_REMEDY)
  const { originOnly, originSince, tables, originGaps } = failed
  const gaps = mayLack(originGaps)
  if (originOnly === 0) return pass(`no write failed on Origin only since ${originSince}${gaps}`)
  const where = tables
    .filter((table) => table.originOnly > 0)
    .map((t) => `${t.keyspace}.${t.table}`)
  // Never a reason to hold a rollback up.
  return pass(
    `Origin lacks up to ${plural(originOnly, 'write')} since ${originSince}, in ${where.slice(0, 5).join(', ')}${gaps}: copy them back`,
  )
}

const phaseRouting: Check = (_, from, to) => {
  const { routing } = PHASE_TABLE[from.phase]
  const { primary, readMode } = to.routing
  if (primary === routing.primary && readMode === routing.readMode) {
    return pass(`reads as ${from.phase} has them`)
  }
  const now = hasPhaseRouting(from) ? '' : ' (it is outside already)'
  return fault(
    `reads from ${primary} with ${readMode} are not those of ${from.phase}${now}`,
    'use advance or rollback, whose checks protect the data',
  )
}

/** Reads come from a cluster that has every write, and the other one gets every write too. */
const safetyNet: Check = (_, { routing: before }, { routing, originLacks, targetLacks }) => {
  const { primary, writeMode } = routing
  if (writeMode !== 'both') {
    const other = writeMode === 'origin_only' ? 'Target' : 'Origin'
    return fault(
      `with ${writeMode} ${other} misses every write from now on: going there later needs a new copy`,
      'only for leaving; force it with the reason',
    )
  }
  if (primary === 'ORIGIN' && originLacks !== null) {
    return fault(
      `reads would come from Origin: ${originIsLacking(originLacks)}`,
      bringInto('origin'),
    )
  }
  if (primary === 'TARGET' && targetLacks !== null) {
    return fault(
      `reads would come from Target: ${targetIsLacking(targetLacks)}`,
      bringInto('target'),
    )
  }
  if (before.writeMode === 'both') return pass('writes go to both clusters')
  const other = before.writeMode === 'origin_only' ? 'target' : 'origin'
  return warning(
    `writes went to one cluster (${before.writeMode}): the other lacks them, and dual writes do not bring them back`,
    bringInto(other),
  )
}

const LOCAL_CHECKS = {
  serving,
  'control-connections': controlConnections,
  'state-kept': stateKept,
  'files-writable': filesWritable,
  'failed-writes': failedWrites,
  reconciled,
  'async-reads': asyncReads,
  certificates,
  clients,
  'dual-read-skipped': dualReadSkipped,
  'origin-complete': originComplete,
  'phase-routing': phaseRouting,
  'safety-net': safetyNet,
} as const satisfies Partial<Record<EntryCheck['id'], Check>>

/** The checks of one instance; those of the deployment are left to coordinate.ts. */
export const runChecks = (
  checks: readonly EntryCheck[],
  evidence: Evidence,
  from: MigrationState,
  to: MigrationState,
  instance: string,
): readonly CheckResult[] => {
  const known = new Map<string, Check>(Object.entries(LOCAL_CHECKS))
  return checks.flatMap(({ id, severity }) => {
    const check = known.get(id)
    if (check === undefined) return []
    const finding = check(evidence, from, to)
    const { evidence: seen, remedy, isWarning } = finding
    const isFatal = severity === 'refuse' && isWarning !== true
    const outcome = remedy === null ? 'pass' : isFatal ? 'fail' : 'warn'
    return [{ id, outcome, evidence: seen, remedy, instance }]
  })
}

const NOTHING_UNWRITABLE: Unwritable = { stateFile: null, auditLog: null }

/** What an instance tells of itself, as the checks look at it. */
export const evidenceOf = (status: InstanceStatus, nowMs: number): Evidence => ({
  nowMs,
  serving: status.serving,
  clusters: status.clusters,
  isStateKept: status.isStateKept,
  stateFault: status.stateFault,
  auditFault: status.auditFault,
  // Absent in the answer of an instance that runs an older version.
  unwritable: status.unwritable ?? NOTHING_UNWRITABLE,
  settingsRouting: status.settingsRouting,
  failedWrites: status.failedWrites,
  asyncReads: status.asyncReads,
  certificates: status.certificates,
  clientConnections: status.traffic?.clientConnections ?? 0,
})

export const hasFailed = (checks: readonly CheckResult[]): boolean =>
  checks.some(({ outcome }) => outcome === 'fail')
