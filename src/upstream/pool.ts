/**
 * The connections of one profile to one cluster: at least one per node, more under load, and back
 * again after a loss. Choosing is synchronous and never waits; a node that is down is skipped
 * (architecture §2.3). At most one connection is being opened to a node at a time.
 */
import type { Clock, Timer } from '../clock.ts'
import { Opcode } from '../cql/protocol.ts'
import { BodyWriter } from '../cql/writer.ts'
import { type Cluster, clusterName } from '../routing/cluster.ts'
import type { Endpoint, UpstreamConnection } from './connection.ts'
import { ClusterError, ClusterErrorCode } from './errors.ts'
import { firstToOpen } from './first-to-open.ts'

/** A node that this instance may use, as the control plane's snapshot names it. */
export type Node = {
  readonly hostId: string
  readonly label: string
  readonly endpoint: Endpoint
  /** Used only while no node that is none is up: it is in another rack than the one that was asked for. */
  readonly isReserve?: true
}

const rotated = <T>(list: readonly T[], by: number): T[] =>
  list.map((_, i) => list[(by + i) % list.length]!)

/** From the preferred one on and round (an index that may be larger); the reserves, likewise, come last. */
export const inTurn = (nodes: readonly Node[], preferred: number): Node[] => [
  ...rotated(
    nodes.filter((node) => node.isReserve !== true),
    preferred,
  ),
  ...rotated(
    nodes.filter((node) => node.isReserve === true),
    preferred,
  ),
]

/**
 * A connection that owes more answers nobody waits for is replaced; one with fewer than twice as many
 * stream ids already when half of them are lost to such answers.
 */
export const ORPHANS_MAX = 1024
const RECONNECT_DELAY_MIN_MS = 100
export const RECONNECT_DELAY_MAX_MS = 10_000
/**
 * A connection that is lost sooner counts as a failure to open: a node that accepts and closes again
 * would be called without a pause otherwise.
 */
export const STABLE_AFTER_MS = 10_000
/** How long a connection may take to answer when its node is said to be down. */
export const SIGN_OF_LIFE_MS = 2_000

export type PoolOptions = {
  readonly cluster: Cluster
  readonly connectionsPerNodeMax: number
  /** Connect to one node only: the one-to-one model. */
  readonly isExclusive: boolean
  readonly clock: Clock
  /** Opens a connection and completes the profile's handshake on it. */
  open(node: Node, signal: AbortSignal): Promise<UpstreamConnection>
  /**
   * The pool is exclusive to a session that must go: its connection is lost, or its node was removed
   * and the connection finishes what is in flight.
   */
  onExclusiveLost(why: 'lost' | 'removed'): void
  /** A node of a pool in use could not be reached; it is tried again. */
  onReconnectFailed(node: Node, error: unknown): void
  /** A connection with too many orphans has been replaced. */
  onOrphanedReplaced?(node: Node): void
}

type NodeConnections = {
  node: Node
  connections: UpstreamConnection[]
  /** Shared by all who wait for it. */
  opening: Promise<UpstreamConnection> | null
  /** In a row, for the back-off. */
  failures: number
  /** Runs while the node is left alone after a failure. */
  retryTimer: Timer | null
  /** The other nodes say that it is down: used only where no other will do. */
  isDown: boolean
}

export class UpstreamPool {
  readonly cluster: Cluster
  readonly #options: PoolOptions
  readonly #abort = new AbortController()
  #nodes: NodeConnections[] = []
  /** Reserves come behind all other nodes; as many as there are nodes where none is one. */
  #reservesFrom = 0
  #first: Promise<UpstreamConnection> | null = null
  /** A session has asked for it: from now on every node is to have a connection. */
  #isStarted = false
  #isClosed = false

  constructor(options: PoolOptions, nodes: readonly Node[]) {
    this.cluster = options.cluster
    this.#options = options
    this.setNodes(nodes)
  }

  /** The nodes to use from now on, in the assignment's order, reserves last. Connections to others are drained. */
  setNodes(nodes: readonly Node[]): void {
    const before = new Map(this.#nodes.map((entry) => [entry.node.hostId, entry]))
    this.#nodes = nodes.map((node) => {
      const known = before.get(node.hostId)
      if (known?.node.label !== node.label) {
        return {
          node,
          connections: [],
          opening: null,
          failures: 0,
          retryTimer: null,
          isDown: false,
        }
      }
      before.delete(node.hostId)
      // Behind a router a node keeps its label when the router moves.
      known.node = node
      return known
    })
    const reservesFrom = nodes.findIndex((node) => node.isReserve === true)
    this.#reservesFrom = reservesFrom === -1 ? nodes.length : reservesFrom
    const wasInUse = [...before.values()].some((entry) => entry.connections.length > 0)
    for (const gone of before.values()) this.#retire(gone)
    if (wasInUse && this.#options.isExclusive) this.#options.onExclusiveLost('removed')
    this.#fill()
  }

  /**
   * What the cluster's other nodes say of one. Up: it is called at once, whatever the back-off. Down: its
   * connections are asked for a sign of life, since a machine that is gone closes none of them.
   */
  setNodeStatus(hostId: string, isUp: boolean): void {
    const entry = this.#nodes.find(({ node }) => node.hostId === hostId)
    if (entry === undefined) return
    entry.isDown = !isUp
    if (!isUp) {
      for (const connection of entry.connections) this.#demandSignOfLife(entry, connection)
      this.#callReserves()
      return
    }
    entry.failures = 0
    this.#options.clock.clearTimeout(entry.retryTimer)
    entry.retryTimer = null
    this.#openIfNone(entry)
  }

  /**
   * The connection to use next: a ready one of the preferred node (an index that may be larger than
   * the number of nodes), else of the nodes after it, else of a reserve; null when there is none. One
   * without a free stream id only when no node has better.
   */
  pick(preferred: number): UpstreamConnection | null {
    const count = this.#nodes.length
    return (
      this.#pickAmong(0, this.#reservesFrom, preferred, false) ??
      this.#pickAmong(this.#reservesFrom, count, preferred, false) ??
      this.#pickAmong(0, count, preferred, true)
    )
  }

  /** Among the nodes at these positions, those that are said to be down or the others. */
  #pickAmong(
    from: number,
    to: number,
    preferred: number,
    isDown: boolean,
  ): UpstreamConnection | null {
    const count = to - from
    let full: UpstreamConnection | null = null
    for (let i = 0; i < count; i++) {
      const entry = this.#nodes[from + ((preferred + i) % count)]!
      if (entry.isDown !== isDown) continue
      const connection = leastLoaded(entry.connections)
      if (connection === null) continue
      if (isDown) return connection
      const { hasFree } = connection.slots
      if (!hasFree || connection.isBusy) this.#grow(entry)
      if (hasFree) return connection
      full ??= connection
    }
    return full
  }

  /** Like `pick`, but waits for a first connection. Rejects with the ClusterError of the last node tried. */
  async ready(preferred: number): Promise<UpstreamConnection> {
    const connection = this.pick(preferred)
    if (connection !== null) {
      this.#start()
      return connection
    }
    this.#first ??= this.#openFirst(preferred).finally(() => {
      this.#first = null
    })
    return this.#first
  }

  /** A connection to one certain node, opened if there is none. Rejects with a ClusterError. */
  async connectionTo(label: string): Promise<UpstreamConnection> {
    const entry = this.#nodes.find((candidate) => candidate.node.label === label)
    if (entry === undefined) throw this.#notUsed(label)
    return leastLoaded(entry.connections) ?? this.#open(entry)
  }

  /** Takes over a connection whose handshake a client has just made, unless it is not needed. */
  adopt(connection: UpstreamConnection): void {
    const entry = this.#nodes.find((candidate) => candidate.node.label === connection.node)
    const hasRoom = entry !== undefined && this.#hasRoom(entry) && !this.#isIdleReserve(entry)
    // It may have been lost while the other cluster's handshake took its time.
    if (this.#isClosed || !hasRoom || !connection.becomeReady()) {
      connection.drain()
      return
    }
    this.#add(entry, connection)
    this.#start()
  }

  /** Replaces connections that owe too many answers nobody waits for. */
  sweep(): void {
    for (const entry of this.#nodes) {
      if (this.#isIdleReserve(entry)) for (const unused of entry.connections) unused.drain()
      for (const connection of entry.connections) {
        if (!connection.isUsable || !hasTooManyOrphans(connection)) continue
        if (this.#options.isExclusive) connection.drain()
        else this.#replace(entry, connection)
      }
    }
  }

  /** Finishes what is in flight and closes. */
  close(): void {
    this.#isClosed = true
    this.#abort.abort()
    for (const entry of this.#nodes) this.#retire(entry)
    this.#nodes = []
    this.#reservesFrom = 0
  }

  #retire(entry: NodeConnections): void {
    this.#options.clock.clearTimeout(entry.retryTimer)
    for (const connection of entry.connections) connection.drain()
  }

  /** Nodes that have just failed come last. */
  async #openFirst(preferred: number): Promise<UpstreamConnection> {
    const nodes = [
      ...rotated(this.#nodes.slice(0, this.#reservesFrom), preferred),
      ...rotated(this.#nodes.slice(this.#reservesFrom), preferred),
    ]
    const candidates = [
      ...nodes.filter((entry) => entry.retryTimer === null),
      ...nodes.filter((entry) => entry.retryTimer !== null),
    ]
    if (candidates.length === 0) {
      throw new ClusterError(
        ClusterErrorCode.UNAVAILABLE,
        this.cluster,
        `no node of ${clusterName(this.cluster)} is known to this instance`,
      )
    }
    const connection = await firstToOpen(candidates, (entry) => this.#open(entry), {
      clock: this.#options.clock,
      // A refusal is the cluster's word; another node would say the same.
      isFinal: (error) => error instanceof ClusterError && error.envelope !== null,
      discard: () => {},
    })
    this.#start()
    return connection
  }

  #open(entry: NodeConnections): Promise<UpstreamConnection> {
    entry.opening ??= this.#openNew(entry).finally(() => {
      entry.opening = null
    })
    return entry.opening
  }

  async #openNew(entry: NodeConnections): Promise<UpstreamConnection> {
    try {
      if (!this.#isWanted(entry)) throw this.#notUsed(entry.node.label)
      const connection = await this.#options.open(entry.node, this.#abort.signal)
      if (!this.#isWanted(entry) || !connection.isUsable || this.#hasExclusive()) {
        connection.drain()
        throw this.#notUsed(entry.node.label)
      }
      this.#add(entry, connection)
      return connection
    } catch (error) {
      this.#onOpenFailed(entry, error)
      throw error
    }
  }

  #onOpenFailed(entry: NodeConnections, error: unknown): void {
    if (!this.#isWanted(entry) || this.#options.isExclusive) return
    // Before its first connection a pool has nothing to keep up: whoever asked is told, and that is all.
    if (!this.#isStarted && entry.connections.length === 0) return
    this.#options.onReconnectFailed(entry.node, error)
    this.#retryLater(entry)
  }

  #add(entry: NodeConnections, connection: UpstreamConnection): void {
    const sinceMs = this.#options.clock.now()
    entry.connections.push(connection)
    entry.isDown = false
    connection.onClosed = () => {
      entry.connections = entry.connections.filter((other) => other !== connection)
      if (this.#isWanted(entry)) this.#onClosed(entry, this.#options.clock.now() - sinceMs)
    }
  }

  #onClosed(entry: NodeConnections, livedMs: number): void {
    if (this.#options.isExclusive) {
      if (entry.connections.length === 0) this.#options.onExclusiveLost('lost')
      return
    }
    if (leastLoaded(entry.connections) !== null || this.#isIdleReserve(entry)) return
    this.#callReserves()
    if (livedMs >= STABLE_AFTER_MS) {
      entry.failures = 0
      this.#openIfNone(entry)
    } else this.#retryLater(entry)
  }

  #start(): void {
    this.#isStarted = true
    this.#fill()
  }

  /** Opens a connection to each node that has none. */
  #fill(): void {
    for (const entry of this.#nodes) this.#openIfNone(entry)
  }

  #openIfNone(entry: NodeConnections): void {
    if (!this.#isStarted || this.#options.isExclusive || !this.#isWanted(entry)) return
    if (this.#isIdleReserve(entry)) return
    if (leastLoaded(entry.connections) === null) this.#openInBackground(entry)
  }

  /** Where no other node is up. */
  #callReserves(): void {
    for (const entry of this.#nodes.slice(this.#reservesFrom)) this.#openIfNone(entry)
  }

  /** A reserve that is not needed. A client's own connection stays where it is. */
  #isIdleReserve(entry: NodeConnections): boolean {
    if (entry.node.isReserve !== true || this.#options.isExclusive) return false
    return this.#nodes.some(
      ({ node, isDown, connections }) =>
        node.isReserve !== true && !isDown && leastLoaded(connections) !== null,
    )
  }

  #grow(entry: NodeConnections): void {
    if (this.#hasRoom(entry)) this.#openInBackground(entry)
  }

  /** The new one first: while the node does not take it, the old one is better than none. */
  #replace(entry: NodeConnections, connection: UpstreamConnection): void {
    this.#openInBackground(entry, () => {
      connection.drain()
      this.#options.onOrphanedReplaced?.(entry.node)
    })
  }

  /** Opens, unless the node is being called or left alone for a while. */
  #openInBackground(entry: NodeConnections, onOpen: () => void = () => {}): void {
    if (entry.opening !== null || entry.retryTimer !== null) return
    // A failure has been told, and is tried again, where it happened.
    this.#open(entry).then(onOpen, () => {})
  }

  #retryLater(entry: NodeConnections): void {
    if (entry.retryTimer !== null) return
    const delayMs = Math.min(RECONNECT_DELAY_MIN_MS * 2 ** entry.failures, RECONNECT_DELAY_MAX_MS)
    entry.failures++
    entry.retryTimer = this.#options.clock.setTimeout(() => {
      entry.retryTimer = null
      this.#openIfNone(entry)
    }, delayMs)
  }

  #isWanted(entry: NodeConnections): boolean {
    return !this.#isClosed && this.#nodes.includes(entry)
  }

  /** Of two nodes that were tried at once an exclusive pool keeps the first. */
  #hasExclusive(): boolean {
    return (
      this.#options.isExclusive &&
      this.#nodes.some((entry) => leastLoaded(entry.connections) !== null)
    )
  }

  /** Answers within moments, or is lost to all who wait for it. An answer means that the node lives. */
  #demandSignOfLife(entry: NodeConnections, connection: UpstreamConnection): void {
    if (!connection.isUsable || !connection.slots.hasFree) return
    const { clock } = this.#options
    const timer = clock.setTimeout(() => {
      connection.fail(new Error('its cluster says that the node is down, and it does not answer'))
    }, SIGN_OF_LIFE_MS)
    connection
      .call(Opcode.OPTIONS, new BodyWriter())
      .then(
        () => {
          entry.isDown = false
        },
        () => {},
      )
      .finally(() => clock.clearTimeout(timer))
  }

  #hasRoom(entry: NodeConnections): boolean {
    let usable = 0
    for (let i = 0; i < entry.connections.length; i++) if (entry.connections[i]!.isUsable) usable++
    return usable < this.#options.connectionsPerNodeMax
  }

  #notUsed(label: string): ClusterError {
    return new ClusterError(
      ClusterErrorCode.UNAVAILABLE,
      this.cluster,
      `${label} is not used any more`,
    )
  }
}

const hasTooManyOrphans = (connection: UpstreamConnection): boolean =>
  connection.slots.orphans > Math.min(ORPHANS_MAX, connection.options.streamIdsMax / 2)

/** By the stream ids that are taken, orphans included: those are the mark of a slow connection. */
const leastLoaded = (connections: readonly UpstreamConnection[]): UpstreamConnection | null => {
  let best: UpstreamConnection | null = null
  for (let i = 0; i < connections.length; i++) {
    const connection = connections[i]!
    if (!connection.isUsable) continue
    if (best === null || connection.slots.used < best.slots.used) best = connection
  }
  return best
}
