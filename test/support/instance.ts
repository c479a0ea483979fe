/**
 * A proxy instance in the test's own process, between two fake clusters or any other two, on free
 * ports. Everything that is opened here is closed after the test that asked for it.
 */
import { type Clock, systemClock } from '../../src/clock.ts'
import { DEFINITIONS, type Settings, settingsOf } from '../../src/config/settings.ts'
import type { Version } from '../../src/cql/protocol.ts'
import { createLogger } from '../../src/log.ts'
import { ProxyInstance } from '../../src/proxy/instance.ts'
import { afterTest } from './after-test.ts'
import { FakeCluster, type FakeClusterOptions } from './fake-cluster/cluster.ts'
import { type HandshakeOptions, RawClient, type RawClientOptions } from './raw-client.ts'

/** The defaults, and what a test needs otherwise. */
export const testSettings = (overrides: Partial<Settings> = {}): Settings => ({
  ...settingsOf(new Map(DEFINITIONS.map(({ key, default: value }) => [key, value]))),
  proxyListenPort: 0,
  metricsPort: 0,
  adminPort: 0,
  dataPlaneThreads: 1,
  // A control connection that steps down opens more than one, and tests count connections.
  controlConnMaxProtocolVersion: '5',
  shutdownTimeoutMs: 500,
  ...overrides,
})

export type LogLine = {
  readonly level: string
  readonly code: string
  readonly msg: string
  readonly cluster?: string
  readonly table?: string
  readonly suppressed?: number
}

export type TestInstance = {
  readonly instance: ProxyInstance
  readonly port: number
  /** What it has logged, at DEBUG and above. */
  readonly log: readonly LogLine[]
  stop(): Promise<void>
}

/** An instance that has not been started; it is stopped after the test. */
export const createInstance = (
  settings: Settings,
  clock: Clock = systemClock,
): Omit<TestInstance, 'port'> => {
  const log: LogLine[] = []
  const instance = new ProxyInstance(settings, {
    clock,
    log: createLogger({
      level: 'debug',
      clock,
      sink: { write: (line) => log.push(JSON.parse(line)) },
    }),
    logLevel: 'warn',
    random: () => 0,
    onFault: (error) => {
      throw error
    },
  })
  const stop = (): Promise<void> => instance.stop(new AbortController().signal)
  afterTest(stop)
  return { instance, log, stop }
}

export const startInstance = async (
  settings: Settings,
  clock: Clock = systemClock,
): Promise<TestInstance> => {
  const created = createInstance(settings, clock)
  await created.instance.start()
  return { ...created, port: created.instance.port ?? 0 }
}

export const startCluster = async (options: FakeClusterOptions): Promise<FakeCluster> => {
  const cluster = await FakeCluster.start(options)
  afterTest(() => cluster.stop())
  return cluster
}

export type Rig = TestInstance & {
  readonly origin: FakeCluster
  readonly target: FakeCluster
  /** A client whose handshake is done. */
  client(version?: Version, options?: HandshakeOptions): Promise<RawClient>
  /** A client that has sent nothing yet. */
  connect(options?: RawClientOptions): Promise<RawClient>
}

export type RigOptions = {
  readonly origin?: Partial<FakeClusterOptions>
  readonly target?: Partial<FakeClusterOptions>
  readonly settings?: Partial<Settings>
  /** A FakeClock lets the test decide when time-outs and sweeps happen. */
  readonly clock?: Clock
}

/** The settings that lead to two fake clusters. */
export const settingsFor = (
  origin: FakeCluster,
  target: FakeCluster,
  overrides: Partial<Settings> = {},
): Settings =>
  testSettings({
    originContactPoints: [origin.contactPoints[0]!],
    originPort: origin.port,
    targetContactPoints: [target.contactPoints[0]!],
    targetPort: target.port,
    ...overrides,
  })

/** Origin, Target and an instance between them. */
export const startRig = async (options: RigOptions = {}): Promise<Rig> => {
  const origin = await startCluster({ name: 'origin', ...options.origin })
  const target = await startCluster({ name: 'target', ...options.target })
  const started = await startInstance(settingsFor(origin, target, options.settings), options.clock)
  const connect = async (clientOptions: RawClientOptions = {}): Promise<RawClient> => {
    const client = await RawClient.connect(started.port, clientOptions)
    afterTest(() => client.close())
    return client
  }
  return {
    ...started,
    origin,
    target,
    connect,
    client: async (version = 4, handshake = {}) => {
      const client = await connect({ version })
      await client.handshake(handshake)
      return client
    },
  }
}
