/** How each cluster is reached: what the settings, files and services say of it. Pure. */
import type { AstraContacts } from '../cluster/astra-contacts.ts'
import { configuredContacts } from '../cluster/contacts.ts'
import type { ControlConnectionSettings } from '../cluster/control-contract.ts'
import type { Settings } from '../config/settings.ts'
import { Version } from '../cql/protocol.ts'
import { NO_TLS, type TlsMaterial } from '../net/tls.ts'
import { Cluster } from '../routing/cluster.ts'
import type { Credentials } from '../upstream/profile.ts'

const credentialsOf = (username: string, password: string): Credentials | null =>
  username === '' && password === '' ? null : { username, password }

/** The proxy's own, of Origin and Target; null where it has none. */
export const bothCredentials = (
  settings: Settings,
): readonly [Credentials | null, Credentials | null] => [
  credentialsOf(settings.originUsername, settings.originPassword),
  credentialsOf(settings.targetUsername, settings.targetPassword),
]

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

export const bothConnections = (
  settings: Settings,
  reach: Reach = BY_SETTINGS_ALONE,
): readonly [ControlConnectionSettings, ControlConnectionSettings] => [
  connectionSettings(settings, reach, Cluster.ORIGIN),
  connectionSettings(settings, reach, Cluster.TARGET),
]
