/** Three instances, one of which is restarted under load: a real driver leaves it and comes back. */
import { type types as driverTypes, policies } from 'cassandra-driver'
import { beforeAll, expect, test } from 'vitest'
import type { ProxyInstance } from '../../src/proxy/instance.ts'
import {
  connectDirect,
  connectDriver,
  createKeyspace,
  newKeyspaceName,
  type RealInstance,
  startRealInstance,
} from '../support/real-instance.ts'

const ADDRESSES = ['127.0.4.1', '127.0.4.2', '127.0.4.3']
const [A, B] = ADDRESSES
const keyspace = newKeyspaceName()
const instances: ProxyInstance[] = []
const logs: RealInstance['log'][] = []
let port = 0

const start = async (index: number): Promise<void> => {
  const started = await startRealInstance({
    proxyListenAddress: ADDRESSES[index]!,
    proxyListenPort: port,
    proxyTopologyAddresses: ADDRESSES,
    proxyTopologyIndex: index,
    shutdownTimeoutMs: 15_000,
  })
  port = started.port
  instances[index] = started.instance
  logs[index] = started.log
}

beforeAll(async () => {
  for (const index of ADDRESSES.keys()) await start(index)
  const { origin, target } = await connectDirect()
  for (const cluster of [origin, target]) {
    await cluster.execute(createKeyspace(keyspace))
    await cluster.execute(`CREATE TABLE ${keyspace}.t (k int PRIMARY KEY, v text)`)
  }
})

/** So long that only the word of an instance brings the driver back in time. */
const RECONNECT_AFTER_MS = 10 * 60_000

test('a driver leaves an instance that drains without an error, and is back when it is', async () => {
  const driver = await connectDriver(`${A}:${port}`, {
    protocolOptions: { port },
    keyspace,
    queryOptions: { isIdempotent: true, prepare: true },
    policies: {
      loadBalancing: new policies.loadBalancing.RoundRobinPolicy(),
      reconnection: new policies.reconnection.ConstantReconnectionPolicy(RECONNECT_AFTER_MS),
    },
  })
  const heard: string[] = []
  driver.on('log', (_level, _source, message) => heard.push(String(message)))
  const hasHeard = (text: string): boolean => heard.some((line) => line.includes(text))
  let count = 0
  let last = new Set<string>()
  /** Writes and reads, ten in flight, until the condition holds; remembers who was asked in the last round. */
  const workUntil = async (isDone: () => boolean): Promise<void> => {
    do {
      const round = Array.from({ length: 10 }, async () => {
        const k = count++
        const results: driverTypes.ResultSet[] = [
          await driver.execute('INSERT INTO t (k, v) VALUES (?, ?)', [k, `v${k}`]),
          await driver.execute('SELECT v FROM t WHERE k = ?', [k]),
        ]
        expect(results[1]!.first().get('v')).toBe(`v${k}`)
        return results.map((result) => String(result.info.queriedHost))
      })
      last = new Set((await Promise.all(round)).flat())
    } while (!isDone())
  }
  await workUntil(() => last.size === ADDRESSES.length)
  // Who was never seen is not said to be gone.
  const hasSeenB = (): boolean =>
    logs[0]!.some(({ msg }) => msg.includes(`the instance ${B}:${port} accepts clients`))
  await workUntil(hasSeenB)

  let isStopped = false
  const stopped = instances[1]!.stop(new AbortController().signal).then(() => {
    isStopped = true
  })
  await workUntil(() => isStopped && !last.has(`${B}:${port}`))
  await stopped
  expect(hasHeard(`Received status change to DOWN for host ${B}:${port}`)).toBe(true)
  expect(
    driver
      .getState()
      .getConnectedHosts()
      .map(({ address }) => address),
  ).not.toContain(`${B}:${port}`)

  await start(1)
  await workUntil(() => last.has(`${B}:${port}`))
  expect(hasHeard(`Setting host ${B}:${port} as UP`)).toBe(true)
  // What was written meanwhile is on both clusters.
  const { origin, target } = await connectDirect()
  for (const cluster of [origin, target]) {
    const rows = await cluster.execute(`SELECT count(*) FROM ${keyspace}.t`)
    expect(Number(rows.first().get('count'))).toBe(count)
  }
})
