/** What a control connection is told, and what it tells. */
import type { Version } from '../cql/protocol.ts'
import type { UpstreamTlsMaterial } from '../net/tls.ts'
import type { Cluster } from '../routing/cluster.ts'
import type { Endpoint } from '../upstream/connection.ts'
import type { Credentials } from '../upstream/profile.ts'
import type { Contacts } from './contacts.ts'
import type { ClusterTopology } from './host.ts'

export type ControlConnectionSettings = {
  readonly cluster: Cluster
  readonly contacts: Contacts
  /** Of the nodes, where the cluster does not tell. */
  readonly port: number
  readonly tls: UpstreamTlsMaterial | null
  readonly localDatacenter: string | null
  /** The datacenter must be there, or the only one: no other is chosen. */
  readonly isStrictDatacenter: boolean
  readonly credentials: Credentials | null
  readonly connectTimeoutMs: number
  /** The version that is tried first. */
  readonly versionMax: number
  readonly heartbeatIntervalMs: number
  readonly retryDelayMinMs: number
  readonly retryDelayMaxMs: number
  readonly retryFactor: number
}

/** What is known of a cluster after a successful read. */
export type ClusterKnowledge = {
  readonly topology: ClusterTopology
  readonly version: Version
  readonly requiresAuthentication: boolean
  /** The options of its SUPPORTED. */
  readonly supported: ReadonlyMap<string, readonly string[]>
}

export interface ControlConnectionListener {
  /** After the opening and after every refresh. */
  onKnowledge(cluster: Cluster, knowledge: ClusterKnowledge): void
  /** A node that is said to be up or down; its address as its cluster tells it to clients. */
  onStatusChange(cluster: Cluster, node: Endpoint, isUp: boolean): void
  /** No node could be reached for the control connection, in one more round or for long. */
  onUnreachable(cluster: Cluster): void
  /** The body of a SCHEMA_CHANGE event, as v3 and later write it. */
  onSchemaChange(cluster: Cluster, body: Uint8Array): void
}
