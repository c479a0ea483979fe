/**
 * Writes that failed, by table and by the cluster that may lack them: what an operator must compare before
 * going on, or before going back. Filled on the way of failures only; bounded.
 */
import { OPCODE_OFFSET } from '../cql/envelope.ts'
import { decodeBatch } from '../cql/messages/batch.ts'
import { decodeQuery } from '../cql/messages/query.ts'
import { Opcode, type VersionTraits } from '../cql/protocol.ts'
import { BodyReader } from '../cql/reader.ts'
import type { FailedTable } from '../metrics/plane-series.ts'
import type { PreparedCache } from '../prepared/cache.ts'
import type { PreparedStatement } from '../prepared/statement.ts'
import { type WriteTarget, writeTargets } from '../statement/write-target.ts'
import { messageStart } from './upstream-request.ts'

/** Tables told apart; what comes beyond is counted under no name. */
const TABLES_MAX = 500
const ORIGIN_BIT = 1
const TARGET_BIT = 2

/** A request as it came, and what is needed to understand it. */
export type FailedRequest = {
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
  readonly traits: VersionTraits
  /** The session's. */
  readonly keyspace: string | null
  /** Of an EXECUTE. */
  readonly statement: PreparedStatement | null
  readonly prepared: PreparedCache
}

export type NamedTable = { readonly keyspace: string; readonly table: string }

export const NO_TABLE: NamedTable = { keyspace: '', table: '' }

const named = (targets: readonly WriteTarget[], keyspace: string | null): readonly NamedTable[] =>
  targets.map((target) => ({ keyspace: target.keyspace ?? keyspace ?? '', table: target.table }))

const encoder = new TextEncoder()
const bytesOf = (text: string | Uint8Array): Uint8Array =>
  typeof text === 'string' ? encoder.encode(text) : text

const tablesOf = (request: FailedRequest): readonly NamedTable[] => {
  const { bytes, start, end, traits, keyspace, statement, prepared } = request
  if (statement !== null) return named(writeTargets(statement.text), statement.keyspace)
  const reader = new BodyReader(bytes, messageStart(bytes, start, end), end)
  if (bytes[start + OPCODE_OFFSET] === Opcode.QUERY) {
    const { text, parameters } = decodeQuery(reader, traits)
    return named(writeTargets(bytesOf(text)), parameters.keyspace ?? keyspace)
  }
  const batch = decodeBatch(reader, traits)
  return batch.children.flatMap((child) => {
    if (child.kind === 'query') {
      return named(writeTargets(bytesOf(child.text)), batch.keyspace ?? keyspace)
    }
    const known = prepared.find(child.statementId, 0, child.statementId.length)
    return known === null ? [] : named(writeTargets(known.text), known.keyspace)
  })
}

export class FailedWriteTables {
  readonly #tables = new Map<string, FailedTable>()
  readonly #wallMs: () => number

  constructor(wallMs: () => number) {
    this.#wallMs = wallMs
  }

  /**
   * `missing` has a bit per cluster that failed, or that did not answer in time. Returns what was written to:
   * both names are '' where that cannot be told.
   */
  note(missing: number, request: FailedRequest): readonly NamedTable[] {
    const tables = new Map(this.#tablesOf(request).map((table) => [keyOf(table), table]))
    const nowMs = this.#wallMs()
    for (const [key, { keyspace, table }] of tables) {
      const row = this.#row(key, keyspace, table, nowMs)
      row.lastMs = nowMs
      if (missing === ORIGIN_BIT) row.originOnly++
      else if (missing === TARGET_BIT) row.targetOnly++
      else row.both++
    }
    return [...tables.values()]
  }

  toSeries(): readonly FailedTable[] {
    return [...this.#tables.values()].map((row) => ({ ...row }))
  }

  #tablesOf(request: FailedRequest): readonly NamedTable[] {
    try {
      const tables = tablesOf(request)
      return tables.length === 0 ? [NO_TABLE] : tables
    } catch {
      // A body that we cannot read: the clusters could not either. It has no table, and counts all the same.
      return [NO_TABLE]
    }
  }

  #row(key: string, keyspace: string, table: string, nowMs: number): FailedTable {
    const known = this.#tables.get(key)
    if (known !== undefined) return known
    const isFull = this.#tables.size >= TABLES_MAX && key !== keyOf(NO_TABLE)
    if (isFull) return this.#row(keyOf(NO_TABLE), '', '', nowMs)
    const counts = { originOnly: 0, targetOnly: 0, both: 0 }
    const made = { keyspace, table, ...counts, firstMs: nowMs, lastMs: nowMs }
    this.#tables.set(key, made)
    return made
  }
}

const keyOf = ({ keyspace, table }: NamedTable): string => `${keyspace}\0${table}`
