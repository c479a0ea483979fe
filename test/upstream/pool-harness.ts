/** A pool over the nodes of a fake cluster, for the tests of pools. */
import type { UpstreamConnection } from '../../src/upstream/connection.ts'
import { ClusterError, ClusterErrorCode } from '../../src/upstream/errors.ts'
import { type Node, type PoolOptions, UpstreamPool } from '../../src/upstream/pool.ts'
import { afterTest } from '../support/after-test.ts'
import { FakeCluster } from '../support/fake-cluster/cluster.ts'
import { Harness } from './node-connections.ts'

/** Waits for turns of the event loop, never for time. */
export const until = async (isDone: () => boolean): Promise<void> => {
  while (!isDone()) await new Promise((resolve) => setImmediate(resolve))
}

/** Long enough for loopback I/O that should not happen to have happened. */
export const turns = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
}

export type Settings = Partial<PoolOptions> & {
  readonly nodeCount?: number
  readonly keyspaces?: readonly string[]
  readonly keyspace?: string
  readonly streamIdsMax?: number
  /** How many of the cluster's nodes the pool knows at first. */
  readonly known?: number
  /** How many of the nodes, the last ones, are reserves. */
  readonly reserves?: number
}

/** A pool over the nodes of a fake cluster, whose openings a test can hold and fail. */
export class PoolHarness extends Harness {
  readonly cluster: FakeCluster
  readonly nodes: readonly Node[]
  readonly pool: UpstreamPool
  /** Labels of the nodes that were called, in order. */
  readonly called: string[] = []
  readonly told: string[] = []
  readonly held = new Map<string, Promise<void>>()
  readonly failing = new Map<string, Error>()
  readonly #settings: Settings

  constructor(cluster: FakeCluster, settings: Settings) {
    super()
    this.cluster = cluster
    this.#settings = settings
    this.nodes = cluster.nodes.map((node, index) => ({
      hostId: `host ${index}`,
      label: `n${index}`,
      endpoint: { address: node.address, port: node.port },
      ...(index < cluster.nodes.length - (settings.reserves ?? 0)
        ? {}
        : { isReserve: true as const }),
    }))
    this.pool = new UpstreamPool(
      {
        cluster: 0,
        connectionsPerNodeMax: settings.connectionsPerNodeMax ?? 2,
        isExclusive: settings.isExclusive ?? false,
        clock: this.clock,
        open: (node, signal) => this.#open(node, signal),
        onExclusiveLost: (why) => this.told.push(`exclusive ${why}`),
        onReconnectFailed: (node) => this.told.push(`failed ${node.label}`),
        onOrphanedReplaced: (node) => this.told.push(`replaced ${node.label}`),
      },
      this.nodes.slice(0, settings.known),
    )
  }

  /** A ready connection that the pool does not know. */
  connect(index: number): Promise<UpstreamConnection> {
    return this.openNode(this.nodes[index]!)
  }

  openNode(node: Node, signal?: AbortSignal): Promise<UpstreamConnection> {
    const { streamIdsMax = 128, keyspace = null } = this.#settings
    const changes = { endpoint: node.endpoint, node: node.label, streamIdsMax }
    return this.openReady(this.cluster, changes, { keyspace }, signal)
  }

  /** Holds the openings of a node from now on, until the result is called. */
  hold(label: string): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.held.set(label, promise)
    return () => {
      this.held.delete(label)
      resolve()
    }
  }

  fail(label: string): void {
    this.failing.set(
      label,
      new ClusterError(ClusterErrorCode.CONNECT_FAILED, 0, `${label} is down`),
    )
  }

  /** Connections that are open to a node, as the node sees it. */
  openTo(index: number): number {
    return this.cluster.nodes[index]!.openConnections.length
  }

  /** The node closes all its connections. */
  lose(index: number): void {
    for (const connection of this.cluster.nodes[index]!.openConnections) connection.destroy()
  }

  async #open(node: Node, signal: AbortSignal): Promise<UpstreamConnection> {
    this.called.push(node.label)
    await this.held.get(node.label)
    const failure = this.failing.get(node.label)
    if (failure !== undefined) throw failure
    return this.openNode(node, signal)
  }
}

export const start = async (settings: Settings = {}): Promise<PoolHarness> => {
  const { nodeCount: nodes = 1, keyspaces } = settings
  const options = keyspaces === undefined ? {} : { keyspaces }
  const cluster = await FakeCluster.start({ name: 'origin', nodes, ...options })
  const harness = new PoolHarness(cluster, settings)
  afterTest(
    () => cluster.stop(),
    () => harness.close(),
    () => harness.pool.close(),
  )
  return harness
}

/** A pool that is in use, connected to all its nodes. */
export const startReady = async (settings: Settings = {}): Promise<PoolHarness> => {
  const harness = await start(settings)
  await harness.pool.ready(0)
  const count = settings.isExclusive ? 1 : (settings.known ?? harness.nodes.length)
  await until(() => harness.opened.filter((connection) => connection.isUsable).length === count)
  return harness
}
