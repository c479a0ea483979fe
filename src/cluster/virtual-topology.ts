/**
 * The ring that clients see: the proxy instances as the cluster's nodes (operations §6.1, §6.2). Host
 * ids and tokens follow from the address list alone, so that every instance of a fleet, ours or the
 * reference's, presents the same ring.
 */
import { createHash } from 'node:crypto'
import { decodeUuid } from '../cql/values.ts'
import { formatAddress, parseAddress, toSixteenBytes } from './address.ts'
import type { ClusterTopology, Host } from './host.ts'

const VIRTUAL_RACK = 'rack0'
export const VIRTUAL_PARTITIONER = 'org.apache.cassandra.dht.Murmur3Partitioner'
/** Advertised when the listen address leads to no address. */
const FALLBACK_ADDRESS = '127.0.0.1'

export type VirtualHost = {
  /** Position in the address list, from 0. */
  readonly index: number
  /** This proxy instance, as opposed to its siblings. */
  readonly isSelf: boolean
  readonly address: string
  /** 4 or 16 bytes. */
  readonly addressBytes: Uint8Array
  /** Where drivers connect to this instance; the same for all. */
  readonly port: number
  readonly hostId: string
  readonly hostIdBytes: Uint8Array
  /** Decimal, ascending. */
  readonly tokens: readonly string[]
  readonly rack: string
  readonly datacenter: string
  /** The node whose release version, schema version … this instance shows as its own. */
  readonly mapped: Host
}

export type VirtualTopologyInput = {
  /** `proxy_topology_addresses`, resolved to IP text; null where the setting is absent. */
  readonly addresses: readonly string[] | null
  /** `proxy_topology_index`: this instance's position in `addresses`. */
  readonly index: number
  /** `proxy_topology_num_tokens`. */
  readonly numTokens: number
  /** The address that the listen address stands for; null where it has none. */
  readonly implicitAddress: string | null
  readonly proxyPort: number
  /** The cluster that answers system queries. */
  readonly backing: ClusterTopology
}

/** A setting that makes no ring. Settings are validated at the start, so this is a fault of ours. */
class VirtualTopologyError extends Error {
  readonly code = 'VIRTUAL_TOPOLOGY_INVALID'

  constructor(message: string) {
    super(message)
    this.name = 'VirtualTopologyError'
  }
}

const NIL_UUID = new Uint8Array(16)

/** An RFC 4122 version 5 UUID in the nil namespace. */
const virtualHostId = (name: Uint8Array): Uint8Array => {
  const id = new Uint8Array(
    createHash('sha1').update(NIL_UUID).update(name).digest().subarray(0, 16),
  )
  id[6] = (id[6]! & 0x0f) | 0x50
  id[8] = (id[8]! & 0x3f) | 0x80
  return id
}

const RING_SIZE = 1n << 64n
const RING_START = -(1n << 63n)

/** Token j of host k: floor(2^64 / (T·n))·(j·n + k) − 2^63, interleaving the hosts evenly. */
export const virtualTokens = (numTokens: number, hosts: number, host: number): string[] => {
  const step = RING_SIZE / (BigInt(numTokens) * BigInt(hosts))
  return Array.from({ length: numTokens }, (_, token) =>
    String(step * BigInt(token * hosts + host) + RING_START),
  )
}

type Advertised = { readonly bytes: Uint8Array; readonly hostIdName: Uint8Array }

const parse = (text: string): Uint8Array => {
  const bytes = parseAddress(text)
  if (bytes === null) {
    throw new VirtualTopologyError(
      `Cannot advertise "${text}": proxy_topology_addresses takes IP addresses only`,
    )
  }
  return bytes
}

/** The reference hashes a configured address in 16-byte form, an implicit one as it is. */
const advertisedAddresses = (input: VirtualTopologyInput): Advertised[] => {
  if (input.addresses === null && input.implicitAddress !== null) {
    const bytes = parse(input.implicitAddress)
    return [{ bytes, hostIdName: bytes }]
  }
  return (input.addresses ?? [FALLBACK_ADDRESS]).map((text) => {
    const bytes = parse(text)
    return { bytes, hostIdName: toSixteenBytes(bytes) }
  })
}

/** All proxy instances, in the order of the address list. */
export const virtualTopology = (input: VirtualTopologyInput): VirtualHost[] => {
  const { backing, index, numTokens, proxyPort } = input
  const advertised = advertisedAddresses(input)
  if (!(index >= 0 && index < advertised.length)) {
    throw new VirtualTopologyError(
      `Instance index ${index} is not in the topology of ${advertised.length}: ` +
        'set proxy_topology_index to a position in proxy_topology_addresses',
    )
  }
  return advertised.map(({ bytes, hostIdName }, position) => {
    const mapped = backing.localHosts[position % backing.localHosts.length]
    if (mapped === undefined) throw new VirtualTopologyError('The backing cluster has no host')
    const hostIdBytes = virtualHostId(hostIdName)
    return {
      index: position,
      isSelf: position === index,
      address: formatAddress(bytes),
      addressBytes: bytes,
      port: proxyPort,
      hostId: decodeUuid(hostIdBytes),
      hostIdBytes,
      tokens: virtualTokens(numTokens, advertised.length, position),
      rack: VIRTUAL_RACK,
      datacenter: mapped.datacenter,
      mapped,
    }
  })
}
