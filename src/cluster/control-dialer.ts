/** Makes the connections that a control connection uses or tries, and ends the calls on them that are overdue. */
import type { Clock } from '../clock.ts'
import { type Version, versionTraits } from '../cql/protocol.ts'
import { NodeMetrics } from '../metrics/node-metrics.ts'
import { Dialer } from '../net/dialer.ts'
import { Flusher } from '../net/output.ts'
import { tryConnect } from '../net/reach.ts'
import { UpstreamTls, type UpstreamTlsMaterial } from '../net/tls.ts'
import { clusterLabel } from '../routing/cluster.ts'
import { Turn } from '../turn.ts'
import { type Endpoint, UpstreamConnection, type UpstreamListener } from '../upstream/connection.ts'
import { nodeLabel } from './contacts.ts'
import type { ControlConnectionSettings } from './control-contract.ts'
import { type OpenControl, shakeHands } from './control-handshake.ts'

const CALL_TIMEOUT_MS = 10_000
const STREAM_IDS_MAX = 128
/** For a node to take a connection, where it is asked whether it lives. */
const REACH_TIMEOUT_MS = 1_000

export class ControlDialer {
  readonly #listener: UpstreamListener
  readonly #dialer: Dialer
  readonly #flusher = new Flusher((flush) => setImmediate(flush))
  readonly #turn: Turn
  /** The one in use and those that are being tried. */
  readonly #connections = new Set<UpstreamConnection>()
  #tls: UpstreamTls | null = null

  constructor(clock: Clock, listener: UpstreamListener) {
    this.#listener = listener
    this.#dialer = new Dialer(clock)
    this.#turn = new Turn(clock)
  }

  /** The next connection uses it; those that are open stay. */
  setTls(material: UpstreamTlsMaterial | null): void {
    this.#tls = material === null ? null : new UpstreamTls(material)
  }

  /** A connection that has shaken hands in this version. */
  async open(
    endpoint: Endpoint,
    version: Version,
    { cluster, connectTimeoutMs, credentials }: ControlConnectionSettings,
    signal: AbortSignal,
  ): Promise<OpenControl> {
    const node = nodeLabel(endpoint)
    const connection = await UpstreamConnection.open(
      {
        cluster,
        endpoint,
        node,
        traits: versionTraits(version)!,
        // Connections carry counters for client requests; this one serves none, and nobody reads them.
        metrics: new NodeMetrics(clusterLabel(cluster), node, []),
        streamIdsMax: STREAM_IDS_MAX,
        connectTimeoutMs,
        callTimeoutMs: () => CALL_TIMEOUT_MS,
      },
      { dialer: this.#dialer, flusher: this.#flusher, turn: this.#turn, tls: this.#tls },
      this.#listener,
      signal,
    )
    this.#connections.add(connection)
    try {
      // The signal reaches the dialling only: whoever closed meanwhile did not see this connection.
      signal.throwIfAborted()
      return await shakeHands(connection, endpoint, credentials)
    } catch (error) {
      connection.destroy()
      this.#connections.delete(connection)
      throw error
    }
  }

  /** Whether somebody listens there. */
  isReachable({ address, port }: Endpoint, connectTimeoutMs: number): Promise<boolean> {
    const timeoutMs = Math.min(connectTimeoutMs, REACH_TIMEOUT_MS)
    return tryConnect(this.#dialer, { address, port, timeoutMs }).then(
      () => true,
      () => false,
    )
  }

  forget(connection: UpstreamConnection): void {
    this.#connections.delete(connection)
  }

  /** Ends the calls whose time is over. */
  sweep(): void {
    const nowMs = this.#turn.begin()
    for (const connection of this.#connections) connection.sweep(nowMs)
  }

  close(): void {
    for (const connection of this.#connections) connection.destroy()
  }
}
