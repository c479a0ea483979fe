/**
 * Protocol v5 on two real clusters, with a client that shows every byte: cassandra-driver does not speak
 * it. Checksummed frames both ways, statement and result metadata ids of two clusters, the keyspace field.
 */
import type { Client } from 'cassandra-driver'
import { beforeAll, describe, expect, test } from 'vitest'
import { ErrorCode, Opcode, ResultKind, Version } from '../../src/cql/protocol.ts'
import { afterFile } from '../support/after-test.ts'
import { readError, readTextRows, resultKind } from '../support/fake-cluster/request-bodies.ts'
import { RawClient } from '../support/raw-client.ts'
import {
  connectDirect,
  createKeyspace,
  newKeyspaceName,
  startRealInstance,
} from '../support/real-instance.ts'

describe.each(['ORIGIN', 'TARGET'] as const)('primary %s', (primaryCluster) => {
  const keyspace = newKeyspaceName()
  let client: RawClient
  let direct: { origin: Client; target: Client }

  beforeAll(async () => {
    const { port } = await startRealInstance({ primaryCluster })
    client = await RawClient.connect(port, { version: Version.V5 })
    afterFile(() => client.close())
    expect((await client.handshake()).opcode).toBe(Opcode.READY)
    direct = await connectDirect()
    await client.query(createKeyspace(keyspace))
    await client.query(`CREATE TABLE ${keyspace}.t (k text PRIMARY KEY, v text)`)
  })

  const stored = async (cluster: Client, key: string): Promise<unknown> => {
    const text = `SELECT v FROM ${keyspace}.t WHERE k = ?`
    return (await cluster.execute(text, [key], { prepare: true })).first()?.get('v') ?? null
  }

  test('a prepared write is executed in both clusters', async () => {
    const prepared = await client.prepare(`INSERT INTO ${keyspace}.t (k, v) VALUES (?, ?)`)
    const answer = await client.execute(prepared, { values: ['prepared', 'in both'] })
    expect(resultKind(answer)).toBe(ResultKind.VOID)
    expect(await stored(direct.origin, 'prepared')).toBe('in both')
    expect(await stored(direct.target, 'prepared')).toBe('in both')
  })

  test('a prepared read with skipped metadata answers rows, and metadata when it has changed', async () => {
    await client.query(`CREATE TABLE ${keyspace}.changing (k text PRIMARY KEY, v text)`)
    await client.query(`INSERT INTO ${keyspace}.changing (k, v) VALUES ('a', 'b')`)
    const prepared = await client.prepare(`SELECT * FROM ${keyspace}.changing WHERE k = ?`)
    const options = { values: ['a'], skipMetadata: true }
    expect(readTextRows(await client.execute(prepared, options))).toEqual({
      columns: undefined,
      rows: [['a', 'b']],
    })
    await client.query(`ALTER TABLE ${keyspace}.changing ADD w text`)
    const changed = await client.execute(prepared, options)
    expect(readTextRows(changed)).toEqual({
      columns: ['k', 'v', 'w'],
      rows: [['a', 'b', null]],
    })
  })

  test('the keyspace field stands for unqualified names', async () => {
    const insert = `INSERT INTO t (k, v) VALUES ('field', 'query')`
    expect(resultKind(await client.query(insert, { keyspace }))).toBe(ResultKind.VOID)
    const prepared = await client.prepare('SELECT v FROM t WHERE k = ?', keyspace)
    const rows = readTextRows(await client.execute(prepared, { values: ['field'] })).rows
    expect(rows).toEqual([['query']])
    expect(await stored(direct.target, 'field')).toBe('query')
  })

  test('a batch of texts and prepared statements is executed in both clusters', async () => {
    const { id } = await client.prepare(`INSERT INTO ${keyspace}.t (k, v) VALUES (?, ?)`)
    const answer = await client.batch([
      { id, values: ['batch 1', 'x'] },
      { text: `INSERT INTO ${keyspace}.t (k, v) VALUES ('batch 2', ?)`, values: ['y'] },
    ])
    expect(resultKind(answer)).toBe(ResultKind.VOID)
    for (const cluster of [direct.origin, direct.target]) {
      expect(await stored(cluster, 'batch 1')).toBe('x')
      expect(await stored(cluster, 'batch 2')).toBe('y')
    }
  })

  test('a value that fills many frames survives both ways', async () => {
    const value = 'v5 '.repeat(200_000)
    const prepared = await client.prepare(`INSERT INTO ${keyspace}.t (k, v) VALUES (?, ?)`)
    await client.execute(prepared, { values: ['large', value] })
    const rows = readTextRows(await client.query(`SELECT v FROM ${keyspace}.t WHERE k = 'large'`))
    expect(rows.rows[0]?.[0]).toBe(value)
    expect(await stored(direct.target, 'large')).toBe(value)
  })

  test('a thousand requests in flight on one connection are all answered', async () => {
    const prepared = await client.prepare(`INSERT INTO ${keyspace}.t (k, v) VALUES (?, ?)`)
    const answers = await Promise.all(
      Array.from({ length: 1000 }, (_, i) =>
        client.execute(prepared, { values: [`many ${i}`, String(i)] }),
      ),
    )
    expect(answers.map(resultKind).filter((kind) => kind !== ResultKind.VOID)).toEqual([])
  })

  test('an error keeps its code and text', async () => {
    const error = readError(await client.query('SELEC'))
    expect(error.code).toBe(ErrorCode.SYNTAX_ERROR)
  })
})
