/**
 * From one layer of settings, or several, to checked settings, or to everything that is wrong with them
 * (operations §1, §11 A3). Logging and the exit status are the caller's.
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
  type RawProblem,
  type RawSettings,
  type RawValue,
  readEnvironment,
  type SettingsLayer,
  settingVariables,
  spellingIn,
  type UnknownName,
} from './raw.ts'
import { adminGivesWay, findContradictions, findOddities, type RuleInput } from './rules.ts'
import { fillFromSecretFiles, type ReadFile } from './secret-file.ts'
import {
  DEFINITIONS,
  environmentName,
  partialSettingsOf,
  type SettingSources,
  type Settings,
  settingsOf,
} from './settings.ts'
import { parseValue } from './value.ts'
import { readYaml } from './yaml-file.ts'

type Variables = Readonly<Record<string, string | undefined>>

export type LoadedSettings = {
  readonly settings: Settings
  /** Where each value came from; a key that is missing here has its default. */
  readonly sources: SettingSources
  /** Each worth a line in the log. */
  readonly warnings: readonly ConfigWarning[]
  /** What it was made of. Loaded again, they give the same but for what secret files say now. */
  readonly layers: readonly SettingsLayer[]
  /** Files that hold values of settings: digests of what they held, by path. */
  readonly secretFiles: ReadonlyMap<string, string>
}

export type LoadOptions = {
  /** Names that no setting has are problems, not warnings. */
  readonly isStrict?: boolean
  /** Variables that are not among the layers: settings among them are warned of. */
  readonly unused?: Variables
  /** How secret files are read. */
  readonly readFile?: ReadFile
}

/** Where the command line says that settings are. */
export type SettingsPlaces = {
  /** YAML files; a later one wins over those before it. */
  readonly configPaths: readonly string[]
  /** Variables win over the files. Without files they are all that there is. */
  readonly withEnvironment: boolean
}

const readLayer = (path: string): SettingsLayer => {
  try {
    return { kind: 'file', path, text: readFileSync(path, 'utf8') }
  } catch (error) {
    const reason = messageOf(error)
    const text = `${path}: the file of settings cannot be read: ${reason}`
    throw new ConfigError(ConfigErrorCode.UNREADABLE, [{ setting: null, text }], error)
  }
}

const takesEnvironment = ({ configPaths, withEnvironment }: SettingsPlaces): boolean =>
  withEnvironment || configPaths.length === 0

/** The layers, the lowest first. Throws a ConfigError for a file that cannot be read. */
export const settingsLayers = (places: SettingsPlaces, variables: Variables): SettingsLayer[] => [
  ...places.configPaths.map(readLayer),
  ...(takesEnvironment(places) ? [{ kind: 'environment', variables } as const] : []),
]

/** Reads all the places anew. Throws a ConfigError, as `loadSettings` does. */
export const loadFrom = (
  places: SettingsPlaces,
  variables: Variables,
  options: LoadOptions = {},
): LoadedSettings => {
  const unused = takesEnvironment(places) ? {} : variables
  return loadSettings(settingsLayers(places, variables), { unused, ...options })
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

type Merged = {
  /** By key, of the highest layer that has it. */
  readonly values: ReadonlyMap<string, RawValue>
  readonly unknown: readonly ConfigProblem[]
  readonly problems: readonly RawProblem[]
}

/** Key by key the later layer wins; what is unknown or wrong in any of them is told. */
const merge = (layers: readonly SettingsLayer[]): Merged => {
  const values = new Map<string, RawValue>()
  const unknown: ConfigProblem[] = []
  const problems: RawProblem[] = []
  for (const layer of layers) {
    const raw: RawSettings =
      layer.kind === 'environment'
        ? readEnvironment(layer.variables)
        : readYaml(layer.path, layer.text)
    const spell = spellingIn(layer.kind)
    for (const [key, value] of raw.values) values.set(key, value)
    unknown.push(...raw.unknown.map((name) => unknownName(name, spell)))
    problems.push(...raw.problems)
  }
  return { values, unknown, problems }
}

/** Automation of the Go proxy must say even that there are no credentials, where no file of settings could. */
const missingNames = (
  layers: readonly SettingsLayer[],
  given: ReadonlyMap<string, RawValue>,
  broken: ReadonlySet<string>,
): readonly ConfigProblem[] => {
  if (layers.some(({ kind }) => kind === 'file')) return []
  return DEFINITIONS.filter(
    (definition) =>
      definition.type === 'string' &&
      definition.isRequiredInEnvironment === true &&
      !given.has(definition.key) &&
      !broken.has(definition.key),
  ).map(({ key }) => {
    const setting = environmentName(key)
    const text = `${setting}: must be set; to the empty string where the cluster asks for no credentials; or ${setting}_PATH to a file that holds it`
    return { setting, text }
  })
}

type Values = {
  readonly values: ReadonlyMap<string, SettingValue>
  readonly problems: readonly RawProblem[]
  readonly warnings: readonly ConfigWarning[]
}

const readValues = (raw: ReadonlyMap<string, RawValue>): Values => {
  const values = new Map<string, SettingValue>()
  const problems: RawProblem[] = []
  const warnings: ConfigWarning[] = []
  for (const definition of DEFINITIONS) {
    const { key } = definition
    const given = raw.get(key)
    if (given === undefined) {
      values.set(key, definition.default)
      continue
    }
    const { setting, label, scalar } = given
    const parsed = parseValue(definition, scalar)
    if ('fault' in parsed) {
      problems.push({ key, setting, text: `${label}: ${parsed.fault}` })
      continue
    }
    values.set(key, parsed.value)
    if (parsed.remark !== undefined) {
      const written = scalar.text === '' ? '""' : scalar.text
      const text = `${label}: ${written} is read as ${parsed.remark}`
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

/** Variables beside files that are read alone. One whose setting a file gives with the same text misleads nobody. */
const unusedVariables = (
  unused: Variables,
  given: ReadonlyMap<string, RawValue>,
): ConfigWarning[] => {
  const names = [...settingVariables(unused)]
    .filter(([key, text]) => given.get(key)?.scalar.text !== text)
    .map(([key]) => environmentName(key))
  if (names.length === 0) return []
  const text = `set in the environment and not read, because --config is given: ${names.join(', ')}; --with-environment lets them win over the files`
  return [{ code: ConfigWarningCode.UNUSED, setting: names.length === 1 ? names[0]! : null, text }]
}

/** As the layer spells it that gives the value; what none gives, as the lowest would. */
const spellingOf =
  (layers: readonly SettingsLayer[], given: ReadonlyMap<string, RawValue>) =>
  (key: string): string => {
    const source = given.get(key)?.source.kind
    const isLayer = source === 'environment' || source === 'file'
    return spellingIn(isLayer ? source : (layers[0]?.kind ?? 'environment'))(key)
  }

/**
 * The settings of some layers, the lowest first. Throws a ConfigError that lists everything that is wrong: syntax of a
 * file first and alone, then values, contradictions and unknown names together. Unknown names alone are an error if strict.
 */
export const loadSettings = (
  layers: readonly SettingsLayer[],
  { isStrict = false, unused = {}, readFile = readFileSync }: LoadOptions = {},
): LoadedSettings => {
  const { values: own, unknown, problems: unread } = merge(layers)
  const secrets = fillFromSecretFiles(own, readFile)
  const given = secrets.values
  const spell = spellingOf(layers, given)
  const { values, problems, warnings } = readValues(given)
  const faults = [...unread, ...secrets.problems, ...problems]
  const broken = new Set(faults.map(({ key }) => key))
  const missing = missingNames(layers, given, broken)
  const sound = [...values].filter(([key]) => !broken.has(key))
  const isGiven = (key: string): boolean => given.has(key)
  const input: RuleInput = { settings: partialSettingsOf(new Map(sound)), isGiven, spell }
  const wrong = [...unread, ...missing, ...secrets.problems, ...problems]
  wrong.push(...findContradictions(input))
  // Unknown names are told with the rest: one of them may be the misspelt cause of it.
  if (wrong.length > 0 || (isStrict && unknown.length > 0)) {
    const told = [...wrong, ...unknown].map(({ setting, text }) => ({ setting, text }))
    throw new ConfigError(ConfigErrorCode.INVALID, told)
  }
  const chosen = DEFINITIONS.filter(({ key }) => given.has(key))
  return {
    settings: settingsOf(
      adminGivesWay(input) ? new Map([...values, ['admin_enabled', false]]) : values,
    ),
    sources: new Map(chosen.flatMap(({ key }) => [[key, given.get(key)!.source] as const])),
    warnings: [
      ...unknown.map((problem) => ({ code: ConfigWarningCode.UNKNOWN, ...problem })),
      ...unusedVariables(unused, given),
      ...ignoredSettings(chosen, spell),
      ...warnings,
      ...findOddities(input),
    ],
    layers,
    secretFiles: secrets.files,
  }
}

/** The settings as far as they can be read, and what is wrong with the rest. */
export type ReadableSettings = { readonly settings: Settings; readonly faults: readonly string[] }

/**
 * For who only looks for a proxy, which may serve on with what it has read before: wrong values and files that cannot be
 * read count as not given, secret files are not read, and nothing is checked between settings.
 */
export const readableSettings = (
  places: SettingsPlaces,
  variables: Variables,
): ReadableSettings => {
  const faults: string[] = []
  const given = new Map<string, RawValue>()
  const addLayer = (read: () => readonly SettingsLayer[]): void => {
    try {
      const { values, problems } = merge(read())
      for (const [key, value] of values) given.set(key, value)
      faults.push(...problems.map(({ text }) => text))
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      faults.push(...error.problems.map(({ text }) => text))
    }
  }
  for (const path of places.configPaths) addLayer(() => [readLayer(path)])
  if (takesEnvironment(places)) addLayer(() => [{ kind: 'environment', variables }])
  const { values, problems } = readValues(given)
  const defaults = DEFINITIONS.map(({ key, default: value }) => [key, value] as const)
  return {
    settings: settingsOf(new Map([...defaults, ...values])),
    faults: [...faults, ...problems.map(({ text }) => text)],
  }
}
