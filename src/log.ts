/**
 * The log: one JSON object a line on stderr, or coloured text when that is a terminal. Every event
 * has a stable `code`; what an event means to an operator is in operations §9. Each thread makes
 * its own logger and writes synchronously, so that no line is lost when the process ends.
 */
import { isatty } from 'node:tty'
import { destination, type Logger as Pino, pino, stdSerializers } from 'pino'
import pretty from 'pino-pretty'
import type { Clock } from './clock.ts'
import { type LogLevel, type LogLevels, levelOf } from './log-levels.ts'

/** `code` names the event and never changes; an Error goes into `error`. */
export type LogFields = { readonly code: string; readonly [name: string]: unknown }

export interface Logger {
  fatal(fields: LogFields, text: string): void
  error(fields: LogFields, text: string): void
  warn(fields: LogFields, text: string): void
  info(fields: LogFields, text: string): void
  debug(fields: LogFields, text: string): void
  trace(fields: LogFields, text: string): void
  /**
   * For what a fault may cause many times: logs the first occurrence per key, and from then on at most one a
   * minute, which carries how many were left out in `suppressed`.
   */
  limited(key: string, level: LogLevel, fields: LogFields, text: string): void
  isLevelEnabled(level: LogLevel): boolean
  /** A logger that adds the bindings to each line: `component`, a module; `thread`, a data plane. */
  child(bindings: Readonly<Record<string, string | number>>): Logger
}

/** The logger of a thread: its levels, and those of all its children, can be changed at any time. */
export interface RootLogger extends Logger {
  readonly levels: LogLevels
  setLevels(levels: LogLevels): void
}

export type LoggerOptions = {
  /** One level for everything, or one per component too. */
  readonly level: LogLevel | LogLevels
  readonly clock: Clock
  readonly bindings?: Readonly<Record<string, string | number>>
  /** Where lines go; stderr if absent. */
  readonly sink?: { write(line: string): void }
}

const STDERR = 2
const LIMIT_PERIOD_MS = 60_000
/** Causes told apart at one time. More than that within a minute share one line per level. */
const LIMIT_KEYS_MAX = 1000
const SECRETS = [
  'password',
  'originPassword',
  'targetPassword',
  'credentialsMap',
  'token',
  'authorization',
]

type Occurrence = { sinceMs: number; suppressed: number }

/** How many of this key were suppressed before, or null if this one is to be suppressed too. */
const count = <Key>(occurrences: Map<Key, Occurrence>, key: Key, nowMs: number): number | null => {
  const known = occurrences.get(key)
  if (known !== undefined && nowMs - known.sinceMs < LIMIT_PERIOD_MS) {
    known.suppressed++
    return null
  }
  occurrences.delete(key)
  occurrences.set(key, { sinceMs: nowMs, suppressed: 0 })
  return known?.suppressed ?? 0
}

/** Decides which occurrences of a cause are logged. Shared by a logger and its children. */
class RateLimit {
  readonly #clock: Clock
  /** The oldest minute first, because a key that starts a new minute is put to the end. */
  readonly #occurrences = new Map<string, Occurrence>()
  /** What causes beyond the bound share. */
  readonly #beyond = new Map<LogLevel, Occurrence>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How many were suppressed before this one, or null if this one is to be suppressed too. */
  admit(key: string, level: LogLevel): number | null {
    const nowMs = this.#clock.now()
    if (this.#occurrences.has(key) || this.#hasRoom(nowMs)) {
      return count(this.#occurrences, key, nowMs)
    }
    return count(this.#beyond, level, nowMs)
  }

  #hasRoom(nowMs: number): boolean {
    if (this.#occurrences.size < LIMIT_KEYS_MAX) return true
    for (const [key, { sinceMs }] of this.#occurrences) {
      if (nowMs - sinceMs < LIMIT_PERIOD_MS) break
      this.#occurrences.delete(key)
    }
    return this.#occurrences.size < LIMIT_KEYS_MAX
  }
}

class PinoLogger implements RootLogger {
  readonly #pino: Pino
  readonly #limit: RateLimit
  readonly #component: string | null
  /** By their bindings: asked for twice, it is the same child, so that none is forgotten or leaks. */
  readonly #children = new Map<string, PinoLogger>()
  #levels: LogLevels

  constructor(logger: Pino, limit: RateLimit, levels: LogLevels, component: string | null) {
    this.#pino = logger
    this.#limit = limit
    this.#levels = levels
    this.#component = component
    logger.level = levelOf(levels, component)
  }

  get levels(): LogLevels {
    return this.#levels
  }

  setLevels(levels: LogLevels): void {
    this.#levels = levels
    this.#pino.level = levelOf(levels, this.#component)
    for (const child of this.#children.values()) child.setLevels(levels)
  }

  fatal(fields: LogFields, text: string): void {
    this.#pino.fatal(fields, text)
  }

  error(fields: LogFields, text: string): void {
    this.#pino.error(fields, text)
  }

  warn(fields: LogFields, text: string): void {
    this.#pino.warn(fields, text)
  }

  info(fields: LogFields, text: string): void {
    this.#pino.info(fields, text)
  }

  debug(fields: LogFields, text: string): void {
    this.#pino.debug(fields, text)
  }

  trace(fields: LogFields, text: string): void {
    this.#pino.trace(fields, text)
  }

  limited(key: string, level: LogLevel, fields: LogFields, text: string): void {
    if (!this.#pino.isLevelEnabled(level)) return
    const suppressed = this.#limit.admit(key, level)
    if (suppressed === null) return
    this.#pino[level](suppressed === 0 ? fields : { ...fields, suppressed }, text)
  }

  isLevelEnabled(level: LogLevel): boolean {
    return this.#pino.isLevelEnabled(level)
  }

  child(bindings: Readonly<Record<string, string | number>>): Logger {
    const key = JSON.stringify(bindings)
    const known = this.#children.get(key)
    if (known !== undefined) return known
    const component = 'component' in bindings ? String(bindings['component']) : this.#component
    const pinoChild = this.#pino.child(bindings)
    const child = new PinoLogger(pinoChild, this.#limit, this.#levels, component)
    this.#children.set(key, child)
    return child
  }
}

/** For people: an event is a line, with its date and code; what an error brings along comes below. */
export const ON_A_TERMINAL = {
  translateTime: 'SYS:standard',
  messageFormat: '{code} {msg}',
  ignore: 'code',
  singleLine: true,
} as const

const stderrSink = (): { write(line: string): void } =>
  isatty(STDERR)
    ? pretty({ ...ON_A_TERMINAL, destination: STDERR, sync: true, colorize: true })
    : destination({ fd: STDERR, sync: true })

export const createLogger = (options: LoggerOptions): RootLogger => {
  const { clock, level } = options
  const levels = typeof level === 'string' ? { base: level, components: {} } : level
  const logger = pino(
    {
      level: levels.base,
      base: options.bindings ?? null,
      timestamp: () => `,"time":"${new Date(clock.wallMs()).toISOString()}"`,
      messageKey: 'msg',
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: stdSerializers.err },
      redact: { paths: SECRETS.flatMap((name) => [name, `*.${name}`]), censor: '(hidden)' },
    },
    options.sink ?? stderrSink(),
  )
  return new PinoLogger(logger, new RateLimit(clock), levels, null)
}
