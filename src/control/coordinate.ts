/**
 * Every instance of a deployment changed as one: look at all, prepare on all, commit on all. Pure but for
 * the clients that it is given; used by the admin API and, with clients of its own, by the command line.
 *
 *   status of all ──checks──► prepare on each ──all ready──► commit on each ──► done
 *                    │             └── one refuses: abort all ──► refused
 *                    └── one fails ──► refused              one commit fails ──► partial
 */
import type { Clock } from '../clock.ts'
import { messageOf } from '../message-of.ts'
import { evidenceOf, hasFailed, runChecks } from './checks.ts'
import { agree, checkDeployment, leaveReport, type Seen, statusesOf } from './deployment.ts'
import { ControlError, ControlErrorCode } from './errors.ts'
import {
  DEPLOYMENT_CHECKS,
  DEPLOYMENT_CHECKS_BACK,
  PHASE_TABLE,
  type Phase,
  phaseRank,
  type Routing,
} from './phase.ts'
import type {
  ChangeReport,
  CheckReport,
  CheckResult,
  CommittedChange,
  ConfigEntry,
  DeploymentStatus,
  InstanceOutcome,
  InstanceStatus,
  Plan,
  PreparedChange,
  PrepareRequest,
  Requester,
  Transition,
} from './report.ts'
import { resultOf } from './transitions.ts'

/** One instance's admin API, or the instance itself. Everything may reject. */
export interface InstanceClient {
  readonly name: string
  status(): Promise<InstanceStatus>
  config(): Promise<readonly ConfigEntry[]>
  prepare(request: PrepareRequest): Promise<PreparedChange>
  commit(id: string): Promise<CommittedChange>
  abort(id: string): Promise<void>
  /** Looks at both clusters from where it is, schemas left out. */
  check(): Promise<CheckReport>
  /** Records a reconciliation that happened at this time. */
  reconciled(at: string, requester: Omit<Requester, 'force'>): Promise<void>
}

/** What an operator may want of a deployment. */
export type Wish =
  | { readonly verb: 'advance'; readonly to: Phase }
  | { readonly verb: 'rollback'; readonly leave: boolean }
  | { readonly verb: 'route'; readonly routing: Routing }
  /** `like`: the name of the instance that is right. */
  | { readonly verb: 'align'; readonly like: string }

const look = async (client: InstanceClient): Promise<Seen> => {
  const { name } = client
  try {
    const [status, config] = await Promise.all([client.status(), client.config()])
    return { name, status, error: null, config }
  } catch (error) {
    return { name, status: null, error: messageOf(error), config: null }
  }
}

export const lookAtAll = (clients: readonly InstanceClient[]): Promise<readonly Seen[]> =>
  Promise.all(clients.map(look))

export const deploymentStatus = async (
  clients: readonly InstanceClient[],
): Promise<DeploymentStatus> => {
  const seen = await lookAtAll(clients)
  const isInAgreement = agree(seen) && seen.every(({ status }) => status !== null)
  const instances = seen.map(({ name, status, error }) => ({ name, status, error }))
  return { isInAgreement, checks: checkDeployment(DEPLOYMENT_CHECKS, seen), instances }
}

/** Throws NO_SUCH_WAY where `align` names an instance that cannot be seen. */
const transitionFor = (wish: Wish, seen: readonly Seen[]): Transition => {
  switch (wish.verb) {
    case 'advance':
    case 'route':
      return wish
    case 'rollback': {
      const phases = statusesOf(seen).map(({ state }) => state.phase)
      const furthest = phases.sort((a, b) => phaseRank(b) - phaseRank(a))[0]
      return furthest === undefined || furthest === 'rolled-back'
        ? { verb: 'rollback' }
        : { verb: 'rollback', from: furthest }
    }
    case 'align': {
      const model = seen.find(({ name }) => name === wish.like)
      if (model?.status == null) {
        const names = seen.map(({ name }) => name).join(', ')
        throw new ControlError(
          ControlErrorCode.NO_SUCH_WAY,
          `align: ${wish.like} is ${model === undefined ? `no instance of the deployment (${names})` : `not to be reached: ${model.error}`}`,
        )
      }
      const { phase, rolledBackFrom, routing } = model.status.state
      return { verb: 'align', state: { phase, rolledBackFrom, routing } }
    }
  }
}

const deploymentChecks = (wish: Wish, seen: readonly Seen[]): readonly CheckResult[] => {
  const goesForward = wish.verb === 'advance' || wish.verb === 'route'
  // Of a phase's own checks, those that no instance can tell alone.
  const ofPhase = wish.verb === 'advance' ? PHASE_TABLE[wish.to].entryChecks : []
  const ofAll = goesForward ? DEPLOYMENT_CHECKS : DEPLOYMENT_CHECKS_BACK
  return checkDeployment([...ofAll, ...ofPhase], seen)
}

/**
 * What the instance that is asked finds, and what the others see from where they are: each has its own files,
 * secrets and ways to the clusters. Rejects only as `own` does.
 */
export const checkEverywhere = async (
  own: Promise<CheckReport>,
  others: readonly InstanceClient[],
): Promise<CheckReport> => {
  const [mine, ...results] = await Promise.all([
    own,
    ...others.map(async (client): Promise<Pick<CheckReport, 'isFeasible' | 'instances'>> => {
      try {
        return await client.check()
      } catch (error) {
        const instances = [{ name: client.name, rows: [], error: messageOf(error) }]
        return { isFeasible: false, instances }
      }
    }),
  ])
  const all = [mine, ...results]
  return {
    ...mine,
    isFeasible: all.every(({ isFeasible }) => isFeasible),
    instances: all.flatMap(({ instances }) => instances),
  }
}

/** What a wish would do, and every check of every instance. Changes nothing. Throws NO_SUCH_WAY. */
export const planChange = async (
  clients: readonly InstanceClient[],
  wish: Wish,
  nowMs: number,
): Promise<Plan> => {
  const seen = await lookAtAll(clients)
  const transition = transitionFor(wish, seen)
  const all = statusesOf(seen)
  const results = all.map(({ state }) => resultOf(state, transition))
  const refused = results.find((result) => result.kind === 'refused')
  const [first] = all
  if (first === undefined || refused !== undefined) {
    const message = refused?.message ?? 'no instance can be reached'
    throw new ControlError(ControlErrorCode.NO_SUCH_WAY, message)
  }
  const checks = [
    ...deploymentChecks(wish, seen),
    ...all.flatMap((status, i) => {
      const result = results[i]!
      if (result.kind !== 'change') return []
      const evidence = evidenceOf(status, nowMs)
      return runChecks(result.checks, evidence, status.state, result.to, status.name)
    }),
  ]
  const change = results.find((result) => result.kind === 'change')
  const to = change?.to ?? first.state
  const isAllowed = !hasFailed(checks)
  return {
    verb: wish.verb,
    from: first.state.phase,
    to: to.phase,
    routing: to.routing,
    isAllowed,
    message: planMessage(change !== undefined, isAllowed, to.phase),
    checks,
    leave: wish.verb === 'rollback' && wish.leave ? leaveReport(seen) : null,
  }
}

const planMessage = (isChange: boolean, isAllowed: boolean, to: Phase): string => {
  if (!isChange) return `all instances are in ${to} already`
  return isAllowed ? 'would be done' : 'would be refused: see the checks that failed'
}

type Prepared = {
  readonly client: InstanceClient
  readonly change: PreparedChange | null
  readonly error: unknown
}

class Coordination {
  readonly #wish: Wish
  readonly #requester: Requester
  readonly #clock: Clock
  readonly #seen: readonly Seen[]
  readonly #askedAt: string
  #checks: readonly CheckResult[] = []

  constructor(
    wish: Wish,
    requester: Requester,
    clock: Clock,
    seen: readonly Seen[],
    askedAt: string,
  ) {
    this.#wish = wish
    this.#requester = requester
    this.#clock = clock
    this.#seen = seen
    this.#askedAt = askedAt
  }

  async run(clients: readonly InstanceClient[]): Promise<ChangeReport> {
    try {
      return await this.#change(clients, transitionFor(this.#wish, this.#seen))
    } catch (error) {
      if (error instanceof ControlError) return this.#refused(error.message)
      throw error
    }
  }

  async #change(clients: readonly InstanceClient[], transition: Transition): Promise<ChangeReport> {
    const all = statusesOf(this.#seen)
    this.#checks = deploymentChecks(this.#wish, this.#seen)
    if (all.length === 0) return this.#refused('no instance can be reached')
    if (this.#isDone(transition)) return this.#unchanged()
    const failed = this.#checks.filter(({ outcome }) => outcome === 'fail')
    if (failed.length > 0 && !this.#requester.force) {
      return this.#refused(failed.map((check) => `${check.id}: ${check.evidence}`).join('. '))
    }
    const revision = Math.max(...all.map(({ state }) => state.revision)) + 1
    const prepared = await this.#prepareAll(clients, transition, revision)
    this.#checks = [...this.#checks, ...prepared.flatMap(checksOf)]
    const refusals = prepared.filter(({ change }) => change === null)
    if (refusals.length > 0 && !this.#mayGoOn(prepared, refusals)) {
      await this.#abortAll(prepared)
      return this.#refused(refusals.map(refusalText).join('. '))
    }
    return this.#commitAll(prepared, revision)
  }

  /** Doing it again changes nothing. */
  #isDone(transition: Transition): boolean {
    const isWhole = this.#seen.every(({ status }) => status !== null) && agree(this.#seen)
    if (!isWhole) return false
    return (
      transition.verb === 'align' ||
      statusesOf(this.#seen).every(({ state }) => resultOf(state, transition).kind === 'unchanged')
    )
  }

  #prepareAll(
    clients: readonly InstanceClient[],
    transition: Transition,
    revision: number,
  ): Promise<readonly Prepared[]> {
    const reached = this.#seen.flatMap(({ name, status }) => {
      const client = clients.find((candidate) => candidate.name === name)
      return client === undefined || status === null ? [] : [{ client, status }]
    })
    return Promise.all(
      reached.map(async ({ client, status }) => {
        const expectedRevision = status.state.revision
        try {
          const request = { ...this.#requester, transition, expectedRevision, revision }
          return { client, change: await client.prepare(request), error: null }
        } catch (error) {
          return { client, change: null, error }
        }
      }),
    )
  }

  /** Going back is not held up by an instance that is lost; its own checks hold it up. */
  #mayGoOn(prepared: readonly Prepared[], refusals: readonly Prepared[]): boolean {
    if (this.#wish.verb !== 'rollback' || refusals.length === prepared.length) return false
    return refusals.every(({ error }) => !isCheckFailure(error))
  }

  async #abortAll(prepared: readonly Prepared[]): Promise<void> {
    await Promise.allSettled(
      prepared.map(({ client, change }) => (change === null ? null : client.abort(change.id))),
    )
  }

  async #commitAll(prepared: readonly Prepared[], revision: number): Promise<ChangeReport> {
    const startMs = this.#clock.now()
    let lastFlipMs = startMs
    const outcomes = await Promise.all(
      prepared.map(async ({ client, change, error }): Promise<InstanceOutcome> => {
        if (change === null) return this.#whereItIs(client, error, revision)
        try {
          const { state, quiescence } = await client.commit(change.id)
          // It changed before it began to wait, hence no later than that.
          lastFlipMs = Math.max(lastFlipMs, this.#clock.now() - quiescence.waitedMs)
          const { phase } = state
          const { name } = client
          return {
            name,
            outcome: 'changed',
            phase,
            revision: state.revision,
            quiescence,
            error: null,
          }
        } catch (cause) {
          // Else it would hold up whoever finishes or reverts, until it expires.
          await client.abort(change.id).catch(() => undefined)
          return this.#whereItIs(client, cause, revision)
        }
      }),
    )
    return this.#report(outcomes, prepared, revision, lastFlipMs - startMs)
  }

  /** A commit that failed may have been carried out all the same: the answer may be what was lost. */
  async #whereItIs(
    client: InstanceClient,
    cause: unknown,
    revision: number,
  ): Promise<InstanceOutcome> {
    const { name } = client
    const error = messageOf(cause)
    try {
      const { state } = await client.status()
      const outcome = state.revision === revision ? 'changed' : 'failed'
      const { phase } = state
      return { name, outcome, phase, revision: state.revision, quiescence: null, error }
    } catch {
      return { name, outcome: 'unreachable', phase: null, revision: null, quiescence: null, error }
    }
  }

  #report(
    committed: readonly InstanceOutcome[],
    prepared: readonly Prepared[],
    revision: number,
    skewMs: number,
  ): ChangeReport {
    const instances = [...committed, ...this.#lost()]
    const changed = instances.filter(({ outcome }) => outcome === 'changed')
    const others = instances.filter(({ outcome }) => outcome !== 'changed')
    const to = prepared.find(({ change }) => change !== null)?.change?.to.phase ?? null
    const isWhole = others.length === 0
    const outcome = isWhole ? 'done' : changed.length === 0 ? 'refused' : 'partial'
    const unchanged = others.find(({ phase }) => phase !== null)
    const isPartial = outcome === 'partial'
    return {
      ...this.#base(to),
      outcome,
      revision: changed.length === 0 ? null : revision,
      message: isWhole
        ? `all ${changed.length} instances are in ${to} at revision ${revision}`
        : `${changed.length} of ${instances.length} instances are in ${to}; not: ${others.map(({ name, error, phase }) => `${name} (${phase ?? 'unknown'}: ${error})`).join(', ')}`,
      instances,
      skewMs: changed.length === 0 ? null : skewMs,
      finish: isPartial ? `zdm align --like ${changed[0]!.name}` : null,
      revert: isPartial && unchanged !== undefined ? `zdm align --like ${unchanged.name}` : null,
    }
  }

  #lost(): readonly InstanceOutcome[] {
    return this.#seen
      .filter(({ status }) => status === null)
      .map(({ name, error }) => ({
        name,
        outcome: 'unreachable',
        phase: null,
        revision: null,
        quiescence: null,
        error,
      }))
  }

  #unchanged(): ChangeReport {
    const [first] = statusesOf(this.#seen)
    const { phase, revision } = first!.state
    return {
      ...this.#base(phase),
      outcome: 'unchanged',
      revision,
      message: `all instances are in ${phase} already, at revision ${revision}`,
      instances: this.#asTheyAre(),
    }
  }

  #refused(why: string): ChangeReport {
    return {
      ...this.#base(this.#wish.verb === 'advance' ? this.#wish.to : null),
      outcome: 'refused',
      message: `${why} (nothing was changed)`,
      instances: this.#asTheyAre(),
    }
  }

  #asTheyAre(): readonly InstanceOutcome[] {
    const known = statusesOf(this.#seen).map(({ name, state }): InstanceOutcome => {
      const { phase, revision } = state
      return { name, outcome: 'unchanged', phase, revision, quiescence: null, error: null }
    })
    return [...known, ...this.#lost()]
  }

  #base(to: Phase | null): ChangeReport {
    const wish = this.#wish
    return {
      outcome: 'refused',
      verb: wish.verb,
      from: statusesOf(this.#seen)[0]?.state.phase ?? null,
      to,
      revision: null,
      message: '',
      checks: this.#checks,
      instances: [],
      askedAt: this.#askedAt,
      skewMs: null,
      finish: null,
      revert: null,
      leave: wish.verb === 'rollback' && wish.leave ? leaveReport(this.#seen) : null,
    }
  }
}

const isCheckFailure = (error: unknown): error is { readonly checks: readonly CheckResult[] } =>
  error instanceof Error &&
  'code' in error &&
  error.code === ControlErrorCode.CHECKS_FAILED &&
  'checks' in error

const checksOf = ({ change, error }: Prepared): readonly CheckResult[] =>
  change?.checks ?? (isCheckFailure(error) ? error.checks : [])

const refusalText = ({ client, error }: Prepared): string => `${client.name}: ${messageOf(error)}`

/** Changes every instance, or none, or says precisely which is where. Never rejects for an instance's fault. */
export const coordinateChange = async (
  clients: readonly InstanceClient[],
  wish: Wish,
  requester: Requester,
  clock: Clock,
): Promise<ChangeReport> => {
  if (requester.force && requester.reason.trim() === '') {
    throw new ControlError(ControlErrorCode.REASON_MISSING, 'force needs a reason: it is recorded')
  }
  const askedAt = new Date(clock.wallMs()).toISOString()
  const seen = await lookAtAll(clients)
  return new Coordination(wish, requester, clock, seen, askedAt).run(clients)
}
