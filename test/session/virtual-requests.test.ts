import { describe, expect, test } from 'vitest'
import {
  HEADER_LENGTH,
  OPCODE_OFFSET,
  readBodyLength,
  readStreamId,
} from '../../src/cql/envelope.ts'
import { decodeError, type ErrorMessage } from '../../src/cql/messages/error.ts'
import { encodeExecute } from '../../src/cql/messages/execute.ts'
import { encodeQuery } from '../../src/cql/messages/query.ts'
import type { QueryParameters } from '../../src/cql/messages/query-parameters.ts'
import {
  decodeResult,
  type PreparedResult,
  type ResultMessage,
  type RowsResult,
} from '../../src/cql/messages/result.ts'
import {
  Consistency,
  ErrorCode,
  Opcode,
  ResultKind,
  TypeId,
  Version,
  type VersionTraits,
  versionTraits,
} from '../../src/cql/protocol.ts'
import { BodyReader } from '../../src/cql/reader.ts'
import { nativeType } from '../../src/cql/type-option.ts'
import { decodeInet, decodeText, encodeInet } from '../../src/cql/values.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import { PreparedStatement, type SharedStatement } from '../../src/prepared/statement.ts'
import type { Snapshot } from '../../src/session/context.ts'
import { type OwnStatementClass, VirtualRequests } from '../../src/session/virtual-requests.ts'
import { StatementClass } from '../../src/statement/classify.ts'
import { TABLES } from '../cluster/virtual-select-tables.ts'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const PLAIN: QueryParameters = { consistency: Consistency.ONE, skipMetadata: false }
const SKIP: QueryParameters = { ...PLAIN, skipMetadata: true }

const snapshot = (virtualTables = TABLES): Snapshot => ({
  clusters: [
    { nodes: [], requiresAuthentication: false, schemaVersion: null },
    { nodes: [], requiresAuthentication: false, schemaVersion: null },
  ],
  supported: new Map(),
  errorVersion: Version.V4,
  isSameTokenOrder: true,
  virtualTables,
})

/** One client of a version, with the answers in its own decoders. */
class Client {
  readonly traits: VersionTraits
  readonly context = { snapshot: snapshot() }
  readonly requests = new VirtualRequests(this.context)

  constructor(version: Version) {
    this.traits = versionTraits(version)!
  }

  /** The message stands where a request's would: behind something, and before something else. */
  #inChunk(message: BodyWriter): [bytes: Uint8Array, body: number, end: number] {
    const body = message.toBytes()
    const bytes = new Uint8Array(body.length + 20).fill(0xff)
    bytes.set(body, HEADER_LENGTH)
    return [bytes, HEADER_LENGTH, HEADER_LENGTH + body.length]
  }

  #decode(envelope: Uint8Array): ResultMessage | ErrorMessage {
    expect(envelope[0]).toBe(this.traits.version | 0x80)
    expect(readStreamId(envelope, 0)).toBe(0)
    expect(readBodyLength(envelope, 0)).toBe(envelope.length - HEADER_LENGTH)
    const body = new BodyReader(envelope, HEADER_LENGTH)
    const opcode = envelope[OPCODE_OFFSET]
    const message = opcode === Opcode.ERROR ? decodeError(body) : decodeResult(body, this.traits)
    expect(body.remaining).toBe(0)
    return message
  }

  query(text: string, parameters = PLAIN): ResultMessage | ErrorMessage {
    const message = encodeQuery(new BodyWriter(), { text, parameters }, this.traits)
    return this.#decode(this.requests.query(this, ...this.#inChunk(message)))
  }

  prepare(
    text: string,
    keyspace: string | null = null,
    statementClass: OwnStatementClass = StatementClass.VIRTUAL_READ,
  ): { answer: ResultMessage | ErrorMessage; remembered: SharedStatement[] } {
    const remembered: SharedStatement[] = []
    const remember = (statement: SharedStatement): void => {
      remembered.push(statement)
    }
    const args = [utf8(text), keyspace, statementClass, remember] as const
    const envelope = this.requests.prepare(this, ...args)
    return { answer: this.#decode(envelope), remembered }
  }

  execute(
    statement: PreparedStatement,
    parameters = PLAIN,
    resultMetadataId = statement.id,
  ): ResultMessage | ErrorMessage {
    const execute = { statementId: statement.id, resultMetadataId, parameters }
    const message = encodeExecute(new BodyWriter(), execute, this.traits)
    return this.#decode(this.requests.execute(this, ...this.#inChunk(message), statement))
  }

  /** Prepares what must be preparable. */
  statement(text: string): PreparedStatement {
    return new PreparedStatement(this.prepare(text).remembered[0]!, 0)
  }
}

const rows = (answer: ResultMessage | ErrorMessage): RowsResult => {
  if ('kind' in answer && answer.kind === ResultKind.ROWS) return answer
  throw new Error(`no rows: ${JSON.stringify(answer)}`)
}

const preparedOf = (answer: ResultMessage | ErrorMessage): PreparedResult => {
  if ('kind' in answer && answer.kind === ResultKind.PREPARED) return answer
  throw new Error(`not prepared: ${JSON.stringify(answer)}`)
}

const racks = (answer: ResultMessage | ErrorMessage): (string | null)[] =>
  rows(answer).rows.map(([rack]) => (rack === null || rack === undefined ? null : decodeText(rack)))

describe.each(Object.values(Version))('protocol v%i', (version) => {
  const client = new Client(version)

  test('QUERY has rows with the metadata of one table', () => {
    const answer = rows(client.query('SELECT peer, rack FROM system.peers'))
    expect(answer.metadata).toMatchObject({
      columnCount: 2,
      globalTable: { keyspace: 'system', table: 'peers' },
      columns: [
        { name: 'peer', type: nativeType(TypeId.INET) },
        { name: 'rack', type: nativeType(TypeId.VARCHAR) },
      ],
    })
    expect(answer.rows.map(([peer]) => decodeInet(peer!))).toEqual([
      '10.0.0.1',
      '10.0.0.2',
      '10.0.0.3',
    ])
  })

  test('QUERY takes values by position and by name, and no notice of pages', () => {
    const text = 'SELECT rack FROM system.peers WHERE peer = :p'
    const values = [encodeInet('10.0.0.2')]
    expect(racks(client.query(text, { ...PLAIN, values }))).toEqual(["r'1"])
    expect(racks(client.query(text, { ...PLAIN, values, names: ['p'] }))).toEqual(["r'1"])
    const all = rows(client.query('SELECT * FROM system.peers', { ...PLAIN, pageSize: 1 }))
    expect(all.rows).toHaveLength(3)
    expect(all.metadata.pagingState).toBeUndefined()
  })

  test('QUERY answers what is wrong with an ERROR', () => {
    expect(client.query('SELECT * FROM system.peers_v2')).toEqual({
      code: ErrorCode.INVALID,
      message: 'unconfigured table peers_v2',
    })
    expect(client.query('SELECT * FROM system.local LIMIT')).toMatchObject({
      code: ErrorCode.SYNTAX_ERROR,
    })
    expect(client.query('SELECT * FROM system.local WHERE key = ?')).toMatchObject({
      code: ErrorCode.INVALID,
    })
  })

  test('PREPARE declares its variables, its columns and the id that a fleet shares', () => {
    const { answer, remembered } = client.prepare('SELECT rack FROM system.peers WHERE peer = ?')
    const result = preparedOf(answer)
    expect(result.variables.columns).toEqual([
      { keyspace: 'system', table: 'peers', name: 'peer', type: nativeType(TypeId.INET) },
    ])
    expect(result.variables.partitionKeyIndices).toEqual(version >= Version.V4 ? [0] : undefined)
    expect(result.resultMetadata.columns?.map(({ name }) => name)).toEqual(['rack'])
    const id = result.statementId.slice()
    const { hasResultMetadataId: hasMetadataId } = versionTraits(version)!
    expect(result.resultMetadataId).toEqual(hasMetadataId ? id : undefined)
    expect(remembered).toEqual([
      {
        id,
        ids: [id, id],
        columnDigests: [null, null],
        statementClass: StatementClass.VIRTUAL_READ,
        text: utf8('SELECT rack FROM system.peers WHERE peer = ?'),
        keyspace: null,
      },
    ])
  })

  test('PREPARE without bind markers declares none', () => {
    const { variables } = preparedOf(client.prepare('SELECT * FROM system.local').answer)
    expect(variables.columns).toEqual([])
  })

  test.each([
    { text: 'SELECT * FROM system.peers', keyspace: null, id: '069fb698bee84c17a671916e08f28ac7' },
    { text: 'SELECT * FROM system.peers', keyspace: '', id: '069fb698bee84c17a671916e08f28ac7' },
    // MD5 of `SELECT * FROM peerssystem`.
    { text: 'SELECT * FROM peers', keyspace: 'system', id: 'f57fd6d7e450ddb3829e50949a5cc26c' },
  ])('the id of $text in keyspace $keyspace', ({ text, keyspace, id }) => {
    const { answer, remembered } = client.prepare(text, keyspace)
    expect(preparedOf(answer).statementId.toHex()).toBe(id)
    expect(remembered[0]).toMatchObject({ keyspace })
  })

  test.each([
    { text: 'CALL InsightsRpc.reportInsight(?)', names: ['arg0'] },
    { text: 'CALL InsightsRpc.reportInsight(:Json)', names: ['json'] },
    { text: "CALL InsightsRpc.reportInsight('?')", names: [] },
  ])('PREPARE of a driver’s report declares texts, and a result without columns: $text', (call) => {
    const insights = StatementClass.INSIGHTS_CALL
    const { answer, remembered } = client.prepare(call.text, null, insights)
    const { variables, resultMetadata, statementId } = preparedOf(answer)
    const type = nativeType(TypeId.VARCHAR)
    const wanted = call.names.map((name) => expect.objectContaining({ name, type }))
    expect(variables.columns).toEqual(wanted)
    expect(resultMetadata).toEqual({ columnCount: 0, columns: null })
    expect(remembered).toMatchObject([{ id: statementId, statementClass: insights }])
  })

  test('PREPARE of what is wrong is an ERROR and remembers nothing', () => {
    const { answer, remembered } = client.prepare('SELECT nope FROM system.local')
    expect(answer).toEqual({ code: ErrorCode.INVALID, message: 'Undefined column name nope' })
    expect(remembered).toEqual([])
  })

  test('EXECUTE takes values and honours a wish for no metadata', () => {
    const statement = client.statement('SELECT rack FROM system.peers WHERE peer = ?')
    const values = [encodeInet('10.0.0.1')]
    const full = rows(client.execute(statement, { ...PLAIN, values }))
    expect(full.metadata.columns?.map(({ name }) => name)).toEqual(['rack'])
    expect(full.metadata.newMetadataId).toBeUndefined()
    const skipped = rows(client.execute(statement, { ...SKIP, values }))
    expect(skipped.metadata).toEqual({ columnCount: 1, columns: null })
    expect(skipped.rows).toEqual(full.rows)
    expect(client.execute(statement, SKIP)).toMatchObject({ code: ErrorCode.INVALID })
  })

  test('EXECUTE of SELECT * shows the columns that there are now', () => {
    const changing = new Client(version)
    const statement = changing.statement('SELECT * FROM system.local')
    const local = TABLES.get('local')!
    const columns = local.columns.slice(0, 2)
    const changed = { ...local, columns, rows: local.rows.map((row) => row.slice(0, 2)) }
    changing.context.snapshot = snapshot(new Map([['local', changed]]))
    const answer = rows(changing.execute(statement, SKIP))
    expect(answer.metadata.columns?.map(({ name }) => name)).toEqual(['key', 'gossip_generation'])
    expect(answer.rows[0]).toHaveLength(2)
  })

  test('EXECUTE answers an ERROR where the table has gone since', () => {
    const changing = new Client(version)
    const statement = changing.statement('SELECT * FROM system.peers')
    changing.context.snapshot = snapshot(new Map())
    expect(changing.execute(statement)).toEqual({
      code: ErrorCode.INVALID,
      message: 'unconfigured table peers',
    })
  })

  test('a message that is cut off is a ProtocolError', () => {
    const message = encodeQuery(
      new BodyWriter(),
      { text: 'SELECT * FROM system.local', parameters: PLAIN },
      client.traits,
    ).toBytes()
    expect(() => client.requests.query(client, message, 0, message.length - 1)).toThrow(
      expect.objectContaining({ name: 'ProtocolError' }),
    )
  })
})

test('v5 EXECUTE with a metadata id of somebody else learns the right one', () => {
  const client = new Client(Version.V5)
  const statement = client.statement('SELECT rack FROM system.peers')
  for (const parameters of [PLAIN, SKIP]) {
    const { metadata } = rows(client.execute(statement, parameters, Uint8Array.of(1, 2)))
    expect(metadata.newMetadataId).toEqual(statement.id)
    expect(metadata.columns?.map(({ name }) => name)).toEqual(['rack'])
  }
})
