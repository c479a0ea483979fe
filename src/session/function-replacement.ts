/**
 * Which calls of a write are replaced (request-path §3.4), by the settings and by where they stand; what
 * is left to the clusters is reported. Then a PREPARE with markers in their place, and what its client
 * gets to see of it.
 */
import { createHash } from 'node:crypto'
import { FLAGS_OFFSET, HEADER_LENGTH } from '../cql/envelope.ts'
import { EnvelopeEdits } from '../cql/envelope-edits.ts'
import { LONG_STRING_OFFSET, skipResponsePrefix } from '../cql/messages/fields.ts'
import type { ColumnSpec, VariablesMetadata } from '../cql/messages/metadata.ts'
import { encodeResult, type PreparedResult } from '../cql/messages/result.ts'
import type { VersionTraits } from '../cql/protocol.ts'
import { BodyWriter } from '../cql/writer.ts'
import {
  CallPlace,
  type FunctionCall,
  findFunctionCalls,
  mayCallFunction,
  type StatementCalls,
} from '../statement/function-calls.ts'
import type { FunctionValues } from '../statement/function-values.ts'
import { type CqlFunction, type CqlFunctionName, cqlFunction } from '../statement/functions.ts'
import {
  type GeneratedVariable,
  type MarkerPlan,
  markerReplacements,
} from '../statement/replacement.ts'
import type { UnreplacedFunctions, UnreplacedReason } from './unreplaced-functions.ts'

export type ReplacementContext = {
  /** Empty where replacement is off. */
  readonly functions: ReadonlySet<CqlFunctionName>
  readonly values: FunctionValues
  readonly unreplaced: UnreplacedFunctions
  onReplaced(calls: number): void
}

/** A PREPARE whose functions are to become variables. */
export type PreparePlan = MarkerPlan & {
  readonly text: Uint8Array
  /** The envelope with that text. */
  readonly envelope: Uint8Array
  /** The clusters did not take it: each evaluates for itself. */
  reportRefused(): void
}

export class FunctionReplacement {
  readonly values: FunctionValues
  readonly #context: ReplacementContext

  constructor(context: ReplacementContext) {
    this.#context = context
    this.values = context.values
  }

  onReplaced(calls: number): void {
    this.#context.onReplaced(calls)
  }

  /** The calls in a text that runs once that are to be replaced, in order. Reports the others. */
  callsInText(bytes: Uint8Array, start: number, end: number): readonly FunctionCall[] {
    const statement = findFunctionCalls(bytes, start, end)
    const text = bytes.subarray(start, end)
    this.#reportJson(statement, text)
    return this.#enabled(statement, text)
  }

  /** Null where nothing is to be replaced. `envelope` is the PREPARE, its message proper at `body`. */
  planPrepare(envelope: Uint8Array, body: number, text: Uint8Array): PreparePlan | null {
    const isCalling = mayCallFunction(text, 0, text.length)
    if (!isCalling) return null
    const statement = findFunctionCalls(text, 0, text.length)
    this.#reportJson(statement, text)
    const enabled = this.#enabled(statement, text)
    const inCollection = enabled.filter(({ place }) => place === CallPlace.COLLECTION)
    this.#report('collection', inCollection, statement, text)
    const calls = enabled.filter(({ place }) => place !== CallPlace.COLLECTION)
    if (calls.length === 0) return null
    const plan = markerReplacements(statement, calls)
    return {
      ...plan,
      ...withMarkers(envelope, body, text, plan),
      reportRefused: () => this.#report('refused', calls, statement, text),
    }
  }

  #enabled(statement: StatementCalls, text: Uint8Array): FunctionCall[] {
    const isOn = (call: FunctionCall): boolean => this.#context.functions.has(call.function.name)
    this.#report(
      'off',
      statement.calls.filter((call) => !isOn(call)),
      statement,
      text,
    )
    return statement.calls.filter(isOn)
  }

  #report(
    reason: UnreplacedReason,
    calls: readonly { readonly function: CqlFunction }[],
    { shape }: StatementCalls,
    text: Uint8Array,
  ): void {
    if (calls.length === 0) return
    const functions = calls.map((call) => call.function)
    this.#context.unreplaced.report(reason, functions, shape, text)
  }

  #reportJson(statement: StatementCalls, text: Uint8Array): void {
    const { inJson, shape } = statement
    if (inJson.length > 0) this.#context.unreplaced.report('json', inJson, shape, text)
  }
}

const withMarkers = (
  envelope: Uint8Array,
  body: number,
  text: Uint8Array,
  { replacements }: MarkerPlan,
): { text: Uint8Array; envelope: Uint8Array } => {
  const textStart = body + LONG_STRING_OFFSET
  const writer = new BodyWriter(text.length + 64)
  let copied = 0
  for (const replacement of replacements) {
    writer.writeRaw(text.subarray(copied, replacement.start)).writeRaw(replacement.text)
    copied = replacement.end
  }
  const replaced = writer.writeRaw(text.subarray(copied)).toBytes()
  const edits = new EnvelopeEdits()
  const field = new BodyWriter().writeLongString(replaced).toBytes()
  edits.replace(body, textStart + text.length, field)
  return { text: replaced, envelope: edits.apply(envelope, 0, envelope.length) }
}

const messageStart = (envelope: Uint8Array): number =>
  skipResponsePrefix(envelope, HEADER_LENGTH, envelope.length, envelope[FLAGS_OFFSET]!)

const takesValue = (column: ColumnSpec, variable: GeneratedVariable): boolean => {
  if (variable.name !== null && column.name !== variable.name) return false
  // A marker with a type has been checked by the cluster.
  if (!variable.isBare) return true
  const { type } = column
  return type.kind === 'native' && cqlFunction(variable.function).columnTypeIds.includes(type.id)
}

/** Whether a cluster has understood the markers as they were meant: each in its place, of its type. */
export const isAsPlanned = (plan: MarkerPlan, { columns }: VariablesMetadata): boolean =>
  columns.length === plan.variableCount &&
  plan.variables.every((variable) => takesValue(columns[variable.index]!, variable))

/**
 * The variables that the client binds. Where the proxy binds a part of the partition key nobody else can
 * compute it: then no index is told, as for a call in the statement.
 */
export const clientVariables = (
  { columns, globalTable, partitionKeyIndices, ...others }: VariablesMetadata,
  generated: readonly GeneratedVariable[],
): VariablesMetadata => {
  const hidden = new Set(generated.map(({ index }) => index))
  const shown = columns.filter((_, index) => !hidden.has(index))
  const isKeyHidden = partitionKeyIndices?.some((index) => hidden.has(index)) ?? false
  const renumber = (index: number): number =>
    index - generated.filter((variable) => variable.index < index).length
  return {
    ...others,
    columns: shown,
    ...(globalTable !== undefined && shown.length > 0 && { globalTable }),
    ...(partitionKeyIndices !== undefined && {
      partitionKeyIndices: isKeyHidden ? [] : partitionKeyIndices.map(renumber),
    }),
  }
}

/**
 * The id that clients get: their own text's, for texts that differ may have become one. Made of nothing
 * but what every instance of a fleet sees alike.
 */
export const clientStatementId = (originId: Uint8Array, text: Uint8Array): Uint8Array =>
  new Uint8Array(createHash('md5').update(originId).update(text).digest())

/** Origin's answer as the client is to see it, what stands before the message proper included. */
export const clientPrepared = (
  envelope: Uint8Array,
  prepared: PreparedResult,
  id: Uint8Array,
  generated: readonly GeneratedVariable[],
  traits: VersionTraits,
): Uint8Array => {
  const variables = clientVariables(prepared.variables, generated)
  const body = encodeResult(new BodyWriter(), { ...prepared, statementId: id, variables }, traits)
  const edits = new EnvelopeEdits()
  edits.replace(messageStart(envelope), envelope.length, body.toBytes())
  return edits.apply(envelope, 0, envelope.length)
}
