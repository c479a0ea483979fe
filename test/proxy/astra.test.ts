/** A running instance that reaches a cluster through a Secure Connect Bundle (operations §7.3). */
import { beforeEach, describe, expect, test, vi } from 'vitest'
import type { Settings } from '../../src/config/settings.ts'
import { Opcode } from '../../src/cql/protocol.ts'
import { afterTest } from '../support/after-test.ts'
import { Files } from '../support/certificates.ts'
import { FakeAstra, type FakeAstraOptions } from '../support/fake-astra.ts'
import type { FakeCluster } from '../support/fake-cluster/cluster.ts'
import { createInstance, settingsFor, startCluster } from '../support/instance.ts'
import { RawClient } from '../support/raw-client.ts'

// Certificates, handshakes and files: a busy machine takes its time.
vi.setConfig({ testTimeout: 30_000 })

let files: Files
let origin: FakeCluster
let target: FakeCluster

beforeEach(async () => {
  files = new Files()
  origin = await startCluster({ name: 'origin' })
  target = await startCluster({ name: 'target', nodes: 2 })
})

const viaBundle = (name: 'origin' | 'target'): Partial<Settings> =>
  name === 'origin'
    ? { originContactPoints: [], originSecureConnectBundlePath: files.path('origin.zip') }
    : { targetContactPoints: [], targetSecureConnectBundlePath: files.path('target.zip') }

/** Target is behind a router; `start` is not awaited, since it may take several attempts. */
const begin = async (options: FakeAstraOptions = {}, settings: Partial<Settings> = {}) => {
  const astra = await FakeAstra.start(target, options)
  await files.write('target.zip', astra.bundle())
  const overrides = { ...viaBundle('target'), heartbeatRetryIntervalMinMs: 1, ...settings }
  const created = createInstance(settingsFor(origin, target, overrides))
  const connect = async (): Promise<RawClient> => {
    const client = await RawClient.connect(created.instance.port!)
    afterTest(() => client.close())
    await client.handshake()
    return client
  }
  const failures = (): readonly string[] =>
    created.log.flatMap(({ code, msg }) => (code === 'START_FAILED' ? msg : []))
  return { ...created, astra, connect, failures }
}

const insertedAt = (cluster: FakeCluster): number =>
  cluster.received.filter(({ text }) => text?.startsWith('INSERT')).length

describe('a cluster behind a router', () => {
  test('is served node by node, each under its host id', async () => {
    const { instance, astra, connect } = await begin()
    await instance.start()
    const client = await connect()
    for (let i = 0; i < 4; i++) {
      const answer = await client.query(`INSERT INTO ks.t (k) VALUES (${i})`)
      expect(answer.opcode).toBe(Opcode.RESULT)
    }
    expect([insertedAt(origin), insertedAt(target)]).toEqual([4, 4])
    await expect
      .poll(() => new Set(astra.serverNames))
      .toEqual(new Set([astra.hostId(0), astra.hostId(1)]))
    expect(new Set(astra.clients)).toEqual(new Set(['CN=bundle']))
    // Nobody has found a way past the router.
    expect(astra.serverNames.length).toBe(target.connections.length)
    const [series] = await instance.series()!
    const labels = series!.nodes.flatMap(({ cluster, node }) => (cluster === 'target' ? node : []))
    expect(labels.sort()).toEqual([astra.hostId(0), astra.hostId(1)].sort())
    expect([astra.hostId(0), astra.hostId(1)]).toContain(instance.health(1)!.endpoint)
  })

  test('takes the datacenter of the metadata', async () => {
    const { instance, log } = await begin({ localDatacenter: 'elsewhere' })
    await instance.start()
    const odd = log.filter(({ code }) => code === 'DATACENTER_UNKNOWN').map(({ msg }) => msg)
    expect(odd).toEqual([expect.stringContaining('"elsewhere"')])
  })

  test('may be both clusters', async () => {
    const other = await FakeAstra.start(origin)
    await files.write('origin.zip', other.bundle())
    const { instance, connect } = await begin({}, viaBundle('origin'))
    await instance.start()
    const client = await connect()
    await client.query('INSERT INTO ks.t (k) VALUES (1)')
    expect([insertedAt(origin), insertedAt(target)]).toEqual([1, 1])
    expect(other.serverNames.length).toBe(origin.connections.length)
  })

  test('is looked for anew when the router has moved', async () => {
    const { instance, log, astra, connect } = await begin()
    await instance.start()
    const client = await connect()
    await client.query('INSERT INTO ks.t (k) VALUES (1)')
    await astra.moveRouter()
    await expect.poll(() => log.map(({ code }) => code)).toContain('CONTROL_REOPENED')
    expect(astra.metadataRequests).toBeGreaterThan(1)
    await expect
      .poll(async () => (await client.query('INSERT INTO ks.t (k) VALUES (2)')).opcode)
      .toBe(Opcode.RESULT)
  })

  test('that cannot be looked for is tried where it was', async () => {
    const { instance, log, astra } = await begin()
    await instance.start()
    astra.answer = { status: 503, body: 'under repair' }
    await target.stopListening()
    await expect.poll(() => log.map(({ code }) => code)).toContain('CONTACT_POINTS_NOT_REFRESHED')
    await target.resume()
    await expect.poll(() => log.map(({ code }) => code)).toContain('CONTROL_REOPENED')
  })
})

describe('the start is tried again while', () => {
  test('the metadata service fails', async () => {
    const { instance, astra, failures } = await begin()
    astra.answer = { status: 503, body: 'under repair' }
    const started = instance.start()
    await expect.poll(() => failures()[0]).toContain('answered with status 503: under repair')
    astra.answer = null
    expect(await started).toBe(true)
  })

  test('the bundle is not there', async () => {
    const { instance, astra, failures } = await begin()
    await files.write('target.zip', 'not a zip')
    const started = instance.start()
    await expect
      .poll(() => failures()[0])
      .toContain(`target_secure_connect_bundle_path: ${files.path('target.zip')} is not a Secure`)
    await files.write('target.zip', astra.bundle())
    expect(await started).toBe(true)
  })

  test('the bundle has no authority, and nothing else is trusted', async () => {
    const { instance, astra, failures } = await begin({}, { targetTlsPrivateRootsOnly: true })
    await files.write('target.zip', astra.bundle(['ca.crt']))
    const started = instance.start()
    await expect
      .poll(() => failures()[0])
      .toContain(
        `${files.path('target.zip')} has no ca.crt, and target_tls_private_roots_only trusts nothing else`,
      )
    await files.write('target.zip', astra.bundle())
    expect(await started).toBe(true)
  })

  test("the router's certificate is not in its name", async () => {
    const { instance, failures } = await begin({ routerNames: ['other.example'] })
    void instance.start()
    await expect.poll(() => failures()[0]).toContain('ERR_TLS_CERT_ALTNAME_INVALID')
  })
})

test('a stop does not wait for a metadata service that says nothing', async () => {
  const { instance, astra, stop } = await begin()
  astra.answer = 'silence'
  const started = instance.start()
  await expect.poll(() => astra.metadataRequests).toBe(1)
  await stop()
  expect(await started).toBe(false)
})
