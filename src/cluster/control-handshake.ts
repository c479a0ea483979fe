/** How a control connection begins: the highest protocol version that a node speaks, and its handshake. */
import { answerReader } from '../cql/messages/answer.ts'
import { EventType } from '../cql/messages/event.ts'
import { encodeRegister } from '../cql/messages/register.ts'
import { decodeSupported } from '../cql/messages/supported.ts'
import { Opcode, SUPPORTED_VERSIONS, type Version } from '../cql/protocol.ts'
import { BodyWriter } from '../cql/writer.ts'
import type { Logger } from '../log.ts'
import { type Cluster, clusterLabel, clusterName } from '../routing/cluster.ts'
import type { Endpoint, UpstreamConnection } from '../upstream/connection.ts'
import { ClusterError, ClusterErrorCode } from '../upstream/errors.ts'
import { authenticate, refusal, startUp } from '../upstream/handshake.ts'
import type { Credentials } from '../upstream/profile.ts'

const STARTUP_OPTIONS: ReadonlyMap<string, string> = new Map([['CQL_VERSION', '3.0.0']])

export type OpenControl = {
  readonly connection: UpstreamConnection
  readonly endpoint: Endpoint
  readonly requiresAuthentication: boolean
  readonly supported: ReadonlyMap<string, readonly string[]>
}

/**
 * Steps down from the highest version; each step is a connection of its own. Rejects with the error of the
 * last one.
 */
export const stepDown = async (
  cluster: Cluster,
  versionMax: number,
  log: Logger,
  openWith: (version: Version) => Promise<OpenControl>,
): Promise<OpenControl> => {
  const versions = SUPPORTED_VERSIONS.filter((version) => version <= versionMax)
  let failure: unknown = new ClusterError(
    ClusterErrorCode.VERSION,
    cluster,
    `protocol version ${versionMax} is not spoken here: raise control_conn_max_protocol_version`,
  )
  for (const version of versions) {
    try {
      return await openWith(version)
    } catch (error) {
      failure = error
      const isVersion = error instanceof ClusterError && error.code === ClusterErrorCode.VERSION
      if (!isVersion) throw error
      log.debug(
        { code: 'CONTROL_VERSION_STEP', version },
        `${clusterName(cluster)} does not speak protocol version ${version}`,
      )
    }
  }
  throw failure
}

/** Handshake and REGISTER. Rejects with a ClusterError where the node refuses, or asks for what is not known. */
export const shakeHands = async (
  connection: UpstreamConnection,
  endpoint: Endpoint,
  credentials: Credentials | null,
): Promise<OpenControl> => {
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
  return { connection, endpoint, requiresAuthentication, supported }
}
