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
import {
  checkDeployment,
  identityFault,
  isAskedTwice,
  isWhole,
  leaveReport,
  type Seen,
  statusesOf,
} from './deployment.ts'
import { ControlError, ControlErrorCode } from './errors.ts'
import { allInTime, type InTime, lookAtAll, lookInTime } from './look.ts'
import { DEPLOYMENT_CHECKS, type Phase } from './phase.ts'
import { doubtsAbout, forgottenBy } from './reconciliation.ts'
import { describeRefusals, isCheckFailure } from './refusals.ts'
import type {
  ChangeReport,
  CheckReport,
  CheckResult,
  ClientGroups,
  ClientSelection,
  CommittedChange,
  ConfigEntry,
  DeploymentStatus,
  InstanceOutcome,
  InstanceStatus,
  PreparedChange,
  PrepareRequest,
  Reconciliation,
  Requester,
  Transition,
} from './report.ts'
import { resultOf } from './transitions.ts'
import { deploymentChecks, transitionFor, type Wish } from './wish.ts'

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
  /** Records that both clusters are compared, or were. */
  reconciled(reconciliation: Reconciliation, requester: Omit<Requester, 'force'>): Promise<void>
  /** Who its clients are. */
  clients(): Promise<ClientGroups>
  /** Lets these clients go; resolves with how many they are. */
  closeClients(selection: ClientSelection, requester: Omit<Requester, 'force'>): Promise<number>
}

/** All instances as each tells of itself; one that does not answer has its error. Never rejects. */
export const deploymentStatus = async (
  clients: readonly InstanceClient[],
): Promise<DeploymentStatus> => {
  const seen = await lookAtAll(clients)
  const instances = seen.map(({ name, status, error }) => ({ name, status, error }))
  return {
    isInAgreement: isWhole(seen),
    checks: checkDeployment(DEPLOYMENT_CHECKS, seen),
    instances,
  }
}

/**
 * Going back puts reads on Origin within a second wherever an instance answers. One that hangs is waited for
 * no longer than this, is gone after while the others change already, and is named.
 */
const RUSHED_LOOK_MS = 400
const RUSHED_PREPARE_MS = 500

/**
 * How long instances are waited for before the change is begun without them, in milliseconds; null: the usual
 * time.
 */
export const lookDeadline = ({ verb }: Wish): number | null =>
  verb === 'rollback' ? RUSHED_LOOK_MS : null

type Prepared = {
  readonly client: InstanceClient
  readonly change: PreparedChange | null
  readonly error: unknown
  /** Whether it has said where it is. */
  readonly isReached: boolean
}

class Coordination {
  readonly #wish: Wish
  readonly #requester: Requester
  readonly #clock: Clock
  readonly #looks: readonly InTime<Seen>[]
  readonly #seen: readonly Seen[]
  readonly #askedAt: string
  /** Names of those that answered later than the others were changed. */
  readonly #late: string[] = []
  /** What those say whose threads have not all followed. */
  readonly #behind: string[] = []
  #checks: readonly CheckResult[] = []
  #lastFlipMs = 0
  /** Somebody else's change came in between; a rollback looks again then. */
  wasOvertaken = false

  constructor(
    wish: Wish,
    requester: Requester,
    clock: Clock,
    looks: readonly InTime<Seen>[],
    askedAt: string,
  ) {
    this.#wish = wish
    this.#requester = requester
    this.#clock = clock
    this.#looks = looks
    this.#seen = looks.map(({ value }) => value)
    this.#askedAt = askedAt
  }

  async run(clients: readonly InstanceClient[], isLastTry = true): Promise<ChangeReport> {
    try {
      return await this.#change(clients, transitionFor(this.#wish, this.#seen), isLastTry)
    } catch (error) {
      if (error instanceof ControlError) return this.#refused(error.message)
      throw error
    }
  }

  async #change(
    clients: readonly InstanceClient[],
    transition: Transition,
    isLastTry: boolean,
  ): Promise<ChangeReport> {
    const all = statusesOf(this.#seen)
    this.#checks = deploymentChecks(this.#wish, this.#seen)
    if (all.length === 0) return this.#refused('no instance can be reached')
    if (this.#isDone(transition)) return this.#unchanged()
    const moved = this.#movedSince()
    if (moved !== null) return this.#refused(moved)
    const failed = this.#checks.filter(({ outcome }) => outcome === 'fail')
    if (failed.length > 0 && !this.#requester.force) {
      return this.#refused(failed.map((check) => `${check.id}: ${check.evidence}`).join('. '))
    }
    const revision = Math.max(...all.map(({ state }) => state.revision)) + 1
    const prepare = (client: InstanceClient, seen: Seen): Promise<Prepared> =>
      this.#prepare(client, seen, transition, revision)
    const works = await this.#prepareAll(clients, prepare)
    const prepared = works.map(({ value }) => value)
    this.#checks = [...this.#checks, ...prepared.flatMap(checksOf)]
    const refusals = prepared.filter(({ change }) => change === null)
    this.wasOvertaken = this.#wish.verb === 'rollback' && refusals.some(isOvertaken)
    const isToBeTriedAgain = this.wasOvertaken && !isLastTry
    if (isToBeTriedAgain || (refusals.length > 0 && !this.#mayGoOn(prepared, refusals))) {
      const told = refusals.map(({ client: { name }, error }) => ({ name, error }))
      await this.#abortAll(works)
      return this.#refused(describeRefusals(told, prepared.length))
    }
    return this.#commitAll([...works, ...this.#lateLooks(clients, prepare)], revision)
  }

  /** What was planned from another phase, by somebody who does not know of the change since, is not done. */
  #movedSince(): string | null {
    const wish = this.#wish
    if (wish.verb !== 'advance' || wish.from === undefined) return null
    const elsewhere = statusesOf(this.#seen).filter(({ state }) => state.phase !== wish.from)
    if (elsewhere.length === 0) return null
    const places = elsewhere.map(({ name, state }) => `${name} is in ${state.phase}`).join(', ')
    return `it was planned from ${wish.from}, and ${places} by now: look again with zdm status`
  }

  /** Doing it again changes nothing. */
  #isDone(transition: Transition): boolean {
    // What is not on disk is written by doing it again.
    const isKept = statusesOf(this.#seen).every(({ stateFault }) => stateFault === null)
    if (!isWhole(this.#seen) || !isKept) return false
    return (
      transition.verb === 'align' ||
      statusesOf(this.#seen).every(({ state }) => resultOf(state, transition).kind === 'unchanged')
    )
  }

  /** Those that were reached; a process that was asked under two names is asked once. */
  #prepareAll(
    clients: readonly InstanceClient[],
    prepare: (client: InstanceClient, seen: Seen) => Promise<Prepared>,
  ): Promise<readonly InTime<Prepared>[]> {
    const deadlineMs = this.#wish.verb === 'rollback' ? RUSHED_PREPARE_MS : null
    const reached = this.#seen.flatMap((seen) => {
      const client = clients.find(({ name }) => name === seen.name)
      const isLeftOut = seen.status === null || isAskedTwice(seen, this.#seen)
      return client === undefined || isLeftOut ? [] : [{ client, seen }]
    })
    const error = new Error(`not ready within ${deadlineMs} ms, so far`)
    const works = reached.map(({ client, seen }) => ({
      work: prepare(client, seen),
      otherwise: (): Prepared => ({ client, change: null, error, isReached: true }),
    }))
    return allInTime(works, ({ change }) => change !== null, deadlineMs, this.#clock)
  }

  async #prepare(
    client: InstanceClient,
    { status, error }: Seen,
    transition: Transition,
    revision: number,
  ): Promise<Prepared> {
    if (status === null) return { client, change: null, error, isReached: false }
    const expectedRevision = status.state.revision
    try {
      const deployment = this.#checks
      const request = {
        ...this.#requester,
        transition,
        expectedRevision,
        revision,
        deployment,
        at: this.#askedAt,
      }
      return { client, change: await client.prepare(request), error: null, isReached: true }
    } catch (cause) {
      return { client, change: null, error: cause, isReached: true }
    }
  }

  /** Whoever had not answered the look in time is prepared when it does. */
  #lateLooks(
    clients: readonly InstanceClient[],
    prepare: (client: InstanceClient, seen: Seen) => Promise<Prepared>,
  ): readonly InTime<Prepared>[] {
    return this.#looks.flatMap(({ value, late }) => {
      const client = clients.find(({ name }) => name === value.name)
      if (client === undefined || late === null) return []
      const { error } = value
      return [
        {
          value: { client, change: null, error, isReached: false },
          late: late.then((seen) => prepare(client, seen)),
        },
      ]
    })
  }

  /** Going back is not held up by an instance that is lost; its own checks hold it up. */
  #mayGoOn(prepared: readonly Prepared[], refusals: readonly Prepared[]): boolean {
    if (this.#wish.verb !== 'rollback' || refusals.length === prepared.length) return false
    return refusals.every(({ error }) => !isCheckFailure(error))
  }

  async #abortAll(works: readonly InTime<Prepared>[]): Promise<void> {
    const abort = ({ client, change }: Prepared): Promise<void> =>
      change === null ? Promise.resolve() : client.abort(change.id)
    await Promise.allSettled(
      works.map(({ value, late }) => (late === null ? abort(value) : late.then(abort))),
    )
  }

  async #commitAll(works: readonly InTime<Prepared>[], revision: number): Promise<ChangeReport> {
    const startMs = this.#clock.now()
    this.#lastFlipMs = startMs
    const outcomes = await Promise.all(
      works.map(async ({ value, late }) => {
        if (late === null) return this.#commit(value, revision)
        const outcome = await this.#commit(await late, revision)
        if (outcome.outcome === 'changed') this.#late.push(outcome.name)
        return outcome
      }),
    )
    const to = works.find(({ value }) => value.change !== null)?.value.change?.to.phase ?? null
    return this.#report(outcomes, to, revision, this.#lastFlipMs - startMs)
  }

  async #commit(prepared: Prepared, revision: number): Promise<InstanceOutcome> {
    const { client, change, error } = prepared
    if (!prepared.isReached) return unreachable(client.name, error)
    if (change === null) return this.#whereItIs(client, error, revision)
    try {
      const { state, quiescence, stateFault } = await client.commit(change.id)
      // It changed before it began to wait, hence no later than that.
      this.#lastFlipMs = Math.max(this.#lastFlipMs, this.#clock.now() - quiescence.waitedMs)
      const { name } = client
      const { phase } = state
      const { revision: reached } = state
      const fault = stateFault === null ? null : `${NOT_KEPT}: ${stateFault}`
      return { name, outcome: 'changed', phase, revision: reached, quiescence, error: fault }
    } catch (cause) {
      if (cause instanceof ControlError && cause.code === ControlErrorCode.THREAD_BEHIND) {
        this.#behind.push(`${client.name}: ${cause.message}`)
      }
      // Else it would hold up whoever finishes or reverts, until it expires.
      await client.abort(change.id).catch(() => undefined)
      return this.#whereItIs(client, cause, revision)
    }
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
      return unreachable(name, error)
    }
  }

  #report(
    committed: readonly InstanceOutcome[],
    to: Phase | null,
    revision: number,
    skewMs: number,
  ): ChangeReport {
    const instances = this.#inOrder([...committed, ...this.#lost()])
    const changed = instances.filter(({ outcome }) => outcome === 'changed')
    const others = instances.filter(({ outcome }) => outcome !== 'changed')
    const isAll = others.length === 0
    const outcome = isAll ? 'done' : changed.length === 0 ? 'refused' : 'partial'
    const unchanged = others.find(({ phase }) => phase !== null)
    const isPartial = outcome === 'partial'
    return {
      ...this.#base(to),
      outcome,
      revision: changed.length === 0 ? null : revision,
      message:
        (isAll
          ? `${allOf(changed.length)} in ${to} at revision ${revision}`
          : `${changed.length} of ${instances.length} instances are in ${to}; not: ${others.map(({ name, error, phase }) => `${name} (${phase ?? 'unknown'}: ${error})`).join(', ')}`) +
        (this.#late.length === 0
          ? ''
          : `; slow to answer, and changed after the others: ${this.#late.join(', ')}`) +
        notKept(changed) +
        this.#behind.map((text) => `. But ${text}`).join('') +
        this.#doubts() +
        this.#forgotten(),
      instances,
      skewMs: changed.length === 0 ? null : skewMs,
      finish: isPartial ? `zdm align --like ${changed[0]!.name}` : null,
      revert: isPartial && unchanged !== undefined ? `zdm align --like ${unchanged.name}` : null,
    }
  }

  /** Whoever goes back is told what may be missing there. */
  #doubts(): string {
    if (this.#wish.verb !== 'rollback') return ''
    const states = statusesOf(this.#seen).map(({ state }) => state)
    return doubtsAbout(states)
      .map((doubt) => `. But ${doubt}`)
      .join('')
  }

  #forgotten(): string {
    const [first] = statusesOf(this.#seen)
    if (this.#wish.verb !== 'advance' || first === undefined) return ''
    const text = forgottenBy(first.state, this.#wish.to)
    return text === null ? '' : `. ${text}`
  }

  /** Those that nothing was asked of: they did not answer at all, or are another instance. */
  #lost(): readonly InstanceOutcome[] {
    return this.#looks.flatMap(({ value, late }) => {
      if (isAskedTwice(value, this.#seen)) return [unreachable(value.name, identityFault(value))]
      return value.status === null && late === null ? [unreachable(value.name, value.error)] : []
    })
  }

  #inOrder(outcomes: readonly InstanceOutcome[]): readonly InstanceOutcome[] {
    return this.#seen.flatMap(({ name }) => outcomes.filter((outcome) => outcome.name === name))
  }

  #unchanged(): ChangeReport {
    const [first] = statusesOf(this.#seen)
    const { phase, revision } = first!.state
    return {
      ...this.#base(phase),
      outcome: 'unchanged',
      revision,
      message: `${allOf(this.#seen.length)} in ${phase} already, at revision ${revision}`,
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
    return this.#seen.map(({ name, status, error }): InstanceOutcome => {
      if (status === null) return unreachable(name, error)
      const { phase, revision } = status.state
      return { name, outcome: 'unchanged', phase, revision, quiescence: null, error: null }
    })
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

const allOf = (count: number): string =>
  count === 1 ? 'the instance is' : `all ${count} instances are`

const unreachable = (name: string, cause: unknown): InstanceOutcome => ({
  name,
  outcome: 'unreachable',
  phase: null,
  revision: null,
  quiescence: null,
  error: messageOf(cause),
})

const NOT_KEPT = 'changed, but a restart would forget it'

/** Said as loudly as the change itself. */
const notKept = (changed: readonly InstanceOutcome[]): string => {
  const names = changed.filter(({ error }) => error?.startsWith(NOT_KEPT)).map(({ name }) => name)
  return names.length === 0
    ? ''
    : `. But ${names.join(', ')} cannot write the state file, so that a restart would undo it there: mend the file, then ask again`
}

/** Its checks are not what refused it. */
const isOvertaken = ({ error }: Prepared): boolean =>
  error instanceof ControlError &&
  (error.code === ControlErrorCode.REVISION_MISMATCH ||
    error.code === ControlErrorCode.CHANGE_DISCARDED)

const checksOf = ({ change, error }: Prepared): readonly CheckResult[] =>
  change?.checks ?? (isCheckFailure(error) ? error.checks : [])

/** Of a rollback, where others change the deployment at the same time. */
const ATTEMPTS_MAX = 3

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
  for (let attempt = 1; ; attempt++) {
    const isLastTry = attempt === ATTEMPTS_MAX
    const looks = await lookInTime(clients, lookDeadline(wish), clock)
    const coordination = new Coordination(wish, requester, clock, looks, askedAt)
    const report = await coordination.run(clients, isLastTry)
    if (isLastTry || !coordination.wasOvertaken) return report
  }
}
