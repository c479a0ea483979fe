/**
 * Which of a cluster's nodes one proxy instance of several talks to (operations §5.6). Pure: the
 * order in which they are used is the caller's to shuffle.
 */

/**
 * The assigned hosts of instance `index` (from 0) of `count`, in the order of `hosts`, which must be
 * sorted alike on all instances. A counter runs 0…count−1 along the hosts, round and round; the
 * instance takes those where it equals its index, modulo the number of hosts. Never empty unless
 * `hosts` is; more instances than hosts share them.
 */
export const assignedHosts = <T>(hosts: readonly T[], index: number, count: number): T[] => {
  const share = index % hosts.length
  return hosts.filter((_, position) => position % count === share)
}

export type Assignment<T> = {
  readonly used: readonly T[]
  /** For while none of those can be used. */
  readonly reserve: readonly T[]
}

/**
 * The hosts of one rack, all of them: how many instances share it nobody knows. The others of the datacenter
 * are its reserve. Null where no host is in the rack.
 */
export const rackAssignment = <T extends { readonly rack: string }>(
  localHosts: readonly T[],
  rack: string,
): Assignment<T> | null => {
  const used = localHosts.filter((host) => host.rack === rack)
  const reserve = localHosts.filter((host) => host.rack !== rack)
  return used.length === 0 ? null : { used, reserve }
}
