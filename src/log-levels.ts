/**
 * Which events are logged: a level for all, and one per component where an operator wants more or less
 * of it. Plain values that settings are parsed into and that cross threads; the logger is log.ts.
 */

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace'

/**
 * What a line's `component` may say: the instance as a whole, the control connections, clients and their
 * requests, connections to nodes, the HTTP server.
 */
export const COMPONENTS = ['instance', 'control', 'session', 'upstream', 'http'] as const
export type Component = (typeof COMPONENTS)[number]

export type LogLevels = {
  /** Of whatever `components` does not name. */
  readonly base: LogLevel
  readonly components: Readonly<Partial<Record<Component, LogLevel>>>
}

const LEVELS: ReadonlyMap<string, LogLevel> = new Map([
  ['PANIC', 'fatal'],
  ['FATAL', 'fatal'],
  ['ERROR', 'error'],
  ['WARN', 'warn'],
  ['WARNING', 'warn'],
  ['INFO', 'info'],
  ['DEBUG', 'debug'],
  ['TRACE', 'trace'],
])

export const LEVEL_WORDS: readonly string[] = [...LEVELS.keys()]

/** The level that a word stands for, in any case and with blanks around it; null for other words. */
const parseLogLevel = (word: string): LogLevel | null =>
  LEVELS.get(word.trim().toUpperCase()) ?? null

/** The level that a value of the setting log_level stands for. */
export const logLevelOf = (settingValue: string): LogLevel => parseLogLevel(settingValue) ?? 'info'

const isComponent = (text: string): text is Component =>
  COMPONENTS.some((component) => component === text)

/** `session=debug` → its two halves; null for what is not of that form or names no component. */
export const parseComponentLevel = (item: string): readonly [Component, LogLevel] | null => {
  const [name = '', word = '', ...rest] = item.split('=').map((part) => part.trim())
  const component = name.toLowerCase()
  const level = parseLogLevel(word)
  return rest.length > 0 || level === null || !isComponent(component) ? null : [component, level]
}

/** From the settings log_level and log_levels. */
export const logLevelsOf = (logLevel: string, logLevels: readonly string[]): LogLevels => ({
  base: logLevelOf(logLevel),
  components: Object.fromEntries(
    logLevels.map(parseComponentLevel).filter((pair) => pair !== null),
  ),
})

/** With another level of one component, or (null) of whatever has none of its own. */
export const withLevel = (
  { base, components }: LogLevels,
  component: Component | null,
  level: LogLevel,
): LogLevels =>
  component === null
    ? { base: level, components }
    : { base, components: { ...components, [component]: level } }

export const levelOf = (levels: LogLevels, component: string | null): LogLevel =>
  component !== null && isComponent(component)
    ? (levels.components[component] ?? levels.base)
    : levels.base
