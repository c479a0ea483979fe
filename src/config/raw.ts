/**
 * What a layer gives: a scalar per setting, in the layer's own spelling, and the names that no setting
 * has (operations §1.1). Environment variables are read here, YAML files in yaml-file.ts; what the
 * scalars mean is value.ts.
 */
import type { ConfigProblem } from './errors.ts'
import type { Scalar } from './scalar.ts'
import { DEFINITIONS, environmentName, type SettingSource } from './settings.ts'

/** One place that settings come from. There may be several files, and the environment above them (load.ts). */
export type SettingsLayer =
  | {
      readonly kind: 'environment'
      readonly variables: Readonly<Record<string, string | undefined>>
    }
  | { readonly kind: 'file'; readonly path: string; readonly text: string }

export type RawValue = {
  readonly scalar: Scalar
  /** The setting as its layer spells it. */
  readonly setting: string
  /** The same with the place in a file. */
  readonly label: string
  readonly source: SettingSource
}

/** Of one setting, which then has no value. */
export type RawProblem = ConfigProblem & { readonly key: string }

export type RawSettings = {
  /** By key. Missing: the default holds. */
  readonly values: ReadonlyMap<string, RawValue>
  readonly unknown: readonly UnknownName[]
  readonly problems: readonly RawProblem[]
}

export type UnknownName = {
  readonly name: string
  /** The name with its place in a file. */
  readonly label: string
}

/** How a layer spells a setting. */
export const spellingIn =
  (kind: SettingsLayer['kind']): ((key: string) => string) =>
  (key) =>
    kind === 'environment' ? environmentName(key) : key

const PREFIX = /^ZDM_/i
/**
 * Kubernetes tells every container of the Services around it: for one called `zdm-proxy-0`,
 * ZDM_PROXY_0_SERVICE_HOST and the like. They are no settings, and nobody's mistake.
 */
const SERVICE_LINK =
  /_SERVICE_(?:HOST|PORT(?:_[A-Z\d_]+)?)$|_PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?$/
const SERVICE_URL = /^(?:tcp|udp|sctp):\/\//

const KEYS: ReadonlyMap<string, string> = new Map(
  DEFINITIONS.map(({ key }) => [environmentName(key), key]),
)

const isServiceLink = (name: string, text: string): boolean =>
  SERVICE_LINK.test(name) || (name.endsWith('_PORT') && SERVICE_URL.test(text))

/** A Service called `zdm-origin` makes Kubernetes set ZDM_ORIGIN_PORT to `tcp://…`. */
const serviceProblem = (key: string, name: string): RawProblem => ({
  key,
  setting: name,
  text: `${name}: was set by Kubernetes for a Service called "${name.slice(0, -'_PORT'.length).toLowerCase().replaceAll('_', '-')}"; rename the Service, or set enableServiceLinks: false in the pod`,
})

/** A variable that is set to the empty string counts as set. */
export const readEnvironment = (
  variables: Readonly<Record<string, string | undefined>>,
): RawSettings => {
  const values = new Map<string, RawValue>()
  const unknown: UnknownName[] = []
  const problems: RawProblem[] = []
  for (const [name, text] of Object.entries(variables)) {
    if (text === undefined || !PREFIX.test(name)) continue
    const key = KEYS.get(name)
    if (key === undefined) {
      if (!isServiceLink(name, text)) unknown.push({ name, label: name })
    } else if (isServiceLink(name, text)) {
      problems.push(serviceProblem(key, name))
    } else {
      const scalar = { form: 'environment', text } as const
      values.set(key, { scalar, setting: name, label: name, source: { kind: 'environment' } })
    }
  }
  return { values, unknown, problems }
}

/** Variables that are settings: those that a file takes no notice of. By key. */
export const settingVariables = (
  variables: Readonly<Record<string, string | undefined>>,
): ReadonlyMap<string, string> =>
  new Map([...readEnvironment(variables).values].map(([key, { scalar }]) => [key, scalar.text]))
