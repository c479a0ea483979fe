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
import { Opcode } from '../cql/protocol.ts'
import { BodyReader } from '../cql/reader.ts'
import { BodyWriter } from '../cql/writer.ts'
import type { Logger } from '../log.ts'
import { messageOf } from '../message-of.ts'
import type { ControlConnectionSeries } from '../metrics/control-connection-series.ts'
import type { UpstreamTlsMaterial } from '../net/tls.ts'
import { clusterLabel, clusterName } from '../routing/cluster.ts'
import type { Endpoint, UpstreamConnection, UpstreamListener } from '../upstream/connection.ts'
import { ClusterError, ClusterErrorCode } from '../upstream/errors.ts'
import { formatAddress } from './address.ts'
import { backoffMs } from './backoff.ts'
import { BurstTimer } from './burst-timer.ts'
import { fromRandom, reopenCandidates } from './candidates.ts'
import { nodeLabel } from './contacts.ts'
import type { ControlConnectionListener, ControlConnectionSettings } from './control-contract.ts'
import { ControlDialer } from './control-dialer.ts'
import { type OpenControl, stepDown } from './control-handshake.ts'
import { ControlHealth, type Trouble } from './control-health.ts'
import type { ClusterTopology, Host } from './host.ts'
import { tellingFailure } from './permanent-failure.ts'
import { SchemaAgreement } from './schema-agreement.ts'
import { readClusterTopology } from './topology-query.ts'

const SWEEP_INTERVAL_MS = 250

export class ControlConnection implements UpstreamListener {
  #settings: ControlConnectionSettings
  readonly #listener: ControlConnectionListener
  readonly #clock: Clock
  readonly #log: Logger
  readonly #dialer: ControlDialer
  readonly #random: () => number
  #open: OpenControl | null = null
  #topology: ClusterTopology | null = null
  #datacenter: string | null = null
  /** Endpoint of the latest connection, kept while it is being replaced. */
  endpoint: string | null = null
  readonly #health: ControlHealth
  #sweepTimer: Timer | null = null
  #heartbeatTimer: Timer | null = null
  #retryTimer: Timer | null = null
  /** The refresh that events have asked for. */
  readonly #refreshTimer: BurstTimer
  /** A read of the system tables under way, with whether it will do; and the one behind it. */
  #reading: Promise<boolean> | null = null
  #nextReading: Promise<boolean> | null = null
  #refreshAgain = false
  /** Is looking for a local node to use instead of a remote one. */
  #isReturning = false
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
    this.#random = tools.random
    this.#health = new ControlHealth(tools.clock, () => listener.onUnreachable(settings.cluster))
    this.#refreshTimer = new BurstTimer(tools.clock, () => this.#refresh())
    this.#dialer = new ControlDialer(tools.clock, this)
    this.#agreement = new SchemaAgreement({
      cluster: settings.cluster,
      clock: tools.clock,
      log: tools.log,
      closing: this.#closing.signal,
      read: () => this.#hostsNow(),
      isReachable: (host) => this.#isReachable(host),
    })
    this.setTls(settings.tls)
    this.#sweepTimer = this.#clock.setInterval(() => this.#dialer.sweep(), SWEEP_INTERVAL_MS)
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
    this.#dialer.setTls(material)
  }

  /** In a row; see control-health.ts for what counts. */
  get failures(): number {
    return this.#health.failures
  }

  /** How often a connection was lost. */
  get losses(): number {
    return this.#health.losses
  }

  /** Null while there is a connection. */
  get trouble(): Trouble | null {
    return this.#health.trouble
  }

  /** For the metrics. */
  series(): ControlConnectionSeries {
    return this.#health.series(clusterLabel(this.#settings.cluster), this.#open !== null)
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
    this.#health.close()
    this.#clock.clearInterval(this.#sweepTimer)
    this.#clock.clearTimeout(this.#heartbeatTimer)
    this.#clock.clearTimeout(this.#retryTimer)
    this.#refreshTimer.cancel()
    this.#dialer.close()
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
    this.#dialer.forget(connection)
    const open = this.#open
    if (open?.connection !== connection) return
    this.#replace(open, 'CONTROL_LOST', `is lost: ${cause?.message ?? 'closed by the node'}`)
  }

  /** `instead`: the connection that it takes the place of; null where there is none. */
  async #openOne(
    candidates: readonly Endpoint[],
    instead: OpenControl | null = null,
  ): Promise<void> {
    const failures: unknown[] = []
    for (const endpoint of candidates) {
      if (this.#isClosed) break
      let open: OpenControl | null = null
      try {
        open = await stepDown(
          this.#settings.cluster,
          this.#settings.versionMax,
          this.#log,
          (version) => this.#dialer.open(endpoint, version, this.#settings, this.#closing.signal),
        )
        await this.#read(open)
        // Only now is its loss a reason to reopen: until then it is a candidate that failed.
        if (open.connection.state === 'closed') throw new Error('the node closed the connection')
        this.#closing.signal.throwIfAborted()
        if (this.#open !== instead) throw new Error('another connection is in use meanwhile')
        this.#open = open
        this.endpoint = nodeLabel(endpoint)
        instead?.connection.destroy()
        return
      } catch (error) {
        failures.push(error)
        open?.connection.destroy()
        if (this.#isClosed) break
        const node = nodeLabel(endpoint)
        const text = `cannot use ${node} for the control connection: ${messageOf(error)}`
        this.#warn('CONTROL_CANDIDATE_FAILED', node, text)
      }
    }
    throw tellingFailure(failures) ?? new Error('the control connection is closed')
  }

  /** Reads the system tables and tells what they say. */
  async #read(open: OpenControl): Promise<void> {
    const { cluster, port, localDatacenter, isStrictDatacenter, contacts } = this.#settings
    const reading = await readClusterTopology(open.connection, {
      cluster: clusterLabel(cluster),
      contactEndpoint: open.endpoint,
      configuredPort: port,
      configuredDatacenter: localDatacenter,
      isStrictDatacenter,
      contacts,
      previousDatacenter: this.#datacenter,
    })
    if (!reading.ok) {
      const { UNUSABLE, UNEXPECTED } = ClusterErrorCode
      throw new ClusterError(reading.isPermanent ? UNUSABLE : UNEXPECTED, cluster, reading.reason)
    }
    this.#closing.signal.throwIfAborted()
    for (const { code, text } of reading.warnings) {
      this.#log.limited(text, 'warn', { code, cluster: clusterLabel(cluster) }, text)
    }
    this.#topology = reading.topology
    this.#health.refreshed()
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
    if (!this.#isClosed) this.#refreshTimer.schedule()
  }

  #refresh(): void {
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
  #isReachable(host: Host): Promise<boolean> {
    const { contacts, connectTimeoutMs } = this.#settings
    return this.#dialer.isReachable(contacts.endpointOf(host), connectTimeoutMs)
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
        this.#health.heard()
        this.#attempts = 0
        this.#scheduleRefresh()
        this.#scheduleHeartbeat()
        void this.#returnToLocal(open)
      },
      (error: unknown) => {
        this.#replace(open, 'CONTROL_HEARTBEAT_FAILED', `has no heartbeat: ${messageOf(error)}`)
      },
    )
  }

  /** From a node of another datacenter back to a local one, as soon as one takes connections. */
  async #returnToLocal(open: OpenControl): Promise<void> {
    const { hosts, localHosts } = this.#topology!
    // The node that was asked comes first among the hosts.
    if (this.#isReturning || localHosts.includes(hosts[0]!)) return
    this.#isReturning = true
    try {
      for (const host of fromRandom(localHosts, this.#random)) {
        if (!(await this.#isReachable(host))) continue
        await this.#openOne([this.#settings.contacts.endpointOf(host)], open)
        this.#onOpened()
        const { cluster } = this.#settings
        const text = `control connection to ${clusterName(cluster)} is back in the datacenter ${host.datacenter}, on ${this.endpoint}`
        this.#log.info({ code: 'CONTROL_RETURNED', cluster: clusterLabel(cluster) }, text)
        break
      }
    } catch {
      // Why has been told; the next heartbeat tries again.
    } finally {
      this.#isReturning = false
    }
  }

  #onOpened(): void {
    this.#health.opened()
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
    this.#health.lost(new Error(text), this.#attempts === 0)
    this.#clock.clearTimeout(this.#heartbeatTimer)
    this.#refreshTimer.cancel()
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
    this.#health.roundBegins()
    const reopen = (): Promise<void> =>
      this.#openOne(reopenCandidates(this.#topology, contacts, this.endpoint, this.#random))
    const isFirst = this.#attempts === 1 || contacts.refresh === null
    const opened = isFirst ? reopen() : this.#refreshContacts().then(reopen)
    opened.then(
      () => {
        this.#health.roundSucceeded()
        this.#log.info(
          { code: 'CONTROL_REOPENED', cluster: clusterLabel(cluster) },
          `control connection to ${clusterName(cluster)} is back on ${this.endpoint}`,
        )
        this.#onOpened()
      },
      (error: unknown) => {
        if (this.#isClosed) return
        this.#health.roundFailed(error)
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
