/**
 * Whose answer the client gets when both clusters were asked (request-path §5.1). Pure and total.
 */
import { Cluster } from './cluster.ts'

/** What one cluster's answer was, as far as the outcome depends on it. */
export const Answer = { SUCCESS: 0, ERROR: 1 } as const
export type Answer = (typeof Answer)[keyof typeof Answer]

/**
 * The cluster whose answer is returned. `preferred` is the one whose success counts: the primary, and
 * for PREPARE always Origin, since the client only ever sees Origin's statement ids. A failure always
 * wins; when both failed it is Origin's, whatever the primary.
 */
export const returnedCluster = (origin: Answer, target: Answer, preferred: Cluster): Cluster => {
  if (origin === Answer.ERROR) return Cluster.ORIGIN
  if (target === Answer.ERROR) return Cluster.TARGET
  return preferred
}
