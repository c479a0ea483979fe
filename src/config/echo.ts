/** The configuration as one line for the log at the start, as the Go proxy writes it (operations §1.1). */
import { camelCase, DEFINITIONS, type Settings, shownValue } from './settings.ts'
import { valueText } from './value.ts'

const pascalCase = (key: string): string => {
  const name = camelCase(key)
  return name.slice(0, 1).toUpperCase() + name.slice(1)
}

/** JSON on one line, `primary_cluster` as `PrimaryCluster`, lists as comma strings; no passwords. */
export const echoSettings = (settings: Settings): string => {
  const values = new Map(Object.entries(settings))
  const shown = DEFINITIONS.flatMap((definition) => {
    const { key } = definition
    const value = shownValue(definition, values.get(camelCase(key)) ?? '')
    if (value === null) return []
    return [[pascalCase(key), typeof value === 'object' ? valueText(value) : value] as const]
  })
  return JSON.stringify(Object.fromEntries(shown))
}
