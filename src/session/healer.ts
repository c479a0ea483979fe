/**
 * UNPREPARED from a node: nothing was executed, so the proxy teaches the node the statement itself
 * and sends the request again (architecture §2.3). The client sees UNPREPARED only where it may execute
 * again: for what the proxy does not know either, and for a read that no heal has helped.
 */
import { OPCODE_OFFSET } from '../cql/envelope.ts'
import { answerReader, readIf } from '../cql/messages/answer.ts'
import { ErrorCode, Opcode } from '../cql/protocol.ts'
import { equalBytes, type PreparedStatement } from '../prepared/statement.ts'
import { type Cluster, clusterLabel, clusterName } from '../routing/cluster.ts'
import { Answer } from '../routing/outcome.ts'
import { StatementClass } from '../statement/classify.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { Answers } from './answers.ts'
import { BatchIds } from './batch-ids.ts'
import type { SessionContext } from './context.ts'
import { executeAsQuery } from './execute-as-query.ts'
import { clusterErrorEnvelope, errorEnvelope } from './replies.ts'
import { RequestKind } from './request-table.ts'
import type { Session } from './session.ts'
import { type CallInKeyspace, StatementPreparer } from './statement-preparer.ts'
import { messageStart, sendRequest } from './upstream-request.ts'

/**
 * A node may forget a statement again before it is asked: a full cache turns a new one away until it has
 * been asked for more often than an old one was used. Cassandra 4.1 with a full cache was seen to need nine
 * PREPAREs; it counts uses up to 15.
 */
export const HEALS_MAX = 15

export class Healer {
  readonly #context: SessionContext
  readonly #preparer: StatementPreparer

  constructor(context: SessionContext) {
    this.#context = context
    this.#preparer = new StatementPreparer(context.turn)
  }

  /** Takes over a request that a node has answered with UNPREPARED; `error` is a copy of its answer. */
  onUnprepared(
    answers: Answers,
    connection: UpstreamConnection,
    request: number,
    error: Uint8Array,
  ): void {
    const { requests } = this.#context
    const cluster = connection.cluster
    const toPrepare = this.#statements(request)
    if (toPrepare.length === 0 || requests.healsOn(request, cluster) >= HEALS_MAX) {
      if (this.#sendAsQuery(connection, request)) return
      this.#giveUp(answers, connection, request, error)
      return
    }
    requests.countHeal(request, cluster)
    if (cluster === 0) this.#context.metrics.preparedHeals.origin++
    else this.#context.metrics.preparedHeals.target++
    this.#context.log.debug(
      { code: 'STATEMENT_HEALED', cluster: clusterLabel(cluster), node: connection.node },
      `${connection.node} does not know a statement; preparing it again there`,
    )
    const generation = requests.generation[request]!
    const session = requests.session[request]!
    this.#prepareAll(session, connection, toPrepare)
      .catch((cause: unknown) => clusterErrorEnvelope(session.traits!.version, cause))
      .then((refusal) => {
        // It may have timed out meanwhile, and its index be another request's.
        if (requests.generation[request] !== generation) return
        this.#context.turn.begin()
        if (refusal === null) this.#sendAgain(answers, session, connection, request)
        else answers.settle(request, cluster, Answer.ERROR, refusal, 0, refusal.length)
      })
      .catch((error: unknown) => this.#context.onInvariantBroken(session, error))
  }

  /**
   * Runs the text of an EXECUTE of both clusters once, if that means the same on this connection: the other
   * cluster has executed it, or may have. Returns whether it was sent.
   */
  #sendAsQuery(connection: UpstreamConnection, request: number): boolean {
    const { requests } = this.#context
    const { cluster, traits } = connection
    const statement = requests.statement[request]!
    if (requests.kind[request] !== RequestKind.ON_BOTH || statement === null) return false
    if (requests.healsOn(request, cluster) !== HEALS_MAX) return false
    if (statement.keyspace !== connection.keyspace) return false
    if (!connection.isUsable || !connection.slots.hasFree) return false
    const bytes = requests.chunk[request]!
    const start = requests.chunkStart[request]!
    const end = requests.chunkEnd[request]!
    const query = readIf(() => executeAsQuery(bytes, start, end, statement.text, traits))
    if (query === null) return false
    // So that it is not tried twice.
    requests.countHeal(request, cluster)
    const slot = connection.slots.take(request)
    requests.setUpstream(request, cluster, connection, slot)
    connection.send(slot, query, 0, query.length)
    return true
  }

  /**
   * UNPREPARED makes every driver prepare and execute again, whether the statement may be repeated or not:
   * a write that the other cluster has executed, or may have, must not come back as that.
   */
  #giveUp(
    answers: Answers,
    connection: UpstreamConnection,
    request: number,
    error: Uint8Array,
  ): void {
    const { cluster, node } = connection
    const { requests } = this.#context
    if (requests.kind[request] === RequestKind.ON_BOTH) {
      const why =
        requests.healsOn(request, cluster) > 0
          ? 'forgets a prepared statement as often as it is prepared (is prepared_statements_cache_size too small?)'
          : 'answered UNPREPARED to a request that executes no prepared statement'
      answers.settleWithError(
        request,
        cluster,
        ErrorCode.OVERLOADED,
        `${clusterName(cluster)}: ${node} ${why}; it was not executed there`,
      )
      return
    }
    const reply = this.#unpreparedForClient(request, cluster, error)
    answers.settle(request, cluster, Answer.ERROR, reply, 0, reply.length)
  }

  #sendAgain(
    answers: Answers,
    session: Session,
    connection: UpstreamConnection,
    request: number,
  ): void {
    const { requests } = this.#context
    const { cluster } = connection
    const again = connection.isUsable
      ? connection
      : session.profile?.pools[cluster].pick(session.preferredNode[cluster])
    if (again == null || !again.slots.hasFree) {
      answers.settleWithError(
        request,
        cluster,
        ErrorCode.OVERLOADED,
        `${connection.node} is not available any more; the statement was not executed there`,
      )
      return
    }
    sendRequest(requests, request, again, this.#readBatch(request))
  }

  /**
   * Resolves when the node knows them all: with null, or with what the client gets in place of an execution.
   * Rejects with the ClusterError of one that it refuses.
   */
  async #prepareAll(
    session: Session,
    connection: UpstreamConnection,
    statements: readonly PreparedStatement[],
  ): Promise<Uint8Array | null> {
    const callInKeyspace = this.#callInKeyspace(session, connection)
    const taught = await Promise.all(
      statements.map((each) => this.#preparer.prepare(each, connection, callInKeyspace)),
    )
    for (const [at, { columnsDigest }] of taught.entries()) {
      const statement = statements[at]!
      if (!hasOtherColumns(statement, connection, columnsDigest)) continue
      return unpreparedEnvelope(
        connection.traits.version,
        statement.id,
        'The columns of its result have changed: the statement has to be prepared again',
      )
    }
    return null
  }

  /** A pool has connections to the same node; the other nodes heal in the same way when they are met. */
  #callInKeyspace(session: Session, { cluster, node }: UpstreamConnection): CallInKeyspace {
    const { profiles, turn } = this.#context
    return async (keyspace, call) => {
      const profile = profiles.acquire({ ...session.profile!.profile, keyspace })
      try {
        return await call(await profile.pools[cluster].connectionTo(node))
      } finally {
        profiles.release(profile, turn.nowMs)
      }
    }
  }

  #readBatch(request: number): BatchIds | null {
    const { requests, prepared } = this.#context
    const bytes = requests.chunk[request]!
    const start = requests.chunkStart[request]!
    const end = requests.chunkEnd[request]!
    if (bytes[start + OPCODE_OFFSET] !== Opcode.BATCH) return null
    const batch = new BatchIds()
    const traits = requests.session[request]!.traits!
    batch.read(bytes, messageStart(bytes, start, end), end, traits, prepared)
    return batch
  }

  /**
   * What the node may not know: the request's statement, or every statement of a batch, since a node
   * names only the first that it misses.
   */
  #statements(request: number): readonly PreparedStatement[] {
    const batch = this.#readBatch(request)
    if (batch !== null) return [...new Set(batch.statements)]
    const statement = this.#context.requests.statement[request]!
    return statement === null ? [] : [statement]
  }

  /** The client must see the id that it knows, never a cluster's own. */
  #unpreparedForClient(request: number, cluster: Cluster, error: Uint8Array): Uint8Array {
    const named = unpreparedId(error)
    const statement = this.#statements(request).find(
      (candidate) => named !== null && equalBytes(candidate.ids[cluster], named),
    )
    const id = statement?.id ?? named
    if (id === null) return error
    return unpreparedEnvelope(
      this.#context.requests.session[request]!.traits!.version,
      id,
      'The statement is not prepared on the cluster, and preparing it again did not help',
    )
  }
}

/**
 * Before v5 a client that has asked for no metadata reads rows by the columns that its own PREPARE told;
 * when they are others now, only UNPREPARED makes it ask again. In v5 the node itself tells it (v5 §4.2.5.2).
 * A write has no such columns, and its UNPREPARED would make the driver execute it a second time on the
 * cluster that has done so already.
 */
const hasOtherColumns = (
  statement: PreparedStatement,
  { traits, cluster }: UpstreamConnection,
  found: Uint8Array | null,
): boolean => {
  const known = statement.columnDigests[cluster]
  if (traits.hasResultMetadataId || known === null || found === null) return false
  if (statement.statementClass === StatementClass.WRITE) return false
  return !equalBytes(found, known)
}

const unpreparedEnvelope = (version: number, statementId: Uint8Array, message: string) =>
  errorEnvelope(version, {
    code: ErrorCode.UNPREPARED,
    message,
    details: { kind: 'unprepared', statementId },
  })

/** The id in an UNPREPARED error: `<code><message><id>` (v5 §9). */
const unpreparedId = (envelope: Uint8Array): Uint8Array | null =>
  readIf(() => {
    const body = answerReader(envelope)
    if (body.readInt() !== ErrorCode.UNPREPARED) return null
    body.readString()
    return body.readShortBytes()
  })
