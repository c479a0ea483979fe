/**
 * The command `zdm-proxy`: argv and environment → settings → a running instance, and signals to end it
 * (operations §2). Exit status: 0 stopped as told, 1 a fault of the proxy, 2 wrong arguments, 255 wrong
 * settings.
 */
import { readFileSync } from 'node:fs'
import { systemClock } from './clock.ts'
import { parseCommandLine, USAGE } from './config/command-line.ts'
import { echoSettings } from './config/echo.ts'
import { ConfigError } from './config/errors.ts'
import { type LoadedSettings, loadSettings, settingsSource } from './config/load.ts'
import type { Settings } from './config/settings.ts'
import { ControlError } from './control/errors.ts'
import { type MigrationState, routingStateOf } from './control/migration-state.ts'
import { createLogger, type Logger, logLevelOf } from './log.ts'
import { type AdminCredentials, adminCredentials } from './proxy/admin-credentials.ts'
import { initialRouting } from './proxy/derived-settings.ts'
import { ProxyInstance } from './proxy/instance.ts'
import { NO_EVIDENCE } from './proxy/migration-control.ts'
import { serveHealth } from './proxy/serve-health.ts'
import { createControl, loadState, serveAdmin } from './proxy/start-control.ts'

const EXIT_FAULT = 1
const EXIT_USAGE = 2
const EXIT_SETTINGS = 255

const readVersion = (): string => {
  const packageUrl = new URL('../package.json', import.meta.url)
  const content: unknown = JSON.parse(readFileSync(packageUrl, 'utf8'))
  const hasVersion = typeof content === 'object' && content !== null && 'version' in content
  return hasVersion ? String(content.version) : 'unknown'
}

/** The settings, or null when they cannot be used and it has been said why. */
const load = (configPath: string | null, isStrict: boolean, log: Logger): LoadedSettings | null => {
  try {
    return loadSettings(settingsSource(configPath, process.env), { isStrict })
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
const readBeginning = (settings: Settings, log: Logger): Beginning | null => {
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
  { settings, sources }: LoadedSettings,
  { state, credentials }: Beginning,
  version: string,
  log: Logger,
): Promise<number> => {
  const stop = new AbortController()
  const force = new AbortController()
  let status = 0
  const tools = {
    clock: systemClock,
    log,
    logLevel: logLevelOf(settings.logLevel),
    random: Math.random,
    onFault: (error: Error) => {
      log.fatal({ code: 'PLANE_DIED', error }, `a data plane thread died: ${error.message}`)
      status = EXIT_FAULT
      stop.abort()
    },
  }
  const routing = routingStateOf(state, initialRouting(settings).systemQueries)
  const instance = new ProxyInstance(settings, tools, routing)
  const given = { settings, sources, version, instance, state, credentials }
  const controlOptions = { ...given, clock: systemClock, log, evidence: NO_EVIDENCE }
  const control = createControl(controlOptions)
  const onSignal = (signal: NodeJS.Signals): void => {
    log.info({ code: 'SIGNAL', signal }, `${signal} received`)
    if (stop.signal.aborted) force.abort()
    stop.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal)
  const stopped = new Promise<void>((resolve) => {
    stop.signal.addEventListener('abort', () => resolve(instance.stop(force.signal)))
  })
  const servers = [
    await serveHealth(settings, version, instance, () => control.series(), controlOptions),
    await serveAdmin(control, controlOptions),
  ]
  await instance.start()
  await stopped
  control.close()
  await Promise.all(servers.map((server) => server?.close()))
  return status
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
    case 'run': {
      const early = createLogger({ level: 'info', clock: systemClock })
      early.info({ code: 'STARTING', version }, `Starting ZDM proxy version ${version}`)
      const loaded = load(command.configPath, command.isStrict, early)
      if (loaded === null) return EXIT_SETTINGS
      describe(loaded, early)
      const level = logLevelOf(loaded.settings.logLevel)
      const log = createLogger({ level, clock: systemClock })
      const beginning = readBeginning(loaded.settings, log)
      return beginning === null ? EXIT_SETTINGS : run(loaded, beginning, version, log)
    }
  }
}

process.exit(await main())
