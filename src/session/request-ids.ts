/**
 * Request ids (`tracing_enabled`, request-path §5.8): an entry of the custom payload by which a request can
 * be followed through client, proxy and clusters. On, a request without one gets one and its way is logged;
 * off, or above the rate limit, what a client has sent under the key is taken out. The answer's line finds
 * the id where the request has it, in its bytes: nothing is kept beside them.
 */
import { OPCODE_OFFSET, readStreamId } from '../cql/envelope.ts'
import { payloadEntries, withPayloadValue } from '../cql/messages/custom-payload.ts'
import { Opcode, opcodeName } from '../cql/protocol.ts'
import type { Logger } from '../log.ts'
import { clusterLabel } from '../routing/cluster.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { Session } from './session.ts'

/** A client may send an id of any length; so many bytes of it are logged. */
const LOGGED_LENGTH_MAX = 64

export type RequestIdsOptions = {
  readonly isEnabled: boolean
  readonly key: string
  readonly log: Logger
  /** Whether one more request may be traced; asked once for each. */
  admits(): boolean
  /** A new id of 16 bytes. */
  next(): Uint8Array
}

export class RequestIds {
  /** Every request has to come by, and every answer. */
  readonly isEnabled: boolean
  readonly #options: RequestIdsOptions
  readonly #key: Uint8Array

  constructor(options: RequestIdsOptions) {
    this.isEnabled = options.isEnabled
    this.#options = options
    this.#key = new TextEncoder().encode(options.key)
  }

  /**
   * A request as it is to go on: a new envelope, or null where its bytes do. Logs it if it has an id then.
   * Throws ProtocolError where the custom payload is cut off.
   */
  onRequest(session: Session, bytes: Uint8Array, start: number, end: number): Uint8Array | null {
    if (!session.traits!.hasCustomPayload || !takesId(bytes[start + OPCODE_OFFSET]!)) return null
    const key = this.#key
    const entries = payloadEntries(bytes, start, end, key)
    const { isEnabled } = this
    if (!isEnabled || !this.#options.admits()) {
      return entries.named.length === 0
        ? null
        : withPayloadValue(bytes, start, end, entries, key, null)
    }
    // The last one, as a reader has it who puts them into a map.
    const sent = entries.named.at(-1)?.value ?? null
    if (sent !== null) {
      this.#logRequest(session, bytes, start, sent)
      return null
    }
    const id = this.#options.next()
    const marked = withPayloadValue(bytes, start, end, entries, key, id)
    if (marked !== null) this.#logRequest(session, bytes, start, id)
    return marked
  }

  /**
   * A cluster has answered the request `bytes[start, end)`, as it was sent; `errorCode` is null for a
   * success. `isCopy` tells of asynchronous reads, whose answers no client gets.
   */
  onAnswer(
    connection: UpstreamConnection,
    bytes: Uint8Array,
    start: number,
    end: number,
    errorCode: number | null,
    isCopy = false,
  ): void {
    const { log } = this.#options
    if (!log.isLevelEnabled('info')) return
    const id = payloadEntries(bytes, start, end, this.#key).named.at(-1)?.value ?? null
    if (id === null) return
    const requestId = shown(id)
    const answer = errorCode === null ? 'success' : `error 0x${hexOf(errorCode)}`
    const cluster = clusterLabel(connection.cluster)
    log.info(
      {
        code: 'TRACED_ANSWER',
        requestId,
        streamId: readStreamId(bytes, start),
        cluster,
        node: connection.node,
        answer,
        ...(isCopy && { isCopy }),
      },
      `request ${requestId}: ${answer} from ${cluster}`,
    )
  }

  #logRequest(session: Session, bytes: Uint8Array, start: number, id: Uint8Array): void {
    const { log } = this.#options
    if (!log.isLevelEnabled('info')) return
    const requestId = shown(id)
    const opcode = opcodeName(bytes[start + OPCODE_OFFSET]!)
    const client = session.transport.peer
    const streamId = readStreamId(bytes, start)
    log.info(
      { code: 'TRACED_REQUEST', requestId, client, streamId, opcode },
      `request ${requestId}: ${opcode}`,
    )
  }
}

const takesId = (opcode: number): boolean =>
  opcode === Opcode.QUERY ||
  opcode === Opcode.PREPARE ||
  opcode === Opcode.EXECUTE ||
  opcode === Opcode.BATCH

const shown = (id: Uint8Array): string =>
  Buffer.from(id.subarray(0, LOGGED_LENGTH_MAX)).toString('hex')

const hexOf = (code: number): string => code.toString(16).padStart(4, '0')
