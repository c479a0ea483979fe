/**
 * Where the demo's three proxies listen: an address each, and the same ports on all, as drivers and the
 * proxies themselves expect it of a deployment. Where the platform has one loopback address only (macOS
 * unless told otherwise) there is room for one proxy.
 */
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'

const ADDRESSES = ['127.0.1.1', '127.0.1.2', '127.0.1.3']
const ONLY_ADDRESS = ['127.0.0.1']
/** A port that is free on one address may be taken on another; rarely many in a row. */
const ATTEMPTS = 20

export interface Place {
  readonly addresses: readonly string[]
  /** For clients, for health and metrics, for the admin API: free on every address. */
  readonly port: number
  readonly httpPort: number
  readonly adminPort: number
}

const bind = async (host: string, port: number): Promise<Server> => {
  const server = createServer().listen({ host, port, exclusive: true })
  await once(server, 'listening')
  return server
}

const portOf = (server: Server): number => {
  const bound = server.address()
  return bound !== null && typeof bound === 'object' ? bound.port : 0
}

/** Binds a port that is free on all; the servers hold it until they are closed. */
const bindEverywhere = async (addresses: readonly string[], servers: Server[]): Promise<number> => {
  for (let attempt = 1; ; attempt += 1) {
    const first = await bind(addresses[0]!, 0)
    servers.push(first)
    const port = portOf(first)
    try {
      for (const address of addresses.slice(1)) servers.push(await bind(address, port))
      return port
    } catch (error) {
      if (attempt === ATTEMPTS || codeOf(error) !== 'EADDRINUSE') throw error
    }
  }
}

const codeOf = (error: unknown): unknown =>
  error instanceof Error && 'code' in error ? error.code : undefined

/** All bound at the same time, so they differ; free again when this resolves. */
const findPorts = async (addresses: readonly string[]): Promise<Place> => {
  const servers: Server[] = []
  try {
    const port = await bindEverywhere(addresses, servers)
    const httpPort = await bindEverywhere(addresses, servers)
    const adminPort = await bindEverywhere(addresses, servers)
    return { addresses, port, httpPort, adminPort }
  } finally {
    await Promise.all(servers.map((server) => once(server.close(), 'close')))
  }
}

/** `addresses` for tests. Rejects where not even one address can be bound. */
export const findPlace = async (addresses: readonly string[] = ADDRESSES): Promise<Place> => {
  try {
    return await findPorts(addresses)
  } catch (error) {
    if (codeOf(error) !== 'EADDRNOTAVAIL') throw error
    return await findPorts(ONLY_ADDRESS)
  }
}
