/**
 * From the operator's settings to what each part of the proxy asks for: units converted, names
 * resolved, "empty" turned into null. Nothing is validated here: config/ has done that.
 */
import { randomBytes } from 'node:crypto'
import { isIP, isIPv4 } from 'node:net'
import { availableParallelism } from 'node:os'
import type { AstraContacts } from '../cluster/astra-contacts.ts'
import { configuredContacts } from '../cluster/contacts.ts'
import type { ControlConnectionSettings } from '../cluster/control-contract.ts'
import { isAnyAddress } from '../config/address.ts'
import { parseCredentialsMap } from '../config/credentials-map.ts'
import type { Settings } from '../config/settings.ts'
import type { Routing } from '../control/phase.ts'
import { Version } from '../cql/protocol.ts'
import { boundsInSeconds } from '../metrics/histogram.ts'
import { systemResolve } from '../net/resolve.ts'
import { NO_TLS, type TlsMaterial } from '../net/tls.ts'
import { Cluster } from '../routing/cluster.ts'
import type { RoutingState } from '../routing/routing-state.ts'
import type { CredentialsMap } from '../session/identities.ts'
import { CQL_FUNCTION_NAMES, type CqlFunctionName } from '../statement/functions.ts'
import type { Credentials } from '../upstream/profile.ts'
import { resolveAdvertised } from './advertised-addresses.ts'
import type { ControlPlaneSettings, LiveControlSettings } from './control-plane.ts'
import type { DataPlaneSettings } from './data-plane-options.ts'

/** From accept to READY (architecture §4). */
const HANDSHAKE_TIMEOUT_MS = 10_000
/** Of this process: keys stay comparable over changed settings, and nobody outside can guess them. */
const HASH_SECRET = randomBytes(32)
const BYTES_PER_MIB = 1024 * 1024
/** What a two-byte stream id can count upwards, 0 left out (see upstream/slots.ts). */
const STREAM_IDS_MAX = 32_767

const clusterNamed = (name: 'ORIGIN' | 'TARGET'): Cluster =>
  name === 'ORIGIN' ? Cluster.ORIGIN : Cluster.TARGET

const credentialsOf = (username: string, password: string): Credentials | null =>
  username === '' && password === '' ? null : { username, password }

const bothCredentials = (settings: Settings): readonly [Credentials | null, Credentials | null] => [
  credentialsOf(settings.originUsername, settings.originPassword),
  credentialsOf(settings.targetUsername, settings.targetPassword),
]

/** The settings have been checked; text that is no map cannot be among them. */
const credentialsMapOf = ({ credentialsMap }: Settings): CredentialsMap | null => {
  if (credentialsMap === '') return null
  const parsed = parseCredentialsMap(credentialsMap)
  if ('fault' in parsed) throw new TypeError(parsed.fault)
  return parsed.map
}

/** Node binds the IPv6 loopback for `localhost` on some systems; settings mean 127.0.0.1. */
export const bindAddress = (address: string): string =>
  address.toLowerCase() === 'localhost' ? '127.0.0.1' : address

/** A thread takes 30 MiB before it has served anybody, and a machine with many cores may give a container little. */
const THREADS_BY_DEFAULT_MAX = 16

/** How many data planes there are; one where several cannot listen on one port. */
export const planeThreads = (settings: Settings, canSharePort: boolean): number => {
  const { dataPlaneThreads } = settings
  if (!canSharePort) return 1
  if (dataPlaneThreads > 0) return dataPlaneThreads
  return Math.min(availableParallelism(), THREADS_BY_DEFAULT_MAX)
}

/** What of the routing state is a setting, as the switch has it. */
export const routingSetting = (settings: Settings): Routing => ({
  primary: settings.primaryCluster,
  readMode: settings.readMode,
  writeMode: 'both',
})

/** What decides routing until an operator changes it. */
export const initialRouting = (settings: Settings): RoutingState => ({
  revision: 0,
  primary: clusterNamed(settings.primaryCluster),
  readMode: settings.readMode,
  writeMode: 'both',
  systemQueries: clusterNamed(settings.systemQueriesMode),
})

const replacedFunctions = (settings: Settings): CqlFunctionName[] =>
  CQL_FUNCTION_NAMES.filter((name) => settings.replaceCqlFunctionsList.includes(name))

export const dataPlaneSettings = (settings: Settings): DataPlaneSettings => ({
  listenAddress: bindAddress(settings.proxyListenAddress),
  blockedVersions: blockedVersions(settings),
  requestTimeoutMs: settings.proxyRequestTimeoutMs,
  repliesToTimeouts: settings.proxyTimeoutReply === 'error',
  handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
  envelopeBodyLengthMax: settings.proxyMaxEnvelopeMib * BYTES_PER_MIB,
  clientOutputBytesMax: settings.proxyClientOutputMaxMib * BYTES_PER_MIB,
  upstreamConnections: settings.upstreamConnections,
  credentials: bothCredentials(settings),
  forwardsClientCredentialsToOrigin: settings.forwardClientCredentialsToOrigin,
  credentialsMap: credentialsMapOf(settings),
  replacedFunctions: settings.replaceCqlFunctions ? replacedFunctions(settings) : [],
  unifiesWriteTimestamps: settings.unifyWriteTimestamps,
  honoursTargetBuckets: settings.metricsHonourTargetBuckets,
  countsKeyspaces: settings.metricsKeyspaces,
  tracing: {
    isEnabled: settings.tracingEnabled,
    perSecondMax: Math.max(settings.tracingRateLimit, 0),
    key: settings.tracingRequestIdKey,
    exportsSpans: settings.tracingOtlpEndpoint !== '',
    samplePercent: settings.tracingSamplePercent,
  },
  clientConnectionsMax: settings.proxyMaxClientConnections,
  clientConnectionsPerAddressMax: settings.proxyMaxClientConnectionsPerAddress,
  // One client's limit; what many clients share has to carry them all.
  streamIdsMax:
    settings.upstreamConnections === 'shared'
      ? STREAM_IDS_MAX
      : Math.min(settings.proxyMaxStreamIds, STREAM_IDS_MAX),
  connectionsPerNodeMax: settings.upstreamConnectionsMaxPerNode,
  preparedEntriesMax: settings.preparedCacheMaxEntries,
  preparedBytesMax: settings.preparedCacheMaxMib * BYTES_PER_MIB,
  connectTimeoutMs: [settings.originConnectionTimeoutMs, settings.targetConnectionTimeoutMs],
  heartbeatIntervalMs: settings.heartbeatIntervalMs,
  latencyBoundsSeconds: [
    boundsInSeconds(settings.metricsOriginLatencyBucketsMs),
    boundsInSeconds(settings.metricsTargetLatencyBucketsMs),
  ],
  asyncLatencyBoundsSeconds: boundsInSeconds(settings.metricsAsyncReadLatencyBucketsMs),
  asyncReads: {
    inFlightMax: settings.asyncReadsMaxInFlight,
    samplePercent: settings.asyncReadsSamplePercent,
    compares: settings.compareAsyncReads,
    recheckDelayMs: settings.compareAsyncReadsRecheckMs,
    handshakeTimeoutMs: settings.asyncHandshakeTimeoutMs,
    hashSecret: HASH_SECRET,
  },
})

const VERSIONS_BY_NAME: Readonly<Record<string, Version>> = {
  2: Version.V2,
  3: Version.V3,
  4: Version.V4,
  5: Version.V5,
  DseV1: Version.DSE_V1,
  DseV2: Version.DSE_V2,
}

/** config/ has put versions into the one spelling that each has here. */
const versionNamed = (name: string): Version => VERSIONS_BY_NAME[name]!

export const blockedVersions = (settings: Settings): readonly Version[] =>
  settings.blockedProtocolVersions.map(versionNamed)

/** What files and services say beyond the settings. */
export type Reach = {
  readonly tls: TlsMaterial
  /** For clusters that a bundle leads to. */
  readonly astra: readonly [AstraContacts | null, AstraContacts | null]
}

/** Without TLS and without bundles. */
export const BY_SETTINGS_ALONE: Reach = { tls: NO_TLS, astra: [null, null] }

/** How a cluster is reached, for its control connection and for `--check`. */
export const connectionSettings = (
  settings: Settings,
  reach: Reach,
  cluster: Cluster,
): ControlConnectionSettings => {
  const isOrigin = cluster === Cluster.ORIGIN
  const contactPoints = isOrigin ? settings.originContactPoints : settings.targetContactPoints
  const port = isOrigin ? settings.originPort : settings.targetPort
  const datacenter = isOrigin ? settings.originLocalDatacenter : settings.targetLocalDatacenter
  const astra = reach.astra[cluster]
  return {
    cluster,
    contacts: astra ?? configuredContacts(contactPoints, port),
    port,
    tls: reach.tls.clusters[cluster],
    isStrictDatacenter: settings.strictLocalDatacenter,
    localDatacenter: astra === null ? datacenter || null : astra.localDatacenter,
    credentials: bothCredentials(settings)[cluster],
    connectTimeoutMs: isOrigin
      ? settings.originConnectionTimeoutMs
      : settings.targetConnectionTimeoutMs,
    versionMax: versionNamed(settings.controlConnMaxProtocolVersion),
    heartbeatIntervalMs: settings.heartbeatIntervalMs,
    retryDelayMinMs: settings.heartbeatRetryIntervalMinMs,
    retryDelayMaxMs: settings.heartbeatRetryIntervalMaxMs,
    retryFactor: settings.heartbeatRetryBackoffFactor,
  }
}

/**
 * The address that the listen address stands for: IPv4 before IPv6, or null (operations §6.2). The
 * Go proxy advertises 127.0.0.1 where it listens on IPv6, and nobody answers there.
 */
const implicitAddress = async (listenAddress: string): Promise<string | null> => {
  const address = bindAddress(listenAddress)
  if (isIP(address) !== 0) return address
  const resolved = await systemResolve(address).catch(() => [])
  const found = resolved.filter((one) => !isAnyAddress(one))
  return found.find((one) => isIPv4(one)) ?? found[0] ?? null
}

export const bothConnections = (
  settings: Settings,
  reach: Reach = BY_SETTINGS_ALONE,
): ControlPlaneSettings['connections'] => [
  connectionSettings(settings, reach, Cluster.ORIGIN),
  connectionSettings(settings, reach, Cluster.TARGET),
]

export const liveControlSettings = (
  settings: Settings,
  reach: Reach = BY_SETTINGS_ALONE,
): LiveControlSettings => ({
  connections: bothConnections(settings, reach),
  blockedVersions: blockedVersions(settings),
})

export const controlPlaneSettings = async (
  settings: Settings,
  reach: Reach = BY_SETTINGS_ALONE,
): Promise<ControlPlaneSettings> => {
  const list = settings.proxyTopologyAddresses
  const addresses = await resolveAdvertised(list, systemResolve)
  return {
    ...liveControlSettings(settings, reach),
    hostAssignment: [settings.originEnableHostAssignment, settings.targetEnableHostAssignment],
    localRacks: [settings.originLocalRack || null, settings.targetLocalRack || null],
    topology: {
      addresses: addresses.length === 0 ? null : addresses.map(({ address }) => address),
      index: settings.proxyTopologyIndex,
      numTokens: settings.proxyTopologyNumTokens,
      implicitAddress: await implicitAddress(settings.proxyListenAddress),
    },
    systemQueries: clusterNamed(settings.systemQueriesMode),
    hasPeersV2: settings.proxyTopologyPeersV2,
    schemaEventsFrom: settings.schemaEventsFrom,
  }
}
