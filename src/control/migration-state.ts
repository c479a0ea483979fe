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
  /** When an operator last recorded that both clusters were compared and made equal. */
  readonly reconciledAt: string | null
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
  reconciledAt: null,
})

/** Whether the routing is the one that the phase stands for. */
export const hasPhaseRouting = (state: MigrationState): boolean =>
  isSameRouting(state.routing, PHASE_TABLE[state.phase].routing)

export const clusterOf = (word: ClusterWord): Cluster =>
  word === 'ORIGIN' ? Cluster.ORIGIN : Cluster.TARGET

export const clusterWord = (cluster: Cluster): ClusterWord =>
  cluster === Cluster.ORIGIN ? 'ORIGIN' : 'TARGET'

/** As the data planes take it. Who answers reads of system tables is a setting, and stays. */
export const routingStateOf = (state: MigrationState, systemQueries: Cluster): RoutingState => ({
  revision: state.revision,
  primary: clusterOf(state.routing.primary),
  readMode: state.routing.readMode,
  writeMode: state.routing.writeMode,
  systemQueries,
})
