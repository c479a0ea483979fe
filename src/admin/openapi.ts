/**
 * The OpenAPI 3.1 document of the admin API, from the tables of operations and schemas. Served at
 * /openapi.json and kept as docs/admin-api.yaml, which a test holds to it.
 */
import { COMMON_ANSWERS, OPERATIONS, type Operation } from './api-operations.ts'
import { SCHEMAS } from './api-schemas.ts'
import type { Schema } from './json-schema.ts'

type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }

const DESCRIPTION = `Changes the phase of a migration at run time and shows where it stands.

One call of \`advance\` or \`rollback\` changes every instance of the deployment: the instance that is asked prepares the change on all of them,
compares their revisions, and then commits it on all. A client that coordinates by itself uses \`/v1/changes\` of each instance in the same way:
read \`/v1/status\` of all, prepare on each with \`expectedRevision\` and a common \`revision\` above all of them, commit on each, or abort where one refuses.

Changes need \`content-type: application/json\`. Browsers of other sites are refused by \`Origin\` and \`Sec-Fetch-Site\`, and without a token \`Host\` must
be an IP address or localhost. With \`admin_token_path\` every path needs \`authorization: Bearer …\`,
but for this document and the files of the web console.`

/** fastify names a shared schema `Name#`; the document keeps it among its components. */
const documented = (value: unknown): Json => {
  if (Array.isArray(value)) return value.map(documented)
  if (typeof value !== 'object' || value === null) return plain(value)
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) =>
      name === '$ref' && typeof member === 'string'
        ? [name, `#/components/schemas/${member.slice(0, -1)}`]
        : [name, documented(member)],
    ),
  )
}

const plain = (value: unknown): Json =>
  typeof value === 'number' || typeof value === 'boolean' || value === null ? value : String(value)

const json = (schema: Schema): Json => ({ 'application/json': { schema: documented(schema) } })

const parametersOf = ({ path, query }: Operation): Json[] => [
  ...[...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name: name!,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  })),
  ...Object.entries(query ?? {}).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    required: name === 'verb',
    ...(description === undefined ? {} : { description }),
    schema: documented(schema),
  })),
]

const operationJson = (operationId: string, operation: Operation): Json => {
  const parameters = parametersOf(operation)
  const answers = { ...operation.answers, ...withoutOwn(operation) }
  return {
    operationId,
    summary: operation.summary,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(operation.body === undefined
      ? {}
      : { requestBody: { required: true, content: json({ $ref: `${operation.body}#` }) } }),
    responses: Object.fromEntries(
      Object.entries(answers).map(([status, { schema, when }]) => [
        status,
        { description: when, content: json(schema) },
      ]),
    ),
  }
}

const withoutOwn = ({ answers }: Operation): typeof COMMON_ANSWERS =>
  Object.fromEntries(Object.entries(COMMON_ANSWERS).filter(([status]) => !(status in answers)))

export const openApiPath = (path: string): string => path.replaceAll(/:(\w+)/g, '{$1}')

/** The whole document, as JSON. */
export const openApiDocument = (version: string): Json => {
  const paths: Record<string, Record<string, Json>> = {}
  for (const [operationId, operation] of Object.entries(OPERATIONS)) {
    const path = openApiPath(operation.path)
    paths[path] ??= {}
    paths[path][operation.method.toLowerCase()] = operationJson(operationId, operation)
  }
  return {
    openapi: '3.1.0',
    info: { title: 'ZDM proxy admin API', version, description: DESCRIPTION },
    servers: [{ url: 'http://127.0.0.1:14003' }],
    security: [{ token: [] }, {}],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      schemas: documented(SCHEMAS),
    },
  }
}
