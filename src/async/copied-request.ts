/**
 * A read that was copied, by its own bytes: what its comparison asks of it when the client's chunk is
 * long gone. Off the request path.
 */
import type { Compression } from '../cql/compression.ts'
import { OPCODE_OFFSET } from '../cql/envelope.ts'
import { decodeExecute, type ExecuteMessage } from '../cql/messages/execute.ts'
import { clearSkipMetadata, consistencyOffset } from '../cql/messages/fields.ts'
import { decodeQuery } from '../cql/messages/query.ts'
import type { QueryParameters } from '../cql/messages/query-parameters.ts'
import { Opcode, type VersionTraits } from '../cql/protocol.ts'
import { BodyReader } from '../cql/reader.ts'
import type { PreparedStatement } from '../prepared/statement.ts'
import { messageStart } from '../session/upstream-request.ts'

export type CopiedRequest = {
  /** As the client sent it, decompressed. */
  readonly envelope: Uint8Array
  /** Null for a QUERY. */
  readonly statement: PreparedStatement | null
  readonly traits: VersionTraits
  /** Of the bodies of its answers. */
  readonly compression: Compression | null
  /** What unqualified names of a QUERY mean, unless it says so itself. */
  readonly keyspace: string | null
}

const reader = ({ envelope }: CopiedRequest): BodyReader =>
  new BodyReader(envelope, messageStart(envelope, 0, envelope.length))

const isExecute = ({ envelope }: CopiedRequest): boolean =>
  envelope[OPCODE_OFFSET] === Opcode.EXECUTE

/** Throws a ProtocolError where the client's body is malformed. */
export const requestParameters = (request: CopiedRequest): QueryParameters =>
  (isExecute(request)
    ? (decodeExecute(reader(request), request.traits) satisfies ExecuteMessage)
    : decodeQuery(reader(request), request.traits)
  ).parameters

/** The CQL text of a QUERY, or of the statement that an EXECUTE names; a view of the copy or of the cache. */
export const requestText = (request: CopiedRequest): Uint8Array =>
  request.statement?.text ?? decodeQuery(reader(request), request.traits).text

/** The keyspace that unqualified names mean. */
export const requestKeyspace = (request: CopiedRequest): string | null => {
  if (request.statement !== null) return request.statement.keyspace
  return requestParameters(request).keyspace ?? request.keyspace
}

/** The same request asking for the columns' names, which drivers that know them do not. */
export const withMetadata = (request: CopiedRequest): Uint8Array => {
  const envelope = request.envelope.slice()
  const { length } = envelope
  const message = messageStart(envelope, 0, length)
  const opcode = envelope[OPCODE_OFFSET]!
  const consistencyAt = consistencyOffset(envelope, message, length, opcode, request.traits)
  clearSkipMetadata(envelope, consistencyAt, length, request.traits)
  return envelope
}
