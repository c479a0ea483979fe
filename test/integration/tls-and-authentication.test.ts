/**
 * Clusters of this file's own that demand TLS with client certificates, and users with passwords: a
 * driver through the proxy with certificates on both ends of all three legs.
 */
import { once } from 'node:events'
import { connect } from 'node:net'
import { auth, type Client, type ClientOptions, type types } from 'cassandra-driver'
import { beforeAll, describe, expect, test } from 'vitest'
import { DEFAULT_CREDENTIALS, type RunningCluster } from '../../clusters/cluster.ts'
import { ORIGIN, startCluster, TARGET } from '../../clusters/start.ts'
import { afterFile } from '../support/after-test.ts'
import { Authority, Files, type Issued } from '../support/certificates.ts'
import {
  connectDriver,
  createKeyspace,
  newKeyspaceName,
  type RealInstance,
  startInstanceBetween,
} from '../support/real-instance.ts'

let files: Files
let clients: Authority
let application: Issued
let origin: RunningCluster
let target: RunningCluster
let proxy: RealInstance
const keyspace = newKeyspaceName()

const login = {
  authProvider: new auth.PlainTextAuthProvider(
    DEFAULT_CREDENTIALS.username,
    DEFAULT_CREDENTIALS.password,
  ),
}

/** The node's certificates as Cassandra takes them since 4.1: PEM files, key and chain in one. */
const encryption = async (name: string, authority: Authority): Promise<Record<string, unknown>> => {
  // Nodes are on any loopback address; nobody verifies their names here.
  const node = await authority.issue(`${name} node`)
  return {
    client_encryption_options: {
      enabled: true,
      optional: false,
      require_client_auth: true,
      keystore: await files.write(`${name}-node.pem`, `${node.key}\n${node.certificate}`),
      truststore: await files.write(`${name}-ca.pem`, authority.certificate),
      ssl_context_factory: {
        class_name: 'org.apache.cassandra.security.PEMBasedSslContextFactory',
      },
    },
  }
}

type Legs = Readonly<Record<'origin' | 'target', Issued & { readonly authority: string }>>
let legs: Legs

const startClusters = async (): Promise<void> => {
  const authorities = {
    origin: await Authority.create('Origin Root'),
    target: await Authority.create('Target Root'),
  }
  const leg = async (name: 'origin' | 'target') => ({
    ...(await authorities[name].issue(`proxy at ${name}`, { usage: 'client' })),
    authority: authorities[name].certificate,
  })
  legs = { origin: await leg('origin'), target: await leg('target') }
  const start = async (spec: typeof ORIGIN, name: 'origin' | 'target') =>
    startCluster({
      ...spec,
      authentication: true,
      clientTls: {
        ca: legs[name].authority,
        cert: legs[name].certificate,
        key: legs[name].key,
      },
      yaml: await encryption(name, authorities[name]),
    })
  const started = await Promise.allSettled([start(ORIGIN, 'origin'), start(TARGET, 'target')])
  for (const one of started) if (one.status === 'fulfilled') afterFile(() => one.value.stop())
  const [first, second] = started
  if (first.status === 'rejected') throw first.reason
  if (second.status === 'rejected') throw second.reason
  origin = first.value
  target = second.value
}

beforeAll(async () => {
  files = new Files(afterFile)
  clients = await Authority.create('Application Root')
  application = await clients.issue('application', { usage: 'client' })
  await startClusters()
  const listener = await files.writePair('listener', await clients.issue('proxy'))
  const toOrigin = await files.writePair('to-origin', legs.origin)
  const toTarget = await files.writePair('to-target', legs.target)
  proxy = await startInstanceBetween(origin, target, {
    originUsername: DEFAULT_CREDENTIALS.username,
    originPassword: DEFAULT_CREDENTIALS.password,
    targetUsername: DEFAULT_CREDENTIALS.username,
    targetPassword: DEFAULT_CREDENTIALS.password,
    originTlsServerCaPath: files.path('origin-ca.pem'),
    originTlsClientCertPath: toOrigin.cert,
    originTlsClientKeyPath: toOrigin.key,
    targetTlsServerCaPath: files.path('target-ca.pem'),
    targetTlsClientCertPath: toTarget.cert,
    targetTlsClientKeyPath: toTarget.key,
    proxyTlsCaPath: await files.write('application-ca.pem', clients.certificate),
    proxyTlsCertPath: listener.cert,
    proxyTlsKeyPath: listener.key,
    proxyTlsRequireClientAuth: true,
  })
})

const throughProxy = (sslOptions: ClientOptions['sslOptions'] = {}): Promise<Client> =>
  connectDriver(`127.0.0.1:${proxy.port}`, {
    ...login,
    sslOptions: {
      ca: [clients.certificate],
      cert: application.certificate,
      key: application.key,
      ...sslOptions,
    },
  })

const direct = (name: 'origin' | 'target'): Promise<Client> => {
  const { address, port } = (name === 'origin' ? origin : target).contactPoints[0]!
  const { authority, certificate, key } = legs[name]
  return connectDriver(`${address}:${port}`, {
    ...login,
    sslOptions: {
      ca: [authority],
      cert: certificate,
      key,
      checkServerIdentity: () => undefined,
    },
  })
}

describe('with certificates and passwords on every leg', () => {
  test('a driver writes to both clusters and reads what it wrote', async () => {
    const client = await throughProxy()
    await client.execute(createKeyspace(keyspace))
    await client.execute(`CREATE TABLE ${keyspace}.t (k int PRIMARY KEY, v text)`)
    const insert = `INSERT INTO ${keyspace}.t (k, v) VALUES (?, ?)`
    const texts = Array.from({ length: 200 }, (_, k) => `${k} `.repeat(1 + k * 20))
    await Promise.all(texts.map((v, k) => client.execute(insert, [k, v], { prepare: true })))
    const rowsOf = async (from: Client): Promise<readonly (readonly [number, string])[]> => {
      const result: types.ResultSet = await from.execute(`SELECT k, v FROM ${keyspace}.t`)
      const rows = result.rows.map((row): [number, string] => [row.get('k'), row.get('v')])
      return rows.sort(([a], [b]) => a - b)
    }
    const written = texts.map((v, k) => [k, v])
    for (const from of [client, await direct('origin'), await direct('target')]) {
      expect(await rowsOf(from)).toEqual(written)
    }
  })

  test('a driver without a certificate is turned away', async () => {
    const { port } = proxy
    const refused = connectDriver(`127.0.0.1:${port}`, {
      ...login,
      sslOptions: { ca: [clients.certificate] },
    })
    await expect(refused).rejects.toThrow()
    await expect.poll(() => proxy.log.map(({ code }) => code)).toContain('CLIENT_TLS_FAILED')
  })

  test('a driver without TLS is turned away', async () => {
    await expect(connectDriver(`127.0.0.1:${proxy.port}`, login)).rejects.toThrow()
  })

  test('the clusters take nobody without TLS, so the proxy must have spoken it', async () => {
    for (const { contactPoints } of [origin, target]) {
      const socket = connect(contactPoints[0]!.port, contactPoints[0]!.address)
      socket.on('error', () => {})
      const chunks: Buffer[] = []
      socket.on('data', (chunk: Buffer) => chunks.push(chunk))
      await once(socket, 'connect')
      socket.write(Buffer.from([4, 0, 0, 0, 5, 0, 0, 0, 0]))
      await new Promise((resolve) => socket.once('close', resolve))
      // No SUPPORTED: a TLS alert at most.
      expect(Buffer.concat(chunks)[0]).not.toBe(0x84)
    }
  })

  test('a wrong password is refused by the cluster, whatever the certificate', async () => {
    const wrong = { authProvider: new auth.PlainTextAuthProvider('cassandra', 'wrong') }
    const refused = connectDriver(`127.0.0.1:${proxy.port}`, {
      ...wrong,
      sslOptions: {
        ca: [clients.certificate],
        cert: application.certificate,
        key: application.key,
      },
    })
    await expect(refused).rejects.toThrow()
  })
})
