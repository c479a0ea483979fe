/**
 * What stands between the proxy and an Astra database, in front of a fake cluster: the metadata
 * service (HTTPS, mutual TLS) and the router that takes all connections and tells the nodes apart by
 * the server name. Both record what they were asked, and can be made to fail or to move.
 */
import { once } from 'node:events'
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https'
import { connect } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import { zipSync } from 'fflate'
import { afterTest } from './after-test.ts'
import { Authority, type Issued } from './certificates.ts'
import type { FakeCluster } from './fake-cluster/cluster.ts'
import { uuidOf } from './fake-cluster/system-tables.ts'

const portOf = (server: Server | HttpsServer): number => {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('Not a TCP listener')
  return address.port
}

export type MetadataAnswer = { readonly status: number; readonly body: string }

export type FakeAstraOptions = {
  readonly localDatacenter?: string
  /** The names in the router's certificate. Default: localhost, by which it is reached. */
  readonly routerNames?: readonly string[]
  readonly serviceNames?: readonly string[]
}

export class FakeAstra {
  /** Server names that the router was asked for, in order. */
  readonly serverNames: string[] = []
  /** Subjects of the certificates that it was shown. */
  readonly clients: string[] = []
  metadataRequests = 0
  /** What the service says instead of its metadata. */
  answer: MetadataAnswer | 'silence' | null = null
  readonly #cluster: FakeCluster
  readonly #authority: Authority
  readonly #client: Issued
  readonly #options: FakeAstraOptions
  readonly #service: HttpsServer
  #router: Server
  readonly #connections = new Set<TLSSocket>()

  private constructor(
    cluster: FakeCluster,
    authority: Authority,
    client: Issued,
    options: FakeAstraOptions,
    servers: { service: HttpsServer; router: Server },
  ) {
    this.#cluster = cluster
    this.#authority = authority
    this.#client = client
    this.#options = options
    this.#service = servers.service
    this.#router = servers.router
  }

  /** Stopped after the test. */
  static async start(cluster: FakeCluster, options: FakeAstraOptions = {}): Promise<FakeAstra> {
    const authority = await Authority.create('Astra Root')
    const client = await authority.issue('bundle')
    const tls = async (names: readonly string[]) => {
      const issued = await authority.issue('astra', { names })
      const pair = { cert: issued.certificate, key: issued.key }
      return { ...pair, ca: authority.certificate, requestCert: true, rejectUnauthorized: true }
    }
    const service = createHttpsServer(await tls(options.serviceNames ?? ['localhost']))
    const router = createServer(await tls(options.routerNames ?? ['localhost']))
    const astra = new FakeAstra(cluster, authority, client, options, { service, router })
    service.on('request', (request, response) => {
      astra.metadataRequests++
      if (astra.answer === 'silence') return
      const known = request.url === '/metadata' && request.method === 'GET'
      const usual = { status: known ? 200 : 404, body: astra.#metadata() }
      const { status, body } = astra.answer ?? usual
      response.writeHead(status, { 'content-type': 'application/json' }).end(body)
    })
    router.on('secureConnection', (socket) => astra.#route(socket))
    for (const server of [service, router]) {
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
    }
    afterTest(() => astra.stop())
    return astra
  }

  get routerPort(): number {
    return portOf(this.#router)
  }

  hostId(index: number): string {
    return uuidOf(`${this.#cluster.name} node ${index}`)
  }

  /** The zip that its users download, as bytes. */
  bundle(without: readonly string[] = []): Uint8Array {
    const configuration = { host: 'localhost', port: portOf(this.#service), username: 'unused' }
    const entries = {
      'config.json': JSON.stringify(configuration),
      'ca.crt': this.#authority.certificate,
      cert: this.#client.certificate,
      key: this.#client.key,
      cqlshrc: 'unused',
    }
    const kept = Object.entries(entries).filter(([name]) => !without.includes(name))
    return zipSync(Object.fromEntries(kept.map(([name, text]) => [name, Buffer.from(text)])))
  }

  /** The router is on another port from now on; connections through the old one are cut. */
  async moveRouter(): Promise<void> {
    const before = this.#router
    before.close()
    this.#router = createServer({
      ...(await this.#routerTls()),
      ca: this.#authority.certificate,
      requestCert: true,
      rejectUnauthorized: true,
    })
    this.#router.on('secureConnection', (socket) => this.#route(socket))
    this.#router.listen(0, '127.0.0.1')
    await once(this.#router, 'listening')
    for (const connection of this.#connections) connection.destroy()
  }

  async stop(): Promise<void> {
    this.#service.closeAllConnections()
    this.#service.close()
    this.#router.close()
    for (const connection of this.#connections) connection.destroy()
  }

  async #routerTls(): Promise<{ cert: string; key: string }> {
    const names = this.#options.routerNames ?? ['localhost']
    const { certificate, key } = await this.#authority.issue('astra', { names })
    return { cert: certificate, key }
  }

  #metadata(): string {
    return JSON.stringify({
      version: 1,
      region: 'nowhere-1',
      contact_info: {
        type: 'sni_proxy',
        local_dc: this.#options.localDatacenter ?? 'datacenter1',
        // In capitals: host ids of the metadata and of the system tables are compared.
        contact_points: this.#cluster.nodes.map((_, index) => this.hostId(index).toUpperCase()),
        sni_proxy_address: `localhost:${this.routerPort}`,
      },
    })
  }

  #route(socket: TLSSocket): void {
    const name = 'servername' in socket ? String(socket.servername) : ''
    this.serverNames.push(name)
    this.clients.push(socket.getPeerX509Certificate()?.subject ?? 'none')
    const index = this.#cluster.nodes.findIndex((_, at) => this.hostId(at) === name)
    const node = this.#cluster.nodes[index]
    socket.on('error', () => {})
    this.#connections.add(socket)
    socket.once('close', () => this.#connections.delete(socket))
    if (node === undefined) {
      socket.destroy()
      return
    }
    const upstream = connect(node.port, node.address)
    upstream.on('error', () => socket.destroy())
    upstream.once('close', () => socket.destroy())
    socket.once('close', () => upstream.destroy())
    socket.pipe(upstream).pipe(socket)
  }
}
