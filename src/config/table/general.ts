/**
 * Settings of the migration as a whole: who serves what, the log, protocol versions, request tracing
 * and the ring that the proxies show to drivers (operations §1.3).
 */
import type { Section } from '../definition.ts'

export const GLOBAL = {
  title: 'Migration',
  settings: [
    {
      key: 'primary_cluster',
      type: 'choice',
      default: 'ORIGIN',
      choices: ['ORIGIN', 'TARGET'],
      status: 'active',
      description:
        'The cluster that serves reads, and whose answer the client gets when a write succeeded on both. The first value only, where the routing state has been changed at run time.',
    },
    {
      key: 'read_mode',
      type: 'choice',
      default: 'PRIMARY_ONLY',
      choices: ['PRIMARY_ONLY', 'DUAL_ASYNC_ON_SECONDARY'],
      status: 'active',
      description:
        '`DUAL_ASYNC_ON_SECONDARY` sends reads to the other cluster too, without waiting for it. The first value only, where the routing state has been changed at run time.',
    },
    {
      key: 'replace_cql_functions',
      type: 'boolean',
      default: false,
      status: 'active',
      description:
        'Replaces `now()` and functions like it in writes by one value for both clusters (see `replace_cql_functions_list`). Without it each cluster makes its own.',
    },
    {
      key: 'async_handshake_timeout_ms',
      type: 'int',
      default: 4000,
      min: 1,
      unit: 'ms',
      status: 'active',
      description:
        'How long each answer may take in the handshake of a connection for asynchronous reads, and when a statement is prepared there again. Clients do not wait for it.',
    },
    {
      key: 'log_level',
      type: 'choice',
      default: 'INFO',
      choices: ['PANIC', 'FATAL', 'ERROR', 'WARN', 'WARNING', 'INFO', 'DEBUG', 'TRACE'],
      isTrimmed: true,
      status: 'active',
      description: 'The least severe events that are logged.',
    },
    {
      key: 'control_conn_max_protocol_version',
      type: 'choice',
      default: 'DseV2',
      choices: ['2', '3', '4', '5', 'DseV1', 'DseV2'],
      status: 'active',
      description:
        'The first protocol version that control connections try; they step down from there, a new connection for each step.',
    },
    {
      key: 'blocked_protocol_versions',
      type: 'list',
      default: [],
      format: 'protocol versions',
      status: 'active',
      description:
        'Protocol versions that clients may not use: they are refused as versions that nobody speaks are. The control connections may use them all the same.',
    },
  ],
} as const satisfies Section

export const TRACING = {
  title: 'Request tracing',
  settings: [
    {
      key: 'tracing_enabled',
      type: 'boolean',
      default: false,
      status: 'active',
      description:
        'Gives each QUERY, PREPARE, EXECUTE and BATCH that has none a random id in its custom payload (protocol v4 and later), and logs these requests and the answers of the clusters with it, at INFO: two to three lines a request, so that a busy proxy needs `tracing_rate_limit`. If false, an id that a client has sent is taken out.',
    },
    {
      key: 'tracing_rate_limit',
      type: 'int',
      default: 0,
      status: 'active',
      description:
        'Requests per second, of all threads together, that keep or get an id. The others go on without one, even where the client has sent it. 0 or less: no limit.',
    },
    {
      key: 'tracing_request_id_key',
      type: 'string',
      default: 'request-id',
      format: 'payload key',
      status: 'active',
      description: 'The key of the id in the custom payload.',
    },
  ],
} as const satisfies Section

export const TOPOLOGY = {
  title: 'Proxy topology',
  settings: [
    {
      key: 'proxy_topology_index',
      type: 'int',
      default: 0,
      min: 0,
      status: 'active',
      description: 'Which of `proxy_topology_addresses` this instance is, counted from 0.',
    },
    {
      key: 'proxy_topology_addresses',
      type: 'list',
      default: [],
      format: 'addresses',
      status: 'active',
      description:
        'The addresses of all proxy instances, the same list in the same order on each; IPv4, IPv6 or names. Drivers are shown these as the cluster. A name is resolved once, at the start (of several addresses, IPv4 first, the lowest counts), and every instance must resolve it alike, because host ids follow from the address.',
    },
    {
      key: 'proxy_topology_num_tokens',
      type: 'int',
      default: 8,
      min: 1,
      max: 256,
      status: 'active',
      description: 'Tokens per instance in the ring shown to drivers. Equal on all instances.',
    },
  ],
} as const satisfies Section
