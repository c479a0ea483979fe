/** Settings that contradict nothing, and what is found once some of them are others. */
import type { SettingValue } from '../../src/config/definition.ts'
import { spellingIn } from '../../src/config/raw.ts'
import type { RuleInput } from '../../src/config/rule.ts'
import { findContradictions } from '../../src/config/rules.ts'
import {
  DEFINITIONS,
  partialSettingsOf,
  type Settings,
  settingsOf,
} from '../../src/config/settings.ts'

export const SOUND: Settings = {
  ...settingsOf(new Map(DEFINITIONS.map(({ key, default: value }) => [key, value]))),
  originContactPoints: ['10.0.1.1'],
  targetContactPoints: ['10.0.2.1'],
}

/** All of them are given, none is a default. */
export const inputOf = (changes: Partial<Settings>): RuleInput => ({
  settings: { ...SOUND, ...changes },
  spell: spellingIn('file'),
  isGiven: () => true,
})

export const contradictionsOf = (changes: Partial<Settings>): readonly string[] =>
  findContradictions(inputOf(changes)).map(({ text }) => text)

export const CLUSTERS = ['origin', 'target'] as const

/** Settings of one cluster, by their keys without its name. */
export const ofCluster = (
  cluster: (typeof CLUSTERS)[number],
  changes: Readonly<Record<string, SettingValue>>,
): Partial<Settings> =>
  partialSettingsOf(
    new Map(Object.entries(changes).map(([key, value]) => [`${cluster}_${key}`, value])),
  )
