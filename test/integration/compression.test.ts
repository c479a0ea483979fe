/**
 * LZ4 and Snappy on two real clusters, with a client that shows every byte: bodies on v3 and v4, frames on
 * v5. Cassandra's own compressors judge what the proxy and its library make.
 */
import type { Client } from 'cassandra-driver'
import { beforeAll, describe, expect, test } from 'vitest'
import { Opcode, ResultKind, Version } from '../../src/cql/protocol.ts'
import { afterFile } from '../support/after-test.ts'
import {
  readError,
  readTextRows,
  resultKind,
  startupBody,
} from '../support/fake-cluster/request-bodies.ts'
import type { Algorithm } from '../support/fake-cluster/wire.ts'
import { RawClient } from '../support/raw-client.ts'
import {
  connectDirect,
  createKeyspace,
  newKeyspaceName,
  startRealInstance,
} from '../support/real-instance.ts'

const LONG = 'a text that repeats itself. '.repeat(5000)
const keyspace = newKeyspaceName()
let port: number
let direct: { origin: Client; target: Client }

const connect = async (version: Version, compression: Algorithm): Promise<RawClient> => {
  const client = await RawClient.connect(port, { version, compression })
  afterFile(() => client.close())
  expect((await client.handshake()).opcode).toBe(Opcode.READY)
  return client
}

const stored = async (cluster: Client, key: string): Promise<unknown> => {
  const text = `SELECT v FROM ${keyspace}.t WHERE k = ?`
  return (await cluster.execute(text, [key], { prepare: true })).first()?.get('v') ?? null
}

beforeAll(async () => {
  port = (await startRealInstance({ controlConnMaxProtocolVersion: 'DseV2' })).port
  direct = await connectDirect()
  const client = await connect(Version.V4, 'lz4')
  await client.query(createKeyspace(keyspace))
  await client.query(`CREATE TABLE ${keyspace}.t (k text PRIMARY KEY, v text)`)
})

describe.each([
  [Version.V3, 'lz4'],
  [Version.V3, 'snappy'],
  [Version.V4, 'lz4'],
  [Version.V4, 'snappy'],
  [Version.V5, 'lz4'],
] as const)('v%i, %s', (version, algorithm) => {
  test('prepared writes, reads, batches, errors and USE', async () => {
    const client = await connect(version, algorithm)
    const key = `${version} ${algorithm}`
    const insert = await client.prepare(`INSERT INTO ${keyspace}.t (k, v) VALUES (?, ?)`)
    expect(resultKind(await client.execute(insert, { values: [key, LONG] }))).toBe(ResultKind.VOID)
    expect(await stored(direct.origin, key)).toBe(LONG)
    expect(await stored(direct.target, key)).toBe(LONG)
    const select = await client.prepare(`SELECT v FROM ${keyspace}.t WHERE k = ?`)
    expect(readTextRows(await client.execute(select, { values: [key] })).rows).toEqual([[LONG]])
    const children = [{ id: insert.id, values: [`${key} batch`, 'x'] }]
    expect(resultKind(await client.batch(children))).toBe(ResultKind.VOID)
    expect(await stored(direct.target, `${key} batch`)).toBe('x')
    expect(readError(await client.query('SELECT * FROM nowhere.at_all')).message).not.toBe('')
    expect(resultKind(await client.query(`USE ${keyspace}`))).toBe(ResultKind.SET_KEYSPACE)
    const short = await client.query(`SELECT v FROM t WHERE k = '${key} batch'`)
    expect(readTextRows(short).rows).toEqual([['x']])
    expect((await client.request(Opcode.OPTIONS, new Uint8Array(0))).opcode).toBe(Opcode.SUPPORTED)
  })
})

test('what SUPPORTED offers is what the clusters have', async () => {
  const client = await RawClient.connect(port, { version: Version.V4 })
  afterFile(() => client.close())
  const supported = await client.request(Opcode.OPTIONS, new Uint8Array(0))
  const text = supported.body.toString()
  expect(text).toContain('lz4')
  expect(text).toContain('snappy')
})

test.each([
  [Version.V4, 'zstd'],
  [Version.V4, ''],
  [Version.V5, 'snappy'],
] as const)('v%i, %j is refused in the words that a node has for it', async (version, name) => {
  const body = startupBody({ COMPRESSION: name })
  const viaProxy = await RawClient.connect(port, { version })
  const [host, nodePort] = direct.origin.getState().getConnectedHosts()[0]!.address.split(':')
  const straight = await RawClient.connect(Number(nodePort), { version, host: host! })
  afterFile(() => viaProxy.close())
  afterFile(() => straight.close())
  const ours = readError(await viaProxy.request(Opcode.STARTUP, body))
  expect(ours).toEqual(readError(await straight.request(Opcode.STARTUP, body)))
})
