/**
 * From a source to checked settings, or to everything that is wrong with them (operations §1). Logging
 * and the exit status are the caller's.
 */
import { readFileSync } from 'node:fs'
import { messageOf } from '../message-of.ts'
import type { SettingDefinition, SettingValue } from './definition.ts'
import {
  ConfigError,
  ConfigErrorCode,
  type ConfigProblem,
  type ConfigWarning,
  ConfigWarningCode,
} from './errors.ts'
import { nearestName } from './nearest-name.ts'
import {
  type RawSettings,
  readEnvironment,
  type SettingsSource,
  spellingIn,
  type UnknownName,
} from './raw.ts'
import { adminGivesWay, findContradictions, findOddities, type RuleInput } from './rules.ts'
import {
  DEFINITIONS,
  partialSettingsOf,
  type SettingSource,
  type SettingSources,
  type Settings,
  settingsOf,
} from './settings.ts'
import { parseValue } from './value.ts'
import { readYaml } from './yaml-file.ts'

export type LoadedSettings = {
  readonly settings: Settings
  /** Where each value came from; a key that is missing here has its default. */
  readonly sources: SettingSources
  /** Each worth a line in the log. */
  readonly warnings: readonly ConfigWarning[]
}

export type LoadOptions = {
  /** Names that no setting has are problems, not warnings. */
  readonly isStrict?: boolean
}

/** The file if there is one, else the environment. Throws a ConfigError for a file that cannot be read. */
export const settingsSource = (
  configPath: string | null,
  variables: Readonly<Record<string, string | undefined>>,
): SettingsSource => {
  if (configPath === null) return { kind: 'environment', variables }
  try {
    return { kind: 'file', path: configPath, text: readFileSync(configPath, 'utf8') }
  } catch (error) {
    const reason = messageOf(error)
    const text = `${configPath}: the file of settings cannot be read: ${reason}`
    throw new ConfigError(ConfigErrorCode.UNREADABLE, [{ setting: null, text }], error)
  }
}

/** `ORIGIN_PORT`, `ZDM_ORIGIN_PORT` and `zdm_origin_port` are all near to `origin_port`. */
const keyLike = (name: string): string => name.toLowerCase().replace(/^zdm_/, '')

const unknownName = (
  { name, label }: UnknownName,
  spell: (key: string) => string,
): ConfigProblem => {
  const keys = DEFINITIONS.map(({ key }) => key)
  const nearest = nearestName(keyLike(name), keys)
  const hint = nearest === null ? '' : `; did you mean ${spell(nearest)}?`
  return { setting: name, text: `${label}: there is no such setting${hint}` }
}

type Values = {
  readonly values: ReadonlyMap<string, SettingValue>
  readonly problems: readonly ConfigProblem[]
  readonly warnings: readonly ConfigWarning[]
}

const readValues = (raw: RawSettings, spell: (key: string) => string): Values => {
  const values = new Map<string, SettingValue>()
  const problems: ConfigProblem[] = []
  const warnings: ConfigWarning[] = []
  for (const definition of DEFINITIONS) {
    const { key } = definition
    const given = raw.values.get(key)
    if (given === undefined) {
      values.set(key, definition.default)
      continue
    }
    const setting = spell(key)
    const parsed = parseValue(definition, given.scalar)
    if ('fault' in parsed) {
      problems.push({ setting, text: `${given.label}: ${parsed.fault}` })
      continue
    }
    values.set(key, parsed.value)
    if (parsed.remark !== undefined) {
      const written = given.scalar.text === '' ? '""' : given.scalar.text
      const text = `${given.label}: ${written} is read as ${parsed.remark}`
      warnings.push({ code: ConfigWarningCode.SUSPECT, setting, text })
    }
  }
  return { values, problems, warnings }
}

/** One line for all: automation of the Go proxy hands over many of them. */
const ignoredSettings = (
  given: readonly SettingDefinition[],
  spell: (key: string) => string,
): ConfigWarning[] => {
  const names = given
    .filter((definition) => definition.status === 'ignored')
    .map(({ key }) => spell(key))
  if (names.length === 0) return []
  const text = `without effect in this release: ${names.join(', ')}`
  return [{ code: ConfigWarningCode.IGNORED, setting: names.length === 1 ? names[0]! : null, text }]
}

/**
 * The settings of a source. Throws a ConfigError that lists everything that is wrong: syntax of a file
 * first and alone, then values, contradictions and unknown names together. Unknown names alone are an error if strict.
 */
export const loadSettings = (source: SettingsSource, options: LoadOptions = {}): LoadedSettings => {
  const raw =
    source.kind === 'environment'
      ? readEnvironment(source.variables)
      : readYaml(source.path, source.text)
  const spell = spellingIn(source.kind)
  const { values, problems, warnings } = readValues(raw, spell)
  const unknown = raw.unknown.map((name) => unknownName(name, spell))
  const broken = new Set([...raw.problems, ...problems].map(({ setting }) => setting))
  const sound = [...values].filter(([key]) => !broken.has(spell(key)))
  const input: RuleInput = { settings: partialSettingsOf(new Map(sound)), spell }
  const wrong = [...raw.problems, ...problems, ...findContradictions(input)]
  const isWrong = wrong.length > 0 || (options.isStrict === true && unknown.length > 0)
  // Unknown names are told with the rest: one of them may be the misspelt cause of it.
  if (isWrong) throw new ConfigError(ConfigErrorCode.INVALID, [...wrong, ...unknown])
  const given = DEFINITIONS.filter(({ key }) => raw.values.has(key))
  const origin: SettingSource = source.kind
  return {
    settings: settingsOf(
      adminGivesWay(input.settings) ? new Map([...values, ['admin_enabled', false]]) : values,
    ),
    sources: new Map(given.map(({ key }) => [key, origin])),
    warnings: [
      ...unknown.map((problem) => ({ code: ConfigWarningCode.UNKNOWN, ...problem })),
      ...ignoredSettings(given, spell),
      ...warnings,
      ...findOddities(input),
    ],
  }
}
