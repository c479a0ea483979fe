/**
 * The proxy as its own process, between the two clusters: its environment, its free ports, its start
 * until the readiness endpoint says so, its end.
 */
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { ContactPoint } from '../clusters/cluster.ts'
import { GuardedProcess, logTail } from '../clusters/guarded-process.ts'
import { waitUntil } from '../clusters/readiness.ts'

const PROXY_MAIN = join(import.meta.dirname, '..', 'src', 'main.ts')
const READY_TIMEOUT_MS = 60_000
const PROBE_TIMEOUT_MS = 2000
const STOP_TIMEOUT_MS = 5000

/** Finer than the default, which begins at 1 ms: most requests here take less. */
const LATENCY_BUCKETS_MS =
  '0.1,0.2,0.3,0.4,0.5,0.6,0.8,1,1.25,1.5,2,2.5,3,4,5,6,8,10,15,20,30,40,60,80,100,250,500,1000,2500'

export class ProxyError extends Error {
  readonly code = 'PROXY_FAILED'

  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ProxyError'
  }
}

export interface ProxyPlan {
  readonly origin: ContactPoint
  readonly target: ContactPoint
  readonly port: number
  readonly httpPort: number
}

/** Settings of the one who runs the demo must not change it: none of their `ZDM_*` is handed on. */
export const proxyEnvironment = (
  inherited: NodeJS.ProcessEnv,
  { origin, target, port, httpPort }: ProxyPlan,
): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(inherited).filter(([name]) => !name.startsWith('ZDM_'))),
  ZDM_ORIGIN_CONTACT_POINTS: origin.address,
  ZDM_ORIGIN_PORT: String(origin.port),
  ZDM_ORIGIN_USERNAME: '',
  ZDM_ORIGIN_PASSWORD: '',
  ZDM_TARGET_CONTACT_POINTS: target.address,
  ZDM_TARGET_PORT: String(target.port),
  ZDM_TARGET_USERNAME: '',
  ZDM_TARGET_PASSWORD: '',
  ZDM_PROXY_LISTEN_ADDRESS: '127.0.0.1',
  ZDM_PROXY_LISTEN_PORT: String(port),
  ZDM_METRICS_ADDRESS: '127.0.0.1',
  ZDM_METRICS_PORT: String(httpPort),
  // The demo changes nothing at run time; any free port, so that several can run.
  ZDM_ADMIN_PORT: '0',
  ZDM_METRICS_ORIGIN_LATENCY_BUCKETS_MS: LATENCY_BUCKETS_MS,
  ZDM_METRICS_TARGET_LATENCY_BUCKETS_MS: LATENCY_BUCKETS_MS,
})

/** Both bound at the same time, so they differ. */
const findFreePorts = async (): Promise<Pick<ProxyPlan, 'port' | 'httpPort'>> => {
  const bind = async () => {
    const server = createServer().listen({ host: '127.0.0.1', port: 0 })
    await once(server, 'listening')
    return server
  }
  const servers = [await bind(), await bind()]
  const ports = servers.map((server) => {
    const bound = server.address()
    return bound !== null && typeof bound === 'object' ? bound.port : 0
  })
  await Promise.all(servers.map((server) => once(server.close(), 'close')))
  return { port: ports[0]!, httpPort: ports[1]! }
}

const isReady = async (httpPort: number): Promise<boolean> => {
  try {
    const url = `http://127.0.0.1:${httpPort}/health/readiness`
    const response = await fetch(url, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) })
    await response.body?.cancel()
    return response.status === 200
  } catch {
    return false
  }
}

export interface RunningProxy extends ContactPoint {
  readonly httpPort: number
  readonly pid: number | undefined
  readonly logPath: string
  /** Resolves when it has ended, for whatever reason. */
  readonly exited: Promise<void>
  isOver(): boolean
  /** What to say when it ended though nobody asked it to. */
  describeEnd(): Promise<ProxyError>
  stop(): Promise<void>
}

const describeFailure = async (what: string, logPath: string): Promise<ProxyError> =>
  new ProxyError(
    `The proxy ${what}. The end of its log:\n${await logTail(logPath)}\n` +
      'Start the demo again; if this stays so, report it with this log.',
  )

/** `directory` is the demo's own, and takes the log. */
export const startProxy = async (
  clusters: Pick<ProxyPlan, 'origin' | 'target'>,
  directory: string,
  signal: AbortSignal,
): Promise<RunningProxy> => {
  signal.throwIfAborted()
  const plan: ProxyPlan = { ...clusters, ...(await findFreePorts()) }
  const logPath = join(directory, 'proxy.log')
  const guarded = new GuardedProcess({
    program: process.execPath,
    args: [PROXY_MAIN],
    directory,
    remains: directory,
    logPath,
    environment: proxyEnvironment(process.env, plan),
  })
  const gone = new AbortController()
  void guarded.exited.then(() => gone.abort())
  const tooLong = AbortSignal.timeout(READY_TIMEOUT_MS)
  const { port, httpPort } = plan
  try {
    await waitUntil(() => isReady(httpPort), AbortSignal.any([gone.signal, tooLong, signal]))
  } catch {
    await guarded.kill()
    signal.throwIfAborted()
    const what = tooLong.aborted
      ? `was not ready within ${READY_TIMEOUT_MS / 1000} s`
      : 'ended while it started'
    throw await describeFailure(what, logPath)
  }
  return {
    address: '127.0.0.1',
    port,
    httpPort,
    pid: guarded.pid,
    logPath,
    exited: guarded.exited,
    isOver: () => guarded.isOver,
    describeEnd: () => describeFailure('ended by itself', logPath),
    stop: () => guarded.terminate(STOP_TIMEOUT_MS),
  }
}
