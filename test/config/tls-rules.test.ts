import { describe, expect, test } from 'vitest'
import { spellingIn } from '../../src/config/raw.ts'
import { findContradictions, findOddities } from '../../src/config/rules.ts'
import { DEFINITIONS, type Settings, settingsOf } from '../../src/config/settings.ts'

const SOUND: Settings = {
  ...settingsOf(new Map(DEFINITIONS.map(({ key, default: value }) => [key, value]))),
  originContactPoints: ['10.0.1.1'],
  targetContactPoints: ['10.0.2.1'],
}

const inputOf = (changes: Partial<Settings>) => ({
  settings: { ...SOUND, ...changes },
  spell: spellingIn('file'),
  isGiven: () => true,
})

const contradictionsOf = (changes: Partial<Settings>): readonly string[] =>
  findContradictions(inputOf(changes)).map(({ text }) => text)

const CA = { originTlsServerCaPath: '/ca.pem' }
const CERT = { originTlsClientCertPath: '/cert.pem' }
const KEY = { originTlsClientKeyPath: '/key.pem' }
const BUNDLE: Partial<Settings> = {
  originContactPoints: [],
  originSecureConnectBundlePath: '/bundle.zip',
}

/** Whether the Go proxy starts with each combination of a cluster's three paths (operations §1.4). */
const COMBINATIONS: readonly (readonly [string, Partial<Settings>, boolean])[] = [
  ['nothing', {}, true],
  ['authority', CA, true],
  ['authority, certificate, key', { ...CA, ...CERT, ...KEY }, true],
  ['certificate', CERT, false],
  ['key', KEY, false],
  ['certificate, key', { ...CERT, ...KEY }, false],
  ['authority, certificate', { ...CA, ...CERT }, false],
  ['authority, key', { ...CA, ...KEY }, false],
]

describe('towards a cluster', () => {
  test.each(COMBINATIONS)('%s', (_, changes, isAllowed) => {
    const found = contradictionsOf(changes)
    if (isAllowed) expect(found).toEqual([])
    else expect(found).toEqual([expect.stringContaining('all three for mutual TLS')])
  })

  test('a bundle stands for contact points, datacenter and files', () => {
    expect(contradictionsOf(BUNDLE)).toEqual([])
  })

  test.each<[string, Partial<Settings>, string]>([
    [
      'contact points',
      { ...BUNDLE, originContactPoints: ['10.0.1.1'] },
      'origin_contact_points: cannot be used together with origin_secure_connect_bundle_path, which says where the nodes are; leave one of them out',
    ],
    [
      'a datacenter',
      { ...BUNDLE, originLocalDatacenter: 'dc1' },
      'origin_local_datacenter: cannot be used together with origin_secure_connect_bundle_path, which says which datacenter it is; leave it out',
    ],
    [
      'TLS files',
      { ...BUNDLE, ...CERT, ...KEY },
      'origin_tls_client_cert_path: cannot be used together with origin_secure_connect_bundle_path, which brings its own certificates (nor can origin_tls_client_key_path); leave it out',
    ],
    [
      'the same bundle for the other cluster',
      { ...BUNDLE, targetContactPoints: [], targetSecureConnectBundlePath: '/bundle.zip' },
      'target_secure_connect_bundle_path: is origin_secure_connect_bundle_path too; Origin and Target must be two clusters, or every write goes to the same one twice',
    ],
  ])('a bundle excludes %s', (_, changes, text) => {
    expect(contradictionsOf(changes)).toEqual([text])
  })

  test('both clusters may have a bundle', () => {
    const both = { ...BUNDLE, targetContactPoints: [], targetSecureConnectBundlePath: '/other.zip' }
    expect(contradictionsOf(both)).toEqual([])
  })
})

const LISTENER_CERT = { proxyTlsCertPath: '/cert.pem' }
const LISTENER_KEY = { proxyTlsKeyPath: '/key.pem' }
const LISTENER_CA = { proxyTlsCaPath: '/ca.pem' }
const REQUIRED = { proxyTlsRequireClientAuth: true }
const KEY_MISSING =
  'proxy_tls_key_path: is missing: proxy_tls_cert_path and proxy_tls_key_path are needed for TLS towards clients'
const CERT_MISSING =
  'proxy_tls_cert_path: is missing: proxy_tls_cert_path and proxy_tls_key_path are needed for TLS towards clients'

describe('towards clients', () => {
  test.each<[string, Partial<Settings>, readonly string[]]>([
    ['nothing', {}, []],
    ['all three', { ...LISTENER_CA, ...LISTENER_CERT, ...LISTENER_KEY }, []],
    ['all and required', { ...LISTENER_CA, ...LISTENER_CERT, ...LISTENER_KEY, ...REQUIRED }, []],
    ['no authority', { ...LISTENER_CERT, ...LISTENER_KEY }, []],
    ['certificates required without TLS, which the Go proxy ignores', REQUIRED, []],
    ['authority', LISTENER_CA, [CERT_MISSING]],
    ['certificate', LISTENER_CERT, [KEY_MISSING]],
    ['key', LISTENER_KEY, [CERT_MISSING]],
    ['authority, certificate', { ...LISTENER_CA, ...LISTENER_CERT }, [KEY_MISSING]],
    [
      'required without an authority',
      { ...LISTENER_CERT, ...LISTENER_KEY, ...REQUIRED },
      [
        'proxy_tls_ca_path: is needed with proxy_tls_require_client_auth: it says whose certificates clients may show',
      ],
    ],
  ])('%s', (_, changes, found) => {
    expect(contradictionsOf(changes)).toEqual(found)
  })
})

describe('beyond the Go proxy', () => {
  const LISTENER = { ...LISTENER_CA, ...LISTENER_CERT, ...LISTENER_KEY }
  const ORIGIN = { ...CA, ...CERT, ...KEY }

  test.each<[string, Partial<Settings>]>([
    ['private roots with an authority', { ...CA, originTlsPrivateRootsOnly: true }],
    ['private roots with a bundle', { ...BUNDLE, originTlsPrivateRootsOnly: true }],
    ['revocation of clients', { ...LISTENER, ...REQUIRED, proxyTlsCrlPath: '/crl.pem' }],
    ['revocation of nodes', { ...CA, originTlsCrlPath: '/crl.pem' }],
    ['a passphrase of the listener', { ...LISTENER, proxyTlsKeyPassphrasePath: '/p' }],
    ['a passphrase towards a cluster', { ...ORIGIN, originTlsClientKeyPassphrasePath: '/p' }],
    ['TLS of metrics', { metricsTlsCertPath: '/cert.pem', metricsTlsKeyPath: '/key.pem' }],
    ['a token of metrics without TLS', { metricsTokenPath: '/token' }],
  ])('%s', (_, changes) => {
    expect(contradictionsOf(changes)).toEqual([])
  })

  test.each<[string, Partial<Settings>, string]>([
    [
      'private roots without an authority',
      { targetTlsPrivateRootsOnly: true },
      'target_tls_private_roots_only: needs target_tls_server_ca_path, the authorities that are trusted then: without it there is no TLS',
    ],
    [
      'revocation of clients that show no certificate',
      { ...LISTENER, proxyTlsCrlPath: '/crl.pem' },
      'proxy_tls_crl_path: needs TLS towards clients and proxy_tls_require_client_auth: others show no certificate that could be revoked',
    ],
    [
      'revocation of clients without TLS',
      { ...REQUIRED, proxyTlsCrlPath: '/crl.pem' },
      'proxy_tls_crl_path: needs TLS towards clients and proxy_tls_require_client_auth: others show no certificate that could be revoked',
    ],
    [
      'revocation of nodes without TLS',
      { originTlsCrlPath: '/crl.pem' },
      'origin_tls_crl_path: needs origin_tls_server_ca_path: there is no TLS without',
    ],
    [
      'revocation and a bundle',
      { ...BUNDLE, originTlsCrlPath: '/crl.pem' },
      'origin_tls_crl_path: cannot be used together with origin_secure_connect_bundle_path, which brings its own certificates; leave it out',
    ],
    [
      'the authority of scrapers without TLS',
      { metricsTlsClientCaPath: '/ca.pem' },
      'metrics_tls_cert_path: must be set together with metrics_tls_key_path, and both where metrics_tls_client_ca_path is',
    ],
    [
      'a certificate of metrics without its key',
      { metricsTlsCertPath: '/cert.pem' },
      'metrics_tls_cert_path: must be set together with metrics_tls_key_path, and both where metrics_tls_client_ca_path is',
    ],
  ])('%s is refused', (_, changes, text) => {
    expect(contradictionsOf(changes)).toEqual([text])
  })

  test.each<[Partial<Settings>, string, string]>([
    [{ proxyTlsKeyPassphrasePath: '/p' }, 'proxy_tls_key_passphrase_path', 'proxy_tls_key_path'],
    [
      { originTlsClientKeyPassphrasePath: '/p' },
      'origin_tls_client_key_passphrase_path',
      'origin_tls_client_key_path',
    ],
    [
      { targetTlsClientKeyPassphrasePath: '/p' },
      'target_tls_client_key_passphrase_path',
      'target_tls_client_key_path',
    ],
    [{ adminTlsKeyPassphrasePath: '/p' }, 'admin_tls_key_passphrase_path', 'admin_tls_key_path'],
    [
      { metricsTlsKeyPassphrasePath: '/p' },
      'metrics_tls_key_passphrase_path',
      'metrics_tls_key_path',
    ],
  ])('a passphrase without its key is refused: %o', (changes, setting, key) => {
    expect(contradictionsOf(changes)).toEqual([
      `${setting}: needs ${key}, the key that the passphrase is for; set it, or leave this one out`,
    ])
  })
})

test.each<[string, Partial<Settings>, readonly string[]]>([
  [
    'host names are to be verified without TLS',
    { targetTlsVerifyHostname: true },
    [
      'target_tls_verify_hostname: has no effect: there is no TLS without target_tls_server_ca_path',
    ],
  ],
  ['they are with TLS', { originTlsVerifyHostname: true, ...CA }, []],
  [
    'certificates are required without TLS',
    REQUIRED,
    [
      'proxy_tls_require_client_auth: has no effect: clients connect without TLS as long as proxy_tls_cert_path is empty',
    ],
  ],
])('it is told that %s', (_, changes, texts) => {
  expect(findOddities(inputOf(changes)).map(({ text }) => text)).toEqual(texts)
})
