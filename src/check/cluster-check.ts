/**
 * What `--check` asks one cluster, from names to tables, in the order in which a connection needs
 * them: a failure makes the checks behind it pointless, and they say so. Nothing is written.
 */
import type { Clock } from '../clock.ts'
import type { ControlConnectionSettings } from '../cluster/control-contract.ts'
import type { ClusterTopology } from '../cluster/host.ts'
import { readText } from '../cluster/row.ts'
import type { OfferingCluster } from '../cluster/supported-options.ts'
import {
  isUnknownTable,
  readClusterTopology,
  select,
  selectPages,
} from '../cluster/topology-query.ts'
import { answerReader } from '../cql/messages/answer.ts'
import { decodeSupported } from '../cql/messages/supported.ts'
import { Opcode, SUPPORTED_VERSIONS, type Version } from '../cql/protocol.ts'
import { decodeBigint } from '../cql/values.ts'
import { BodyWriter } from '../cql/writer.ts'
import { messageOf } from '../message-of.ts'
import { formatEndpoint } from '../net/dialer.ts'
import { UpstreamTls } from '../net/tls.ts'
import { plural } from '../plural.ts'
import { clusterLabel, clusterName } from '../routing/cluster.ts'
import type { Endpoint, UpstreamConnection } from '../upstream/connection.ts'
import { ClusterError, ClusterErrorCode } from '../upstream/errors.ts'
import { authenticate, refusal, startUp } from '../upstream/handshake.ts'
import type { NodeSettings } from './node-settings.ts'
import { type ProbeTarget, withProbe } from './probe.ts'
import { findReachable, resolveContactPoints } from './reach.ts'
import type { Schema } from './schema.ts'
import { readSchema } from './schema-query.ts'
import type { CheckRow, Verdict } from './verdict.ts'

const STARTUP_OPTIONS: ReadonlyMap<string, string> = new Map([['CQL_VERSION', '3.0.0']])
const CLOCK_QUERY = 'SELECT toUnixTimestamp(now()) AS t FROM system.local'
const SETTINGS_QUERY = 'SELECT name, value FROM system_views.settings'
/** The quickest answer tells the time best: a node's first one may be slow. */
const CLOCK_SAMPLES = 3
/** Clients that leave timestamps to the cluster see writes of one second in the wrong order. */
const SKEW_WARN_MS = 500
/** No clock that anybody keeps is so far off. */
const SKEW_FAIL_MS = 10_000

export type ClusterFindings = {
  readonly rows: readonly CheckRow[]
  /** Null where the tables could not be read. */
  readonly topology: ClusterTopology | null
  /** By how much the cluster's clock is ahead of ours; null where it could not be asked. */
  readonly clockAheadMs: number | null
  /** What it speaks; null where that could not be negotiated. */
  readonly offering: OfferingCluster | null
  /** Null where it could not, or was not to be read. */
  readonly schema: Schema | null
  /** The node's own; null before Cassandra 4.0, and where they may not be read. */
  readonly settings: NodeSettings | null
}

export type CheckTools = {
  readonly clock: Clock
  /** All addresses of a host name; rejects where there are none. */
  resolve(name: string): Promise<readonly string[]>
  readonly callTimeoutMs: number
  /** Aborted when the check has taken too long: what is under way fails. */
  readonly signal: AbortSignal
  /** Whose schema is read: none named: all but the cluster's own. Null: none at all. */
  readonly keyspaces: readonly string[] | null
}

/** Every check of a cluster, in the order of the table. */
const NAMES = [
  'names',
  'TCP',
  'TLS',
  'protocol version',
  'credentials',
  'datacenter',
  'nodes',
  'release',
  'clock',
  'schema',
] as const
type Name = (typeof NAMES)[number]

export class ClusterCheck {
  readonly #settings: ControlConnectionSettings
  readonly #tools: CheckTools
  readonly #rows = new Map<Name, CheckRow>()
  #topology: ClusterTopology | null = null
  #clockAheadMs: number | null = null
  #offering: OfferingCluster | null = null
  #schema: Schema | null = null
  #nodeSettings: NodeSettings | null = null

  constructor(settings: ControlConnectionSettings, tools: CheckTools) {
    this.#settings = settings
    this.#tools = tools
  }

  /** Never rejects: what goes wrong is a row. */
  async run(): Promise<ClusterFindings> {
    const endpoint = await this.#reach()
    if (endpoint !== null) await this.#talk(endpoint)
    const failed = NAMES.find((name) => this.#rows.get(name)?.verdict === 'fail')
    const rows = NAMES.map((name) => {
      const known = this.#rows.get(name)
      return known ?? this.#row(name, 'skipped', `needs "${failed ?? NAMES[0]}" first`)
    })
    return {
      rows,
      topology: this.#topology,
      clockAheadMs: this.#clockAheadMs,
      offering: this.#offering,
      schema: this.#schema,
      settings: this.#nodeSettings,
    }
  }

  #row(name: Name, verdict: Verdict, detail: string, remedy = ''): CheckRow {
    return { subject: clusterName(this.#settings.cluster), name, verdict, detail, remedy }
  }

  #set(name: Name, verdict: Verdict, detail: string, remedy = ''): void {
    this.#rows.set(name, this.#row(name, verdict, detail, remedy))
  }

  get #label(): string {
    return clusterLabel(this.#settings.cluster)
  }

  /** The first contact point that takes a connection, or null. */
  async #reach(): Promise<Endpoint | null> {
    const { contacts, port, connectTimeoutMs } = this.#settings
    const { clock, resolve } = this.#tools
    const known = contacts.endpoints()
    // Behind a router all nodes have its name.
    const given = [...new Set(known.map(({ address }) => address))]
    const names = await resolveContactPoints(given, resolve, connectTimeoutMs, clock)
    const points = `${this.#label}_contact_points`
    const remedy = names.remedy === '' ? '' : `${names.remedy} (${points})`
    this.#set('names', names.verdict, names.detail, remedy)
    const endpoints = known.filter(({ address }) => names.usable.includes(address))
    if (endpoints.length === 0) return null
    const found = await findReachable(endpoints, connectTimeoutMs, clock)
    const isReached = found.reached.length > 0
    const verdict = found.refused.length === 0 ? 'pass' : isReached ? 'warn' : 'fail'
    this.#set(
      'TCP',
      verdict,
      [...found.reached.map(formatPoint), ...found.refused].join('; '),
      verdict === 'pass'
        ? ''
        : `check that the nodes run and that a firewall lets this machine reach port ${port} (${this.#label}_port)`,
    )
    return found.reached[0] ?? null
  }

  async #talk(endpoint: Endpoint): Promise<void> {
    try {
      if (!(await this.#checkTls(endpoint))) return
      const version = await this.#negotiate(endpoint)
      if (version === null) return
      await withProbe(this.#target(endpoint, version), this.#tools.clock, async (connection) => {
        if (!(await this.#signIn(connection))) return
        connection.becomeReady()
        if (!(await this.#readTopology(connection, endpoint))) return
        await this.#checkNodes()
        this.#checkRelease()
        await this.#checkClock(connection)
        await this.#checkSchema(connection)
      })
    } catch (error) {
      const next = NAMES.find((name) => !this.#rows.has(name))
      if (next !== undefined) this.#set(next, 'fail', messageOf(error), 'look at the node’s log')
    }
  }

  /** A connection is open only when its TLS handshake is complete. */
  async #checkTls(endpoint: Endpoint): Promise<boolean> {
    const { tls } = this.#settings
    if (tls === null) {
      this.#set('TLS', 'skipped', 'no TLS is configured')
      return true
    }
    try {
      const target = this.#target(endpoint, SUPPORTED_VERSIONS[0]!)
      await withProbe(target, this.#tools.clock, () => Promise.resolve())
      this.#set('TLS', 'pass', 'the handshake is complete')
      return true
    } catch (error) {
      const remedy = `look at ${this.#label}_tls_server_ca_path and, where the nodes ask for a certificate, at the client's`
      this.#set('TLS', 'fail', messageOf(error), remedy)
      return false
    }
  }

  #target(endpoint: Endpoint, version: Version): ProbeTarget {
    const { cluster, connectTimeoutMs, tls } = this.#settings
    return {
      cluster,
      endpoint,
      tls: tls === null ? null : new UpstreamTls(tls),
      version,
      connectTimeoutMs,
      callTimeoutMs: this.#tools.callTimeoutMs,
      signal: this.#tools.signal,
    }
  }

  /** The highest version that both speak, or null. */
  async #negotiate(endpoint: Endpoint): Promise<Version | null> {
    const { versionMax } = this.#settings
    const versions = SUPPORTED_VERSIONS.filter((version) => version <= versionMax)
    for (const version of versions) {
      try {
        await withProbe(this.#target(endpoint, version), this.#tools.clock, async (connection) => {
          const answer = await connection.call(Opcode.OPTIONS, new BodyWriter())
          if (answer.opcode !== Opcode.SUPPORTED) throw refusal(connection, 'OPTIONS', answer)
          this.#offering = { version, supported: decodeSupported(answerReader(answer.envelope)) }
        })
        this.#set('protocol version', 'pass', `version ${version}`)
        return version
      } catch (error) {
        const isVersion = error instanceof ClusterError && error.code === ClusterErrorCode.VERSION
        if (isVersion) continue
        const remedy = `is it a CQL port? Look at ${this.#label}_port and the node’s log`
        this.#set('protocol version', 'fail', messageOf(error), remedy)
        return null
      }
    }
    this.#set(
      'protocol version',
      'fail',
      `none of ${versions.join(', ')} is spoken`,
      'raise control_conn_max_protocol_version; clusters older than Cassandra 2.0 cannot be used',
    )
    return null
  }

  async #signIn(connection: UpstreamConnection): Promise<boolean> {
    const { credentials } = this.#settings
    const settings = `${this.#label}_username and ${this.#label}_password`
    const answer = await startUp(connection, STARTUP_OPTIONS)
    if (answer.opcode !== Opcode.AUTHENTICATE) {
      const detail = 'the cluster asks for none: anybody who reaches it may use it'
      this.#set('credentials', 'warn', detail, 'make sure that the network keeps others out')
      return true
    }
    if (credentials === null) {
      this.#set('credentials', 'fail', 'the cluster asks for them', `set ${settings}`)
      return false
    }
    try {
      await authenticate(connection, answer, credentials)
      this.#set('credentials', 'pass', 'accepted')
      return true
    } catch (error) {
      const isMechanism = error instanceof ClusterError && error.code === ClusterErrorCode.MECHANISM
      const remedy = isMechanism
        ? 'let the cluster take a user name and a password of the proxy, as PasswordAuthenticator does'
        : `correct ${settings}`
      this.#set('credentials', 'fail', messageOf(error), remedy)
      return false
    }
  }

  async #readTopology(connection: UpstreamConnection, endpoint: Endpoint): Promise<boolean> {
    const { port, localDatacenter, isStrictDatacenter, contacts } = this.#settings
    const reading = await readClusterTopology(connection, {
      cluster: this.#label === 'origin' ? 'origin' : 'target',
      contactEndpoint: endpoint,
      configuredPort: port,
      configuredDatacenter: localDatacenter,
      // What is wrong is told below, and the rest is looked at all the same.
      isStrictDatacenter: false,
      contacts,
      previousDatacenter: null,
    })
    if (!reading.ok) {
      this.#set('datacenter', 'fail', reading.reason, 'such a cluster cannot be used')
      return false
    }
    const { topology } = reading
    this.#topology = topology
    const found = [...new Set(topology.hosts.map(({ datacenter }) => datacenter))]
    if (localDatacenter !== null && !found.includes(localDatacenter)) {
      this.#set(
        'datacenter',
        'fail',
        `there is no "${localDatacenter}"; found: ${found.join(', ')}`,
        `set ${this.#label}_local_datacenter to one of them${isStrictDatacenter ? '' : `; the proxy would use "${topology.localDatacenter}"`}`,
      )
      return true
    }
    const isGuess = localDatacenter === null && found.length > 1
    this.#set(
      'datacenter',
      isGuess ? (isStrictDatacenter ? 'fail' : 'warn') : 'pass',
      `"${topology.localDatacenter}" of cluster "${topology.clusterName}", ${topology.localHosts.length} of ${plural(topology.hosts.length, 'node')}${isGuess ? `; it has ${found.length}: ${found.join(', ')}` : ''}`,
      isGuess
        ? `set ${this.#label}_local_datacenter: the first contact point that is a node decides otherwise`
        : '',
    )
    return true
  }

  /** The nodes' own addresses may lead elsewhere than the contact points. */
  async #checkNodes(): Promise<void> {
    const nodes = this.#topology?.localHosts ?? []
    const { connectTimeoutMs } = this.#settings
    const found = await findReachable(nodes, connectTimeoutMs, this.#tools.clock)
    const isReached = found.reached.length > 0
    const verdict = found.refused.length === 0 ? 'pass' : isReached ? 'warn' : 'fail'
    const remedy = `the cluster names these addresses for its nodes (rpc_address in system tables): make them reachable from here, or set broadcast_rpc_address on the nodes`
    this.#set(
      'nodes',
      verdict,
      verdict === 'pass'
        ? `all ${nodes.length} reachable: ${found.reached.map(formatPoint).join(', ')}`
        : `${found.reached.length} of ${nodes.length} reachable; ${found.refused.join('; ')}`,
      verdict === 'pass' ? '' : remedy,
    )
  }

  async #checkClock(connection: UpstreamConnection): Promise<void> {
    const { clock } = this.#tools
    try {
      let best = { roundTripMs: Number.POSITIVE_INFINITY, aheadMs: 0 }
      for (let sample = 0; sample < CLOCK_SAMPLES; sample++) {
        const startMs = clock.now()
        const rows = await select(connection, CLOCK_QUERY)
        const roundTripMs = clock.now() - startMs
        const bytes = rows[0]?.get('t')?.value ?? null
        if (bytes === null) throw new Error('the node did not tell its time')
        // The node read its clock about half a round trip ago.
        const aheadMs = Number(decodeBigint(bytes)) + roundTripMs / 2 - clock.wallMs()
        if (roundTripMs < best.roundTripMs) best = { roundTripMs, aheadMs }
      }
      this.#clockAheadMs = best.aheadMs
      this.#set('clock', ...clockVerdict(best.aheadMs))
    } catch (error) {
      const detail = `cannot be compared: ${messageOf(error)}`
      this.#set('clock', 'warn', detail, 'compare the nodes’ clocks by hand (NTP)')
    }
  }

  /** In the middle of an upgrade a cluster refuses changes of its schema. */
  #checkRelease(): void {
    const hosts = this.#topology?.hosts ?? []
    const found = [...new Set(hosts.map(({ releaseVersion }) => releaseVersion ?? 'unknown'))]
    if (found.length === 1) {
      this.#set(
        'release',
        'pass',
        `${found[0]} on ${hosts.length === 1 ? 'its one node' : `all ${hosts.length} nodes`}`,
      )
      return
    }
    const detail = `nodes of ${found.length} releases: ${found.join(', ')}`
    this.#set('release', 'warn', detail, 'finish the upgrade before the migration')
  }

  async #checkSchema(connection: UpstreamConnection): Promise<void> {
    const { keyspaces } = this.#tools
    if (keyspaces === null) {
      this.#set('schema', 'skipped', 'read by the instance that was asked')
      return
    }
    try {
      const schema = await readSchema(connection, keyspaces)
      this.#nodeSettings = await readNodeSettings(connection)
      this.#schema = schema
      const where = plural(schema.keyspaces.length, 'keyspace')
      const detail = `${plural(schema.tables.length, 'table')} in ${where} can be read`
      const versions = new Set(this.#topology?.hosts.map(({ schemaVersion }) => schemaVersion))
      if (versions.size <= 1) this.#set('schema', 'pass', detail)
      else {
        const text = `${detail}, but its nodes do not agree: ${versions.size} schema versions`
        this.#set('schema', 'warn', text, 'wait, or restart the node that does not follow')
      }
    } catch (error) {
      const text = `system_schema cannot be read: ${messageOf(error)}`
      if (isUnknownTable(error)) {
        const remedy = 'compare the schemas by hand: there is no such keyspace before Cassandra 3.0'
        this.#set('schema', 'warn', text, remedy)
      } else {
        const user = `the user of ${this.#label}_username`
        this.#set('schema', 'fail', text, `${user} needs SELECT on it`)
      }
    }
  }
}

/** Null where the node has no such table, or does not let us read it: nothing depends on them. */
const readNodeSettings = async (connection: UpstreamConnection): Promise<NodeSettings | null> => {
  const found = new Map<string, string>()
  try {
    for await (const rows of selectPages(connection, SETTINGS_QUERY)) {
      for (const row of rows) found.set(readText(row, 'name') ?? '', readText(row, 'value') ?? '')
    }
    return found
  } catch {
    return null
  }
}

const formatPoint = ({ address, port }: Endpoint): string => formatEndpoint(address, port)

/** What a difference between two clocks means. */
export const clockVerdict = (aheadMs: number): [Verdict, string, string] => {
  const size = Math.round(Math.abs(aheadMs))
  const detail = `${size} ms ${aheadMs < 0 ? 'behind' : 'ahead of'} this machine`
  if (size <= SKEW_WARN_MS) return ['pass', detail, '']
  const remedy = 'synchronise the clocks (NTP): the later timestamp wins, whichever write came last'
  return [size > SKEW_FAIL_MS ? 'fail' : 'warn', detail, remedy]
}
