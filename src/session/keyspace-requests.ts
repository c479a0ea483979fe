/**
 * Requests by keyspace (`metrics_keyspaces`). A prepared statement remembers where it counts, so that its
 * executions cost an increment; a text is read up to its first table each time. Bounded.
 */
import { OPCODE_OFFSET } from '../cql/envelope.ts'
import { decodeBatch } from '../cql/messages/batch.ts'
import {
  type BatchVisitor,
  readLongStringLength,
  visitBatchChildren,
} from '../cql/messages/fields.ts'
import { Opcode } from '../cql/protocol.ts'
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
export const OTHER_KEYSPACES = 'other'
const LONG_STRING_OFFSET = 4

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

  /** Counts a QUERY, EXECUTE or BATCH of the request table, whose bytes have been read already. */
  count(request: number, isRead: boolean): void {
    const statement = this.#requests.statement[request]!
    const index =
      statement === null ? this.#indexOfText(request) : this.#indexOfStatement(statement)
    if (isRead) this.#reads[index]!++
    else this.#writes[index]!++
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

  #indexOfText(request: number): number {
    const requests = this.#requests
    const bytes = requests.chunk[request]!
    const start = requests.chunkStart[request]!
    const end = requests.chunkEnd[request]!
    const body = messageStart(bytes, start, end)
    const { traits, keyspace } = requests.session[request]!
    if (bytes[start + OPCODE_OFFSET] === Opcode.BATCH) {
      const child = this.#firstChild
      child.length = 0
      visitBatchChildren(bytes, body, end, traits!, child)
      const found = child.isPrepared ? this.#prepared.find(bytes, child.start, child.length) : null
      if (found !== null) return this.#indexOfStatement(found)
      const named = statementKeyspace(bytes.subarray(child.start, child.start + child.length))
      if (named !== null || !traits!.hasKeyspaceField) return this.#indexOf(named ?? keyspace)
      const batch = decodeBatch(new BodyReader(bytes, body, end), traits!)
      return this.#indexOf(batch.keyspace ?? keyspace)
    }
    const textStart = body + LONG_STRING_OFFSET
    const textEnd = textStart + readLongStringLength(bytes, body, end)
    const named = statementKeyspace(bytes.subarray(textStart, textEnd))
    if (named !== null || !traits!.hasKeyspaceField) return this.#indexOf(named ?? keyspace)
    return this.#indexOf(queryKeyspace(bytes, body, textEnd, end, traits!) ?? keyspace)
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
