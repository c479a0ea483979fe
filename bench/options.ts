/** The bench's command line. */
import { parseArgs } from 'node:util'
import { messageOf } from '../src/message-of.ts'
import { formatMix, type Mix, parseMix } from './mix.ts'

export type PeerOptions = {
  readonly name: string
  /** For the shell. */
  readonly command: string
  /** Null for any free one. */
  readonly port: number | null
  /** Where `/health/readiness` is; null: ready as soon as it answers a STARTUP. */
  readonly readyPort: number | null
}

export const OWN_VARIANTS = ['direct', 'forwarder', 'proxy'] as const
export type OwnVariant = (typeof OWN_VARIANTS)[number]

export type BenchOptions = {
  readonly connections: number
  readonly inFlight: number
  readonly ratePerSecond: number | null
  readonly mix: Mix
  readonly valueLength: number
  readonly version: number
  readonly upstream: 'shared' | 'per_client'
  readonly seconds: number
  readonly warmUpSeconds: number
  readonly rounds: number
  readonly without: readonly OwnVariant[]
  readonly peers: readonly PeerOptions[]
  readonly pin: { readonly proxyCores: string; readonly loadCores: string } | null
  readonly jsonFile: string | null
  readonly cpuMaxUs: number | null
  readonly ratioMax: number | null
}

/** The command line cannot be followed; the message says why. */
export class UsageError extends Error {
  readonly code = 'BENCH_USAGE'
}

export const HELP = `Usage: npm run bench -- [options]

Measures the proxy in front of two fake clusters, beside a bare byte forwarder, no proxy at all, and
any other proxy. All on 127.0.0.1, one variant after the other, round by round.

Load
  --connections N       client connections                                   (16)
  --in-flight N         requests in flight on each, closed loop              (32)
  --rate N              requests/s over all connections instead, open loop
  --mix KIND[:READS]    execute, query or batch; READS in percent            (execute:50)
  --value-bytes N       length of the values                                 (100)
  --version N           native protocol version: 3, 4 or 5                   (4)
Run
  --seconds S           length of a measured window                          (3)
  --warm-up S           load before each window that is not measured         (0.5)
  --rounds N            windows of each variant, in turns                    (5)
  --without NAME        leave out direct, forwarder or proxy; may be repeated
  --upstream MODE       upstream_connections of the proxy: shared, per_client (shared)
  --no-pin              let the system choose the cores
  --proxy-cores LIST    cores of the proxies, as taskset takes them          (0)
  --load-cores LIST     cores of the load generator and the clusters         (1)
Another proxy; all four may be repeated, the nth belong together
  --peer COMMAND        shell command that runs it in the foreground. It gets the settings of this proxy
                        as ZDM_… environment variables: the clusters' ports, the port to listen on
  --peer-port N         where it listens, if not at $ZDM_PROXY_LISTEN_PORT
  --peer-ready-port N   where its /health/readiness is; otherwise it is ready once it answers a STARTUP
  --peer-name NAME      its name in the table
Result
  --json FILE           write every round's figures too
  --max-cpu US          exit with 1 if the proxy's median of CPU microseconds per request is higher
  --max-ratio X         the same for its ratio to the forwarder
  --help
`

const OPTIONS = {
  connections: { type: 'string', default: '16' },
  'in-flight': { type: 'string', default: '32' },
  rate: { type: 'string' },
  mix: { type: 'string', default: 'execute:50' },
  'value-bytes': { type: 'string', default: '100' },
  version: { type: 'string', default: '4' },
  seconds: { type: 'string', default: '3' },
  'warm-up': { type: 'string', default: '0.5' },
  rounds: { type: 'string', default: '5' },
  without: { type: 'string', multiple: true },
  upstream: { type: 'string', default: 'shared' },
  'no-pin': { type: 'boolean', default: false },
  'proxy-cores': { type: 'string', default: '0' },
  'load-cores': { type: 'string', default: '1' },
  peer: { type: 'string', multiple: true },
  'peer-port': { type: 'string', multiple: true },
  'peer-ready-port': { type: 'string', multiple: true },
  'peer-name': { type: 'string', multiple: true },
  json: { type: 'string' },
  'max-cpu': { type: 'string' },
  'max-ratio': { type: 'string' },
  help: { type: 'boolean', default: false },
} as const

const CONNECTIONS_MAX = 10_000
/** Stream ids of a connection. */
const IN_FLIGHT_MAX = 32_768
const VALUE_LENGTH_MAX = 1024 * 1024

/** Null where help is asked for. Throws a UsageError. */
export const parseOptions = (argv: readonly string[]): BenchOptions | null => {
  const values = parseValues(argv)
  if (values.help) return null
  const mix = parseMix(values.mix)
  if (mix === null) {
    return fail(
      `--mix ${values.mix}: expected execute, query or batch, with a percentage as in query:80`,
    )
  }
  return {
    connections: integer('connections', values.connections, 1, CONNECTIONS_MAX),
    inFlight: integer('in-flight', values['in-flight'], 1, IN_FLIGHT_MAX),
    ratePerSecond: optional(values.rate, (text) => integer('rate', text, 1, 1_000_000)),
    mix,
    valueLength: integer('value-bytes', values['value-bytes'], 1, VALUE_LENGTH_MAX),
    version: integer('version', values.version, 3, 5),
    upstream: choice('upstream', values.upstream, ['shared', 'per_client']),
    seconds: positive('seconds', values.seconds),
    warmUpSeconds: positive('warm-up', values['warm-up']),
    rounds: integer('rounds', values.rounds, 1, 1000),
    without: (values.without ?? []).map((name) => choice('without', name, OWN_VARIANTS)),
    peers: parsePeers(values),
    pin: values['no-pin']
      ? null
      : {
          proxyCores: cores('proxy-cores', values['proxy-cores']),
          loadCores: cores('load-cores', values['load-cores']),
        },
    jsonFile: values.json ?? null,
    cpuMaxUs: optional(values['max-cpu'], (text) => positive('max-cpu', text)),
    ratioMax: optional(values['max-ratio'], (text) => positive('max-ratio', text)),
  }
}

/** One line that says what was measured. */
export const describeOptions = (options: BenchOptions): string => {
  const { connections, inFlight, ratePerSecond, valueLength, version, seconds, rounds } = options
  const load =
    ratePerSecond === null
      ? `${connections} connections × ${inFlight} in flight`
      : `${ratePerSecond} requests/s over ${connections} connections`
  return (
    `${load}; ${formatMix(options.mix)}; values of ${valueLength} bytes; protocol v${version}; ` +
    `upstream connections ${options.upstream}; ${rounds} rounds of ${seconds} s`
  )
}

type Values = ReturnType<typeof parseValues>

const parseValues = (argv: readonly string[]) => {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, strict: true }).values
  } catch (error) {
    return fail(messageOf(error))
  }
}

const parsePeers = (values: Values): PeerOptions[] => {
  const { peer: commands = [] } = values
  for (const name of ['peer-port', 'peer-ready-port', 'peer-name'] as const) {
    if ((values[name] ?? []).length > commands.length) fail(`--${name} without a --peer for it`)
  }
  const port = (name: 'peer-port' | 'peer-ready-port', at: number): number | null =>
    optional(values[name]?.[at], (text) => integer(name, text, 1, 65_535))
  return commands.map((command, at) => ({
    name: values['peer-name']?.[at] ?? (commands.length === 1 ? 'peer' : `peer ${at + 1}`),
    command,
    port: port('peer-port', at),
    readyPort: port('peer-ready-port', at),
  }))
}

const fail = (message: string): never => {
  throw new UsageError(`${message} (see --help)`)
}

const optional = <T>(text: string | undefined, parse: (text: string) => T): T | null =>
  text === undefined ? null : parse(text)

const integer = (name: string, text: string, min: number, max: number): number => {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= min && value <= max) return value
  return fail(`--${name} ${text}: expected a whole number from ${min} to ${max}`)
}

const positive = (name: string, text: string): number => {
  const value = Number(text)
  if (/^\d*\.?\d+$/.test(text) && value > 0) return value
  return fail(`--${name} ${text}: expected a number above 0`)
}

const choice = <const T extends string>(name: string, text: string, choices: readonly T[]): T =>
  choices.find((known) => known === text) ??
  fail(`--${name} ${text}: expected ${choices.join(', ')}`)

const cores = (name: string, text: string): string =>
  /^\d+([,-]\d+)*$/.test(text) ? text : fail(`--${name} ${text}: expected a list as in 0,2-3`)
