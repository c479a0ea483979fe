/**
 * A control connection to a fake cluster, with a clock that a test moves, and all that it has told:
 * for the tests of this folder.
 */
import type { Timer } from '../../src/clock.ts'
import { configuredContacts } from '../../src/cluster/contacts.ts'
import { ControlConnection } from '../../src/cluster/control-connection.ts'
import type {
  ClusterKnowledge,
  ControlConnectionSettings,
} from '../../src/cluster/control-contract.ts'
import { Opcode, Version } from '../../src/cql/protocol.ts'
import { createLogger } from '../../src/log.ts'
import { Cluster } from '../../src/routing/cluster.ts'
import type { Endpoint } from '../../src/upstream/connection.ts'
import { afterTest } from '../support/after-test.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeCluster, type FakeClusterOptions } from '../support/fake-cluster/cluster.ts'
import type { Condition } from '../support/fake-cluster/script.ts'

export const CONNECT_TIMEOUT_MS = 5_000
export const CALL_TIMEOUT_MS = 10_000
export const HEARTBEAT_INTERVAL_MS = 30_000
/** A call whose time is over is ended by the next sweep. */
export const SWEEP_INTERVAL_MS = 250
export const REFRESH_DELAY_MS = 100
/** With nothing to do there are the sweep and the next heartbeat. */
export const IDLE_TIMERS = 2

export const LOCAL = /FROM system\.local/
export const PEERS_V2 = /FROM system\.peers_v2/

/** What a control connection asks while it opens, in order: its name and how a fake cluster knows it. */
export const OPENING_STEPS: readonly (readonly [string, Condition])[] = [
  ['OPTIONS', { opcode: Opcode.OPTIONS }],
  ['STARTUP', { opcode: Opcode.STARTUP }],
  ['AUTH_RESPONSE', { opcode: Opcode.AUTH_RESPONSE }],
  ['REGISTER', { opcode: Opcode.REGISTER }],
  ['the first SELECT', { text: LOCAL }],
  ['the last SELECT', { text: PEERS_V2 }],
]

export const startCluster = async (
  options: Partial<FakeClusterOptions> = {},
): Promise<FakeCluster> => {
  const cluster = await FakeCluster.start({ name: 'origin', ...options })
  afterTest(() => cluster.stop())
  return cluster
}

/** Resolves when the condition holds; asked again after every turn of the event loop. */
export const eventually = async (isDone: () => boolean): Promise<void> => {
  while (!isDone()) await new Promise((resolve) => setImmediate(resolve))
}

/** A few turns of the event loop: for what must not happen. */
export const someTurns = async (turns = 20): Promise<void> => {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** Remembers for how long timers were set. */
class RecordingClock extends FakeClock {
  readonly delays: number[] = []

  override setTimeout(callback: () => void, delayMs: number): Timer {
    this.delays.push(delayMs)
    return super.setTimeout(callback, delayMs)
  }
}

export type Line = {
  readonly level: string
  readonly code: string
  readonly msg: string
  readonly node?: string
  readonly suppressed?: number
}

export class ControlHarness {
  readonly clock = new RecordingClock()
  readonly lines: Line[] = []
  /** The log as it was written. */
  readonly logText: string[] = []
  readonly knowledge: ClusterKnowledge[] = []
  readonly schemaChanges: Uint8Array[] = []
  readonly statusChanges: (Endpoint & { readonly isUp: boolean })[] = []
  /** How often the cluster was said to be unreachable. */
  unreachable = 0
  readonly control: ControlConnection
  readonly cluster: FakeCluster

  constructor(
    cluster: FakeCluster,
    settings: Partial<ControlConnectionSettings> = {},
    random: () => number = () => 0,
  ) {
    this.cluster = cluster
    const sink = {
      write: (line: string): void => {
        this.logText.push(line)
        this.lines.push(JSON.parse(line))
      },
    }
    this.control = new ControlConnection(
      {
        cluster: Cluster.ORIGIN,
        contacts: configuredContacts(cluster.contactPoints, cluster.port),
        port: cluster.port,
        tls: null,
        localDatacenter: null,
        isStrictDatacenter: false,
        credentials: null,
        connectTimeoutMs: CONNECT_TIMEOUT_MS,
        versionMax: Version.V5,
        heartbeatIntervalMs: HEARTBEAT_INTERVAL_MS,
        retryDelayMinMs: 100,
        retryDelayMaxMs: 1_000,
        retryFactor: 2,
        ...settings,
      },
      {
        onKnowledge: (_cluster, knowledge) => this.knowledge.push(knowledge),
        onStatusChange: (_cluster, node, isUp) => this.statusChanges.push({ ...node, isUp }),
        onUnreachable: () => this.unreachable++,
        onSchemaChange: (_cluster, body) => this.schemaChanges.push(body),
      },
      { clock: this.clock, log: createLogger({ level: 'debug', clock: this.clock, sink }), random },
    )
    afterTest(() => this.control.close())
  }

  codes(level: string): string[] {
    return this.lines.filter((line) => line.level === level).map((line) => line.code)
  }

  /** How often system.local was asked for. */
  get reads(): number {
    return this.cluster.received.filter(({ text }) => text === 'SELECT * FROM system.local').length
  }

  received(opcode: number): number {
    return this.cluster.received.filter((request) => request.opcode === opcode).length
  }

  /** Sends an event of the schema and waits until it, and all that was sent before, has come. */
  async pushSchemaChange(keyspace = 'ks'): Promise<void> {
    const before = this.schemaChanges.length
    const change = { change: 'CREATED', target: 'KEYSPACE', keyspace }
    this.cluster.pushEvent({ type: 'SCHEMA_CHANGE', ...change })
    await eventually(() => this.schemaChanges.length > before)
  }

  /** Moves the clock to the next heartbeat and waits until a node has got it. */
  async beat(): Promise<void> {
    const before = this.received(Opcode.OPTIONS)
    this.clock.advance(HEARTBEAT_INTERVAL_MS)
    await this.cluster.waitUntil(() => this.received(Opcode.OPTIONS) > before)
  }

  /** Nothing to do but to wait for the next heartbeat. */
  async idle(): Promise<void> {
    await eventually(() => this.clock.pendingTimers === IDLE_TIMERS)
  }
}

/** A control connection that has been opened. */
export const connected = async (
  cluster: FakeCluster,
  settings: Partial<ControlConnectionSettings> = {},
  random?: () => number,
): Promise<ControlHarness> => {
  const harness = new ControlHarness(cluster, settings, random)
  await harness.control.connect()
  return harness
}

/** The error that a promise rejects with. */
export const rejection = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'it did not reject',
    (error: unknown) => error,
  )

export const endpointOf = (cluster: FakeCluster, node = 0): string =>
  `${cluster.nodes[node]!.address}:${cluster.port}`

/** The nodes that were asked, in order. */
export const askedNodes = (cluster: FakeCluster): number[] =>
  cluster.received.filter(({ opcode }) => opcode === Opcode.OPTIONS).map(({ node }) => node)

export const openNodes = (cluster: FakeCluster): number[] =>
  cluster.openConnections.map(({ node }) => node.index)

export const SCHEMA_EVENT = '\0\x0dSCHEMA_CHANGE\0\x07CREATED\0\x08KEYSPACE\0\x02ks'
export const DAMAGED_EVENT = '\0\x0dSCHEMA_CHANGE\0\x40'

/** Sends an event's body as it is, on stream -1. */
export const pushRaw = (cluster: FakeCluster, body: string, flags = 0): void => {
  const answer = { opcode: Opcode.EVENT, body: Buffer.from(body, 'latin1'), flags }
  for (const connection of cluster.openConnections) connection.send(-1, answer)
}

/** What the answers that `release` lets go and the event behind them are to the peer: one read. */
export const inOneChunk = async (
  cluster: FakeCluster,
  release: () => void,
  event: string,
): Promise<void> => {
  const { socket } = cluster.openConnections[0]!
  socket.cork()
  release()
  await someTurns(2)
  pushRaw(cluster, event)
  socket.uncork()
}
