/**
 * A scripted fake Cassandra cluster for tests, in process and on loopback: one port, one address a
 * node. It answers as Cassandra would (answers.ts) until a rule says otherwise (script.ts), records
 * all that it received, and lets a test wait for what happens instead of for time to pass.
 *
 *   const origin = await FakeCluster.start({ name: 'origin' })
 *   const held = delay()
 *   origin.on({ opcode: Opcode.EXECUTE, text: /INSERT/, times: 1 }, held)
 *   await origin.waitFor((request) => request.opcode === Opcode.EXECUTE)
 *   held.release()
 *   await origin.stop()
 */
import type { TlsOptions } from 'node:tls'
import { SUPPORTED_VERSIONS, Version, versionLabel } from '../../../src/cql/protocol.ts'
import type { Authenticator, NodeBehaviour, PreparedStatement } from './answers.ts'
import { type FakeConnection, FakeNode, type NodeOwner } from './node.ts'
import { type Cell, type ClusterEvent, eventAnswer } from './results.ts'
import { type Condition, type Reaction, type Received, type Rule, Script } from './script.ts'
import { type NodeRow, type SystemTables, uuidOf } from './system-tables.ts'

export type FakeNodeOptions = {
  /** Default: 127.0.0.1, 127.0.0.2, … */
  readonly address?: string
  readonly hostId?: string
  readonly datacenter?: string
  readonly rack?: string
  readonly releaseVersion?: string
  readonly tokens?: readonly string[]
  /** Cells of system.local and system.peers to show instead of the usual ones. */
  readonly cells?: Readonly<Record<string, Cell>>
}

export type FakeClusterOptions = {
  readonly name: string
  /** Makes statement ids of this cluster differ from another's. Default: the name. */
  readonly salt?: string
  /** How many nodes listen, or what each is like. */
  readonly nodes?: number | readonly FakeNodeOptions[]
  /** Nodes that stand in system.peers while nothing listens there. */
  readonly absentPeers?: readonly FakeNodeOptions[]
  readonly minVersion?: Version
  readonly maxVersion?: Version
  /** Those that it speaks, instead of all between the least and the highest. */
  readonly versions?: readonly Version[]
  /** Algorithms that SUPPORTED names. */
  readonly compressions?: readonly string[]
  readonly releaseVersion?: string
  readonly partitioner?: string
  readonly authenticator?: Authenticator
  /** Keyspaces that `USE` finds; default: any. */
  readonly keyspaces?: readonly string[]
  readonly bindType?: 'varchar' | 'blob' | 'uuid'
  /** The name of the one column that users' tables have; default: `cluster`. */
  readonly column?: string
  /** What SUPPORTED says. */
  readonly supported?: ReadonlyMap<string, readonly string[]>
  readonly tls?: TlsOptions
}

const LISTEN_ATTEMPTS = 20

type Waiter = { readonly isDone: () => boolean; readonly resolve: () => void }

const nodeOptionsOf = (options: FakeClusterOptions): readonly FakeNodeOptions[] => {
  const nodes = options.nodes ?? 1
  return typeof nodes === 'number' ? Array.from({ length: nodes }, () => ({})) : nodes
}

const versionsOf = (options: FakeClusterOptions): readonly Version[] => {
  const { versions, minVersion = Version.V3, maxVersion = Version.V5 } = options
  const between = SUPPORTED_VERSIONS.filter((v) => v >= minVersion && v <= maxVersion)
  return [...(versions ?? between)].sort((a, b) => a - b)
}

const defaultSupported = (
  versions: readonly number[],
  compressions: readonly string[],
): ReadonlyMap<string, readonly string[]> =>
  new Map([
    ['CQL_VERSION', ['3.4.6']],
    ['COMPRESSION', compressions],
    ['PROTOCOL_VERSIONS', versions.map(versionLabel)],
  ])

export class FakeCluster implements NodeOwner {
  readonly name: string
  readonly salt: string
  readonly versions: readonly Version[]
  readonly nodes: readonly FakeNode[]
  /** Every connection ever accepted, by its index. */
  readonly connections: FakeConnection[] = []
  /** Every request, in the order of arrival. */
  readonly received: Received[] = []
  /** What a client did that no client may do: wrong checksums, torn frames. */
  readonly violations: string[] = []
  readonly #options: FakeClusterOptions
  readonly #script = new Script()
  readonly #waiters = new Set<Waiter>()
  readonly #texts = new Map<string, string>()
  #connectionCount = 0

  private constructor(options: FakeClusterOptions) {
    this.#options = options
    this.name = options.name
    this.salt = options.salt ?? options.name
    this.versions = versionsOf(options)
    this.nodes = nodeOptionsOf(options).map(
      (node, index) =>
        new FakeNode(
          this,
          index,
          node.address ?? `127.0.0.${index + 1}`,
          this.#behaviourOf(index),
          options.tls,
        ),
    )
  }

  /** Listens on a free port, the same on each node's address. */
  static async start(options: FakeClusterOptions): Promise<FakeCluster> {
    const cluster = new FakeCluster(options)
    await cluster.#listen()
    return cluster
  }

  get port(): number {
    return this.nodes[0]?.port ?? 0
  }

  /** Addresses of the nodes. */
  get contactPoints(): readonly string[] {
    return this.nodes.map((node) => node.address)
  }

  get openConnections(): readonly FakeConnection[] {
    return this.nodes.flatMap((node) => node.openConnections)
  }

  /** From now on, requests that meet the condition get this reaction; see Script for the order. */
  on(condition: Condition, reaction: Reaction): Rule {
    return this.#script.add(condition, reaction)
  }

  off(rule: Rule): void {
    this.#script.remove(rule)
  }

  /** The first request, past or to come, that the predicate accepts. */
  async waitFor(predicate: (received: Received) => boolean): Promise<Received> {
    await this.waitUntil(() => this.received.some(predicate))
    const found = this.received.find(predicate)
    if (found === undefined) throw new Error('The record of requests was changed while waiting')
    return found
  }

  /** Resolves when the condition holds; asked again after each request, connection and close. */
  waitUntil(isDone: () => boolean): Promise<void> {
    if (isDone()) return Promise.resolve()
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiters.add({ isDone, resolve })
    return promise
  }

  /** Sends an EVENT to the connections that registered for its type; tells how many those were. */
  pushEvent(event: ClusterEvent): number {
    const registered = this.openConnections.filter(({ eventTypes }) => eventTypes.has(event.type))
    for (const connection of registered)
      connection.send(-1, eventAnswer(event, connection.version === Version.V2))
    return registered.length
  }

  /** All nodes forget their prepared statements, as after a restart. */
  forgetPrepared(): void {
    for (const node of this.nodes) node.forgetPrepared()
  }

  /** The whole cluster is down: connections are destroyed, new ones refused. */
  async stopListening(options: { keepConnections?: boolean } = {}): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stopListening(options)))
  }

  async resume(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.resume()))
  }

  async stop(): Promise<void> {
    await this.stopListening()
  }

  nextConnectionIndex(): number {
    return this.#connectionCount++
  }

  preparedText(statementId: string): string | undefined {
    for (const node of this.nodes) {
      const prepared = node.prepared.get(statementId)
      if (prepared !== undefined) this.#texts.set(statementId, prepared.text)
    }
    return this.#texts.get(statementId)
  }

  onConnection(connection: FakeConnection): void {
    this.connections.push(connection)
    this.onChange()
  }

  onReceived(received: Received): Reaction {
    this.received.push(received)
    const reaction = this.#script.reactionTo(received)
    this.onChange()
    return reaction
  }

  onViolation(message: string): void {
    this.violations.push(message)
  }

  onChange(): void {
    for (const waiter of this.#waiters) {
      if (!waiter.isDone()) continue
      this.#waiters.delete(waiter)
      waiter.resolve()
    }
  }

  async #listen(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        let port = 0
        for (const node of this.nodes) {
          await node.listen(port)
          port = node.port
        }
        return
      } catch (error) {
        await this.stopListening()
        // The port that was free on the first address may be taken on another.
        if (attempt === LISTEN_ATTEMPTS) throw error
      }
    }
  }

  #behaviourOf(index: number): NodeBehaviour {
    const options = this.#options
    const prepared = new Map<string, PreparedStatement>()
    return {
      clusterName: this.name,
      salt: this.salt,
      authenticator: options.authenticator,
      keyspaces: options.keyspaces,
      bindType: options.bindType ?? 'varchar',
      column: options.column ?? 'cluster',
      supported: options.supported ?? defaultSupported(this.versions, options.compressions ?? []),
      systemTables: () => this.#systemTables(index),
      prepared,
    }
  }

  #systemTables(index: number): SystemTables {
    const options = this.#options
    const listening = nodeOptionsOf(options).map((node, i) => this.#nodeRow(node, i))
    const absent = (options.absentPeers ?? []).map((node, i) =>
      this.#nodeRow(node, this.nodes.length + i),
    )
    const local = listening[index]
    if (local === undefined) throw new Error(`Cluster ${this.name} has no node ${index}`)
    return {
      clusterName: this.name,
      partitioner: options.partitioner ?? 'org.apache.cassandra.dht.Murmur3Partitioner',
      schemaVersion: uuidOf(`${this.name} schema`),
      nativeProtocolVersion: String(this.versions.at(-1)),
      local,
      peers: [...listening.filter((row) => row !== local), ...absent],
    }
  }

  #nodeRow(node: FakeNodeOptions, index: number): NodeRow {
    return {
      address: node.address ?? `127.0.0.${index + 1}`,
      port: this.port,
      hostId: node.hostId ?? uuidOf(`${this.name} node ${index}`),
      datacenter: node.datacenter ?? 'datacenter1',
      rack: node.rack ?? 'rack1',
      releaseVersion: node.releaseVersion ?? this.#options.releaseVersion ?? '4.1.10',
      tokens: node.tokens ?? [String(BigInt(index) * 1_000_000_007n - 9_000_000_000n)],
      cells: node.cells ?? {},
    }
  }
}
