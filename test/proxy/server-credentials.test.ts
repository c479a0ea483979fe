/** The files of the HTTP servers: what is wrong with one is told with its setting and path, and ends the start. */
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { CertificateStore } from '../../src/certificates/certificate-store.ts'
import { ConfigError } from '../../src/config/errors.ts'
import {
  loadServerStore,
  peerAccess,
  serverCredentials,
} from '../../src/proxy/server-credentials.ts'
import { afterTest } from '../support/after-test.ts'
import { Authority, encrypted, Files, type Issued } from '../support/certificates.ts'
import { silentLog } from '../support/controlled.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { testSettings } from '../support/instance.ts'

const TOKEN = 'a-token-of-many-letters'
const NEXT = 'another-token-of-letters'

let authority: Authority
let issued: Issued
let other: Issued
let files: Files

beforeAll(async () => {
  authority = await Authority.create('Root', 1000)
  issued = await authority.issue('admin')
  other = await authority.issue('other')
})

beforeEach(async () => {
  files = new Files()
  await files.writePair('server', issued)
  await files.write('ca.crt', authority.certificate)
  await files.write('token', `${TOKEN}\n`)
  await files.write('passphrase', 'of the key\n')
})

type Server = 'admin' | 'metrics'

const settingsOf = (server: Server) =>
  server === 'admin'
    ? {
        adminTokenPath: files.path('token'),
        adminTlsCertPath: files.path('server.crt'),
        adminTlsKeyPath: files.path('server.key'),
        adminTlsKeyPassphrasePath: files.path('passphrase'),
        adminTlsClientCaPath: files.path('ca.crt'),
      }
    : {
        metricsTokenPath: files.path('token'),
        metricsTlsCertPath: files.path('server.crt'),
        metricsTlsKeyPath: files.path('server.key'),
        metricsTlsKeyPassphrasePath: files.path('passphrase'),
        metricsTlsClientCaPath: files.path('ca.crt'),
      }

const load = async (server: Server): Promise<CertificateStore> => {
  const clock = new FakeClock(Date.now())
  const store = await loadServerStore(testSettings(settingsOf(server)), { clock, log: silentLog() })
  store.watch(() => {})
  afterTest(() => store.close())
  return store
}

describe.each<Server>(['admin', 'metrics'])('%s:', (server) => {
  test('the token without its line end, and a certificate that callers must show', async () => {
    const credentials = serverCredentials(await load(server), server)
    expect(credentials).toMatchObject({ tokens: [TOKEN], hasMutualTls: true })
    expect(credentials.tls).toMatchObject({ cert: issued.certificate, minVersion: 'TLSv1.2' })
  })

  test('a key under a passphrase', async () => {
    await files.write('server.key', encrypted(issued.key, 'of the key'))
    const { tls } = serverCredentials(await load(server), server)
    expect(tls?.key).toMatch(/^-----BEGIN PRIVATE KEY-----/)
  })

  test('nothing where no setting names a file', async () => {
    const none = { clock: new FakeClock(), log: silentLog() }
    const store = await loadServerStore(testSettings(), none)
    const open = { tokens: null, tls: null, hasMutualTls: false }
    expect(serverCredentials(store, server)).toEqual(open)
  })

  test('new files are in force at the next look', async () => {
    const store = await load(server)
    await files.write('token', `${NEXT}\n${TOKEN}\n`)
    await files.writePair('server', other)
    await store.look()
    const { tokens, tls } = serverCredentials(store, server)
    expect([tokens, tls?.cert]).toEqual([[NEXT, TOKEN], other.certificate])
  })

  describe('ends the start', () => {
    test.each<[string, string, string, string]>([
      ['a token that is short', 'token', 'short', '_token_path: '],
      ['a token of two words', 'token', 'two words of some length', '_token_path: '],
      ['a certificate that is none', 'server.crt', 'x', '_tls_cert_path: '],
      ['a key that is none', 'server.key', 'x', '_tls_key_path: '],
      ['an authority that is none', 'ca.crt', 'x', '_tls_client_ca_path: '],
    ])('%s', async (_, file, content, text) => {
      await files.write(file, content)
      const failure = await load(server).catch((error: unknown) => error)
      expect(failure).toBeInstanceOf(ConfigError)
      expect(String(failure)).toContain(`${server}${text}`)
      expect(String(failure)).toContain(files.path(file))
    })

    test("another certificate's key", async () => {
      await files.write('server.key', other.key)
      await expect(load(server)).rejects.toThrow(`${server}_tls_key_path: `)
    })

    test('a passphrase of another key', async () => {
      await files.write('server.key', encrypted(issued.key, 'forgotten'))
      await expect(load(server)).rejects.toThrow(
        `${server}_tls_key_passphrase_path: ${files.path('passphrase')} does not hold the passphrase`,
      )
    })
  })
})

test('other instances are shown the first token and the own certificate, as they are now', async () => {
  const store = await load('admin')
  await files.write('token', `${NEXT}\n${TOKEN}\n`)
  await store.look()
  expect(peerAccess(store)).toEqual({
    token: NEXT,
    tls: {
      ca: authority.certificate,
      cert: issued.certificate,
      key: expect.stringContaining(issued.key.trim()),
    },
  })
})
