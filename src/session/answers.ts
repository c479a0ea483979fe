/**
 * The way back: a cluster's answer → the outcome → the client, exactly once (request-path §5.1,
 * architecture §2.6). Also what takes an answer's place: a lost connection and a time-out.
 */
import { isCompressed } from '../cql/compression.ts'
import {
  encodeHeader,
  FLAGS_OFFSET,
  HEADER_LENGTH,
  OPCODE_OFFSET,
  RESPONSE_BIT,
  readBodyLength,
  writeStreamId,
} from '../cql/envelope.ts'
import { ProtocolError } from '../cql/errors.ts'
import { readErrorCode } from '../cql/messages/answer.ts'
import { WriteType } from '../cql/messages/error.ts'
import { readConsistency } from '../cql/messages/fields.ts'
import { BatchType, Consistency, ErrorCode, Opcode, ResultKind } from '../cql/protocol.ts'
import { ErrorKind, errorKindOf } from '../metrics/node-metrics.ts'
import { CLUSTERS, Cluster, clusterLabel, clusterName, otherCluster } from '../routing/cluster.ts'
import { Answer, returnedCluster } from '../routing/outcome.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import { APPLIED_BITS, appliedIn, missingWhereNotApplied } from './conditional-writes.ts'
import type { SessionContext } from './context.ts'
import { type NamedTable, NO_TABLE } from './failed-writes.ts'
import type { Healer } from './healer.ts'
import { errorEnvelope } from './replies.ts'
import { spanError } from './request-spans.ts'
import { isRead, RequestKind } from './request-table.ts'
import { messageStart } from './upstream-request.ts'

const VOID_BODY_LENGTH = 4
const MS_PER_SECOND = 1000

export class Answers {
  readonly #context: SessionContext
  readonly #healer: Healer
  readonly #logsAnswers: boolean

  constructor(context: SessionContext, healer: Healer) {
    this.#context = context
    this.#healer = healer
    this.#logsAnswers = context.requestIds.isEnabled
  }

  /** A cluster has answered; the slot is free already. */
  onAnswer(
    connection: UpstreamConnection,
    request: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const { requests, turn } = this.#context
    requests.setUpstream(request, connection.cluster, null, 0)
    const seconds = (turn.nowMs - requests.startMs[request]!) / MS_PER_SECOND
    const node = connection.metrics
    if (isRead(requests.kind[request]!)) node.requestDurationReads.observe(seconds)
    else node.requestDurationWrites.observe(seconds)
    if (bytes[start + OPCODE_OFFSET] !== Opcode.ERROR) {
      if (requests.kind[request] === RequestKind.ON_BOTH && !isPlainVoid(bytes, start)) {
        this.#noteApplied(connection, request, bytes, start, end)
      }
      if (this.#logsAnswers) this.#logAnswer(connection, request, null)
      const span = requests.span[request]!
      if (span !== null) span.onAnswer(connection.cluster, connection.node, null, turn.nowMs)
      this.settle(request, connection.cluster, Answer.SUCCESS, bytes, start, end)
      return
    }
    const plain = plainError(connection, bytes, start, end)
    const code =
      plain === null ? readErrorCode(bytes, start, end) : readErrorCode(plain, 0, plain.length)
    node.failed[errorKindOf(code)]!++
    if (this.#logsAnswers) this.#logAnswer(connection, request, code)
    const { cluster, node: label } = connection
    requests.span[request]?.onAnswer(cluster, label, spanError(code), turn.nowMs)
    if (code === ErrorCode.UNPREPARED) {
      // The healer settles it, now or later.
      this.#healer.onUnprepared(this, connection, request, plain ?? bytes.slice(start, end))
      return
    }
    this.settle(request, connection.cluster, Answer.ERROR, bytes, start, end)
  }

  #logAnswer(connection: UpstreamConnection, request: number, errorCode: number | null): void {
    const { requests, requestIds } = this.#context
    const start = requests.chunkStart[request]!
    const end = requests.chunkEnd[request]!
    requestIds.onAnswer(connection, requests.chunk[request]!, start, end, errorCode)
  }

  /** Takes one cluster's final answer. Bytes are valid until this returns. */
  settle(
    request: number,
    cluster: Cluster,
    answer: Answer,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const { requests } = this.#context
    const outstanding = requests.outstanding[request]! & ~(1 << cluster)
    requests.outstanding[request] = outstanding
    if (answer === Answer.ERROR) requests.failed[request]! |= 1 << cluster
    if (requests.kind[request] !== RequestKind.ON_BOTH) {
      this.#deliver(request, bytes, start, end)
      return
    }
    const primary = requests.primary[request] === Cluster.ORIGIN ? Cluster.ORIGIN : Cluster.TARGET
    if (outstanding !== 0) {
      requests.firstAnswerMs[request] = this.#context.turn.nowMs
      // Kept only if it can be the one that is returned; a plain VOID is made anew.
      const mayBeReturned = answer === Answer.ERROR || cluster === primary
      if (mayBeReturned && !isPlainVoid(bytes, start)) {
        requests.held[request] = bytes.slice(start, end)
      }
      return
    }
    this.#observeGap(request, cluster)
    const failed = requests.failed[request]!
    const chosen = returnedCluster(answerOf(failed, 0), answerOf(failed, 1), primary)
    if (chosen === cluster) {
      this.#deliver(request, bytes, start, end)
      return
    }
    const held = requests.held[request] ?? this.#plainVoid(request)
    this.#deliver(request, held, 0, held.length)
  }

  #observeGap(request: number, last: Cluster): void {
    const { requests, metrics, turn } = this.#context
    const seconds = (turn.nowMs - requests.firstAnswerMs[request]!) / MS_PER_SECOND
    if (last === Cluster.TARGET) metrics.writeGap.origin.observe(seconds)
    else metrics.writeGap.target.observe(seconds)
  }

  /** The connection broke while it owed this request's answer. */
  onConnectionLost(request: number, connection: UpstreamConnection): void {
    connection.metrics.failed[ErrorKind.OTHER]!++
    const { requests, turn } = this.#context
    const { cluster, node } = connection
    requests.span[request]?.onAnswer(cluster, node, 'connection_lost', turn.nowMs)
    this.settleWithError(
      request,
      connection.cluster,
      ErrorCode.OVERLOADED,
      `${clusterName(connection.cluster)}: the connection to ${connection.node} was lost while the request was in flight; it may or may not have been applied there`,
    )
  }

  settleWithError(request: number, cluster: Cluster, code: ErrorCode, message: string): void {
    const { requests } = this.#context
    requests.setUpstream(request, cluster, null, 0)
    const version = requests.session[request]!.traits!.version
    const envelope = errorEnvelope(version, { code, message })
    this.settle(request, cluster, Answer.ERROR, envelope, 0, envelope.length)
  }

  /**
   * Answers a request whose time is over and forgets it. Slots that are still owed an answer become
   * orphans, so that the late answer meets nobody.
   */
  timeOut(request: number): void {
    const { requests, settings, metrics, turn } = this.#context
    const session = requests.session[request]!
    const late: string[] = []
    for (const cluster of CLUSTERS) {
      if (!requests.owes(request, cluster)) continue
      late.push(clusterName(cluster))
      if (cluster === Cluster.ORIGIN) metrics.requestsTimedOut.origin++
      else metrics.requestsTimedOut.target++
      const connection = requests.connection(request, cluster)
      if (connection === null) continue
      connection.metrics.failed[ErrorKind.CLIENT_TIMEOUT]!++
      connection.slots.orphan(requests.slot(request, cluster))
      requests.span[request]?.onAnswer(cluster, connection.node, 'timeout', turn.nowMs)
    }
    if (settings.repliesToTimeouts) {
      const message = `${late.join(' and ')} did not answer within ${settings.requestTimeoutMs} ms (proxy_request_timeout_ms)`
      session.reply(requests.stream[request]!, this.#timeoutEnvelope(request, message))
    }
    requests.watcher[request]?.onAnswer(null, 0, 0)
    this.#finish(request, false)
  }

  #timeoutEnvelope(request: number, message: string): Uint8Array {
    const { requests } = this.#context
    const traits = requests.session[request]!.traits!
    const bytes = requests.chunk[request]!
    const start = requests.chunkStart[request]!
    const end = requests.chunkEnd[request]!
    const body = messageStart(bytes, start, end)
    const read = readConsistency(bytes, body, end, bytes[start + OPCODE_OFFSET]!, traits)
    const consistency = read < 0 ? Consistency.ONE : read
    const counts = { consistency, received: 0, blockFor: 1 }
    return isRead(requests.kind[request]!)
      ? errorEnvelope(traits.version, {
          code: ErrorCode.READ_TIMEOUT,
          message,
          details: { kind: 'readTimeout', ...counts, dataPresent: false },
        })
      : errorEnvelope(traits.version, {
          code: ErrorCode.WRITE_TIMEOUT,
          message,
          details: { kind: 'writeTimeout', ...counts, writeType: writeTypeOf(bytes, start, body) },
        })
  }

  #deliver(request: number, bytes: Uint8Array, start: number, end: number): void {
    const { requests } = this.#context
    const session = requests.session[request]!
    const isKept = requests.watcher[request]?.onAnswer(bytes, start, end) === true
    if (!isKept && session.state !== 'closed') {
      const at = session.output.append(bytes, start, end)
      writeStreamId(session.output.buffer, at, requests.stream[request]!)
      session.noteQueued(end - start)
    }
    this.#finish(request, true)
  }

  #finish(request: number, isAnswered: boolean): void {
    const { requests, metrics, turn } = this.#context
    const session = requests.session[request]!
    const seconds = (turn.nowMs - requests.startMs[request]!) / MS_PER_SECOND
    const failed = isAnswered ? requests.failed[request]! : 0
    const kind = requests.kind[request]!
    if (!isRead(kind)) {
      metrics.inflight.writes--
      metrics.requestDuration.writes.observe(seconds)
      metrics.fineDuration.writes.observe(seconds)
      if (failed === 1) metrics.failedWrites.origin++
      else if (failed === 2) metrics.failedWrites.target++
      else if (failed === 3) metrics.failedWrites.both++
      // What is still owed may be missing there as well.
      const missing = requests.failed[request]! | requests.outstanding[request]!
      if (missing !== 0 && kind === RequestKind.ON_BOTH) this.#noteFailedWrite(request, missing)
    } else if (kind === RequestKind.ON_ORIGIN) {
      metrics.inflight.readsOrigin--
      metrics.requestDuration.readsOrigin.observe(seconds)
      metrics.fineDuration.readsOrigin.observe(seconds)
      if (failed !== 0) metrics.failedReads.origin++
    } else {
      metrics.inflight.readsTarget--
      metrics.requestDuration.readsTarget.observe(seconds)
      metrics.fineDuration.readsTarget.observe(seconds)
      if (failed !== 0) metrics.failedReads.target++
    }
    if (requests.span[request] !== null) this.#context.spans?.end(request, isAnswered)
    requests.release(request)
    session.requestDone()
  }

  /** Only ever for a write whose answer is not the plain one. */
  #noteApplied(
    connection: UpstreamConnection,
    request: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const { requests, log } = this.#context
    const envelope = readableAnswer(connection, bytes, start, end)
    if (envelope === null) return
    requests.applied[request]! |=
      appliedIn(envelope, connection.traits) << (connection.cluster * APPLIED_BITS)
    const missing = missingWhereNotApplied(requests.applied[request]!)
    if (missing === 0) return
    // A conditional BATCH has one table too.
    const [{ keyspace, table } = NO_TABLE] = this.#noteFailedWrite(request, missing)
    const without = missing === 1 << Cluster.ORIGIN ? Cluster.ORIGIN : Cluster.TARGET
    const cluster = clusterLabel(without)
    log.limited(
      `CONDITIONAL_WRITE_DIVERGED ${cluster} ${keyspace}.${table}`,
      'warn',
      { code: 'CONDITIONAL_WRITE_DIVERGED', cluster, keyspace, table },
      `A conditional write was applied on ${clusterName(otherCluster(without))} and not on ${clusterName(without)}, whose data must have been different already`,
    )
  }

  /** Only ever on the way of a failure: what it takes to find the table is not on the request path. */
  #noteFailedWrite(request: number, missing: number): readonly NamedTable[] {
    const { requests, prepared, failedWrites } = this.#context
    const session = requests.session[request]!
    return failedWrites.note(missing, {
      bytes: requests.chunk[request]!,
      start: requests.chunkStart[request]!,
      end: requests.chunkEnd[request]!,
      traits: session.traits!,
      keyspace: session.keyspace,
      statement: requests.statement[request]!,
      prepared,
    })
  }

  #plainVoid(request: number): Uint8Array {
    const { requests } = this.#context
    const version = requests.session[request]!.traits!.version
    const envelope = new Uint8Array(HEADER_LENGTH + VOID_BODY_LENGTH)
    encodeHeader(envelope, 0, version | RESPONSE_BIT, 0, 0, Opcode.RESULT, VOID_BODY_LENGTH)
    envelope[HEADER_LENGTH + VOID_BODY_LENGTH - 1] = ResultKind.VOID
    return envelope
  }
}

const answerOf = (failed: number, cluster: number): Answer =>
  (failed & (1 << cluster)) === 0 ? Answer.SUCCESS : Answer.ERROR

/** A RESULT of kind VOID without warnings, tracing or payload: the same 13 bytes from any node. */
const isPlainVoid = (bytes: Uint8Array, start: number): boolean =>
  bytes[start + FLAGS_OFFSET] === 0 &&
  bytes[start + OPCODE_OFFSET] === Opcode.RESULT &&
  readBodyLength(bytes, start) === VOID_BODY_LENGTH &&
  bytes[start + HEADER_LENGTH + VOID_BODY_LENGTH - 1] === ResultKind.VOID

/** A BATCH's first byte tells of what kind it is (v5 §4.1.7). */
const writeTypeOf = (bytes: Uint8Array, start: number, body: number): string => {
  if (bytes[start + OPCODE_OFFSET] !== Opcode.BATCH) return WriteType.SIMPLE
  if (bytes[body] === BatchType.COUNTER) return WriteType.COUNTER
  return bytes[body] === BatchType.UNLOGGED ? WriteType.UNLOGGED_BATCH : WriteType.BATCH
}

/** A compressed ERROR as it is read; null where it is not compressed, or cannot be decompressed. */
const plainError = (
  connection: UpstreamConnection,
  bytes: Uint8Array,
  start: number,
  end: number,
): Uint8Array | null =>
  isCompressed(bytes, start) ? readableAnswer(connection, bytes, start, end) : null

/** A copy of an answer as it is read; null where it cannot be decompressed. */
const readableAnswer = (
  connection: UpstreamConnection,
  bytes: Uint8Array,
  start: number,
  end: number,
): Uint8Array | null => {
  try {
    return connection.readable(bytes, start, end)
  } catch (error) {
    if (error instanceof ProtocolError) return null
    throw error
  }
}
