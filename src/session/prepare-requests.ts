/**
 * A client's PREPARE: answered by both clusters, or by the proxy where it will execute the statement
 * itself, and remembered with the ids of both (request-path §4.1). Clients that prepare the same at the
 * same time share each node's answer.
 */
import { FLAGS_OFFSET, HEADER_LENGTH, OPCODE_OFFSET } from '../cql/envelope.ts'
import { ProtocolError } from '../cql/errors.ts'
import { decodePrepare } from '../cql/messages/prepare.ts'
import { EnvelopeFlag, ErrorCode, opcodeName, type VersionTraits } from '../cql/protocol.ts'
import { BodyReader } from '../cql/reader.ts'
import { type PreparedIds, readPreparedIds } from '../prepared/prepared-ids.ts'
import { PreparedStatement, type SharedStatement } from '../prepared/statement.ts'
import { CLUSTERS, Cluster } from '../routing/cluster.ts'
import { onlyCluster } from '../routing/forward.ts'
import { Answer, returnedCluster } from '../routing/outcome.ts'
import { classifyStatement, keyspaceClassOf, StatementClass } from '../statement/classify.ts'
import type { CallAnswer, UpstreamConnection } from '../upstream/connection.ts'
import { SharedCalls } from '../upstream/shared-calls.ts'
import { answerOf, type BothAnswers, type ClusterCalls } from './cluster-calls.ts'
import type { SessionContext } from './context.ts'
import { type ReplacedPrepare, refusesStatement, replacedStatement } from './prepare-replaced.ts'
import type { Session } from './session.ts'
import type { OwnStatementClass, VirtualRequests } from './virtual-requests.ts'

/** Asks the clusters to prepare what this envelope says. */
type AskToPrepare = (envelope: Uint8Array) => Promise<BothAnswers>

export class PrepareRequests {
  readonly #context: SessionContext
  readonly #virtual: VirtualRequests
  readonly #clusters: ClusterCalls
  readonly #calls: SharedCalls

  constructor(context: SessionContext, virtual: VirtualRequests, clusters: ClusterCalls) {
    this.#context = context
    this.#virtual = virtual
    this.#clusters = clusters
    this.#calls = new SharedCalls(context.turn)
  }

  /**
   * The answer to a PREPARE whose message proper is at `body` of `envelope`. Rejects with a ProtocolError
   * where it cannot be read, or a cluster's answer is no PREPARED.
   */
  async answer(session: Session, envelope: Uint8Array, body: number): Promise<Uint8Array> {
    const traits = session.traits!
    const message = decodePrepare(new BodyReader(envelope, body), traits)
    const keyspace = message.keyspace ?? session.keyspace
    // A copy of its own: what is kept must not keep the whole chunk.
    const text = new Uint8Array(message.text)
    const keyspaceClass = keyspaceClassOf(keyspace ?? '')
    const statementClass = classifyStatement(text, 0, text.length, keyspaceClass)
    if (isPreparedHere(statementClass)) {
      return this.#virtual.prepare(session, text, keyspace, statementClass, (shared) =>
        this.#remember(shared),
      )
    }
    const ask = this.#askerFor(session)
    const { replacement, rewriter } = this.#context
    const isWrite = statementClass === StatementClass.WRITE
    const plan = isWrite ? replacement.planPrepare(envelope, body, text) : null
    if (plan !== null) {
      const answer = await this.#prepareReplaced(ask, { plan, text, keyspace, traits })
      if (answer !== null) return answer
    }
    const [origin, target] = await ask(envelope)
    const chosen = returnedCluster(answerOf(origin), answerOf(target), Cluster.ORIGIN)
    if (answerOf(origin) === Answer.SUCCESS && answerOf(target) === Answer.SUCCESS) {
      plan?.reportRefused()
      const a = preparedIds(origin, traits)
      const b = preparedIds(target, traits)
      this.#remember({
        id: a.statementId,
        ids: [a.statementId, b.statementId],
        columnDigests: [a.columnsDigest, b.columnsDigest],
        statementClass,
        text,
        keyspace,
        rewrite: isWrite ? rewriter.rewriteOf(text, origin, traits) : null,
      })
    }
    return chosen === Cluster.ORIGIN ? origin : target
  }

  /** Resolves with null where the client's own text is to be prepared. */
  async #prepareReplaced(ask: AskToPrepare, replaced: ReplacedPrepare): Promise<Uint8Array | null> {
    const answers = await ask(replaced.plan.envelope)
    if (answers.some(refusesStatement)) return null
    const [origin, target] = [answerOf(answers[0]), answerOf(answers[1])]
    if (origin === Answer.ERROR || target === Answer.ERROR) {
      return answers[returnedCluster(origin, target, Cluster.ORIGIN)]
    }
    const prepared = replacedStatement(replaced, answers)
    if (prepared === null) return null
    this.#remember(prepared.statement)
    return prepared.answer
  }

  /**
   * A success is told to the client in Origin's words, for its ids; its tracing id is the primary's all the
   * same, where traces are read.
   *
   * Connections are chosen here, once: a USE that comes while the clusters are asked must not move the
   * statement to another keyspace. A cluster that does not serve now gets it healed if it ever has to run it.
   */
  #askerFor(session: Session): AskToPrepare {
    const { version } = session.traits!
    const profileKey = session.profile!.key
    const { routing } = this.#context
    const only = onlyCluster(routing)
    const connections = CLUSTERS.map((cluster) =>
      only === null || only === cluster ? session.upstream(cluster) : null,
    )
    return async (envelope) => {
      const answers = await this.#clusters.ask(only, version, {
        envelope,
        connect: (cluster) => connections[cluster]!,
        call: (connection) => this.#call(connection, profileKey, envelope),
      })
      if (routing.primary === Cluster.TARGET && answers.every(isTracedSuccess)) {
        answers[0].set(answers[1].subarray(HEADER_LENGTH, BEHIND_TRACING_ID), HEADER_LENGTH)
      }
      return answers
    }
  }

  /** Shared by clients of one profile: the same user, keyspace and options. */
  #call(
    connection: UpstreamConnection,
    profileKey: string,
    envelope: Uint8Array,
  ): Promise<CallAnswer> {
    const call = (): Promise<CallAnswer> => connection.callEnvelope(envelope)
    const flags = envelope[FLAGS_OFFSET]!
    if ((flags & OWN_ANSWER_FLAGS) !== 0) return call()
    const message = Buffer.from(envelope.subarray(HEADER_LENGTH)).toString('latin1')
    return this.#calls.ask(connection, `${profileKey} ${flags} ${message}`, call)
  }

  #remember(shared: SharedStatement): void {
    this.#context.prepared.add(new PreparedStatement(shared, this.#context.turn.begin()))
  }
}

const isPreparedHere = (statementClass: StatementClass): statementClass is OwnStatementClass =>
  statementClass === StatementClass.VIRTUAL_READ || statementClass === StatementClass.INSIGHTS_CALL

/** Each such request has its own trace; a payload may name it. */
const OWN_ANSWER_FLAGS = EnvelopeFlag.TRACING | EnvelopeFlag.CUSTOM_PAYLOAD

const BEHIND_TRACING_ID = HEADER_LENGTH + 16

/** Such an answer is this request's own, and nobody else's (OWN_ANSWER_FLAGS). */
const isTracedSuccess = (envelope: Uint8Array): boolean =>
  (envelope[FLAGS_OFFSET]! & EnvelopeFlag.TRACING) !== 0 && answerOf(envelope) === Answer.SUCCESS

const preparedIds = (envelope: Uint8Array, traits: VersionTraits): PreparedIds => {
  const ids = readPreparedIds(envelope, traits)
  if (ids !== null) return ids
  throw new ProtocolError(
    'PREPARE_UNEXPECTED_ANSWER',
    `A cluster answered PREPARE with ${opcodeName(envelope[OPCODE_OFFSET]!)} that is no PREPARED`,
    ErrorCode.SERVER_ERROR,
  )
}
