/**
 * From the operator's settings to what each part of the proxy asks for: units converted, names
 * resolved, "empty" turned into null. Nothing is validated here: config/ has done that.
 */
import { randomBytes } from 'node:crypto'
import { isIP, isIPv4 } from 'node:net'
import { availableParallelism } from 'node:os'
import { bindAddress, isAnyAddress } from '../config/address.ts'
import { parseCredentialsMap } from '../config/credentials-map.ts'
import type { Settings } from '../config/settings.ts'
import type { Routing } from '../control/phase.ts'
import type { TrafficBounds } from '../control/traffic-window.ts'
import { boundsInSeconds, readsTargetBounds } from '../metrics/histogram.ts'
import { systemResolve } from '../net/resolve.ts'
import { resolveAdvertised } from '../reach/advertised-addresses.ts'
import {
  BY_SETTINGS_ALONE,
  blockedVersions,
  bothConnections,
  bothCredentials,
  type Reach,
} from '../reach/connection-settings.ts'
import { Cluster } from '../routing/cluster.ts'
import type { RoutingState } from '../routing/routing-state.ts'
import type { CredentialsMap } from '../session/identities.ts'
import { CQL_FUNCTION_NAMES, type CqlFunctionName } from '../statement/functions.ts'
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

/** The settings have been checked; text that is no map cannot be among them. */
const credentialsMapOf = ({ credentialsMap }: Settings): CredentialsMap | null => {
  if (credentialsMap === '') return null
  const parsed = parseCredentialsMap(credentialsMap)
  if ('fault' in parsed) throw new TypeError(parsed.fault)
  return parsed.map
}

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

/** For every thread; times in milliseconds, sizes in bytes. */
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

/** As the data planes count durations. */
export const trafficBounds = (settings: Settings): TrafficBounds => {
  const origin = boundsInSeconds(settings.metricsOriginLatencyBucketsMs)
  const target = boundsInSeconds(settings.metricsTargetLatencyBucketsMs)
  const readsTarget = readsTargetBounds({
    originBoundsSeconds: origin,
    targetBoundsSeconds: target,
    honoursTargetBuckets: settings.metricsHonourTargetBuckets,
  })
  return { origin, target, readsTarget }
}

/** What the control plane takes over while it runs. */
export const liveControlSettings = (
  settings: Settings,
  reach: Reach = BY_SETTINGS_ALONE,
): LiveControlSettings => ({
  connections: bothConnections(settings, reach),
  blockedVersions: blockedVersions(settings),
})

/** Resolves names in `proxy_topology_addresses`: rejects where one has no address (operations §6.2). */
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
