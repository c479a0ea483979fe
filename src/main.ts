/**
 * The command `zdm-proxy`: argv and environment → settings → a running instance, and signals to end it
 * (operations §2). Exit status: 0 stopped as told, 1 a fault of the proxy, 2 wrong arguments, 3 the start was
 * refused for good (startup_fail_fast), 4 it took too long (startup_timeout_ms), 255 wrong settings.
 */
import { preflight } from './check/preflight.ts'
import { hasFailed, renderDifferences, renderRows } from './check/verdict.ts'
import { systemClock } from './clock.ts'
import { type CommandLine, parseCommandLine, USAGE } from './config/command-line.ts'
import { echoSettings } from './config/echo.ts'
import { ConfigError } from './config/errors.ts'
import { type LoadedSettings, loadSettings, settingsSource } from './config/load.ts'
import { type DescribedSetting, describeSettings, type Settings } from './config/settings.ts'
import { valueText } from './config/value.ts'
import { ControlError } from './control/errors.ts'
import { type MigrationState, routingStateOf } from './control/migration-state.ts'
import { createLogger, type Logger, type RootLogger } from './log.ts'
import { logLevelsOf } from './log-levels.ts'
import { systemResolve } from './net/resolve.ts'
import { type AdminCredentials, adminCredentials } from './proxy/admin-credentials.ts'
import { Configuration } from './proxy/configuration.ts'
import { initialRouting } from './proxy/derived-settings.ts'
import { measuredEvidence } from './proxy/evidence.ts'
import { ProxyInstance } from './proxy/instance.ts'
import { serveHealth } from './proxy/serve-health.ts'
import type { GivenUp } from './proxy/start-attempts.ts'
import { createControl, loadState, serveAdmin } from './proxy/start-control.ts'
import { readVersion } from './version.ts'

const EXIT_FAULT = 1
const EXIT_USAGE = 2
const EXIT_GIVEN_UP = { refused: 3, 'timed out': 4 } as const satisfies Record<GivenUp, number>
const EXIT_SETTINGS = 255
/** `--check` is asked by people and pipelines, who wait. */
const CHECK_TIMEOUT_MS = 60_000

/** Reads the source of the settings; a ConfigError says what is wrong with it. */
type Load = () => LoadedSettings

/** The settings, or null when they cannot be used and it has been said why. */
const loadOrTell = (load: Load, log: Logger): LoadedSettings | null => {
  try {
    return load()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    for (const { text } of error.problems) log.error({ code: error.code }, text)
    return null
  }
}

const describe = (loaded: LoadedSettings, log: Logger): void => {
  const echo = `Parsed configuration: ${echoSettings(loaded.settings)}`
  log.info({ code: 'CONFIG_PARSED' }, echo)
  for (const { code, text } of loaded.warnings) log.warn({ code }, text)
}

type Beginning = { readonly state: MigrationState; readonly credentials: AdminCredentials }

/** What files beside the settings say, or null when one cannot be used and it has been said why. */
const readBeginning = (settings: Settings, log: RootLogger): Beginning | null => {
  try {
    const credentials = adminCredentials(settings)
    return { credentials, state: loadState(settings, { clock: systemClock, log }) }
  } catch (error) {
    if (error instanceof ControlError) log.error({ code: error.code }, error.message)
    else if (error instanceof ConfigError) {
      for (const { text } of error.problems) log.error({ code: error.code }, text)
    } else throw error
    return null
  }
}

/** Runs until a signal, or a fault of its own; resolves with the exit status. */
const run = async (
  loaded: LoadedSettings,
  { state, credentials }: Beginning,
  reload: Load,
  configPath: string | null,
  version: string,
  log: RootLogger,
): Promise<number> => {
  const { settings } = loaded
  const stop = new AbortController()
  const force = new AbortController()
  let status = 0
  const tools = {
    clock: systemClock,
    log,
    logLevel: log.levels,
    random: Math.random,
    onFault: (error: Error) => {
      log.fatal({ code: 'PLANE_DIED', error }, `a data plane thread died: ${error.message}`)
      status = EXIT_FAULT
      stop.abort()
    },
  }
  const routing = routingStateOf(state, initialRouting(settings).systemQueries)
  const instance = new ProxyInstance(settings, tools, routing)
  const load = configPath === null ? null : reload
  const configuration = new Configuration({ instance, loaded, load, clock: systemClock, log })
  const config = (): readonly DescribedSetting[] => configuration.describe()
  const given = { settings, config, version, instance, state, credentials }
  const controlOptions = { ...given, clock: systemClock, log, evidence: measuredEvidence(instance) }
  const control = createControl(controlOptions)
  const onSignal = (signal: NodeJS.Signals): void => {
    log.info({ code: 'SIGNAL', signal }, `${signal} received`)
    if (stop.signal.aborted) force.abort()
    stop.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal)
  process.on('SIGHUP', () => {
    const what = configPath ?? 'certificates'
    log.info({ code: 'SIGNAL', signal: 'SIGHUP' }, `SIGHUP received: reading ${what} again`)
    configuration.reload()
  })
  const stopped = new Promise<void>((resolve) => {
    stop.signal.addEventListener('abort', () => resolve(instance.stop(force.signal)))
  })
  const series = { control: () => control.series(), reloads: () => configuration.series() }
  const servers = [
    await serveHealth(settings, version, instance, series, controlOptions),
    await serveAdmin(control, controlOptions),
  ]
  if (settings.adminEnabled) await control.catchUp()
  await instance.start()
  if (instance.givenUp !== null) {
    status = EXIT_GIVEN_UP[instance.givenUp]
    stop.abort()
  }
  await stopped
  await control.close()
  await Promise.all(servers.map((server) => server?.close()))
  return status
}

/** A setting per line, as a file would have it, with its source. */
const printConfig = (loaded: LoadedSettings): number => {
  for (const { key, value, source } of describeSettings(loaded.settings, loaded.sources)) {
    const text = typeof value === 'object' ? valueText(value) : value
    process.stdout.write(`${key}: ${JSON.stringify(text)}  # ${source}\n`)
  }
  return 0
}

const check = async ({ settings, warnings }: LoadedSettings): Promise<number> => {
  const texts = warnings.map(({ text }) => text)
  const tools = { clock: systemClock, resolve: systemResolve }
  // A keyspace that is not to be migrated must not hold up a proxy that could serve.
  const question = {
    keyspaces: [],
    faultIs: 'warn',
    warnings: texts,
    timeoutMs: CHECK_TIMEOUT_MS,
  } as const
  const { rows, schema } = await preflight(settings, question, tools)
  const differences = schema?.differences ?? []
  process.stdout.write(`${[...renderRows(rows), ...renderDifferences(differences)].join('\n')}\n`)
  return hasFailed(rows) ? EXIT_FAULT : 0
}

const withSettings = async (
  command: Extract<CommandLine, { configPath: unknown }>,
  version: string,
): Promise<number> => {
  const { kind, configPath, isStrict } = command
  const load: Load = () => loadSettings(settingsSource(configPath, process.env), { isStrict })
  const early = createLogger({ level: 'info', clock: systemClock })
  if (kind === 'run') {
    early.info({ code: 'STARTING', version }, `Starting ZDM proxy version ${version}`)
  }
  const loaded = loadOrTell(load, early)
  if (loaded === null) return EXIT_SETTINGS
  if (kind === 'print config') return printConfig(loaded)
  if (kind === 'check') return check(loaded)
  describe(loaded, early)
  const level = logLevelsOf(loaded.settings.logLevel, loaded.settings.logLevels)
  const log = createLogger({ level, clock: systemClock })
  const beginning = readBeginning(loaded.settings, log)
  if (beginning === null) return EXIT_SETTINGS
  return run(loaded, beginning, load, configPath, version, log)
}

const main = async (): Promise<number> => {
  const version = readVersion()
  const command = parseCommandLine(process.argv.slice(2))
  switch (command.kind) {
    case 'help':
      process.stdout.write(USAGE)
      return 0
    case 'version':
      process.stdout.write(`ZDM proxy version ${version}\n`)
      return 0
    case 'usage error':
      process.stderr.write(`zdm-proxy: ${command.text}\n\n${USAGE}`)
      return EXIT_USAGE
    case 'run':
    case 'check':
    case 'print config':
      return withSettings(command, version)
  }
}

process.exit(await main())
