/**
 * All settings: one table, from which follow parsing, the type of `Settings`, the echo at the start
 * and docs/configuration.md. The rows are in src/config/table/.
 */
import type { CamelCase, Section, SettingDefinition, SettingValue, ValueOf } from './definition.ts'
import { AVAILABILITY } from './table/availability.ts'
import { ORIGIN, ROUTING, TARGET } from './table/clusters.ts'
import { CREDENTIALS } from './table/credentials.ts'
import { GLOBAL, TOPOLOGY, TRACING } from './table/general.ts'
import { METRICS } from './table/metrics.ts'
import { ADMIN, EXTENSIONS, HEARTBEATS, LISTENER } from './table/serving.ts'
import { TLS } from './table/tls.ts'
import { TUNING } from './table/tuning.ts'
import { withoutQuery } from './value.ts'

const TABLE = [
  GLOBAL,
  TRACING,
  TOPOLOGY,
  ORIGIN,
  TARGET,
  LISTENER,
  METRICS,
  HEARTBEATS,
  ROUTING,
  ADMIN,
  TLS,
  AVAILABILITY,
  EXTENSIONS,
  CREDENTIALS,
  TUNING,
] as const

type Row = (typeof TABLE)[number]['settings'][number]

export type SettingKey = Row['key']

/** The whole configuration, checked. Never changed; camelCase names of the YAML keys. */
export type Settings = { readonly [R in Row as CamelCase<R['key']>]: ValueOf<R> }

/** Some settings under names of their own, undefined where a value could not be read. */
export type Unchecked<T> = { readonly [K in keyof T]: T[K] | undefined }

/** Where a value came from. `secret file`: it is the content of a file that another setting names. */
export type SettingSource =
  | { readonly kind: 'default' | 'environment' }
  | { readonly kind: 'file' | 'secret file'; readonly path: string }
export type SettingSources = ReadonlyMap<string, SettingSource>

export const SECTIONS: readonly Section[] = TABLE

export const DEFINITIONS: readonly SettingDefinition[] = SECTIONS.flatMap(
  (section) => section.settings,
)

/** `primary_cluster` → `ZDM_PRIMARY_CLUSTER`. */
export const environmentName = (key: string): string => `ZDM_${key.toUpperCase()}`

/** `primary_cluster` → `primaryCluster`. */
export const camelCase = (key: string): string =>
  key.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())

const hasTypeOf = (definition: SettingDefinition, value: unknown): boolean => {
  switch (definition.type) {
    case 'int':
    case 'float':
      return typeof value === 'number'
    case 'boolean':
      return typeof value === 'boolean'
    case 'choice':
      return typeof value === 'string' && definition.choices.includes(value)
    case 'string':
      return typeof value === 'string'
    case 'list':
      return Array.isArray(value) && value.every((item) => typeof item === 'string')
    case 'buckets':
      return Array.isArray(value) && value.every((item) => typeof item === 'number')
  }
}

const isSettings = (record: Readonly<Record<string, SettingValue>>): record is Settings =>
  DEFINITIONS.every((definition) => hasTypeOf(definition, record[camelCase(definition.key)]))

const recordOf = (
  values: ReadonlyMap<string, SettingValue>,
): Readonly<Record<string, SettingValue>> =>
  Object.fromEntries([...values].map(([key, value]) => [camelCase(key), value]))

/** The settings that a value per key makes. A key without a value is a fault of ours. */
export const settingsOf = (values: ReadonlyMap<string, SettingValue>): Settings => {
  const record = recordOf(values)
  if (!isSettings(record)) throw new TypeError('The values are not those of the table of settings')
  return Object.freeze(record)
}

const arePartOfSettings = (
  record: Readonly<Record<string, SettingValue>>,
): record is Partial<Settings> =>
  DEFINITIONS.every((definition) => {
    const value = record[camelCase(definition.key)]
    return value === undefined || hasTypeOf(definition, value)
  })

/** The same where some keys have no value. */
export const partialSettingsOf = (values: ReadonlyMap<string, SettingValue>): Partial<Settings> => {
  const record = recordOf(values)
  if (!arePartOfSettings(record)) {
    throw new TypeError('The values are not those of the table of settings')
  }
  return record
}

/** One setting as people may see it. */
export type DescribedSetting = {
  readonly key: string
  readonly value: SettingValue
  readonly source: SettingSource['kind']
  /** Of the file that it came from, if it came from one. */
  readonly path: string | null
}

/** As people may see it; null: not at all. */
export const shownValue = (
  definition: SettingDefinition,
  value: SettingValue,
): SettingValue | null => {
  if (definition.type !== 'string' || typeof value !== 'string') return value
  if (definition.isSecret === true) return null
  return definition.format === 'HTTP URL' ? withoutQuery(value) : value
}

/** Every setting with its value in effect and its source; secrets hidden. For the log and the admin API. */
export const describeSettings = (
  settings: Settings,
  sources: SettingSources,
): readonly DescribedSetting[] => {
  const values = new Map<string, SettingValue>(Object.entries(settings))
  return DEFINITIONS.map((definition) => {
    const value = values.get(camelCase(definition.key)) ?? ''
    const source = sources.get(definition.key) ?? { kind: 'default' }
    return {
      key: definition.key,
      value: value === '' ? '' : (shownValue(definition, value) ?? '(hidden)'),
      source: source.kind,
      path: 'path' in source ? source.path : null,
    }
  })
}
