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
import { createLogger, type Logger, logLevelOf } from './log.ts'
import { ProxyInstance } from './proxy/instance.ts'
import { serveHealth } from './proxy/serve-health.ts'

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

/** Runs until a signal, or a fault of its own; resolves with the exit status. */
const run = async (settings: Settings, version: string, log: Logger): Promise<number> => {
  const stop = new AbortController()
  const force = new AbortController()
  let status = 0
  const instance = new ProxyInstance(settings, {
    clock: systemClock,
    log,
    logLevel: logLevelOf(settings.logLevel),
    random: Math.random,
    onFault: (error) => {
      log.fatal({ code: 'PLANE_DIED', error }, `a data plane thread died: ${error.message}`)
      status = EXIT_FAULT
      stop.abort()
    },
  })
  const onSignal = (signal: NodeJS.Signals): void => {
    log.info({ code: 'SIGNAL', signal }, `${signal} received`)
    if (stop.signal.aborted) force.abort()
    stop.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal)
  const stopped = new Promise<void>((resolve) => {
    stop.signal.addEventListener('abort', () => resolve(instance.stop(force.signal)))
  })
  const http = await serveHealth(settings, version, instance, { clock: systemClock, log })
  await instance.start()
  await stopped
  await http?.close()
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
      return run(loaded.settings, version, createLogger({ level, clock: systemClock }))
    }
  }
}

process.exit(await main())
