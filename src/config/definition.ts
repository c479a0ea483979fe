/**
 * What a setting is: the shape of the rows of src/config/table/, and the TypeScript types that follow
 * from them. Parsing is raw.ts and value.ts, rules between settings are rules.ts.
 */

/**
 * active: it does what it says. ignored: accepted, because configurations of the Go proxy carry it,
 * but it has no meaning here.
 */
export type SettingStatus = 'active' | 'ignored'

type Common = {
  /** As a YAML key; the environment spells it `ZDM_` and upper case. */
  readonly key: string
  readonly status: SettingStatus
  readonly description: string
}

export type NumberDefinition = Common & {
  readonly type: 'int' | 'float'
  readonly default: number
  readonly min?: number
  readonly max?: number
  /** What 0 or less stands for, as with the Go proxy; without it they are below `min`. */
  readonly insteadOfZero?: number
  readonly unit?: 'ms' | 'MiB' | 'bytes'
}

export type BooleanDefinition = Common & { readonly type: 'boolean'; readonly default: boolean }

/** One of a few words, in any case; kept as spelled here. */
export type ChoiceDefinition = Common & {
  readonly type: 'choice'
  readonly default: string
  readonly choices: readonly string[]
  /** Surrounding blanks do not count. */
  readonly isTrimmed?: true
}

export type StringDefinition = Common & {
  readonly type: 'string'
  readonly default: string
  readonly format?:
    | 'credentials map'
    | 'HTTP URL'
    | 'listen address'
    | 'metrics prefix'
    | 'path'
    | 'payload key'
  /** A path whose file's content is the value of this other setting. */
  readonly contentOf?: string
  /** Never shown: not in the log, not in an error. */
  readonly isSecret?: true
  /** Must be there (it may be empty) when settings come from the environment. */
  readonly isRequiredInEnvironment?: true
}

/** Comma-separated words. */
export type ListDefinition = Common & {
  readonly type: 'list'
  readonly default: readonly string[]
  readonly format:
    | 'contact points'
    | 'addresses'
    | 'protocol versions'
    | 'log levels'
    | 'CQL functions'
}

/** Comma-separated numbers, rising. */
export type BucketsDefinition = Common & {
  readonly type: 'buckets'
  readonly default: readonly number[]
  readonly unit: 'ms'
}

export type SettingDefinition =
  | NumberDefinition
  | BooleanDefinition
  | ChoiceDefinition
  | StringDefinition
  | ListDefinition
  | BucketsDefinition

export type SettingValue = string | number | boolean | readonly string[] | readonly number[]

/** `primary_cluster` → `primaryCluster`. */
export type CamelCase<Key extends string> = Key extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Key

/** The type of a setting's value, from its row. */
export type ValueOf<Row> = Row extends { type: 'choice'; choices: readonly (infer Choice)[] }
  ? Choice
  : Row extends { type: 'int' | 'float' }
    ? number
    : Row extends { type: 'boolean' }
      ? boolean
      : Row extends { type: 'string' }
        ? string
        : Row extends { type: 'list' }
          ? readonly string[]
          : Row extends { type: 'buckets' }
            ? readonly number[]
            : never

export type Section = {
  readonly title: string
  readonly settings: readonly SettingDefinition[]
}
