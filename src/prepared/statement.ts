/**
 * A prepared statement as the proxy knows it: the id that clients use, the ids that each cluster
 * gave it, what it is, and the text with which any node can be taught it again.
 */
import type { Cluster } from '../routing/cluster.ts'
import type { StatementClass } from '../statement/classify.ts'
import type { GeneratedVariable } from '../statement/replacement.ts'
import type { WriteTimestamp } from '../statement/write-timestamp.ts'

/** What every execution of a statement needs beside other ids; null where it needs nothing. */
export type StatementRewrite = {
  /** The variables that the proxy binds, in order; the client does not know of them. */
  readonly generated: readonly GeneratedVariable[]
  /** The names of all variables, for clients that bind by name. */
  readonly names: readonly string[]
  readonly writeTimestamp: WriteTimestamp
}

/** What data planes tell each other of a statement. */
export type SharedStatement = {
  /**
   * The id that clients use: Origin's when it was prepared; one of the proxy's own where functions were
   * replaced, for different statements may have become the same text.
   */
  readonly id: Uint8Array
  /** Per cluster. */
  readonly ids: readonly [Uint8Array, Uint8Array]
  /** Per cluster: of the result's columns; null where they could not be read. */
  readonly columnDigests: readonly [Uint8Array | null, Uint8Array | null]
  readonly statementClass: StatementClass
  /** The text that the clusters know, UTF-8: the client's, with functions replaced. */
  readonly text: Uint8Array
  /** The keyspace that unqualified names mean: PREPARE's own, else the session's. Internal form. */
  readonly keyspace: string | null
  readonly rewrite?: StatementRewrite | null
}

/** The value of `keyspaceIndex` before the statement has been counted. */
export const KEYSPACE_UNKNOWN = -1

export class PreparedStatement implements SharedStatement {
  readonly id: Uint8Array
  readonly ids: [Uint8Array, Uint8Array]
  readonly columnDigests: readonly [Uint8Array | null, Uint8Array | null]
  readonly statementClass: StatementClass
  readonly text: Uint8Array
  readonly keyspace: string | null
  readonly rewrite: StatementRewrite | null
  /** Per cluster: its rows have other columns than Origin's PREPARED told the client. */
  readonly hasOtherColumns: readonly [boolean, boolean]
  /** Per cluster: an EXECUTE can go out as the client wrote it. */
  readonly isVerbatim: [boolean, boolean]
  /** When it was last used, in the turn's milliseconds; the cache forgets the oldest. */
  lastUsedMs: number
  /** Where its executions count by keyspace (session/keyspace-requests.ts). */
  keyspaceIndex = KEYSPACE_UNKNOWN

  constructor(shared: SharedStatement, nowMs: number) {
    this.id = shared.id
    this.ids = [shared.ids[0], shared.ids[1]]
    this.columnDigests = shared.columnDigests
    this.hasOtherColumns = [false, differ(shared.columnDigests[0], shared.columnDigests[1])]
    this.statementClass = shared.statementClass
    this.text = shared.text
    this.keyspace = shared.keyspace
    this.rewrite = shared.rewrite ?? null
    this.lastUsedMs = nowMs
    this.isVerbatim = [this.#comparesTo(0), this.#comparesTo(1)]
  }

  /** A node of `cluster` has given the statement another id than the one known. */
  learnId(cluster: Cluster, id: Uint8Array): void {
    this.ids[cluster] = id
    this.isVerbatim[cluster] = this.#comparesTo(cluster)
  }

  share(): SharedStatement {
    const { id, ids, columnDigests, statementClass, text, keyspace, rewrite } = this
    return { id, ids, columnDigests, statementClass, text, keyspace, rewrite }
  }

  #comparesTo(cluster: Cluster): boolean {
    return !this.hasOtherColumns[cluster] && equalBytes(this.ids[cluster], this.id)
  }
}

const differ = (a: Uint8Array | null, b: Uint8Array | null): boolean =>
  a !== null && b !== null && !equalBytes(a, b)

export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean => {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
