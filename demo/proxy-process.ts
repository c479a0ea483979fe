/**
 * The proxies as processes of their own, between the two clusters: their environment, their start until the
 * readiness endpoints say so, their end.
 */
import { join } from 'node:path'
import type { ContactPoint } from '../clusters/cluster.ts'
import { GuardedProcess, logTail } from '../clusters/guarded-process.ts'
import { waitUntil } from '../clusters/readiness.ts'
import { findPlace, type Place } from './place.ts'

const PROXY_MAIN = join(import.meta.dirname, '..', 'bin', 'zdm-proxy.js')
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

export interface Clusters {
  readonly origin: ContactPoint
  readonly target: ContactPoint
}

export interface ProxyPlan extends Clusters {
  readonly place: Place
  /** Which address of the place is this one's. */
  readonly index: number
  /** The demo's own; takes the logs and what the instances keep. */
  readonly directory: string
}

/** What this instance keeps: where the migration stands, and who changed it. */
export const statePath = (directory: string, index: number): string =>
  join(directory, `state-${index}.json`)

/** Settings of the one who runs the demo must not change it: none of their `ZDM_*` is handed on. */
export const withoutSettings = (inherited: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(inherited).filter(([name]) => !name.startsWith('ZDM_')))

export const proxyEnvironment = (
  inherited: NodeJS.ProcessEnv,
  { origin, target, place, index, directory }: ProxyPlan,
): NodeJS.ProcessEnv => ({
  ...withoutSettings(inherited),
  ZDM_ORIGIN_CONTACT_POINTS: origin.address,
  ZDM_ORIGIN_PORT: String(origin.port),
  ZDM_ORIGIN_USERNAME: '',
  ZDM_ORIGIN_PASSWORD: '',
  ZDM_TARGET_CONTACT_POINTS: target.address,
  ZDM_TARGET_PORT: String(target.port),
  ZDM_TARGET_USERNAME: '',
  ZDM_TARGET_PASSWORD: '',
  ZDM_PROXY_TOPOLOGY_ADDRESSES: place.addresses.join(','),
  ZDM_PROXY_TOPOLOGY_INDEX: String(index),
  ZDM_PROXY_LISTEN_ADDRESS: place.addresses[index],
  ZDM_PROXY_LISTEN_PORT: String(place.port),
  ZDM_METRICS_ADDRESS: place.addresses[index],
  ZDM_METRICS_PORT: String(place.httpPort),
  ZDM_ADMIN_ADDRESS: place.addresses[index],
  ZDM_ADMIN_PORT: String(place.adminPort),
  ZDM_ROUTING_STATE_PATH: statePath(directory, index),
  ZDM_AUDIT_LOG_PATH: join(directory, `audit-${index}.jsonl`),
  // Several in each, so that a change has several to reach; not one per core, times three.
  ZDM_DATA_PLANE_THREADS: '2',
  ZDM_METRICS_ORIGIN_LATENCY_BUCKETS_MS: LATENCY_BUCKETS_MS,
  ZDM_METRICS_TARGET_LATENCY_BUCKETS_MS: LATENCY_BUCKETS_MS,
})

const isReady = async ({ address, port }: ContactPoint): Promise<boolean> => {
  try {
    const url = `http://${address}:${port}/health/readiness`
    const response = await fetch(url, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) })
    await response.body?.cancel()
    return response.status === 200
  } catch {
    return false
  }
}

const describeFailure = async (what: string, logPath: string): Promise<ProxyError> =>
  new ProxyError(
    `A proxy ${what}. The end of its log, ${logPath}:\n${await logTail(logPath)}\n` +
      'Start the demo again; if this stays so, report it with this log.',
  )

/** One instance. Rejects with a ProxyError if it does not become ready. */
const startProxy = async (plan: ProxyPlan, signal: AbortSignal): Promise<Instance> => {
  const { place, index, directory } = plan
  const logPath = join(directory, `proxy-${index}.log`)
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
  const metrics = { address: place.addresses[index]!, port: place.httpPort }
  try {
    await waitUntil(() => isReady(metrics), AbortSignal.any([gone.signal, tooLong, signal]))
  } catch {
    await guarded.kill()
    signal.throwIfAborted()
    const what = tooLong.aborted
      ? `was not ready within ${READY_TIMEOUT_MS / 1000} s`
      : 'ended while it started'
    throw await describeFailure(what, logPath)
  }
  return { metrics, guarded, logPath }
}

interface Instance {
  readonly metrics: ContactPoint
  readonly guarded: GuardedProcess
  readonly logPath: string
}

export interface RunningProxies {
  readonly place: Place
  readonly directory: string
  /** Where clients connect; one is enough, drivers find the others. */
  readonly contactPoint: ContactPoint
  readonly metrics: readonly ContactPoint[]
  readonly logPaths: readonly string[]
  /** Resolves when one has ended, for whatever reason. */
  readonly exited: Promise<void>
  isOver(): boolean
  /** What to say when one ended though nobody asked it to. */
  describeEnd(): Promise<ProxyError>
  stop(): Promise<void>
}

/** All instances at the same time. `directory` is the demo's own. */
export const startProxies = async (
  clusters: Clusters,
  directory: string,
  signal: AbortSignal,
): Promise<RunningProxies> => {
  signal.throwIfAborted()
  const place = await findPlace()
  const failed = new AbortController()
  const either = AbortSignal.any([signal, failed.signal])
  const starts = place.addresses.map(async (_, index) => {
    try {
      return await startProxy({ ...clusters, place, index, directory }, either)
    } catch (error) {
      failed.abort(error)
      throw error
    }
  })
  const settled = await Promise.allSettled(starts)
  const all = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  const stop = async (): Promise<void> => {
    await Promise.all(all.map(({ guarded }) => guarded.terminate(STOP_TIMEOUT_MS)))
  }
  if (all.length < settled.length) {
    await stop()
    throw either.reason
  }
  const firstOver = () => all.find(({ guarded }) => guarded.isOver) ?? all[0]!
  return {
    place,
    directory,
    contactPoint: { address: place.addresses[0]!, port: place.port },
    metrics: all.map(({ metrics }) => metrics),
    logPaths: all.map(({ logPath }) => logPath),
    exited: Promise.race(all.map(({ guarded }) => guarded.exited)),
    isOver: () => all.some(({ guarded }) => guarded.isOver),
    describeEnd: () => describeFailure('ended by itself', firstOver().logPath),
    stop,
  }
}
