/**
 * What an instance knows of the migration: its phase, how it routes, and how it came to be so. This is
 * what the state file keeps (state-store.ts) and what the instances of a deployment must have alike.
 */

import { Cluster } from '../routing/cluster.ts'
import type { RoutingState } from '../routing/routing-state.ts'
import { type ClusterWord, isSameRouting, PHASE_TABLE, type Phase, type Routing } from './phase.ts'

export type MigrationState = {
  /** Counts the changes of the deployment; 0 is what the settings said. */
  readonly revision: number
  readonly phase: Phase
  /** The phase that the last rollback left; null where none has been rolled back since the start. */
  readonly rolledBackFrom: Phase | null
  readonly routing: Routing
  /** ISO 8601, as are all times here. */
  readonly changedAt: string
  readonly changedBy: string
  readonly reason: string
  /**
   * Until when Target has Origin's rows: the beginning of the comparison that an operator recorded last.
   * Null in a new attempt.
   */
  readonly reconciledAt: string | null
  /** When the comparison began that an operator has not recorded the end of, or recorded last. */
  readonly comparisonBegunAt: string | null
  /** The writes that went to Target alone and were not brought to Origin since. */
  readonly originLacks: Lack | null
  /** The writes that went to Origin alone and were not brought to Target since. */
  readonly targetLacks: Lack | null
  /**
   * Since when clients may have written to Target directly, which no proxy has seen (migration-lifecycle
   * §6.3); null where they never could, or Origin was made complete since.
   */
  readonly cutOverAt: string | null
}

/** A time in which one cluster got no writes. */
export type Lack = {
  readonly since: string
  /** Null: it gets none still. */
  readonly until: string | null
}

/** What outlives every change of phase and routing: it is about the data, not about where requests go. */
export type Memory = Pick<
  MigrationState,
  'reconciledAt' | 'comparisonBegunAt' | 'originLacks' | 'targetLacks' | 'cutOverAt'
>

const NOTHING_REMEMBERED: Memory = {
  reconciledAt: null,
  comparisonBegunAt: null,
  originLacks: null,
  targetLacks: null,
  cutOverAt: null,
}

/** The phase that fits a routing which no phase has been recorded for. */
const phaseOf = (routing: Routing): Phase => {
  if (routing.primary === 'TARGET') return 'target-reads'
  return routing.readMode === 'PRIMARY_ONLY' ? 'connect' : 'dual-read'
}

/** What the settings alone say. */
export const firstState = (routing: Routing, startedAt: string): MigrationState => ({
  revision: 0,
  phase: phaseOf(routing),
  rolledBackFrom: null,
  routing,
  changedAt: startedAt,
  changedBy: 'settings',
  reason: '',
  ...NOTHING_REMEMBERED,
})

type Place = Pick<MigrationState, 'phase' | 'rolledBackFrom' | 'routing'>
/** What a change writes beside what it changes. */
export type Stamp = Pick<MigrationState, 'revision' | 'changedAt' | 'changedBy' | 'reason'>

const lackAfter = (lack: Lack | null, isMissing: boolean, at: string): Lack | null => {
  if (isMissing) return { since: lack?.since ?? at, until: null }
  return lack === null || lack.until !== null ? lack : { ...lack, until: at }
}

/** What is known to be missing, or follows from the routing alone. */
const lackIn = (
  { routing, changedAt }: Pick<MigrationState, 'routing' | 'changedAt'>,
  writeMode: Routing['writeMode'],
  known: Lack | null = null,
): Lack | null =>
  known ?? (routing.writeMode === writeMode ? { since: changedAt, until: null } : null)

/** What was remembered, and what a change to `place` adds to it or takes from it. */
const memoryAfter = (from: MigrationState, place: Place, at: string): Memory => {
  const { originLacks, targetLacks, cutOverAt } = from
  const { writeMode } = place.routing
  const isNewAttempt = place.phase === 'migrate' && from.phase !== 'migrate'
  const isBackFromCutOver = from.phase === 'cut-over' && place.phase !== 'cut-over'
  return {
    // Target may have been emptied since, and what was found equal was another content.
    reconciledAt: isNewAttempt ? null : from.reconciledAt,
    // A comparison that began while clients wrote to Target directly does not cover them.
    comparisonBegunAt: isNewAttempt || isBackFromCutOver ? null : from.comparisonBegunAt,
    originLacks: lackAfter(
      lackIn(from, 'target_only', originLacks),
      writeMode === 'target_only',
      at,
    ),
    targetLacks: lackAfter(
      lackIn(from, 'origin_only', targetLacks),
      writeMode === 'origin_only',
      at,
    ),
    cutOverAt: place.phase === 'cut-over' ? (cutOverAt ?? at) : cutOverAt,
  }
}

/** The state that a change leads to. */
export const stateAfter = (from: MigrationState, place: Place, stamp: Stamp): MigrationState => {
  const { phase, rolledBackFrom, routing } = place
  const memory = memoryAfter(from, place, stamp.changedAt)
  return { ...stamp, phase, rolledBackFrom, routing, ...memory }
}

const earlier = (a: string | null, b: string | null): string | null => {
  if (a === null || b === null) return a ?? b
  return a < b ? a : b
}

/** Both, as one: it ends with the later end, and not at all where one has not ended. */
const joined = (a: Lack | null, b: Lack | null): Lack | null => {
  if (a === null || b === null) return a ?? b
  const since = a.since < b.since ? a.since : b.since
  if (a.until === null || b.until === null) return { since, until: null }
  return { since, until: a.until > b.until ? a.until : b.until }
}

type Missing = Pick<Memory, 'originLacks' | 'targetLacks' | 'cutOverAt'>

/** What any of several instances knows to be missing is missing. */
export const missingOfAll = (all: readonly Missing[]): Missing =>
  all.reduce<Missing>(
    (sum, one) => ({
      originLacks: joined(sum.originLacks, one.originLacks),
      targetLacks: joined(sum.targetLacks, one.targetLacks),
      cutOverAt: earlier(sum.cutOverAt, one.cutOverAt),
    }),
    NOTHING_REMEMBERED,
  )

/** The state of another instance taken over. */
export const stateLike = (
  own: MigrationState,
  model: MigrationState,
  stamp: Stamp,
): MigrationState => {
  const known = {
    ...own,
    reconciledAt: model.reconciledAt,
    comparisonBegunAt: model.comparisonBegunAt,
    ...missingOfAll([own, model]),
  }
  // No attempt begins by it.
  return stateAfter({ ...known, phase: model.phase }, model, stamp)
}

/** What an older release has kept, with what it did not know of made up for the worse. */
export const completed = (
  kept: Omit<MigrationState, keyof Memory> & Partial<Memory>,
): MigrationState => {
  const { phase, rolledBackFrom, changedAt } = kept
  const wasDirect = phase === 'cut-over' || rolledBackFrom === 'cut-over'
  return {
    ...NOTHING_REMEMBERED,
    originLacks: lackIn(kept, 'target_only'),
    targetLacks: lackIn(kept, 'origin_only'),
    cutOverAt: wasDirect ? changedAt : null,
    ...kept,
  }
}

/** "since 12:00 until 13:00", or "since 12:00" where it lasts. */
export const describeLack = ({ since, until }: Lack): string =>
  until === null ? `since ${since}` : `from ${since} to ${until}`

/** Whether the routing is the one that the phase stands for. */
export const hasPhaseRouting = (state: MigrationState): boolean =>
  isSameRouting(state.routing, PHASE_TABLE[state.phase].routing)

const clusterOf = (word: ClusterWord): Cluster =>
  word === 'ORIGIN' ? Cluster.ORIGIN : Cluster.TARGET

/** As the data planes take it. Who answers reads of system tables is a setting, and stays. */
export const routingStateOf = (state: MigrationState, systemQueries: Cluster): RoutingState => ({
  revision: state.revision,
  primary: clusterOf(state.routing.primary),
  readMode: state.routing.readMode,
  writeMode: state.routing.writeMode,
  systemQueries,
})
