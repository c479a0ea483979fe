/**
 * The envelopes that the proxy makes itself. Stream id 0: whoever sends one writes the client's into
 * the copy.
 */
import { RESPONSE_BIT } from '../cql/envelope.ts'
import { ProtocolError } from '../cql/errors.ts'
import { type ErrorMessage, encodeError } from '../cql/messages/error.ts'
import { ErrorCode, Opcode } from '../cql/protocol.ts'
import { BodyWriter } from '../cql/writer.ts'
import { messageOf } from '../message-of.ts'
import { ClusterError, ClusterErrorCode, isAboutCredentials } from '../upstream/errors.ts'

/** `version` is the client's, without the response bit. */
export const replyEnvelope = (version: number, opcode: number, body: BodyWriter): Uint8Array =>
  body.toEnvelope(version | RESPONSE_BIT, 0, 0, opcode)

/** On stream 0: whoever sends it overwrites the stream id. */
export const errorEnvelope = (version: number, error: ErrorMessage): Uint8Array =>
  replyEnvelope(version, Opcode.ERROR, encodeError(new BodyWriter(), error))

export const protocolErrorEnvelope = (version: number, error: ProtocolError): Uint8Array =>
  errorEnvelope(version, { code: error.errorCode, message: error.message })

/**
 * What a client is told when a slow request failed on a cluster. The node's own ERROR goes out as it
 * came, but for refused credentials: there the cluster is named. OVERLOADED is what drivers treat as a lost connection: retried elsewhere if idempotent.
 */
export const clusterErrorEnvelope = (version: number, cause: unknown): Uint8Array => {
  if (cause instanceof ProtocolError) return protocolErrorEnvelope(version, cause)
  if (!(cause instanceof ClusterError)) {
    const message = messageOf(cause)
    return errorEnvelope(version, { code: ErrorCode.SERVER_ERROR, message })
  }
  // Both clusters may ask for credentials, so whose refusal it is matters more than the node's bytes.
  if (isAboutCredentials(cause)) {
    return errorEnvelope(version, { code: ErrorCode.AUTHENTICATION_ERROR, message: cause.message })
  }
  if (cause.envelope !== null) return cause.envelope
  switch (cause.code) {
    case ClusterErrorCode.TIMEOUT:
    case ClusterErrorCode.UNEXPECTED:
      return errorEnvelope(version, { code: ErrorCode.SERVER_ERROR, message: cause.message })
    default:
      return errorEnvelope(version, { code: ErrorCode.OVERLOADED, message: cause.message })
  }
}

/** The error of a request whose stream id belongs to events (v5 §2.4.1.3). */
export const negativeStreamId = (streamId: number): ProtocolError =>
  new ProtocolError(
    'ENVELOPE_STREAM_ID',
    `Invalid stream id ${streamId}: a request's stream id must not be negative`,
  )

/** The error of a compressed body on a connection whose STARTUP has asked for none. */
export const notNegotiated = (): ProtocolError =>
  new ProtocolError(
    'ENVELOPE_COMPRESSED',
    'The envelope is flagged as compressed, but this connection has negotiated no compression',
  )
