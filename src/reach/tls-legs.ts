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
import { serverTls } from '../config/server-tls.ts'
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
    passphrase: named('proxy_tls_key_passphrase_path', settings.proxyTlsKeyPassphrasePath),
    passphraseSetting: 'proxy_tls_key_passphrase_path',
    crl: named('proxy_tls_crl_path', settings.proxyTlsCrlPath),
  })
}

const bundleSetting = (cluster: Cluster): string =>
  `${clusterLabel(cluster)}_secure_connect_bundle_path`

const clusterSource = (settings: Settings, cluster: Cluster): LegSource | null => {
  const name = clusterLabel(cluster)
  const tls = clusterTls(settings, name)
  if (tls.bundle !== '') {
    const file = { setting: bundleSetting(cluster), path: tls.bundle }
    const authorityNeededBy = tls.trustsPrivateRootsOnly ? `${name}_tls_private_roots_only` : null
    return new BundleLegSource(file, authorityNeededBy)
  }
  if (tls.authority === '') return null
  return new FileLegSource({
    authority: named(`${name}_tls_server_ca_path`, tls.authority),
    certificate: named(`${name}_tls_client_cert_path`, tls.certificate),
    key: named(`${name}_tls_client_key_path`, tls.key),
    passphrase: named(`${name}_tls_client_key_passphrase_path`, tls.passphrase),
    passphraseSetting: `${name}_tls_client_key_passphrase_path`,
    crl: named(`${name}_tls_crl_path`, tls.crl),
  })
}

const serverSource = (settings: Settings, server: 'admin' | 'metrics'): LegSource | null => {
  const { certificate, key, passphrase, authority, token } = serverTls(settings, server)
  if (certificate === '' && token === '') return null
  return new FileLegSource({
    authority: named(`${server}_tls_client_ca_path`, authority),
    certificate: named(`${server}_tls_cert_path`, certificate),
    key: named(`${server}_tls_key_path`, key),
    passphrase: named(`${server}_tls_key_passphrase_path`, passphrase),
    passphraseSetting: `${server}_tls_key_passphrase_path`,
    token: named(`${server}_token_path`, token),
  })
}

/** Of the HTTP servers, which are there before the legs, and whether or not those can be used. */
export const serverSources = (settings: Settings): LegSources => ({
  admin: serverSource(settings, 'admin'),
  metrics: serverSource(settings, 'metrics'),
})

/** Of what carries CQL. */
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
    crls: content.revocation?.lists ?? [],
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
  const { authority, certificate, key, bundle, revocation } = content
  const { verifiesHostname, trustsPrivateRootsOnly } = clusterTls(settings, clusterLabel(cluster))
  return {
    authority,
    certificate,
    key,
    trustsWellKnownRoots: !trustsPrivateRootsOnly,
    crls: revocation?.lists ?? [],
    verifiesName: bundle !== null || verifiesHostname,
  }
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
  settings: Settings,
  store: CertificateStore,
  clock: Clock,
  signal: AbortSignal,
): Promise<readonly [AstraContacts | null, AstraContacts | null]> => {
  const open = async (cluster: Cluster): Promise<AstraContacts | null> => {
    const leg = clusterLabel(cluster)
    if ((store.content(leg)?.bundle ?? null) === null) return null
    const setting = bundleSetting(cluster)
    const trustsWellKnownRoots = !clusterTls(settings, leg).trustsPrivateRootsOnly
    const service = () => ({ bundle: store.content(leg)!.bundle!, setting, trustsWellKnownRoots })
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
  const { verifiesHostname, trustsPrivateRootsOnly } = clusterTls(settings, leg)
  if (verifiesHostname || content.bundle !== null) return
  const trusted = trustsPrivateRootsOnly
    ? `an authority in ${leg}_tls_server_ca_path`
    : `a trusted authority, the well-known ones among them (unless ${leg}_tls_private_roots_only is set),`
  log.warn(
    { code: 'TLS_HOSTNAME_NOT_VERIFIED', leg },
    `any certificate of ${trusted} passes for a node of ${name}: host names are not verified, as with the Go proxy; set ${leg}_tls_verify_hostname if the certificates name the nodes' addresses`,
  )
}
