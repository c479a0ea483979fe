/**
 * Statements that may change the schema: their answer is kept back until the nodes of every cluster that
 * has made the change agree on it (cluster/schema-agreement.ts). By then the virtual system tables show the
 * new schema version as well.
 */
import { decompressEnvelope, isCompressed } from '../cql/compression.ts'
import { FLAGS_OFFSET, HEADER_LENGTH, OPCODE_OFFSET } from '../cql/envelope.ts'
import { ProtocolError } from '../cql/errors.ts'
import { skipResponsePrefix } from '../cql/messages/fields.ts'
import { Opcode, ResultKind } from '../cql/protocol.ts'
import { BodyReader } from '../cql/reader.ts'
import { CLUSTERS, type Cluster } from '../routing/cluster.ts'
import type { SessionContext } from './context.ts'
import type { AnswerWatcher } from './request-table.ts'
import type { Session } from './session.ts'

/** A cluster that may have changed its schema, and the version that was known before. */
export type SchemaQuestion = { readonly cluster: Cluster; readonly before: string | null }

/** Watches a request that has just been sent and may be answered with SCHEMA_CHANGE. */
export const watchSchemaChange = (context: SessionContext, request: number): void => {
  const { requests, snapshot } = context
  const questions = CLUSTERS.filter((cluster) => requests.owes(request, cluster)).map(
    (cluster) => ({ cluster, before: snapshot.clusters[cluster].schemaVersion }),
  )
  const [session, streamId] = [requests.session[request]!, requests.stream[request]!]
  requests.watcher[request] = new SchemaChangeWatcher(context, session, streamId, questions)
}

class SchemaChangeWatcher implements AnswerWatcher {
  readonly #context: SessionContext
  readonly #session: Session
  readonly #streamId: number
  readonly #questions: readonly SchemaQuestion[]

  constructor(
    context: SessionContext,
    session: Session,
    streamId: number,
    questions: readonly SchemaQuestion[],
  ) {
    this.#context = context
    this.#session = session
    this.#streamId = streamId
    this.#questions = questions
  }

  onAnswer(bytes: Uint8Array | null, start: number, end: number): boolean {
    if (bytes === null || bytes[start + OPCODE_OFFSET] !== Opcode.RESULT) return false
    const answer = bytes.slice(start, end)
    const session = this.#session
    if (!isSchemaChange(answer, session)) return false
    // As long as it is not answered the client is not drained.
    session.inFlight++
    this.#context
      .schemaAgreement(this.#questions)
      .then(() => {
        this.#context.turn.begin()
        session.reply(this.#streamId, answer)
        session.requestDone()
      })
      .catch((error: unknown) => this.#context.onInvariantBroken(session, error))
    return true
  }
}

/** Of a RESULT. One that cannot be read is the client's business. */
const isSchemaChange = (answer: Uint8Array, { compression }: Session): boolean => {
  try {
    const plain =
      isCompressed(answer, 0) && compression !== null
        ? decompressEnvelope(compression, answer, 0, answer.length, ANSWER_LENGTH_MAX)
        : answer
    const body = skipResponsePrefix(plain, HEADER_LENGTH, plain.length, plain[FLAGS_OFFSET]!)
    return new BodyReader(plain, body).readInt() === ResultKind.SCHEMA_CHANGE
  } catch (error) {
    if (error instanceof ProtocolError) return false
    throw error
  }
}

/** A SCHEMA_CHANGE is small; what is larger is something else. */
const ANSWER_LENGTH_MAX = 1024 * 1024
