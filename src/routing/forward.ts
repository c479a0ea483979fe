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
} as const
export type ForwardDecision = (typeof ForwardDecision)[keyof typeof ForwardDecision]

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
    case StatementClass.SYSTEM_READ:
      return routing.systemQueries
    case StatementClass.VIRTUAL_READ:
    case StatementClass.INSIGHTS_CALL:
      return ForwardDecision.PROXY
    default:
      return ForwardDecision.BOTH
  }
}
