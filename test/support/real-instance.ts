/**
 * A proxy instance between the two real clusters of the run, drivers through it and past it, and a
 * keyspace per test file. What is opened here is closed when the file is done.
 */
import { randomBytes } from 'node:crypto'
import { Client, type ClientOptions, policies, type types } from 'cassandra-driver'
import { inject } from 'vitest'
import type { ContactPoint } from '../../clusters/cluster.ts'
import { systemClock } from '../../src/clock.ts'
import type { Settings } from '../../src/config/settings.ts'
import type { EnvelopeRewrite } from '../../src/cql/envelope-decoder.ts'
import { createLogger } from '../../src/log.ts'
import { ProxyInstance } from '../../src/proxy/instance.ts'
import { afterFile } from './after-test.ts'
import { type LogLine, testSettings } from './instance.ts'
import type { ProvidedCluster } from './real-clusters.ts'

export type RealInstance = {
  readonly instance: ProxyInstance
  readonly port: number
  readonly log: readonly LogLine[]
}

type Contact = { readonly contactPoints: readonly ContactPoint[] }

/** An instance between any two clusters that run. */
export const startInstanceBetween = async (
  origin: Contact,
  target: Contact,
  overrides: Partial<Settings> = {},
  rewriteEnvelope?: EnvelopeRewrite,
): Promise<RealInstance> => {
  const log: LogLine[] = []
  const settings = testSettings({
    originContactPoints: origin.contactPoints.map(({ address }) => address),
    originPort: origin.contactPoints[0]!.port,
    targetContactPoints: target.contactPoints.map(({ address }) => address),
    targetPort: target.contactPoints[0]!.port,
    // As long as the clusters' own time-outs: on a busy machine a cluster takes its time, for a first Java function most of all.
    proxyRequestTimeoutMs: 60_000,
    ...overrides,
  })
  const instance = new ProxyInstance(settings, {
    clock: systemClock,
    log: createLogger({
      level: 'debug',
      clock: systemClock,
      sink: { write: (line) => log.push(JSON.parse(line)) },
    }),
    logLevel: 'warn',
    random: Math.random,
    onFault: (error) => {
      throw error
    },
    ...(rewriteEnvelope === undefined ? {} : { rewriteEnvelope }),
  })
  afterFile(() => instance.stop(new AbortController().signal))
  await instance.start()
  return { instance, port: instance.port!, log }
}

/** An instance between the run's own Origin and Target. */
export const startRealInstance = (
  overrides: Partial<Settings> = {},
  rewriteEnvelope?: EnvelopeRewrite,
): Promise<RealInstance> => {
  const { origin, target } = inject('clusters')
  return startInstanceBetween(origin, target, overrides, rewriteEnvelope)
}

export const connectDriver = async (
  contactPoint: string,
  options: Partial<ClientOptions> = {},
): Promise<Client> => {
  const client = new Client({
    contactPoints: [contactPoint],
    policies: {
      loadBalancing: new policies.loadBalancing.RoundRobinPolicy(),
      retry: new policies.retry.FallthroughRetryPolicy(),
    },
    ...options,
  })
  afterFile(() => client.shutdown())
  await client.connect()
  return client
}

const endpointOf = (cluster: ProvidedCluster): string => {
  const { address, port } = cluster.contactPoints[0]!
  return `${address}:${port}`
}

/** Drivers straight to the clusters, to see what is stored there. */
export const connectDirect = async (): Promise<{ origin: Client; target: Client }> => {
  const { origin, target } = inject('clusters')
  return {
    origin: await connectDriver(endpointOf(origin)),
    target: await connectDriver(endpointOf(target)),
  }
}

/** A name that no other file uses. */
export const newKeyspaceName = (): string => `ks_${randomBytes(6).toString('hex')}`

export const createKeyspace = (name: string): string =>
  `CREATE KEYSPACE ${name} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`

/** Rows as plain values that can be compared. */
export const plainRows = (result: types.ResultSet): Record<string, unknown>[] =>
  result.rows.map((row) =>
    Object.fromEntries(
      row.keys().map((key) => {
        const value: unknown = row.get(key)
        return [key, value !== null && typeof value === 'object' ? JSON.stringify(value) : value]
      }),
    ),
  )
