/** What is wrong with a configuration: everything that was found at once, for the operator to mend. */

export const ConfigErrorCode = {
  /** The file of settings cannot be read. */
  UNREADABLE: 'CONFIG_UNREADABLE',
  /** The file of settings is not YAML, or not a mapping of names to values. */
  SYNTAX: 'CONFIG_SYNTAX',
  /** Settings are wrong, missing, unknown (strict only) or contradict each other. */
  INVALID: 'CONFIG_INVALID',
} as const
export type ConfigErrorCode = (typeof ConfigErrorCode)[keyof typeof ConfigErrorCode]

export type ConfigProblem = {
  /** In the spelling of the source (`ZDM_ORIGIN_PORT` or `origin_port`); null: the source as a whole. */
  readonly setting: string | null
  /** One line that names the setting, the value (never a secret's) and what is allowed. */
  readonly text: string
}

/** The message has one line per problem. */
export class ConfigError extends Error {
  readonly code: ConfigErrorCode
  /** Never empty. */
  readonly problems: readonly ConfigProblem[]

  constructor(code: ConfigErrorCode, problems: readonly ConfigProblem[], cause?: unknown) {
    super(problems.map(({ text }) => text).join('\n'), { cause })
    this.name = 'ConfigError'
    this.code = code
    this.problems = problems
  }
}

export const ConfigWarningCode = {
  /** A name that no setting has. */
  UNKNOWN: 'CONFIG_UNKNOWN_SETTING',
  /** Settings that have no effect here. */
  IGNORED: 'CONFIG_IGNORED_SETTING',
  /** Variables that are set and not read. */
  UNUSED: 'CONFIG_UNUSED_ENVIRONMENT',
  /** A value that may not be what its author meant. */
  SUSPECT: 'CONFIG_SUSPECT_VALUE',
} as const
export type ConfigWarningCode = (typeof ConfigWarningCode)[keyof typeof ConfigWarningCode]

/** Accepted, but worth a line in the log. */
export type ConfigWarning = ConfigProblem & { readonly code: ConfigWarningCode }
