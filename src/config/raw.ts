/**
 * What a source gives: a scalar per setting, in the source's own spelling, and the names that no setting
 * has (operations §1.1). Environment variables are read here, YAML files in yaml-file.ts; what the
 * scalars mean is value.ts.
 */
import type { ConfigProblem } from './errors.ts'
import type { Scalar } from './scalar.ts'
import { DEFINITIONS, environmentName } from './settings.ts'

/** Variables or a file, never both: a file takes everything from the environment's settings. */
export type SettingsSource =
  | {
      readonly kind: 'environment'
      readonly variables: Readonly<Record<string, string | undefined>>
    }
  | { readonly kind: 'file'; readonly path: string; readonly text: string }

export type RawValue = {
  readonly scalar: Scalar
  /** The setting as its source spells it, with the place in a file. */
  readonly label: string
}

export type RawSettings = {
  /** By key. Missing: the default holds. */
  readonly values: ReadonlyMap<string, RawValue>
  readonly unknown: readonly UnknownName[]
  readonly problems: readonly ConfigProblem[]
}

export type UnknownName = {
  readonly name: string
  /** The name with its place in a file. */
  readonly label: string
}

/** How a source spells a setting. */
export const spellingIn =
  (kind: SettingsSource['kind']): ((key: string) => string) =>
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
const serviceProblem = (name: string): ConfigProblem => ({
  setting: name,
  text: `${name}: was set by Kubernetes for a Service called "${name.slice(0, -'_PORT'.length).toLowerCase().replaceAll('_', '-')}"; rename the Service, or set enableServiceLinks: false in the pod`,
})

const missing = (key: string): ConfigProblem => {
  const name = environmentName(key)
  return {
    setting: name,
    text: `${name}: must be set; to the empty string where the cluster asks for no credentials`,
  }
}

/** A variable that is set to the empty string counts as set. */
export const readEnvironment = (
  variables: Readonly<Record<string, string | undefined>>,
): RawSettings => {
  const values = new Map<string, RawValue>()
  const unknown: UnknownName[] = []
  const problems: ConfigProblem[] = []
  for (const [name, text] of Object.entries(variables)) {
    if (text === undefined || !PREFIX.test(name)) continue
    const key = KEYS.get(name)
    if (key === undefined) {
      if (!isServiceLink(name, text)) unknown.push({ name, label: name })
    } else if (isServiceLink(name, text)) {
      problems.push(serviceProblem(name))
    } else {
      values.set(key, { scalar: { form: 'environment', text }, label: name })
    }
  }
  for (const definition of DEFINITIONS) {
    const isRequired = definition.type === 'string' && definition.isRequiredInEnvironment === true
    if (isRequired && !values.has(definition.key)) problems.push(missing(definition.key))
  }
  return { values, unknown, problems }
}
