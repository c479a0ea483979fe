/**
 * Asks a node for the system tables that describe its cluster (operations §5.2) and hands the rows to
 * the reader of topologies.
 */
import { answerReader } from '../cql/messages/answer.ts'
import { decodeResult } from '../cql/messages/result.ts'
import { ErrorCode, Opcode, ResultKind } from '../cql/protocol.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import { ClusterError, ClusterErrorCode } from '../upstream/errors.ts'
import { queryBody, refusal } from '../upstream/handshake.ts'
import { readTopology, type TopologyInput, type TopologyReading } from './host.ts'
import { type Row, rowsFrom } from './row.ts'

type Question = Omit<TopologyInput, 'localRows' | 'peersRows' | 'peersV2Rows'>

/**
 * Rejects with a ClusterError when the node does not answer or refuses, with a ProtocolError when its
 * answer cannot be read.
 */
export const readClusterTopology = async (
  connection: UpstreamConnection,
  question: Question,
): Promise<TopologyReading> => {
  // All at once: whoever waits for a change of the schema waits for one round trip.
  const [localRows, peersRows, peersV2Rows] = await Promise.all([
    select(connection, 'SELECT * FROM system.local'),
    select(connection, 'SELECT * FROM system.peers'),
    selectIfThere(connection, 'SELECT * FROM system.peers_v2'),
  ])
  return readTopology({ ...question, localRows, peersRows, peersV2Rows })
}

/** The rows of an answer; rejects with a ClusterError where there are none. */
export const select = async (connection: UpstreamConnection, text: string): Promise<Row[]> => {
  const answer = await connection.call(Opcode.QUERY, queryBody(connection, text))
  if (answer.opcode !== Opcode.RESULT) throw refusal(connection, text, answer)
  const result = decodeResult(answerReader(answer.envelope), connection.traits)
  if (result.kind === ResultKind.ROWS) return rowsFrom(result, connection.traits)
  throw new ClusterError(
    ClusterErrorCode.UNEXPECTED,
    connection.cluster,
    `${connection.node} answered ${text} with a result of kind ${result.kind}`,
  )
}

/** Null where the cluster does not know the table. */
const selectIfThere = async (
  connection: UpstreamConnection,
  text: string,
): Promise<Row[] | null> => {
  try {
    return await select(connection, text)
  } catch (error) {
    const isUnknownTable =
      error instanceof ClusterError &&
      error.envelope !== null &&
      answerReader(error.envelope).readInt() === ErrorCode.INVALID
    if (isUnknownTable) return null
    throw error
  }
}
