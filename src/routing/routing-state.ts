/**
 * The one thing that decides where requests go (architecture §2.5). An immutable snapshot: a request
 * is routed by one of them from beginning to end.
 */
import type { Cluster } from './cluster.ts'

/** PRIMARY_ONLY; or each read of a user keyspace goes to the secondary too, and nobody waits for it. */
export type ReadMode = 'PRIMARY_ONLY' | 'DUAL_ASYNC_ON_SECONDARY'

/** Where writes go. All but `both` end the safety net: they exist for leaving. */
export type WriteMode = 'both' | 'origin_only' | 'target_only'

export type RoutingState = {
  /** Counts the changes; 0 is what the settings said at the start. */
  readonly revision: number
  /** Serves the reads of user keyspaces; its answer is the client's when both clusters succeed. */
  readonly primary: Cluster
  readonly readMode: ReadMode
  readonly writeMode: WriteMode
  /** Serves reads of system tables that the proxy does not answer itself. */
  readonly systemQueries: Cluster
}
