/** The files that the admin API needs: its token, its certificates. Read once, at the start. */
import { readFileSync } from 'node:fs'
import type { ServerOptions } from 'node:https'
import { CertificateError, type NamedFile } from '../certificates/errors.ts'
import { parseCertificates, parsePair } from '../certificates/pem.ts'
import { ConfigError, ConfigErrorCode } from '../config/errors.ts'
import type { Settings } from '../config/settings.ts'
import { messageOf } from '../message-of.ts'

const TOKEN_LENGTH_MIN = 16

export type AdminCredentials = {
  /** Null: none is asked for. */
  readonly token: string | null
  /** Null: plain HTTP. */
  readonly https: ServerOptions | null
}

const read = (setting: string, path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const why = messageOf(error)
    throw unusable(setting, `${path} cannot be read: ${why}`, error)
  }
}

const unusable = (setting: string, text: string, cause?: unknown): ConfigError =>
  new ConfigError(ConfigErrorCode.INVALID, [{ setting, text: `${setting}: ${text}` }], cause)

/** Throws a ConfigError that names the setting and the file. */
export const adminCredentials = (settings: Settings): AdminCredentials => {
  const { adminTokenPath, adminTlsCertPath, adminTlsKeyPath, adminTlsClientCaPath } = settings
  const token = adminTokenPath === '' ? null : read('admin_token_path', adminTokenPath).trim()
  if (token !== null && (token.length < TOKEN_LENGTH_MIN || /\s/.test(token))) {
    throw unusable(
      'admin_token_path',
      `${adminTokenPath} must hold one word of at least ${TOKEN_LENGTH_MIN} characters; make one with: openssl rand -hex 32`,
    )
  }
  if (adminTlsCertPath === '') return { token, https: null }
  const certificate = { setting: 'admin_tls_cert_path', path: adminTlsCertPath }
  const key = { setting: 'admin_tls_key_path', path: adminTlsKeyPath }
  const authority = { setting: 'admin_tls_client_ca_path', path: adminTlsClientCaPath }
  const hasAuthority = adminTlsClientCaPath !== ''
  const pair = { cert: readNamed(certificate), key: readNamed(key) }
  const ca = hasAuthority ? readNamed(authority) : null
  checked(() => {
    parsePair(pair.cert, pair.key, { certificate, key })
    if (ca !== null) parseCertificates(ca, authority)
  })
  return {
    token,
    https: {
      ...pair,
      ...(ca === null ? {} : { ca }),
      requestCert: hasAuthority,
      rejectUnauthorized: hasAuthority,
      minVersion: 'TLSv1.2',
    },
  }
}

const readNamed = ({ setting, path }: NamedFile): string => read(setting, path)

/** What the legs' files are told, as an error of the settings: nothing mends it while the process waits. */
const checked = (parse: () => void): void => {
  try {
    parse()
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error
    const { message: text, setting } = error
    throw new ConfigError(ConfigErrorCode.INVALID, [{ setting, text }], error)
  }
}
