/**
 * From settings to the three legs' certificates and back to what the planes need: which files make up
 * a leg, and the texts as plain data for every thread (operations §7).
 */
import { randomBytes } from 'node:crypto'
import {
  type CertificateStore,
  type LegSources,
  validityOf,
} from '../certificates/certificate-store.ts'
import type { NamedFile } from '../certificates/errors.ts'
import { BundleLegSource, FileLegSource, type LegSource } from '../certificates/leg-source.ts'
import type { Clock } from '../clock.ts'
import { AstraContacts } from '../cluster/astra-contacts.ts'
import { clusterTls } from '../config/cluster-tls.ts'
import type { Settings } from '../config/settings.ts'
import type { Logger } from '../log.ts'
import type { ListenerTlsMaterial, TlsMaterial, UpstreamTlsMaterial } from '../net/tls.ts'
import { CLUSTERS, Cluster, clusterLabel, clusterName } from '../routing/cluster.ts'

/** Names and keys of a session ticket (RFC 5077), as Node's `ticketKeys` wants them. */
const TICKET_KEYS_LENGTH = 48

const named = (setting: string, path: string): NamedFile | null =>
  path === '' ? null : { setting, path }

const listenerSource = (settings: Settings): LegSource | null => {
  const certificate = named('proxy_tls_cert_path', settings.proxyTlsCertPath)
  if (certificate === null) return null
  return new FileLegSource({
    authority: named('proxy_tls_ca_path', settings.proxyTlsCaPath),
    certificate,
    key: named('proxy_tls_key_path', settings.proxyTlsKeyPath),
  })
}

const bundleSetting = (cluster: Cluster): string =>
  `${clusterLabel(cluster)}_secure_connect_bundle_path`

const clusterSource = (settings: Settings, cluster: Cluster): LegSource | null => {
  const { bundle, authority, certificate, key } = clusterTls(settings, clusterLabel(cluster))
  if (bundle !== '') return new BundleLegSource({ setting: bundleSetting(cluster), path: bundle })
  if (authority === '') return null
  const name = clusterLabel(cluster)
  return new FileLegSource({
    authority: named(`${name}_tls_server_ca_path`, authority),
    certificate: named(`${name}_tls_client_cert_path`, certificate),
    key: named(`${name}_tls_client_key_path`, key),
  })
}

export const legSources = (settings: Settings): LegSources => ({
  listener: listenerSource(settings),
  origin: clusterSource(settings, Cluster.ORIGIN),
  target: clusterSource(settings, Cluster.TARGET),
})

const listenerMaterial = (
  settings: Settings,
  store: CertificateStore,
): ListenerTlsMaterial | null => {
  const content = store.content('listener')
  if (content === null) return null
  return {
    certificate: content.certificate!,
    key: content.key!,
    // Without client certificates it was only checked, as the Go proxy does.
    clientAuthority: settings.proxyTlsRequireClientAuth ? content.authority : null,
    ticketKeys: randomBytes(TICKET_KEYS_LENGTH),
  }
}

const upstreamMaterial = (
  settings: Settings,
  store: CertificateStore,
  cluster: Cluster,
): UpstreamTlsMaterial | null => {
  const content = store.content(clusterLabel(cluster))
  if (content === null) return null
  const { authority, certificate, key, bundle } = content
  const { verifiesHostname } = clusterTls(settings, clusterLabel(cluster))
  return { authority, certificate, key, verifiesName: bundle !== null || verifiesHostname }
}

/** What is in force now, for every plane. */
export const tlsMaterial = (settings: Settings, store: CertificateStore): TlsMaterial => ({
  listener: listenerMaterial(settings, store),
  clusters: [
    upstreamMaterial(settings, store, Cluster.ORIGIN),
    upstreamMaterial(settings, store, Cluster.TARGET),
  ],
})

/** Asks the metadata service of each cluster that has a bundle. Rejects with the first error. */
export const openAstraContacts = async (
  store: CertificateStore,
  clock: Clock,
  signal: AbortSignal,
): Promise<readonly [AstraContacts | null, AstraContacts | null]> => {
  const open = async (cluster: Cluster): Promise<AstraContacts | null> => {
    const leg = clusterLabel(cluster)
    if ((store.content(leg)?.bundle ?? null) === null) return null
    const service = () => ({ bundle: store.content(leg)!.bundle!, setting: bundleSetting(cluster) })
    return AstraContacts.open(service, clock, signal)
  }
  return [await open(Cluster.ORIGIN), await open(Cluster.TARGET)]
}

/** Says for each leg whether and how it is protected. */
export const describeTls = (settings: Settings, store: CertificateStore, log: Logger): void => {
  const listener = store.content('listener')
  const mutual = settings.proxyTlsRequireClientAuth ? 'mutual TLS' : 'one-way TLS'
  log.info(
    { code: 'TLS_MODE', leg: 'listener', tls: listener === null ? 'none' : mutual },
    listener === null
      ? 'clients connect without TLS'
      : `clients connect with ${mutual}; ${validityOf(listener)}`,
  )
  for (const cluster of CLUSTERS) describeCluster(settings, store, log, cluster)
}

const describeCluster = (
  settings: Settings,
  store: CertificateStore,
  log: Logger,
  cluster: Cluster,
): void => {
  const leg = clusterLabel(cluster)
  const name = clusterName(cluster)
  const content = store.content(leg)
  if (content === null) {
    log.info({ code: 'TLS_MODE', leg, tls: 'none' }, `connections to ${name} have no TLS`)
    return
  }
  const mode = content.certificate === null ? 'one-way TLS' : 'mutual TLS'
  const how = content.bundle === null ? mode : `${mode} by a Secure Connect Bundle`
  log.info(
    { code: 'TLS_MODE', leg, tls: mode },
    `connections to ${name} have ${how}; ${validityOf(content)}`,
  )
  if (content.bundle !== null && content.authority === null) {
    const text = `the bundle of ${name} has no ca.crt: only the well-known authorities are trusted`
    log.warn({ code: 'TLS_BUNDLE_WITHOUT_AUTHORITY', leg }, text)
  }
  const { verifiesHostname } = clusterTls(settings, clusterLabel(cluster))
  if (verifiesHostname || content.bundle !== null) return
  log.warn(
    { code: 'TLS_HOSTNAME_NOT_VERIFIED', leg },
    `any certificate of a trusted authority, the well-known ones among them, passes for a node of ${name}: host names are not verified, as with the Go proxy; set ${leg}_tls_verify_hostname if the certificates name the nodes' addresses`,
  )
}
