/** The settings of who is let in to an HTTP server of the proxy, under one set of names. */
import type { Settings, Unchecked } from './settings.ts'

export type ServerTls = {
  readonly certificate: string
  readonly key: string
  readonly passphrase: string
  /** Of the callers. */
  readonly authority: string
  readonly token: string
}

/** Paths are empty where none is set; undefined is a setting whose value could not be read. */
export function serverTls(settings: Settings, server: 'admin' | 'metrics'): ServerTls
export function serverTls(
  settings: Partial<Settings>,
  server: 'admin' | 'metrics',
): Unchecked<ServerTls>
export function serverTls(
  settings: Partial<Settings>,
  server: 'admin' | 'metrics',
): Unchecked<ServerTls> {
  return server === 'admin'
    ? {
        certificate: settings.adminTlsCertPath,
        key: settings.adminTlsKeyPath,
        passphrase: settings.adminTlsKeyPassphrasePath,
        authority: settings.adminTlsClientCaPath,
        token: settings.adminTokenPath,
      }
    : {
        certificate: settings.metricsTlsCertPath,
        key: settings.metricsTlsKeyPath,
        passphrase: settings.metricsTlsKeyPassphrasePath,
        authority: settings.metricsTlsClientCaPath,
        token: settings.metricsTokenPath,
      }
}
