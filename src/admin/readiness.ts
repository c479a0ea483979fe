/**
 * What /health/readiness says, and its bytes (operations §4). Pure: the phase and the two clusters' health
 * come in as arguments. DRAINING is ours: the Go proxy says UP until its last client is gone, so that
 * load balancers go on sending it clients that it refuses (operations §11, H3).
 */

import type { Cluster } from '../routing/cluster.ts'
import type { ReadinessDetails } from './readiness-details.ts'

export type ReadinessStatus = 'STARTUP' | 'UP' | 'DOWN' | 'DRAINING'

export type ClusterReadiness = {
  readonly Addr: string
  readonly CurrentFailureCount: number
  readonly FailureCountThreshold: number
  readonly Status: 'UP' | 'DOWN'
}

/** Keys in the order and the spelling of the body. */
export type Readiness = {
  readonly OriginStatus: ClusterReadiness | null
  readonly TargetStatus: ClusterReadiness | null
  readonly Status: ReadinessStatus
}

export type ReadinessPhase = 'starting' | 'running' | 'draining' | 'stopped'

/** A control connection: where it leads, and its failures in a row. */
export type ObservedHealth = { readonly endpoint: string | null; readonly failures: number }

const NEVER_CONNECTED = 'NOT_CONNECTED'

const clusterReadiness = (
  health: ObservedHealth | null,
  failureThreshold: number,
): ClusterReadiness | null =>
  health === null
    ? null
    : {
        Addr: health.endpoint ?? NEVER_CONNECTED,
        CurrentFailureCount: health.failures,
        FailureCountThreshold: failureThreshold,
        Status: health.failures >= failureThreshold ? 'DOWN' : 'UP',
      }

const STARTUP: Readiness = { OriginStatus: null, TargetStatus: null, Status: 'STARTUP' }

/**
 * A cluster's health is null before the first start attempt has succeeded. `failureThreshold` is
 * heartbeat_failure_threshold. `needed` is the one cluster that must be reached; null: both. After the drain the answer is that of a start, as the Go proxy's is (operations §2.3).
 */
export const readinessOf = (
  phase: ReadinessPhase,
  origin: ObservedHealth | null,
  target: ObservedHealth | null,
  failureThreshold: number,
  needed: Cluster | null = null,
): Readiness => {
  const clusters = {
    OriginStatus: clusterReadiness(origin, failureThreshold),
    TargetStatus: clusterReadiness(target, failureThreshold),
  }
  if (phase === 'draining') return { ...clusters, Status: 'DRAINING' }
  const { OriginStatus, TargetStatus } = clusters
  if (phase !== 'running' || OriginStatus === null || TargetStatus === null) return STARTUP
  const isUp = [OriginStatus, TargetStatus].every(
    ({ Status }, cluster) => Status === 'UP' || (needed !== null && cluster !== needed),
  )
  return { OriginStatus, TargetStatus, Status: isUp ? 'UP' : 'DOWN' }
}

export const isReady = (readiness: Readiness): boolean => readiness.Status === 'UP'

const orderedCluster = (cluster: ClusterReadiness | null): ClusterReadiness | null =>
  cluster === null
    ? null
    : {
        Addr: cluster.Addr,
        CurrentFailureCount: cluster.CurrentFailureCount,
        FailureCountThreshold: cluster.FailureCountThreshold,
        Status: cluster.Status,
      }

/**
 * The body: no whitespace, and the keys in the Go proxy's order however the object was made. Details come
 * behind, and only where they were asked for.
 */
export const renderReadiness = (
  { OriginStatus, TargetStatus, Status }: Readiness,
  details: ReadinessDetails | null = null,
): string =>
  JSON.stringify({
    OriginStatus: orderedCluster(OriginStatus),
    TargetStatus: orderedCluster(TargetStatus),
    Status,
    ...(details === null ? {} : { Reason: details.Reason, Degraded: details.Degraded }),
  })
