/**
 * One data plane in the test's own process, between two fake clusters: like instance.ts, but a test
 * can look into its tables, give it another snapshot or routing, and stop its clock.
 */
import { type Clock, systemClock } from '../../src/clock.ts'
import type { Settings } from '../../src/config/settings.ts'
import type { Version } from '../../src/cql/protocol.ts'
import { createLogger } from '../../src/log.ts'
import type { PlaneSeries } from '../../src/metrics/plane-series.ts'
import { NO_TLS, type TlsMaterial } from '../../src/net/tls.ts'
import type { SharedStatement } from '../../src/prepared/statement.ts'
import { ControlPlane } from '../../src/proxy/control-plane.ts'
import { DataPlane } from '../../src/proxy/data-plane.ts'
import type { DataPlaneSettings } from '../../src/proxy/data-plane-options.ts'
import {
  controlPlaneSettings,
  dataPlaneSettings,
  initialRouting,
} from '../../src/proxy/derived-settings.ts'
import { makeSharedState } from '../../src/proxy/shared-state.ts'
import { BY_SETTINGS_ALONE } from '../../src/reach/connection-settings.ts'
import type { TracedRequest } from '../../src/tracing/traced-request.ts'
import { afterTest } from './after-test.ts'
import type { FakeCluster, FakeClusterOptions } from './fake-cluster/cluster.ts'
import { type LogLine, settingsFor, startCluster } from './instance.ts'
import { type HandshakeOptions, RawClient, type RawClientOptions } from './raw-client.ts'

/** Resolves when the condition holds; asked again after every turn of the event loop. */
export const eventually = async (isDone: () => boolean): Promise<void> => {
  while (!isDone()) await new Promise((resolve) => setImmediate(resolve))
}

/** A few turns of the event loop: for what must not happen. */
export const someTurns = async (turns = 20): Promise<void> => {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve))
}

export type PlaneRigOptions = {
  readonly origin?: Partial<FakeClusterOptions>
  readonly target?: Partial<FakeClusterOptions>
  readonly settings?: Partial<Settings>
  /** Of the proxy's legs, each with TLS; none if absent. */
  readonly tls?: TlsMaterial
  /** Bounds that no setting has, or not that low. */
  readonly plane?: Partial<DataPlaneSettings>
  /** What the other planes know. */
  readonly askOthers?: (id: Uint8Array) => Promise<SharedStatement | null>
  /** Takes traced requests (`tracingOtlpEndpoint`). */
  readonly onTraced?: (requests: readonly TracedRequest[]) => void
  /** A FakeClock lets the test decide when time-outs and sweeps happen. */
  readonly clock?: Clock
}

export type PlaneRig = {
  readonly plane: DataPlane
  readonly port: number
  readonly origin: FakeCluster
  readonly target: FakeCluster
  readonly log: readonly LogLine[]
  /** A client whose handshake is done. */
  client(version?: Version, handshake?: HandshakeOptions): Promise<RawClient>
  /** A client that has sent nothing yet. */
  connect(options?: RawClientOptions): Promise<RawClient>
  series(): PlaneSeries
  /** Forgets what the clusters have received so far. */
  clear(): void
  /** Stream ids that are taken towards a cluster's nodes. */
  used(cluster: 'origin' | 'target'): number
  /** Nothing in flight: no request, no stream id towards a node. */
  idle(): Promise<void>
}

export const startPlane = async (options: PlaneRigOptions = {}): Promise<PlaneRig> => {
  const origin = await startCluster({ name: 'origin', ...options.origin })
  const target = await startCluster({ name: 'target', ...options.target })
  const settings = settingsFor(origin, target, options.settings)
  const log: LogLine[] = []
  const { clock = systemClock, tls = NO_TLS } = options
  const sink = { write: (line: string): void => void log.push(JSON.parse(line)) }
  const logger = createLogger({ level: 'debug', clock, sink })
  let plane: DataPlane | null = null
  const control = new ControlPlane(
    await controlPlaneSettings(settings, { ...BY_SETTINGS_ALONE, tls }),
    0,
    {
      onSnapshot: (snapshot) => plane?.setSnapshot(snapshot),
      onNodeStatus: (status) => plane?.setNodeStatus(status),
      onSchemaChange: (body) => plane?.announce({ type: 'SCHEMA_CHANGE', body }),
    },
    // The control plane's own time passes: only the data plane's stands still.
    { clock: systemClock, log: logger, random: () => 0 },
  )
  afterTest(() => control.close())
  // Who moves a clock by minutes leaves no turn in which a node could answer.
  const noHeartbeat =
    options.clock === undefined ? {} : { heartbeatIntervalMs: Number.POSITIVE_INFINITY }
  const started = new DataPlane({
    settings: { ...dataPlaneSettings(settings), ...noHeartbeat, ...options.plane },
    snapshot: await control.open(),
    routing: initialRouting(settings),
    tls,
    shared: makeSharedState(),
    clientCount: new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT),
    log: logger,
    clock,
    onTraced: options.onTraced ?? (() => undefined),
    askOthers: options.askOthers ?? (() => Promise.resolve(null)),
    schemaAgreement: (questions) => control.schemaAgreement(questions),
  })
  plane = started
  afterTest(() => started.close())
  const port = await started.listen(0, false)
  control.setClientPort(port)
  const used = (cluster: 'origin' | 'target'): number =>
    started
      .series()
      .nodes.filter((node) => node.cluster === cluster)
      .reduce((sum, { usedStreamIds }) => sum + usedStreamIds, 0)
  const isIdle = (): boolean =>
    started.requests.inFlight === 0 && used('origin') + used('target') === 0
  const connect = async (clientOptions: RawClientOptions = {}): Promise<RawClient> => {
    const client = await RawClient.connect(port, clientOptions)
    afterTest(() => client.close())
    return client
  }
  return {
    plane: started,
    port,
    origin,
    target,
    log,
    connect,
    client: async (version = 4, handshake = {}) => {
      const client = await connect({ version })
      await client.handshake(handshake)
      return client
    },
    series: () => started.series(),
    clear: () => {
      origin.received.length = 0
      target.received.length = 0
    },
    used,
    idle: () => eventually(isIdle),
  }
}
