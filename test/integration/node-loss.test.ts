/**
 * A node of a two-node Origin is killed under load and comes back: clients see no error but that of
 * requests that were in flight on it, new clients are served at once, and it is used again.
 */
import { type Client, policies } from 'cassandra-driver'
import { beforeAll, describe, expect, inject, test, vi } from 'vitest'
import type { RunningCluster } from '../../clusters/cluster.ts'
import { startCluster } from '../../clusters/start.ts'
import { messageOf } from '../../src/message-of.ts'
import { afterFile, afterTest } from '../support/after-test.ts'
import {
  connectDirect,
  connectDriver,
  newKeyspaceName,
  type RealInstance,
  startInstanceBetween,
} from '../support/real-instance.ts'

const START_TIMEOUT_MS = 300_000
const TEST_TIMEOUT_MS = 300_000
/** Requests under way at any time. */
const WORKERS = 8
/** A client that had to wait for a dead node's time-out would take twice as long. */
const NEW_CLIENT_MAX_MS = 15_000

const keyspace = newKeyspaceName()
let origin: RunningCluster
let proxy: RealInstance
let driver: Client

beforeAll(async () => {
  origin = await startCluster({ name: 'two-nodes', version: '4.1', nodes: 2 })
  afterFile(() => origin.stop())
  const [first, second] = await Promise.all(origin.nodes.map(connectTo))
  await first!.execute(
    `CREATE KEYSPACE ${keyspace} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 2}`,
  )
  // On a busy machine the nodes take a moment to agree, the one that was asked included.
  const known = `SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = '${keyspace}'`
  for (const node of [first!, second!]) {
    await vi.waitUntil(async () => (await node.execute(known)).rowLength === 1, 30_000)
  }
  await first!.execute(`CREATE TABLE ${keyspace}.t (k int PRIMARY KEY, v text)`)
  // The other node hears of it a moment later; what is sent there before would be refused.
  const seen = `SELECT table_name FROM system_schema.tables WHERE keyspace_name = '${keyspace}'`
  await vi.waitUntil(async () => (await second!.execute(seen)).rowLength === 1, 30_000)
  const { target } = await connectDirect()
  await target.execute(
    `CREATE KEYSPACE ${keyspace} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`,
  )
  await target.execute(`CREATE TABLE ${keyspace}.t (k int PRIMARY KEY, v text)`)
  proxy = await startInstanceBetween(origin, inject('clusters').target)
  driver = await connectClient()
}, START_TIMEOUT_MS)

/** To this node and no other. */
const connectTo = ({ address, port }: { address: string; port: number }): Promise<Client> => {
  const { AllowListPolicy, RoundRobinPolicy } = policies.loadBalancing
  const endpoint = `${address}:${port}`
  return connectDriver(endpoint, {
    policies: { loadBalancing: new AllowListPolicy(new RoundRobinPolicy(), [endpoint]) },
  })
}

/** Without retries: every error that the proxy gives is seen. */
const connectClient = (): Promise<Client> =>
  connectDriver(`127.0.0.1:${proxy.port}`, {
    keyspace,
    pooling: { coreConnectionsPerHost: { 0: 4, 1: 4, 2: 4 } },
    policies: {
      loadBalancing: new policies.loadBalancing.RoundRobinPolicy(),
      retry: new policies.retry.FallthroughRetryPolicy(),
    },
  })

class Load {
  answered = 0
  readonly errors: string[] = []
  #isOver = false
  readonly #workers: Promise<void>[]

  constructor(client: Client) {
    this.#workers = Array.from({ length: WORKERS }, (_, worker) => this.#work(client, worker))
  }

  async #work(client: Client, worker: number): Promise<void> {
    for (let k = worker; !this.#isOver; k += WORKERS) {
      try {
        if (k % 3 === 0) {
          await client.execute('SELECT v FROM t WHERE k = ?', [k], { prepare: true })
        } else {
          await client.execute('INSERT INTO t (k, v) VALUES (?, ?)', [k, 'v'], { prepare: true })
        }
        this.answered++
      } catch (error) {
        this.errors.push(messageOf(error))
      }
    }
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#workers)
  }

  /** Resolves when so many more requests were answered. */
  async serve(count: number): Promise<void> {
    const until = this.answered + count
    await expect.poll(() => this.answered, { timeout: 60_000, interval: 20 }).toBeGreaterThan(until)
  }
}

const linesOf = (code: string): number => proxy.log.filter((line) => line.code === code).length

describe('a node of Origin', () => {
  test(
    'dies and comes back under load',
    async () => {
      const lost = origin.nodes[1]!
      const load = new Load(driver)
      afterTest(() => load.stop())
      await load.serve(200)
      expect(load.errors).toEqual([])

      await lost.kill()
      await load.serve(200)
      // What was in flight there may have been applied or not: the client has to know.
      expect(load.errors.length).toBeLessThanOrEqual(WORKERS)
      for (const error of load.errors)
        expect(error).toContain('was lost while the request was in flight')

      const startedAt = performance.now()
      const late = await connectClient()
      expect(performance.now() - startedAt).toBeLessThan(NEW_CLIENT_MAX_MS)
      // Cassandra may ask the dead replica first, for as long as it believes in it.
      await late.execute('SELECT v FROM t WHERE k = 0')

      const errorsWhileDown = load.errors.length
      await load.serve(500)
      expect(load.errors.slice(errorsWhileDown)).toEqual([])

      const opened = linesOf('UPSTREAM_OPENED')
      await lost.start()
      await expect
        .poll(() => linesOf('UPSTREAM_OPENED'), { timeout: 60_000 })
        .toBeGreaterThan(opened)
      await load.serve(500)
      await load.stop()
      expect(load.errors.slice(errorsWhileDown)).toEqual([])
    },
    TEST_TIMEOUT_MS,
  )
})
