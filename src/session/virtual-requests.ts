/**
 * The requests on system.local, system.peers and system.peers_v2 that the proxy answers itself: QUERY,
 * PREPARE and EXECUTE between bytes and virtual-select.ts (request-path §2.5, §4.2); and the PREPARE of a
 * driver's report on itself, which is dropped. Each is exactly one envelope with stream id 0.
 */
import { createHash } from 'node:crypto'
import { TEXT } from '../cluster/virtual-columns.ts'
import { orderValues, planVirtualSelect, type VirtualPlan } from '../cluster/virtual-select.ts'
import { VIRTUAL_KEYSPACE } from '../cluster/virtual-tables.ts'
import { VirtualSelectError } from '../cluster/virtual-value.ts'
import { decodeExecute } from '../cql/messages/execute.ts'
import { type RowsMetadata, rowsMetadata } from '../cql/messages/metadata.ts'
import { decodeQuery } from '../cql/messages/query.ts'
import type { QueryParameters } from '../cql/messages/query-parameters.ts'
import { encodeResult, type PreparedResult, type ResultMessage } from '../cql/messages/result.ts'
import { Opcode, ResultKind, type VersionTraits } from '../cql/protocol.ts'
import { BodyReader } from '../cql/reader.ts'
import { narrowCollection } from '../cql/short-collections.ts'
import { BodyWriter } from '../cql/writer.ts'
import { equalBytes, type PreparedStatement, type SharedStatement } from '../prepared/statement.ts'
import { StatementClass } from '../statement/classify.ts'
import { findFunctionCalls } from '../statement/function-calls.ts'
import type { SessionContext } from './context.ts'
import { errorEnvelope, replyEnvelope } from './replies.ts'
import type { Session } from './session.ts'

/** Of the statements that the proxy prepares itself. */
export type OwnStatementClass =
  | typeof StatementClass.VIRTUAL_READ
  | typeof StatementClass.INSIGHTS_CALL

/** What is read of a session. */
type VirtualSession = Pick<Session, 'traits'>

export class VirtualRequests {
  readonly #context: Pick<SessionContext, 'snapshot'>

  constructor(context: Pick<SessionContext, 'snapshot'>) {
    this.#context = context
  }

  /** Answers the QUERY whose message begins at `body`. Throws ProtocolError where it is cut off. */
  query(session: VirtualSession, bytes: Uint8Array, body: number, end: number): Uint8Array {
    const { text, parameters } = decodeQuery(new BodyReader(bytes, body, end), session.traits!)
    return this.#answer(session, () => {
      const plan = this.#plan(text)
      return rowsOf(plan, parameters, rowsMetadata(plan.columns), session.traits!)
    })
  }

  /** Answers an EXECUTE of a statement that `prepare` has made. Throws like `query`. */
  execute(
    session: VirtualSession,
    bytes: Uint8Array,
    body: number,
    end: number,
    statement: PreparedStatement,
  ): Uint8Array {
    const message = decodeExecute(new BodyReader(bytes, body, end), session.traits!)
    return this.#answer(session, () => {
      const plan = this.#plan(statement.text)
      const { parameters, resultMetadataId } = message
      const metadata = executeMetadata(plan, statement.id, parameters, resultMetadataId ?? null)
      return rowsOf(plan, parameters, metadata, session.traits!)
    })
  }

  /**
   * Answers a PREPARE; `remember` gets the statement where it is a good one. `keyspace` is the one that
   * unqualified names mean: it is part of the id, which every instance of a fleet must make alike.
   */
  prepare(
    session: VirtualSession,
    text: Uint8Array,
    keyspace: string | null,
    statementClass: OwnStatementClass,
    remember: (statement: SharedStatement) => void,
  ): Uint8Array {
    return this.#answer(session, () => {
      const metadata =
        statementClass === StatementClass.INSIGHTS_CALL
          ? insightsMetadata(text)
          : selectMetadata(this.#plan(text))
      const id = Uint8Array.from(
        createHash('md5')
          .update(text)
          .update(keyspace ?? '')
          .digest(),
      )
      remember({
        id,
        ids: [id, id],
        columnDigests: [null, null],
        statementClass,
        text,
        keyspace,
      })
      return { kind: ResultKind.PREPARED, statementId: id, resultMetadataId: id, ...metadata }
    })
  }

  #plan(text: Uint8Array): VirtualPlan {
    return planVirtualSelect(text, this.#context.snapshot.virtualTables)
  }

  #answer(session: VirtualSession, work: () => ResultMessage): Uint8Array {
    const traits = session.traits!
    try {
      const body = encodeResult(new BodyWriter(), work(), traits)
      return replyEnvelope(traits.version, Opcode.RESULT, body)
    } catch (error) {
      if (!(error instanceof VirtualSelectError)) throw error
      return errorEnvelope(traits.version, { code: error.errorCode, message: error.message })
    }
  }
}

type Metadata = Pick<PreparedResult, 'variables' | 'resultMetadata'>

const selectMetadata = ({ columns, variables, partitionKeyIndices }: VirtualPlan): Metadata => ({
  variables: { ...rowsMetadata(variables), columns: variables, partitionKeyIndices },
  resultMetadata: rowsMetadata(columns),
})

/** The procedures of DSE's InsightsRpc take JSON and give nothing back. */
const insightsMetadata = (text: Uint8Array): Metadata => {
  const { markers, markerNames } = findFunctionCalls(text, 0, text.length)
  const variables = Array.from({ length: markers }, (_, i) => ({
    keyspace: VIRTUAL_KEYSPACE,
    table: 'insightsrpc',
    name: markerNames[i] ?? `arg${i}`,
    type: TEXT,
  }))
  return {
    variables: { ...rowsMetadata(variables), columns: variables, partitionKeyIndices: [] },
    resultMetadata: { columnCount: 0, columns: null },
  }
}

const rowsOf = (
  plan: VirtualPlan,
  parameters: QueryParameters,
  metadata: RowsMetadata,
  traits: VersionTraits,
): ResultMessage => {
  const values = orderValues(plan, parameters.values ?? [], parameters.names ?? null)
  const rows = plan.rows(values)
  if (traits.hasIntCollections) return { kind: ResultKind.ROWS, metadata, rows }
  const { columns } = plan
  const short = rows.map((row) =>
    row.map((value, at) => narrowCollection(columns[at]!.type, value)),
  )
  return { kind: ResultKind.ROWS, metadata, rows: short }
}

/**
 * A v5 client with another metadata id than the statement's learns the right one (v5 §4.2.5.2). One that
 * wants no metadata gets none, but for `SELECT *`: the id says nothing of the columns, so that those may
 * have changed since the PREPARE, or be another instance's.
 */
const executeMetadata = (
  plan: VirtualPlan,
  id: Uint8Array,
  { skipMetadata }: QueryParameters,
  knownMetadataId: Uint8Array | null,
): RowsMetadata => {
  const metadata = rowsMetadata(plan.columns)
  if (knownMetadataId !== null && !equalBytes(knownMetadataId, id)) {
    return { ...metadata, newMetadataId: id }
  }
  if (!skipMetadata || plan.isOfAllColumns) return metadata
  return { columnCount: metadata.columnCount, columns: null }
}
