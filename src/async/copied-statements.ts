/**
 * Statements that copies of reads execute: taught to nodes over the copies' own connections, and which of
 * their bind variables are the partition key.
 */
import { readPrepared } from '../cql/messages/answer.ts'
import type { PreparedStatement } from '../prepared/statement.ts'
import { StatementPreparer } from '../session/statement-preparer.ts'
import type { Turn } from '../turn.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { CopyPools, CopyPoolsRegistry } from './copy-pools.ts'

export class CopiedStatements {
  readonly #registry: CopyPoolsRegistry
  readonly #preparer: StatementPreparer
  /** Per statement: for each partition key column the index of its bind variable. */
  readonly #keyIndices = new WeakMap<PreparedStatement, readonly number[]>()

  constructor(registry: CopyPoolsRegistry, turn: Turn) {
    this.#registry = registry
    this.#preparer = new StatementPreparer(turn)
  }

  /** Null where it has not been prepared here, or the protocol version does not tell. */
  keyIndices(statement: PreparedStatement): readonly number[] | null {
    return this.#keyIndices.get(statement) ?? null
  }

  /** Resolves when the connection's node knows the statement; rejects with a ClusterError or ProtocolError. */
  async prepare(
    statement: PreparedStatement,
    connection: UpstreamConnection,
    pools: CopyPools,
    nowMs: number,
  ): Promise<void> {
    const { cluster, node, traits } = connection
    const { envelope } = await this.#preparer.prepare(
      statement,
      connection,
      async (keyspace, call) => {
        const inKeyspace = this.#registry.forProfile({ ...pools.profile, keyspace }, nowMs)
        return call(await inKeyspace.pools[cluster].connectionTo(node))
      },
    )
    if (this.#keyIndices.has(statement)) return
    const indices = readPrepared(envelope, traits)?.variables.partitionKeyIndices ?? []
    if (indices.length > 0) this.#keyIndices.set(statement, indices)
  }
}
