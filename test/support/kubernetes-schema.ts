/**
 * Whether an object is what Kubernetes' API takes, by its own OpenAPI schema; strictly, as `kubectl apply` does:
 * a field that the schema does not know is a fault.
 */
import { validate as validateStatefulSet } from 'kubernetes-models/_schemas/IoK8sApiAppsV1StatefulSet'
import { validate as validateConfigMap } from 'kubernetes-models/_schemas/IoK8sApiCoreV1ConfigMap'
import { validate as validateService } from 'kubernetes-models/_schemas/IoK8sApiCoreV1Service'
import { validate as validateNetworkPolicy } from 'kubernetes-models/_schemas/IoK8sApiNetworkingV1NetworkPolicy'
import { validate as validatePodDisruptionBudget } from 'kubernetes-models/_schemas/IoK8sApiPolicyV1PodDisruptionBudget'

type SchemaError = {
  readonly instancePath: string
  readonly keyword: string
  readonly params: unknown
}
type Validate = {
  (data: unknown): boolean
  errors?: readonly SchemaError[] | null
}

const SCHEMAS: Readonly<Record<string, Validate>> = {
  'v1 ConfigMap': validateConfigMap,
  'v1 Service': validateService,
  'apps/v1 StatefulSet': validateStatefulSet,
  'policy/v1 PodDisruptionBudget': validatePodDisruptionBudget,
  'networking.k8s.io/v1 NetworkPolicy': validateNetworkPolicy,
}

/** The same value, which notes every key that is read. */
const recorded = (value: unknown, path: string, reads: Set<string>): unknown => {
  if (typeof value !== 'object' || value === null) return value
  return new Proxy(value, {
    get: (owner, key) => {
      const inner: unknown = Reflect.get(owner, key)
      if (typeof key !== 'string' || !Object.hasOwn(owner, key)) return inner
      reads.add(`${path}/${key}`)
      return recorded(inner, `${path}/${key}`, reads)
    },
  })
}

const allPaths = (value: unknown, path = ''): readonly string[] =>
  typeof value !== 'object' || value === null
    ? []
    : Object.entries(value).flatMap(([key, inner]) => [
        `${path}/${key}`,
        ...allPaths(inner, `${path}/${key}`),
      ])

/** Empty where all is well. A schema reads every field that it knows: the others it does not know. */
export const schemaFaults = (object: {
  readonly apiVersion: string
  readonly kind: string
}): readonly string[] => {
  const validate = SCHEMAS[`${object.apiVersion} ${object.kind}`]
  if (validate === undefined) return [`no schema for ${object.apiVersion} ${object.kind}`]
  const reads = new Set<string>()
  const isValid = validate(recorded(object, '', reads))
  const errors = isValid ? [] : (validate.errors ?? [])
  return [
    ...errors.map(
      ({ instancePath, keyword, params }) =>
        `${instancePath}: ${keyword} ${JSON.stringify(params)}`,
    ),
    ...allPaths(object)
      .filter((path) => !reads.has(path))
      .map((path) => `${path} is unknown`),
  ]
}
