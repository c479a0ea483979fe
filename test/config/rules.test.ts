import { describe, expect, test } from 'vitest'
import type { SettingValue } from '../../src/config/definition.ts'
import { spellingIn } from '../../src/config/raw.ts'
import { findContradictions, findOddities } from '../../src/config/rules.ts'
import type { Settings } from '../../src/config/settings.ts'
import { CLUSTERS, contradictionsOf, inputOf, ofCluster, SOUND } from './sound-settings.ts'

test('sound settings contradict nothing', () => {
  expect(contradictionsOf({})).toEqual([])
})

const REFUSED: readonly (readonly [name: string, changes: Partial<Settings>, text: string])[] = [
  [
    'Origin and Target share a contact point and the port',
    { targetContactPoints: ['10.0.2.1', '10.0.1.1'] },
    'target_contact_points: "10.0.1.1" with port 9042 is in origin_contact_points too; Origin and Target must be two clusters, or every write goes to the same one twice',
  ],
  [
    'they do so in another spelling',
    { originContactPoints: ['localhost'], targetContactPoints: ['127.0.0.1'] },
    'target_contact_points: "127.0.0.1" with port 9042 is in origin_contact_points too; Origin and Target must be two clusters, or every write goes to the same one twice',
  ],
  [
    'an index is given without addresses',
    { proxyTopologyIndex: 1 },
    'proxy_topology_index: 1 must be 0 as long as proxy_topology_addresses is empty',
  ],
  [
    'the index is outside the addresses',
    { proxyTopologyAddresses: ['10.0.3.1', '10.0.3.2'], proxyTopologyIndex: 2 },
    'proxy_topology_index: 2 must be from 0 to 1, because proxy_topology_addresses has 2 addresses',
  ],
  [
    'an address is listed twice',
    { proxyTopologyAddresses: ['2001:db8::1', '10.0.3.1', '2001:DB8:0::1'] },
    'proxy_topology_addresses: "2001:DB8:0::1" is listed twice; each instance has an address of its own',
  ],
  ...['0.0.0.0', '::'].map(
    (address) =>
      [
        `${address} is listened on and no address given`,
        { proxyListenAddress: address },
        `proxy_listen_address: "${address}" listens on every address, and drivers would be told to connect to ${address}, where nobody answers; set proxy_topology_addresses to the address that clients reach this instance by (all instances' addresses, if there are several), or listen on one address`,
      ] as const,
  ),
  [
    'clients and metrics have one port',
    { metricsPort: 14_002 },
    'metrics_port: 14002 is the port for clients too (proxy_listen_port); they need two',
  ],
  [
    'clients and metrics have one port on overlapping addresses',
    { metricsPort: 14_002, metricsAddress: '0.0.0.0', proxyListenAddress: '10.0.3.1' },
    'metrics_port: 14002 is the port for clients too (proxy_listen_port); they need two',
  ],
  [
    'the admin API is open to other machines without a token',
    { adminAddress: '0.0.0.0' },
    'admin_address: "0.0.0.0" can be reached from other machines, and whoever reaches the admin API can switch the migration; set admin_token_path or admin_tls_client_ca_path, or listen on localhost',
  ],
  [
    'a host name of the admin API may be anywhere',
    { adminAddress: '127.evil.example' },
    'admin_address: "127.evil.example" can be reached from other machines, and whoever reaches the admin API can switch the migration; set admin_token_path or admin_tls_client_ca_path, or listen on localhost',
  ],
  [
    'the admin API has a certificate without its key',
    { adminTlsCertPath: 'cert.pem' },
    'admin_tls_cert_path: must be set together with admin_tls_key_path, and both where admin_tls_client_ca_path is',
  ],
  [
    'the admin API asks for certificates without TLS',
    { adminAddress: '10.0.3.1', adminTlsClientCaPath: 'ca.pem' },
    'admin_tls_cert_path: must be set together with admin_tls_key_path, and both where admin_tls_client_ca_path is',
  ],
  [
    'metrics and the admin API have one port, be it the default written out',
    { metricsPort: 14_003 },
    'admin_port: 14003 is metrics_port too; they need two',
  ],
  [
    'metrics and the admin API have one port',
    { adminPort: 14_001 },
    'admin_port: 14001 is metrics_port too; they need two',
  ],
  [
    'clients and the admin API have one port',
    { adminPort: 14_002 },
    'admin_port: 14002 is proxy_listen_port too; they need two',
  ],
  ...[
    { proxyTopologyAddresses: ['10.0.3.1', '10.0.3.2'], adminPeerAddresses: ['zdm-0.zdm'] },
    { proxyTopologyAddresses: [], adminPeerAddresses: ['zdm-0.zdm'] },
  ].map(
    (changes) =>
      [
        `1 peer of the admin API is named, of ${changes.proxyTopologyAddresses.length} instances`,
        changes,
        `admin_peer_addresses: has 1 addresses, and proxy_topology_addresses has ${changes.proxyTopologyAddresses.length}; it must name one for each instance, in the same order`,
      ] as const,
  ),
  [
    'request ids are where spans look for their parent',
    {
      tracingRequestIdKey: 'traceparent',
      tracingOtlpEndpoint: 'http://10.0.0.1:4318/v1/traces',
    },
    'tracing_request_id_key: "traceparent" is where tracing_otlp_endpoint looks for the trace context of clients; give request ids another key',
  ],
]

describe('it is refused that', () => {
  test.each(REFUSED)('%s', (_, changes, text) => {
    expect(contradictionsOf(changes)).toEqual([text])
  })
})

const NO_ASSIGNMENT = { enable_host_assignment: false }

describe.each(CLUSTERS)('of %s it is refused that', (cluster) => {
  test.each<[string, Readonly<Record<string, SettingValue>>, string]>([
    [
      'there are no contact points',
      { contact_points: [] },
      `${cluster}_contact_points: must name at least one node: host names or IP addresses with commas between them; or ${cluster}_secure_connect_bundle_path a Secure Connect Bundle`,
    ],
    [
      'there are contact points without a port',
      { port: 0 },
      `${cluster}_port: 0 is no port; say the one on which the nodes of ${cluster}_contact_points take clients`,
    ],
    ...['datacenter', 'rack'].map((place): [string, Record<string, SettingValue>, string] => [
      `the ${place} is given without host assignment`,
      { ...NO_ASSIGNMENT, [`local_${place}`]: 'a' },
      `${cluster}_local_${place}: has no meaning with ${cluster}_enable_host_assignment false, which sends all requests to one node; leave one of them out`,
    ]),
  ])('%s', (_, changes, text) => {
    expect(contradictionsOf(ofCluster(cluster, changes))).toEqual([text])
  })
})

describe.each(CLUSTERS)('of %s it is allowed that', (cluster) => {
  test.each<[string, Readonly<Record<string, SettingValue>>]>([
    ['datacenter and rack are given', { local_datacenter: 'dc1', local_rack: 'a' }],
    ['host assignment is off', NO_ASSIGNMENT],
    [
      'a port is 0 where a bundle says where the nodes are',
      { contact_points: [], port: 0, secure_connect_bundle_path: 'bundle.zip' },
    ],
  ])('%s', (_, changes) => {
    expect(contradictionsOf(ofCluster(cluster, changes))).toEqual([])
  })
})

const ALLOWED: readonly (readonly [name: string, changes: Partial<Settings>])[] = [
  [
    'both clusters are on one machine with two ports',
    { targetContactPoints: ['10.0.1.1'], targetPort: 9043 },
  ],
  [
    'the index is the last address',
    { proxyTopologyAddresses: ['10.0.3.1', '10.0.3.2'], proxyTopologyIndex: 1 },
  ],
  [
    '0.0.0.0 is listened on with addresses',
    { proxyListenAddress: '0.0.0.0', proxyTopologyAddresses: ['10.0.3.1'] },
  ],
  ['metrics are on 0.0.0.0', { metricsAddress: '0.0.0.0' }],
  ['the admin API is on another loopback address', { adminAddress: '127.0.0.2' }],
  ['the admin API has a token', { adminAddress: '10.0.3.1', adminTokenPath: 'token' }],
  [
    'the admin API of each instance has another address',
    { proxyTopologyAddresses: ['10.0.3.1'], adminPeerAddresses: ['zdm-0.zdm'] },
  ],
  ['the admin API is switched off', { adminAddress: '0.0.0.0', adminEnabled: false }],
  ['both ports are any free one', { proxyListenPort: 0, metricsPort: 0 }],
  ['one port is used on two addresses', { metricsPort: 14_002, metricsAddress: '10.0.3.9' }],
]

describe('it is allowed that', () => {
  test.each(ALLOWED)('%s', (_, changes) => {
    expect(contradictionsOf(changes)).toEqual([])
  })
})

describe('rules', () => {
  test('all have their say at once', () => {
    const texts = contradictionsOf({
      originContactPoints: [],
      targetContactPoints: [],
      proxyTopologyIndex: 3,
      metricsPort: 14_002,
    })
    expect(texts.map((text) => text.split(':')[0])).toEqual([
      'target_contact_points',
      'origin_contact_points',
      'proxy_topology_index',
      'metrics_port',
    ])
  })

  test('say nothing of values that are not known', () => {
    const nothing = { ...inputOf({}), settings: {} }
    expect(findContradictions(nothing)).toEqual([])
    expect(findOddities(nothing)).toEqual([])
  })

  test('spell settings as the source does, in the text too', () => {
    const [found] = findContradictions({
      settings: { ...SOUND, proxyTopologyIndex: 1 },
      isGiven: () => true,
      spell: spellingIn('environment'),
    })
    expect(found).toEqual({
      setting: 'ZDM_PROXY_TOPOLOGY_INDEX',
      text: 'ZDM_PROXY_TOPOLOGY_INDEX: 1 must be 0 as long as ZDM_PROXY_TOPOLOGY_ADDRESSES is empty',
    })
  })
})

const ODD: readonly (readonly [name: string, changes: Partial<Settings>, text: string])[] = [
  ...CLUSTERS.flatMap((cluster) =>
    ['username', 'password', 'local_datacenter', 'local_rack'].flatMap((key) =>
      [' ada', 'ada\n'].map(
        (value) =>
          [
            `${cluster}_${key} is ${JSON.stringify(value)}`,
            ofCluster(cluster, { [key]: value }),
            `${cluster}_${key}: begins or ends with white space, which is part of it`,
          ] as const,
      ),
    ),
  ),
  [
    'the shortest wait is above the longest',
    { heartbeatRetryIntervalMinMs: 500, heartbeatRetryIntervalMaxMs: 100 },
    'heartbeat_retry_interval_min_ms: 500 is above heartbeat_retry_interval_max_ms, so every wait is 100 ms',
  ],
]

describe('there is a warning when', () => {
  test.each(ODD)('%s', (_, changes, text) => {
    const warnings = findOddities(inputOf(changes))
    expect(warnings).toEqual([{ code: 'CONFIG_SUSPECT_VALUE', setting: text.split(':')[0], text }])
  })
})

test('the admin API gives way to clients where nobody has chosen its port', () => {
  const input = { ...inputOf({ proxyListenPort: 14_003 }), isGiven: () => false }
  const text =
    'admin_port: 14003, the default, is proxy_listen_port too: the admin API is switched off; give it another port'
  expect(findContradictions(input)).toEqual([])
  expect(findOddities(input).map((found) => found.text)).toEqual([text])
})

test('there is no warning for sound settings', () => {
  expect(findOddities(inputOf({}))).toEqual([])
})
