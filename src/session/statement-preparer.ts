/**
 * Teaches a node a statement that it does not know, or not any more: in the keyspace in which it was
 * prepared first, and once for all who ask at the same time. For clients' requests and for copies.
 */
import { encodePrepare } from '../cql/messages/prepare.ts'
import { Opcode, opcodeName, type VersionTraits } from '../cql/protocol.ts'
import { BodyWriter } from '../cql/writer.ts'
import { type PreparedIds, readPreparedIds } from '../prepared/prepared-ids.ts'
import { equalBytes, type PreparedStatement } from '../prepared/statement.ts'
import type { Turn } from '../turn.ts'
import type { CallAnswer, UpstreamConnection } from '../upstream/connection.ts'
import { ClusterError, ClusterErrorCode } from '../upstream/errors.ts'
import { SharedCalls } from '../upstream/shared-calls.ts'

/** Calls over a connection to the same node that is in another keyspace. Rejects with a ClusterError. */
export type CallInKeyspace = (
  keyspace: string | null,
  call: (connection: UpstreamConnection) => Promise<CallAnswer>,
) => Promise<CallAnswer>

/** A node's PREPARED, whole and as far as it is remembered. */
export type Taught = PreparedIds & { readonly envelope: Uint8Array }

export class StatementPreparer {
  readonly #calls: SharedCalls

  constructor(turn: Turn) {
    this.#calls = new SharedCalls(turn)
  }

  /**
   * Resolves when the connection's node knows the statement, under the id that the statement then has
   * there. Rejects with a ClusterError, which has the node's ERROR where it has refused.
   */
  async prepare(
    statement: PreparedStatement,
    connection: UpstreamConnection,
    callInKeyspace: CallInKeyspace,
  ): Promise<Taught> {
    const { cluster, node, traits } = connection
    const { keyspace } = statement
    const call = (on: UpstreamConnection): Promise<CallAnswer> =>
      on.call(Opcode.PREPARE, prepareBody(statement, traits))
    // Unqualified names mean the keyspace that it was prepared in.
    const isNamed = traits.hasKeyspaceField && keyspace !== null
    const isHere = isNamed || keyspace === connection.keyspace
    const id = Buffer.from(statement.id).toString('hex')
    const { opcode, envelope } = await this.#calls.ask(connection, id, () =>
      isHere ? call(connection) : callInKeyspace(keyspace, call),
    )
    const ids = readPreparedIds(envelope, traits)
    if (ids === null) {
      throw new ClusterError(
        ClusterErrorCode.UNEXPECTED,
        cluster,
        `${node} answered PREPARE with ${opcodeName(opcode)} that is no PREPARED; the statement was not executed there`,
        opcode === Opcode.ERROR ? { envelope } : {},
      )
    }
    if (!equalBytes(ids.statementId, statement.ids[cluster])) {
      statement.learnId(cluster, ids.statementId)
    }
    return { ...ids, envelope }
  }
}

const prepareBody = ({ text, keyspace }: PreparedStatement, traits: VersionTraits): BodyWriter =>
  encodePrepare(new BodyWriter(), keyspace === null ? { text } : { text, keyspace }, traits)
