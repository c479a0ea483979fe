/**
 * proxy_topology_addresses as IP addresses: names are resolved once, at the start. Host ids and tokens
 * follow from the addresses (operations §6.1), so every instance must resolve a name alike; of
 * several addresses the choice therefore does not depend on the order in which DNS gives them.
 */
import { isIP, isIPv4 } from 'node:net'
import { canonicalAddress, isAnyAddress } from '../config/address.ts'
import { messageOf } from '../message-of.ts'
import type { Resolve } from '../net/resolve.ts'

export type AdvertisedAddress = {
  /** As the setting has it. */
  readonly given: string
  readonly address: string
}

/** IPv4 before IPv6, because clients of either can mostly use the former; then the first by text. */
const chooseAddress = (addresses: readonly string[]): string | undefined => {
  const sorted = [...addresses].sort()
  return sorted.find((address) => isIPv4(address)) ?? sorted[0]
}

const resolveOne = async (given: string, resolve: Resolve): Promise<AdvertisedAddress> => {
  if (isIP(given) !== 0) return { given, address: given }
  const fail = (why: string, cause?: unknown): Error =>
    new Error(
      `proxy_topology_addresses: "${given}" ${why}; correct the name or the DNS, or write its IP address`,
      { cause },
    )
  const found = await resolve(given).catch((cause: unknown) => {
    throw fail(`cannot be resolved: ${messageOf(cause)}`, cause)
  })
  // Nobody can connect to 0.0.0.0, and drivers must not be told to.
  const address = chooseAddress(found.filter((one) => !isAnyAddress(one)))
  if (address === undefined) throw fail('has no address that others can connect to')
  return { given, address }
}

/** In the order of the list. Rejects where a name has no address, or two entries have the same. */
export const resolveAdvertised = async (
  list: readonly string[],
  resolve: Resolve,
): Promise<readonly AdvertisedAddress[]> => {
  const resolved = await Promise.all(list.map((given) => resolveOne(given, resolve)))
  const seen = new Map<string, string>()
  for (const { given, address } of resolved) {
    const canonical = canonicalAddress(address)
    const other = seen.get(canonical)
    if (other !== undefined) {
      throw new Error(
        `proxy_topology_addresses: "${other}" and "${given}" are both ${address}; each instance has an address of its own`,
      )
    }
    seen.set(canonical, given)
  }
  return resolved
}
