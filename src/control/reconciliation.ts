/**
 * What an operator records of a comparison of both clusters, and what it makes of the state: which cluster
 * has the other's rows, up to when. Pure. Two steps, because a comparison takes hours and writes go on: only
 * what happened before it began is dealt with by it.
 */
import { describeLack, type Lack, type MigrationState, missingOfAll } from './migration-state.ts'
import type { Phase } from './phase.ts'
import type { Reconciliation } from './report.ts'

export type Into = 'origin' | 'target'

const COMMANDS = { origin: 'zdm reconciled --into origin', target: 'zdm reconciled' } as const
const WRITTEN = {
  origin: 'Target’s rows written into Origin',
  target: 'Origin’s rows written into Target',
} as const
const ROWS = { origin: 'Target’s rows into Origin', target: 'Origin’s rows into Target' } as const

/** What to do so that a cluster has what the other has. */
export const bringInto = (into: Into): string =>
  `zdm reconciled --begin, compare and write ${ROWS[into]}, then ${COMMANDS[into]}`

export const originIsLacking = (lack: Lack): string =>
  `writes went to Target only ${describeLack(lack)}, and Origin lacks them`

export const targetIsLacking = (lack: Lack): string =>
  `writes went to Origin only ${describeLack(lack)}, and Target lacks them`

export const unknownSince = (cutOverAt: string): string =>
  `clients may have written to Target directly since ${cutOverAt}: whether Origin has every write is unknown, for no proxy has seen those`

export const DIRECT_WRITES_REMEDY = `find out whether any client has written to Target directly. If one has: ${bringInto('origin')}. Do not empty Target: it may have the only copy`

/** Why Origin may lack writes, beside those that were counted; a sentence each, for all instances together. */
export const doubtsAbout = (states: readonly MigrationState[]): readonly string[] => {
  const { originLacks, cutOverAt } = missingOfAll(states)
  return [
    ...(originLacks === null ? [] : [originIsLacking(originLacks)]),
    ...(cutOverAt === null ? [] : [unknownSince(cutOverAt)]),
  ]
}

/** All that is known or suspected to be missing on either cluster, a sentence each. */
export const lackingIn = (states: readonly MigrationState[]): readonly string[] => {
  const { targetLacks } = missingOfAll(states)
  return [...doubtsAbout(states), ...(targetLacks === null ? [] : [targetIsLacking(targetLacks)])]
}

/** What entering a phase forgets of what was recorded, a sentence; null where nothing. */
export const forgottenBy = (
  { phase, reconciledAt }: Pick<MigrationState, 'phase' | 'reconciledAt'>,
  to: Phase,
): string | null =>
  to !== 'migrate' || phase === 'migrate' || reconciledAt === null
    ? null
    : `a new attempt begins: the reconciliation of ${reconciledAt} counts no more`

type Fault = { readonly fault: string }

const isBeforeMigrate = ({ phase, rolledBackFrom }: MigrationState): boolean =>
  phase === 'connect' || (phase === 'rolled-back' && rolledBackFrom === 'connect')

const begin = (state: MigrationState, at: string): MigrationState | Fault =>
  state.routing.writeMode === 'both'
    ? { ...state, comparisonBegunAt: at }
    : {
        fault: `writes go to one cluster alone (${state.routing.writeMode}), so that the comparison would be outdated at once: zdm set write-mode both first`,
      }

const done = (
  state: MigrationState,
  { at, into, since }: Extract<Reconciliation, { step: 'done' }>,
): MigrationState | Fault => {
  const asOf = since ?? state.comparisonBegunAt
  const lack = into === 'target' ? state.targetLacks : state.originLacks
  if (into === 'target' && isBeforeMigrate(state)) {
    return {
      fault: `in ${state.phase} some clients still write to Origin alone, so that nothing can be equal yet: zdm advance migrate, then copy and compare`,
    }
  }
  if (into === 'origin' && state.phase === 'cut-over') {
    return {
      fault:
        'in cut-over clients may write to Target directly at any time, so that Origin cannot be complete: zdm rollback first',
    }
  }
  if (asOf === null) {
    return {
      fault: `no beginning of a comparison is recorded, so that nobody knows which failed writes it has met: ${bringInto(into)}. If it has been made already, say when it began: ${COMMANDS[into]} --since 2026-01-31T03:00:00Z (or --since now, if nothing has been written meanwhile)`,
    }
  }
  if (asOf > at) return { fault: `the comparison cannot have begun at ${asOf}: it is ${at} now` }
  if (lack !== null && (lack.until === null || asOf < lack.until)) {
    const why =
      lack.until === null
        ? 'they still do: zdm set write-mode both first'
        : `the comparison began before, at ${asOf}: make it anew`
    const text = into === 'target' ? targetIsLacking(lack) : originIsLacking(lack)
    return { fault: `${text}; ${why}` }
  }
  if (into === 'origin') return { ...state, originLacks: null, cutOverAt: null }
  const before = state.reconciledAt
  const reconciledAt = before !== null && before > asOf ? before : asOf
  return { ...state, reconciledAt, targetLacks: null }
}

/** The state with it, or why it cannot be recorded. Doing it again changes nothing. */
export const recordReconciliation = (
  state: MigrationState,
  reconciliation: Reconciliation,
): MigrationState | Fault =>
  reconciliation.step === 'begin' ? begin(state, reconciliation.at) : done(state, reconciliation)

/** When the comparison began that this is about, given the state before it. */
export const beganAt = (state: MigrationState, reconciliation: Reconciliation): string => {
  const { step, at } = reconciliation
  return step === 'begin' ? at : (reconciliation.since ?? state.comparisonBegunAt ?? at)
}

export const describeReconciliation = (by: string, reconciliation: Reconciliation): string => {
  const who = by || 'somebody'
  if (reconciliation.step === 'begin') return `${who} begins to compare both clusters`
  const { into, since } = reconciliation
  const began = since === null ? '' : `, as of ${since}`
  return `${who} recorded that both clusters were compared, and ${WRITTEN[into]}${began}`
}
