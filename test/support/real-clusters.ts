/**
 * The integration suite's global set-up: Origin and Target, started once for the whole run and handed
 * to the tests by `inject('clusters')`. `ZDM_TEST_ORIGIN` and `ZDM_TEST_TARGET` (host:port) name
 * clusters that run already. Where none can be had the run fails; it never skips.
 */
import cassandra from 'cassandra-driver'
import type { TestProject } from 'vitest/node'
import type { ClusterError, ContactPoint } from '../../clusters/cluster.ts'
import { StartProgress } from '../../clusters/progress.ts'
import { startPair } from '../../clusters/start.ts'
import { StatusLine, standardError } from '../../clusters/status-line.ts'
import { type DriverPrograms, LANGUAGES, makeDriverPrograms } from './driver-programs.ts'

export interface ProvidedCluster {
  readonly contactPoints: ContactPoint[]
  readonly localDatacenter: string
  /** As the cluster says, e.g. `4.1.10`. */
  readonly version: string
}

declare module 'vitest' {
  interface ProvidedContext {
    /** The driver suite's programs. */
    driverPrograms: DriverPrograms
    clusters: { readonly origin: ProvidedCluster; readonly target: ProvidedCluster }
  }
}

const tell = (text: string): void => {
  process.stderr.write(`${text}\n`)
}

const parseContactPoint = (variable: string, text: string): ContactPoint => {
  const match = /^(.+):(\d+)$/.exec(text)
  if (match === null) {
    throw new Error(`Cannot use ${variable}=${text}: give it as host:port, e.g. 127.0.0.2:9042`)
  }
  return { address: match[1]!, port: Number(match[2]) }
}

const describeCluster = async (contactPoint: ContactPoint): Promise<ProvidedCluster> => {
  const { policies } = cassandra
  const client = new cassandra.Client({
    contactPoints: [`${contactPoint.address}:${contactPoint.port}`],
    policies: { loadBalancing: new policies.loadBalancing.RoundRobinPolicy() },
  })
  try {
    const result = await client.execute('SELECT data_center, release_version FROM system.local')
    const row = result.first()
    return {
      contactPoints: [contactPoint],
      localDatacenter: String(row['data_center']),
      version: String(row['release_version']),
    }
  } finally {
    await client.shutdown()
  }
}

interface Running {
  readonly origin: ContactPoint
  readonly target: ContactPoint
  stop(): Promise<void>
}

const alreadyRunning = (): Running | undefined => {
  const origin = process.env['ZDM_TEST_ORIGIN'] ?? ''
  const target = process.env['ZDM_TEST_TARGET'] ?? ''
  if (origin === '' && target === '') return undefined
  return {
    origin: parseContactPoint('ZDM_TEST_ORIGIN', origin),
    target: parseContactPoint('ZDM_TEST_TARGET', target),
    stop: () => Promise.resolve(),
  }
}

const startBoth = async (onNodeLost: (error: ClusterError) => void): Promise<Running> => {
  const progress = new StartProgress(new StatusLine(standardError()))
  const options = { onProgress: progress.update, onNodeLost }
  const { origin, target } = await startPair(options).finally(progress.end)
  return {
    origin: origin.contactPoints[0]!,
    target: target.contactPoints[0]!,
    stop: async () => {
      await Promise.all([origin.stop(), target.stop()])
    },
  }
}

export default async (project: TestProject): Promise<() => Promise<void>> => {
  // Every test after it would wait for a cluster that is not there.
  const endRun = (error: ClusterError): void => {
    tell(`${error.code}: ${error.message}`)
    process.exitCode = 1
    void project.vitest.cancelCurrentRun('test-failure')
  }
  // At the same time: drivers take a while to come, clusters to start.
  const [started, made] = await Promise.allSettled([
    alreadyRunning() ?? startBoth(endRun),
    makeDriverPrograms(),
  ])
  if (started.status === 'rejected') throw started.reason
  const running = started.value
  try {
    if (made.status === 'rejected') throw made.reason
    for (const language of LANGUAGES) {
      const program = made.value[language]
      if ('unavailable' in program) {
        tell(`NOT RUN: the driver suite in ${language}: ${program.unavailable}`)
      }
    }
    project.provide('driverPrograms', made.value)
    const [origin, target] = await Promise.all([
      describeCluster(running.origin),
      describeCluster(running.target),
    ])
    tell(`Origin ${origin.version} and Target ${target.version} are ready`)
    project.provide('clusters', { origin, target })
  } catch (error) {
    await running.stop()
    throw error
  }
  return () => running.stop()
}
