/**
 * Requests by keyspace (`metrics_keyspaces`). A prepared statement remembers where it counts, so that its
 * executions cost an increment; a text is read up to its first table each time. Bounded.
 */
import { OPCODE_OFFSET } from '../cql/envelope.ts'
import { ProtocolError } from '../cql/errors.ts'
import { decodeBatch } from '../cql/messages/batch.ts'
import {
  type BatchVisitor,
  readLongStringLength,
  visitBatchChildren,
} from '../cql/messages/fields.ts'
import { Opcode, type VersionTraits } from '../cql/protocol.ts'
import { BodyReader } from '../cql/reader.ts'
import type { KeyspaceCount } from '../metrics/plane-series.ts'
import type { PreparedCache } from '../prepared/cache.ts'
import { KEYSPACE_UNKNOWN, type PreparedStatement } from '../prepared/statement.ts'
import { statementKeyspace } from '../statement/statement-keyspace.ts'
import { queryKeyspace } from './query-keyspace.ts'
import type { RequestTable } from './request-table.ts'
import { messageStart } from './upstream-request.ts'

/** Keyspaces told apart; what comes beyond counts as `other`. */
export const KEYSPACES_MAX = 100
const OTHER_KEYSPACES = 'other'
const LONG_STRING_OFFSET = 4

export type DescribedStatement = { readonly text: Uint8Array; readonly keyspace: string | null }

export class KeyspaceRequests {
  readonly #requests: RequestTable
  readonly #prepared: PreparedCache
  readonly #firstChild = new FirstChild()
  /** Indices into the counts; the last one is that of the others. */
  readonly #indices = new Map<string, number>()
  readonly #reads = new Float64Array(KEYSPACES_MAX + 1)
  readonly #writes = new Float64Array(KEYSPACES_MAX + 1)

  constructor(requests: RequestTable, prepared: PreparedCache) {
    this.#requests = requests
    this.#prepared = prepared
  }

  /** Counts a QUERY, EXECUTE or BATCH of the request table, which has been read already. */
  count(request: number, isRead: boolean): void {
    const statement = this.#statementOf(request)
    const index =
      statement === null
        ? this.#indexOf(this.#describeText(request).keyspace)
        : this.#indexOfStatement(statement)
    if (isRead) this.#reads[index]!++
    else this.#writes[index]!++
  }

  /** The statement's text, of a batch its first one's, and the keyspace that it is in. */
  describe(request: number): DescribedStatement {
    const statement = this.#statementOf(request)
    if (statement === null) return this.#describeText(request)
    const { text } = statement
    return { text, keyspace: statementKeyspace(text) ?? statement.keyspace }
  }

  toSeries(): readonly KeyspaceCount[] {
    const names = [...this.#indices.keys(), OTHER_KEYSPACES]
    return names
      .map((keyspace) => ({ keyspace, index: this.#indices.get(keyspace) ?? KEYSPACES_MAX }))
      .map(({ keyspace, index }) => ({
        keyspace,
        reads: this.#reads[index]!,
        writes: this.#writes[index]!,
      }))
      .filter(({ reads, writes }) => reads + writes > 0)
  }

  #indexOfStatement(statement: PreparedStatement): number {
    if (statement.keyspaceIndex === KEYSPACE_UNKNOWN) {
      const keyspace = statementKeyspace(statement.text) ?? statement.keyspace
      statement.keyspaceIndex = this.#indexOf(keyspace)
    }
    return statement.keyspaceIndex
  }

  /** Of an EXECUTE, or of a BATCH that begins with one. */
  #statementOf(request: number): PreparedStatement | null {
    const requests = this.#requests
    const bytes = requests.chunk[request]!
    const start = requests.chunkStart[request]!
    const own = requests.statement[request]!
    if (own !== null || bytes[start + OPCODE_OFFSET] !== Opcode.BATCH) return own
    const child = this.#firstChild
    child.length = 0
    const end = requests.chunkEnd[request]!
    const { traits } = requests.session[request]!
    visitBatchChildren(bytes, messageStart(bytes, start, end), end, traits!, child)
    return child.isPrepared ? this.#prepared.find(bytes, child.start, child.length) : null
  }

  /** Behind `#statementOf`, which has found the first child of a BATCH. */
  #describeText(request: number): DescribedStatement {
    const requests = this.#requests
    const bytes = requests.chunk[request]!
    const start = requests.chunkStart[request]!
    const end = requests.chunkEnd[request]!
    const { traits, keyspace } = requests.session[request]!
    const body = messageStart(bytes, start, end)
    const isBatch = bytes[start + OPCODE_OFFSET] === Opcode.BATCH
    const { start: childStart, length: childLength } = this.#firstChild
    const textStart = isBatch ? childStart : body + LONG_STRING_OFFSET
    const length = isBatch ? childLength : readLongStringLength(bytes, body, end)
    const text = bytes.subarray(textStart, textStart + length)
    const named = statementKeyspace(text)
    if (named !== null || !traits!.hasKeyspaceField) return { text, keyspace: named ?? keyspace }
    const own = isBatch
      ? batchKeyspace(bytes, body, end, traits!)
      : queryKeyspace(bytes, body, textStart + length, end, traits!)
    return { text, keyspace: own ?? keyspace }
  }

  /** Requests outside of any keyspace have an empty name. */
  #indexOf(keyspace: string | null): number {
    const name = keyspace ?? ''
    const known = this.#indices.get(name)
    if (known !== undefined) return known
    if (this.#indices.size >= KEYSPACES_MAX || name === OTHER_KEYSPACES) return KEYSPACES_MAX
    const index = this.#indices.size
    this.#indices.set(name, index)
    return index
  }
}

/** The keyspace field; null also where what is in front of it cannot be read: the clusters will say so. */
const batchKeyspace = (
  bytes: Uint8Array,
  body: number,
  end: number,
  traits: VersionTraits,
): string | null => {
  try {
    return decodeBatch(new BodyReader(bytes, body, end), traits).keyspace ?? null
  } catch (error) {
    if (error instanceof ProtocolError) return null
    throw error
  }
}

/** Where a batch's first child lies; all of it counts there. */
class FirstChild implements BatchVisitor {
  isPrepared = false
  start = 0
  length = 0

  onPrepared(idStart: number, idLength: number): void {
    this.#take(true, idStart, idLength)
  }

  onQuery(textStart: number, textLength: number): void {
    this.#take(false, textStart, textLength)
  }

  #take(isPrepared: boolean, start: number, length: number): void {
    if (this.length > 0) return
    this.isPrepared = isPrepared
    this.start = start
    this.length = length
  }
}
