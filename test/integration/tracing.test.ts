/** Traces and request ids on two real clusters, with the Node driver, in both phases. */
import type { Client, types } from 'cassandra-driver'
import { beforeAll, describe, expect, test } from 'vitest'
import { afterFile } from '../support/after-test.ts'
import {
  connectDirect,
  connectDriver,
  createKeyspace,
  newKeyspaceName,
  type RealInstance,
  startRealInstance,
} from '../support/real-instance.ts'

const keyspace = newKeyspaceName()
const INSERT = `INSERT INTO ${keyspace}.t (k, v) VALUES (?, ?)`
const SELECT = `SELECT v FROM ${keyspace}.t WHERE k = ?`
let direct: { origin: Client; target: Client }

const connectTo = ({ port }: RealInstance): Promise<Client> => connectDriver(`127.0.0.1:${port}`)

beforeAll(async () => {
  direct = await connectDirect()
  const client = await connectTo(await startRealInstance())
  await client.execute(createKeyspace(keyspace))
  await client.execute(`CREATE TABLE ${keyspace}.t (k int PRIMARY KEY, v text)`)
  afterFile(() => client.execute(`DROP KEYSPACE ${keyspace}`))
})

/** Whether a cluster has traced this session itself. */
const hasTrace = async (cluster: Client, id: types.Uuid): Promise<boolean> => {
  const text = 'SELECT session_id FROM system_traces.sessions WHERE session_id = ?'
  return (await cluster.execute(text, [id], { prepare: true })).rowLength === 1
}

describe.each([
  ['ORIGIN', 'origin', 'target'],
  ['TARGET', 'target', 'origin'],
] as const)('with %s as primary', (primaryCluster, primary, secondary) => {
  test.each([
    ['a read', 'SELECT', SELECT, [1], { prepare: true }],
    ['a write', 'INSERT', INSERT, [1, 'traced'], { prepare: true }],
    ['a read as text', 'SELECT', `SELECT v FROM ${keyspace}.t`, [], {}],
    ['a write as text', 'INSERT', `INSERT INTO ${keyspace}.t (k) VALUES (2)`, [], {}],
  ] as const)(
    'the trace of %s is read back through the proxy',
    async (_, verb, text, values, options) => {
      // Traces do not follow the system tables.
      for (const systemQueriesMode of ['ORIGIN', 'TARGET'] as const) {
        const client = await connectTo(
          await startRealInstance({ primaryCluster, systemQueriesMode }),
        )
        const { info } = await client.execute(text, values, { ...options, traceQuery: true })
        const trace = await client.metadata.getTrace(info.traceId)
        expect(trace.duration).toBeGreaterThan(0)
        expect(trace.events.length).toBeGreaterThan(0)
        expect(JSON.stringify(trace.parameters)).toContain(verb)
        expect(await hasTrace(direct[primary], info.traceId)).toBe(true)
        expect(await hasTrace(direct[secondary], info.traceId)).toBe(false)
      }
    },
  )
})

describe('request ids', () => {
  const run = async (client: Client, customPayload?: Record<string, Buffer>): Promise<void> => {
    const options = customPayload === undefined ? {} : { customPayload }
    await client.execute(INSERT, [3, 'prepared'], { ...options, prepare: true })
    await client.execute(`INSERT INTO ${keyspace}.t (k, v) VALUES (4, 'text')`, [], options)
    await client.batch([`UPDATE ${keyspace}.t SET v = 'batch' WHERE k = 5`], options)
    const read = await client.execute(SELECT, [3], { ...options, prepare: true })
    expect(read.first().get('v')).toBe('prepared')
  }

  const linesOf = ({ log }: RealInstance, code: string) => log.filter((line) => line.code === code)

  test('are given to every request; the clusters take them, and answer as without', async () => {
    const instance = await startRealInstance({ tracingEnabled: true })
    const client = await connectTo(instance)
    await run(client)
    const requests = linesOf(instance, 'TRACED_REQUEST')
    const opcodes = requests.map(({ opcode }: Record<string, unknown>) => opcode)
    expect(new Set(opcodes)).toEqual(new Set(['QUERY', 'PREPARE', 'EXECUTE', 'BATCH']))
    const answers = linesOf(instance, 'TRACED_ANSWER') as Record<string, unknown>[]
    expect(new Set(answers.map(({ answer }) => answer))).toEqual(new Set(['success']))
    const ids = (requests as Record<string, unknown>[]).map(({ requestId }) => requestId)
    expect(new Set(ids).size).toBe(ids.length)
    for (const [at, request] of (requests as Record<string, unknown>[]).entries()) {
      const clusters = answers
        .filter(({ requestId }) => requestId === ids[at])
        .map(({ cluster }) => cluster)
      if (request['opcode'] === 'BATCH') expect(clusters.toSorted()).toEqual(['origin', 'target'])
    }
    for (const cluster of [direct.origin, direct.target]) {
      const stored = await cluster.execute(`SELECT k, v FROM ${keyspace}.t WHERE k IN (3, 4, 5)`)
      expect(stored.rows.map((row) => row.get('v'))).toEqual(['prepared', 'text', 'batch'])
    }
  })

  test('of the application are kept, beside the rest of its payload', async () => {
    const instance = await startRealInstance({ tracingEnabled: true, tracingRequestIdKey: 'my-id' })
    const payload = { 'my-id': Buffer.from('mine'), other: Buffer.from('x') }
    await run(await connectTo(instance), payload)
    const ids = (linesOf(instance, 'TRACED_REQUEST') as Record<string, unknown>[]).map(
      ({ requestId }) => requestId,
    )
    const mine = Buffer.from('mine').toString('hex')
    expect(ids.filter((id) => id === mine).length).toBeGreaterThanOrEqual(4)
  })

  test('are not there while tracing is off', async () => {
    const instance = await startRealInstance()
    await run(await connectTo(instance), { 'request-id': Buffer.from('mine') })
    expect(linesOf(instance, 'TRACED_REQUEST')).toEqual([])
  })
})
