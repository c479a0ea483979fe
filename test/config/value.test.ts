import { describe, expect, test } from 'vitest'
import type { SettingDefinition, SettingValue } from '../../src/config/definition.ts'
import type { Scalar } from '../../src/config/scalar.ts'
import { DEFINITIONS } from '../../src/config/settings.ts'
import { parseValue, quoted, valueText } from '../../src/config/value.ts'

const definitionOf = (key: string): SettingDefinition => {
  const definition = DEFINITIONS.find((candidate) => candidate.key === key)
  if (definition === undefined) throw new TypeError(`no setting ${key}`)
  return definition
}

/** The value; or what is wrong, after `!`. */
const parse = (key: string, text: string, form: Scalar['form'] = 'environment'): SettingValue => {
  const parsed = parseValue(definitionOf(key), { form, text })
  return 'fault' in parsed ? `!${parsed.fault}` : parsed.value
}

const ACCEPTED: readonly (readonly [key: string, text: string, value: SettingValue])[] = [
  ['primary_cluster', 'TARGET', 'TARGET'],
  ['primary_cluster', 'target', 'TARGET'],
  ['primary_cluster', 'Target', 'TARGET'],
  ['log_level', ' debug ', 'DEBUG'],
  ['log_level', 'warning', 'WARNING'],
  ['control_conn_max_protocol_version', 'dsev1', 'DseV1'],
  ['control_conn_max_protocol_version', '4', '4'],
  ['system_queries_mode', 'target', 'TARGET'],
  ['upstream_connections', 'PER_CLIENT', 'per_client'],
  ['replace_cql_functions', 'F', false],
  ['metrics_enabled', '0', false],
  ['origin_port', '0x2352', 9042],
  ['origin_port', '1', 1],
  // A port says nothing beside a bundle; that contact points need one is a rule.
  ['origin_port', '0', 0],
  ['origin_port', '65535', 65_535],
  ['proxy_listen_port', '0', 0],
  ['proxy_topology_num_tokens', '256', 256],
  ['proxy_request_timeout_ms', '2147483647', 2_147_483_647],
  ['heartbeat_retry_backoff_factor', '1.5', 1.5],
  ['heartbeat_retry_backoff_factor', '0.5', 0.5],
  ['heartbeat_retry_backoff_factor', '0', 2],
  ['heartbeat_retry_backoff_factor', '-1', 2],
  ['heartbeat_retry_interval_min_ms', '0', 100],
  ['heartbeat_retry_interval_max_ms', '-1', 10_000],
  // Longer than Node's timers go.
  ['origin_connection_timeout_ms', '2147483648', 2_147_483_647],
  ['heartbeat_interval_ms', '86400000000', 2_147_483_647],
  ['data_plane_threads', '0', 0],
  ['request_write_queue_size_frames', '-5', -5],
  ['request_response_max_workers', '0', 0],
  ['request_write_queue_size_frames', '9007199254740991', 9_007_199_254_740_991],
  ['origin_username', '', ''],
  ['origin_username', ' a b ', ' a b '],
  ['origin_local_datacenter', 'DC 1', 'DC 1'],
  ['tracing_rate_limit', '-1', -1],
  ['tracing_request_id_key', '', ''],
  ['tracing_request_id_key', 'x'.repeat(65_535), 'x'.repeat(65_535)],
  ['tracing_otlp_endpoint', '', ''],
  [
    'tracing_otlp_endpoint',
    'https://[2001:db8::1]:4318/v1/traces?a=b',
    'https://[2001:db8::1]:4318/v1/traces?a=b',
  ],
  ['tracing_sample_percent', '0.01', 0.01],
  ['metrics_prefix', '', ''],
  ['metrics_prefix', '_my:zdm2', '_my:zdm2'],
  ['proxy_listen_address', 'localhost', 'localhost'],
  ['proxy_listen_address', '[::1]', '::1'],
  ['proxy_listen_address', '', '0.0.0.0'],
  ['metrics_address', '', '0.0.0.0'],
  ['proxy_listen_address', '::', '::'],
  ['metrics_address', 'node-1.example.com', 'node-1.example.com'],
  ['origin_contact_points', '', []],
  ['origin_contact_points', 'node1', ['node1']],
  ['origin_contact_points', '10.0.0.1,', ['10.0.0.1']],
  ['origin_contact_points', ',a,,b', ['a', 'b']],
  ['origin_contact_points', ',', []],
  [
    'origin_contact_points',
    ' 10.0.0.1 , node_2.example.com. ',
    ['10.0.0.1', 'node_2.example.com.'],
  ],
  ['origin_contact_points', '10.0.0.1,\n10.0.0.2\n', ['10.0.0.1', '10.0.0.2']],
  ['origin_contact_points', '2001:db8::1,[2001:db8::2]', ['2001:db8::1', '2001:db8::2']],
  ['proxy_topology_addresses', '', []],
  ['proxy_topology_addresses', '10.0.0.1, 10.0.0.2', ['10.0.0.1', '10.0.0.2']],
  ['proxy_topology_addresses', '2001:db8::1', ['2001:db8::1']],
  ['blocked_protocol_versions', '', []],
  ['blocked_protocol_versions', ' , ,', []],
  ['replace_cql_functions_list', 'now', ['now']],
  ['replace_cql_functions_list', ' NOW(), currenttimeuuid ', ['now', 'currentTimeUUID']],
  ['replace_cql_functions_list', '', []],
  ['metrics_origin_latency_buckets_ms', '1, 2.5,1e3', [1, 2.5, 1000]],
  ['metrics_origin_latency_buckets_ms', '0,10', [0, 10]],
]

describe('a value that is allowed', () => {
  test.each(ACCEPTED)('%s: %j is %j', (key, text, value) => {
    expect(parse(key, text)).toEqual(value)
  })
})

const REFUSED: readonly (readonly [key: string, text: string, fault: string])[] = [
  ['primary_cluster', 'BOTH', '"BOTH" is not one of ORIGIN, TARGET'],
  ['primary_cluster', '', '"" is not one of ORIGIN, TARGET'],
  ['primary_cluster', ' ORIGIN', '" ORIGIN" is not one of ORIGIN, TARGET'],
  [
    'read_mode',
    'ASYNC_READS_ON_SECONDARY',
    '"ASYNC_READS_ON_SECONDARY" is not one of PRIMARY_ONLY, DUAL_ASYNC_ON_SECONDARY',
  ],
  [
    'log_level',
    'LOUD',
    '"LOUD" is not one of PANIC, FATAL, ERROR, WARN, WARNING, INFO, DEBUG, TRACE',
  ],
  ['control_conn_max_protocol_version', 'v4', '"v4" is not one of 2, 3, 4, 5, DseV1, DseV2'],
  [
    'control_conn_max_protocol_version',
    'Dse_V1',
    '"Dse_V1" is not one of 2, 3, 4, 5, DseV1, DseV2',
  ],
  ['metrics_enabled', 'yes', '"yes" is not true or false'],
  ['metrics_enabled', '', '"" is not true or false'],
  ['origin_port', '', '"" is not a whole number from 0 to 65535'],
  ['origin_port', 'abc', '"abc" is not a whole number from 0 to 65535'],
  ['origin_port', '-1', '"-1" is not a whole number from 0 to 65535'],
  [
    'origin_port',
    '09042',
    '"09042" is not a whole number from 0 to 65535 (a leading 0 means octal)',
  ],
  ['proxy_listen_port', '-1', '"-1" is not a whole number from 0 to 65535'],
  ['proxy_request_timeout_ms', '-1', '"-1" is not a whole number from 1 to 2147483647 ms'],
  ['proxy_topology_num_tokens', '0', '"0" is not a whole number from 1 to 256'],
  ['heartbeat_retry_backoff_factor', 'NaN', '"NaN" is not a number from 0 to 2147483647'],
  [
    'request_write_queue_size_frames',
    '9007199254740993',
    '"9007199254740993" is not a whole number',
  ],
  [
    'metrics_prefix',
    '2zdm',
    '"2zdm" cannot begin the names of metrics: letters, digits, _ and : are allowed, no digit first',
  ],
  [
    'tracing_request_id_key',
    'é'.repeat(32_768),
    `"${'é'.repeat(100)}…" has more than 65535 bytes, which no custom payload can carry as a key`,
  ],
  [
    'tracing_otlp_endpoint',
    'collector:4318/v1/traces?Api-Key=S3cret',
    '"collector:4318/v1/traces?(hidden)" is no URL like http://127.0.0.1:4318/v1/traces',
  ],
  [
    'tracing_otlp_endpoint',
    'http://me:secret@collector:4318/v1/traces',
    'the URL has a user or a password in it, which would be shown in logs; none is sent',
  ],
  [
    'proxy_listen_address',
    '10.0.0.256',
    '"10.0.0.256" is not an IP address or host name to listen on',
  ],
  [
    'proxy_listen_address',
    '127.0.0.1:9042',
    '"127.0.0.1:9042" is not an IP address or host name to listen on; ports have a setting of their own',
  ],
  [
    'proxy_listen_address',
    '[127.0.0.1]',
    '"[127.0.0.1]" is not an IP address or host name to listen on',
  ],
  [
    'origin_contact_points',
    'a,10.0.0.1:9042',
    '"10.0.0.1:9042" has a port; ports have a setting of their own',
  ],
  [
    'origin_contact_points',
    '[::1]:9042',
    '"[::1]:9042" has a port; ports have a setting of their own',
  ],
  [
    'origin_contact_points',
    '10.0.0.1;10.0.0.2',
    '"10.0.0.1;10.0.0.2" is not a host name or IP address',
  ],
  ['origin_contact_points', '10.0.0', '"10.0.0" is not a host name or IP address'],
  ['origin_contact_points', '-a', '"-a" is not a host name or IP address'],
  ['origin_contact_points', '0.0.0.0', '"0.0.0.0" is no address to connect to'],
  [
    'proxy_topology_addresses',
    '10.0.0.1,',
    '"10.0.0.1," has an empty item; write one comma between two items',
  ],
  [
    'proxy_topology_addresses',
    'node1:9042',
    '"node1:9042" is not an IP address or host name; all instances listen on proxy_listen_port',
  ],
  ['proxy_topology_addresses', 'fe80::1%eth0', '"fe80::1%eth0" is not an IP address or host name'],
  ['proxy_topology_addresses', '10.0.0.010', '"10.0.0.010" is not an IP address or host name'],
  ['proxy_topology_addresses', '0:0::0', '"0:0::0" is no address that clients can connect to'],
  [
    'replace_cql_functions_list',
    'now,random',
    '"random" is not one of now, uuid, currentTimeUUID, currentTimestamp, currentDate, currentTime',
  ],
  ['blocked_protocol_versions', 'v4,dse1', '"dse1" is not one of 2, 3, 4, 5, DseV1, DseV2'],
  [
    'metrics_origin_latency_buckets_ms',
    '',
    '"" is not a list of numbers of milliseconds, as in "1,2.5,10"',
  ],
  [
    'metrics_origin_latency_buckets_ms',
    '1,2,',
    '"1,2," is not a list of numbers of milliseconds, as in "1,2.5,10"',
  ],
  [
    'metrics_origin_latency_buckets_ms',
    '-1,2',
    '"-1,2" is not a list of numbers of milliseconds, as in "1,2.5,10"',
  ],
  [
    'metrics_target_latency_buckets_ms',
    '1,1',
    '"1,1" does not rise: each bound must be above the one before',
  ],
  [
    'metrics_async_read_latency_buckets_ms',
    '2,1',
    '"2,1" does not rise: each bound must be above the one before',
  ],
]

describe('a value that is not allowed', () => {
  test.each(REFUSED)('%s: %j: %s', (key, text, fault) => {
    expect(parse(key, text)).toBe(`!${fault}`)
  })
})

describe('what the Go proxy takes for another value is said', () => {
  test.each([
    ['proxy_listen_address', '', '0.0.0.0, every address'],
    ['origin_contact_points', 'a,,b', 'a,b, without what is empty between commas'],
    ['heartbeat_retry_interval_min_ms', '0', '100, which 0 or less stands for'],
    ['heartbeat_retry_backoff_factor', '-1', '2, which 0 or less stands for'],
    ['heartbeat_interval_ms', '86400000000', '2147483647, the most that there is'],
  ])('%s: %j is read as %s', (key, text, remark) => {
    expect(parseValue(definitionOf(key), { form: 'environment', text })).toMatchObject({ remark })
  })
})

describe('a value in a YAML file', () => {
  test.each([
    ['origin_port', 'plain', '9042.5', 9042],
    [
      'origin_port',
      'quoted',
      '9042',
      '!"9042" is not a whole number from 0 to 65535 (without quotes)',
    ],
    ['metrics_enabled', 'plain', 'no', false],
    ['metrics_enabled', 'quoted', 'no', false],
    ['metrics_enabled', 'quoted', 'false', '!"false" is not true or false (without quotes)'],
    ['control_conn_max_protocol_version', 'plain', '4', '4'],
    ['origin_username', 'plain', '4', '4'],
    ['origin_username', 'plain', 'true', 'true'],
    ['origin_password', 'plain', '0x1F', '0x1F'],
    ['metrics_origin_latency_buckets_ms', 'plain', '5', [5]],
    ['metrics_prefix', 'quoted', '', ''],
  ] as const)('%s: %s %j is %j', (key, form, text, value) => {
    expect(parse(key, text, form)).toEqual(value)
  })
})

test('every default is an allowed value of its setting', () => {
  for (const definition of DEFINITIONS) {
    const text = valueText(definition.default)
    expect([definition.key, parse(definition.key, text)]).toEqual([
      definition.key,
      definition.default,
    ])
  }
})

describe('a value in an error', () => {
  test('is on one line', () => {
    expect(quoted('a\nb\u0007')).toBe('"a\\nb\\u0007"')
  })

  test('is cut after 100 characters', () => {
    expect(quoted('x'.repeat(100))).toBe(`"${'x'.repeat(100)}"`)
    expect(quoted('x'.repeat(101))).toBe(`"${'x'.repeat(100)}…"`)
  })
})
