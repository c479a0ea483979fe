/** The handshake of a control connection (operations §5.2): what the cluster offers, who the proxy is, what it wants to hear. */
import { answerReader } from '../cql/messages/answer.ts'
import { EventType } from '../cql/messages/event.ts'
import { encodeRegister } from '../cql/messages/register.ts'
import { decodeSupported } from '../cql/messages/supported.ts'
import { Opcode } from '../cql/protocol.ts'
import { BodyWriter } from '../cql/writer.ts'
import { clusterLabel } from '../routing/cluster.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import { ClusterError, ClusterErrorCode } from '../upstream/errors.ts'
import { authenticate, refusal, startUp } from '../upstream/handshake.ts'
import type { Credentials } from '../upstream/profile.ts'

/** Never compression: what is read here is little. */
const STARTUP_OPTIONS: ReadonlyMap<string, string> = new Map([['CQL_VERSION', '3.0.0']])

/** What the cluster tells of itself before any query. */
export type ControlGreeting = {
  readonly requiresAuthentication: boolean
  /** The options of its SUPPORTED. */
  readonly supported: ReadonlyMap<string, readonly string[]>
}

/** From OPTIONS to REGISTER. Rejects with a ClusterError that says what the node refuses. */
export const shakeControlHands = async (
  connection: UpstreamConnection,
  credentials: Credentials | null,
): Promise<ControlGreeting> => {
  const options = await connection.call(Opcode.OPTIONS, new BodyWriter())
  if (options.opcode !== Opcode.SUPPORTED) throw refusal(connection, 'OPTIONS', options)
  const supported = decodeSupported(answerReader(options.envelope))
  const answer = await startUp(connection, STARTUP_OPTIONS)
  const requiresAuthentication = answer.opcode === Opcode.AUTHENTICATE
  if (requiresAuthentication) {
    if (credentials === null) {
      const name = clusterLabel(connection.cluster)
      throw new ClusterError(
        ClusterErrorCode.AUTHENTICATION,
        connection.cluster,
        `it asks for credentials: set ${name}_username and ${name}_password`,
      )
    }
    await authenticate(connection, answer, credentials)
  }
  connection.becomeReady()
  const register = encodeRegister(new BodyWriter(), [
    EventType.TOPOLOGY_CHANGE,
    EventType.STATUS_CHANGE,
    EventType.SCHEMA_CHANGE,
  ])
  const registered = await connection.call(Opcode.REGISTER, register)
  if (registered.opcode !== Opcode.READY) throw refusal(connection, 'REGISTER', registered)
  return { requiresAuthentication, supported }
}
