/** The TLS settings of one cluster's leg under one set of names (operations §7). */
import type { Settings, Unchecked } from './settings.ts'

export type ClusterTls = {
  readonly bundle: string
  readonly authority: string
  readonly certificate: string
  readonly key: string
  readonly passphrase: string
  readonly crl: string
  readonly verifiesHostname: boolean
  readonly trustsPrivateRootsOnly: boolean
}

/** Paths are empty where none is set; undefined is a setting whose value could not be read. */
export function clusterTls(settings: Settings, cluster: 'origin' | 'target'): ClusterTls
export function clusterTls(
  settings: Partial<Settings>,
  cluster: 'origin' | 'target',
): Unchecked<ClusterTls>
export function clusterTls(
  settings: Partial<Settings>,
  cluster: 'origin' | 'target',
): Unchecked<ClusterTls> {
  return cluster === 'origin'
    ? {
        bundle: settings.originSecureConnectBundlePath,
        authority: settings.originTlsServerCaPath,
        certificate: settings.originTlsClientCertPath,
        key: settings.originTlsClientKeyPath,
        passphrase: settings.originTlsClientKeyPassphrasePath,
        crl: settings.originTlsCrlPath,
        verifiesHostname: settings.originTlsVerifyHostname,
        trustsPrivateRootsOnly: settings.originTlsPrivateRootsOnly,
      }
    : {
        bundle: settings.targetSecureConnectBundlePath,
        authority: settings.targetTlsServerCaPath,
        certificate: settings.targetTlsClientCertPath,
        key: settings.targetTlsClientKeyPath,
        passphrase: settings.targetTlsClientKeyPassphrasePath,
        crl: settings.targetTlsCrlPath,
        verifiesHostname: settings.targetTlsVerifyHostname,
        trustsPrivateRootsOnly: settings.targetTlsPrivateRootsOnly,
      }
}
