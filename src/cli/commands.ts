/**
 * What each command does: asks the admin API, writes what it said, gives the exit status. The commands,
 * their options and their help are program.ts; how answers look is render-*.ts.
 */
import type { HttpInstanceClient } from '../admin/instance-client.ts'
import { ControlError, ControlErrorCode } from '../control/errors.ts'
import type { Phase, Routing } from '../control/phase.ts'
import type {
  AuditEntry,
  ChangeReport,
  CheckReport,
  ClientCloseReport,
  ClientReport,
  ClientSelection,
  ConfigEntry,
  DeploymentStatus,
  InstanceStatus,
  LogLevelReport,
  MismatchReport,
  Plan,
} from '../control/report.ts'
import { nextPhase } from '../control/transitions.ts'
import { CliError, ExitCode } from './exit.ts'
import { renderAudit } from './render-audit.ts'
import { notPassed, renderChange, renderChecks, renderPlan } from './render-checks.ts'
import { isCloseReport, renderClients, renderClosed } from './render-clients.ts'
import { hasFaults, renderFeasibility } from './render-feasibility.ts'
import { renderMismatches } from './render-mismatches.ts'
import { renderStatus } from './render-status.ts'
import { type Style, table } from './style.ts'

export type Session = {
  readonly client: HttpInstanceClient
  readonly style: Style
  readonly isJson: boolean
  write(text: string): void
}

/** Who wants a change, and why. */
export type Requester = { readonly by: string; readonly reason: string; readonly force: boolean }

const show = (session: Session, answer: unknown, render: () => readonly string[]): void => {
  const text = session.isJson ? JSON.stringify(answer, null, 2) : render().join('\n')
  session.write(`${text}\n`)
}

export const status = async (session: Session): Promise<ExitCode> => {
  const deployment = await session.client.ask<DeploymentStatus>('GET', '/v1/deployment')
  show(session, deployment, () => renderStatus(deployment, session.style))
  return deployment.instances.every(isSound) ? exitOfDeployment(deployment) : ExitCode.FAILED
}

/** It serves clients, what it has changed outlives a restart and is recorded, and the next change can be. */
const isSound = ({ status: one }: DeploymentStatus['instances'][number]): boolean =>
  one !== null &&
  [one.notReady, one.stateFault, one.auditFault, ...Object.values(one.unwritable ?? {})].every(
    // Absent in the answer of an instance that runs an older version.
    (fault) => fault == null,
  )

/** A deployment that cannot go on as it is, is no success: pipelines ask for it. */
const exitOfDeployment = ({ isInAgreement, checks }: DeploymentStatus): ExitCode =>
  isInAgreement && checks.every(({ outcome }) => outcome !== 'fail') ? ExitCode.OK : ExitCode.FAILED

export const plan = async (
  session: Session,
  verb: 'advance' | 'rollback',
  to: Phase | undefined,
): Promise<ExitCode> => {
  const query = new URLSearchParams({ verb, ...(to && { to }) })
  const answer = await session.client.ask<Plan>('GET', `/v1/plan?${query}`)
  show(session, answer, () => renderPlan(answer, session.style))
  return answer.isAllowed ? ExitCode.OK : ExitCode.REFUSED
}

const exitOf = ({ outcome }: ChangeReport): ExitCode => {
  switch (outcome) {
    case 'done':
    case 'unchanged':
      return ExitCode.OK
    case 'refused':
      return ExitCode.REFUSED
    case 'partial':
      return ExitCode.PARTIAL
  }
}

const isChangeReport = (answer: unknown): answer is ChangeReport =>
  typeof answer === 'object' && answer !== null && 'outcome' in answer && 'instances' in answer

/** A refused or partial change is an answer too, with another status. */
const change = async (
  session: Session,
  method: 'POST' | 'PUT',
  path: string,
  body: object,
): Promise<ExitCode> => {
  const { content, status: httpStatus } = await session.client.exchange(method, path, body)
  if (!isChangeReport(content)) throw session.client.problem(httpStatus, content)
  show(session, content, () => renderChange(content, session.style))
  return exitOf(content)
}

const currentStatus = (session: Session): Promise<InstanceStatus> =>
  session.client.ask<InstanceStatus>('GET', '/v1/status')

/**
 * Without a phase: the one that follows now. What is asked for is always an end, never a direction; whoever
 * repeats it, not knowing that it is done, must not get to the point of no return.
 */
export const advance = async (
  session: Session,
  { to, from }: { readonly to: Phase | undefined; readonly from: Phase | undefined },
  requester: Requester,
): Promise<ExitCode> => {
  if (to !== undefined) return change(session, 'POST', '/v1/advance', { to, from, ...requester })
  const { state } = await currentStatus(session)
  const following = nextPhase(state)
  if (following === 'cut-over') {
    throw new CliError(
      ExitCode.REFUSED,
      'cut-over follows: clients move to Target, and the first write there is the point of no return. Name it: zdm advance cut-over',
    )
  }
  const body = { to: following, from: from ?? state.phase, ...requester }
  return change(session, 'POST', '/v1/advance', body)
}

export const rollback = (
  session: Session,
  leave: boolean,
  requester: Requester,
): Promise<ExitCode> => change(session, 'POST', '/v1/rollback', { leave, ...requester })

export const align = (session: Session, like: string, requester: Requester): Promise<ExitCode> =>
  change(session, 'POST', '/v1/align', { like, ...requester })

/** The routing as it is, but for one thing. */
export const setRouting = async (
  session: Session,
  wanted: Partial<Routing>,
  requester: Requester,
): Promise<ExitCode> => {
  const { state } = await currentStatus(session)
  const routing = { ...state.routing, ...wanted }
  return change(session, 'PUT', '/v1/routing', { routing, ...requester })
}

/** What the instances refuse is no failure of theirs. */
const asRefusal = (error: unknown): never => {
  const isRefusal =
    error instanceof ControlError && error.code === ControlErrorCode.RECONCILIATION_REFUSED
  throw isRefusal ? new CliError(ExitCode.REFUSED, error.message) : error
}

/** What an operator says of a comparison: that it begins now, or that it is over. */
export type ComparisonOptions = {
  readonly begin?: boolean
  readonly into?: 'origin' | 'target'
  /** A time, or `now`; null where the beginning was recorded. */
  readonly since?: string
}

export const reconciled = async (
  session: Session,
  { begin = false, into = 'target', since }: ComparisonOptions,
  { by, reason }: Requester,
): Promise<ExitCode> => {
  const step = begin ? { step: 'begin' } : { step: 'done', into, since: since ?? null }
  const answer = await session.client
    .ask<{
      reconciledAt: string | null
      comparisonBegunAt: string | null
      instances: string[]
    }>('POST', '/v1/reconciliations', { ...step, by, reason })
    .catch(asRefusal)
  const who = answer.instances.join(', ')
  const command = into === 'target' ? 'zdm reconciled' : 'zdm reconciled --into origin'
  show(session, answer, () => [
    begin
      ? `Noted by ${who}: the comparison begins at ${answer.comparisonBegunAt}. When it is over and corrected: ${command}`
      : into === 'target'
        ? `Recorded by ${who}: Target has what Origin had at ${answer.reconciledAt}. What failed on Target since is counted still.`
        : `Recorded by ${who}: Origin has what Target had when the comparison began. What failed on Origin since is counted still.`,
  ])
  return ExitCode.OK
}

export const instances = async (session: Session): Promise<ExitCode> => {
  const deployment = await session.client.ask<DeploymentStatus>('GET', '/v1/deployment')
  const { style } = session
  show(session, deployment, () => [
    ...table([
      ['instance', 'index', 'version', 'started', 'phase', 'revision', 'client port'].map(
        style.dim,
      ),
      ...deployment.instances.map(({ name, status: one, error }) =>
        one === null
          ? [name, style.bad(error ?? 'unreachable')]
          : [
              name,
              String(one.index),
              one.version,
              one.startedAt,
              one.state.phase,
              String(one.state.revision),
              String(one.clientPort ?? '–'),
            ],
      ),
    ]),
    deployment.isInAgreement ? style.good('They agree.') : style.bad('They do not agree.'),
    ...renderChecks(notPassed(deployment.checks), style),
  ])
  return exitOfDeployment(deployment)
}

/** An instance asks both clusters for up to half a minute, whatever --timeout says of its own answers. */
const CHECK_TIMEOUT_MS = 35_000

/** `keyspaces`: none named: all. */
export const check = async (
  session: Session,
  keyspaces: readonly string[],
  scope: 'instance' | 'deployment',
): Promise<ExitCode> => {
  const query = new URLSearchParams([
    ['scope', scope],
    ...keyspaces.map((keyspace) => ['keyspace', keyspace]),
  ])
  const path = `/v1/check?${query}`
  const report = await session.client.ask<CheckReport>('GET', path, undefined, CHECK_TIMEOUT_MS)
  show(session, report, () => renderFeasibility(report, session.style))
  if (report.isFeasible) return ExitCode.OK
  return hasFaults(report) ? ExitCode.REFUSED : ExitCode.FAILED
}

export const logLevel = async (
  session: Session,
  level: string | undefined,
  component: string | null,
  { by, reason }: Requester,
): Promise<ExitCode> => {
  const { client } = session
  if (level === undefined && component !== null) {
    throw new CliError(
      ExitCode.USAGE,
      '--component needs a level: zdm log-level debug --component …',
    )
  }
  const answer =
    level === undefined
      ? await client.ask<LogLevelReport>('GET', '/v1/log-level')
      : await client.ask<LogLevelReport>('PUT', '/v1/log-level', { level, component, by, reason })
  show(session, answer, () => {
    const own = Object.entries(answer.components).map(([name, its]) => `${name} ${its}`)
    return [`${client.name}: ${[answer.level, ...own].join(', ')}`]
  })
  return ExitCode.OK
}

export const audit = async (session: Session, limit: number): Promise<ExitCode> => {
  const entries = await session.client.ask<AuditEntry[]>('GET', `/v1/audit?limit=${limit}`)
  show(session, entries, () => renderAudit(entries, session.style))
  return ExitCode.OK
}

export const mismatches = async (session: Session, limit: number): Promise<ExitCode> => {
  const path = `/v1/mismatches?limit=${limit}`
  const report = await session.client.ask<MismatchReport>('GET', path)
  show(session, report, () => renderMismatches(report, session.style))
  return ExitCode.OK
}

export const clients = async (
  session: Session,
  scope: 'instance' | 'deployment',
): Promise<ExitCode> => {
  const report = await session.client.ask<ClientReport>('GET', `/v1/clients?scope=${scope}`)
  show(session, report, () => renderClients(report, session.style))
  return report.instances.every(({ error }) => error === null) ? ExitCode.OK : ExitCode.FAILED
}

const exitOfClose = ({ instances: all }: ClientCloseReport): ExitCode => {
  const failed = all.filter(({ error }) => error !== null)
  if (failed.length === 0) return ExitCode.OK
  return failed.length === all.length ? ExitCode.FAILED : ExitCode.PARTIAL
}

export const closeClients = async (
  session: Session,
  selection: ClientSelection,
  scope: 'instance' | 'deployment',
  { by, reason }: Requester,
): Promise<ExitCode> => {
  const body = { ...selection, by, reason, scope }
  const { client } = session
  const { status: httpStatus, content } = await client.exchange('POST', '/v1/clients/close', body)
  if (!isCloseReport(content)) throw client.problem(httpStatus, content)
  show(session, content, () => renderClosed(content, selection, session.style))
  return exitOfClose(content)
}

export const drain = async (session: Session, requester: Requester): Promise<ExitCode> => {
  const { client } = session
  const answer = await client.ask<{ instance: string }>('POST', '/v1/drain', requester)
  show(session, answer, () => [
    `${answer.instance} is leaving: its clients are told, and closed when nothing is on its way; then the process ends with 0.`,
    'Whoever watches over it may start it again: Kubernetes does, systemd with Restart=on-failure does not.',
  ])
  return ExitCode.OK
}

export const config = async (session: Session): Promise<ExitCode> => {
  const entries = await session.client.ask<ConfigEntry[]>('GET', '/v1/config')
  show(session, entries, () =>
    table(
      entries.map(({ key, value, source, path }) => [
        key,
        typeof value === 'object' ? value.join(',') : String(value),
        source === 'default' ? session.style.dim(source) : [source, path ?? []].flat().join(' '),
      ]),
    ),
  )
  return ExitCode.OK
}
