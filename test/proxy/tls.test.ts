/** TLS on every leg of a running instance, between fake clusters (operations §7.1, §7.2). */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket, type TlsOptions } from 'node:tls'
import { beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { LOOK_INTERVAL_MS } from '../../src/certificates/certificate-store.ts'
import type { Settings } from '../../src/config/settings.ts'
import { Opcode, Version } from '../../src/cql/protocol.ts'
import { afterTest } from '../support/after-test.ts'
import { Authority, encrypted, Files, type Issued } from '../support/certificates.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { rowsAnswer } from '../support/fake-cluster/results.ts'
import { respond } from '../support/fake-cluster/script.ts'
import {
  createInstance,
  type Rig,
  type RigOptions,
  settingsFor,
  startCluster,
  startRig,
} from '../support/instance.ts'
import type { RawClient } from '../support/raw-client.ts'

// Certificates, handshakes and files: a busy machine takes its time.
vi.setConfig({ testTimeout: 30_000 })

let authorities: { clients: Authority; origin: Authority; target: Authority }
let issued: Readonly<Record<'listener' | 'client' | 'origin' | 'target', Issued>>
let toOrigin: Issued
let toTarget: Issued

beforeAll(async () => {
  const [clients, origin, target] = await Promise.all([
    Authority.create('Clients'),
    Authority.create('Origin'),
    Authority.create('Target'),
  ])
  authorities = { clients, origin, target }
  issued = {
    listener: await (await clients.intermediate()).issue('listener'),
    client: await clients.issue('client', { usage: 'client' }),
    origin: await origin.issue('origin node', { usage: 'server' }),
    target: await target.issue('target node', { usage: 'server' }),
  }
  toOrigin = await origin.issue('proxy at Origin', { usage: 'client' })
  toTarget = await target.issue('proxy at Target', { usage: 'client' })
})

let files: Files

/** Every leg with certificates on both sides. */
const MUTUAL = (): Partial<Settings> => ({
  proxyTlsCaPath: files.path('clients.crt'),
  proxyTlsCertPath: files.path('listener.crt'),
  proxyTlsKeyPath: files.path('listener.key'),
  proxyTlsRequireClientAuth: true,
  originTlsServerCaPath: files.path('origin-ca.crt'),
  originTlsClientCertPath: files.path('to-origin.crt'),
  originTlsClientKeyPath: files.path('to-origin.key'),
  targetTlsServerCaPath: files.path('target-ca.crt'),
  targetTlsClientCertPath: files.path('to-target.crt'),
  targetTlsClientKeyPath: files.path('to-target.key'),
})

beforeEach(async () => {
  files = new Files()
  await files.write('clients.crt', authorities.clients.certificate)
  await files.write('origin-ca.crt', authorities.origin.certificate)
  await files.write('target-ca.crt', authorities.target.certificate)
  await files.writePair('listener', issued.listener)
  await files.writePair('to-origin', toOrigin)
  await files.writePair('to-target', toTarget)
})

const clusterTls = (name: 'origin' | 'target'): TlsOptions => ({
  cert: issued[name].certificate,
  key: issued[name].key,
  ca: authorities[name].certificate,
  requestCert: true,
  rejectUnauthorized: true,
})

const startMutual = (options: RigOptions = {}): Promise<Rig> =>
  startRig({
    ...options,
    origin: { tls: clusterTls('origin'), ...options.origin },
    target: { tls: clusterTls('target'), ...options.target },
    settings: { ...MUTUAL(), ...options.settings },
  })

const clientTls = () => ({
  ca: authorities.clients.certificate,
  cert: issued.client.certificate,
  key: issued.client.key,
})

const ready = async (rig: Rig, version: Version = Version.V4): Promise<RawClient> => {
  const client = await rig.connect({ version, tls: clientTls() })
  await client.handshake()
  return client
}

const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    socket.on('error', () => {})
    socket.once('close', () => resolve())
    socket.resume()
  })

const subjectAt = async (port: number): Promise<string | undefined> => {
  const socket = connectTls({ host: '127.0.0.1', port, ...clientTls() })
  await once(socket, 'secureConnect')
  const subject = socket.getPeerX509Certificate()?.subject
  socket.destroy()
  return subject
}

/** Whom a cluster's connections belong to. */
const peersOf = (rig: Rig, name: 'origin' | 'target'): readonly unknown[] =>
  rig[name].openConnections.map(
    ({ socket }) => (socket as TLSSocket).getPeerX509Certificate()?.subject,
  )

describe('mutual TLS on every leg', () => {
  test.each([
    { version: Version.V4, threads: 1 },
    { version: Version.V5, threads: 1 },
    { version: Version.V4, threads: 2 },
  ])('serves version $version on $threads threads', async ({ version, threads }) => {
    const rig = await startMutual({ settings: { dataPlaneThreads: threads } })
    const client = await ready(rig, version)
    const answer = await client.query("INSERT INTO ks.t (k) VALUES ('x')")
    expect(answer.opcode).toBe(Opcode.RESULT)
    for (const cluster of [rig.origin, rig.target]) {
      expect(cluster.received.some(({ text }) => text?.includes("('x')"))).toBe(true)
    }
    expect(new Set(peersOf(rig, 'origin'))).toEqual(new Set(['CN=proxy at Origin']))
    expect(new Set(peersOf(rig, 'target'))).toEqual(new Set(['CN=proxy at Target']))
  })

  test('carries every byte as it was, in both directions', async () => {
    const rig = await startMutual()
    const client = await ready(rig)
    const texts = Array.from({ length: 120 }, (_, i) => {
      const length = 10 + ((i * 7919) % 60_000)
      return `INSERT INTO ks.t (k, v) VALUES (${i}, '${String.fromCharCode(97 + (i % 26)).repeat(length)}')`
    })
    const value = 'v'.repeat(50_000)
    rig.origin.on(
      { text: /^SELECT v/ },
      respond(
        rowsAnswer({
          name: { keyspace: 'ks', table: 't' },
          columns: [{ name: 'v', type: 'varchar' }],
          rows: [[value]],
        }),
      ),
    )
    const reads = texts.map(() => client.query('SELECT v FROM ks.t'))
    const writes = texts.map((text) => client.query(text))
    const rows = await Promise.all(reads)
    await Promise.all(writes)
    for (const cluster of [rig.origin, rig.target]) {
      const got = cluster.received.flatMap(({ text }) => (text?.startsWith('INSERT') ? text : []))
      expect(got.sort()).toEqual([...texts].sort())
    }
    const bodies = new Set(rows.map(({ body }) => Buffer.from(body).toString('latin1')))
    expect(bodies.size).toBe(1)
    expect([...bodies][0]).toContain(value)
    expect(rig.origin.violations).toEqual([])
  })

  test('is told of at the start, host names that are not verified loudly', async () => {
    const rig = await startMutual()
    const modes = rig.log.filter(({ code }) => code === 'TLS_MODE').map(({ msg }) => msg)
    expect(modes).toEqual([
      expect.stringMatching(/^clients connect with mutual TLS; certificate valid until 20/),
      expect.stringMatching(/^connections to Origin have mutual TLS; certificate valid until/),
      expect.stringMatching(/^connections to Target have mutual TLS; certificate valid until/),
    ])
    const warnings = rig.log.filter(({ code }) => code === 'TLS_HOSTNAME_NOT_VERIFIED')
    expect(warnings.map(({ level }) => level)).toEqual(['warn', 'warn'])
  })

  test('has its expiries in the metrics', async () => {
    const rig = await startMutual()
    const { expiries, legs } = rig.instance.certificates
    expect(expiries.map(({ leg, role }) => `${leg} ${role}`)).toEqual([
      'listener authority',
      'listener certificate',
      'origin authority',
      'origin certificate',
      'target authority',
      'target certificate',
    ])
    expect(legs.map(({ isRejected }) => isRejected)).toEqual([false, false, false])
  })
})

test('one-way TLS on every leg needs no certificate of the client or the proxy', async () => {
  const oneWay = (name: 'origin' | 'target'): TlsOptions => ({
    cert: issued[name].certificate,
    key: issued[name].key,
  })
  const rig = await startRig({
    origin: { tls: oneWay('origin') },
    target: { tls: oneWay('target') },
    settings: {
      proxyTlsCertPath: files.path('listener.crt'),
      proxyTlsKeyPath: files.path('listener.key'),
      originTlsServerCaPath: files.path('origin-ca.crt'),
      targetTlsServerCaPath: files.path('target-ca.crt'),
      originTlsVerifyHostname: true,
    },
  })
  const client = await rig.connect({ tls: { ca: authorities.clients.certificate } })
  expect((await client.handshake()).opcode).toBe(Opcode.READY)
  const warnings = rig.log.filter(({ code }) => code === 'TLS_HOSTNAME_NOT_VERIFIED')
  expect(warnings.map(({ msg }) => msg)).toEqual([expect.stringContaining('Target')])
})

describe('a client that is turned away', () => {
  const logged = (rig: Rig): readonly string[] =>
    rig.log.flatMap(({ code, msg }) => (code === 'CLIENT_TLS_FAILED' ? msg : []))

  const refusals = async (rig: Rig): Promise<number> =>
    (await rig.instance.series()!).reduce((sum, plane) => sum + plane.clientsClosed.tlsHandshake, 0)

  const open = async (rig: Rig): Promise<number> =>
    (await rig.instance.series()!).reduce((sum, plane) => sum + plane.clientConnections, 0)

  test('speaks no TLS', async () => {
    const rig = await startMutual()
    const socket = connect(rig.port, '127.0.0.1')
    socket.write(Buffer.from([4, 0, 0, 0, 5, 0, 0, 0, 0]))
    await closed(socket)
    await expect
      .poll(() => logged(rig))
      .toEqual([
        'no TLS with a client: the other side does not speak TLS (ERR_SSL_WRONG_VERSION_NUMBER)',
      ])
    expect([await refusals(rig), await open(rig)]).toEqual([1, 0])
  })

  test('shows no certificate', async () => {
    const rig = await startMutual()
    const { ca } = clientTls()
    await closed(connectTls({ host: '127.0.0.1', port: rig.port, ca }))
    await expect
      .poll(() => logged(rig))
      .toEqual([expect.stringContaining('no certificate was shown')])
    expect([await refusals(rig), await open(rig)]).toEqual([1, 0])
  })

  test("shows another authority's certificate", async () => {
    const rig = await startMutual()
    const { certificate: cert, key } = toOrigin
    const { ca } = clientTls()
    await closed(connectTls({ host: '127.0.0.1', port: rig.port, ca, cert, key }))
    await expect
      .poll(() => logged(rig))
      .toEqual([expect.stringContaining('not signed by an authority that is trusted here')])
    expect([await refusals(rig), await open(rig)]).toEqual([1, 0])
  })

  test('says nothing: closed when the time for the handshake is over', async () => {
    const clock = new FakeClock(Date.now())
    const rig = await startMutual({ clock })
    const socket = connect(rig.port, '127.0.0.1')
    await expect.poll(() => open(rig)).toBe(1)
    clock.advance(10_500)
    await closed(socket)
    await expect.poll(() => open(rig)).toBe(0)
    const [series] = await rig.instance.series()!
    expect(series!.clientsClosed).toMatchObject({ handshakeTimeout: 1, tlsHandshake: 0 })
    expect(logged(rig)).toEqual([])
  })

  test('is one too many: it counts from its accept on', async () => {
    const rig = await startMutual({ settings: { proxyMaxClientConnections: 1 } })
    const silent = connect(rig.port, '127.0.0.1')
    afterTest(() => silent.destroy())
    await expect.poll(() => open(rig)).toBe(1)
    await closed(connectTls({ host: '127.0.0.1', port: rig.port, ...clientTls() }))
    expect(rig.log.map(({ code }) => code)).toContain('CLIENT_LIMIT')
  })
})

describe('a certificate that was revoked', () => {
  const startFailures = (log: readonly { code: string; msg: string }[]): readonly string[] =>
    log.flatMap(({ code, msg }) => (code === 'START_FAILED' ? msg : []))

  test.each([1, 2])(
    'while clients are served is refused from then on; who is there stays (%i threads)',
    async (threads) => {
      const crl = await files.write('clients.crl', await authorities.clients.crl())
      const clock = new FakeClock(Date.now())
      const settings = { proxyTlsCrlPath: crl, dataPlaneThreads: threads }
      const rig = await startMutual({ clock, settings })
      const client = await ready(rig)
      const revoked = [issued.client.certificate]
      await files.write('clients.crl', await authorities.clients.crl({ revoked }))
      clock.advance(LOOK_INTERVAL_MS)
      const isRefused = async (): Promise<boolean> => {
        // With TLS 1.3 the client is through before it is refused, and reads the refusal after.
        const client = connectTls({ host: '127.0.0.1', port: rig.port, ...clientTls() })
        const end = Promise.race([once(client, 'session'), once(client, 'close')])
        await end.catch(() => {})
        client.destroy()
        const planes = await rig.instance.series()!
        return planes.some(({ clientsClosed }) => clientsClosed.tlsHandshake > 0)
      }
      await expect.poll(isRefused).toBe(true)
      expect((await client.query('SELECT v FROM ks.t')).opcode).toBe(Opcode.RESULT)
      if (threads > 1) return
      const lines = rig.log.filter(({ code }) => code === 'CLIENT_TLS_FAILED')
      expect(lines[0]!.msg).toBe(
        'no TLS with a client: the certificate has been revoked (CERT_REVOKED)',
      )
    },
  )

  test('keeps a node from being used, and the start says so', async () => {
    const revoked = [issued.origin.certificate]
    const path = await files.write('origin.crl', await authorities.origin.crl({ revoked }))
    const origin = await startCluster({ name: 'origin', tls: clusterTls('origin') })
    const target = await startCluster({ name: 'target', tls: clusterTls('target') })
    const settings = settingsFor(origin, target, { ...MUTUAL(), originTlsCrlPath: path })
    const { instance, log } = createInstance(settings)
    const started = instance.start()
    await expect
      .poll(() => startFailures(log)[0])
      .toMatch(/Origin: cannot connect to .*the certificate has been revoked \(CERT_REVOKED\)/)
    await files.write('origin.crl', await authorities.origin.crl())
    expect(await started).toBe(true)
    expect(instance.certificates.crls).toEqual([
      { leg: 'origin', expiresAtSeconds: expect.any(Number) },
    ])
  })
})

test('keys may be under passphrases on every leg', async () => {
  const passphrase = await files.write('passphrase', 'of all\n')
  for (const [name, { key }] of [
    ['listener', issued.listener],
    ['to-origin', toOrigin],
    ['to-target', toTarget],
  ] as const) {
    await files.write(`${name}.key`, encrypted(key, 'of all'))
  }
  const rig = await startMutual({
    settings: {
      proxyTlsKeyPassphrasePath: passphrase,
      originTlsClientKeyPassphrasePath: passphrase,
      targetTlsClientKeyPassphrasePath: passphrase,
      dataPlaneThreads: 2,
    },
  })
  const client = await ready(rig)
  expect((await client.query('SELECT v FROM ks.t')).opcode).toBe(Opcode.RESULT)
})

test('with private roots alone the warning of host names speaks of no others', async () => {
  const rig = await startMutual({ settings: { originTlsPrivateRootsOnly: true } })
  const warnings = rig.log.filter(({ code }) => code === 'TLS_HOSTNAME_NOT_VERIFIED')
  expect(warnings.map(({ msg }) => msg)).toEqual([
    expect.stringMatching(
      /^any certificate of an authority in origin_tls_server_ca_path passes for a node of Origin/,
    ),
    expect.stringMatching(
      /^any certificate of a trusted authority, the well-known ones among them \(unless target_tls_private_roots_only is set\), passes for a node of Target/,
    ),
  ])
})

describe('a start attempt is repeated, and says why, while', () => {
  const startFailures = (log: readonly { code: string; msg: string }[]): readonly string[] =>
    log.flatMap(({ code, msg }) => (code === 'START_FAILED' ? msg : []))

  const tryToStart = async (settings: Partial<Settings> = {}) => {
    const origin = await startCluster({ name: 'origin', tls: clusterTls('origin') })
    const target = await startCluster({ name: 'target', tls: clusterTls('target') })
    const created = createInstance(settingsFor(origin, target, { ...MUTUAL(), ...settings }))
    const started = created.instance.start()
    await expect.poll(() => startFailures(created.log).length).toBeGreaterThan(0)
    return { ...created, started, why: startFailures(created.log)[0]! }
  }

  test('a file is missing', async () => {
    const settings = { proxyTlsKeyPath: files.path('later.key') }
    const { why, started, instance } = await tryToStart(settings)
    expect(why).toContain(`proxy_tls_key_path: ${files.path('later.key')} cannot be read: ENOENT`)
    await files.write('later.key', issued.listener.key)
    expect(await started).toBe(true)
    expect(instance.phase).toBe('running')
  })

  test('another authority signed the nodes', async () => {
    await files.write('origin-ca.crt', authorities.target.certificate)
    const { why, started } = await tryToStart()
    expect(why).toMatch(/Origin: cannot connect to .*not signed by an authority that is trusted/)
    await files.write('origin-ca.crt', authorities.origin.certificate)
    expect(await started).toBe(true)
  })

  test('a cluster refuses the certificate of the proxy', async () => {
    await files.writePair('to-target', toOrigin)
    const { why, started } = await tryToStart()
    expect(why).toContain('Target')
    await files.writePair('to-target', toTarget)
    expect(await started).toBe(true)
  })

  test('the nodes have other names than their addresses, where that is verified', async () => {
    const other = await authorities.origin.issue('x', { names: ['elsewhere.example'] })
    const origin = await startCluster({
      name: 'origin',
      tls: { ...clusterTls('origin'), cert: other.certificate, key: other.key },
    })
    const target = await startCluster({ name: 'target', tls: clusterTls('target') })
    const settings = { ...MUTUAL(), originTlsVerifyHostname: true }
    const { instance, log } = createInstance(settingsFor(origin, target, settings))
    void instance.start()
    await expect.poll(() => startFailures(log)[0]).toContain('ERR_TLS_CERT_ALTNAME_INVALID')
  })

  test('a node says nothing in the handshake, no longer than the connection time-out', async () => {
    const sockets: Socket[] = []
    const silent = createServer((socket) => sockets.push(socket.resume())).listen(0, '127.0.0.1')
    afterTest(() => {
      for (const socket of sockets) socket.destroy()
      silent.close()
    })
    await once(silent, 'listening')
    const address = silent.address()
    const originPort = typeof address === 'object' ? address!.port : 0
    const { why } = await tryToStart({ originPort, originConnectionTimeoutMs: 100 })
    expect(why).toContain(`no TLS handshake with 127.0.0.1:${originPort} within 100 ms`)
  })

  test('a node says nothing in the handshake: a stop ends it at once', async () => {
    const accepted = Promise.withResolvers<Socket>()
    const silent = createServer((socket) => accepted.resolve(socket.resume()))
    silent.listen(0, '127.0.0.1')
    afterTest(() => silent.close())
    await once(silent, 'listening')
    const address = silent.address()
    const originPort = typeof address === 'object' ? address!.port : 0
    const target = await startCluster({ name: 'target' })
    const settings = { ...MUTUAL(), originPort, originConnectionTimeoutMs: 600_000 }
    const { instance, stop } = createInstance(settingsFor(target, target, settings))
    const started = instance.start()
    const socket = await accepted.promise
    await stop()
    expect(await started).toBe(false)
    await closed(socket)
  })
})

describe('renewed files', () => {
  test.each([1, 2])('are for new connections; nobody is dropped (%i threads)', async (threads) => {
    const clock = new FakeClock(Date.now())
    const rig = await startMutual({ clock, settings: { dataPlaneThreads: threads } })
    const client = await ready(rig)
    const open = rig.origin.openConnections.length
    await files.writePair('listener', await authorities.clients.issue('renewed listener'))
    await files.writePair('to-origin', await authorities.origin.issue('renewed proxy'))
    clock.advance(LOOK_INTERVAL_MS)
    await expect.poll(() => subjectAt(rig.port)).toBe('CN=renewed listener')
    expect((await client.query('SELECT v FROM ks.t')).opcode).toBe(Opcode.RESULT)
    expect(new Set(peersOf(rig, 'origin'))).toEqual(new Set(['CN=proxy at Origin']))
    expect(rig.origin.openConnections.length).toBe(open)
    for (const connection of rig.origin.openConnections) connection.destroy()
    await expect
      .poll(async () => {
        clock.advance(1_000)
        await client.query('SELECT v FROM ks.t')
        return peersOf(rig, 'origin')
      })
      .toContain('CN=renewed proxy')
    expect(peersOf(rig, 'origin')).not.toContain('CN=proxy at Origin')
  })

  test('that are broken leave the old ones in force', async () => {
    const clock = new FakeClock(Date.now())
    const rig = await startMutual({ clock })
    await files.write('listener.key', 'garbage')
    await expect
      .poll(() => {
        clock.advance(LOOK_INTERVAL_MS)
        return rig.log.some(({ code }) => code === 'CERTIFICATES_REJECTED')
      })
      .toBe(true)
    expect(await subjectAt(rig.port)).toBe('CN=listener')
    expect(rig.instance.certificates.legs[0]).toMatchObject({ leg: 'listener', isRejected: true })
  })
})
