/**
 * How a cluster's nodes are reached: each at its own address, or all behind one router that tells them
 * apart by the server name (operations §5.1, §7.3). The router's is astra-contacts.ts.
 */
import { formatEndpoint } from '../net/dialer.ts'
import { type Resolve, systemResolve } from '../net/resolve.ts'
import type { Endpoint } from '../upstream/connection.ts'
import { formatAddress, parseAddress } from './address.ts'
import type { Host } from './host.ts'

export type HostPlace = Pick<Host, 'hostId' | 'address' | 'port'>

export interface Contacts {
  /** Where to begin when no node is known, or none of those can be reached. */
  endpoints(): readonly Endpoint[]
  /** The same in the order of the settings, with names resolved; those that have no address are left out. */
  places(): Promise<readonly Endpoint[]>
  endpointOf(host: HostPlace): Endpoint
  /** Asks whoever knows where the nodes are now; null where only the settings do. */
  readonly refresh: ((signal: AbortSignal) => Promise<void>) | null
}

/** What a node is called in logs and metrics: its address, or its host id behind a router. */
export const nodeLabel = ({ address, port, serverName }: Endpoint): string =>
  serverName ?? formatEndpoint(address, port)

/** Contact points of the settings, all on one port. */
export const configuredContacts = (
  contactPoints: readonly string[],
  port: number,
  resolve: Resolve = systemResolve,
): Contacts => {
  const endpoints = contactPoints.map((address) => ({ address, port }))
  // Of several addresses of a name the order is DNS's, and another one each time.
  const addressesOf = async (point: string): Promise<readonly string[]> =>
    parseAddress(point) !== null ? [point] : [...(await resolve(point).catch(() => []))].sort()
  return {
    endpoints: () => endpoints,
    places: async () => {
      const resolved = await Promise.all(contactPoints.map(addressesOf))
      const addresses = resolved.flat().map((text) => {
        const bytes = parseAddress(text)
        return bytes === null ? text : formatAddress(bytes)
      })
      return addresses.map((address) => ({ address, port }))
    },
    endpointOf: ({ address, port: own }) => ({ address, port: own }),
    refresh: null,
  }
}
