/**
 * The one long-lived connection to a cluster that is independent of clients (operations §5): it
 * negotiates the protocol version, learns the nodes and whether the cluster asks for credentials,
 * hears of changes, and judges the cluster's health.
 *
 *   connect ──► connected ──(heartbeat, events: refresh)──► connected
 *                   └──lost, no heartbeat, or a failed refresh──► reopening ──┘
 *
 * Reopening tries the known nodes, then the contact points. A connection that dies before its first
 * heartbeat counts as one that could not be opened: the next one waits.
 */
import type { Clock, Timer } from '../clock.ts'
import { FLAGS_OFFSET, HEADER_LENGTH } from '../cql/envelope.ts'
import { decodeEvent, EVENT_TRAITS, EventType, encodeEvent } from '../cql/messages/event.ts'
import { skipResponsePrefix } from '../cql/messages/fields.ts'
import { Opcode, type Version, versionTraits } from '../cql/protocol.ts'
import { BodyReader } from '../cql/reader.ts'
import { BodyWriter } from '../cql/writer.ts'
import type { Logger } from '../log.ts'
import { messageOf } from '../message-of.ts'
import type { ControlConnectionSeries } from '../metrics/control-connection-series.ts'
import { NodeMetrics } from '../metrics/node-metrics.ts'
import { Dialer } from '../net/dialer.ts'
import { Flusher } from '../net/output.ts'
import { tryConnect } from '../net/reach.ts'
import { UpstreamTls, type UpstreamTlsMaterial } from '../net/tls.ts'
import { clusterLabel, clusterName } from '../routing/cluster.ts'
import { Turn } from '../turn.ts'
import { type Endpoint, UpstreamConnection, type UpstreamListener } from '../upstream/connection.ts'
import { ClusterError, ClusterErrorCode } from '../upstream/errors.ts'
import { formatAddress } from './address.ts'
import { backoffMs } from './backoff.ts'
import { fromRandom, reopenCandidates } from './candidates.ts'
import { nodeLabel } from './contacts.ts'
import type { ControlConnectionListener, ControlConnectionSettings } from './control-contract.ts'
import { type OpenControl, shakeHands, stepDown } from './control-handshake.ts'
import type { ClusterTopology, Host } from './host.ts'
import { SchemaAgreement } from './schema-agreement.ts'
import { readClusterTopology } from './topology-query.ts'

const CALL_TIMEOUT_MS = 10_000
const SWEEP_INTERVAL_MS = 250
const MS_PER_SECOND = 1000
const STREAM_IDS_MAX = 128
/** For a node to take a connection, where it is asked whether it lives. */
const REACH_TIMEOUT_MS = 1_000
/** Events come in bursts (a node that restarts sends several): one refresh serves them all. */
const REFRESH_DELAY_MS = 100
/** A stream of events that never pauses must not put the refresh off for ever. */
const REFRESH_DELAY_MAX_MS = 1_000

export class ControlConnection implements UpstreamListener {
  #settings: ControlConnectionSettings
  readonly #listener: ControlConnectionListener
  readonly #clock: Clock
  readonly #log: Logger
  /** Connections carry counters for client requests; this one serves none, and nobody reads them. */
  readonly #metrics: NodeMetrics
  readonly #dialer: Dialer
  readonly #flusher = new Flusher((flush) => setImmediate(flush))
  readonly #turn: Turn
  readonly #random: () => number
  #tls: UpstreamTls | null = null
  #open: OpenControl | null = null
  /** The one in use and those that are being tried. */
  readonly #connections = new Set<UpstreamConnection>()
  #topology: ClusterTopology | null = null
  #datacenter: string | null = null
  /** Failures in a row: a lost connection or a failed reopening each count one. */
  failures = 0
  /** Endpoint of the latest connection, kept while it is being replaced. */
  endpoint: string | null = null
  #losses = 0
  readonly #reopenings = { succeeded: 0, failed: 0 }
  #heardAtMs = 0
  #refreshedAtMs = 0
  #sweepTimer: Timer | null = null
  #heartbeatTimer: Timer | null = null
  #retryTimer: Timer | null = null
  #refreshTimer: Timer | null = null
  /** When the refresh that events have asked for runs at the latest; null when none is due. */
  #refreshByMs: number | null = null
  /** A read of the system tables under way, with whether it will do; and the one behind it. */
  #reading: Promise<boolean> | null = null
  #nextReading: Promise<boolean> | null = null
  #refreshAgain = false
  /** Reopenings since the last heartbeat that was answered. */
  #attempts = 0
  /** Aborted by `close`: ends an opening under way. */
  readonly #closing = new AbortController()
  readonly #agreement: SchemaAgreement

  constructor(
    settings: ControlConnectionSettings,
    listener: ControlConnectionListener,
    tools: {
      readonly clock: Clock
      readonly log: Logger
      readonly random: () => number
    },
  ) {
    this.#settings = settings
    this.#listener = listener
    this.#clock = tools.clock
    this.#log = tools.log
    this.#metrics = new NodeMetrics(clusterLabel(settings.cluster), 'control', [])
    this.#random = tools.random
    this.#dialer = new Dialer(tools.clock)
    this.#turn = new Turn(tools.clock)
    this.#agreement = new SchemaAgreement({
      cluster: settings.cluster,
      clock: tools.clock,
      log: tools.log,
      closing: this.#closing.signal,
      read: () => this.#hostsNow(),
      isReachable: (host) => this.#isReachable(host),
    })
    this.setTls(settings.tls)
    this.#sweepTimer = this.#clock.setInterval(() => this.#sweep(), SWEEP_INTERVAL_MS)
  }

  /** Opens through the contact points, beginning at a random one. Rejects when none will do. */
  async connect(): Promise<void> {
    await this.#openOne(fromRandom(this.#settings.contacts.endpoints(), this.#random))
    this.#onOpened()
  }

  /** Credentials, time-outs and intervals hold from the next use on; contact points and datacenter stay. */
  setSettings(settings: ControlConnectionSettings): void {
    this.#settings = settings
    if (this.#open !== null) this.#scheduleHeartbeat()
  }

  /** The next connection uses it; the one that is open stays. */
  setTls(material: UpstreamTlsMaterial | null): void {
    this.#tls = material === null ? null : new UpstreamTls(material)
  }

  /** For the metrics. */
  series(): ControlConnectionSeries {
    return {
      cluster: clusterLabel(this.#settings.cluster),
      isUp: this.#open !== null,
      losses: this.#losses,
      reopenings: { ...this.#reopenings },
      heardAtSeconds: this.#heardAtMs / MS_PER_SECOND,
      refreshedAtSeconds: this.#refreshedAtMs / MS_PER_SECOND,
    }
  }

  /**
   * After a change of the schema: resolves when the cluster's nodes have it, or the wait is given up
   * (schema-agreement.ts). By then the listener has been told of the latest topology. Never rejects.
   */
  schemaAgreement(before: string | null): Promise<void> {
    return this.#agreement.wait(before)
  }

  close(): void {
    this.#closing.abort()
    this.#clock.clearInterval(this.#sweepTimer)
    this.#clock.clearTimeout(this.#heartbeatTimer)
    this.#clock.clearTimeout(this.#retryTimer)
    this.#clock.clearTimeout(this.#refreshTimer)
    for (const connection of this.#connections) connection.destroy()
    this.#open = null
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted
  }

  onAnswer(): void {
    // All that this connection asks are calls.
  }

  onLateAnswer(): void {
    // The call has been rejected; its connection is being replaced.
  }

  onWritable(): void {
    // Nothing that is sent here can fill a queue.
  }

  onEvent(connection: UpstreamConnection, bytes: Uint8Array, start: number, end: number): void {
    if (this.#isClosed) return
    const flags = bytes[start + FLAGS_OFFSET]!
    const body = bytes.slice(skipResponsePrefix(bytes, start + HEADER_LENGTH, end, flags), end)
    const event = decodeEvent(new BodyReader(body), connection.traits)
    if (event === null) return
    if (event.type === EventType.SCHEMA_CHANGE) {
      const isCommonForm = connection.traits.hasSchemaChangeTarget
      const common = isCommonForm
        ? body
        : encodeEvent(new BodyWriter(), event, EVENT_TRAITS).toBytes()
      this.#listener.onSchemaChange(this.#settings.cluster, common)
    }
    if (event.type === EventType.STATUS_CHANGE) {
      const node = { address: formatAddress(event.address), port: event.port }
      this.#listener.onStatusChange(this.#settings.cluster, node, event.change === 'UP')
    }
    // A schema change moves schema_version, which drivers compare through the proxy.
    this.#scheduleRefresh()
  }

  onLost(connection: UpstreamConnection, cause: Error | null): void {
    this.#connections.delete(connection)
    const open = this.#open
    if (open?.connection !== connection) return
    this.#replace(open, 'CONTROL_LOST', `is lost: ${cause?.message ?? 'closed by the node'}`)
  }

  /** Ends the calls whose time is over. */
  #sweep(): void {
    const nowMs = this.#turn.begin()
    for (const connection of this.#connections) connection.sweep(nowMs)
  }

  async #openOne(candidates: readonly Endpoint[]): Promise<void> {
    let failure: unknown = null
    for (const endpoint of candidates) {
      if (this.#isClosed) break
      let open: OpenControl | null = null
      try {
        open = await stepDown(
          this.#settings.cluster,
          this.#settings.versionMax,
          this.#log,
          (version) => this.#openWith(endpoint, version),
        )
        await this.#read(open)
        // Only now is its loss a reason to reopen: until then it is a candidate that failed.
        if (open.connection.state === 'closed') throw new Error('the node closed the connection')
        this.#closing.signal.throwIfAborted()
        this.#open = open
        this.endpoint = nodeLabel(endpoint)
        return
      } catch (error) {
        failure = error
        open?.connection.destroy()
        if (this.#isClosed) break
        const node = nodeLabel(endpoint)
        const text = `cannot use ${node} for the control connection: ${messageOf(error)}`
        this.#warn('CONTROL_CANDIDATE_FAILED', node, text)
      }
    }
    throw failure ?? new Error('the control connection is closed')
  }

  async #openWith(endpoint: Endpoint, version: Version): Promise<OpenControl> {
    const connection = await UpstreamConnection.open(
      {
        cluster: this.#settings.cluster,
        endpoint,
        node: nodeLabel(endpoint),
        traits: versionTraits(version)!,
        metrics: this.#metrics,
        streamIdsMax: STREAM_IDS_MAX,
        connectTimeoutMs: this.#settings.connectTimeoutMs,
        callTimeoutMs: CALL_TIMEOUT_MS,
      },
      { dialer: this.#dialer, flusher: this.#flusher, turn: this.#turn, tls: this.#tls },
      this,
      this.#closing.signal,
    )
    this.#connections.add(connection)
    try {
      // The signal reaches the dialling only: whoever closed meanwhile did not see this connection.
      this.#closing.signal.throwIfAborted()
      return await shakeHands(connection, endpoint, this.#settings.credentials)
    } catch (error) {
      connection.destroy()
      this.#connections.delete(connection)
      throw error
    }
  }

  /** Reads the system tables and tells what they say. */
  async #read(open: OpenControl): Promise<void> {
    const { cluster, port, localDatacenter } = this.#settings
    const reading = await readClusterTopology(open.connection, {
      cluster: clusterLabel(cluster),
      contactEndpoint: open.endpoint,
      configuredPort: port,
      configuredDatacenter: localDatacenter,
      previousDatacenter: this.#datacenter,
    })
    if (!reading.ok) {
      throw new ClusterError(ClusterErrorCode.UNEXPECTED, cluster, reading.reason)
    }
    this.#closing.signal.throwIfAborted()
    for (const warning of reading.warnings) {
      const fields = { code: 'TOPOLOGY_ODD', cluster: clusterLabel(cluster) }
      this.#log.limited(warning, 'warn', fields, warning)
    }
    this.#topology = reading.topology
    this.#refreshedAtMs = this.#clock.wallMs()
    this.#datacenter = reading.topology.localDatacenter
    const { version } = open.connection.traits
    const { requiresAuthentication, supported } = open
    this.#listener.onKnowledge(cluster, {
      topology: reading.topology,
      version,
      requiresAuthentication,
      supported,
    })
  }

  #scheduleRefresh(): void {
    if (this.#isClosed) return
    const nowMs = this.#clock.now()
    this.#refreshByMs ??= nowMs + REFRESH_DELAY_MAX_MS
    const delayMs = Math.min(REFRESH_DELAY_MS, this.#refreshByMs - nowMs)
    this.#clock.clearTimeout(this.#refreshTimer)
    this.#refreshTimer = this.#clock.setTimeout(() => this.#refresh(), delayMs)
  }

  #refresh(): void {
    this.#refreshByMs = null
    if (this.#open === null || this.#reading !== null) this.#refreshAgain = true
    else void this.#readNow(this.#open)
  }

  /** Resolves with whether the tables could be read; where not, the connection is being replaced. */
  #readNow(open: OpenControl): Promise<boolean> {
    this.#reading = this.#read(open)
      .then(
        () => true,
        (error: unknown) => {
          const why = `fails to tell the topology, the last one stays: ${messageOf(error)}`
          this.#replace(open, 'TOPOLOGY_REFRESH_FAILED', why)
          return false
        },
      )
      .finally(() => {
        this.#reading = null
        this.#refreshIfAsked()
      })
    return this.#reading
  }

  /** The hosts by a read that begins after this call: one that began before may have missed a change. */
  async #hostsNow(): Promise<readonly Host[] | null> {
    this.#nextReading ??= (this.#reading ?? Promise.resolve(true)).then(() => {
      this.#nextReading = null
      const open = this.#open
      if (open === null) return false
      return this.#reading ?? this.#readNow(open)
    })
    return (await this.#nextReading) ? this.#topology!.hosts : null
  }

  /** Whether somebody listens where this instance would connect to the node. */
  async #isReachable(host: Host): Promise<boolean> {
    const { contacts, connectTimeoutMs } = this.#settings
    const { address, port } = contacts.endpointOf(host)
    const timeoutMs = Math.min(connectTimeoutMs, REACH_TIMEOUT_MS)
    return tryConnect(this.#dialer, { address, port, timeoutMs }).then(
      () => true,
      () => false,
    )
  }

  /** For what came while there was nobody to ask, or while the tables were being read. */
  #refreshIfAsked(): void {
    if (!this.#refreshAgain) return
    this.#refreshAgain = false
    this.#scheduleRefresh()
  }

  #scheduleHeartbeat(): void {
    this.#clock.clearTimeout(this.#heartbeatTimer)
    this.#heartbeatTimer = this.#clock.setTimeout(
      () => this.#heartbeat(),
      this.#settings.heartbeatIntervalMs,
    )
  }

  /** Any answer in time is a sign of life. The tables are read again too: events can be missed. */
  #heartbeat(): void {
    const open = this.#open
    if (open === null) return
    open.connection.call(Opcode.OPTIONS, new BodyWriter()).then(
      () => {
        if (this.#open !== open) return
        this.#heardAtMs = this.#clock.wallMs()
        this.failures = 0
        this.#attempts = 0
        this.#scheduleRefresh()
        this.#scheduleHeartbeat()
      },
      (error: unknown) => {
        this.#replace(open, 'CONTROL_HEARTBEAT_FAILED', `has no heartbeat: ${messageOf(error)}`)
      },
    )
  }

  #onOpened(): void {
    this.#heardAtMs = this.#clock.wallMs()
    this.failures = 0
    this.#scheduleHeartbeat()
    this.#refreshIfAsked()
  }

  /** Gives up the connection in use and looks for another. Nothing where that has happened already. */
  #replace(open: OpenControl, code: string, why: string): void {
    if (this.#open !== open) return
    const { node } = open.connection
    const text = `control connection to ${clusterName(this.#settings.cluster)} ${node} ${why}`
    this.#warn(code, node, text)
    this.#open = null
    this.#losses++
    this.failures++
    this.#clock.clearTimeout(this.#heartbeatTimer)
    this.#clock.clearTimeout(this.#refreshTimer)
    this.#refreshByMs = null
    this.#refreshAgain = false
    open.connection.destroy()
    if (this.#attempts === 0) this.#tryReopen()
    else this.#reopenAfter(this.#retryDelayMs())
  }

  #reopenAfter(delayMs: number): void {
    this.#retryTimer = this.#clock.setTimeout(() => this.#tryReopen(), delayMs)
  }

  #tryReopen(): void {
    const { cluster, contacts } = this.#settings
    this.#attempts++
    const reopen = (): Promise<void> =>
      this.#openOne(reopenCandidates(this.#topology, contacts, this.#random))
    const isFirst = this.#attempts === 1 || contacts.refresh === null
    const opened = isFirst ? reopen() : this.#refreshContacts().then(reopen)
    opened.then(
      () => {
        this.#reopenings.succeeded++
        this.#log.info(
          { code: 'CONTROL_REOPENED', cluster: clusterLabel(cluster) },
          `control connection to ${clusterName(cluster)} is back on ${this.endpoint}`,
        )
        this.#onOpened()
      },
      (error: unknown) => {
        if (this.#isClosed) return
        this.#reopenings.failed++
        this.failures++
        const delayMs = this.#retryDelayMs()
        this.#log.limited(
          `CONTROL_REOPEN_FAILED ${cluster}`,
          'error',
          { code: 'CONTROL_REOPEN_FAILED', cluster: clusterLabel(cluster) },
          `no control connection to ${clusterName(cluster)}, next try in ${Math.round(delayMs)} ms: ${messageOf(error)}`,
        )
        this.#reopenAfter(delayMs)
      },
    )
  }

  /** After a reopening that failed the nodes may be elsewhere. Where nobody can tell, what was known stays. */
  async #refreshContacts(): Promise<void> {
    try {
      await this.#settings.contacts.refresh?.(this.#closing.signal)
    } catch (error) {
      if (this.#isClosed) return
      const cluster = clusterLabel(this.#settings.cluster)
      const text = `the contact points stay as they were: ${messageOf(error)}`
      const code = 'CONTACT_POINTS_NOT_REFRESHED'
      this.#log.limited(`${code} ${cluster}`, 'warn', { code, cluster }, text)
    }
  }

  /** The wait after so many attempts: the least after the first. */
  #retryDelayMs(): number {
    const { retryDelayMinMs, retryDelayMaxMs, retryFactor } = this.#settings
    const attempt = this.#attempts - 1
    return backoffMs(attempt, retryDelayMinMs, retryDelayMaxMs, retryFactor, this.#random)
  }

  /** A cluster can be down for hours: at most one line a minute for each node and code. */
  #warn(code: string, node: string, text: string): void {
    const cluster = clusterLabel(this.#settings.cluster)
    this.#log.limited(`${code} ${cluster} ${node}`, 'warn', { code, cluster, node }, text)
  }
}
