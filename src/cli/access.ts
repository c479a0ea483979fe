/**
 * How the command reaches an instance's admin API: options first, then the proxy's own variables
 * ZDM_ADMIN_…, so that on the proxy's machine nothing needs to be said.
 */
import { readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { HttpInstanceClient, type InstanceAccess } from '../admin/instance-client.ts'
import { tokenLines } from '../certificates/tokens.ts'
import { messageOf } from '../message-of.ts'
import { CliError, ExitCode } from './exit.ts'

const DEFAULT_PORT = 14_003

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

/** The address of the admin API, as its instances are named: scheme, host, port. */
export const adminUrl = (options: AccessOptions, environment: Environment): string => {
  const scheme =
    environment['ZDM_ADMIN_TLS_CERT_PATH'] || options.ca || options.cert ? 'https' : 'http'
  const port = Number(environment['ZDM_ADMIN_PORT'] ?? DEFAULT_PORT)
  const given = options.address ?? environment['ZDM_ADMIN_ADDRESS'] ?? 'localhost'
  // What an instance listens on may be every address of its machine: this one, where the command runs.
  const isHere = ['localhost', '0.0.0.0'].includes(given.toLowerCase())
  const host = isHere ? '127.0.0.1' : given === '::' ? '::1' : given
  const text = /^https?:\/\//.test(host)
    ? host
    : `${scheme}://${/:\d+$/.test(host) && !isIPv6(host) ? host : `${bracketed(host)}:${port}`}`
  if (!URL.canParse(text)) {
    throw new CliError(
      ExitCode.USAGE,
      `--address ${given}: an address such as 10.0.0.1, 10.0.0.1:14003 or https://proxy:14003 is expected`,
    )
  }
  return new URL(text).origin
}

const readFile = (option: string, path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const why = messageOf(error)
    throw new CliError(ExitCode.USAGE, `${option} ${path} cannot be read: ${why}`)
  }
}

const optionalFile = (option: string, path: string | undefined): string | undefined =>
  path === undefined || path === '' ? undefined : readFile(option, path)

/**
 * A client of the instance that the options, or else the environment, name. Throws CliError for what cannot be
 * used.
 */
export const openClient = (
  options: AccessOptions,
  environment: Environment,
): HttpInstanceClient => {
  const tokenPath = options.tokenFile ?? environment['ZDM_ADMIN_TOKEN_PATH']
  const token = tokenLines(optionalFile('--token-file', tokenPath) ?? '')[0] ?? null
  const [ca, cert, key] = (['ca', 'cert', 'key'] as const).map((name) =>
    optionalFile(`--${name}`, options[name]),
  )
  const timeoutMs = options.timeout * 1000
  const access: InstanceAccess = {
    token,
    tls: { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) },
    timeoutMs,
    // A change waits for requests in flight, on every instance.
    commitTimeoutMs: Math.max(timeoutMs, 60_000),
  }
  return new HttpInstanceClient(adminUrl(options, environment), access)
}
