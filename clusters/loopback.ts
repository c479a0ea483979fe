/**
 * Addresses and ports for nodes on this machine. Where the platform has all of 127.0.0.0/8 (Linux),
 * a node gets an address of its own with Cassandra's usual ports; elsewhere a single node gets free
 * ports on 127.0.0.1. A listening socket on a third port keeps an address for us against other runs.
 */
import { randomInt } from 'node:crypto'
import { createServer, type Server } from 'node:net'
import { ClusterError } from './cluster.ts'

export const NATIVE_PORT = 9042
export const STORAGE_PORT = 7000
/** Whoever listens here owns the address; the kernel gives it back even after SIGKILL. */
export const RESERVATION_PORT = 9041

const FIRST_HOST = 2
const LAST_HOST = 254

export interface LoopbackPlace {
  readonly addresses: readonly string[]
  readonly nativePort: number
  readonly storagePort: number
  /** Gives the addresses back to other runs. */
  release(): Promise<void>
}

type Bound = { readonly server: Server; readonly port: number } | { readonly error: string }

const listen = (address: string, port: number): Promise<Bound> =>
  new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', (error: NodeJS.ErrnoException) => resolve({ error: error.code ?? '' }))
    server.listen({ host: address, port, exclusive: true }, () => {
      server.unref()
      const bound = server.address()
      resolve({ server, port: bound !== null && typeof bound === 'object' ? bound.port : port })
    })
  })

const close = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve())
  })

/** Undefined if nobody listens there, else the reason why it cannot be had. */
const whyTaken = async (address: string, port: number): Promise<string | undefined> => {
  const bound = await listen(address, port)
  if ('error' in bound) return bound.error
  await close(bound.server)
  return undefined
}

/** Every host number once, from a random one on, so that runs at the same time rarely meet. */
export const candidateAddresses = (start: number): string[] => {
  const count = LAST_HOST - FIRST_HOST + 1
  return Array.from({ length: count }, (_, i) => `127.0.0.${FIRST_HOST + ((start + i) % count)}`)
}

type Reserved = { readonly server: Server } | { readonly error: string }

const reserve = async (address: string): Promise<Reserved> => {
  const bound = await listen(address, RESERVATION_PORT)
  if ('error' in bound) return bound
  for (const port of [NATIVE_PORT, STORAGE_PORT]) {
    const error = await whyTaken(address, port)
    if (error === undefined) continue
    await close(bound.server)
    return { error }
  }
  return bound
}

const releaseAll = async (servers: readonly Server[]): Promise<void> => {
  await Promise.all(servers.map(close))
}

/** A free port each for clients and for gossip on 127.0.0.1, found by binding port 0. */
const freePortsOnLocalhost = async (): Promise<LoopbackPlace> => {
  const address = '127.0.0.1'
  const bound = await Promise.all([listen(address, 0), listen(address, 0)])
  const ports: number[] = []
  for (const one of bound) {
    if ('error' in one) {
      throw new ClusterError('NO_FREE_PORT', `Cannot bind a port on ${address}: ${one.error}`)
    }
    ports.push(one.port)
    await close(one.server)
  }
  return {
    addresses: [address],
    nativePort: ports[0]!,
    storagePort: ports[1]!,
    release: () => Promise.resolve(),
  }
}

/** Takes addresses for `count` nodes, out of `candidates` if given. */
export const takeLoopbackPlace = async (
  count: number,
  candidates: readonly string[] = candidateAddresses(randomInt(LAST_HOST)),
): Promise<LoopbackPlace> => {
  const addresses: string[] = []
  const servers: Server[] = []
  for (const address of candidates) {
    if (addresses.length === count) break
    const reserved = await reserve(address)
    if ('server' in reserved) {
      addresses.push(address)
      servers.push(reserved.server)
    } else if (reserved.error === 'EADDRNOTAVAIL') {
      break
    }
  }
  if (addresses.length === count) {
    return {
      addresses,
      nativePort: NATIVE_PORT,
      storagePort: STORAGE_PORT,
      release: () => releaseAll(servers),
    }
  }
  await releaseAll(servers)
  if (count === 1) return freePortsOnLocalhost()
  throw new ClusterError(
    'NO_FREE_ADDRESS',
    `Cannot find ${count} free loopback addresses (127.0.0.${FIRST_HOST}–${LAST_HOST}, ports ${NATIVE_PORT} and ` +
      `${STORAGE_PORT}): ${addresses.length} found. On macOS give the loopback interface more of them, ` +
      'e.g. `sudo ifconfig lo0 alias 127.0.0.2`.',
  )
}
