/**
 * What is measured: the clusters without a proxy, the byte forwarder, this proxy, other proxies. Starts
 * each in its own process and knows when it is ready.
 */
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { versionTraits } from '../src/cql/protocol.ts'
import { Dialer } from '../src/net/dialer.ts'
import { Child } from './child.ts'
import type { ForwarderRequest } from './forwarder.ts'
import { LoadConnection } from './load-connection.ts'
import type { BenchOptions, PeerOptions } from './options.ts'

const READY_TIMEOUT_MS = 30_000
const READY_POLL_MS = 50

export type Ports = { readonly originPort: number; readonly targetPort: number }

export type Variant = {
  readonly name: string
  readonly port: number
  /** The process whose CPU time counts. */
  readonly child: Child | null
  /**
   * What a run must have done at the target. copied: each write arrived there, and nothing else.
   * nothing: it was not touched. anything: the forwarder sends it what it cannot understand.
   */
  readonly target: 'copied' | 'nothing' | 'anything'
}

/** Takes note of a child as soon as it lives, so that it is stopped even if it never gets ready. */
export type Keep = (child: Child) => Child

const pathOf = (module: string): string => fileURLToPath(new URL(module, import.meta.url).href)

/** A child that runs one of the bench's own modules. */
export const startModule = (name: string, module: string, cores: string | null): Child =>
  new Child({
    name,
    command: [process.execPath, pathOf(module)],
    cores,
    environment: {},
    hasChannel: true,
  })

export const directVariant = ({ originPort }: Ports): Variant => ({
  name: 'direct',
  port: originPort,
  child: null,
  target: 'nothing',
})

export const startForwarder = async (
  ports: Ports,
  cores: string | null,
  keep: Keep,
): Promise<Variant> => {
  const child = keep(startModule('forwarder', './forwarder.ts', cores))
  const request: ForwarderRequest = ports
  const port = (await child.request(request)) as number
  return { name: 'forwarder', port, child, target: 'anything' }
}

/** This proxy, as it lies beside the bench. */
export const startProxy = async (
  options: BenchOptions,
  ports: Ports,
  cores: string | null,
  keep: Keep,
): Promise<Variant> => {
  const port = await freePort()
  const readyPort = await freePort()
  const environment = proxyEnvironment(options, ports, port, readyPort)
  const command = [process.execPath, pathOf('../src/main.ts')] as const
  const child = keep(new Child({ name: 'proxy', command, cores, environment, hasChannel: false }))
  await whenReady(child, () => isHealthy(readyPort))
  return { name: 'proxy', port, child, target: 'copied' }
}

export const startPeer = async (
  peer: PeerOptions,
  options: BenchOptions,
  ports: Ports,
  cores: string | null,
  keep: Keep,
): Promise<Variant> => {
  const port = peer.port ?? (await freePort())
  const metricsPort = peer.readyPort ?? (await freePort())
  const { name } = peer
  const environment = proxyEnvironment(options, ports, port, metricsPort)
  const command = ['sh', '-c', peer.command] as const
  const child = keep(new Child({ name, command, cores, environment, hasChannel: false }))
  const isReady =
    peer.readyPort === null
      ? () => answersStartup(port, options.version)
      : () => isHealthy(metricsPort)
  await whenReady(child, isReady)
  return { name: peer.name, port, child, target: 'copied' }
}

/** The settings that a drop-in for the Go proxy takes, and ours that the Go proxy does not mind. */
export const proxyEnvironment = (
  options: Pick<BenchOptions, 'connections' | 'upstream'>,
  { originPort, targetPort }: Ports,
  port: number,
  metricsPort: number,
): Record<string, string> => ({
  ZDM_ORIGIN_CONTACT_POINTS: '127.0.0.1',
  ZDM_ORIGIN_PORT: `${originPort}`,
  ZDM_ORIGIN_USERNAME: 'bench',
  ZDM_ORIGIN_PASSWORD: 'bench',
  ZDM_TARGET_CONTACT_POINTS: '127.0.0.1',
  ZDM_TARGET_PORT: `${targetPort}`,
  ZDM_TARGET_USERNAME: 'bench',
  ZDM_TARGET_PASSWORD: 'bench',
  ZDM_PROXY_LISTEN_ADDRESS: '127.0.0.1',
  ZDM_PROXY_LISTEN_PORT: `${port}`,
  ZDM_PROXY_MAX_CLIENT_CONNECTIONS: `${Math.max(1000, options.connections * 2)}`,
  ZDM_METRICS_ADDRESS: '127.0.0.1',
  ZDM_METRICS_PORT: `${metricsPort}`,
  ZDM_ADMIN_PORT: '0',
  ZDM_LOG_LEVEL: 'WARN',
  ZDM_DATA_PLANE_THREADS: '1',
  ZDM_UPSTREAM_CONNECTIONS: options.upstream,
})

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })

/** Asks until the answer is yes; fails when the process ends or the time is over. */
const whenReady = async (child: Child, isReady: () => Promise<boolean>): Promise<void> => {
  const deadlineMs = performance.now() + READY_TIMEOUT_MS
  while (!(await Promise.race([isReady(), child.death]))) {
    if (performance.now() > deadlineMs) {
      throw new Error(
        `${child.name} was not ready within ${READY_TIMEOUT_MS / 1000} s${child.shownOutput()}`,
      )
    }
    await delay(READY_POLL_MS)
  }
}

const isHealthy = async (port: number): Promise<boolean> => {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/health/readiness`)
    const body = (await response.json()) as { readonly Status?: unknown }
    return response.ok && body.Status === 'UP'
  } catch {
    return false
  }
}

const answersStartup = async (port: number, version: number): Promise<boolean> => {
  const options = { port, traits: versionTraits(version)!, capacity: 1, valueLength: 1, mark: 0 }
  const ignored = { onAnswer: () => {}, onFailure: () => {} }
  try {
    const connection = await LoadConnection.open(new Dialer(), options, ignored)
    connection.close()
    return true
  } catch {
    return false
  }
}
