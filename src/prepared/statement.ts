/**
 * A prepared statement as the proxy knows it: the id that clients use, the ids that each cluster
 * gave it, what it is, and the text with which any node can be taught it again.
 */
import type { Cluster } from '../routing/cluster.ts'
import type { StatementClass } from '../statement/classify.ts'

/** What data planes tell each other of a statement. */
export type SharedStatement = {
  /** The id that clients use: Origin's when it was prepared. */
  readonly id: Uint8Array
  /** Per cluster. */
  readonly ids: readonly [Uint8Array, Uint8Array]
  /** Per cluster: the cluster's own in v5, else the proxy's digest of the result's columns. */
  readonly resultMetadataIds: readonly [Uint8Array | null, Uint8Array | null]
  readonly statementClass: StatementClass
  /** The text as the client prepared it, UTF-8. */
  readonly text: Uint8Array
  /** The keyspace that unqualified names mean: PREPARE's own, else the session's. Internal form. */
  readonly keyspace: string | null
}

export class PreparedStatement implements SharedStatement {
  readonly id: Uint8Array
  readonly ids: [Uint8Array, Uint8Array]
  readonly resultMetadataIds: readonly [Uint8Array | null, Uint8Array | null]
  readonly statementClass: StatementClass
  readonly text: Uint8Array
  readonly keyspace: string | null
  /** Per cluster: an EXECUTE can go out with the ids that the client wrote. */
  readonly isVerbatim: [boolean, boolean]
  /** When it was last used, in the turn's milliseconds; the cache forgets the oldest. */
  lastUsedMs: number

  constructor(shared: SharedStatement, nowMs: number) {
    this.id = shared.id
    this.ids = [shared.ids[0], shared.ids[1]]
    this.resultMetadataIds = shared.resultMetadataIds
    this.statementClass = shared.statementClass
    this.text = shared.text
    this.keyspace = shared.keyspace
    this.lastUsedMs = nowMs
    this.isVerbatim = [this.#comparesTo(0), this.#comparesTo(1)]
  }

  /** A node of `cluster` has given the statement another id than the one known. */
  learnId(cluster: Cluster, id: Uint8Array): void {
    this.ids[cluster] = id
    this.isVerbatim[cluster] = this.#comparesTo(cluster)
  }

  share(): SharedStatement {
    const { id, ids, resultMetadataIds, statementClass, text, keyspace } = this
    return { id, ids, resultMetadataIds, statementClass, text, keyspace }
  }

  #comparesTo(cluster: Cluster): boolean {
    const own = this.resultMetadataIds[cluster]
    const known = this.resultMetadataIds[0]
    const sameMetadata = own === null || known === null || equalBytes(own, known)
    return sameMetadata && equalBytes(this.ids[cluster], this.id)
  }
}

export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean => {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
