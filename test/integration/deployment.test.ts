/** Three instances of the proxy as a driver sees them: one cluster of three nodes. */
import { type Client, type ClientOptions, policies } from 'cassandra-driver'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  connectDirect,
  connectDriver,
  createKeyspace,
  newKeyspaceName,
  startRealInstance,
} from '../support/real-instance.ts'

const ADDRESSES = ['127.0.1.1', '127.0.1.2', '127.0.1.3']
const keyspace = newKeyspaceName()
let port = 0

beforeAll(async () => {
  for (const [index, proxyListenAddress] of ADDRESSES.entries()) {
    const started = await startRealInstance({
      proxyListenAddress,
      proxyListenPort: port,
      proxyTopologyAddresses: ADDRESSES,
      proxyTopologyIndex: index,
    })
    port = started.port
  }
  const { origin, target } = await connectDirect()
  for (const cluster of [origin, target]) {
    await cluster.execute(createKeyspace(keyspace))
    await cluster.execute(`CREATE TABLE ${keyspace}.t (k int PRIMARY KEY, v text)`)
  }
})

/** The driver calls all nodes on one port, as system.peers names none. */
const connect = (address: string, options: Partial<ClientOptions> = {}): Promise<Client> =>
  connectDriver(`${address}:${port}`, { protocolOptions: { port }, ...options })

describe('three instances', () => {
  test('are three nodes of one datacenter and one ring, whichever is asked', async () => {
    const seen = []
    for (const address of ADDRESSES) {
      const driver = await connect(address)
      const hosts = driver.getState().getConnectedHosts()
      expect(hosts.map((host) => host.address).sort()).toEqual(
        ADDRESSES.map((one) => `${one}:${port}`),
      )
      const known = driver.hosts.values()
      expect(new Set(known.map((host) => host.datacenter)).size).toBe(1)
      seen.push(
        known
          .map((host) => `${host.address} ${host.hostId?.toString()} ${host.tokens?.join(' ')}`)
          .sort(),
      )
    }
    expect(seen[1]).toEqual(seen[0])
    expect(seen[2]).toEqual(seen[0])
  })

  test('share the requests of one driver, which reach both clusters', async () => {
    const driver = await connect(ADDRESSES[0]!, { keyspace })
    const coordinators = new Set<string>()
    for (let k = 0; k < 30; k++) {
      const result = await driver.execute('INSERT INTO t (k, v) VALUES (?, ?)', [k, `v${k}`], {
        prepare: true,
      })
      coordinators.add(String(result.info.queriedHost))
    }
    expect([...coordinators].sort()).toEqual(ADDRESSES.map((one) => `${one}:${port}`))
    const { origin, target } = await connectDirect()
    for (const cluster of [origin, target]) {
      const rows = await cluster.execute(`SELECT k FROM ${keyspace}.t`)
      expect(rows.rowLength).toBe(30)
    }
  })

  test('give a token-aware driver replicas of its own', async () => {
    const driver = await connect(ADDRESSES[0]!, {
      keyspace,
      policies: {
        loadBalancing: new policies.loadBalancing.TokenAwarePolicy(
          new policies.loadBalancing.RoundRobinPolicy(),
        ),
      },
    })
    const owner = async (k: number): Promise<string> => {
      const result = await driver.execute('SELECT v FROM t WHERE k = ?', [k], { prepare: true })
      return String(result.info.queriedHost)
    }
    const owners = []
    for (let k = 0; k < 30; k++) owners.push(await owner(k))
    expect(new Set(owners).size).toBe(3)
    for (const k of [0, 1, 2, 3]) expect(await owner(k)).toBe(owners[k])
  })
})
