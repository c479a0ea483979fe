/** One cluster failed: which, how, and whether it may have acted on what was asked. */
import { type Cluster, clusterName } from '../routing/cluster.ts'

export const ClusterErrorCode = {
  /** The node could not be reached, or refused the handshake. */
  CONNECT_FAILED: 'CLUSTER_CONNECT_FAILED',
  /** The connection broke while an answer was owed. */
  CONNECTION_LOST: 'CLUSTER_CONNECTION_LOST',
  /** No answer in time. */
  TIMEOUT: 'CLUSTER_TIMEOUT',
  /** The node answered, and refused the credentials. */
  AUTHENTICATION: 'CLUSTER_AUTHENTICATION',
  /** The node, or the client, wants another mechanism than SASL PLAIN. */
  MECHANISM: 'CLUSTER_MECHANISM',
  /** The map of users has nobody for this client, and refuses it. */
  NOT_MAPPED: 'CLIENT_NOT_MAPPED',
  /** The node does not speak the protocol version. */
  VERSION: 'CLUSTER_VERSION',
  /** No connection is ready, or all are full. */
  UNAVAILABLE: 'CLUSTER_UNAVAILABLE',
  /** It is not a cluster that can be used with these settings, whichever node is asked. */
  UNUSABLE: 'CLUSTER_UNUSABLE',
  /** The node's answer makes no sense. */
  UNEXPECTED: 'CLUSTER_UNEXPECTED_ANSWER',
} as const
export type ClusterErrorCode = (typeof ClusterErrorCode)[keyof typeof ClusterErrorCode]

export class ClusterError extends Error {
  readonly code: ClusterErrorCode
  readonly cluster: Cluster
  /** The message without the cluster's name. */
  readonly detail: string
  /** The ERROR envelope of the node, where the cause is its answer. */
  readonly envelope: Uint8Array | null

  constructor(
    code: ClusterErrorCode,
    cluster: Cluster,
    detail: string,
    options: { cause?: unknown; envelope?: Uint8Array } = {},
  ) {
    super(`${clusterName(cluster)}: ${detail}`, { cause: options.cause })
    this.name = 'ClusterError'
    this.code = code
    this.cluster = cluster
    this.detail = detail
    this.envelope = options.envelope ?? null
  }
}

const ABOUT_CREDENTIALS = [
  'CLUSTER_AUTHENTICATION',
  'CLUSTER_MECHANISM',
  'CLIENT_NOT_MAPPED',
] as const
type AboutCredentials = ClusterError & { readonly code: (typeof ABOUT_CREDENTIALS)[number] }

/** Whether a client is told so by an AUTHENTICATION_ERROR, and may come with other credentials. */
export const isAboutCredentials = (error: unknown): error is AboutCredentials =>
  error instanceof ClusterError && ABOUT_CREDENTIALS.some((code) => code === error.code)
