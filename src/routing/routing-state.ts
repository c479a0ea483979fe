/**
 * The one thing that decides where requests go (architecture §2.5). An immutable snapshot: a request
 * is routed by one of them from beginning to end.
 */
import type { Cluster } from './cluster.ts'

export type RoutingState = {
  /** Counts the changes; 0 is what the settings said at the start. */
  readonly revision: number
  /** Serves the reads of user keyspaces; its answer is the client's when both clusters succeed. */
  readonly primary: Cluster
  readonly readMode: 'PRIMARY_ONLY'
  /** Serves reads of system tables that the proxy does not answer itself. */
  readonly systemQueries: Cluster
}
