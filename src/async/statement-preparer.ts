/**
 * Teaches a node a statement over a connection for copies: to heal an UNPREPARED, and to learn which
 * bind variables are the partition key. Once for all who ask at the same time.
 */
import { readPrepared } from '../cql/messages/answer.ts'
import { Opcode, opcodeName } from '../cql/protocol.ts'
import { equalBytes, type PreparedStatement } from '../prepared/statement.ts'
import { prepareBody } from '../session/healer.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import { ClusterError, ClusterErrorCode } from '../upstream/errors.ts'
import type { CopyPools, CopyPoolsRegistry } from './copy-pools.ts'

export class StatementPreparer {
  readonly #registry: CopyPoolsRegistry
  readonly #underWay = new Map<PreparedStatement, Map<string, Promise<void>>>()
  /** Per statement: for each partition key column the index of its bind variable. */
  readonly #keyIndices = new WeakMap<PreparedStatement, readonly number[]>()

  constructor(registry: CopyPoolsRegistry) {
    this.#registry = registry
  }

  /** Null where it has not been prepared here, or the protocol version does not tell. */
  keyIndices(statement: PreparedStatement): readonly number[] | null {
    return this.#keyIndices.get(statement) ?? null
  }

  /** Resolves when the connection's node knows the statement; rejects with a ClusterError or ProtocolError. */
  prepare(
    statement: PreparedStatement,
    connection: UpstreamConnection,
    pools: CopyPools,
    nowMs: number,
  ): Promise<void> {
    const byNode = this.#underWay.get(statement) ?? new Map<string, Promise<void>>()
    this.#underWay.set(statement, byNode)
    const node = `${connection.cluster} ${connection.node}`
    const known = byNode.get(node)
    if (known !== undefined) return known
    const promise = this.#prepare(statement, connection, pools, nowMs).finally(() => {
      byNode.delete(node)
      if (byNode.size === 0) this.#underWay.delete(statement)
    })
    byNode.set(node, promise)
    return promise
  }

  async #prepare(
    statement: PreparedStatement,
    connection: UpstreamConnection,
    pools: CopyPools,
    nowMs: number,
  ): Promise<void> {
    const { cluster, traits } = connection
    const isNamed = traits.hasKeyspaceField && statement.keyspace !== null
    const isHere = isNamed || statement.keyspace === connection.keyspace
    // Unqualified names mean the keyspace that it was prepared in.
    const { keyspace } = statement
    const other = isHere
      ? connection
      : await this.#registry
          .forProfile({ ...pools.profile, keyspace }, nowMs)
          .pools[cluster].connectionTo(connection.node)
    const answer = await other.call(Opcode.PREPARE, prepareBody(statement, traits))
    const prepared =
      answer.opcode === Opcode.RESULT ? readPrepared(answer.envelope, other.traits) : null
    if (prepared === null) {
      throw new ClusterError(
        ClusterErrorCode.UNEXPECTED,
        cluster,
        `${other.node} answered PREPARE with ${opcodeName(answer.opcode)} that is no PREPARED`,
      )
    }
    const { statementId, variables } = prepared
    if (!equalBytes(statementId, statement.ids[cluster])) {
      statement.learnId(cluster, statementId.slice())
    }
    const indices = variables.partitionKeyIndices ?? []
    if (indices.length > 0) this.#keyIndices.set(statement, indices)
  }
}
