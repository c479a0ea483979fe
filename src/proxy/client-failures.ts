/** What goes wrong with clients of a data plane: counted, and said once a minute for each cause. */
import type { ProtocolError } from '../cql/errors.ts'
import type { Logger } from '../log.ts'
import type { LogLevel } from '../log-levels.ts'
import { messageOf } from '../message-of.ts'
import type { DataPlaneMetrics } from '../metrics/data-plane-metrics.ts'
import { clusterLabel } from '../routing/cluster.ts'
import { ClusterError, ClusterErrorCode, isAboutCredentials } from '../upstream/errors.ts'

/** A client that a cluster keeps out is an outage; one that has the wrong password, or asks for another version, may be its own fault. */
const levelOf = (error: ClusterError): LogLevel => {
  if (error.code === ClusterErrorCode.VERSION) return 'info'
  return isAboutCredentials(error) ? 'warn' : 'error'
}

/** `client` is its address. */
export class ClientFailures {
  readonly #metrics: DataPlaneMetrics
  readonly #log: Logger

  constructor(metrics: DataPlaneMetrics, log: Logger) {
    this.#metrics = metrics
    this.#log = log
  }

  /** So many connections are open that this one is closed. */
  limit(client: string, connectionsMax: number): void {
    this.#metrics.clientsClosed.limit++
    this.#log.limited(
      'client limit',
      'warn',
      { code: 'CLIENT_LIMIT', client },
      `client refused: ${connectionsMax} client connections are open (proxy_max_client_connections)`,
    )
  }

  /** So many connections of its address are open that this one is closed. */
  addressLimit(client: string, connectionsMax: number): void {
    this.#metrics.clientsClosed.addressLimit++
    this.#log.limited(
      'client address limit',
      'warn',
      { code: 'CLIENT_ADDRESS_LIMIT', client },
      `client refused: ${connectionsMax} connections from its address are open (proxy_max_client_connections_per_address)`,
    )
  }

  /** The system did not hand a connection over. */
  accept(error: Error): void {
    this.#metrics.clientsClosed.accept++
    this.#log.limited(
      'client accept',
      'error',
      { code: 'CLIENT_ACCEPT_FAILED' },
      `a client could not be accepted: ${error.message}`,
    )
  }

  tls(client: string, why: string): void {
    this.#metrics.clientsClosed.tlsHandshake++
    this.#log.limited(
      `client TLS ${why}`,
      'warn',
      { code: 'CLIENT_TLS_FAILED', client },
      `no TLS with a client: ${why}`,
    )
  }

  handshake(client: string, error: unknown): void {
    const { failedConnections, authenticationFailures } = this.#metrics
    const text = `handshake of a client refused: ${messageOf(error)}`
    if (!(error instanceof ClusterError)) {
      const code = 'CLIENT_HANDSHAKE_FAILED'
      this.#log.limited(`handshake ${code}`, 'info', { code, client }, text)
      return
    }
    const { code } = error
    const cluster = clusterLabel(error.cluster)
    if (code === ClusterErrorCode.CONNECT_FAILED) failedConnections[cluster]++
    if (isAboutCredentials(error)) authenticationFailures[cluster]++
    // Who is not in the map is the operator's to mend, for each user.
    const cause = code === ClusterErrorCode.NOT_MAPPED ? error.message : `${code} ${cluster}`
    this.#log.limited(`handshake ${cause}`, levelOf(error), { code, cluster, client }, text)
  }

  badBytes(client: string, { code, message }: ProtocolError): void {
    this.#metrics.clientsClosed.protocolError++
    this.#log.limited(`bad bytes ${code}`, 'info', { code, client }, `client closed: ${message}`)
  }

  /** A bug of ours; `closesClient`: unless it is the second one, or comes when the client has gone. */
  invariant(client: string, error: unknown, closesClient: boolean): void {
    if (closesClient) this.#metrics.clientsClosed.internalError++
    this.#log.limited(
      `internal error ${messageOf(error)}`,
      'error',
      { code: 'INTERNAL_ERROR', error, client },
      'a fault of the proxy itself: this client is closed',
    )
  }
}
