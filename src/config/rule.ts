/** What a rule between settings is; the rules are in rules.ts and tls-rules.ts. */
import type { ConfigProblem } from './errors.ts'
import type { SettingKey, Settings } from './settings.ts'

/** The values that are right in themselves, which of them are no defaults, and how their source spells a key. */
export type RuleInput = {
  readonly settings: Partial<Settings>
  readonly isGiven: (key: SettingKey) => boolean
  readonly spell: (key: SettingKey) => string
}

export type Rule = (input: RuleInput) => ConfigProblem | null

export const problem = (
  { spell }: RuleInput,
  key: SettingKey,
  text: string,
): ConfigProblem & { readonly setting: string } => ({
  setting: spell(key),
  text: `${spell(key)}: ${text}`,
})
