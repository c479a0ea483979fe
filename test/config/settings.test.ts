import { describe, expect, test } from 'vitest'
import type { SettingValue } from '../../src/config/definition.ts'
import { echoSettings } from '../../src/config/echo.ts'
import {
  camelCase,
  DEFINITIONS,
  describeSettings,
  environmentName,
  partialSettingsOf,
  type SettingSource,
  settingsOf,
} from '../../src/config/settings.ts'
import { REFERENCE_SETTINGS } from './reference-settings.ts'

const OWN_SETTINGS = [
  ['data_plane_threads', 0],
  ['upstream_connections', 'shared'],
  ['upstream_connections_max_per_node', 4],
  ['prepared_cache_max_entries', 10_000],
  ['prepared_cache_max_mib', 64],
  ['metrics_keyspaces', false],
  ['tracing_otlp_endpoint', ''],
  ['tracing_sample_percent', 1],
  ['metrics_honour_target_buckets', false],
  [
    'replace_cql_functions_list',
    ['now', 'uuid', 'currentTimeUUID', 'currentTimestamp', 'currentDate', 'currentTime'],
  ],
  ['unify_write_timestamps', false],
  ['proxy_max_client_connections_per_address', 0],
  ['proxy_timeout_reply', 'error'],
  ['proxy_max_envelope_mib', 256],
  ['proxy_client_output_max_mib', 64],
  ['async_reads_sample_percent', 100],
  ['async_reads_max_in_flight', 2048],
  ['compare_async_reads', false],
  ['compare_async_reads_recheck_ms', 5000],
  ['proxy_topology_peers_v2', true],
  ['schema_events_from', 'ORIGIN'],
  ['log_levels', []],
  ['shutdown_timeout_ms', 15_000],
  ['shutdown_announce_ms', 2000],
  ['startup_fail_fast', false],
  ['startup_timeout_ms', 0],
  ['readiness_policy', 'both'],
  ['strict_local_datacenter', false],
  ['origin_local_rack', ''],
  ['target_local_rack', ''],
  ['proxy_advertised_port', 0],
  ['proxy_topology_events', true],
  ['admin_enabled', true],
  ['admin_address', 'localhost'],
  ['admin_port', 14_003],
  ['admin_peer_addresses', []],
  ['admin_token_path', ''],
  ['admin_tls_cert_path', ''],
  ['admin_tls_key_path', ''],
  ['admin_tls_client_ca_path', ''],
  ['routing_state_path', ''],
  ['audit_log_path', ''],
  ['origin_tls_verify_hostname', false],
  ['target_tls_verify_hostname', false],
  ['origin_tls_private_roots_only', false],
  ['target_tls_private_roots_only', false],
  ['proxy_tls_crl_path', ''],
  ['origin_tls_crl_path', ''],
  ['target_tls_crl_path', ''],
  ['proxy_tls_key_passphrase_path', ''],
  ['origin_tls_client_key_passphrase_path', ''],
  ['target_tls_client_key_passphrase_path', ''],
  ['admin_tls_key_passphrase_path', ''],
  ['metrics_tls_key_passphrase_path', ''],
  ['metrics_tls_cert_path', ''],
  ['metrics_tls_key_path', ''],
  ['metrics_tls_client_ca_path', ''],
  ['metrics_token_path', ''],
  ['metrics_bind_required', false],
  ['origin_username_path', ''],
  ['origin_password_path', ''],
  ['target_username_path', ''],
  ['target_password_path', ''],
  ['credentials_map_path', ''],
  ['credentials_map', ''],
] as const

const definitionOf = (key: string): (typeof DEFINITIONS)[number] | undefined =>
  DEFINITIONS.find((definition) => definition.key === key)

const defaultsWith = (changes: Readonly<Record<string, SettingValue>>): Map<string, SettingValue> =>
  new Map<string, SettingValue>([
    ...DEFINITIONS.map(({ key, default: value }) => [key, value] as const),
    ...Object.entries(changes),
  ])

describe('the table', () => {
  test('has the 71 settings of the Go proxy', () => {
    expect(REFERENCE_SETTINGS).toHaveLength(71)
  })

  test.each(REFERENCE_SETTINGS)(
    '%s is a %s with the default of the Go proxy',
    (key, type, value) => {
      const definition = definitionOf(key)
      // A choice is a string that is checked.
      expect(definition?.type === 'choice' ? 'string' : definition?.type).toBe(type)
      expect(definition?.default).toEqual(value)
    },
  )

  test.each(OWN_SETTINGS)('%s is ours, with the default %s', (key, value) => {
    expect(definitionOf(key)?.default).toEqual(value)
  })

  test('has nothing else, and nothing twice', () => {
    const expected = [...REFERENCE_SETTINGS, ...OWN_SETTINGS].map(([key]) => key)
    expect(DEFINITIONS.map(({ key }) => key).sort()).toEqual(expected.sort())
  })

  test('takes every default as a value of its type', () => {
    expect(() => settingsOf(defaultsWith({}))).not.toThrow()
  })

  test('has a default within each range', () => {
    for (const definition of DEFINITIONS) {
      if (definition.type !== 'int' && definition.type !== 'float') continue
      const { key, default: value, min = value, max = value } = definition
      expect([key, value >= min && value <= max]).toEqual([key, true])
    }
  })
})

describe('names', () => {
  test('are spelled for the environment and for code', () => {
    expect(environmentName('origin_tls_server_ca_path')).toBe('ZDM_ORIGIN_TLS_SERVER_CA_PATH')
    expect(camelCase('origin_tls_server_ca_path')).toBe('originTlsServerCaPath')
  })
})

describe('settingsOf', () => {
  test.each([
    ['a missing value', new Map<string, SettingValue>([['primary_cluster', 'ORIGIN']])],
    ['a value of another type', defaultsWith({ origin_port: '9042' })],
    ['a word that is no choice', defaultsWith({ primary_cluster: 'BOTH' })],
  ])('refuses %s', (_, values) => {
    expect(() => settingsOf(values)).toThrow(TypeError)
  })

  test('makes settings that nobody can change', () => {
    expect(Object.isFrozen(settingsOf(defaultsWith({})))).toBe(true)
  })
})

describe('partialSettingsOf', () => {
  test('leaves out what has no value', () => {
    expect(partialSettingsOf(new Map([['origin_port', 9043]]))).toEqual({ originPort: 9043 })
  })

  test('refuses a value of another type', () => {
    expect(() => partialSettingsOf(new Map([['origin_port', '9043']]))).toThrow(TypeError)
  })
})

const SETTINGS = settingsOf(
  defaultsWith({
    origin_contact_points: ['10.0.0.1', '10.0.0.2'],
    origin_username: 'ada',
    origin_password: 'S3cret',
    target_password: '',
    tracing_otlp_endpoint: 'https://collector/v1/traces?Api-Key=S3cret#S3cret',
  }),
)

describe('describeSettings', () => {
  test('gives each value with its source and hides passwords that there are', () => {
    const sources = new Map<string, SettingSource>([
      ['origin_username', { kind: 'file', path: 'zdm.yml' }],
      ['origin_password', { kind: 'secret file', path: '/run/secret' }],
      ['origin_port', { kind: 'environment' }],
    ])
    const described = new Map(
      describeSettings(SETTINGS, sources).map((setting) => [setting.key, setting]),
    )
    expect(described.size).toBe(DEFINITIONS.length)
    expect(described.get('origin_username')).toEqual({
      key: 'origin_username',
      value: 'ada',
      source: 'file',
      path: 'zdm.yml',
    })
    expect(described.get('origin_password')).toMatchObject({
      value: '(hidden)',
      source: 'secret file',
      path: '/run/secret',
    })
    expect(described.get('tracing_otlp_endpoint')?.value).toBe(
      'https://collector/v1/traces?(hidden)',
    )
    expect(described.get('target_password')).toMatchObject({ value: '', source: 'default' })
    expect(described.get('origin_port')).toMatchObject({
      value: 9042,
      source: 'environment',
      path: null,
    })
  })
})

describe('echoSettings', () => {
  const text = echoSettings(SETTINGS)
  const echo: unknown = JSON.parse(text)

  test('is one line of JSON with the names of the Go proxy', () => {
    expect(text).not.toContain('\n')
    expect(echo).toMatchObject({
      PrimaryCluster: 'ORIGIN',
      OriginContactPoints: '10.0.0.1,10.0.0.2',
      OriginUsername: 'ada',
      OriginPort: 9042,
      OriginEnableHostAssignment: true,
      ProxyTlsCaPath: '',
      MetricsTargetLatencyBucketsMs:
        '1,4,7,10,25,40,60,80,100,150,250,500,1000,2500,5000,10000,15000',
    })
  })

  test('hides the query of an address, where collectors want their keys', () => {
    expect(echo).toMatchObject({ TracingOtlpEndpoint: 'https://collector/v1/traces?(hidden)' })
    expect(text).not.toContain('S3cret')
  })

  test('has every setting but the two passwords and the map of users', () => {
    const names = Object.keys(Object(echo))
    expect(names).toHaveLength(DEFINITIONS.length - 3)
    expect(names).not.toContain('OriginPassword')
    expect(names).not.toContain('CredentialsMap')
    expect(text).not.toContain('S3cret')
  })
})
