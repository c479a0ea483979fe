/**
 * Settings of what the proxy itself serves: the client listener, heartbeats, the admin API
 * (operations §1.3), and those that the Go proxy does not have.
 */
import type { Section } from '../definition.ts'
import { REPLACEABLE_FUNCTIONS } from '../replaceable-functions.ts'

export const LISTENER = {
  title: 'Client listener',
  settings: [
    {
      key: 'proxy_listen_address',
      type: 'string',
      default: 'localhost',
      format: 'listen address',
      status: 'active',
      description:
        'The address that clients connect to; `0.0.0.0` for all. `localhost` is 127.0.0.1.',
    },
    {
      key: 'proxy_listen_port',
      type: 'int',
      default: 14_002,
      min: 0,
      max: 65_535,
      status: 'active',
      description: 'The port that clients connect to; 0 for any free one.',
    },
    {
      key: 'proxy_request_timeout_ms',
      type: 'int',
      default: 10_000,
      min: 1,
      unit: 'ms',
      status: 'active',
      description:
        'How long the clusters may take to answer a request. See `proxy_timeout_reply` for what the client gets then.',
    },
    {
      key: 'proxy_max_client_connections',
      type: 'int',
      default: 1000,
      min: 1,
      status: 'active',
      description: 'Client connections open at one time, those in their handshake included.',
    },
    {
      key: 'proxy_max_stream_ids',
      type: 'int',
      default: 2048,
      min: 1,
      status: 'active',
      description:
        'Requests in flight on one connection to a node where each client has its own (`upstream_connections: per_client`). Shared connections use all the ids that the protocol has.',
    },
    {
      key: 'proxy_tls_ca_path',
      type: 'string',
      default: '',
      format: 'path',
      status: 'active',
      description:
        'Certificate authority of the clients (PEM). Needed with `proxy_tls_require_client_auth`, without it only checked. Read again when it changes.',
    },
    {
      key: 'proxy_tls_cert_path',
      type: 'string',
      default: '',
      format: 'path',
      status: 'active',
      description:
        "The listener's certificate chain (PEM), its own certificate first. With the key: clients must use TLS. Read again when it changes.",
    },
    {
      key: 'proxy_tls_key_path',
      type: 'string',
      default: '',
      format: 'path',
      status: 'active',
      description:
        "The private key of the listener's certificate (PEM). Read again when it changes.",
    },
    {
      key: 'proxy_tls_require_client_auth',
      type: 'boolean',
      default: false,
      status: 'active',
      description:
        'Demands from clients a certificate that `proxy_tls_ca_path` has signed (mutual TLS).',
    },
  ],
} as const satisfies Section

export const HEARTBEATS = {
  title: 'Heartbeats',
  settings: [
    {
      key: 'heartbeat_interval_ms',
      type: 'int',
      default: 30_000,
      min: 1,
      unit: 'ms',
      status: 'active',
      description:
        'How often the control connection, and any other on which nothing comes, is asked whether its node lives; one that stays silent is replaced.',
    },
    {
      key: 'heartbeat_retry_interval_min_ms',
      type: 'int',
      default: 250,
      min: 1,
      insteadOfZero: 100,
      unit: 'ms',
      status: 'active',
      description: 'The shortest wait before a control connection is opened again.',
    },
    {
      key: 'heartbeat_retry_interval_max_ms',
      type: 'int',
      default: 30_000,
      min: 1,
      insteadOfZero: 10_000,
      unit: 'ms',
      status: 'active',
      description: 'The longest wait before a control connection is opened again.',
    },
    {
      key: 'heartbeat_retry_backoff_factor',
      type: 'float',
      default: 2,
      min: 0,
      insteadOfZero: 2,
      status: 'active',
      description: 'By how much that wait grows with each failure.',
    },
    {
      key: 'heartbeat_failure_threshold',
      type: 'int',
      default: 1,
      min: 1,
      status: 'active',
      description:
        'Failures of a control connection in a row that make readiness `DOWN`. A failure: after its loss no node could take its place, tried one after the other, or not within 5 s.',
    },
  ],
} as const satisfies Section

export const ADMIN = {
  title: 'Admin API and the routing state (not in the Go proxy)',
  settings: [
    {
      key: 'admin_enabled',
      type: 'boolean',
      default: true,
      status: 'active',
      description:
        'Serves the admin API, by which `zdm` shows and changes the phase of the migration.',
    },
    {
      key: 'admin_address',
      type: 'string',
      default: 'localhost',
      format: 'listen address',
      status: 'active',
      description:
        'The address of the admin API; `localhost` is 127.0.0.1. Off loopback it needs `admin_token_path` or `admin_tls_client_ca_path`. Several instances change as one only if each reaches the others here; see `admin_peer_addresses`.',
    },
    {
      key: 'admin_port',
      type: 'int',
      default: 14_003,
      min: 0,
      max: 65_535,
      status: 'active',
      description: 'The port of the admin API, the same on all instances; 0 for any free one.',
    },
    {
      key: 'admin_peer_addresses',
      type: 'list',
      default: [],
      format: 'addresses',
      status: 'active',
      description:
        'Where the instances reach the admin API of each other, names or IP addresses in the order of `proxy_topology_addresses`, the same list on all. Empty: at those addresses.',
    },
    {
      key: 'admin_token_path',
      type: 'string',
      default: '',
      format: 'path',
      status: 'active',
      description:
        'A file with the token that callers of the admin API must show, the same on all instances; at least 16 characters. While it is replaced, with both, one a line: the first is shown to other instances, each is accepted. Read again when it changes.',
    },
    {
      key: 'admin_tls_cert_path',
      type: 'string',
      default: '',
      format: 'path',
      status: 'active',
      description:
        'Certificate chain of the admin API (PEM): it speaks TLS then. Read again when it changes.',
    },
    {
      key: 'admin_tls_key_path',
      type: 'string',
      default: '',
      format: 'path',
      status: 'active',
      description: 'The private key of `admin_tls_cert_path` (PEM). Read again when it changes.',
    },
    {
      key: 'admin_tls_client_ca_path',
      type: 'string',
      default: '',
      format: 'path',
      status: 'active',
      description:
        'Certificate authority (PEM): callers of the admin API must show a certificate of it (mutual TLS). Other instances are verified by it too. Read again when it changes.',
    },
    {
      key: 'routing_state_path',
      type: 'string',
      default: '',
      format: 'path',
      status: 'active',
      description:
        'A file that keeps phase and routing over restarts; it wins over `primary_cluster` and `read_mode`. Empty: changes last until the restart, and going on to dual-read or beyond is refused.',
    },
    {
      key: 'audit_log_path',
      type: 'string',
      default: '',
      format: 'path',
      status: 'active',
      description:
        'A file to which every change is appended, one JSON object a line. Empty: the latest are in memory.',
    },
  ],
} as const satisfies Section

export const EXTENSIONS = {
  title: 'Not in the Go proxy',
  settings: [
    {
      key: 'data_plane_threads',
      type: 'int',
      default: 0,
      min: 0,
      max: 256,
      status: 'active',
      description:
        'Threads that serve clients; 0 for as many as there are cores, but no more than 16.',
    },
    {
      key: 'upstream_connections',
      type: 'choice',
      default: 'shared',
      choices: ['shared', 'per_client'],
      status: 'active',
      description:
        'Whether clients share connections to the clusters, or each has one of its own to each cluster.',
    },
    {
      key: 'upstream_connections_max_per_node',
      type: 'int',
      default: 4,
      min: 1,
      max: 64,
      status: 'active',
      description:
        'Connections to one node, per thread, to which the pool of shared connections may grow.',
    },
    {
      key: 'metrics_keyspaces',
      type: 'boolean',
      default: false,
      status: 'active',
      description:
        'Counts requests by keyspace, 100 keyspaces per thread, the rest as `other`. Executions of prepared statements cost next to nothing; a text is read up to its first table.',
    },
    {
      key: 'metrics_honour_target_buckets',
      type: 'boolean',
      default: false,
      status: 'active',
      description:
        "Whether reads that Target serves are measured in `metrics_target_latency_buckets_ms`. If false, as with the Go proxy, all requests are in Origin's buckets.",
    },
    {
      key: 'tracing_otlp_endpoint',
      type: 'string',
      default: '',
      format: 'HTTP URL',
      status: 'active',
      description:
        'Where spans of requests are sent, OTLP over HTTP in JSON, the whole URL: `http://127.0.0.1:4318/v1/traces`. Empty: there are none. A query (`?…`) is never shown. Independent of `tracing_enabled`, whose request ids spans show. See docs/operations.md.',
    },
    {
      key: 'tracing_sample_percent',
      type: 'float',
      default: 1,
      min: 0,
      max: 100,
      status: 'active',
      description:
        'The share of the requests that spans are made of, chosen at random, with `tracing_otlp_endpoint`. Clients that send a `traceparent` in the custom payload decide for themselves.',
    },
    {
      key: 'replace_cql_functions_list',
      type: 'list',
      default: REPLACEABLE_FUNCTIONS,
      format: 'CQL functions',
      status: 'active',
      description:
        'The functions that `replace_cql_functions` replaces; `now` for what the Go proxy does.',
    },
    {
      key: 'unify_write_timestamps',
      type: 'boolean',
      default: false,
      status: 'active',
      description:
        'Gives writes that carry no timestamp one of the proxy, so that both clusters store the same write time. Timestamps of clients and in CQL stay; counters and lightweight transactions have none.',
    },
    {
      key: 'proxy_max_client_connections_per_address',
      type: 'int',
      default: 0,
      min: 0,
      status: 'active',
      description:
        'Client connections open at one time from one IP address, all threads together; 0: no limit. Clients behind a load balancer or NAT that hides their addresses count as one.',
    },
    {
      key: 'proxy_timeout_reply',
      type: 'choice',
      default: 'error',
      choices: ['error', 'none'],
      status: 'active',
      description:
        'What the client gets for a request that timed out: an error naming the late cluster, or nothing, as with the Go proxy.',
    },
    {
      key: 'proxy_max_envelope_mib',
      type: 'int',
      default: 256,
      min: 1,
      max: 1024,
      unit: 'MiB',
      status: 'active',
      description: 'The largest request body that a client may send.',
    },
    {
      key: 'proxy_client_output_max_mib',
      type: 'int',
      default: 64,
      min: 1,
      max: 4096,
      unit: 'MiB',
      status: 'active',
      description:
        'Answers queued for a client that does not read them, before it is closed; the longest of them does not count.',
    },
    {
      key: 'prepared_cache_max_entries',
      type: 'int',
      default: 10_000,
      min: 100,
      max: 10_000_000,
      status: 'active',
      description:
        'Prepared statements that are remembered, per thread; the least recently used are forgotten, and clients prepare them again.',
    },
    {
      key: 'prepared_cache_max_mib',
      type: 'int',
      default: 64,
      min: 1,
      max: 4096,
      unit: 'MiB',
      status: 'active',
      description: 'Memory for prepared statements, per thread, texts included.',
    },
    {
      key: 'async_reads_sample_percent',
      type: 'int',
      default: 100,
      min: 0,
      max: 100,
      status: 'active',
      description:
        'The share of the reads that is sent to the secondary as well, chosen at random, with the read mode `DUAL_ASYNC_ON_SECONDARY`.',
    },
    {
      key: 'async_reads_max_in_flight',
      type: 'int',
      default: 2048,
      min: 1,
      max: 1_000_000,
      status: 'active',
      description:
        'Asynchronous reads that the secondary may owe an answer to, per thread. What comes beyond is not copied, and counted.',
    },
    {
      key: 'compare_async_reads',
      type: 'boolean',
      default: false,
      status: 'active',
      description:
        "Compares the secondary's answer to an asynchronous read with the client's, and counts differences per table.",
    },
    {
      key: 'compare_async_reads_recheck_ms',
      type: 'int',
      default: 5000,
      min: 0,
      unit: 'ms',
      status: 'active',
      description:
        'How long after a difference both clusters are asked again; only a second difference counts.',
    },
    {
      key: 'schema_events_from',
      type: 'choice',
      default: 'ORIGIN',
      choices: ['ORIGIN', 'PRIMARY'],
      status: 'active',
      description:
        'Whose schema changes clients hear of: those of Origin, as with the Go proxy (of Target once it alone is written to), or of the cluster that is primary at that moment.',
    },
    {
      key: 'log_levels',
      type: 'list',
      default: [],
      format: 'log levels',
      status: 'active',
      description:
        'Levels of single components where they differ from `log_level`: `session=DEBUG,upstream=WARN`. Components: `instance`, `control`, `session`, `upstream`, `http`.',
    },
    {
      key: 'shutdown_timeout_ms',
      type: 'int',
      default: 15_000,
      min: 1,
      unit: 'ms',
      status: 'active',
      description: 'How long requests in flight may take to end when the proxy is told to stop.',
    },
    {
      key: 'shutdown_announce_ms',
      type: 'int',
      default: 2000,
      min: 0,
      unit: 'ms',
      status: 'active',
      description:
        'With several instances in `proxy_topology_addresses`: how long clients are still served as before after they were told that this one leaves. Half of `shutdown_timeout_ms` at most, which it is a part of.',
    },
  ],
} as const satisfies Section
