/**
 * Puts a request of the table onto an upstream connection, with the statement ids that this cluster
 * knows. The client's bytes stay as they came: ids are overwritten in the copy, and only ids of
 * another length (never seen from Cassandra) make a new envelope. A compressed request leaves compressed
 * where nothing is overwritten, else as it is read.
 */
import { FLAGS_OFFSET, HEADER_LENGTH, readBodyLength, writeBodyLength } from '../cql/envelope.ts'
import { clearSkipMetadata, skipCustomPayload } from '../cql/messages/fields.ts'
import { EnvelopeFlag } from '../cql/protocol.ts'
import type { PreparedStatement } from '../prepared/statement.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { BatchIds } from './batch-ids.ts'
import type { RequestTable } from './request-table.ts'

/**
 * Takes a slot and sends. `batch` describes the children of a BATCH and is null for everything else.
 * The caller has checked that a slot is free.
 */
export const sendRequest = (
  requests: RequestTable,
  request: number,
  connection: UpstreamConnection,
  batch: BatchIds | null,
): void => {
  const bytes = requests.chunk[request]!
  const start = requests.chunkStart[request]!
  const end = requests.chunkEnd[request]!
  const cluster = connection.cluster
  const slot = connection.slots.take(request)
  requests.setUpstream(request, cluster, connection, slot)
  const statement = requests.statement[request]!
  const isVerbatim = statement === null || statement.isVerbatim[cluster]
  if (batch?.differsOn(cluster) === true) {
    sendBatch(connection, slot, bytes, start, end, batch)
  } else if (bytes === requests.decompressed && requests.asSent !== null && isVerbatim) {
    // Nothing is changed, so the body stays compressed: the profile's connections speak it too.
    connection.send(slot, requests.asSent, requests.asSentStart, requests.asSentEnd)
  } else {
    sendEnvelope(connection, slot, bytes, start, end, statement)
  }
}

/** Sends a QUERY, or an EXECUTE of `statement` with the ids of the connection's cluster. */
export const sendEnvelope = (
  connection: UpstreamConnection,
  slot: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  statement: PreparedStatement | null,
): void => {
  if (statement !== null && !statement.isVerbatim[connection.cluster]) {
    sendExecute(connection, slot, bytes, start, end, statement)
  } else {
    connection.send(slot, bytes, start, end)
  }
}

/** Where the message proper of an envelope begins: behind the header and a custom payload. */
export const messageStart = (bytes: Uint8Array, start: number, end: number): number => {
  const body = start + HEADER_LENGTH
  const hasPayload = (bytes[start + FLAGS_OFFSET]! & EnvelopeFlag.CUSTOM_PAYLOAD) !== 0
  return hasPayload ? skipCustomPayload(bytes, body, end) : body
}

const shortAt = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!

const sendExecute = (
  connection: UpstreamConnection,
  slot: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  statement: PreparedStatement,
): void => {
  const idStart = messageStart(bytes, start, end) + 2
  const id = statement.ids[connection.cluster]
  // The client reads rows that come without metadata by the columns of Origin's PREPARED, and this cluster's are others.
  // In v5 the node sees it by the result metadata id that the client sends, and tells (v5 §4.2.5.2).
  const hasOtherColumns =
    statement.hasOtherColumns[connection.cluster] && !connection.traits.hasResultMetadataId
  if (id.length !== statement.id.length) {
    const envelope = withIds(bytes, start, end, [idStart], [id])
    const idEnd = idStart - start + id.length
    if (hasOtherColumns) clearSkipMetadata(envelope, idEnd, envelope.length, connection.traits)
    sendRewritten(connection, slot, envelope)
    return
  }
  const idEnd = idStart - start + id.length
  const at = connection.send(slot, bytes, start, end, idEnd + PATCHED_BEHIND_ID)
  const out = connection.outputBuffer
  out.set(id, at + idStart - start)
  if (hasOtherColumns) clearSkipMetadata(out, at + idEnd, at + end - start, connection.traits)
}

/** A [consistency] and an [int] of flags. */
const PATCHED_BEHIND_ID = 2 + 4

/** Overwrites the children's ids in the copy; allocates only where an id has another length. */
const sendBatch = (
  connection: UpstreamConnection,
  slot: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  batch: BatchIds,
): void => {
  const { cluster } = connection
  const { starts, statements } = batch
  for (let i = 0; i < starts.length; i++) {
    if (statements[i]!.ids[cluster].length === shortAt(bytes, starts[i]! - 2)) continue
    const ids = statements.map((child) => child.ids[cluster])
    sendRewritten(connection, slot, withIds(bytes, start, end, starts, ids))
    return
  }
  const at = connection.send(slot, bytes, start, end, end - start)
  const out = connection.outputBuffer
  for (let i = 0; i < starts.length; i++) {
    out.set(statements[i]!.ids[cluster], at + starts[i]! - start)
  }
}

const sendRewritten = (
  connection: UpstreamConnection,
  slot: number,
  envelope: Uint8Array,
): void => {
  connection.send(slot, envelope, 0, envelope.length)
}

/**
 * The envelope with the [short bytes] ids that begin at `idStarts` (of their bytes, not their length)
 * replaced by others of any length.
 */
const withIds = (
  bytes: Uint8Array,
  start: number,
  end: number,
  idStarts: readonly number[],
  ids: readonly Uint8Array[],
): Uint8Array => {
  const parts: Uint8Array[] = []
  let from = start
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!
    const idStart = idStarts[i]!
    parts.push(bytes.subarray(from, idStart - 2), Uint8Array.of(id.length >> 8, id.length), id)
    from = idStart + shortAt(bytes, idStart - 2)
  }
  parts.push(bytes.subarray(from, end))
  const envelope = new Uint8Array(Buffer.concat(parts))
  const grownBy = envelope.length - (end - start)
  writeBodyLength(envelope, 0, readBodyLength(bytes, start) + grownBy)
  return envelope
}
