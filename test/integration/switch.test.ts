/**
 * A migration from end to end on two real clusters, with a driver that writes and reads all the time: no
 * error reaches it, a row that differs between the clusters shows where reads are served, and nothing is
 * missing on either cluster in the end.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Client, types } from 'cassandra-driver'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readStateFile } from '../../src/control/state-store.ts'
import { ask, startTestControl, testApp } from '../support/controlled.ts'
import { testSettings } from '../support/instance.ts'
import {
  connectDirect,
  connectDriver,
  createKeyspace,
  newKeyspaceName,
  plainRows,
  startRealInstance,
} from '../support/real-instance.ts'

const keyspace = newKeyspaceName()
const directory = mkdtempSync(join(tmpdir(), 'zdm-switch-'))
const statePath = join(directory, 'state.json')
const WORKERS = 8

let driver: Client
let direct: { readonly origin: Client; readonly target: Client }
let app: FastifyInstance
let ended = false
let written = 0
const failures: string[] = []

/** Writes a row, reads it back, and reads the marker. */
const work = async (worker: number): Promise<void> => {
  const insert = `INSERT INTO ${keyspace}.t (w, k, v) VALUES (?, ?, ?)`
  const select = `SELECT v FROM ${keyspace}.t WHERE w = ? AND k = ?`
  for (let k = 0; !ended; k++) {
    try {
      await driver.execute(insert, [worker, k, `${worker}/${k}`], { prepare: true })
      written++
      const { rows } = await driver.execute(select, [worker, k], { prepare: true })
      if (rows[0]?.['v'] !== `${worker}/${k}`) failures.push(`${worker}/${k} was not read back`)
    } catch (error) {
      failures.push(String(error))
    }
  }
}

const served = async (): Promise<unknown> => {
  const { rows } = await driver.execute(`SELECT v FROM ${keyspace}.marker WHERE k = 1`)
  return rows[0]?.['v']
}

const grown = async (count: number): Promise<void> => {
  const until = written + count
  while (written < until) await new Promise((resolve) => setTimeout(resolve, 5))
}

beforeAll(async () => {
  const real = await startRealInstance({ dataPlaneThreads: 2 })
  driver = await connectDriver(`127.0.0.1:${real.port}`)
  direct = await connectDirect()
  await driver.execute(createKeyspace(keyspace))
  await driver.execute(`CREATE TABLE ${keyspace}.t (w int, k int, v text, PRIMARY KEY (w, k))`)
  await driver.execute(`CREATE TABLE ${keyspace}.marker (k int PRIMARY KEY, v text)`)
  await direct.origin.execute(`INSERT INTO ${keyspace}.marker (k, v) VALUES (1, 'ORIGIN')`)
  await direct.target.execute(`INSERT INTO ${keyspace}.marker (k, v) VALUES (1, 'TARGET')`)
  const settings = testSettings({ routingStatePath: statePath, proxyListenPort: real.port })
  app = testApp(startTestControl(settings, real.instance))
})

afterAll(() => rmSync(directory, { recursive: true }))

/** Verb, the phase that it leads to, where reads are then. */
const WALK = [
  ['advance', 'migrate', 'ORIGIN'],
  ['advance', 'dual-read', 'ORIGIN'],
  ['advance', 'target-reads', 'TARGET'],
  ['rollback', 'rolled-back', 'ORIGIN'],
  ['advance', 'target-reads', 'TARGET'],
  ['advance', 'cut-over', 'TARGET'],
] as const

test('connect → migrate → dual-read → target-reads → rollback → target-reads → cut-over', async () => {
  const workers = Array.from({ length: WORKERS }, (_, worker) => work(worker))
  expect(await served()).toBe('ORIGIN')
  const early = await ask(app, 'POST', '/v1/advance', { to: 'migrate' })
  expect(early.body).toMatchObject({ outcome: 'done' })
  const unproven = await ask(app, 'POST', '/v1/advance', { to: 'dual-read' })
  expect(JSON.stringify(unproven.body)).toContain('no reconciliation has been recorded')
  const recorded = { reason: 'nothing was there before' }
  expect((await ask(app, 'POST', '/v1/reconciliations', recorded)).status).toBe(200)
  for (const [verb, to, cluster] of WALK) {
    await grown(100)
    const payload = verb === 'advance' ? { to } : {}
    const { status, body } = await ask(app, 'POST', `/v1/${verb}`, { ...payload, by: 'test' })
    expect(status, JSON.stringify(body)).toBe(200)
    expect(await served()).toBe(cluster)
    expect(readStateFile(statePath)).toMatchObject({ phase: to, routing: { primary: cluster } })
  }
  await grown(100)
  ended = true
  await Promise.all(workers)
  expect(failures).toEqual([])
  const query = `SELECT w, k, v, writetime(v) AS at FROM ${keyspace}.t`
  const options = { fetchSize: 100_000, consistency: types.consistencies.one }
  const [origin, target] = await Promise.all([
    direct.origin.execute(query, [], options),
    direct.target.execute(query, [], options),
  ])
  expect(origin.rows.length).toBe(written)
  const inOrder = (result: types.ResultSet): string[] =>
    plainRows(result)
      .map((row) => JSON.stringify(row))
      .sort()
  expect(inOrder(target)).toEqual(inOrder(origin))
  const { body } = await ask(app, 'GET', '/v1/status')
  expect(body).toMatchObject({ failedWrites: { originOnly: 0, targetOnly: 0 } })
}, 120_000)
