/**
 * The request path: one envelope of a ready session → class → forward decision → the upstream
 * connections. Nothing is allocated and nothing awaited here; what needs either goes to the slow
 * requests. The bytes are read as far as routing needs and never changed: ids are patched in the
 * copies (architecture §2.2).
 */
import { decompressEnvelope, isCompressed } from '../cql/compression.ts'
import { FLAGS_OFFSET, OPCODE_OFFSET, readStreamId } from '../cql/envelope.ts'
import { ProtocolError } from '../cql/errors.ts'
import { asksForContinuousPaging } from '../cql/messages/fields.ts'
import { EnvelopeFlag, ErrorCode, Opcode, opcodeName, type VersionTraits } from '../cql/protocol.ts'
import type { PreparedStatement } from '../prepared/statement.ts'
import { CLUSTERS, Cluster, clusterName } from '../routing/cluster.ts'
import { ForwardDecision, forwardDecision, writeDecision } from '../routing/forward.ts'
import { classifyStatement, StatementClass } from '../statement/classify.ts'
import { mayCallFunction } from '../statement/function-calls.ts'
import { BatchIds } from './batch-ids.ts'
import type { Dispatcher, SessionContext } from './context.ts'
import { queryKeyspaceClass } from './query-keyspace.ts'
import { errorEnvelope, negativeStreamId, notNegotiated, protocolErrorEnvelope } from './replies.ts'
import { RequestKind } from './request-table.ts'
import { watchSchemaChange } from './schema-changes.ts'
import type { Session } from './session.ts'
import type { SlowRequests } from './slow-requests.ts'
import { messageStart, sendRequest } from './upstream-request.ts'

export class RequestDispatcher implements Dispatcher {
  readonly #context: SessionContext
  readonly #slow: SlowRequests
  readonly #batch = new BatchIds()
  readonly #rewritesAllWrites: boolean
  readonly #givesIds: boolean
  readonly #spans: SessionContext['spans']

  constructor(context: SessionContext, slow: SlowRequests) {
    this.#context = context
    this.#slow = slow
    this.#rewritesAllWrites = context.rewriter.setsTimestamps
    this.#givesIds = context.requestIds.isEnabled
    this.#spans = context.spans
  }

  dispatch(session: Session, bytes: Uint8Array, start: number, end: number): void {
    const streamId = readStreamId(bytes, start)
    if (session.isDraining) {
      this.#refuse(session, streamId, ErrorCode.OVERLOADED, CLOSING)
      return
    }
    try {
      if (isCompressed(bytes, start)) {
        this.#dispatchCompressed(session, bytes, start, end, streamId)
      } else {
        this.#take(session, bytes, start, end, streamId)
      }
    } catch (error) {
      refuseMalformed(session, streamId, error)
    }
  }

  dispatchAgain(session: Session, bytes: Uint8Array, start: number, end: number): void {
    const streamId = readStreamId(bytes, start)
    if (session.isDraining) {
      this.#refuse(session, streamId, ErrorCode.OVERLOADED, CLOSING)
      return
    }
    try {
      this.#dispatchOpcode(session, bytes, start, end)
    } catch (error) {
      refuseMalformed(session, streamId, error)
    }
  }

  /** Routed by what it says decompressed, and relayed as it came wherever nothing is overwritten. */
  #dispatchCompressed(
    session: Session,
    bytes: Uint8Array,
    start: number,
    end: number,
    streamId: number,
  ): void {
    if (session.isFramed) {
      // v5 compresses frames. Some drivers leave the flag set all the same (request-path §1.4).
      bytes[start + FLAGS_OFFSET]! &= ~EnvelopeFlag.COMPRESSION
      this.#take(session, bytes, start, end, streamId)
      return
    }
    const { compression } = session
    if (compression === null) throw notNegotiated()
    const { requests, settings } = this.#context
    const plain = decompressEnvelope(compression, bytes, start, end, settings.envelopeBodyLengthMax)
    requests.decompressed = plain
    requests.asSent = bytes
    requests.asSentStart = start
    requests.asSentEnd = end
    try {
      this.#take(session, plain, 0, plain.length, streamId)
    } finally {
      requests.decompressed = null
      requests.asSent = null
    }
  }

  /** Looks at the header, and sees to the request's id where it has or gets one. */
  #take(session: Session, bytes: Uint8Array, start: number, end: number, streamId: number): void {
    if (streamId < 0 || bytes[start] !== session.traits!.version) badHeader(bytes, start, session)
    if (this.#givesIds || (bytes[start + FLAGS_OFFSET]! & EnvelopeFlag.CUSTOM_PAYLOAD) !== 0) {
      const changed = this.#context.requestIds.onRequest(session, bytes, start, end)
      if (changed !== null) {
        this.#dispatchOpcode(session, changed, 0, changed.length)
        return
      }
    }
    this.#dispatchOpcode(session, bytes, start, end)
  }

  #dispatchOpcode(session: Session, bytes: Uint8Array, start: number, end: number): void {
    const body = messageStart(bytes, start, end)
    switch (bytes[start + OPCODE_OFFSET]) {
      case Opcode.EXECUTE:
        this.#execute(session, bytes, start, end, body)
        break
      case Opcode.QUERY:
        this.#query(session, bytes, start, end, body)
        break
      case Opcode.BATCH:
        this.#sendBatch(session, bytes, start, end, body)
        break
      default:
        this.#slow.take(session, bytes, start, end, body)
    }
  }

  /** EXECUTE: `<id>[<result_metadata_id>]<query_parameters>` (v5 §4.1.6). */
  #execute(session: Session, bytes: Uint8Array, start: number, end: number, body: number): void {
    const idLength = body + 2 <= end ? (bytes[body]! << 8) | bytes[body + 1]! : end
    const idStart = body + 2
    if (idStart + idLength > end) truncated('the statement id of an EXECUTE')
    if (session.traits!.hasContinuousPaging) {
      refuseContinuousPaging(bytes, body, end, Opcode.EXECUTE, session.traits!)
    }
    const statement = this.#context.prepared.find(bytes, idStart, idLength)
    if (statement === null) {
      const id = bytes.slice(idStart, idStart + idLength)
      this.#slow.findStatement(session, bytes, start, end, id)
      return
    }
    statement.lastUsedMs = this.#context.turn.nowMs
    const statementClass = statement.statementClass
    const decision = forwardDecision(statementClass, this.#context.routing)
    if (decision === ForwardDecision.PROXY || statementClass === StatementClass.USE) {
      this.#slow.executeHere(session, bytes, start, end, body, statement)
    } else if (statement.rewrite !== null) {
      const traits = session.traits!
      const { rewrite } = statement
      const rewritten = this.#context.rewriter.execute(bytes, start, end, body, rewrite, traits)
      this.#forwardEither(session, bytes, start, end, decision, rewritten, statement)
    } else {
      const request = this.#forward(session, bytes, start, end, decision, statement, null)
      if (statementClass === StatementClass.READ) this.#copyRead(request)
      else if (statementClass === StatementClass.OTHER) this.#watchSchema(request)
    }
  }

  /** QUERY: `<query><query_parameters>` (v5 §4.1.4). */
  #query(session: Session, bytes: Uint8Array, start: number, end: number, body: number): void {
    const textStart = body + 4
    const textEnd =
      textStart +
      (textStart <= end
        ? (bytes[body]! << 24) |
          (bytes[body + 1]! << 16) |
          (bytes[body + 2]! << 8) |
          bytes[body + 3]!
        : end)
    if (textEnd < textStart || textEnd > end) truncated('the text of a QUERY')
    if (session.traits!.hasContinuousPaging) {
      refuseContinuousPaging(bytes, body, end, Opcode.QUERY, session.traits!)
    }
    const keyspaceClass = session.traits!.hasKeyspaceField
      ? queryKeyspaceClass(session.keyspaceClass, bytes, body, textEnd, end, session.traits!)
      : session.keyspaceClass
    const statementClass = classifyStatement(bytes, textStart, textEnd, keyspaceClass)
    const decision = forwardDecision(statementClass, this.#context.routing)
    if (decision === ForwardDecision.PROXY || statementClass === StatementClass.USE) {
      this.#slow.queryHere(session, bytes, start, end, body, statementClass)
    } else if (
      statementClass === StatementClass.WRITE &&
      (this.#rewritesAllWrites || mayCallFunction(bytes, textStart, textEnd))
    ) {
      const traits = session.traits!
      const { rewriter } = this.#context
      const rewritten = rewriter.query(bytes, start, end, textStart, textEnd, traits)
      this.#forwardEither(session, bytes, start, end, decision, rewritten, null)
    } else {
      const request = this.#forward(session, bytes, start, end, decision, null, null)
      if (statementClass === StatementClass.READ) this.#copyRead(request)
      else if (statementClass === StatementClass.OTHER) this.#watchSchema(request)
    }
  }

  /** BATCH: as a write; each prepared child's id must be known before a byte is sent. */
  #sendBatch(session: Session, bytes: Uint8Array, start: number, end: number, body: number): void {
    const batch = this.#batch
    batch.read(bytes, body, end, session.traits!, this.#context.prepared)
    batch.touch(this.#context.turn.nowMs)
    if (batch.unknownLength > 0) {
      const id = bytes.slice(batch.unknownStart, batch.unknownStart + batch.unknownLength)
      this.#slow.findStatement(session, bytes, start, end, id)
      return
    }
    const decision = writeDecision(this.#context.routing)
    if (this.#rewritesAllWrites || batch.mayNeedRewrite) {
      const traits = session.traits!
      const rewritten = this.#context.rewriter.batch(bytes, start, end, body, traits)
      if (rewritten !== null) {
        // Its children's ids lie elsewhere now.
        batch.read(rewritten, body - start, rewritten.length, traits, this.#context.prepared)
        const { length } = rewritten
        this.#forward(session, rewritten, 0, length, decision, null, batch)
        return
      }
    }
    this.#forward(session, bytes, start, end, decision, null, batch)
  }

  /** A write, as it came or, where it had to be changed, as it is now. */
  #forwardEither(
    session: Session,
    bytes: Uint8Array,
    start: number,
    end: number,
    decision: ForwardDecision,
    rewritten: Uint8Array | null,
    statement: PreparedStatement | null,
  ): void {
    if (rewritten === null) {
      this.#forward(session, bytes, start, end, decision, statement, null)
    } else {
      this.#forward(session, rewritten, 0, rewritten.length, decision, statement, null)
    }
  }

  /** After the client's own; only the read mode of this moment counts (request-path §7). */
  #copyRead(request: number): void {
    const { readCopies, routing } = this.#context
    if (routing.readMode !== 'PRIMARY_ONLY' && request !== NOT_SENT) readCopies.copy(request)
  }

  #watchSchema(request: number): void {
    if (request !== NOT_SENT) watchSchemaChange(this.#context, request)
  }

  /** Returns the request's index in the table, or NOT_SENT where the client was refused. */
  #forward(
    session: Session,
    bytes: Uint8Array,
    start: number,
    end: number,
    decision: ForwardDecision,
    statement: PreparedStatement | null,
    batch: BatchIds | null,
  ): number {
    const both = decision === ForwardDecision.BOTH
    const isOnTarget =
      decision === ForwardDecision.TARGET || decision === ForwardDecision.TARGET_ONLY
    const first = isOnTarget ? Cluster.TARGET : Cluster.ORIGIN
    const connection = session.upstream(first)
    const second = both ? session.upstream(Cluster.TARGET) : null
    // Room on both sides before anything is sent to either: a write must not reach one cluster only.
    if (connection === null || !connection.slots.hasFree) {
      this.#refuseFull(session, bytes, start, first)
      return NOT_SENT
    }
    if (both && (second === null || !second.slots.hasFree)) {
      this.#refuseFull(session, bytes, start, Cluster.TARGET)
      return NOT_SENT
    }
    const { requests, routing, turn, metrics, settings } = this.#context
    const request = requests.take()
    requests.session[request] = session
    requests.statement[request] = statement
    requests.stream[request] = readStreamId(bytes, start)
    requests.startMs[request] = turn.nowMs
    requests.chunk[request] = bytes
    requests.chunkStart[request] = start
    requests.chunkEnd[request] = end
    requests.primary[request] = routing.primary
    requests.failed[request] = 0
    requests.applied[request] = 0
    requests.heals[request] = 0
    session.inFlight++
    if (settings.countsKeyspaces) this.#countKeyspace(request, decision)
    if (this.#spans !== null) this.#spans.begin(request)
    if (second === null) {
      requests.outstanding[request] = 1 << first
      if (decision === ForwardDecision.ORIGIN_ONLY || decision === ForwardDecision.TARGET_ONLY) {
        const isOrigin = first === Cluster.ORIGIN
        requests.kind[request] = isOrigin
          ? RequestKind.WRITE_ON_ORIGIN
          : RequestKind.WRITE_ON_TARGET
        metrics.inflight.writes++
      } else if (first === Cluster.ORIGIN) {
        requests.kind[request] = RequestKind.ON_ORIGIN
        metrics.inflight.readsOrigin++
      } else {
        requests.kind[request] = RequestKind.ON_TARGET
        metrics.inflight.readsTarget++
      }
      sendRequest(requests, request, connection, batch)
      return request
    }
    requests.kind[request] = RequestKind.ON_BOTH
    requests.outstanding[request] = (1 << CLUSTERS.length) - 1
    metrics.inflight.writes++
    sendRequest(requests, request, connection, batch)
    sendRequest(requests, request, second, batch)
    return request
  }

  #countKeyspace(request: number, decision: ForwardDecision): void {
    const isRead = decision === ForwardDecision.ORIGIN || decision === ForwardDecision.TARGET
    this.#context.keyspaceRequests.count(request, isRead)
  }

  #refuseFull(session: Session, bytes: Uint8Array, start: number, cluster: Cluster): void {
    const why =
      session.connections[cluster] === null ? 'no connection is ready' : 'all stream ids are in use'
    this.#refuse(
      session,
      readStreamId(bytes, start),
      ErrorCode.OVERLOADED,
      `${clusterName(cluster)}: ${why}; nothing was sent to either cluster, try again`,
    )
  }

  #refuse(session: Session, streamId: number, code: ErrorCode, message: string): void {
    session.reply(streamId, errorEnvelope(session.traits!.version, { code, message }))
  }
}

const NOT_SENT = -1

const CLOSING =
  'This connection is being closed, for the proxy shuts down or has lost the node behind it; use another connection or host'

const refuseMalformed = (session: Session, streamId: number, error: unknown): void => {
  if (!(error instanceof ProtocolError)) throw error
  session.reply(streamId, protocolErrorEnvelope(session.traits!.version, error))
}

const truncated = (what: string): never => {
  throw new ProtocolError('CQL_BODY_TRUNCATED', `Cannot read ${what}: the body ends before it does`)
}

const badHeader = (bytes: Uint8Array, start: number, session: Session): never => {
  const streamId = readStreamId(bytes, start)
  if (streamId < 0) throw negativeStreamId(streamId)
  throw new ProtocolError(
    'ENVELOPE_VERSION_CHANGED',
    `Invalid message version. Got ${bytes[start]} for ${opcodeName(bytes[start + OPCODE_OFFSET]!)} but this connection started with ${session.traits!.version}`,
  )
}

/** Many answers to one request cannot be told from answers that nobody has asked for. */
const refuseContinuousPaging = (
  bytes: Uint8Array,
  body: number,
  end: number,
  opcode: number,
  traits: VersionTraits,
): void => {
  if (!asksForContinuousPaging(bytes, body, end, opcode, traits)) return
  throw new ProtocolError(
    'CONTINUOUS_PAGING',
    'Continuous paging does not go through the proxy: use paging by page size',
    ErrorCode.INVALID,
  )
}
