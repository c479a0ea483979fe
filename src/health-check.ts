/**
 * Asks a proxy on this machine how it is: for the image's HEALTHCHECK, where there is no curl. It finds the
 * proxy by the proxy's own settings. Exit status: 0 well, 1 not well or not there, 2 wrong arguments.
 */
import { readFileSync } from 'node:fs'
import { get as getHttp, type IncomingMessage } from 'node:http'
import { get as getHttps } from 'node:https'
import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { bindAddress, isAnyAddress } from './config/address.ts'
import { parseCommandLine } from './config/command-line.ts'
import { readableSettings, type SettingsPlaces } from './config/load.ts'
import type { Settings } from './config/settings.ts'
import { formatEndpoint } from './net/dialer.ts'

const USAGE = `Usage: node src/health-check.ts [--config PATH … [--with-environment] | --proxy PID] [liveness|readiness]

Takes its settings from where the proxy does: from these flags, or from those in the arguments of the
process PID (by default 1, as in a container), or else from the environment.
`
/** How the proxy's program may be called: the source, the command, the name in the Go proxy's image. */
const PROGRAM = /(?:^|\/)(?:main\.ts|zdm-proxy(?:\.js)?|main)$/
const EXIT_USAGE = 2
const TIMEOUT_MS = 4000

type Question = { readonly places: SettingsPlaces; readonly path: 'liveness' | 'readiness' }

const ENVIRONMENT: SettingsPlaces = { configPaths: [], withEnvironment: false }

/** Where the proxy with this process id was told to look; the environment where it is no proxy that can be seen. */
const placesOf = (pid: string): SettingsPlaces => {
  let words: readonly string[]
  try {
    words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1)
  } catch {
    return ENVIRONMENT
  }
  const program = words.findIndex((word) => PROGRAM.test(word))
  if (program < 0) return ENVIRONMENT
  const command = parseCommandLine(words.slice(program + 1))
  if (command.kind !== 'run') return ENVIRONMENT
  const { configPaths, withEnvironment } = command
  return { configPaths, withEnvironment }
}

/** null: wrong arguments. */
const parse = (argv: readonly string[]): Question | null => {
  try {
    const options = {
      config: { type: 'string', multiple: true },
      'with-environment': { type: 'boolean' },
      proxy: { type: 'string', default: '1' },
    } as const
    const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true })
    const [path = 'liveness', ...more] = positionals
    if (more.length > 0 || (path !== 'liveness' && path !== 'readiness')) return null
    const withEnvironment = values['with-environment'] === true
    const given =
      values.config === undefined ? null : { configPaths: values.config, withEnvironment }
    return { places: given ?? placesOf(values.proxy), path }
  } catch {
    return null
  }
}

/** Who listens everywhere listens on the loopback too. */
const reachableAddress = (listenAddress: string): string => {
  const address = bindAddress(listenAddress)
  if (!isAnyAddress(address)) return address
  return address.includes(':') ? '::1' : '127.0.0.1'
}

/** Not fetch(), which refuses ports that browsers do not like. */
const request = (
  address: string,
  { metricsPort: port, metricsTlsCertPath }: Settings,
  path: string,
): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    const get = metricsTlsCertPath === '' ? getHttp : getHttps
    // Its certificate names what others reach it by. On this machine nothing is told that it should protect.
    const options = { host: address, port, path, signal, agent: false, rejectUnauthorized: false }
    get(options, resolve).on('error', reject)
  })

/** Says why not, if not. */
const ask = async ({ places, path }: Question): Promise<string | null> => {
  // Settings that are being edited, or wrong, must not make a proxy look dead that serves on with what it has read.
  const { settings, faults } = readableSettings(places, process.env)
  const address = reachableAddress(settings.metricsAddress)
  try {
    const response = await request(address, settings, `/health/${path}`)
    const body = await text(response)
    if (response.statusCode === 200) return null
    return `${formatEndpoint(address, settings.metricsPort)} answers ${response.statusCode}: ${body}`
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const cause = error.cause instanceof Error ? `: ${error.cause.message}` : ''
    return [`${error.message}${cause}`, ...faults].join('\n')
  }
}

const main = async (): Promise<number> => {
  const question = parse(process.argv.slice(2))
  if (question === null) {
    process.stderr.write(USAGE)
    return EXIT_USAGE
  }
  const fault = await ask(question)
  if (fault !== null) process.stderr.write(`${fault}\n`)
  return fault === null ? 0 : 1
}

process.exitCode = await main()
