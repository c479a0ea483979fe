import { once } from 'node:events'
import { createServer } from 'node:net'
import { describe, expect, test, vi } from 'vitest'
import { readBundle } from '../../src/certificates/bundle.ts'
import { systemClock } from '../../src/clock.ts'
import { fetchAstraMetadata, parseAstraMetadata } from '../../src/cluster/astra-metadata.ts'
import { afterTest } from '../support/after-test.ts'
import { FakeAstra, type FakeAstraOptions } from '../support/fake-astra.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { startCluster } from '../support/instance.ts'

// Certificates, handshakes and files: a busy machine takes its time.
vi.setConfig({ testTimeout: 30_000 })

const SETTING = 'target_secure_connect_bundle_path'
const SERVICE = { setting: SETTING, trustsWellKnownRoots: true }
const FILE = { setting: SETTING, path: '/bundle.zip' }
const NEVER = new AbortController().signal

const contact = (changes: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({
    version: 1,
    contact_info: {
      local_dc: 'dc1',
      sni_proxy_address: 'router.example:29042',
      contact_points: ['AAAA-1', 'bbbb-2'],
      ...changes,
    },
  })

describe('an answer of the metadata service', () => {
  test('says where the router is, which nodes there are, and in which datacenter', () => {
    expect(parseAstraMetadata(contact())).toEqual({
      localDatacenter: 'dc1',
      router: { address: 'router.example', port: 29_042 },
      hostIds: ['aaaa-1', 'bbbb-2'],
    })
  })

  test.each([
    ['no datacenter', contact({ local_dc: undefined }), { localDatacenter: null }],
    [
      'a router with an IPv6 address',
      contact({ sni_proxy_address: '[2001:db8::1]:443' }),
      { router: { address: '2001:db8::1', port: 443 } },
    ],
  ])('may have %s', (_, body, expected) => {
    expect(parseAstraMetadata(body)).toMatchObject(expected)
  })

  test.each([
    ['no JSON', '<html>', 'it is not JSON'],
    ['null', 'null', 'it has no contact_info.sni_proxy_address'],
    ['no router', contact({ sni_proxy_address: '' }), 'it has no contact_info.sni_proxy_address'],
    ['no port', contact({ sni_proxy_address: 'router' }), 'is not a host and a port: router'],
    ['a bad port', contact({ sni_proxy_address: 'r:0' }), 'is not a host and a port: r:0'],
    ['no nodes', contact({ contact_points: [] }), 'it has no contact_info.contact_points'],
    [
      'nodes that are none',
      contact({ contact_points: [1] }),
      'it has no contact_info.contact_points',
    ],
  ])('cannot be used with %s', (_, body, text) => {
    expect(() => parseAstraMetadata(body)).toThrow(text)
  })
})

const start = async (options: FakeAstraOptions = {}) => {
  const cluster = await startCluster({ name: 'astra', nodes: 2 })
  const astra = await FakeAstra.start(cluster, options)
  const fetch = (without: readonly string[] = []) =>
    fetchAstraMetadata(
      { bundle: readBundle(astra.bundle(without), FILE), ...SERVICE },
      systemClock,
      NEVER,
    )
  return { astra, fetch }
}

describe('the metadata service', () => {
  test('is asked with the material of the bundle', async () => {
    const { astra, fetch } = await start()
    expect(await fetch()).toEqual({
      localDatacenter: 'datacenter1',
      router: { address: 'localhost', port: astra.routerPort },
      hostIds: [astra.hostId(0), astra.hostId(1)],
    })
    expect(astra.metadataRequests).toBe(1)
  })

  test.each<[string, FakeAstraOptions, readonly string[], string]>([
    ['has another name', { serviceNames: ['other.example'] }, [], 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['is of an authority that is not in the bundle', {}, ['ca.crt'], 'not signed by an authority'],
    ['is not shown a certificate', {}, ['cert', 'key'], 'could not be asked'],
  ])('that %s is not believed', async (_, options, without, text) => {
    const { fetch } = await start(options)
    const failure = expect(fetch(without)).rejects
    await failure.toThrow(/^target_secure_connect_bundle_path: the metadata service https:\/\//)
    await expect(fetch(without)).rejects.toThrow(text)
  })

  test.each([
    [503, 'under repair', 'answered with status 503: under repair'],
    [200, 'under repair', 'gave an answer that cannot be used: it is not JSON: under repair'],
    [302, '', 'answered with status 302'],
  ])('that answers %i "%s" is told', async (status, body, text) => {
    const { astra, fetch } = await start()
    astra.answer = { status, body }
    await expect(fetch()).rejects.toThrow(text)
  })

  test('that sends without an end is cut off', async () => {
    const { astra, fetch } = await start()
    astra.answer = { status: 200, body: 'x'.repeat(1024 * 1024 + 1) }
    await expect(fetch()).rejects.toThrow('the answer is above 1 MiB')
  })

  test.each(['time', 'stop'] as const)('that says nothing is waited for until %s', async (end) => {
    const cluster = await startCluster({ name: 'astra' })
    const astra = await FakeAstra.start(cluster)
    astra.answer = 'silence'
    const clock = new FakeClock()
    const abort = new AbortController()
    const bundle = readBundle(astra.bundle(), FILE)
    const asked = fetchAstraMetadata({ bundle, ...SERVICE }, clock, abort.signal)
    const failed = expect(asked).rejects.toThrow(
      end === 'time' ? 'did not answer within 30000 ms' : 'could not be asked',
    )
    await expect.poll(() => astra.metadataRequests).toBe(1)
    if (end === 'time') clock.advance(30_000)
    else abort.abort()
    await failed
    expect(clock.pendingTimers).toBe(0)
  })

  test('may be gone', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    afterTest(() => server.close())
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' ? address!.port : 0
    await new Promise((resolve) => server.close(resolve))
    const bundle = { host: '127.0.0.1', port, authority: null, certificate: null, key: null }
    const asked = fetchAstraMetadata({ bundle, ...SERVICE }, systemClock, NEVER)
    await expect(asked).rejects.toThrow('ECONNREFUSED')
  })
})
