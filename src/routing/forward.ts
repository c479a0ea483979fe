/**
 * Where a request goes (request-path §2.2, §2.3): statement class × routing state → forward decision.
 * Pure and total.
 */
import { StatementClass } from '../statement/classify.ts'
import { Cluster } from './cluster.ts'
import type { RoutingState } from './routing-state.ts'

export const ForwardDecision = {
  ORIGIN: Cluster.ORIGIN,
  TARGET: Cluster.TARGET,
  BOTH: 2,
  /** The proxy answers itself. */
  PROXY: 3,
  /** What would go to both goes to one, because the write mode says so. */
  ORIGIN_ONLY: 4,
  TARGET_ONLY: 5,
} as const
export type ForwardDecision = (typeof ForwardDecision)[keyof typeof ForwardDecision]

/**
 * The decision for everything that changes something: BATCH, PREPARE and USE too. What one cluster alone
 * is to get, the other is not asked about at all: whoever leaves may have switched it off.
 */
export const writeDecision = (routing: RoutingState): ForwardDecision => {
  if (routing.writeMode === 'both') return ForwardDecision.BOTH
  return routing.writeMode === 'origin_only'
    ? ForwardDecision.ORIGIN_ONLY
    : ForwardDecision.TARGET_ONLY
}

/** The cluster that serves alone, or null while writes go to both. */
export const onlyCluster = (routing: RoutingState): Cluster | null => {
  if (routing.writeMode === 'both') return null
  return routing.writeMode === 'origin_only' ? Cluster.ORIGIN : Cluster.TARGET
}

/**
 * The decision for a QUERY, or for an EXECUTE of what was prepared from such a statement. What is
 * not known to be a read goes to both clusters: a write that reaches one only is lost data, a read
 * that reaches both only costs.
 */
export const forwardDecision = (
  statementClass: StatementClass,
  routing: RoutingState,
): ForwardDecision => {
  switch (statementClass) {
    case StatementClass.READ:
      return routing.primary
    case StatementClass.TRACE_READ:
      // A request's tracing id is that of the cluster whose answer the client got.
      return onlyCluster(routing) ?? routing.primary
    case StatementClass.SYSTEM_READ:
      return onlyCluster(routing) ?? routing.systemQueries
    case StatementClass.VIRTUAL_READ:
    case StatementClass.INSIGHTS_CALL:
      return ForwardDecision.PROXY
    default:
      return writeDecision(routing)
  }
}
