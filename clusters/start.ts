/** Starts a cluster with whatever this machine has: a Docker engine if one answers, else Java. */
import {
  ClusterError,
  type ClusterSpec,
  type RunningCluster,
  type StartOptions,
} from './cluster.ts'
import { dockerAnswers, startOnDocker } from './docker.ts'
import { startOnJvm } from './jvm.ts'

export type Provider = 'docker' | 'jvm'

/** `ZDM_CLUSTERS` forces a provider; without it the engine is asked. */
export const chooseProvider = async (
  wanted: string | undefined,
  engineAnswers: () => Promise<boolean>,
): Promise<Provider> => {
  if (wanted === 'docker' || wanted === 'jvm') return wanted
  if (wanted !== undefined && wanted !== '') {
    throw new ClusterError(
      'UNKNOWN_PROVIDER',
      `Cannot start clusters with ZDM_CLUSTERS=${wanted}: use docker or jvm, or leave it unset.`,
    )
  }
  return (await engineAnswers()) ? 'docker' : 'jvm'
}

/** Asked once per process: two clusters that start together must not differ in it. */
let provider: Promise<Provider> | undefined

export const startCluster = async (
  spec: ClusterSpec,
  options: StartOptions = {},
): Promise<RunningCluster> => {
  provider ??= chooseProvider(process.env['ZDM_CLUSTERS'], dockerAnswers)
  return (await provider) === 'docker' ? startOnDocker(spec, options) : startOnJvm(spec, options)
}

export const ORIGIN: ClusterSpec = { name: 'origin', version: '4.1' }
export const TARGET: ClusterSpec = { name: 'target', version: '5.0' }

export interface ClusterPair {
  readonly origin: RunningCluster
  readonly target: RunningCluster
}

/** Origin and Target at the same time; if one cannot be had, the other is stopped again. */
export const startPair = async (options: StartOptions = {}): Promise<ClusterPair> => {
  const failed = new AbortController()
  const signals = options.signal === undefined ? [] : [options.signal]
  const signal = AbortSignal.any([failed.signal, ...signals])
  const start = async (spec: ClusterSpec): Promise<RunningCluster> => {
    try {
      return await startCluster(spec, { ...options, signal })
    } catch (error) {
      failed.abort(error)
      throw error
    }
  }
  const [origin, target] = await Promise.allSettled([start(ORIGIN), start(TARGET)])
  if (origin.status === 'fulfilled' && target.status === 'fulfilled') {
    return { origin: origin.value, target: target.value }
  }
  for (const one of [origin, target]) if (one.status === 'fulfilled') await one.value.stop()
  throw signal.reason
}
