/**
 * The switch of one instance: the migration's state, and its change in two halves, prepare and commit, so
 * that several instances change as one (coordinate.ts). A prepared change is checked and on disk already;
 * its commit is a rename, the new routing, and the wait for what was routed the old way.
 *
 *   idle ──prepare: revision and checks fit──► prepared ──commit──► idle, at the new revision
 *                                                 └── abort, or 30 s ──► idle
 */
import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import { messageOf } from '../message-of.ts'
import type { AuditLog } from './audit-log.ts'
import { type Evidence, hasFailed, runChecks } from './checks.ts'
import { ControlError, ControlErrorCode } from './errors.ts'
import type { MigrationState } from './migration-state.ts'
import type { CheckId } from './phase.ts'
import type {
  AuditEntry,
  CheckResult,
  CommittedChange,
  PendingChange,
  PreparedChange,
  PrepareRequest,
  Quiescence,
  Requester,
  Verb,
} from './report.ts'
import type { StateStore } from './state-store.ts'
import { resultOf } from './transitions.ts'

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
  readonly deadlineMs: number
  /** Whether the state is staged on disk; a forced rollback goes on without. */
  readonly isStaged: boolean
}

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
  #isBusy = false
  #lastQuiescence: Quiescence | null = null

  constructor(state: MigrationState, tools: SwitchTools) {
    this.#state = state
    this.#tools = tools
  }

  get state(): MigrationState {
    return this.#state
  }

  get isStateKept(): boolean {
    return this.#tools.store.isKept
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
    if (this.#isBusy || this.#current() !== null) throw this.#inProgress()
    this.#isBusy = true
    try {
      return await this.#prepare(request, via)
    } finally {
      this.#isBusy = false
    }
  }

  /** Throws CHANGE_UNKNOWN, STATE_NOT_WRITTEN or AUDIT_NOT_WRITTEN; nothing is changed then. */
  async commit(id: string, via: string): Promise<CommittedChange> {
    const prepared = this.#current()
    if (prepared === null || prepared.change.id !== id) {
      throw new ControlError(
        ControlErrorCode.CHANGE_UNKNOWN,
        `no change ${id} is prepared here: it was committed, aborted, or is older than ${PREPARED_FOR_MS / 1000} s`,
      )
    }
    const { change, request } = prepared
    this.#prepared = null
    this.#makeDurable(prepared, via)
    this.#state = change.to
    this.#changes[request.transition.verb]++
    const quiescence = await this.#apply(prepared, via)
    this.#lastQuiescence = quiescence
    const text = describeChange(change.from, change.to, quiescence)
    this.#record('committed', prepared, via, text, true)
    this.#tools.log.warn(
      { code: 'ROUTING_CHANGED', from: change.from, to: change.to, ...quiescence },
      text,
    )
    return { state: change.to, quiescence }
  }

  async #apply(prepared: Prepared, via: string): Promise<Quiescence> {
    try {
      return await this.#tools.apply(prepared.change.to)
    } catch (error) {
      this.#record('committed', prepared, via, `not by all threads: ${messageOf(error)}`, true)
      throw error
    }
  }

  abort(id: string): void {
    if (this.#prepared?.change.id !== id) return
    if (this.#prepared.isStaged) this.#tools.store.discard()
    this.#prepared = null
  }

  /**
   * Takes over what the others of the deployment have changed while this instance was down. Where that cannot
   * be written down it is done all the same, and said: an older state would read from the wrong cluster.
   */
  async adopt(state: MigrationState, via: string): Promise<void> {
    const { store, audit, log, apply } = this.#tools
    const before = this.#state
    // A change that reaches this instance meanwhile brings it further than this would.
    const isOvertaken = this.#isBusy || this.#current() !== null
    if (isOvertaken || state.revision <= before.revision) return
    const { phase, revision, routing, changedAt, changedBy: by, reason } = state
    const text = `changed while this instance was down: ${before.phase}, revision ${before.revision} → ${phase}, revision ${revision}, reads from ${routing.primary}, as ${by || 'somebody'} changed it at ${changedAt} on ${via}`
    try {
      store.stage(state)
      const states = { from: before, to: state }
      audit.append({ ...this.#blank(via), event: 'adopted', by, reason, ...states, message: text })
      store.commit()
    } catch (error) {
      store.discard()
      this.#complain(error)
    }
    this.#state = state
    await apply(state)
    log.warn({ code: 'STATE_ADOPTED', from: before, to: state }, text)
  }

  /** Both clusters were compared and made equal. */
  reconciled(at: string, { by, reason }: Omit<Requester, 'force'>, via: string): void {
    if (this.#isBusy || this.#current() !== null) throw this.#inProgress()
    const before = this.#state
    const state = { ...before, reconciledAt: at }
    this.#tools.store.stage(state)
    const text = `${by || 'somebody'} recorded that both clusters were compared and made equal`
    this.#tools.audit.append({
      ...this.#blank(via),
      event: 'reconciled',
      by,
      reason,
      from: before,
      to: state,
      message: text,
    })
    this.#tools.store.commit()
    this.#state = state
    this.#tools.log.info({ code: 'RECONCILED', by }, text)
  }

  /** For what is worth a line but changes no state. */
  note(event: 'log-level', { by, reason }: Omit<Requester, 'force'>, via: string, message: string) {
    this.#tools.audit.append({ ...this.#blank(via), event, by, reason, message })
  }

  async #prepare(request: PrepareRequest, via: string): Promise<PreparedChange> {
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
    const { phase, rolledBackFrom, routing } = result.kind === 'change' ? result.to : from
    const changedAt = new Date(clock.wallMs()).toISOString()
    const { reconciledAt } = from
    const changed = { changedAt, changedBy: by, reason, reconciledAt }
    const to = { revision, phase, rolledBackFrom, routing, ...changed }
    const checks =
      result.kind === 'change'
        ? runChecks(result.checks, await this.#tools.evidence(), from, to, name)
        : []
    const expiresAt = new Date(clock.wallMs() + PREPARED_FOR_MS).toISOString()
    const change = { id: newId(), from, to, checks, expiresAt }
    const prepared = { change, request, deadlineMs: clock.now() + PREPARED_FOR_MS }
    this.#refuseIfFailed({ ...prepared, isStaged: false }, via)
    this.#prepared = { ...prepared, isStaged: this.#stage(to, request) }
    return change
  }

  #refuseIfFailed(prepared: Prepared, via: string): void {
    const { checks } = prepared.change
    if (!hasFailed(checks)) return
    const failed = checks.filter(({ outcome }) => outcome === 'fail')
    for (const { id } of failed) this.#failedChecks.set(id, (this.#failedChecks.get(id) ?? 0) + 1)
    if (prepared.request.force) return
    const text = `refused: ${failed.map(({ id, evidence, remedy }) => `${id}: ${evidence}; ${remedy}`).join('. ')}`
    this.#record('refused', prepared, via, text, true)
    throw new ControlError(ControlErrorCode.CHECKS_FAILED, text, { checks })
  }

  /** A forced rollback is not held up by a full disk; everything else is. */
  #stage(to: MigrationState, { transition, force }: PrepareRequest): boolean {
    try {
      this.#tools.store.stage(to)
      return true
    } catch (error) {
      if (transition.verb !== 'rollback' || !force) throw error
      this.#complain(error)
      return false
    }
  }

  #makeDurable(prepared: Prepared, via: string): void {
    const { store } = this.#tools
    const { isStaged, request, change } = prepared
    const mayGoOn = request.transition.verb === 'rollback' && request.force
    try {
      this.#record('begun', prepared, via, 'begun', mayGoOn)
      if (isStaged) store.commit()
    } catch (error) {
      if (mayGoOn) {
        this.#complain(error)
        return
      }
      store.discard()
      const text = messageOf(error)
      this.#record('failed', prepared, via, `${change.id}: ${text}`, true)
      throw error
    }
  }

  #record(
    event: AuditEntry['event'],
    { change, request }: Prepared,
    via: string,
    message: string,
    mayFail: boolean,
  ): void {
    const { id, from, to, checks } = change
    const { transition, by, reason, force } = request
    const entry = { ...this.#blank(via), event, by, reason, from, to, checks, message }
    try {
      this.#tools.audit.append({ ...entry, changeId: id, verb: transition.verb, isForced: force })
    } catch (error) {
      if (!mayFail) throw error
      this.#complain(error)
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
    this.abort(prepared.change.id)
    return null
  }

  #inProgress(): ControlError {
    const by = this.#prepared?.request.by || 'somebody'
    return new ControlError(
      ControlErrorCode.CHANGE_IN_PROGRESS,
      `${this.#tools.name}: a change by ${by} is being made; wait for it, ${PREPARED_FOR_MS / 1000} s at most`,
    )
  }

  #complain(error: unknown): void {
    const text = messageOf(error)
    this.#tools.log.error({ code: 'CHANGE_NOT_RECORDED', error }, text)
  }
}

const describeChange = (
  from: MigrationState,
  to: MigrationState,
  { inFlight, waitedMs, remaining }: Quiescence,
): string => {
  const { primary, readMode, writeMode } = to.routing
  const rest = remaining === 0 ? '' : `; ${remaining} of them are not answered yet`
  return `${from.phase} → ${to.phase}, revision ${to.revision}: reads from ${primary}, ${readMode}, writes ${writeMode}; the last of ${inFlight} requests routed before was answered ${Math.round(waitedMs)} ms later${rest}`
}

/** Whether any result of these is worth telling. */
export const notPassed = (checks: readonly CheckResult[]): readonly CheckResult[] =>
  checks.filter(({ outcome }) => outcome !== 'pass')
