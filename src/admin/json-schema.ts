/** The building blocks of the admin API's JSON Schemas (api-schemas.ts). */

/** As much of JSON Schema as is used here; the same in fastify's dialect and in OpenAPI 3.1. */
export type Schema = {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly description?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean
  readonly items?: Schema
  readonly enum?: readonly (string | null)[]
  readonly anyOf?: readonly Schema[]
  readonly format?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly maxItems?: number
  readonly default?: string | number | boolean | null
}

type Properties = Readonly<Record<string, Schema>>

/** Every property is required but those named in `optional`. */
export const object = (properties: Properties, optional: readonly string[] = []): Schema => ({
  type: 'object',
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
  additionalProperties: false,
})

export const ref = (name: string): Schema => ({ $ref: `${name}#` })
export const list = (items: Schema): Schema => ({ type: 'array', items })
export const orNull = (schema: Schema): Schema => ({ anyOf: [schema, { type: 'null' }] })
export const word = (...values: readonly string[]): Schema => ({ type: 'string', enum: values })
export const described = (schema: Schema, description: string): Schema => ({
  ...schema,
  description,
})

export const TEXT: Schema = { type: 'string' }
export const TEXT_OR_NULL: Schema = { type: ['string', 'null'] }
export const TIME: Schema = { type: 'string', format: 'date-time' }
export const TIME_OR_NULL: Schema = { type: ['string', 'null'], format: 'date-time' }
export const COUNT: Schema = { type: 'integer', minimum: 0 }
export const COUNT_OR_NULL: Schema = { type: ['integer', 'null'] }
export const NUMBER: Schema = { type: 'number' }
export const NUMBER_OR_NULL: Schema = { type: ['number', 'null'] }
export const FLAG: Schema = { type: 'boolean' }
