/** What readiness is made of: an instance as it is now, in the words of admin/readiness.ts. */
import { type Readiness, readinessOf } from '../admin/readiness.ts'
import { detailsOf, type ReadinessDetails } from '../admin/readiness-details.ts'
import type { Clock } from '../clock.ts'
import { publicText } from '../cluster/permanent-failure.ts'
import { Cluster, clusterName } from '../routing/cluster.ts'
import type { ProxyInstance } from './instance.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const MS_PER_SECOND = 1000

const iso = (wallMs: number): string => new Date(wallMs).toISOString()

export const readinessNow = (instance: ProxyInstance): Readiness => {
  const { heartbeatFailureThreshold, readinessPolicy } = instance.settings
  return readinessOf(
    instance.phase,
    instance.health(Cluster.ORIGIN),
    instance.health(Cluster.TARGET),
    heartbeatFailureThreshold,
    readinessPolicy === 'both' ? null : instance.routing.primary,
  )
}

const clusterNow = (instance: ProxyInstance, cluster: Cluster) => {
  const health = instance.health(cluster)
  const trouble = health?.trouble ?? null
  return {
    name: clusterName(cluster),
    trouble: trouble && { since: iso(trouble.sinceMs), why: publicText(trouble.cause) },
    nodesDown: health?.nodesDown ?? [],
  }
}

const startNow = ({ startTrouble }: ProxyInstance) =>
  startTrouble && { ...startTrouble, since: iso(startTrouble.sinceMs) }

export const readinessDetailsNow = (instance: ProxyInstance, clock: Clock): ReadinessDetails =>
  detailsOf(readinessNow(instance), {
    phase: instance.phase,
    start: startNow(instance),
    origin: clusterNow(instance, Cluster.ORIGIN),
    target: clusterNow(instance, Cluster.TARGET),
    isStuck: instance.stuckThreads > 0,
    isMirroringReads: instance.routing.readMode !== 'PRIMARY_ONLY',
    clients: instance.clients,
    certificates: instance.certificates.expiries.map(({ leg, role, expiresAtSeconds }) => ({
      name: `The ${role} of the leg ${leg}`,
      daysLeft: (expiresAtSeconds * MS_PER_SECOND - clock.wallMs()) / DAY_MS,
    })),
  })
