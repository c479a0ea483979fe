import { afterEach, describe, expect, it } from 'vitest'
import { FakeNode } from '../../bench/fake-node.ts'
import { LoadConnection } from '../../bench/load-connection.ts'
import { PREPARED_READ, PREPARED_WRITE } from '../../bench/statements.ts'
import { readTopology } from '../../src/cluster/host.ts'
import { rowsFrom } from '../../src/cluster/row.ts'
import { HEADER_LENGTH, OPCODE_OFFSET } from '../../src/cql/envelope.ts'
import { decodeError } from '../../src/cql/messages/error.ts'
import { encodeExecute } from '../../src/cql/messages/execute.ts'
import { encodePrepare } from '../../src/cql/messages/prepare.ts'
import { encodeQuery } from '../../src/cql/messages/query.ts'
import {
  decodeResult,
  type PreparedResult,
  type ResultMessage,
  type RowsResult,
} from '../../src/cql/messages/result.ts'
import { decodeSupported } from '../../src/cql/messages/supported.ts'
import { Opcode, ResultKind, Version, versionTraits } from '../../src/cql/protocol.ts'
import { BodyReader } from '../../src/cql/reader.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import { Dialer } from '../../src/net/dialer.ts'

const closers: (() => void | Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const startNode = async (clusterName = 'bench origin', mark = 'o'): Promise<FakeNode> => {
  const node = await FakeNode.start({ clusterName, mark, valueLength: 5, port: 0 })
  closers.push(() => node.close())
  return node
}

/** A client that asks one question at a time. */
const connectTo = async (node: FakeNode, version = 4) => {
  const traits = versionTraits(version)!
  const connection = await LoadConnection.open(
    new Dialer(),
    { port: node.port, traits, capacity: 1, valueLength: 5, mark: 0 },
    { onAnswer: () => {}, onFailure: () => {} },
  )
  closers.push(() => connection.destroy())
  const ask = async (opcode: number, body: BodyWriter, expected: number): Promise<BodyReader> =>
    new BodyReader(await connection.call(opcode, body, expected), HEADER_LENGTH)
  const result = async (opcode: number, body: BodyWriter): Promise<ResultMessage> =>
    decodeResult(await ask(opcode, body, Opcode.RESULT), traits)
  return {
    ask,
    prepare: async (text: string) =>
      (await result(
        Opcode.PREPARE,
        encodePrepare(new BodyWriter(), { text }, traits),
      )) as PreparedResult,
    execute: (id: Uint8Array, skipMetadata = false) =>
      result(
        Opcode.EXECUTE,
        encodeExecute(
          new BodyWriter(),
          { statementId: id, parameters: { consistency: 1, values: [], skipMetadata } },
          traits,
        ),
      ),
    query: (text: string) =>
      result(
        Opcode.QUERY,
        encodeQuery(
          new BodyWriter(),
          { text, parameters: { consistency: 1, skipMetadata: false } },
          traits,
        ),
      ),
  }
}

const FIVE_O = [new TextEncoder().encode('ooooo')]

describe('a fake node', () => {
  it.each([3, 4, 5])(
    'answers reads with a value of its own mark, writes with VOID (v%i)',
    async (version) => {
      const node = await startNode()
      const client = await connectTo(node, version)
      const read = await client.prepare(PREPARED_READ)
      const write = await client.prepare(PREPARED_WRITE)
      expect(read.variables.columns.map(({ name }) => name)).toEqual(['k'])
      expect(write.variables.columns.map(({ name }) => name)).toEqual(['k', 'v'])

      const rows = (await client.execute(read.statementId)) as RowsResult
      expect(rows.rows).toEqual([FIVE_O])
      expect(rows.metadata.columns?.map(({ name }) => name)).toEqual(['v'])
      const bare = (await client.execute(read.statementId, true)) as RowsResult
      expect(bare.rows).toEqual([FIVE_O])
      expect(bare.metadata.columns).toBeNull()
      expect(await client.execute(write.statementId)).toEqual({ kind: ResultKind.VOID })
      expect(await client.query("INSERT INTO bench.kv (k, v) VALUES ('k', 'v')")).toEqual({
        kind: ResultKind.VOID,
      })
      const queried = (await client.query("SELECT v FROM bench.kv WHERE k = 'k'")) as RowsResult
      expect(queried.rows).toEqual([FIVE_O])
      expect(node.counts).toEqual({ reads: 3, writes: 2, batches: 0, unprepared: 0 })
    },
  )

  it('gives ids of its own and refuses those of another cluster', async () => {
    const [origin, target] = [await startNode(), await startNode('bench target', 't')]
    const atOrigin = await connectTo(origin)
    const atTarget = await connectTo(target)
    const { statementId } = await atOrigin.prepare(PREPARED_WRITE)
    expect((await atTarget.prepare(PREPARED_WRITE)).statementId).not.toEqual(statementId)
    await expect(atTarget.execute(statementId)).rejects.toThrow('ERROR 0x2500')
    expect(target.counts).toEqual({ reads: 0, writes: 0, batches: 0, unprepared: 1 })
  })

  it('describes itself well enough for a control connection', async () => {
    const node = await startNode()
    const client = await connectTo(node)
    const supported = decodeSupported(
      await client.ask(Opcode.OPTIONS, new BodyWriter(), Opcode.SUPPORTED),
    )
    expect(supported.get('CQL_VERSION')).toEqual(['3.4.6'])
    await client.ask(Opcode.REGISTER, new BodyWriter().writeStringList([]), Opcode.READY)
    const rowsOf = async (table: string) =>
      rowsFrom(
        (await client.query(`SELECT * FROM system.${table}`)) as RowsResult,
        versionTraits(Version.V4)!,
      )
    const reading = readTopology({
      cluster: 'origin',
      contactEndpoint: { address: '127.0.0.1', port: node.port },
      configuredPort: node.port,
      configuredDatacenter: null,
      isStrictDatacenter: false,
      contactPlaces: [],
      previousDatacenter: null,
      localRows: await rowsOf('local'),
      peersRows: await rowsOf('peers'),
      peersV2Rows: await rowsOf('peers_v2'),
    })
    expect(reading).toMatchObject({
      ok: true,
      warnings: [],
      topology: {
        clusterName: 'bench origin',
        hosts: [{ address: '127.0.0.1', port: node.port, datacenter: 'datacenter1' }],
      },
    })
  })

  it('selects single columns of system.local, and nothing from the schema', async () => {
    const client = await connectTo(await startNode())
    const local = (await client.query(
      "SELECT rack, cluster_name FROM system.local WHERE key='local'",
    )) as RowsResult
    expect(local.metadata.columns?.map(({ name }) => name)).toEqual(['rack', 'cluster_name'])
    expect(local.rows[0]?.map((cell) => new TextDecoder().decode(cell!))).toEqual([
      'rack1',
      'bench origin',
    ])
    const schema = (await client.query('SELECT * FROM system_schema.tables')) as RowsResult
    expect(schema.rows).toEqual([])
    expect(await client.query('USE bench')).toEqual({
      kind: ResultKind.SET_KEYSPACE,
      keyspace: 'bench',
    })
  })

  it('refuses what it does not know', async () => {
    const client = await connectTo(await startNode())
    await expect(client.query('SELECT * FROM system.clients')).rejects.toThrow('ERROR 0x2200')
    const answer = await client.ask(Opcode.AUTH_RESPONSE, new BodyWriter(), Opcode.ERROR)
    expect(decodeError(answer).message).toContain('AUTH_RESPONSE')
  })

  it('refuses a version that it does not speak, so that drivers step down', async () => {
    const node = await startNode()
    const answered = Promise.withResolvers<Uint8Array>()
    const transport = await new Dialer().dial(
      { address: '127.0.0.1', port: node.port, timeoutMs: 5000 },
      {
        onBytes: (chunk, start, end) => answered.resolve(chunk.slice(start, end)),
        onDrain: () => {},
        onEnd: () => {},
        onClose: () => {},
      },
    )
    closers.push(() => transport.destroy())
    transport.write(new BodyWriter().toEnvelope(0x42, 0, 7, Opcode.OPTIONS))
    const answer = await answered.promise
    expect(answer[OPCODE_OFFSET]).toBe(Opcode.ERROR)
    expect([answer[2], answer[3]]).toEqual([0, 7])
    expect(decodeError(new BodyReader(answer, HEADER_LENGTH))).toMatchObject({
      code: 0x0a,
      message: expect.stringContaining('unsupported protocol version (66)'),
    })
  })
})
