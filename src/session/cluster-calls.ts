/**
 * Asks both clusters, or the one that serves alone, what is asked rarely (PREPARE, USE): connections
 * first, and an ERROR in place of what a cluster that failed has not answered.
 */
import { OPCODE_OFFSET } from '../cql/envelope.ts'
import { readErrorCode } from '../cql/messages/answer.ts'
import { Opcode } from '../cql/protocol.ts'
import { Cluster } from '../routing/cluster.ts'
import { Answer } from '../routing/outcome.ts'
import type { CallAnswer, UpstreamConnection } from '../upstream/connection.ts'
import { ClusterError, ClusterErrorCode } from '../upstream/errors.ts'
import type { SessionContext } from './context.ts'
import { clusterErrorEnvelope } from './replies.ts'

/** The answer of each cluster, or what took its place. */
export type BothAnswers = readonly [Uint8Array, Uint8Array]

export type Question = {
  /** The request that both get. */
  readonly envelope: Uint8Array
  /** The connection to ask on; null where none is ready. */
  connect(cluster: Cluster): UpstreamConnection | null | Promise<UpstreamConnection | null>
  call(connection: UpstreamConnection): Promise<CallAnswer>
}

type CallsContext = Pick<SessionContext, 'settings' | 'requestIds'>

export class ClusterCalls {
  readonly #context: CallsContext

  constructor(context: CallsContext) {
    this.#context = context
  }

  /**
   * The answers to a client of this version. `only`: the cluster that serves alone, whose answer stands for
   * the other's then. Rejects with a time-out that nobody is told of.
   */
  async ask(only: Cluster | null, version: number, question: Question): Promise<BothAnswers> {
    if (only === null) return this.#askBoth(version, question)
    const connection = await this.#connect(only, version, question)
    const answer =
      connection instanceof Uint8Array
        ? connection
        : await this.#call(connection, version, question)
    return [answer, answer]
  }

  /** Nothing is asked unless both can be. */
  async #askBoth(version: number, question: Question): Promise<BothAnswers> {
    const [origin, target] = await Promise.all([
      this.#connect(Cluster.ORIGIN, version, question),
      this.#connect(Cluster.TARGET, version, question),
    ])
    if (origin instanceof Uint8Array) {
      return [origin, target instanceof Uint8Array ? target : origin]
    }
    if (target instanceof Uint8Array) return [target, target]
    return Promise.all([
      this.#call(origin, version, question),
      this.#call(target, version, question),
    ])
  }

  /** A connection, or the ERROR envelope that says why there is none. */
  async #connect(
    cluster: Cluster,
    version: number,
    { connect }: Question,
  ): Promise<UpstreamConnection | Uint8Array> {
    try {
      const connection = await connect(cluster)
      return connection ?? noConnection(version, cluster)
    } catch (error) {
      return this.#errorOf(version, error)
    }
  }

  async #call(
    connection: UpstreamConnection,
    version: number,
    { envelope, call }: Question,
  ): Promise<Uint8Array> {
    try {
      const { envelope: answer } = await call(connection)
      this.#logAnswer(connection, envelope, answer)
      return answer
    } catch (error) {
      return this.#errorOf(version, error)
    }
  }

  #logAnswer(connection: UpstreamConnection, envelope: Uint8Array, answer: Uint8Array): void {
    const { requestIds } = this.#context
    if (!requestIds.isEnabled) return
    const isError = answerOf(answer) === Answer.ERROR
    const code = isError ? readErrorCode(answer, 0, answer.length) : null
    requestIds.onAnswer(connection, envelope, 0, envelope.length, code)
  }

  /** `proxy_timeout_reply: none` keeps the reference's silence. */
  #errorOf(version: number, error: unknown): Uint8Array {
    if (isTimeout(error) && !this.#context.settings.repliesToTimeouts) throw error
    return clusterErrorEnvelope(version, error)
  }
}

export const isTimeout = (error: unknown): boolean =>
  error instanceof ClusterError && error.code === ClusterErrorCode.TIMEOUT

/** ERROR is one; every other message is a success. */
export const answerOf = (envelope: Uint8Array): Answer =>
  envelope[OPCODE_OFFSET] === Opcode.ERROR ? Answer.ERROR : Answer.SUCCESS

const noConnection = (version: number, cluster: Cluster): Uint8Array =>
  clusterErrorEnvelope(
    version,
    new ClusterError(ClusterErrorCode.UNAVAILABLE, cluster, 'no connection is ready, try again'),
  )
