/**
 * The requests of a ready session that need a wait, an allocation or an answer of the proxy's own:
 * PREPARE, USE, OPTIONS, REGISTER, the virtual system tables, statements that this thread does not
 * know yet. Promises are fine here. Every path ends in exactly one reply.
 */
import { OPCODE_OFFSET, readStreamId } from '../cql/envelope.ts'
import { ProtocolError } from '../cql/errors.ts'
import { answerReader } from '../cql/messages/answer.ts'
import { EventType } from '../cql/messages/event.ts'
import { decodePrepare } from '../cql/messages/prepare.ts'
import { decodeQuery } from '../cql/messages/query.ts'
import { decodeRegister } from '../cql/messages/register.ts'
import { encodeSupported } from '../cql/messages/supported.ts'
import { ErrorCode, Opcode, opcodeName, ResultKind, type VersionTraits } from '../cql/protocol.ts'
import { BodyReader } from '../cql/reader.ts'
import { BodyWriter } from '../cql/writer.ts'
import { resultDigest } from '../prepared/result-digest.ts'
import { PreparedStatement, type SharedStatement } from '../prepared/statement.ts'
import { Cluster } from '../routing/cluster.ts'
import { onlyCluster } from '../routing/forward.ts'
import { Answer, returnedCluster } from '../routing/outcome.ts'
import {
  classifyStatement,
  keyspaceClassOf,
  StatementClass,
  useKeyspace,
} from '../statement/classify.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import { ClusterError, ClusterErrorCode } from '../upstream/errors.ts'
import type { SessionContext } from './context.ts'
import { type ReplacedPrepare, refusesStatement, replacedStatement } from './prepare-replaced.ts'
import { clusterErrorEnvelope, errorEnvelope, replyEnvelope } from './replies.ts'
import type { Session } from './session.ts'
import { VirtualRequests } from './virtual-requests.ts'

/** The two answers of a request that went to both, or what took their place. */
type BothAnswers = readonly [Uint8Array, Uint8Array]

export class SlowRequests {
  readonly #context: SessionContext
  readonly #virtual: VirtualRequests
  /** Numbers of those that have begun and not been answered, the oldest first. */
  readonly #inFlight = new Set<number>()
  #begun = 0

  constructor(context: SessionContext) {
    this.#context = context
    this.#virtual = new VirtualRequests(context)
  }

  /** What has begun so far and is not answered yet, for `hasAny`. */
  inFlight(): readonly number[] {
    return [...this.#inFlight]
  }

  isInFlight(number: number): boolean {
    return this.#inFlight.has(number)
  }

  /** Every opcode but QUERY, EXECUTE and BATCH; `body` is where the message proper begins. */
  take(session: Session, bytes: Uint8Array, start: number, end: number, body: number): void {
    const streamId = readStreamId(bytes, start)
    const version = session.traits!.version
    const opcode = bytes[start + OPCODE_OFFSET]!
    switch (opcode) {
      case Opcode.PREPARE:
        this.#prepare(session, bytes.slice(start, end), body - start)
        break
      case Opcode.OPTIONS: {
        const supported = encodeSupported(new BodyWriter(), this.#context.snapshot.supported)
        session.reply(streamId, replyEnvelope(version, Opcode.SUPPORTED, supported))
        break
      }
      case Opcode.REGISTER: {
        const types = decodeRegister(new BodyReader(bytes, body, end))
        if (types.includes(EventType.SCHEMA_CHANGE)) session.wantsSchemaChanges = true
        session.reply(streamId, replyEnvelope(version, Opcode.READY, new BodyWriter()))
        break
      }
      default:
        throw new ProtocolError(
          'OPCODE_UNEXPECTED',
          `Unexpected message ${opcodeName(opcode)}: a connection that is ready takes QUERY, PREPARE, EXECUTE, BATCH, OPTIONS and REGISTER`,
        )
    }
  }

  /** EXECUTE or BATCH with an id that this thread does not know: another one may, else UNPREPARED. */
  findStatement(
    session: Session,
    bytes: Uint8Array,
    start: number,
    end: number,
    id: Uint8Array,
  ): void {
    const { prepared, turn, metrics, dispatcher } = this.#context
    const streamId = readStreamId(bytes, start)
    this.#run(session, streamId, async () => {
      const shared = await this.#context.askOthers(id)
      if (shared === null) {
        metrics.preparedMisses++
        return errorEnvelope(session.traits!.version, {
          code: ErrorCode.UNPREPARED,
          message: `Prepared query with ID ${Buffer.from(id).toString('hex')} not found (either the query was not prepared on this host (maybe the host has been restarted?) or you have prepared too many queries and it has been evicted from the internal cache)`,
          details: { kind: 'unprepared', statementId: id },
        })
      }
      prepared.add(new PreparedStatement(shared, turn.begin()))
      if (session.state === 'ready') dispatcher.dispatch(session, bytes, start, end)
      return null
    })
  }

  /** A QUERY that the proxy answers itself, or USE. */
  queryHere(
    session: Session,
    bytes: Uint8Array,
    start: number,
    end: number,
    body: number,
    statementClass: StatementClass,
  ): void {
    if (statementClass === StatementClass.USE) {
      const { text } = decodeQuery(new BodyReader(bytes, body, end), session.traits!)
      this.#use(session, bytes.slice(start, end), text)
    } else if (statementClass === StatementClass.INSIGHTS_CALL) {
      session.reply(readStreamId(bytes, start), voidEnvelope(session))
    } else {
      session.reply(readStreamId(bytes, start), this.#virtual.query(session, bytes, body, end))
    }
  }

  /** An EXECUTE of a statement that the proxy answers itself, or of a USE. */
  executeHere(
    session: Session,
    bytes: Uint8Array,
    start: number,
    end: number,
    body: number,
    statement: PreparedStatement,
  ): void {
    if (statement.statementClass === StatementClass.USE) {
      this.#use(session, bytes.slice(start, end), statement.text)
    } else if (statement.statementClass === StatementClass.INSIGHTS_CALL) {
      session.reply(readStreamId(bytes, start), voidEnvelope(session))
    } else {
      const envelope = this.#virtual.execute(session, bytes, body, end, statement)
      session.reply(readStreamId(bytes, start), envelope)
    }
  }

  #prepare(session: Session, envelope: Uint8Array, body: number): void {
    const traits = session.traits!
    const message = decodePrepare(new BodyReader(envelope, body), traits)
    const keyspace = message.keyspace ?? session.keyspace
    // A copy of its own: what is kept must not keep the whole chunk.
    const text = new Uint8Array(message.text)
    const keyspaceClass = keyspaceClassOf(keyspace ?? '')
    const statementClass = classifyStatement(text, 0, text.length, keyspaceClass)
    const streamId = readStreamId(envelope, 0)
    const remember = (shared: SharedStatement): void => {
      this.#context.prepared.add(new PreparedStatement(shared, this.#context.turn.begin()))
    }
    if (statementClass === StatementClass.VIRTUAL_READ) {
      session.reply(streamId, this.#virtual.prepare(session, text, keyspace, remember))
      return
    }
    const isWrite = statementClass === StatementClass.WRITE
    const { rewriter, replacement } = this.#context
    this.#run(session, streamId, async () => {
      const only = onlyCluster(this.#context.routing)
      const plan = isWrite ? replacement.planPrepare(envelope, body, text) : null
      if (plan !== null) {
        const replaced = { plan, text, keyspace, traits }
        const answer = await this.#prepareReplaced(only, session, replaced, remember)
        if (answer !== null) return answer
      }
      const [origin, target] = await this.#ask(only, session, envelope, (cluster) =>
        session.upstream(cluster),
      )
      const chosen = returnedCluster(answerOf(origin), answerOf(target), Cluster.ORIGIN)
      if (answerOf(origin) === Answer.SUCCESS && answerOf(target) === Answer.SUCCESS) {
        plan?.reportRefused()
        const a = preparedIds(origin, traits)
        const b = preparedIds(target, traits)
        remember({
          id: a.id,
          ids: [a.id, b.id],
          resultMetadataIds: [a.metadataId, b.metadataId],
          statementClass,
          text,
          keyspace,
          rewrite: isWrite ? rewriter.rewriteOf(text, origin, traits) : null,
        })
      }
      return chosen === Cluster.ORIGIN ? origin : target
    })
  }

  /** Resolves with null where the client's own text is to be prepared. */
  async #prepareReplaced(
    only: Cluster | null,
    session: Session,
    replaced: ReplacedPrepare,
    remember: (shared: SharedStatement) => void,
  ): Promise<Uint8Array | null> {
    const answers = await this.#ask(only, session, replaced.plan.envelope, (cluster) =>
      session.upstream(cluster),
    )
    if (answers.some(refusesStatement)) return null
    const [origin, target] = [answerOf(answers[0]), answerOf(answers[1])]
    if (origin === Answer.ERROR || target === Answer.ERROR) {
      return answers[returnedCluster(origin, target, Cluster.ORIGIN)]
    }
    const prepared = replacedStatement(replaced, answers)
    if (prepared === null) return null
    remember(prepared.statement)
    return prepared.answer
  }

  /**
   * USE moves the session to the profile with that keyspace: its pools' connections are in it
   * already, and run the statement once more for the clusters' own answers.
   */
  #use(session: Session, envelope: Uint8Array, text: Uint8Array): void {
    const keyspace = useKeyspace(text, 0, text.length)
    const streamId = readStreamId(envelope, 0)
    const { profiles, routing, turn } = this.#context
    this.#run(session, streamId, async () => {
      const next = profiles.acquire({ ...session.profile!.profile, keyspace })
      let hasMoved = false
      try {
        const query = useQuery(session, text)
        const answers = await this.#ask(onlyCluster(routing), session, query, (cluster) =>
          this.#inTime(cluster, next.pools[cluster].ready(session.preferredNode[cluster])),
        )
        const [origin, target] = [answerOf(answers[0]), answerOf(answers[1])]
        hasMoved = origin === Answer.SUCCESS && target === Answer.SUCCESS
        if (hasMoved) session.moveTo(next)
        return answers[returnedCluster(origin, target, routing.primary)]
      } finally {
        if (!hasMoved) profiles.release(next, turn.nowMs)
      }
    })
  }

  /** A connection may take longer to open than a client waits. */
  async #inTime<T>(cluster: Cluster, opening: Promise<T>): Promise<T> {
    const { clock, settings } = this.#context
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = clock.setTimeout(() => {
      const text = `no connection was ready within ${settings.requestTimeoutMs} ms (proxy_request_timeout_ms)`
      reject(new ClusterError(ClusterErrorCode.TIMEOUT, cluster, text))
    }, settings.requestTimeoutMs)
    try {
      return await Promise.race([opening, late])
    } finally {
      clock.clearTimeout(timer)
    }
  }

  /**
   * Asks both clusters, or the one that serves alone, whose answer stands for the other's then: a
   * statement that the other does not know is healed there if it ever has to run it.
   */
  async #ask(
    only: Cluster | null,
    session: Session,
    envelope: Uint8Array,
    choose: (cluster: Cluster) => UpstreamConnection | null | Promise<UpstreamConnection | null>,
  ): Promise<BothAnswers> {
    if (only === null) return this.#askBoth(session, envelope, choose)
    const { version } = session.traits!
    try {
      const connection = await choose(only)
      const answer =
        connection === null
          ? noConnection(version, only)
          : (await connection.callEnvelope(envelope)).envelope
      return [answer, answer]
    } catch (error) {
      this.#throwIfSilent(error)
      const answer = clusterErrorEnvelope(version, error)
      return [answer, answer]
    }
  }

  /** Asks both clusters; a failure becomes that cluster's ERROR. Nothing is sent unless both can take it. */
  async #askBoth(
    session: Session,
    envelope: Uint8Array,
    choose: (cluster: Cluster) => UpstreamConnection | null | Promise<UpstreamConnection | null>,
  ): Promise<BothAnswers> {
    const version = session.traits!.version
    const chosen = await Promise.allSettled([choose(Cluster.ORIGIN), choose(Cluster.TARGET)])
    const refused = chosen.map((result, cluster) => {
      if (result.status === 'rejected') {
        this.#throwIfSilent(result.reason)
        return clusterErrorEnvelope(version, result.reason)
      }
      if (result.value !== null) return null
      return noConnection(version, cluster === 0 ? Cluster.ORIGIN : Cluster.TARGET)
    })
    const [origin, target] = chosen
    if (refused[0] != null) return [refused[0], refused[1] ?? refused[0]]
    if (refused[1] != null) return [refused[1], refused[1]]
    const answers = await Promise.all(
      [origin, target].map(async (result) => {
        try {
          const connection = result?.status === 'fulfilled' ? result.value : null
          return (await connection!.callEnvelope(envelope)).envelope
        } catch (error) {
          this.#throwIfSilent(error)
          return clusterErrorEnvelope(version, error)
        }
      }),
    )
    return [answers[0]!, answers[1]!]
  }

  /** `proxy_timeout_reply: none` keeps the reference's silence. */
  #throwIfSilent(error: unknown): void {
    const isTimeout = error instanceof ClusterError && error.code === ClusterErrorCode.TIMEOUT
    if (isTimeout && !this.#context.settings.repliesToTimeouts) throw error
  }

  /** Runs slow work as one request in flight; null means that somebody else replies. */
  #run(session: Session, streamId: number, work: () => Promise<Uint8Array | null>): void {
    session.inFlight++
    const number = this.#begun++
    this.#inFlight.add(number)
    work()
      .catch((error: unknown) => {
        const isTimeout = error instanceof ClusterError && error.code === ClusterErrorCode.TIMEOUT
        if (isTimeout && !this.#context.settings.repliesToTimeouts) return null
        return clusterErrorEnvelope(session.traits!.version, error)
      })
      .then((envelope) => {
        if (envelope !== null) session.reply(streamId, envelope)
        session.requestDone()
      })
      .finally(() => this.#inFlight.delete(number))
      .catch((error: unknown) => this.#context.onInvariantBroken(session, error))
  }
}

const noConnection = (version: number, cluster: Cluster): Uint8Array =>
  clusterErrorEnvelope(
    version,
    new ClusterError(ClusterErrorCode.UNAVAILABLE, cluster, 'no connection is ready, try again'),
  )

const answerOf = (envelope: Uint8Array): Answer =>
  envelope[OPCODE_OFFSET] === Opcode.ERROR ? Answer.ERROR : Answer.SUCCESS

const voidEnvelope = (session: Session): Uint8Array =>
  replyEnvelope(session.traits!.version, Opcode.RESULT, new BodyWriter().writeInt(ResultKind.VOID))

/** The ids of a PREPARED result. Throws ProtocolError where it is something else. */
const preparedIds = (
  envelope: Uint8Array,
  traits: VersionTraits,
): { id: Uint8Array; metadataId: Uint8Array | null } => {
  const body = answerReader(envelope)
  const kind = body.readInt()
  if (envelope[OPCODE_OFFSET] !== Opcode.RESULT || kind !== ResultKind.PREPARED) {
    throw new ProtocolError(
      'PREPARE_UNEXPECTED_ANSWER',
      `A cluster answered PREPARE with ${opcodeName(envelope[OPCODE_OFFSET]!)} of kind ${kind}`,
      ErrorCode.SERVER_ERROR,
    )
  }
  const id = body.readShortBytes().slice()
  const metadataId = traits.hasResultMetadataId
    ? body.readShortBytes().slice()
    : resultDigest(body, traits)
  return { id, metadataId }
}

/** A plain QUERY of the statement, whatever it came as. */
const useQuery = (session: Session, text: Uint8Array): Uint8Array => {
  const traits = session.traits!
  const body = new BodyWriter().writeInt(text.length).writeRaw(text).writeShort(1)
  if (traits.hasIntFlags) body.writeInt(0)
  else body.writeByte(0)
  return body.toEnvelope(traits.version, 0, 0, Opcode.QUERY)
}
