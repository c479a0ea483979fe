/**
 * The control plane's view of the two clusters: one control connection to each, and the snapshot for
 * the data planes that follows from what they have learnt (architecture §2.1). It decides which nodes
 * this instance uses and what clients see of the topology; who listens and who drains is instance.ts.
 */

import type { Clock } from '../clock.ts'
import { type Assignment, assignedHosts, rackAssignment } from '../cluster/assignment.ts'
import { nodeLabel } from '../cluster/contacts.ts'
import { ControlConnection } from '../cluster/control-connection.ts'
import type {
  ClusterKnowledge,
  ControlConnectionListener,
  ControlConnectionSettings,
} from '../cluster/control-contract.ts'
import type { Trouble } from '../cluster/control-health.ts'
import { type Host, nodeInBoth } from '../cluster/host.ts'
import { BothFailed } from '../cluster/permanent-failure.ts'
import { errorVersion, offeredOptions } from '../cluster/supported-options.ts'
import { virtualTables } from '../cluster/virtual-tables.ts'
import { virtualTopology } from '../cluster/virtual-topology.ts'
import { COMPRESSIONS } from '../cql/compression.ts'
import type { LogFields, Logger } from '../log.ts'
import type { LogLevel } from '../log-levels.ts'
import type { ControlConnectionSeries } from '../metrics/control-connection-series.ts'
import { formatEndpoint } from '../net/dialer.ts'
import type { TlsMaterial } from '../net/tls.ts'
import { plural } from '../plural.ts'
import { CLUSTERS, Cluster, clusterLabel, clusterName } from '../routing/cluster.ts'
import type { RoutingState } from '../routing/routing-state.ts'
import type { ClusterView, Snapshot } from '../session/context.ts'
import type { SchemaQuestion } from '../session/schema-changes.ts'
import type { Endpoint } from '../upstream/connection.ts'
import { ClusterError, ClusterErrorCode } from '../upstream/errors.ts'
import type { Node } from '../upstream/pool.ts'
import type { NodeStatus } from './plane-messages.ts'
import { SchemaRelay, schemaEventSource } from './schema-relay.ts'

export type ControlPlaneSettings = {
  readonly connections: readonly [ControlConnectionSettings, ControlConnectionSettings]
  /** Per cluster: spread over the assigned nodes, or use the control connection's node only. */
  readonly hostAssignment: readonly [boolean, boolean]
  /** Per cluster: the rack whose nodes are used; null for a share of all. */
  readonly localRacks: readonly [string | null, string | null]
  readonly topology: {
    /** Null: this instance alone, under `implicitAddress`. */
    readonly addresses: readonly string[] | null
    readonly index: number
    readonly numTokens: number
    readonly implicitAddress: string | null
  }
  /** Protocol versions that clients may not use, and are not offered. */
  readonly blockedVersions: readonly number[]
  /** Whose nodes lend the virtual ones their release version and the like. */
  readonly systemQueries: Cluster
  /** Whether clients are shown system.peers_v2. */
  readonly hasPeersV2: boolean
  /** Whose schema changes clients hear of. */
  readonly schemaEventsFrom: 'ORIGIN' | 'PRIMARY'
}

/** What can change while it runs. */
export type LiveControlSettings = Pick<ControlPlaneSettings, 'connections' | 'blockedVersions'>

/** One cluster's health, as readiness shows it (operations §4). */
export type ClusterHealth = {
  readonly endpoint: string | null
  /** Failures of the control connection in a row. */
  readonly failures: number
  /** Null while there is a control connection. */
  readonly trouble: Trouble | null
  /** Of the nodes that this instance uses, those that the cluster says are down. */
  readonly nodesDown: readonly string[]
}

export type ControlPlaneTools = {
  readonly clock: Clock
  readonly log: Logger
  readonly random: () => number
}

export type ControlPlaneListener = {
  onSnapshot(snapshot: Snapshot): void
  onNodeStatus(status: NodeStatus): void
  /** The body of a SCHEMA_CHANGE event that clients are to hear. */
  onSchemaChange(body: Uint8Array): void
}

type BothKnown = readonly [ClusterKnowledge, ClusterKnowledge]

export class ControlPlane implements ControlConnectionListener {
  #settings: ControlPlaneSettings
  readonly #listener: ControlPlaneListener
  readonly #log: Logger
  readonly #connections: readonly [ControlConnection, ControlConnection]
  readonly #schemaRelay: SchemaRelay
  readonly #known: [ClusterKnowledge | null, ClusterKnowledge | null] = [null, null]
  /** Hosts that were said to be down, with the losses of the control connection at that time. */
  readonly #hostsDown: readonly [Map<string, number>, Map<string, number>] = [new Map(), new Map()]
  readonly #isRackMissing: [boolean, boolean] = [false, false]
  #clientPort: number

  /** `clientPort`: where clients reach this instance; what system.local and system.peers show. */
  constructor(
    settings: ControlPlaneSettings,
    clientPort: number,
    listener: ControlPlaneListener,
    tools: ControlPlaneTools,
  ) {
    this.#settings = settings
    this.#clientPort = clientPort
    this.#listener = listener
    this.#log = tools.log.child({ component: 'control' })
    this.#schemaRelay = new SchemaRelay(tools.clock, (body) => listener.onSchemaChange(body))
    const own = { ...tools, log: this.#log }
    this.#connections = [
      new ControlConnection(settings.connections[Cluster.ORIGIN], this, own),
      new ControlConnection(settings.connections[Cluster.TARGET], this, own),
    ]
  }

  /** Opens both control connections. Rejects with the error of the one that failed, or with BothFailed. */
  async open(): Promise<Snapshot> {
    const opened = await Promise.allSettled(this.#connections.map((one) => one.connect()))
    const failures = opened.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
    if (failures.length > 0) throw failures.length === 1 ? failures[0] : new BothFailed(failures)
    this.#refuseOneClusterTwice()
    for (const cluster of CLUSTERS) this.#describe(cluster)
    return this.#snapshot(this.#bothKnown()!)
  }

  /** Names may hide what the settings' own check sees: every write would go to one cluster twice. */
  #refuseOneClusterTwice(): void {
    const [origin, target] = this.#bothKnown()!
    const shared = nodeInBoth(origin.topology.hosts, target.topology.hosts)
    if (shared === undefined) return
    throw new ClusterError(
      ClusterErrorCode.UNUSABLE,
      Cluster.TARGET,
      `its node ${shared.address} (host id ${shared.hostId}) is a node of Origin too, so both are one cluster: correct origin_contact_points or target_contact_points`,
    )
  }

  /** The port that the listener was given, where the settings asked for any. */
  setClientPort(port: number): void {
    this.#clientPort = port
    this.#publish()
  }

  /** From now on schema changes are told of the cluster that this makes the source of them. */
  setRouting(routing: RoutingState): void {
    this.#schemaRelay.setSource(schemaEventSource(this.#settings.schemaEventsFrom, routing))
  }

  /** How the clusters are reached, and what clients are offered, from now on; the topology that they see stays. */
  setSettings(live: LiveControlSettings): void {
    this.#settings = { ...this.#settings, ...live }
    for (const cluster of CLUSTERS)
      this.#connections[cluster].setSettings(live.connections[cluster])
    this.#publish()
  }

  /** Connections from now on use it. */
  setTls({ clusters }: TlsMaterial): void {
    for (const cluster of CLUSTERS) this.#connections[cluster].setTls(clusters[cluster])
  }

  health(cluster: Cluster): ClusterHealth {
    const { endpoint, failures, trouble } = this.#connections[cluster]
    return { endpoint, failures, trouble, nodesDown: this.#nodesDown(cluster) }
  }

  /** For the metrics. */
  series(): readonly ControlConnectionSeries[] {
    return this.#connections.map((connection) => connection.series())
  }

  /** Of all nodes that the cluster has, those that this instance does not use included. */
  nodeLabels(cluster: Cluster): ReadonlySet<string> {
    const hosts = this.#known[cluster]?.topology.hosts ?? []
    return new Set(hosts.map((host) => this.#nodeOf(cluster, host).label))
  }

  /** Resolves when these clusters' nodes agree on their schema, or it was waited for in vain. Never rejects. */
  async schemaAgreement(questions: readonly SchemaQuestion[]): Promise<void> {
    const waits = questions.map(({ cluster, before }) =>
      this.#connections[cluster].schemaAgreement(before),
    )
    await Promise.all(waits)
  }

  close(): void {
    for (const connection of this.#connections) connection.close()
  }

  onKnowledge(cluster: Cluster, knowledge: ClusterKnowledge): void {
    const before = this.#known[cluster]
    this.#known[cluster] = knowledge
    this.#forgetWhoLeft(cluster, knowledge)
    this.#lookForRack(cluster)
    this.#publish()
    const known = this.#bothKnown()
    if (before !== null && known !== null) this.#tellChange(cluster, before, known)
  }

  /** A node that was down and is gone is nobody's concern, and comes back as a new one. */
  #forgetWhoLeft(cluster: Cluster, { topology }: ClusterKnowledge): void {
    const there = new Set(topology.hosts.map(({ hostId }) => hostId))
    const down = this.#hostsDown[cluster]
    for (const hostId of down.keys()) if (!there.has(hostId)) down.delete(hostId)
  }

  /** A line where nodes have come, gone or moved; a refresh that finds the same says nothing. */
  #tellChange(cluster: Cluster, before: ClusterKnowledge, known: BothKnown): void {
    const labels = (hosts: readonly Host[]): string[] =>
      hosts.map((host) => this.#nodeOf(cluster, host).label)
    const hosts = labels(known[cluster].topology.hosts)
    const gone = labels(before.topology.hosts).filter((label) => !hosts.includes(label))
    const added = hosts.filter((label) => !labels(before.topology.hosts).includes(label))
    if (gone.length === 0 && added.length === 0) return
    const assigned = labels(this.#assignment(cluster, known).used)
    const changes = [
      ...(added.length > 0 ? [`new: ${added.join(', ')}`] : []),
      ...(gone.length > 0 ? [`gone: ${gone.join(', ')}`] : []),
    ]
    this.#log.info(
      { code: 'TOPOLOGY_CHANGED', cluster: clusterLabel(cluster), hosts, assigned },
      `the nodes of ${clusterName(cluster)} have changed; ${changes.join('; ')}; this instance uses ${assigned.join(', ')}`,
    )
  }

  onStatusChange(cluster: Cluster, node: Endpoint, isUp: boolean): void {
    const host = this.#hostAt(cluster, node)
    const label = formatEndpoint(node.address, node.port)
    const word = isUp ? 'up' : 'down'
    const text = `${clusterName(cluster)} says that its node ${label} is ${word}`
    const code = isUp ? 'NODE_UP' : 'NODE_DOWN'
    this.#log.info({ code, cluster: clusterLabel(cluster), node: label }, text)
    if (host === null) return
    if (isUp) this.#hostsDown[cluster].delete(host.hostId)
    else this.#hostsDown[cluster].set(host.hostId, this.#connections[cluster].losses)
    this.#listener.onNodeStatus({ cluster, hostId: host.hostId, isUp })
  }

  /** What was heard before the connection was lost is old: that the node is back may have been missed. */
  #nodesDown(cluster: Cluster): readonly string[] {
    const known = this.#bothKnown()
    if (known === null) return []
    const { losses } = this.#connections[cluster]
    return this.#assignment(cluster, known)
      .used.filter(({ hostId }) => this.#hostsDown[cluster].get(hostId) === losses)
      .map((host) => this.#nodeOf(cluster, host).label)
  }

  /** Several nodes may share an address; a separate TLS port is told as the plain one is. */
  #hostAt(cluster: Cluster, { address, port }: Endpoint): Host | null {
    const hosts = this.#known[cluster]?.topology.hosts ?? []
    const there = hosts.filter((host) => host.address === address)
    return there.find((host) => host.port === port) ?? (there.length === 1 ? there[0]! : null)
  }

  /** Its nodes may keep their connections open without answering: they are asked for a sign of life. */
  onUnreachable(cluster: Cluster): void {
    for (const { hostId } of this.#known[cluster]?.topology.localHosts ?? []) {
      this.#listener.onNodeStatus({ cluster, hostId, isUp: false })
    }
  }

  /** Clients hear of one cluster's changes only: hearing of each change twice, they would refresh twice. */
  onSchemaChange(cluster: Cluster, body: Uint8Array): void {
    this.#schemaRelay.onEvent(cluster, body)
  }

  #bothKnown(): BothKnown | null {
    const [origin, target] = this.#known
    return origin !== null && target !== null ? [origin, target] : null
  }

  #publish(): void {
    const known = this.#bothKnown()
    if (known !== null) this.#listener.onSnapshot(this.#snapshot(known))
  }

  #snapshot(known: BothKnown): Snapshot {
    const { blockedVersions, systemQueries, topology } = this.#settings
    const backing = known[systemQueries].topology
    const hosts = virtualTopology({ ...topology, proxyPort: this.#clientPort, backing })
    return {
      clusters: [this.#view(Cluster.ORIGIN, known), this.#view(Cluster.TARGET, known)],
      supported: offeredOptions(known[0], known[1], COMPRESSIONS, blockedVersions),
      errorVersion: errorVersion(known[0], known[1], blockedVersions),
      virtualTables: virtualTables(backing, hosts, this.#settings.hasPeersV2),
      isSameTokenOrder: known[0].topology.partitioner === known[1].topology.partitioner,
    }
  }

  #view(cluster: Cluster, known: BothKnown): ClusterView {
    const { requiresAuthentication, topology } = known[cluster]
    const { hosts } = topology
    const { used, reserve } = this.#assignment(cluster, known)
    const nodes = [
      ...used.map((host) => this.#nodeOf(cluster, host)),
      ...reserve.map((host) => ({ ...this.#nodeOf(cluster, host), isReserve: true as const })),
    ]
    return { nodes, requiresAuthentication, schemaVersion: hosts[0]!.schemaVersion }
  }

  #assignment(cluster: Cluster, known: BothKnown): Assignment<Host> {
    const { hosts, localHosts } = known[cluster].topology
    // The node that was asked comes first among the hosts.
    if (!this.#settings.hostAssignment[cluster]) return { used: hosts.slice(0, 1), reserve: [] }
    const rack = this.#settings.localRacks[cluster]
    const ofRack = rack === null ? null : rackAssignment(localHosts, rack)
    if (ofRack !== null) return ofRack
    const { addresses, index } = this.#settings.topology
    return { used: assignedHosts(localHosts, index, addresses?.length ?? 1), reserve: [] }
  }

  /** A line when the rack turns out to be none of the datacenter's; another one if that changes and comes again. */
  #lookForRack(cluster: Cluster): void {
    const rack = this.#settings.localRacks[cluster]
    const { localHosts, localDatacenter } = this.#known[cluster]!.topology
    const isMissing = rack !== null && !localHosts.some((host) => host.rack === rack)
    const wasMissing = this.#isRackMissing[cluster]
    this.#isRackMissing[cluster] = isMissing
    if (!isMissing || wasMissing) return
    const label = clusterLabel(cluster)
    const racks = [...new Set(localHosts.map((host) => host.rack))].join(', ')
    this.#log.warn(
      { code: 'RACK_UNKNOWN', cluster: label },
      `no node of ${clusterName(cluster)} in ${localDatacenter} is in the rack "${rack}" (${label}_local_rack); found: ${racks}. This instance uses its share of all`,
    )
  }

  #nodeOf(cluster: Cluster, host: Host): Node {
    const endpoint = this.#settings.connections[cluster].contacts.endpointOf(host)
    return { hostId: host.hostId, label: nodeLabel(endpoint), endpoint }
  }

  #describe(cluster: Cluster): void {
    const known = this.#bothKnown()!
    const { topology, version, requiresAuthentication } = known[cluster]
    const labelOf = (host: Host): string => this.#nodeOf(cluster, host).label
    const { used, reserve } = this.#assignment(cluster, known)
    const assigned = used.map(labelOf)
    const others = reserve.length === 0 ? '' : `, and ${reserve.length} while none of those is up`
    const name = clusterName(cluster)
    // Once a minute: with a port that is taken, each attempt of a start gets as far as here.
    const tell = (level: LogLevel, fields: LogFields, text: string): void =>
      this.#log.limited(text, level, { ...fields, cluster: clusterLabel(cluster) }, text)
    tell(
      'info',
      {
        code: 'CLUSTER_CONNECTED',
        clusterName: topology.clusterName,
        datacenter: topology.localDatacenter,
        protocolVersion: version,
        hosts: topology.hosts.map(labelOf),
        assigned,
      },
      `${name} is "${topology.clusterName}": ${plural(topology.hosts.length, 'node')}, of which this instance uses ${assigned.length} in ${topology.localDatacenter}${others}; protocol version ${version}`,
    )
    if (requiresAuthentication) return
    tell(
      'warn',
      { code: 'CLUSTER_WITHOUT_AUTHENTICATION' },
      `${name} asks for no credentials: anybody who reaches it or this proxy may use it`,
    )
  }
}
