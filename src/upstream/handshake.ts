/**
 * The proxy's side of a handshake with a node (v5 §4.1.1, §4.1.2): STARTUP, SASL PLAIN where asked
 * for, USE. Each step is a call on the connection; what the node refuses becomes a ClusterError that
 * carries its answer.
 */
import { compressionNamed } from '../cql/compression.ts'
import { ProtocolError } from '../cql/errors.ts'
import { answerReader } from '../cql/messages/answer.ts'
import { decodeError, type ErrorMessage } from '../cql/messages/error.ts'
import { ErrorCode, Opcode, opcodeName } from '../cql/protocol.ts'
import { BodyWriter } from '../cql/writer.ts'
import type { CallAnswer, UpstreamConnection } from './connection.ts'
import { ClusterError, ClusterErrorCode } from './errors.ts'
import type { Credentials } from './profile.ts'
import { DSE_AUTHENTICATOR, encodePlainToken, PLAIN_CHALLENGE, PLAIN_MECHANISM } from './sasl.ts'

/** Classes that take user name and password. */
const PLAIN_AUTHENTICATORS = /(?:Password|Dse|Transitional|Helenus)Authenticator$/
/** More rounds than any authenticator needs. */
const AUTH_ROUNDS_MAX = 6
const CONSISTENCY_ONE = 1

/** The node's refusal of a step as an error of the kind that its code means. */
export const refusal = (
  connection: UpstreamConnection,
  step: string,
  answer: CallAnswer,
): ClusterError => {
  const { cluster, node } = connection
  const error = answer.opcode === Opcode.ERROR ? readError(answer) : null
  if (error === null) {
    const what = answer.opcode === Opcode.ERROR ? 'an unreadable ERROR' : opcodeName(answer.opcode)
    return new ClusterError(
      ClusterErrorCode.UNEXPECTED,
      cluster,
      `${node} answered ${step} with ${what}`,
    )
  }
  return new ClusterError(
    refusalCode(step, error.code),
    cluster,
    `${node} refused ${step}: ${error.message}`,
    { envelope: answer.envelope },
  )
}

const readError = (answer: CallAnswer): ErrorMessage | null => {
  try {
    return decodeError(answerReader(answer.envelope))
  } catch (error) {
    if (error instanceof ProtocolError) return null
    throw error
  }
}

/** A node that does not speak the version says so to the first message, whichever that is. */
const refusalCode = (step: string, errorCode: number): ClusterErrorCode => {
  if (errorCode === ErrorCode.AUTHENTICATION_ERROR) return ClusterErrorCode.AUTHENTICATION
  const isFirst = step === 'OPTIONS' || step === 'STARTUP'
  return isFirst && errorCode === ErrorCode.PROTOCOL_ERROR
    ? ClusterErrorCode.VERSION
    : ClusterErrorCode.UNEXPECTED
}

/** Sends STARTUP; resolves with READY or AUTHENTICATE. */
export const startUp = async (
  connection: UpstreamConnection,
  options: ReadonlyMap<string, string>,
): Promise<CallAnswer> => {
  connection.compression = compressionNamed(options.get('COMPRESSION') ?? '')
  const answer = await connection.call(Opcode.STARTUP, new BodyWriter().writeStringMap(options))
  if (answer.opcode === Opcode.READY || answer.opcode === Opcode.AUTHENTICATE) return answer
  throw refusal(connection, 'STARTUP', answer)
}

/** Sends one SASL token; resolves with AUTH_CHALLENGE or AUTH_SUCCESS. */
export const respond = async (
  connection: UpstreamConnection,
  token: Uint8Array | null,
): Promise<CallAnswer> => {
  const answer = await connection.call(Opcode.AUTH_RESPONSE, new BodyWriter().writeBytes(token))
  if (answer.opcode === Opcode.AUTH_SUCCESS || answer.opcode === Opcode.AUTH_CHALLENGE) {
    return answer
  }
  throw refusal(connection, 'the credentials', answer)
}

const authenticatorOf = (authenticate: CallAnswer): string =>
  answerReader(authenticate.envelope).readString()

/** The error of a node that wants more than SASL PLAIN; `authenticate` is its AUTHENTICATE. */
export const otherMechanism = (
  { cluster, node }: UpstreamConnection,
  authenticate: CallAnswer,
): ClusterError =>
  new ClusterError(
    ClusterErrorCode.MECHANISM,
    cluster,
    `${node} asks for another authentication than SASL PLAIN (user name and password), and the proxy has no other: its authenticator is ${authenticatorOf(authenticate)}`,
  )

/** Rethrows a refusal; of a class that nobody here knows it may be the mechanism that is refused. */
const withAuthenticator =
  (authenticator: string) =>
  (error: unknown): never => {
    if (!(error instanceof ClusterError) || error.envelope === null) throw error
    if (PLAIN_AUTHENTICATORS.test(authenticator)) throw error
    const { code, cluster, detail, envelope } = error
    const text = `${detail} (its authenticator is ${authenticator}, and the proxy has SASL PLAIN only)`
    throw new ClusterError(code, cluster, text, { cause: error, envelope })
  }

/** Completes a dialogue that the node has opened with AUTHENTICATE. */
export const authenticate = async (
  connection: UpstreamConnection,
  authenticate: CallAnswer,
  credentials: Credentials,
): Promise<void> => {
  const authenticator = authenticatorOf(authenticate)
  const token = encodePlainToken(credentials)
  let next = authenticator === DSE_AUTHENTICATOR ? PLAIN_MECHANISM : token
  for (let round = 0; round < AUTH_ROUNDS_MAX; round++) {
    const answer = await respond(connection, next).catch(withAuthenticator(authenticator))
    if (answer.opcode === Opcode.AUTH_SUCCESS) return
    const challenge = answerReader(answer.envelope).readBytes()
    if (challenge === null || new TextDecoder().decode(challenge) !== PLAIN_CHALLENGE) break
    next = token
  }
  throw otherMechanism(connection, authenticate)
}

/** Puts the connection into a keyspace given in its internal form. */
export const useKeyspace = async (
  connection: UpstreamConnection,
  keyspace: string,
): Promise<void> => {
  const answer = await connection.call(
    Opcode.QUERY,
    queryBody(connection, `USE "${keyspace.replaceAll('"', '""')}"`),
  )
  if (answer.opcode !== Opcode.RESULT) throw refusal(connection, `USE ${keyspace}`, answer)
  connection.keyspace = keyspace
}

/** The body of a QUERY without values at consistency ONE, for the proxy's own statements. */
export const queryBody = (connection: UpstreamConnection, text: string): BodyWriter => {
  const body = new BodyWriter().writeLongString(text).writeShort(CONSISTENCY_ONE)
  return connection.traits.hasIntFlags ? body.writeInt(0) : body.writeByte(0)
}

/** The whole handshake, to a connection that takes requests. */
export const completeHandshake = async (
  connection: UpstreamConnection,
  options: ReadonlyMap<string, string>,
  credentials: Credentials | null,
  keyspace: string | null,
): Promise<void> => {
  const answer = await startUp(connection, options)
  if (answer.opcode === Opcode.AUTHENTICATE) {
    if (credentials === null) {
      throw new ClusterError(
        ClusterErrorCode.AUTHENTICATION,
        connection.cluster,
        `${connection.node} asks for credentials, and none are known for this connection`,
      )
    }
    await authenticate(connection, answer, credentials)
  }
  if (keyspace !== null) await useKeyspace(connection, keyspace)
  if (!connection.becomeReady()) {
    throw new ClusterError(
      ClusterErrorCode.CONNECTION_LOST,
      connection.cluster,
      `the connection to ${connection.node} was lost at the end of its handshake`,
    )
  }
}
