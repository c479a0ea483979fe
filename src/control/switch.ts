/**
 * The switch of one instance: the migration's state, and its change in two halves, prepare and commit, so
 * that several instances change as one (coordinate.ts). A prepared change is checked and on disk already;
 * its commit is a rename, the new routing, and the wait for what was routed the old way.
 *
 *   idle ──prepare: revision and checks fit──► prepared ──commit──► idle, at the new revision
 *                                                 └── abort, a rollback, or 30 s ──► idle
 */
import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import { messageOf } from '../message-of.ts'
import type { AuditLog } from './audit-log.ts'
import { type Evidence, runChecks } from './checks.ts'
import { ControlError, ControlErrorCode } from './errors.ts'
import type { MigrationState } from './migration-state.ts'
import type { CheckId } from './phase.ts'
import { describeReconciliation, recordReconciliation } from './reconciliation.ts'
import type {
  AuditEntry,
  ChangeReport,
  CheckResult,
  CommittedChange,
  PendingChange,
  PreparedChange,
  PrepareRequest,
  Quiescence,
  Reconciliation,
  Requester,
  Verb,
} from './report.ts'
import type { StateStore } from './state-store.ts'
import { nextState, resultOf } from './transitions.ts'

const PREPARED_FOR_MS = 30_000

export type SwitchTools = {
  /** How the deployment calls this instance. */
  readonly name: string
  readonly store: StateStore
  readonly audit: AuditLog
  readonly clock: Clock
  readonly log: Logger
  newId(): string
  evidence(): Promise<Evidence>
  /** Routes by the state from now on; resolves when nothing routed before is in flight any more. */
  apply(state: MigrationState): Promise<Quiescence>
}

type Prepared = {
  readonly change: PreparedChange
  readonly request: PrepareRequest
  readonly via: string
  readonly deadlineMs: number
  /** Why the state is not staged on disk, or null where it is; only a rollback goes on without. */
  readonly stageFault: string | null
}

/** A change that is being prepared: its checks are looked at. */
type Attempt = { readonly request: PrepareRequest; discardedBy: string | null }

/** For metrics. */
export type SwitchCounts = {
  readonly changes: Readonly<Record<Verb, number>>
  readonly failedChecks: ReadonlyMap<CheckId, number>
  readonly lastQuiescence: Quiescence | null
}

export class MigrationSwitch {
  readonly #tools: SwitchTools
  readonly #changes: Record<Verb, number> = { advance: 0, rollback: 0, route: 0, align: 0 }
  readonly #failedChecks = new Map<CheckId, number>()
  #state: MigrationState
  #prepared: Prepared | null = null
  #attempt: Attempt | null = null
  /** The change that a rollback took the place of last. */
  #discarded: { readonly id: string; readonly by: string } | null = null
  /** Why the state in effect is not on disk; null where it is, or no path is set. */
  #stateFault: string | null = null
  /** What is on disk, and would be in effect after a restart. */
  #kept: MigrationState
  #lastQuiescence: Quiescence | null = null

  constructor(state: MigrationState, tools: SwitchTools) {
    this.#state = state
    this.#kept = state
    this.#tools = tools
  }

  get state(): MigrationState {
    return this.#state
  }

  get isStateKept(): boolean {
    return this.#tools.store.isKept && this.#stateFault === null
  }

  /** Why the state in effect is not on disk, although it should be. */
  get stateFault(): string | null {
    return this.#stateFault
  }

  get pending(): PendingChange | null {
    const prepared = this.#current()
    if (prepared === null) return null
    const { change, request } = prepared
    const { verb } = request.transition
    return { id: change.id, verb, by: request.by, expiresAt: change.expiresAt }
  }

  get counts(): SwitchCounts {
    return {
      changes: this.#changes,
      failedChecks: this.#failedChecks,
      lastQuiescence: this.#lastQuiescence,
    }
  }

  /** Throws a ControlError where the change cannot be made; nothing is changed then. */
  async prepare(request: PrepareRequest, via: string): Promise<PreparedChange> {
    if (request.force && request.reason.trim() === '') {
      throw new ControlError(
        ControlErrorCode.REASON_MISSING,
        'force needs a reason: it is recorded',
      )
    }
    this.#makeRoom(request, via)
    const attempt: Attempt = { request, discardedBy: null }
    this.#attempt = attempt
    try {
      return await this.#prepare(attempt, via)
    } finally {
      if (this.#attempt === attempt) this.#attempt = null
    }
  }

  /**
   * Throws CHANGE_UNKNOWN, CHANGE_DISCARDED or STATE_NOT_WRITTEN, and nothing is changed then; or THREAD_BEHIND: the
   * change is in effect, but for a thread that does not answer.
   */
  async commit(id: string, via: string): Promise<CommittedChange> {
    const prepared = this.#current()
    if (this.#discarded?.id === id) throw discarded(id, this.#discarded.by)
    if (prepared === null || prepared.change.id !== id) {
      throw new ControlError(
        ControlErrorCode.CHANGE_UNKNOWN,
        `no change ${id} is prepared here: it was committed, aborted, or is older than ${PREPARED_FOR_MS / 1000} s`,
      )
    }
    const { change, request } = prepared
    this.#prepared = null
    this.#stateFault = this.#keep(prepared, via)
    this.#state = change.to
    if (this.#stateFault === null) this.#kept = change.to
    this.#changes[request.transition.verb]++
    const quiescence = await this.#apply(prepared, via)
    this.#lastQuiescence = quiescence
    const text = describeChange(change.from, change.to, quiescence)
    this.#record('committed', prepared, via, text, true)
    this.#tools.log.warn(
      { code: 'ROUTING_CHANGED', from: change.from, to: change.to, ...quiescence },
      text,
    )
    return { state: change.to, quiescence, stateFault: this.#stateFault }
  }

  async #apply(prepared: Prepared, via: string): Promise<Quiescence> {
    try {
      return await this.#tools.apply(prepared.change.to)
    } catch (error) {
      const { phase, revision } = prepared.change.to
      const text = `${phase}, revision ${revision}, is in effect, but not on every thread: ${messageOf(error)}`
      this.#record('committed', prepared, via, text, true)
      this.#tools.log.error({ code: ControlErrorCode.THREAD_BEHIND, error }, text)
      throw new ControlError(ControlErrorCode.THREAD_BEHIND, text, { cause: error })
    }
  }

  abort(id: string): void {
    if (this.#prepared?.change.id === id) this.#drop(this.#prepared, 'not committed')
  }

  /**
   * Takes over what the others of the deployment have changed while this instance was down. Where that cannot
   * be written down it is done all the same, and said: an older state would read from the wrong cluster.
   */
  async adopt(state: MigrationState, via: string): Promise<void> {
    const { store, audit, log, apply } = this.#tools
    const before = this.#state
    // A change that reaches this instance meanwhile brings it further than this would.
    const isOvertaken = this.#attempt !== null || this.#current() !== null
    if (isOvertaken || state.revision <= before.revision) return
    const { phase, revision, routing, changedAt, changedBy: by, reason } = state
    const text = `changed while this instance was down: ${before.phase}, revision ${before.revision} → ${phase}, revision ${revision}, reads from ${routing.primary}, as ${by || 'somebody'} changed it at ${changedAt} on ${via}`
    try {
      store.stage(state)
      const states = { from: before, to: state }
      audit.append({ ...this.#blank(via), event: 'adopted', by, reason, ...states, message: text })
      store.commit()
      this.#kept = state
      this.#stateFault = null
    } catch (error) {
      store.discard()
      this.#stateFault = messageOf(error)
      this.#complain('adopted', error)
    }
    this.#state = state
    await apply(state)
    log.warn({ code: 'STATE_ADOPTED', from: before, to: state }, text)
  }

  /** A change of the deployment that this instance was asked for, and that was refused before it got here. */
  refused(report: ChangeReport, { by, reason, force }: Requester, via: string): void {
    const failed = report.checks.filter(({ outcome }) => outcome === 'fail')
    // It was asked itself, and has recorded it.
    if (failed.some(({ instance }) => instance === this.#tools.name)) return
    this.#count(failed.filter(({ instance }) => instance === null))
    const { verb, checks, message } = report
    const entry = { ...this.#blank(via), by, reason, verb, checks, message, isForced: force }
    try {
      this.#tools.audit.append({ ...entry, event: 'refused', from: this.#state })
    } catch (error) {
      this.#complain('refused', error)
    }
  }

  /**
   * Both clusters are compared, or were, and one has the other's rows since. Throws
   * RECONCILIATION_REFUSED, CHANGE_IN_PROGRESS, STATE_NOT_WRITTEN or AUDIT_NOT_WRITTEN.
   */
  reconciled(
    reconciliation: Reconciliation,
    { by, reason }: Omit<Requester, 'force'>,
    via: string,
  ): void {
    if (this.#attempt !== null || this.#current() !== null) throw this.#inProgress()
    const before = this.#state
    const state = recordReconciliation(before, reconciliation)
    if ('fault' in state) {
      throw new ControlError(ControlErrorCode.RECONCILIATION_REFUSED, state.fault)
    }
    const { store, audit, log } = this.#tools
    const text = describeReconciliation(by, reconciliation)
    try {
      store.stage(state)
      audit.append({
        ...this.#blank(via),
        event: reconciliation.step === 'begin' ? 'comparison-begun' : 'reconciled',
        by,
        reason,
        from: before,
        to: state,
        message: text,
      })
      store.commit()
    } catch (error) {
      store.discard()
      throw error
    }
    this.#stateFault = null
    this.#state = state
    this.#kept = state
    log.info({ code: 'RECONCILED', by }, text)
  }

  /** For what is worth a line but changes no state. */
  note(
    event: 'log-level' | 'clients-closed' | 'drained',
    { by, reason, force: isForced = false }: Omit<Requester, 'force'> & Partial<Requester>,
    via: string,
    message: string,
  ): void {
    this.#tools.audit.append({ ...this.#blank(via), event, by, reason, isForced, message })
  }

  /** A rollback is not held up by somebody's change: it takes its place. */
  #makeRoom(request: PrepareRequest, via: string): void {
    const prepared = this.#current()
    const other = this.#attempt?.request ?? prepared?.request
    if (other === undefined) return
    const isBack = goesBack(request)
    const isOtherBack = goesBack(other)
    if (!isBack || (isOtherBack && !request.force)) throw this.#inProgress()
    const by = request.by || 'somebody'
    if (this.#attempt !== null) this.#attempt.discardedBy = by
    if (prepared === null) return
    this.#discarded = { id: prepared.change.id, by }
    this.#drop(prepared, `discarded: a rollback by ${by} via ${via} takes its place`)
  }

  #drop(prepared: Prepared, why: string): void {
    this.#prepared = null
    if (prepared.stageFault === null) this.#tools.store.discard()
    this.#record('discarded', prepared, prepared.via, why, true)
  }

  async #prepare(attempt: Attempt, via: string): Promise<PreparedChange> {
    const { request } = attempt
    const { transition, expectedRevision, revision, by, reason } = request
    const { name, clock, newId } = this.#tools
    const from = this.#state
    if (from.revision !== expectedRevision || revision <= expectedRevision) {
      throw new ControlError(
        ControlErrorCode.REVISION_MISMATCH,
        `${name} is at revision ${from.revision}, and the change expects ${expectedRevision} before and ${revision} after it: somebody else changed it; look again`,
      )
    }
    const result = resultOf(from, transition)
    if (result.kind === 'refused') {
      throw new ControlError(ControlErrorCode.NO_SUCH_WAY, result.message)
    }
    const changedAt = new Date(request.at ?? clock.wallMs()).toISOString()
    const stamp = { revision, changedAt, changedBy: by, reason }
    const to = nextState(from, transition, result, stamp)
    const checks =
      result.kind === 'change'
        ? runChecks(result.checks, await this.#tools.evidence(), from, to, name)
        : []
    const expiresAt = new Date(clock.wallMs() + PREPARED_FOR_MS).toISOString()
    const change = { id: newId(), from, to, checks, expiresAt }
    if (attempt.discardedBy !== null) throw discarded(change.id, attempt.discardedBy)
    const deadlineMs = clock.now() + PREPARED_FOR_MS
    const prepared = { change, request, via, deadlineMs, stageFault: null }
    this.#refuseIfFailed(prepared, via)
    this.#prepared = { ...prepared, stageFault: this.#makeReady(prepared, via) }
    return change
  }

  #refuseIfFailed(prepared: Prepared, via: string): void {
    const { change, request } = prepared
    const failed = change.checks.filter(({ outcome }) => outcome === 'fail')
    this.#count([
      ...failed,
      ...(request.deployment ?? []).filter(({ outcome }) => outcome === 'fail'),
    ])
    if (failed.length === 0 || request.force) return
    const text = `refused: ${failed.map(({ id, evidence, remedy }) => `${id}: ${evidence}; ${remedy}`).join('. ')}`
    this.#record('refused', prepared, via, text, true)
    throw new ControlError(ControlErrorCode.CHECKS_FAILED, text, { checks: change.checks })
  }

  #count(failed: readonly CheckResult[]): void {
    for (const { id } of failed) this.#failedChecks.set(id, (this.#failedChecks.get(id) ?? 0) + 1)
  }

  /**
   * Stages the state and begins the record, so that a disk that cannot be written is found out before any
   * instance has changed. A rollback goes on all the same; then this says why the state is not staged.
   */
  #makeReady(prepared: Prepared, via: string): string | null {
    const { store } = this.#tools
    const isBack = goesBack(prepared.request)
    const stageFault = this.#unlessBack(isBack, () => store.stage(prepared.change.to))
    try {
      this.#record('begun', prepared, via, 'begun', isBack)
    } catch (error) {
      store.discard()
      throw error
    }
    return stageFault
  }

  /** The state goes to its place on disk. Says why it did not, where a rollback goes on without. */
  #keep(prepared: Prepared, via: string): string | null {
    const { store } = this.#tools
    const { stageFault, request, change } = prepared
    const isBack = goesBack(request)
    try {
      const fault = stageFault ?? this.#unlessBack(isBack, () => store.commit())
      if (fault !== null) this.#tellNotKept(change, fault)
      return fault
    } catch (error) {
      store.discard()
      const text = messageOf(error)
      this.#record('failed', prepared, via, `${change.id}: ${text}`, true)
      throw error
    }
  }

  #tellNotKept({ to }: PreparedChange, fault: string): void {
    const { revision, routing } = this.#kept
    this.#tools.log.error(
      { code: 'STATE_NOT_KEPT', revision: to.revision },
      `${fault}. The rollback is in effect all the same, but a restart of this instance would serve reads from ${routing.primary} at revision ${revision} again: mend the file, then zdm rollback once more`,
    )
  }

  /** Null where it is done; what went wrong where that must not hold a rollback up. */
  #unlessBack(isBack: boolean, work: () => void): string | null {
    try {
      work()
      return null
    } catch (error) {
      if (!isBack) throw error
      return messageOf(error)
    }
  }

  #record(
    event: AuditEntry['event'],
    { change, request }: Prepared,
    via: string,
    message: string,
    mayFail: boolean,
  ): void {
    const { id, from, to } = change
    const { transition, by, reason, force } = request
    const checks = [...(request.deployment ?? []), ...change.checks]
    const entry = { ...this.#blank(via), event, by, reason, from, to, checks, message }
    try {
      this.#tools.audit.append({ ...entry, changeId: id, verb: transition.verb, isForced: force })
    } catch (error) {
      if (!mayFail) throw error
      this.#complain(event, error)
    }
  }

  #blank(via: string): AuditEntry {
    const at = new Date(this.#tools.clock.wallMs()).toISOString()
    const texts = { changeId: '', by: '', via, reason: '', message: '' }
    const nothing = { verb: null, isForced: false, from: null, to: null, checks: [] }
    return { at, instance: this.#tools.name, event: 'begun', ...texts, ...nothing }
  }

  #current(): Prepared | null {
    const prepared = this.#prepared
    if (prepared === null || this.#tools.clock.now() < prepared.deadlineMs) return prepared
    this.#drop(prepared, `not committed within ${PREPARED_FOR_MS / 1000} s`)
    return null
  }

  #inProgress(): ControlError {
    const by = (this.#attempt ?? this.#prepared)?.request.by || 'somebody'
    return new ControlError(
      ControlErrorCode.CHANGE_IN_PROGRESS,
      `${this.#tools.name}: a change by ${by} is being made; wait for it, ${PREPARED_FOR_MS / 1000} s at most`,
    )
  }

  #complain(event: AuditEntry['event'], error: unknown): void {
    const { log } = this.#tools
    const text = messageOf(error)
    if (event !== 'refused') log.error({ code: 'CHANGE_NOT_RECORDED' }, `${event}, but ${text}`)
    else log.warn({ code: 'AUDIT_NOT_WRITTEN' }, `a refused attempt is in no file: ${text}`)
  }
}

/** A rollback, or following one: nothing but its checks may hold that up. */
const goesBack = ({ transition }: PrepareRequest): boolean =>
  transition.verb === 'rollback' ||
  (transition.verb === 'align' && transition.state.phase === 'rolled-back')

const discarded = (id: string, by: string): ControlError =>
  new ControlError(
    ControlErrorCode.CHANGE_DISCARDED,
    `the change ${id} was discarded: a rollback by ${by} took its place; look again`,
  )

const describeChange = (
  from: MigrationState,
  to: MigrationState,
  { inFlight, waitedMs, remaining }: Quiescence,
): string => {
  const { primary, readMode, writeMode } = to.routing
  const rest = remaining === 0 ? '' : `; ${remaining} of them are not answered yet`
  return `${from.phase} → ${to.phase}, revision ${to.revision}: reads from ${primary}, ${readMode}, writes ${writeMode}; the last of ${inFlight} requests routed before was answered ${Math.round(waitedMs)} ms later${rest}`
}
