/**
 * The requests of a ready session that need a wait, an allocation or an answer of the proxy's own:
 * PREPARE, USE, OPTIONS, REGISTER, the virtual system tables, statements that this thread does not
 * know yet. Promises are fine here. Every path ends in exactly one reply.
 */
import { FLAGS_OFFSET, HEADER_LENGTH, OPCODE_OFFSET, readStreamId } from '../cql/envelope.ts'
import { ProtocolError } from '../cql/errors.ts'
import { decodeQuery } from '../cql/messages/query.ts'
import { decodeRegister } from '../cql/messages/register.ts'
import { encodeSupported } from '../cql/messages/supported.ts'
import { ErrorCode, Opcode, opcodeName, ResultKind } from '../cql/protocol.ts'
import { BodyReader } from '../cql/reader.ts'
import { BodyWriter } from '../cql/writer.ts'
import { PreparedStatement } from '../prepared/statement.ts'
import type { Cluster } from '../routing/cluster.ts'
import { onlyCluster } from '../routing/forward.ts'
import { Answer, returnedCluster } from '../routing/outcome.ts'
import { StatementClass, useKeyspace } from '../statement/classify.ts'
import { ClusterError, ClusterErrorCode } from '../upstream/errors.ts'
import { registeredTypes } from './client-events.ts'
import { answerOf, ClusterCalls, isTimeout } from './cluster-calls.ts'
import type { SessionContext } from './context.ts'
import { PrepareRequests } from './prepare-requests.ts'
import { clusterErrorEnvelope, errorEnvelope, replyEnvelope } from './replies.ts'
import type { Session } from './session.ts'
import { messageStart } from './upstream-request.ts'
import { VirtualRequests } from './virtual-requests.ts'

export class SlowRequests {
  readonly #context: SessionContext
  readonly #virtual: VirtualRequests
  readonly #clusters: ClusterCalls
  readonly #prepares: PrepareRequests
  /** Numbers of those that have begun and not been answered, the oldest first. */
  readonly #inFlight = new Set<number>()
  #begun = 0

  constructor(context: SessionContext) {
    this.#context = context
    this.#virtual = new VirtualRequests(context)
    this.#clusters = new ClusterCalls(context)
    this.#prepares = new PrepareRequests(context, this.#virtual, this.#clusters)
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
      case Opcode.PREPARE: {
        const envelope = bytes.slice(start, end)
        this.#run(session, streamId, () => this.#prepares.answer(session, envelope, body - start))
        break
      }
      case Opcode.OPTIONS: {
        const supported = encodeSupported(new BodyWriter(), this.#context.snapshot.supported)
        session.reply(streamId, replyEnvelope(version, Opcode.SUPPORTED, supported))
        break
      }
      case Opcode.REGISTER: {
        const types = decodeRegister(new BodyReader(bytes, body, end))
        session.eventTypes = registeredTypes(session.eventTypes, types)
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
      if (session.state === 'ready') dispatcher.dispatchAgain(session, bytes, start, end)
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
        const query = useQuery(session, envelope, text)
        const answers = await this.#clusters.ask(onlyCluster(routing), session.traits!.version, {
          envelope: query,
          connect: (cluster) =>
            this.#inTime(cluster, next.pools[cluster].ready(session.preferredNode[cluster])),
          call: (connection) => connection.callEnvelope(query),
        })
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

  /** Runs slow work as one request in flight; null means that somebody else replies. */
  #run(session: Session, streamId: number, work: () => Promise<Uint8Array | null>): void {
    session.inFlight++
    const number = this.#begun++
    this.#inFlight.add(number)
    work()
      .catch((error: unknown) => {
        if (isTimeout(error) && !this.#context.settings.repliesToTimeouts) return null
        return clusterErrorEnvelope(session.traits!.version, error)
      })
      .then((envelope) => {
        // It may have waited for something else than an answer: another thread, or a timer.
        this.#context.turn.begin()
        if (envelope !== null) session.reply(streamId, envelope)
        session.requestDone()
      })
      .finally(() => this.#inFlight.delete(number))
      .catch((error: unknown) => this.#context.onInvariantBroken(session, error))
  }
}

const voidEnvelope = (session: Session): Uint8Array =>
  replyEnvelope(session.traits!.version, Opcode.RESULT, new BodyWriter().writeInt(ResultKind.VOID))

/** A plain QUERY of the statement, whatever it came as, with the client's stream id, flags and payload. */
const useQuery = (session: Session, envelope: Uint8Array, text: Uint8Array): Uint8Array => {
  const traits = session.traits!
  const body = new BodyWriter()
    .writeRaw(envelope.subarray(HEADER_LENGTH, messageStart(envelope, 0, envelope.length)))
    .writeInt(text.length)
    .writeRaw(text)
    .writeShort(1)
  if (traits.hasIntFlags) body.writeInt(0)
  else body.writeByte(0)
  const flags = envelope[FLAGS_OFFSET]!
  return body.toEnvelope(traits.version, flags, readStreamId(envelope, 0), Opcode.QUERY)
}
