/** A row for each setting: a text that is not its default, what it means, and a text that is refused. */
import type { SettingValue } from '../../src/config/definition.ts'

type Texts = Readonly<Record<string, string>>

export type SettingRow = {
  readonly key: string
  /** As it is written in both sources. */
  readonly text: string
  /** Never the default. */
  readonly value: SettingValue
  /** A text that is not allowed, with what is said of it; null where every text is. */
  readonly refused: { readonly text: string; readonly fault: string } | null
  /** Other settings, without which the rules refuse this one. */
  readonly needs: Texts
}

const NONE: Texts = {}
const MOST = 2_147_483_647
const quoted = (text: string): string => `"${text}"`

/** Any text. */
const text = (key: string, needs = NONE, value = `/etc/zdm/${key}`): SettingRow => ({
  key,
  text: value,
  value,
  refused: null,
  needs,
})

const parsed = (
  key: string,
  [given, value]: readonly [text: string, value: SettingValue],
  refused: string,
  fault: string,
  needs = NONE,
): SettingRow => ({
  key,
  text: given,
  value,
  refused: { text: refused, fault: `${quoted(refused)} ${fault}` },
  needs,
})

const flag = (key: string, value: boolean, needs = NONE): SettingRow =>
  parsed(key, [String(value), value], 'maybe', 'is not true or false', needs)

const word = (key: string, value: string, choices: string): SettingRow =>
  parsed(key, [value, value], 'never', `is not one of ${choices}`)

/** A number of a range, with a number just outside of it. */
const whole = (
  key: string,
  value: number,
  [low, high, unit = '']: readonly [low: number, high: number, unit?: string],
  needs = NONE,
): SettingRow => {
  const outside = high === MOST ? low - 1 : high + 1
  const fault = `is not a whole number from ${low} to ${high}${unit}`
  return parsed(key, [String(value), value], String(outside), fault, needs)
}
const count = (key: string, low = 1): SettingRow => whole(key, 5, [low, MOST])
const milliseconds = (key: string, low = 1): SettingRow => whole(key, 1234, [low, MOST, ' ms'])
const port = (key: string): SettingRow => whole(key, 9043, [0, 65_535])
const ignored = (key: string): SettingRow => parsed(key, ['5', 5], 'many', 'is not a whole number')

const listenAddress = (key: string, value: string): SettingRow =>
  parsed(key, [value, value], 'a b', 'is not an IP address or host name to listen on')

const addresses = (key: string, items: readonly string[], needs = NONE): SettingRow =>
  parsed(
    key,
    [items.join(','), items],
    '0.0.0.0',
    'is no address that clients can connect to',
    needs,
  )

const buckets = (key: string): SettingRow =>
  parsed(
    key,
    ['1,2.5,10', [1, 2.5, 10]],
    '1,x',
    'is not a list of numbers of milliseconds, as in "1,2.5,10"',
  )

const backoff = (key: string): SettingRow =>
  parsed(key, ['300', 300], 'soon', `is not a whole number from 1 to ${MOST} ms`)

const LEVELS = 'PANIC, FATAL, ERROR, WARN, WARNING, INFO, DEBUG, TRACE'
const VERSIONS = '2, 3, 4, 5, DseV1, DseV2'
const FUNCTIONS = 'now, uuid, currentTimeUUID, currentTimestamp, currentDate, currentTime'

const cluster = (name: 'origin' | 'target', net: string): readonly SettingRow[] => {
  const ca = { [`${name}_tls_server_ca_path`]: '/ca' }
  const cert = { [`${name}_tls_client_cert_path`]: '/cert' }
  const key = { [`${name}_tls_client_key_path`]: '/key' }
  return [
    parsed(
      `${name}_contact_points`,
      [`${net}.1,${net}.2`, [`${net}.1`, `${net}.2`]],
      `${net}.1:9042`,
      'has a port; ports have a setting of their own',
    ),
    port(`${name}_port`),
    text(`${name}_secure_connect_bundle_path`, { [`${name}_contact_points`]: '' }),
    text(`${name}_local_datacenter`),
    text(`${name}_local_rack`),
    text(`${name}_username`),
    text(`${name}_password`),
    text(`${name}_username_path`),
    text(`${name}_password_path`),
    milliseconds(`${name}_connection_timeout_ms`),
    flag(`${name}_enable_host_assignment`, false),
    text(`${name}_tls_server_ca_path`),
    text(`${name}_tls_client_cert_path`, { ...ca, ...key }),
    text(`${name}_tls_client_key_path`, { ...ca, ...cert }),
    text(`${name}_tls_client_key_passphrase_path`, { ...ca, ...cert, ...key }),
    text(`${name}_tls_crl_path`, ca),
    flag(`${name}_tls_verify_hostname`, true, ca),
    flag(`${name}_tls_private_roots_only`, true, ca),
  ]
}

/** The HTTP servers of metrics and of the admin API. */
const server = (name: 'metrics' | 'admin'): readonly SettingRow[] => {
  const cert = { [`${name}_tls_cert_path`]: '/cert' }
  const key = { [`${name}_tls_key_path`]: '/key' }
  return [
    flag(`${name}_enabled`, false),
    listenAddress(`${name}_address`, '127.0.0.2'),
    port(`${name}_port`),
    text(`${name}_token_path`),
    text(`${name}_tls_cert_path`, key),
    text(`${name}_tls_key_path`, cert),
    text(`${name}_tls_key_passphrase_path`, { ...cert, ...key }),
    text(`${name}_tls_client_ca_path`, { ...cert, ...key }),
  ]
}

const CLIENT_TLS = {
  proxy_tls_ca_path: '/ca',
  proxy_tls_cert_path: '/cert',
  proxy_tls_key_path: '/key',
}

const SERVING: readonly SettingRow[] = [
  listenAddress('proxy_listen_address', '10.0.3.1'),
  port('proxy_listen_port'),
  port('proxy_advertised_port'),
  milliseconds('proxy_request_timeout_ms'),
  word('proxy_timeout_reply', 'none', 'error, none'),
  count('proxy_max_client_connections'),
  count('proxy_max_client_connections_per_address', 0),
  count('proxy_max_stream_ids'),
  whole('proxy_max_envelope_mib', 5, [1, 1024, ' MiB']),
  whole('proxy_client_output_max_mib', 5, [1, 4096, ' MiB']),
  text('proxy_tls_ca_path', CLIENT_TLS),
  text('proxy_tls_cert_path', CLIENT_TLS),
  text('proxy_tls_key_path', CLIENT_TLS),
  text('proxy_tls_key_passphrase_path', CLIENT_TLS),
  flag('proxy_tls_require_client_auth', true, CLIENT_TLS),
  text('proxy_tls_crl_path', { ...CLIENT_TLS, proxy_tls_require_client_auth: 'true' }),
  addresses('proxy_topology_addresses', ['10.0.3.1']),
  whole('proxy_topology_index', 1, [0, MOST], { proxy_topology_addresses: '10.0.3.1,10.0.3.2' }),
  whole('proxy_topology_num_tokens', 16, [1, 256]),
  flag('proxy_topology_peers_v2', false),
  flag('proxy_topology_events', false),
  word('schema_events_from', 'PRIMARY', 'ORIGIN, PRIMARY'),
  parsed(
    'blocked_protocol_versions',
    ['v5,DseV1', ['5', 'DseV1']],
    'v6',
    `is not one of ${VERSIONS}`,
  ),
  whole('data_plane_threads', 5, [0, 256]),
  word('upstream_connections', 'per_client', 'shared, per_client'),
  whole('upstream_connections_max_per_node', 5, [1, 64]),
  whole('prepared_cache_max_entries', 500, [100, 10_000_000]),
  whole('prepared_cache_max_mib', 5, [1, 4096, ' MiB']),
]

const ROUTING: readonly SettingRow[] = [
  word('primary_cluster', 'TARGET', 'ORIGIN, TARGET'),
  word('read_mode', 'DUAL_ASYNC_ON_SECONDARY', 'PRIMARY_ONLY, DUAL_ASYNC_ON_SECONDARY'),
  word('system_queries_mode', 'TARGET', 'ORIGIN, TARGET'),
  milliseconds('async_handshake_timeout_ms'),
  whole('async_reads_sample_percent', 5, [0, 100]),
  whole('async_reads_max_in_flight', 5, [1, 1_000_000]),
  flag('compare_async_reads', true),
  milliseconds('compare_async_reads_recheck_ms', 0),
  flag('replace_cql_functions', true),
  parsed(
    'replace_cql_functions_list',
    ['now,uuid', ['now', 'uuid']],
    'random',
    `is not one of ${FUNCTIONS}`,
  ),
  flag('unify_write_timestamps', true),
  flag('forward_client_credentials_to_origin', true),
  text('credentials_map_path'),
  {
    key: 'credentials_map',
    text: 'users: {}',
    value: 'users: {}',
    refused: {
      text: 'users: 1',
      fault: 'line 1: users must have an entry NAME: {username: …, password: …} for each user',
    },
    needs: NONE,
  },
  text('routing_state_path'),
  text('audit_log_path'),
  addresses('admin_peer_addresses', ['zdm-0.zdm'], { proxy_topology_addresses: '10.0.3.1' }),
]

const OPERATION: readonly SettingRow[] = [
  word('log_level', 'DEBUG', LEVELS),
  parsed(
    'log_levels',
    ['session=DEBUG', ['session=DEBUG']],
    'session',
    `is not COMPONENT=LEVEL, with instance, control, session, upstream, http and ${LEVELS}`,
  ),
  word('control_conn_max_protocol_version', '4', VERSIONS),
  flag('strict_local_datacenter', true),
  milliseconds('heartbeat_interval_ms'),
  backoff('heartbeat_retry_interval_min_ms'),
  backoff('heartbeat_retry_interval_max_ms'),
  parsed(
    'heartbeat_retry_backoff_factor',
    ['1.5', 1.5],
    'twice',
    `is not a number from 0 to ${MOST}`,
  ),
  count('heartbeat_failure_threshold'),
  flag('startup_fail_fast', true),
  milliseconds('startup_timeout_ms', 0),
  word('readiness_policy', 'primary', 'both, primary'),
  milliseconds('shutdown_timeout_ms'),
  milliseconds('shutdown_announce_ms', 0),
  flag('tracing_enabled', true),
  parsed('tracing_rate_limit', ['5', 5], 'many', `is not a whole number from -${MOST} to ${MOST}`),
  {
    ...text('tracing_request_id_key'),
    refused: {
      text: 'x'.repeat(65_536),
      fault: `"${'x'.repeat(100)}…" has more than 65535 bytes, which no custom payload can carry as a key`,
    },
  },
  parsed(
    'tracing_otlp_endpoint',
    ['http://10.0.0.1:4318/v1/traces', 'http://10.0.0.1:4318/v1/traces'],
    '10.0.0.1:4318',
    'is no URL like http://127.0.0.1:4318/v1/traces',
  ),
  parsed('tracing_sample_percent', ['0.5', 0.5], '101', 'is not a number from 0 to 100'),
  parsed(
    'metrics_prefix',
    ['my_zdm', 'my_zdm'],
    'my-zdm',
    'cannot begin the names of metrics: letters, digits, _ and : are allowed, no digit first',
  ),
  buckets('metrics_origin_latency_buckets_ms'),
  buckets('metrics_target_latency_buckets_ms'),
  buckets('metrics_async_read_latency_buckets_ms'),
  flag('metrics_keyspaces', true),
  flag('metrics_honour_target_buckets', true),
  flag('metrics_bind_required', true),
]

export const SETTING_ROWS: readonly SettingRow[] = [
  ...ROUTING,
  ...cluster('origin', '10.0.1'),
  ...cluster('target', '10.0.2'),
  ...SERVING,
  ...server('metrics'),
  ...server('admin'),
  ...OPERATION,
  ...[
    'request_write_queue_size_frames',
    'request_write_buffer_size_bytes',
    'request_read_buffer_size_bytes',
    'response_write_queue_size_frames',
    'response_write_buffer_size_bytes',
    'response_read_buffer_size_bytes',
    'request_response_max_workers',
    'write_max_workers',
    'read_max_workers',
    'listener_max_workers',
    'event_queue_size_frames',
    'async_connector_write_queue_size_frames',
    'async_connector_write_buffer_size_bytes',
  ].map(ignored),
]
