/** The files of the proxy's HTTP servers (admin API, metrics and health) as those want them. */

import type { ServerCredentials } from '../admin/credentials.ts'
import type { InstanceAccess } from '../admin/instance-client.ts'
import { CertificateStore } from '../certificates/certificate-store.ts'
import { CertificateError } from '../certificates/errors.ts'
import type { Clock } from '../clock.ts'
import { ConfigError, ConfigErrorCode } from '../config/errors.ts'
import type { Settings } from '../config/settings.ts'
import type { Logger } from '../log.ts'
import { listenerContextOptions } from '../net/tls.ts'
import { serverSources } from '../reach/tls-legs.ts'

export type HttpServerName = 'admin' | 'metrics'

/**
 * Reads the files of both servers. Rejects with a ConfigError that names setting and file: unlike those of the
 * legs they end the start, since nobody could see what the process waits for.
 */
export const loadServerStore = async (
  settings: Settings,
  tools: { readonly clock: Clock; readonly log: Logger },
): Promise<CertificateStore> => {
  const store = new CertificateStore(serverSources(settings), tools)
  try {
    await store.load()
    return store
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error
    const { message: text, setting } = error
    throw new ConfigError(ConfigErrorCode.INVALID, [{ setting, text }], error)
  }
}

/** What is in force now. */
export const serverCredentials = (
  store: CertificateStore,
  server: HttpServerName,
): ServerCredentials => {
  const { tokens = null, certificate, key, authority = null } = store.content(server) ?? {}
  if (certificate == null || key == null) return { tokens, tls: null, hasMutualTls: false }
  const tls = listenerContextOptions({ certificate, key, clientAuthority: authority, crls: [] })
  return { tokens, tls, hasMutualTls: authority !== null }
}

/** How an instance shows itself to the others: by its first token, and its own certificate. */
export const peerAccess = (store: CertificateStore): Pick<InstanceAccess, 'token' | 'tls'> => {
  const { tokens, certificate, key, authority } = store.content('admin') ?? {}
  const isMutual = certificate != null && key != null && authority != null
  return {
    token: tokens?.[0] ?? null,
    tls: isMutual ? { ca: authority, cert: certificate, key } : {},
  }
}
