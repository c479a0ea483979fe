/** Each setting by itself: it is taken from the environment and from a file, and what is wrong with it is refused. */
import { describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/config/errors.ts'
import { type LoadedSettings, loadSettings } from '../../src/config/load.ts'
import type { SettingsLayer } from '../../src/config/raw.ts'
import { camelCase, DEFINITIONS, environmentName } from '../../src/config/settings.ts'

import { SETTING_ROWS, type SettingRow } from './setting-rows.ts'

/** What there must be. */
const MINIMUM = {
  origin_contact_points: '10.0.1.1',
  origin_username: '',
  origin_password: '',
  target_contact_points: '10.0.2.1',
  target_username: '',
  target_password: '',
}

type Texts = Readonly<Record<string, string>>

const SOURCES: readonly {
  readonly source: string
  readonly layer: (texts: Texts) => SettingsLayer
  readonly label: (key: string) => string
}[] = [
  {
    source: 'the environment',
    layer: (texts) => ({
      kind: 'environment',
      variables: Object.fromEntries(
        Object.entries(texts).map(([key, text]) => [environmentName(key), text]),
      ),
    }),
    label: environmentName,
  },
  {
    source: 'a file',
    layer: (texts) => ({
      kind: 'file',
      path: 'zdm.yml',
      text: Object.entries(texts)
        .map(([key, text]) => `${key}: ${text.includes(': ') ? JSON.stringify(text) : text}\n`)
        .join(''),
    }),
    label: (key) => `${key} (zdm.yml:1)`,
  },
]

const load = (layer: SettingsLayer): LoadedSettings =>
  loadSettings([layer], { readFile: () => Buffer.from('users: {}') })

const problemsOf = (layer: SettingsLayer): readonly string[] => {
  try {
    load(layer)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ text }) => text)
    throw error
  }
  return []
}

/** The setting comes first: its line is known. */
const textsWith = ({ key, needs }: SettingRow, text: string): Texts => ({
  [key]: text,
  ...MINIMUM,
  ...needs,
  [key]: text,
})

test('the table has every setting once', () => {
  expect(SETTING_ROWS.map(({ key }) => key).sort()).toEqual(
    DEFINITIONS.map(({ key }) => key).sort(),
  )
})

test('the table has no default', () => {
  const defaults = new Map(DEFINITIONS.map((definition) => [definition.key, definition.default]))
  expect(
    SETTING_ROWS.filter(({ key, value }) => String(defaults.get(key)) === String(value)),
  ).toEqual([])
})

test('only text and paths may be anything', () => {
  const anything = DEFINITIONS.filter(
    (definition) =>
      definition.type === 'string' &&
      (definition.format === undefined || definition.format === 'path'),
  )
  expect(
    SETTING_ROWS.filter(({ refused }) => refused === null)
      .map(({ key }) => key)
      .sort(),
  ).toEqual(anything.map(({ key }) => key).sort())
})

describe.each(SOURCES)('from $source', ({ layer, label }) => {
  test.each(SETTING_ROWS)('$key: $text', (row) => {
    const { settings } = load(layer(textsWith(row, row.text)))
    expect(new Map<string, unknown>(Object.entries(settings)).get(camelCase(row.key))).toEqual(
      row.value,
    )
  })

  test.each(SETTING_ROWS.flatMap((row) => (row.refused === null ? [] : [{ row, ...row.refused }])))(
    '$row.key is refused: $fault',
    ({ row, text, fault }) => {
      expect(problemsOf(layer(textsWith(row, text)))).toEqual([`${label(row.key)}: ${fault}`])
    },
  )
})

test.each(SETTING_ROWS)('$key is refused in a file as a list', ({ key }) => {
  const text = `${key}: [1]\n`
  expect(problemsOf({ kind: 'file', path: 'zdm.yml', text })).toContain(
    `${key} (zdm.yml:1): must be one value, not a list or a mapping; what has several items is written with commas, as in "a,b"`,
  )
})
