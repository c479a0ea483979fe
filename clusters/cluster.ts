/**
 * What a real Cassandra cluster is to the demo, the integration tests and the bench: what one asks
 * for, and what one gets. The two ways to get it are docker.ts and jvm.ts; start.ts chooses.
 */

/** The releases we start, by the series that one asks for. Maven knows them by these numbers. */
export const RELEASES = { '4.1': '4.1.10', '5.0': '5.0.6' } as const

export type CassandraVersion = keyof typeof RELEASES

export interface ClusterSpec {
  /** Tells clusters apart in progress and errors, e.g. `origin`. */
  readonly name: string
  readonly version: CassandraVersion
  /** Nodes, one if not given. All listen on the same port of an address each. */
  readonly nodes?: number
  /** With it the cluster asks for a user and a password (`DEFAULT_CREDENTIALS` to begin with). */
  readonly authentication?: boolean
  /** Settings of cassandra.yaml that win over ours. */
  readonly yaml?: Readonly<Record<string, unknown>>
  /** With which to see whether it is ready, where `yaml` asks its clients for TLS (PEM texts). */
  readonly clientTls?: ClientTls
}

export interface ClientTls {
  readonly ca: string
  readonly cert?: string
  readonly key?: string
}

export interface StartOptions {
  /** Told what is being done whenever that changes; the cluster's name is part of the text too. */
  readonly onProgress?: (text: string, clusterName: string) => void
  /** Aborting it ends what was started so far; the start rejects with the signal's reason. */
  readonly signal?: AbortSignal
  /**
   * Told when a node ends that nobody has ended (`NODE_LOST`): which, how, and the end of its log.
   * Containers are not watched.
   */
  readonly onNodeLost?: (error: ClusterError) => void
}

export interface ContactPoint {
  readonly address: string
  readonly port: number
}

export interface RunningNode extends ContactPoint {
  /** Drains and ends the node; its data stays for the next start. */
  stop(): Promise<void>
  /** Starts it again after a stop or kill; resolves when it answers. */
  start(): Promise<void>
  /** Ends it with SIGKILL, as a crash would. */
  kill(): Promise<void>
}

export interface RunningCluster {
  readonly name: string
  readonly version: CassandraVersion
  readonly contactPoints: readonly ContactPoint[]
  readonly localDatacenter: string
  readonly nodes: readonly RunningNode[]
  /** Ends every node and removes its data. Safe to call twice. */
  stop(): Promise<void>
}

/** SimpleSnitch calls every node's data center so. */
export const DATACENTER = 'datacenter1'

export const DEFAULT_CREDENTIALS = { username: 'cassandra', password: 'cassandra' } as const

/** A cluster that could not be had or was lost: the message says what to install or shows the node's log. */
export class ClusterError extends Error {
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ClusterError'
    this.code = code
  }
}
