/**
 * The command `zdm-proxy`: argv and environment → settings → a running instance, and signals to end it
 * (operations §2). Exit status: 0 stopped as told, 1 a fault of the proxy, 2 wrong arguments, 3 the start was
 * refused for good (startup_fail_fast), 4 it took too long (startup_timeout_ms), 255 wrong settings.
 */
import type { HttpServer } from './admin/http-server.ts'
import type { CertificateStore } from './certificates/certificate-store.ts'
import { preflight } from './check/preflight.ts'
import { hasFailed, renderDifferences, renderRows } from './check/verdict.ts'
import { systemClock } from './clock.ts'
import { type CommandLine, parseCommandLine, USAGE } from './config/command-line.ts'
import { echoSettings } from './config/echo.ts'
import { ConfigError } from './config/errors.ts'
import { type LoadedSettings, loadFrom, loadSettings } from './config/load.ts'
import { type DescribedSetting, describeSettings, type Settings } from './config/settings.ts'
import { valueText } from './config/value.ts'
import { ControlError } from './control/errors.ts'
import { type MigrationState, routingStateOf } from './control/migration-state.ts'
import { endProcess } from './end-process.ts'
import { createLogger, type Logger, type RootLogger } from './log.ts'
import { logLevelsOf } from './log-levels.ts'
import { systemResolve } from './net/resolve.ts'
import { Configuration, type LoadAgain } from './proxy/configuration.ts'
import { initialRouting } from './proxy/derived-settings.ts'
import { measuredEvidence } from './proxy/evidence.ts'
import { ProxyInstance } from './proxy/instance.ts'
import { serveHealth } from './proxy/serve-health.ts'
import { loadServerStore, serverCredentials } from './proxy/server-credentials.ts'
import type { GivenUp } from './proxy/start-attempts.ts'
import { createControl, loadState, serveAdmin } from './proxy/start-control.ts'
import { Hangups, StopSignals } from './signals.ts'
import { readVersion } from './version.ts'

const EXIT_FAULT = 1
const EXIT_USAGE = 2
const EXIT_GIVEN_UP = { refused: 3, 'timed out': 4 } as const satisfies Record<GivenUp, number>
const EXIT_SETTINGS = 255
/** `--check` is asked by people and pipelines, who wait. */
const CHECK_TIMEOUT_MS = 60_000

/** The settings, or null when they cannot be used and it has been said why. */
const loadOrTell = (load: LoadAgain, log: Logger): LoadedSettings | null => {
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

type Beginning = { readonly state: MigrationState; readonly serverStore: CertificateStore }

/** What files beside the settings say, or null when one cannot be used and it has been said why. */
const readBeginning = async (settings: Settings, log: RootLogger): Promise<Beginning | null> => {
  const tools = { clock: systemClock, log }
  try {
    const serverStore = await loadServerStore(settings, tools)
    return { serverStore, state: loadState(settings, tools) }
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
  { state, serverStore }: Beginning,
  load: LoadAgain,
  version: string,
  log: RootLogger,
  hangups: Hangups,
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
  const lookAtFiles = (): void => {
    void instance.lookAtCertificates()
    void serverStore.look()
  }
  const configuration = new Configuration({ instance, loaded, load, lookAtFiles, ...tools })
  const config = (): readonly DescribedSetting[] => configuration.describe()
  const given = { settings, config, version, instance, state, serverStore }
  const stopSignals = new StopSignals()
  const leave = (): void => {
    stopSignals.onDrained()
    stop.abort()
  }
  const evidence = measuredEvidence(instance)
  const controlOptions = { ...given, clock: systemClock, log, evidence, leave }
  const control = createControl(controlOptions)
  const onSignal = (signal: NodeJS.Signals): void => {
    log.info({ code: 'SIGNAL', signal }, `${signal} received`)
    const isSecond = stopSignals.isSecond(signal, systemClock.now())
    if (stop.signal.aborted && isSecond) force.abort()
    stop.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal)
  hangups.follow(() => {
    log.info({ code: 'SIGNAL', signal: 'SIGHUP' }, 'SIGHUP received: reading files again')
    configuration.reload()
  })
  const stopped = new Promise<void>((resolve) => {
    stop.signal.addEventListener('abort', () => resolve(instance.stop(force.signal)))
  })
  const metrics = await serveHealth(
    settings,
    version,
    instance,
    { control: (planes) => control.series(planes), reloads: () => configuration.series() },
    controlOptions,
  )
  if (metrics === null && settings.metricsBindRequired) return EXIT_FAULT
  const admin = await serveAdmin(control, controlOptions)
  followServerFiles(serverStore, { admin, metrics })
  if (settings.adminEnabled) await control.catchUp()
  configuration.watch()
  await instance.start()
  if (instance.givenUp !== null) {
    status = EXIT_GIVEN_UP[instance.givenUp]
    stop.abort()
  }
  await stopped
  configuration.close()
  await control.close()
  serverStore.close()
  await Promise.all([metrics?.close(), admin?.close()])
  return status
}

/** New certificates are for new connections; tokens are asked of the store with each request. */
const followServerFiles = (
  store: CertificateStore,
  servers: Readonly<Record<'admin' | 'metrics', HttpServer | null>>,
): void => {
  store.watch((changed) => {
    for (const name of ['admin', 'metrics'] as const) {
      const { tls } = serverCredentials(store, name)
      if (changed.includes(name) && tls !== null) servers[name]?.setTls(tls)
    }
  })
}

/** A setting per line, as a file would have it, with its source. */
const printConfig = (loaded: LoadedSettings): number => {
  for (const { key, value, source, path } of describeSettings(loaded.settings, loaded.sources)) {
    const text = typeof value === 'object' ? valueText(value) : value
    const where = path === null ? '' : ` ${path}`
    process.stdout.write(`${key}: ${JSON.stringify(text)}  # ${source}${where}\n`)
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
  command: Extract<CommandLine, { configPaths: unknown }>,
  version: string,
): Promise<number> => {
  const { kind, isStrict } = command
  const load: LoadAgain = (layers) =>
    layers === undefined
      ? loadFrom(command, process.env, { isStrict })
      : loadSettings(layers, { isStrict })
  const early = createLogger({ level: 'info', clock: systemClock })
  // Before the settings are read: whoever asks for it later gets them read again.
  const hangups = new Hangups()
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
  const beginning = await readBeginning(loaded.settings, log)
  if (beginning === null) return EXIT_SETTINGS
  return run(loaded, beginning, load, version, log, hangups)
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

endProcess(await main())
