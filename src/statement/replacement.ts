/**
 * The text of a write without its non-deterministic calls (request-path §3.4): literals for a text that
 * runs once, markers for one that is prepared. Only the calls' own bytes change.
 *
 * A call of now() that is a value of its own becomes a bare literal or marker, as with the Go proxy. All
 * others carry their type, `(timestamp)?`: the server then checks the same as it would have for the
 * call, and an overloaded function is still the one that was meant.
 */
import { encodeText } from '../cql/values.ts'
import { CallPlace, type FunctionCall, type StatementCalls } from './function-calls.ts'
import type { FunctionValues } from './function-values.ts'
import type { CqlFunctionName } from './functions.ts'

export type Replacement = {
  readonly start: number
  readonly end: number
  readonly text: Uint8Array
}

const isBare = (call: FunctionCall): boolean =>
  call.function.name === 'now' && call.place === CallPlace.VALUE

const withType = (call: FunctionCall, text: string): Uint8Array =>
  encodeText(isBare(call) ? text : `(${call.function.type})${text}`)

/** For a text that runs once: each call's result. */
export const literalReplacements = (
  calls: readonly FunctionCall[],
  values: FunctionValues,
  wallMs: number,
): Replacement[] =>
  calls.map((call) => ({
    start: call.start,
    end: call.end,
    text: withType(call, values.nextLiteral(call.function, wallMs)),
  }))

/** A variable that the proxy binds: its place among all, and what it stands for. */
export type GeneratedVariable = {
  readonly index: number
  readonly function: CqlFunctionName
  /** The marker carries no type, so that its column's type has to be looked at. */
  readonly isBare: boolean
  /** Its name in the text, or null for a `?`. */
  readonly name: string | null
}

export type MarkerPlan = {
  readonly replacements: readonly Replacement[]
  readonly variables: readonly GeneratedVariable[]
  /** Of all variables, the client's and the proxy's. */
  readonly variableCount: number
}

/** `zdm__now`, and numbered where that is taken: by the client's own, or by an earlier call. */
const freeName = (base: string, taken: Set<string>): string => {
  let name = base
  for (let n = 2; taken.has(name); n++) name = `${base}_${n}`
  taken.add(name)
  return name
}

/** For a text that is prepared; `calls` are those of `statement` that are to be replaced. */
export const markerReplacements = (
  statement: StatementCalls,
  calls: readonly FunctionCall[],
): MarkerPlan => {
  const isNamed = statement.markerNames.length > 0
  const taken = new Set(statement.markerNames)
  const replacements: Replacement[] = []
  const variables: GeneratedVariable[] = []
  for (const call of calls) {
    const { name: called } = call.function
    const name = isNamed ? freeName(`zdm__${called.toLowerCase()}`, taken) : null
    const marker = name === null ? '?' : `:${name}`
    replacements.push({ start: call.start, end: call.end, text: withType(call, marker) })
    // Variables are numbered as their markers stand in the text.
    const index = call.markersBefore + variables.length
    variables.push({ index, function: called, isBare: isBare(call), name })
  }
  return { replacements, variables, variableCount: statement.markers + variables.length }
}
