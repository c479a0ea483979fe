/**
 * Where a control connection may lead, in the order in which the endpoints are tried (operations §5.1,
 * §11 T2 and T4). Pure but for the random number; who tries them is the control connection.
 */
import type { Endpoint } from '../upstream/connection.ts'
import { type Contacts, nodeLabel } from './contacts.ts'
import type { ClusterTopology } from './host.ts'

/** The list from a random element on, round to the one before it. `random` gives [0, 1). */
export const fromRandom = <T>(list: readonly T[], random: () => number): T[] => {
  const from = Math.floor(random() * list.length)
  return [...list.slice(from), ...list.slice(0, from)]
}

/**
 * Known nodes of the local datacenter, then those of the others, then the contact points that are not
 * among them; each group from a random one on, but the node that was lost behind the others of its own: a
 * machine that is gone says nothing until its time is over. `lost` is its label.
 */
export const reopenCandidates = (
  topology: ClusterTopology | null,
  contacts: Contacts,
  lost: string | null,
  random: () => number,
): Endpoint[] => {
  const { hosts = [], localHosts = [] } = topology ?? {}
  const remoteHosts = hosts.filter((host) => !localHosts.includes(host))
  const groups: readonly (readonly Endpoint[])[] = [
    localHosts.map((host) => contacts.endpointOf(host)),
    remoteHosts.map((host) => contacts.endpointOf(host)),
    contacts.endpoints(),
  ]
  const seen = new Set<string>()
  const isLost = (endpoint: Endpoint): boolean => nodeLabel(endpoint) === lost
  return groups
    .flatMap((group) => [
      ...fromRandom(
        group.filter((endpoint) => !isLost(endpoint)),
        random,
      ),
      ...group.filter(isLost),
    ])
    .filter((endpoint) => {
      const label = nodeLabel(endpoint)
      return !seen.has(label) && seen.add(label)
    })
}
