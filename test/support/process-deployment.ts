/**
 * A deployment of three instances, each the whole command as a process, between two fake clusters: killed and
 * started again as a test wants, asked through their admin APIs. All is gone after the test.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { findPlace, type Place } from '../../demo/place.ts'
import { proxyEnvironment, statePath } from '../../demo/proxy-process.ts'
import { HttpInstanceClient, type InstanceAccess } from '../../src/admin/instance-client.ts'
import type { InstanceStatus } from '../../src/control/report.ts'
import { afterTest } from './after-test.ts'
import type { FakeCluster } from './fake-cluster/cluster.ts'
import { startCluster } from './instance.ts'
import { temporaryDirectory } from './temporary-directory.ts'

const MAIN = new URL('../../bin/zdm-proxy.js', import.meta.url).pathname
const ASK_EVERY_MS = 20

export class ProcessInstance {
  readonly statePath: string
  readonly address: string
  readonly client: HttpInstanceClient
  readonly #environment: NodeJS.ProcessEnv
  #child: ChildProcess | null = null
  #log = ''

  constructor(
    environment: NodeJS.ProcessEnv,
    place: Place,
    index: number,
    directory: string,
    access: InstanceAccess,
  ) {
    this.#environment = environment
    this.address = place.addresses[index]!
    this.statePath = statePath(directory, index)
    const scheme = access.tls.ca === undefined ? 'http' : 'https'
    this.client = new HttpInstanceClient(`${scheme}://${this.address}:${place.adminPort}`, access)
  }

  get name(): string {
    return this.client.name
  }

  /** What its last run has logged. */
  get log(): string {
    return this.#log
  }

  /** Resolves when it serves clients. Rejects with its log if it ends instead. */
  async start(): Promise<void> {
    this.#log = ''
    const child = spawn(process.execPath, [MAIN], {
      env: this.#environment,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#child = child
    child.stderr.on('data', (data: Buffer) => {
      this.#log += data.toString()
    })
    while (!this.#log.includes('PROXY_STARTED')) {
      if (child.exitCode !== null) throw new Error(`${this.name} has ended:\n${this.#log}`)
      await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS))
    }
  }

  /** Has it read its files again; what it makes of them is in its log. */
  reload(): void {
    this.#child?.kill('SIGHUP')
  }

  /** Resolves with its exit status when it has ended by itself. */
  async ended(): Promise<number | null> {
    const child = this.#child
    if (child !== null && child.exitCode === null) {
      await new Promise((resolve) => child.once('close', resolve))
    }
    return child?.exitCode ?? null
  }

  /** Tells it to end, without waiting. */
  terminate(): void {
    this.#child?.kill('SIGTERM')
  }

  /** Resolves when the process is gone. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#child
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const closed = new Promise((resolve) => child.once('close', resolve))
    child.kill(signal)
    await closed
  }

  status(): Promise<InstanceStatus> {
    return this.client.status()
  }
}

export type ProcessDeployment = {
  readonly origin: FakeCluster
  readonly target: FakeCluster
  readonly place: Place
  readonly instances: readonly [ProcessInstance, ProcessInstance, ProcessInstance]
}

const PLAIN: InstanceAccess = {
  token: null,
  tls: {},
  timeoutMs: 20_000,
  commitTimeoutMs: 20_000,
}

export type DeploymentOptions = {
  /** How callers reach an admin API. */
  readonly access?: InstanceAccess
  /** What an instance is given besides. */
  readonly environment?: (index: number) => NodeJS.ProcessEnv
}

/** All three serve when this resolves. */
export const startDeployment = async (
  options: DeploymentOptions = {},
): Promise<ProcessDeployment> => {
  const { access = PLAIN, environment = () => ({}) } = options
  const origin = await startCluster({ name: 'origin' })
  const nodes = [{ hostId: '00000000-0000-4000-8000-00000000000b' }]
  const target = await startCluster({ name: 'target', nodes })
  const directory = temporaryDirectory()
  const place = await findPlace()
  const clusters = {
    origin: { address: origin.contactPoints[0]!, port: origin.port },
    target: { address: target.contactPoints[0]!, port: target.port },
  }
  const make = (index: number): ProcessInstance => {
    const base = proxyEnvironment(process.env, { ...clusters, place, index, directory })
    const all = { ...base, ZDM_DATA_PLANE_THREADS: '1', ...environment(index) }
    const instance = new ProcessInstance(all, place, index, directory, access)
    afterTest(() => instance.end('SIGKILL'))
    return instance
  }
  const instances = [make(0), make(1), make(2)] as const
  await Promise.all(instances.map((instance) => instance.start()))
  return { origin, target, place, instances }
}
