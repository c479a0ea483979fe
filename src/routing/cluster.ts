/** The two clusters of a migration. Small numbers, so that they index arrays on the request path. */

export const Cluster = { ORIGIN: 0, TARGET: 1 } as const
export type Cluster = (typeof Cluster)[keyof typeof Cluster]

export const CLUSTERS: readonly Cluster[] = [Cluster.ORIGIN, Cluster.TARGET]

/** As people read it, in errors and logs. */
export const clusterName = (cluster: Cluster): 'Origin' | 'Target' =>
  cluster === Cluster.ORIGIN ? 'Origin' : 'Target'

/** As metrics label it. */
export const clusterLabel = (cluster: Cluster): 'origin' | 'target' =>
  cluster === Cluster.ORIGIN ? 'origin' : 'target'

export const otherCluster = (cluster: Cluster): Cluster =>
  cluster === Cluster.ORIGIN ? Cluster.TARGET : Cluster.ORIGIN
