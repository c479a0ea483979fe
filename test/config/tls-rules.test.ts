import { describe, expect, test } from 'vitest'
import type { SettingValue } from '../../src/config/definition.ts'
import { findOddities } from '../../src/config/rules.ts'
import type { Settings } from '../../src/config/settings.ts'
import { CLUSTERS, contradictionsOf, inputOf, ofCluster } from './sound-settings.ts'

type Changes = Readonly<Record<string, SettingValue>>

const CA = { tls_server_ca_path: '/ca.pem' }
const CERT = { tls_client_cert_path: '/cert.pem' }
const KEY = { tls_client_key_path: '/key.pem' }
const BUNDLE = { contact_points: [], secure_connect_bundle_path: '/bundle.zip' }

/** Whether the Go proxy starts with each combination of a cluster's three paths (operations §1.4). */
const COMBINATIONS: readonly (readonly [string, Changes, boolean])[] = [
  ['nothing', {}, true],
  ['authority', CA, true],
  ['authority, certificate, key', { ...CA, ...CERT, ...KEY }, true],
  ['certificate', CERT, false],
  ['key', KEY, false],
  ['certificate, key', { ...CERT, ...KEY }, false],
  ['authority, certificate', { ...CA, ...CERT }, false],
  ['authority, key', { ...CA, ...KEY }, false],
]

const goTogether = (cluster: string): string =>
  `${cluster}_tls_client_cert_path and ${cluster}_tls_client_key_path go together, and with ${cluster}_tls_server_ca_path: all three for mutual TLS, ${cluster}_tls_server_ca_path alone for one-way TLS, none for no TLS`

describe.each(CLUSTERS)('towards %s', (cluster) => {
  const found = (changes: Changes): readonly string[] =>
    contradictionsOf(ofCluster(cluster, changes))

  test.each(COMBINATIONS)('%s', (_, changes, isAllowed) => {
    const isPair = 'tls_client_cert_path' in changes && 'tls_client_key_path' in changes
    const setting = `${cluster}_tls_${isPair ? 'server_ca' : 'client_cert'}_path`
    expect(found(changes)).toEqual(isAllowed ? [] : [`${setting}: ${goTogether(cluster)}`])
  })

  test.each<[string, Changes]>([
    ['a bundle stands for contact points, datacenter and files', BUNDLE],
    ['private roots with an authority', { ...CA, tls_private_roots_only: true }],
    ['private roots with a bundle', { ...BUNDLE, tls_private_roots_only: true }],
    ['revocation of nodes', { ...CA, tls_crl_path: '/crl.pem' }],
    ['a passphrase', { ...CA, ...CERT, ...KEY, tls_client_key_passphrase_path: '/p' }],
  ])('%s', (_, changes) => {
    expect(found(changes)).toEqual([])
  })

  const bundle = `${cluster}_secure_connect_bundle_path`
  const files = [
    'server_ca_path',
    'client_cert_path',
    'client_key_path',
    'client_key_passphrase_path',
    'crl_path',
  ].map((file) => `tls_${file}`)

  test.each<[string, Changes, string]>([
    [
      'a bundle beside contact points',
      { ...BUNDLE, contact_points: ['10.0.9.1'] },
      `${cluster}_contact_points: cannot be used together with ${bundle}, which says where the nodes are; leave one of them out`,
    ],
    [
      'a bundle beside a datacenter',
      { ...BUNDLE, local_datacenter: 'dc1' },
      `${cluster}_local_datacenter: cannot be used together with ${bundle}, which says which datacenter it is; leave it out`,
    ],
    [
      'a bundle beside two files',
      { ...BUNDLE, ...CERT, ...KEY },
      `${cluster}_tls_client_cert_path: cannot be used together with ${bundle}, which brings its own certificates (nor can ${cluster}_tls_client_key_path); leave it out`,
    ],
    [
      'private roots without an authority',
      { tls_private_roots_only: true },
      `${cluster}_tls_private_roots_only: needs ${cluster}_tls_server_ca_path, the authorities that are trusted then: without it there is no TLS`,
    ],
    [
      'revocation of nodes without TLS',
      { tls_crl_path: '/crl.pem' },
      `${cluster}_tls_crl_path: needs ${cluster}_tls_server_ca_path: there is no TLS without`,
    ],
  ])('%s is refused', (_, changes, text) => {
    expect(found(changes)).toEqual([text])
  })

  test.each(files)('a bundle beside %s is refused', (file) => {
    expect(found({ ...BUNDLE, [file]: '/file' })).toContain(
      `${cluster}_${file}: cannot be used together with ${bundle}, which brings its own certificates; leave it out`,
    )
  })
})

describe('bundles of both clusters', () => {
  const both = (target: string): Partial<Settings> => ({
    ...ofCluster('origin', BUNDLE),
    ...ofCluster('target', { ...BUNDLE, secure_connect_bundle_path: target }),
  })

  test('may be two', () => {
    expect(contradictionsOf(both('/other.zip'))).toEqual([])
  })

  test('are refused where they are the same', () => {
    expect(contradictionsOf(both('/bundle.zip'))).toEqual([
      'target_secure_connect_bundle_path: is origin_secure_connect_bundle_path too; Origin and Target must be two clusters, or every write goes to the same one twice',
    ])
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

  test.each<[string, Partial<Settings>]>([
    ['revocation of clients', { ...LISTENER, ...REQUIRED, proxyTlsCrlPath: '/crl.pem' }],
    ['a passphrase of the listener', { ...LISTENER, proxyTlsKeyPassphrasePath: '/p' }],
    ['TLS of metrics', { metricsTlsCertPath: '/cert.pem', metricsTlsKeyPath: '/key.pem' }],
    ['a token of metrics without TLS', { metricsTokenPath: '/token' }],
  ])('%s', (_, changes) => {
    expect(contradictionsOf(changes)).toEqual([])
  })

  test.each<[string, Partial<Settings>, string]>([
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
  ...CLUSTERS.flatMap((cluster): [string, Partial<Settings>, readonly string[]][] => [
    [
      `host names of ${cluster} are to be verified without TLS`,
      ofCluster(cluster, { tls_verify_hostname: true }),
      [
        `${cluster}_tls_verify_hostname: has no effect: there is no TLS without ${cluster}_tls_server_ca_path`,
      ],
    ],
    [
      `nothing where there is TLS towards ${cluster}`,
      ofCluster(cluster, { ...CA, tls_verify_hostname: true }),
      [],
    ],
  ]),
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
