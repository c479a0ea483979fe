/**
 * How the command reaches an instance's admin API: options first, then the proxy's own variables
 * ZDM_ADMIN_…, so that on the proxy's machine nothing needs to be said.
 */
import { readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { HttpInstanceClient, type InstanceAccess } from '../admin/instance-client.ts'
import { CertificateError, type NamedFile } from '../certificates/errors.ts'
import { type PemContent, parseCertificates, parsePair, pemText } from '../certificates/pem.ts'
import { tokenLines } from '../certificates/tokens.ts'
import { messageOf } from '../message-of.ts'
import { CliError, ExitCode } from './exit.ts'

const DEFAULT_PORT = 14_003
const PORT_MAX = 65_535
const TOKEN_PATH = 'ZDM_ADMIN_TOKEN_PATH'

export type AccessOptions = {
  /** `http://10.0.0.1:14003`, or `10.0.0.1`. */
  readonly address?: string
  readonly tokenFile?: string
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  /** Seconds. */
  readonly timeout: number
}

type Environment = Readonly<Record<string, string | undefined>>

const bracketed = (host: string): string => (isIPv6(host) ? `[${host}]` : host)

const wrong = (text: string): CliError => new CliError(ExitCode.USAGE, text)

const adminPort = (environment: Environment): number => {
  const text = environment['ZDM_ADMIN_PORT'] ?? ''
  if (text === '') return DEFAULT_PORT
  const port = Number(text)
  if (Number.isInteger(port) && port >= 1 && port <= PORT_MAX) return port
  throw wrong(`ZDM_ADMIN_PORT=${text}: a port from 1 to ${PORT_MAX} is expected`)
}

/** The address of the admin API, as its instances are named: scheme, host, port. Throws a CliError. */
export const adminUrl = (options: AccessOptions, environment: Environment): string => {
  const scheme =
    environment['ZDM_ADMIN_TLS_CERT_PATH'] || options.ca || options.cert ? 'https' : 'http'
  const given = options.address ?? environment['ZDM_ADMIN_ADDRESS'] ?? 'localhost'
  // What an instance listens on may be every address of its machine: this one, where the command runs.
  const isHere = ['localhost', '0.0.0.0'].includes(given.toLowerCase())
  const host = isHere ? '127.0.0.1' : given === '::' ? '::1' : given
  const hasPort = /:\d+$/.test(host) && !isIPv6(host)
  const text = /^[a-z][a-z\d+.-]*:\/\//i.test(host)
    ? host
    : `${scheme}://${hasPort ? host : `${bracketed(host)}:${adminPort(environment)}`}`
  const url = URL.canParse(text) ? new URL(text) : null
  if (url !== null && ['http:', 'https:'].includes(url.protocol)) return url.origin
  const source = options.address === undefined ? 'ZDM_ADMIN_ADDRESS=' : '--address '
  throw wrong(
    `${source}${given}: an address such as 10.0.0.1, 10.0.0.1:14003 or https://proxy:14003 is expected`,
  )
}

const readFile = (option: string, path: string): Buffer => {
  try {
    return readFileSync(path)
  } catch (error) {
    throw wrong(`${option} ${path} cannot be read: ${messageOf(error)}`)
  }
}

/** The file with the token, and who names it; null where nobody does. */
const tokenFileOf = (options: AccessOptions, environment: Environment): NamedFile | null => {
  const { tokenFile } = options
  if (tokenFile !== undefined) return { setting: '--token-file', path: tokenFile }
  const path = environment[TOKEN_PATH] ?? ''
  return path === '' ? null : { setting: TOKEN_PATH, path }
}

const tokenOf = (options: AccessOptions, environment: Environment): string | null => {
  const file = tokenFileOf(options, environment)
  if (file === null) return null
  const { setting, path } = file
  const [token] = tokenLines(readFile(setting, path).toString('utf8'))
  if (token === undefined) throw wrong(`${setting} ${path} holds no token`)
  return token
}

/** What may help where the token is not accepted; null where none was shown. */
export const tokenHint = (options: AccessOptions, environment: Environment): string | null => {
  const file = tokenFileOf(options, environment)
  return file === null
    ? null
    : `The token in ${file.path} (${file.setting}) is not accepted: compare it with the file of admin_token_path of the proxies.`
}

const pemFile = (setting: string, path: string, content: PemContent): PemFile => ({
  file: { setting, path },
  text: pemText(readFile(setting, path), { setting, path }, content),
})

type PemFile = { readonly file: NamedFile; readonly text: string }

/** What is shown to the instance, and whom it is believed. Throws a CertificateError for a file of something else. */
const tlsOf = ({ ca, cert, key }: AccessOptions): InstanceAccess['tls'] => {
  const authority = ca === undefined ? null : pemFile('--ca', ca, 'certificate')
  if (authority !== null) parseCertificates(authority.text, authority.file)
  const tls = authority === null ? {} : { ca: authority.text }
  if (cert === undefined && key === undefined) return tls
  if (key === undefined) throw wrong(`--cert ${cert} needs --key, the file of its private key`)
  if (cert === undefined) throw wrong(`--key ${key} needs --cert, the file of its certificate`)
  const certificate = pemFile('--cert', cert, 'certificate')
  const privateKey = pemFile('--key', key, 'key')
  const files = { certificate: certificate.file, key: privateKey.file }
  const pair = parsePair(certificate.text, privateKey.text, files)
  return { ...tls, cert: certificate.text, key: pair.key }
}

/**
 * A client of the instance that the options, or else the environment, name. Throws CliError for what cannot be
 * used, before anybody is asked.
 */
export const openClient = (
  options: AccessOptions,
  environment: Environment,
): HttpInstanceClient => {
  const timeoutMs = options.timeout * 1000
  try {
    const access: InstanceAccess = {
      token: tokenOf(options, environment),
      tls: tlsOf(options),
      timeoutMs,
      // A change waits for requests in flight, on every instance.
      commitTimeoutMs: Math.max(timeoutMs, 60_000),
    }
    return new HttpInstanceClient(adminUrl(options, environment), access)
  } catch (error) {
    throw error instanceof CertificateError ? wrong(error.message) : error
  }
}
