/**
 * Asks a node for the system tables that describe its cluster (operations §5.2) and hands the rows to
 * the reader of topologies.
 */
import { answerReader } from '../cql/messages/answer.ts'
import { encodeQuery } from '../cql/messages/query.ts'
import { decodeResult, type RowsResult } from '../cql/messages/result.ts'
import { Consistency, ErrorCode, Opcode, ResultKind } from '../cql/protocol.ts'
import { BodyWriter } from '../cql/writer.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import { ClusterError, ClusterErrorCode } from '../upstream/errors.ts'
import { queryBody, refusal } from '../upstream/handshake.ts'
import type { Contacts } from './contacts.ts'
import { readTopology, type TopologyInput, type TopologyReading } from './host.ts'
import { type Row, readText, rowsFrom } from './row.ts'

type Question = Omit<TopologyInput, 'localRows' | 'peersRows' | 'peersV2Rows' | 'contactPlaces'> & {
  /** Asked only where a datacenter has to be chosen: names are to be resolved. */
  readonly contacts: Pick<Contacts, 'places'>
}

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
  const datacenters = new Set(
    [...localRows, ...peersRows].map((row) => readText(row, 'data_center')),
  )
  const isChoice = question.previousDatacenter === null && datacenters.size > 1
  const contactPlaces = isChoice ? await question.contacts.places() : []
  return readTopology({ ...question, contactPlaces, localRows, peersRows, peersV2Rows })
}

/** The rows of an answer; rejects with a ClusterError where there are none. */
export const select = async (connection: UpstreamConnection, text: string): Promise<Row[]> =>
  rowsFrom(await rowsOf(connection, text, queryBody(connection, text)), connection.traits)

const PAGE_SIZE = 1000

/** The same page by page, for what may be long; at least one page, which may be empty. */
export async function* selectPages(
  connection: UpstreamConnection,
  text: string,
): AsyncGenerator<Row[]> {
  const { traits } = connection
  const parameters = { consistency: Consistency.ONE, skipMetadata: false, pageSize: PAGE_SIZE }
  let pagingState: Uint8Array | null = null
  do {
    const page = pagingState === null ? parameters : { ...parameters, pagingState }
    const body = encodeQuery(new BodyWriter(), { text, parameters: page }, traits)
    const result: RowsResult = await rowsOf(connection, text, body)
    // A copy: it outlives the answer's buffer.
    pagingState = result.metadata.pagingState?.slice() ?? null
    yield rowsFrom(result, traits)
  } while (pagingState !== null)
}

const rowsOf = async (
  connection: UpstreamConnection,
  text: string,
  body: BodyWriter,
): Promise<RowsResult> => {
  const answer = await connection.call(Opcode.QUERY, body)
  if (answer.opcode !== Opcode.RESULT) throw refusal(connection, text, answer)
  const result = decodeResult(answerReader(answer.envelope), connection.traits)
  if (result.kind === ResultKind.ROWS) return result
  throw new ClusterError(
    ClusterErrorCode.UNEXPECTED,
    connection.cluster,
    `${connection.node} answered ${text} with a result of kind ${result.kind}`,
  )
}

/** Whether this is how a node says that it does not know the table that was asked for. */
export const isUnknownTable = (error: unknown): boolean =>
  error instanceof ClusterError &&
  error.envelope !== null &&
  answerReader(error.envelope).readInt() === ErrorCode.INVALID

/** Null where the cluster does not know the table. */
const selectIfThere = async (
  connection: UpstreamConnection,
  text: string,
): Promise<Row[] | null> => {
  try {
    return await select(connection, text)
  } catch (error) {
    if (isUnknownTable(error)) return null
    throw error
  }
}
