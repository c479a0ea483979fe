/**
 * Which changes there are (migration-lifecycle §7): state × transition → the new state and what must be
 * checked before. Pure and total. Every transition names its end, so that doing it again changes nothing.
 */
import { ControlError } from './errors.ts'
import {
  hasPhaseRouting,
  type MigrationState,
  type Stamp,
  stateAfter,
  stateLike,
} from './migration-state.ts'
import {
  CATCH_UP_CHECKS,
  checksBetween,
  type EntryCheck,
  isSameRouting,
  PHASE_TABLE,
  type Phase,
  phaseRank,
  ROUTE_CHECKS,
} from './phase.ts'
import type { AlignedState, Transition } from './report.ts'

export type TransitionResult =
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'refused'; readonly message: string }
  | {
      readonly kind: 'change'
      readonly to: AlignedState
      readonly checks: readonly EntryCheck[]
    }

/** The whole state that a transition leads to, where it is not refused. */
export const nextState = (
  state: MigrationState,
  transition: Transition,
  result: Exclude<TransitionResult, { kind: 'refused' }>,
  stamp: Stamp,
): MigrationState =>
  transition.verb === 'align'
    ? stateLike(state, transition.state, stamp)
    : stateAfter(state, result.kind === 'change' ? result.to : state, stamp)

/** What a transition would do in this state, with the checks that must pass first; or why there is no such way. */
export const resultOf = (state: MigrationState, transition: Transition): TransitionResult => {
  switch (transition.verb) {
    case 'advance':
      return advance(state, transition.to)
    case 'rollback':
      return rollback(state, transition.from ?? state.phase)
    case 'route':
      return route(state, transition)
    case 'align':
      return { kind: 'change', to: transition.state, checks: alignChecks(state, transition.state) }
  }
}

const TARGET_READS = phaseRank('target-reads')

/**
 * Going back is checked as a rollback is. Going on is no way around the checks: only who has missed a
 * change, and is behind in revision, may follow those who made it.
 */
const alignChecks = (own: MigrationState, model: MigrationState): readonly EntryCheck[] => {
  const isOnward =
    phaseRank(model.phase) > phaseRank(own.phase) ||
    (model.routing.primary === 'TARGET' && own.routing.primary === 'ORIGIN')
  if (isOnward) {
    if (own.revision < model.revision) return CATCH_UP_CHECKS
    const isOutside = model.routing.primary === 'TARGET' && phaseRank(model.phase) < TARGET_READS
    return checksBetween(own.phase, isOutside ? 'target-reads' : model.phase)
  }
  return model.routing.primary === 'ORIGIN'
    ? PHASE_TABLE['rolled-back'].entryChecks
    : CATCH_UP_CHECKS
}

const advance = (state: MigrationState, to: Phase): TransitionResult => {
  const { phase, rolledBackFrom } = state
  if (to === phase && hasPhaseRouting(state)) return { kind: 'unchanged' }
  const { next } = PHASE_TABLE[phase]
  const { routing, entryChecks } = PHASE_TABLE[to]
  if (to !== phase && !next.includes(to)) {
    return { kind: 'refused', message: noWay(phase, to, next) }
  }
  if (to !== phase && !waysFrom(state).includes(to)) {
    return {
      kind: 'refused',
      message: `the rollback came from ${rolledBackFrom}, so that ${to} was never reached: advance to ${rolledBackFrom} at most, one phase at a time`,
    }
  }
  // A new attempt: what Target had before it is no evidence for it.
  const cameFrom = to === 'migrate' ? null : rolledBackFrom
  const place = { phase: to, rolledBackFrom: cameFrom, routing }
  return { kind: 'change', to: place, checks: entryChecks }
}

const noWay = (from: Phase, to: Phase, next: readonly Phase[]): string => {
  if (to === 'rolled-back') return 'to go back, use rollback: it is allowed from every phase'
  if (next.length === 0) return `${from} is the last phase: there is no way to ${to}`
  return `there is no way from ${from} to ${to}; from here it goes to ${next.join(' or ')}`
}

const rollback = (state: MigrationState, from: Phase): TransitionResult => {
  const { routing, entryChecks } = PHASE_TABLE['rolled-back']
  if (state.phase === 'rolled-back') {
    if (hasPhaseRouting(state)) return { kind: 'unchanged' }
    const { phase, rolledBackFrom } = state
    return { kind: 'change', to: { phase, rolledBackFrom, routing }, checks: entryChecks }
  }
  const to = { phase: 'rolled-back', rolledBackFrom: from, routing } as const
  return { kind: 'change', to, checks: entryChecks }
}

const route = (
  state: MigrationState,
  { routing }: Extract<Transition, { verb: 'route' }>,
): TransitionResult => {
  if (isSameRouting(routing, state.routing)) return { kind: 'unchanged' }
  const { primary, writeMode, readMode } = routing
  const only = writeMode === 'origin_only' ? 'ORIGIN' : 'TARGET'
  if (writeMode !== 'both' && primary !== only) {
    return {
      kind: 'refused',
      message: `write mode ${writeMode} with reads on ${primary}: reads would not see the writes; set the primary to ${only} first`,
    }
  }
  if (writeMode !== 'both' && readMode !== 'PRIMARY_ONLY') {
    return {
      kind: 'refused',
      message: `write mode ${writeMode} with ${readMode}: the other cluster lacks the writes; set PRIMARY_ONLY first`,
    }
  }
  const { phase, rolledBackFrom } = state
  return { kind: 'change', to: { phase, rolledBackFrom, routing }, checks: ROUTE_CHECKS }
}

/** Where `advance` may go from here, whatever the checks say; after a rollback back to where it had come, not beyond. */
export const waysFrom = ({ phase, rolledBackFrom }: MigrationState): readonly Phase[] => {
  const { next } = PHASE_TABLE[phase]
  if (phase !== 'rolled-back' || rolledBackFrom === null) return next
  return next.filter((to) => to === 'migrate' || phaseRank(to) <= phaseRank(rolledBackFrom))
}

/**
 * Where a bare `advance` goes from here. Throws NO_SUCH_WAY at the end, and after a rollback where the ways differ
 * in what they forget: whoever goes on says which.
 */
export const nextPhase = (state: MigrationState): Phase => {
  const { phase, reconciledAt } = state
  const [first, ...others] = waysFrom(state)
  const refuse = (text: string): ControlError => new ControlError('NO_SUCH_WAY', text)
  if (first === undefined) {
    throw refuse(
      `no phase follows ${phase}: zdm rollback puts reads back on Origin, zdm status shows where it stands`,
    )
  }
  if (phase !== 'rolled-back' || (others.length === 0 && reconciledAt === null)) return first
  const forgotten =
    reconciledAt === null ? '' : `, which forgets the reconciliation of ${reconciledAt}`
  const onward = others.map((to) => `zdm advance ${to}`).join(' or ')
  const choices = `zdm advance migrate begins a new attempt${forgotten}`
  throw refuse(
    `after a rollback the phase must be named: ${choices}${onward && `; ${onward} goes on with this one`}`,
  )
}
