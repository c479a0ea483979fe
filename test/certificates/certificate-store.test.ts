import { rename, rm, symlink } from 'node:fs/promises'
import { beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { CertificateStore, LOOK_INTERVAL_MS } from '../../src/certificates/certificate-store.ts'
import { FileLegSource, type Leg, type LegFiles } from '../../src/certificates/leg-source.ts'
import { createLogger } from '../../src/log.ts'
import { afterTest } from '../support/after-test.ts'
import { Authority, encrypted, Files, type Issued } from '../support/certificates.ts'
import { FakeClock } from '../support/fake-clock.ts'

// Certificates, handshakes and files: a busy machine takes its time.
vi.setConfig({ testTimeout: 30_000 })

const DAY_MS = 24 * 60 * 60 * 1000

let authority: Authority
let usual: Issued
/** What the files hold at the start. */
let first: Issued
let second: Issued

beforeAll(async () => {
  authority = await Authority.create('Root', 1000)
  usual = await authority.issue('first')
  second = await authority.issue('second', { days: 100 })
})

let files: Files
let clock: FakeClock
let lines: { code: string; level: string; msg: string }[]

beforeEach(async () => {
  first = usual
  files = new Files()
  clock = new FakeClock(Date.now())
  lines = []
})

const source = (more: Partial<LegFiles> = {}): FileLegSource =>
  new FileLegSource({
    ...more,
    authority: { setting: 'proxy_tls_ca_path', path: files.path('ca.crt') },
    certificate: { setting: 'proxy_tls_cert_path', path: files.path('proxy.crt') },
    key: { setting: 'proxy_tls_key_path', path: files.path('proxy.key') },
  })

const createStore = (
  more: Partial<LegFiles> = {},
  warnedAtMs?: Map<string, number>,
): CertificateStore => {
  const sink = { write: (line: string) => lines.push(JSON.parse(line)) }
  const log = createLogger({ level: 'debug', clock, sink })
  const store = new CertificateStore(
    { listener: source(more), origin: null, target: null },
    { clock, log },
    warnedAtMs,
  )
  afterTest(() => store.close())
  return store
}

const codes = (): string[] => lines.map(({ code }) => code)

const startStore = async (more: Partial<LegFiles> = {}) => {
  await files.write('ca.crt', authority.certificate)
  await files.writePair('proxy', first)
  const store = createStore(more)
  await store.load()
  const changes: (readonly Leg[])[] = []
  store.watch((legs) => changes.push(legs))
  return { store, changes, look: () => store.look() }
}

const inForce = (store: CertificateStore): string | null =>
  store.content('listener')?.certificate ?? null

describe('at the start', () => {
  test.each<[string, () => Promise<unknown>, string]>([
    ['a file that is missing', () => rm(files.path('proxy.key')), 'proxy_tls_key_path: '],
    ['a broken file', () => files.write('ca.crt', 'x'), 'proxy_tls_ca_path: '],
    ["another's key", () => files.write('proxy.key', second.key), 'proxy_tls_key_path: '],
  ])('%s is an error that names setting and path', async (_, spoil, text) => {
    await files.write('ca.crt', authority.certificate)
    await files.writePair('proxy', first)
    await spoil()
    const failure: unknown = await createStore()
      .load()
      .catch((error: unknown) => error)
    expect(String(failure)).toContain(text)
    expect(String(failure)).toContain(files.directory)
  })

  test('it is known how long everything is valid', async () => {
    const { store } = await startStore()
    const days = store
      .expiries()
      .map(({ leg, role, expiresAtSeconds }) => [
        leg,
        role,
        Math.round((expiresAtSeconds * 1000 - Date.now()) / DAY_MS),
      ])
    expect(days).toEqual([
      ['listener', 'authority', 1000],
      ['listener', 'certificate', 365],
    ])
    expect(store.content('origin')).toBeNull()
  })
})

test('a key that OpenSSL does not take is an error at the start', async () => {
  await files.write('ca.crt', authority.certificate)
  await files.writePair('proxy', await authority.issue('weak', { isWeak: true }))
  const failure = expect(createStore().load()).rejects
  await failure.toThrow(/^TLS of listener: .*proxy\.crt.* cannot be used: .*key too small/)
})

describe('files that change', () => {
  test('are in force at the next look, and it is told once', async () => {
    const { store, changes, look } = await startStore()
    await look()
    expect(changes).toEqual([])
    await files.writePair('proxy', second)
    await look()
    await look()
    expect(changes).toEqual([['listener']])
    expect(inForce(store)).toBe(second.certificate)
    expect(codes()).toEqual(['CERTIFICATES_RELOADED'])
  })

  test('are noticed without being told', async () => {
    const { changes } = await startStore()
    await files.writePair('proxy', second)
    clock.advance(LOOK_INTERVAL_MS)
    await expect.poll(() => changes).toEqual([['listener']])
  })

  test('may be reached through links that are switched', async () => {
    const { store, changes, look } = await startStore()
    const other = new Files()
    await other.writePair('proxy', second)
    for (const name of ['proxy.crt', 'proxy.key']) {
      await symlink(other.path(name), files.path(`${name}.link`))
      await rename(files.path(`${name}.link`), files.path(name))
    }
    await look()
    expect([changes, inForce(store)]).toEqual([[['listener']], second.certificate])
  })

  test('half of a pair is not taken, and not complained of if the other half follows', async () => {
    const { store, changes, look } = await startStore()
    await files.write('proxy.crt', second.certificate)
    await look()
    expect([changes, codes(), inForce(store)]).toEqual([[], [], first.certificate])
    await files.write('proxy.key', second.key)
    await look()
    expect([changes, inForce(store)]).toEqual([[['listener']], second.certificate])
  })

  test.each<[string, () => Promise<unknown>]>([
    ['broken', () => files.write('proxy.crt', 'garbage')],
    ['gone', () => rm(files.path('proxy.crt'))],
    ['of another key', () => files.write('proxy.key', second.key)],
    [
      'of a key that OpenSSL does not take',
      async () => files.writePair('proxy', await authority.issue('weak', { isWeak: true })),
    ],
  ])('that are %s leave what was in force, loudly', async (_, spoil) => {
    const { store, changes, look } = await startStore()
    await spoil()
    await look()
    await look()
    expect([changes, inForce(store)]).toEqual([[], first.certificate])
    expect(lines).toEqual([
      expect.objectContaining({ code: 'CERTIFICATES_REJECTED', level: 'error' }),
    ])
    expect(lines[0]!.msg).toContain('stays in force')
    const rejected = { leg: 'listener', isRejected: true, reloads: { applied: 0, rejected: 1 } }
    expect(store.states()).toEqual([rejected])
    await files.writePair('proxy', second)
    await look()
    const mended = { ...rejected, isRejected: false, reloads: { applied: 1, rejected: 1 } }
    expect(store.states()).toEqual([mended])
    expect(inForce(store)).toBe(second.certificate)
  })

  test('are not looked at any more after the end', async () => {
    const { store, changes } = await startStore()
    store.close()
    expect(clock.pendingTimers).toBe(0)
    expect(changes).toEqual([])
  })
})

describe('a certificate', () => {
  test('that expires soon is warned of once, however often the start is tried', async () => {
    first = await authority.issue('short', { days: 20 })
    await startStore()
    const warned = new Map<string, number>()
    lines = []
    for (let attempt = 0; attempt < 3; attempt++) await createStore({}, warned).load()
    expect(codes()).toEqual(['CERTIFICATE_EXPIRES_SOON'])
  })

  test('that expires soon is warned of, once a day', async () => {
    first = await authority.issue('short', { days: 20 })
    const { look } = await startStore()
    await look()
    expect(codes()).toEqual(['CERTIFICATE_EXPIRES_SOON'])
    expect(lines[0]!.msg).toMatch(/proxy\.crt.* expires in 19 days$/)
    clock.advance(DAY_MS)
    await look()
    expect(codes()).toEqual(['CERTIFICATE_EXPIRES_SOON', 'CERTIFICATE_EXPIRES_SOON'])
  })

  test('that has expired is warned of', async () => {
    first = await authority.issue('old', { days: -3 })
    await startStore()
    expect(lines.map(({ code, msg }) => [code, msg.match(/expired .*$/)?.[0]])).toEqual([
      ['CERTIFICATE_EXPIRED', 'expired 3 days ago'],
    ])
  })
})

describe('a revocation list', () => {
  const CRL = (): Partial<LegFiles> => ({
    crl: { setting: 'proxy_tls_crl_path', path: files.path('crl.pem') },
  })

  const startWith = async (crl: string) => {
    await files.write('crl.pem', crl)
    return startStore(CRL())
  }

  test('that has expired is an error at the start', async () => {
    const failed = expect(startWith(await authority.crl({ days: -1, sinceDays: 9 }))).rejects
    await failed.toThrow(/^proxy_tls_crl_path: .*crl\.pem holds a revocation list that has expired/)
  })

  test('is read again when it changes, and it is known how long it holds', async () => {
    const { store, changes, look } = await startWith(await authority.crl({ days: 30 }))
    const daysLeft = (): number[] =>
      store
        .crlExpiries()
        .map(({ expiresAtSeconds }) => Math.round((expiresAtSeconds * 1000 - Date.now()) / DAY_MS))
    expect(daysLeft()).toEqual([30])
    await files.write('crl.pem', await authority.crl({ days: 60, revoked: [first.certificate] }))
    await look()
    expect([changes, daysLeft(), codes()]).toEqual([
      [['listener']],
      [60],
      ['CERTIFICATES_RELOADED'],
    ])
  })

  test('in place of which there is an expired one stays in force, loudly', async () => {
    const { changes, look } = await startWith(await authority.crl())
    await files.write('crl.pem', await authority.crl({ days: -1, sinceDays: 9 }))
    await look()
    await look()
    expect([changes, codes()]).toEqual([[], ['CERTIFICATES_REJECTED']])
  })

  test('is warned of when three quarters of its time are over, and when all is', async () => {
    const { look, changes } = await startWith(await authority.crl({ days: 2, sinceDays: 2 }))
    clock.advance(DAY_MS - 60_000)
    await look()
    expect(codes()).toEqual([])
    clock.advance(2 * 60_000)
    await look()
    await look()
    expect(codes()).toEqual(['CRL_EXPIRES_SOON'])
    expect(lines[0]!.msg).toMatch(/expires in 23 hours: every certificate is refused then$/)
    clock.advance(DAY_MS)
    await look()
    expect(codes()).toEqual(['CRL_EXPIRES_SOON', 'CRL_EXPIRED'])
    expect(changes).toEqual([])
  })

  test('that is missing of one of two authorities is warned of', async () => {
    const other = await Authority.create('Other')
    await files.write('crl.pem', await authority.crl())
    await files.writePair('proxy', first)
    await files.write('ca.crt', `${authority.certificate}\n${other.certificate}`)
    await createStore(CRL()).load()
    expect(lines).toEqual([expect.objectContaining({ code: 'CRL_MISSING', level: 'warn' })])
    expect(lines[0]!.msg).toContain('has no revocation list of CN=Other')
  })
})

describe('a key under a passphrase', () => {
  const PASSPHRASE = (): Partial<LegFiles> => ({
    passphrase: { setting: 'proxy_tls_key_passphrase_path', path: files.path('passphrase') },
    passphraseSetting: 'proxy_tls_key_passphrase_path',
  })

  const write = async (issued: Issued, passphrase: string): Promise<void> => {
    await files.writePair('proxy', { ...issued, key: encrypted(issued.key, passphrase) })
    await files.write('passphrase', `${passphrase}\n`)
  }

  const start = async (passphrase: string) => {
    await files.write('ca.crt', authority.certificate)
    await write(first, passphrase)
    const store = createStore(PASSPHRASE())
    await store.load()
    store.watch(() => {})
    return store
  }

  test('is taken without it, whatever blanks it has', async () => {
    const store = await start(' two words ')
    expect(store.content('listener')?.key).toMatch(/^-----BEGIN PRIVATE KEY-----/)
  })

  test('costs its decryption once, and not at every look', async () => {
    await write(first, 'a secret')
    await files.write('ca.crt', authority.certificate)
    const own = source(PASSPHRASE())
    const content = await own.read()
    expect(await own.read()).toBe(content)
    await files.writePair('proxy', second)
    expect((await own.read()).certificate).toBe(second.certificate)
  })

  test('and another passphrase are read together; half of the change is not complained of', async () => {
    const store = await start('the first')
    await files.writePair('proxy', { ...second, key: encrypted(second.key, 'the second') })
    await store.look()
    expect([codes(), inForce(store)]).toEqual([[], first.certificate])
    await files.write('passphrase', 'the second')
    await store.look()
    expect([codes(), inForce(store)]).toEqual([['CERTIFICATES_RELOADED'], second.certificate])
  })
})

describe('tokens', () => {
  const TOKEN = (): Partial<LegFiles> => ({
    token: { setting: 'admin_token_path', path: files.path('token') },
  })
  const OLD = 'an-old-token-of-many-letters'
  const NEW = 'a-new-token-of-many-letters'

  test('are read again, one a line, and not logged', async () => {
    await files.write('token', `${OLD}\n`)
    const { store, changes, look } = await startStore(TOKEN())
    expect(store.content('listener')?.tokens).toEqual([OLD])
    await files.write('token', `${NEW}\r\n\n${OLD}`)
    await look()
    expect(store.content('listener')?.tokens).toEqual([NEW, OLD])
    expect([changes, codes()]).toEqual([[['listener']], ['TOKENS_RELOADED']])
    expect(JSON.stringify(lines)).not.toContain('many-letters')
  })

  test.each(['', 'short', `${NEW}\ntwo words of some length`])('%j is refused', async (text) => {
    await files.write('token', OLD)
    const { store, look } = await startStore(TOKEN())
    await files.write('token', text)
    await look()
    await look()
    expect([codes(), store.content('listener')?.tokens]).toEqual([['CERTIFICATES_REJECTED'], [OLD]])
    expect(lines[0]!.msg).toMatch(/^admin_token_path: .*openssl rand -hex 32; what was read before/)
    expect(lines[0]!.msg).not.toContain('two words')
  })
})
