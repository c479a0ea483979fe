/**
 * Why an instance is not ready, and what is not well although it is: the two fields that
 * `/health/readiness?details` adds (operations §11 H1, H3). Pure. Anybody may ask, so that nothing secret may
 * be in what comes in.
 */
import type { Readiness, ReadinessPhase } from './readiness.ts'

export type Trouble = { readonly since: string; readonly why: string }

export type ClusterCondition = {
  readonly name: 'Origin' | 'Target'
  /** What was tried last to reach it; null while there is a control connection. */
  readonly trouble: Trouble | null
  /** Of the nodes that this instance uses, those that the cluster says are down. */
  readonly nodesDown: readonly string[]
}

export type Condition = {
  readonly phase: ReadinessPhase
  /** Of a start that has failed so far. */
  readonly start: (Trouble & { readonly attempts: number }) | null
  readonly origin: ClusterCondition
  readonly target: ClusterCondition
  /** A thread does not answer. */
  readonly isStuck: boolean
  readonly isMirroringReads: boolean
  readonly clients: { readonly count: number; readonly max: number } | null
  readonly certificates: readonly { readonly name: string; readonly daysLeft: number }[]
}

export type ReadinessDetails = {
  /** One sentence; null where it is ready. */
  readonly Reason: string | null
  /** A sentence each. */
  readonly Degraded: readonly string[]
}

const EXPIRES_SOON_DAYS = 30

const away = ({ name, trouble }: ClusterCondition): string =>
  trouble === null
    ? `${name} cannot be reached.`
    : `${name} has not been reached since ${trouble.since}: ${trouble.why}.`

const startReason = ({ phase, start }: Condition): string => {
  if (phase === 'stopped') return 'The instance has stopped.'
  if (start === null) return 'The start is under way.'
  const { since, attempts, why } = start
  return `The start has been failing since ${since}, ${attempts} attempts so far; the last one: ${why}.`
}

const reasonOf = (readiness: Readiness, condition: Condition): string | null => {
  switch (readiness.Status) {
    case 'UP':
      return null
    case 'STARTUP':
      return startReason(condition)
    case 'DRAINING':
      return 'The instance was told to stop; requests in flight may end.'
    case 'DOWN': {
      const isDown = (status: Readiness['OriginStatus']): boolean => status?.Status === 'DOWN'
      return [
        ...(isDown(readiness.OriginStatus) ? [away(condition.origin)] : []),
        ...(isDown(readiness.TargetStatus) ? [away(condition.target)] : []),
      ].join(' ')
    }
  }
}

/** A cluster that is not well while the instance is ready all the same. */
const clusterDegraded = (
  cluster: ClusterCondition,
  status: Readiness['OriginStatus'],
  isReady: boolean,
  isMirroringReads: boolean,
): string[] => {
  const { name, trouble, nodesDown } = cluster
  const lines: string[] = []
  if (status?.Status === 'DOWN' && isReady) {
    lines.push(
      `${away(cluster)} Writes are refused${isMirroringReads ? ', no read is copied' : ''}.`,
    )
  } else if (status?.Status === 'UP' && trouble !== null) {
    lines.push(
      `The control connection to ${name} is lost since ${trouble.since}, and being opened again: ${trouble.why}.`,
    )
  }
  if (nodesDown.length > 0) lines.push(`${name} says that nodes are down: ${nodesDown.join(', ')}.`)
  return lines
}

const certificateLine = ({ name, daysLeft }: Condition['certificates'][number]): string[] => {
  if (daysLeft > EXPIRES_SOON_DAYS) return []
  const days = Math.floor(Math.abs(daysLeft))
  return [daysLeft < 0 ? `${name} has expired.` : `${name} expires in ${days} days.`]
}

/** `/health/readiness?details`: the readiness, why it is not UP, and what is degraded though it is. */
export const detailsOf = (readiness: Readiness, condition: Condition): ReadinessDetails => {
  const { origin, target, isMirroringReads, isStuck, clients, certificates } = condition
  const isReady = readiness.Status === 'UP'
  return {
    Reason: reasonOf(readiness, condition),
    Degraded: [
      ...clusterDegraded(origin, readiness.OriginStatus, isReady, isMirroringReads),
      ...clusterDegraded(target, readiness.TargetStatus, isReady, isMirroringReads),
      ...(isStuck ? ['A thread does not answer; its clients wait.'] : []),
      ...(clients !== null && clients.count >= clients.max
        ? [
            `${clients.count} clients are connected, and more are refused (proxy_max_client_connections).`,
          ]
        : []),
      ...certificates.flatMap(certificateLine),
    ],
  }
}
