/**
 * Requests that cannot go out as they came: values in the place of non-deterministic functions, and a
 * write time where `unify_write_timestamps` asks for one (request-path §3.4, §3.5). The result is a new
 * envelope, made once and sent to both clusters, and again should a node have to be healed. Null
 * means that the client's bytes do.
 */
import { EnvelopeEdits } from '../cql/envelope-edits.ts'
import { readPrepared } from '../cql/messages/answer.ts'
import {
  type BatchVisitor,
  LONG_STRING_OFFSET,
  SHORT_BYTES_OFFSET,
  visitBatchChildren,
} from '../cql/messages/fields.ts'
import { findParameterFields, type ParameterFields } from '../cql/messages/parameter-fields.ts'
import { BatchType, QueryFlag, TypeId, type VersionTraits } from '../cql/protocol.ts'
import { BodyReader } from '../cql/reader.ts'
import { BodyWriter } from '../cql/writer.ts'
import type { PreparedCache } from '../prepared/cache.ts'
import type { PreparedStatement, StatementRewrite } from '../prepared/statement.ts'
import { classifyStatement, KeyspaceClass, StatementClass } from '../statement/classify.ts'
import { mayCallFunction } from '../statement/function-calls.ts'
import { cqlFunction } from '../statement/functions.ts'
import { literalReplacements } from '../statement/replacement.ts'
import { WriteTimestamp, writeTimestampOf } from '../statement/write-timestamp.ts'
import type { FunctionReplacement } from './function-replacement.ts'
import { insertValues } from './value-insertion.ts'
import type { WriteClock } from './write-clock.ts'

export type RewriterContext = {
  readonly replacement: FunctionReplacement
  readonly prepared: PreparedCache
  /** Null where the setting is off. */
  readonly writeClock: WriteClock | null
  wallMs(): number
  /** A request has got a write time. */
  onTimestampSet(): void
}

export class RequestRewriter {
  readonly #context: RewriterContext

  constructor(context: RewriterContext) {
    this.#context = context
  }

  /** Whether every write has to come by, and not only those with functions. */
  get setsTimestamps(): boolean {
    return this.#context.writeClock !== null
  }

  /** What executions of a prepared write need whose functions were not replaced. */
  rewriteOf(
    text: Uint8Array,
    prepared: Uint8Array,
    traits: VersionTraits,
  ): StatementRewrite | null {
    if (!this.setsTimestamps) return null
    const columns = readPrepared(prepared, traits)?.variables.columns ?? []
    const counts = columns.some(({ type }) => type.kind === 'native' && type.id === TypeId.COUNTER)
    const writeTimestamp = counts
      ? WriteTimestamp.OF_SERVER
      : writeTimestampOf(text, 0, text.length)
    return { generated: [], names: [], writeTimestamp }
  }

  /** A QUERY of class WRITE, its text at `[textStart, textEnd)`. */
  query(
    bytes: Uint8Array,
    start: number,
    end: number,
    textStart: number,
    textEnd: number,
    traits: VersionTraits,
  ): Uint8Array | null {
    const edits = new EnvelopeEdits()
    if (mayCallFunction(bytes, textStart, textEnd)) {
      this.#replaceInText(edits, bytes, textStart, textEnd)
    }
    if (this.setsTimestamps && traits.hasDefaultTimestamp) {
      const fields = findParameterFields(new BodyReader(bytes, textEnd, end), traits, false)
      if (writeTimestampOf(bytes, textStart, textEnd) === WriteTimestamp.OF_REQUEST) {
        this.#setTimestamp(edits, fields, fields.flags, traits)
      }
    }
    return edits.isEmpty ? null : edits.apply(bytes, start, end)
  }

  /** An EXECUTE of a statement that needs it; `body` is where the message proper begins. */
  execute(
    bytes: Uint8Array,
    start: number,
    end: number,
    body: number,
    rewrite: StatementRewrite,
    traits: VersionTraits,
  ): Uint8Array | null {
    const reader = new BodyReader(bytes, body, end)
    reader.readShortBytes('statement id')
    if (traits.hasResultMetadataId) reader.readShortBytes('result metadata id')
    const fields = findParameterFields(reader, traits, false)
    const edits = new EnvelopeEdits()
    let flags = fields.flags
    let values: Uint8Array | null = null
    if (rewrite.generated.length > 0) {
      const hasNames = (flags & QueryFlag.NAMES_FOR_VALUES) !== 0
      const given = new BodyReader(bytes, fields.valuesStart, fields.valuesEnd)
      values = insertValues(given, hasNames, rewrite, this.#generate(rewrite))
      flags = (flags | QueryFlag.VALUES) & ~QueryFlag.NAMES_FOR_VALUES
    }
    const isStamped = this.#takesTimestamp(rewrite.writeTimestamp, flags, traits)
    if (isStamped) flags |= QueryFlag.DEFAULT_TIMESTAMP
    if (flags !== fields.flags) {
      edits.replace(fields.flagsStart, fields.flagsEnd, encodeFlags(flags, traits))
    }
    if (values !== null) edits.replace(fields.valuesStart, fields.valuesEnd, values)
    if (isStamped) this.#insertTimestamp(edits, fields)
    return edits.isEmpty ? null : edits.apply(bytes, start, end)
  }

  /** A BATCH whose prepared children are all known; `body` is where the message proper begins. */
  batch(
    bytes: Uint8Array,
    start: number,
    end: number,
    body: number,
    traits: VersionTraits,
  ): Uint8Array | null {
    const edits = new EnvelopeEdits()
    const children = new BatchChildren(bytes, this.#context.prepared)
    const behind = visitBatchChildren(bytes, body, end, traits, children)
    // A child ends where the next one's kind begins.
    for (const [at, child] of children.list.entries()) {
      const childEnd = children.list[at + 1]?.start ?? behind
      const valuesStart = child.contentStart + child.length
      if (child.statement === null) {
        const isWrite = classOf(bytes, child.contentStart, valuesStart) === StatementClass.WRITE
        if (isWrite) this.#replaceInText(edits, bytes, child.contentStart, valuesStart)
      } else if (child.statement.rewrite !== null && child.statement.rewrite.generated.length > 0) {
        const { rewrite } = child.statement
        const given = new BodyReader(bytes, valuesStart, childEnd)
        edits.replace(
          valuesStart,
          childEnd,
          insertValues(given, false, rewrite, this.#generate(rewrite)),
        )
      }
    }
    const mayHaveTimestamp = this.setsTimestamps && traits.hasDefaultTimestamp
    if (mayHaveTimestamp && bytes[body] !== BatchType.COUNTER && children.takeTimestamp()) {
      const fields = findParameterFields(new BodyReader(bytes, behind, end), traits, true)
      this.#setTimestamp(edits, fields, fields.flags, traits)
    }
    return edits.isEmpty ? null : edits.apply(bytes, start, end)
  }

  /** Replaces what a text calls, and corrects its [int] length in front. */
  #replaceInText(
    edits: EnvelopeEdits,
    bytes: Uint8Array,
    textStart: number,
    textEnd: number,
  ): void {
    const { replacement } = this.#context
    const calls = replacement.callsInText(bytes, textStart, textEnd)
    if (calls.length === 0) return
    const literals = literalReplacements(calls, replacement.values, this.#context.wallMs())
    const grownBy = literals.reduce(
      (sum, { start, end, text }) => sum + text.length - (end - start),
      0,
    )
    const length = new BodyWriter(4).writeInt(textEnd - textStart + grownBy).toBytes()
    edits.replace(textStart - LONG_STRING_OFFSET, textStart, length)
    for (const { start, end, text } of literals) edits.replace(start, end, text)
    replacement.onReplaced(calls.length)
  }

  #generate(rewrite: StatementRewrite): Uint8Array[] {
    const { replacement } = this.#context
    const wallMs = this.#context.wallMs()
    replacement.onReplaced(rewrite.generated.length)
    return rewrite.generated.map((variable) =>
      replacement.values.next(cqlFunction(variable.function), wallMs),
    )
  }

  #takesTimestamp(writeTimestamp: WriteTimestamp, flags: number, traits: VersionTraits): boolean {
    return (
      this.setsTimestamps &&
      traits.hasDefaultTimestamp &&
      writeTimestamp === WriteTimestamp.OF_REQUEST &&
      (flags & QueryFlag.DEFAULT_TIMESTAMP) === 0
    )
  }

  #setTimestamp(
    edits: EnvelopeEdits,
    fields: ParameterFields,
    flags: number,
    traits: VersionTraits,
  ): void {
    if (!this.#takesTimestamp(WriteTimestamp.OF_REQUEST, flags, traits)) return
    const stamped = encodeFlags(flags | QueryFlag.DEFAULT_TIMESTAMP, traits)
    edits.replace(fields.flagsStart, fields.flagsEnd, stamped)
    this.#insertTimestamp(edits, fields)
  }

  #insertTimestamp(edits: EnvelopeEdits, { timestampStart }: ParameterFields): void {
    const timestamp = this.#context.writeClock!.next(this.#context.wallMs())
    const field = new BodyWriter(8).writeLong(timestamp).toBytes()
    edits.replace(timestampStart, timestampStart, field)
    this.#context.onTimestampSet()
  }
}

const encodeFlags = (flags: number, traits: VersionTraits): Uint8Array =>
  traits.hasIntFlags
    ? new BodyWriter(4).writeInt(flags).toBytes()
    : new BodyWriter(1).writeByte(flags).toBytes()

const classOf = (bytes: Uint8Array, start: number, end: number): StatementClass =>
  classifyStatement(bytes, start, end, KeyspaceClass.USER)

type Child = {
  /** Of its kind. */
  readonly start: number
  /** Of its id's or text's own bytes. */
  readonly contentStart: number
  readonly length: number
  /** Null for a text. */
  readonly statement: PreparedStatement | null
}

class BatchChildren implements BatchVisitor {
  readonly list: Child[] = []
  readonly #bytes: Uint8Array
  readonly #prepared: PreparedCache

  constructor(bytes: Uint8Array, prepared: PreparedCache) {
    this.#bytes = bytes
    this.#prepared = prepared
  }

  onPrepared(contentStart: number, length: number): void {
    const statement = this.#prepared.find(this.#bytes, contentStart, length)
    const start = contentStart - SHORT_BYTES_OFFSET - 1
    this.list.push({ start, contentStart, length, statement })
  }

  onQuery(contentStart: number, length: number): void {
    const start = contentStart - LONG_STRING_OFFSET - 1
    this.list.push({ start, contentStart, length, statement: null })
  }

  /** Some child takes the request's write time, and none makes it the server's matter. */
  takeTimestamp(): boolean {
    const uses = this.list.map((child) => this.#writeTimestamp(child))
    return uses.includes(WriteTimestamp.OF_REQUEST) && !uses.includes(WriteTimestamp.OF_SERVER)
  }

  #writeTimestamp({ statement, contentStart, length }: Child): WriteTimestamp {
    if (statement !== null) return statement.rewrite?.writeTimestamp ?? WriteTimestamp.OF_SERVER
    const end = contentStart + length
    // What is no write has no place in a batch: the cluster is to say so.
    return classOf(this.#bytes, contentStart, end) === StatementClass.WRITE
      ? writeTimestampOf(this.#bytes, contentStart, end)
      : WriteTimestamp.OF_SERVER
  }
}
