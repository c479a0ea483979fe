/** The dashboard of the proxy's inside: where time, errors and memory are. */
import {
  type Dashboard,
  increase,
  lines,
  NONE_IS_GOOD,
  type Query,
  quantile,
  type Row,
  rate,
  series,
  stat,
  sumBy,
} from './dashboard.ts'
import { nodes } from './nodes.ts'

const DURATION = 'zdm_proxy_request_duration_seconds'

const latency = (type: string) =>
  lines(
    `Latency: ${type}`,
    "Time from a request's arrival to the client's answer.",
    ([0.5, 0.95, 0.99, 0.999] as const).map(
      (share): Query => [quantile(share, DURATION, `type="${type}"`), `p${share * 100}`],
    ),
    { unit: 's' },
  )

const CLIENTS: Row = {
  title: 'Clients and requests',
  panels: [
    lines(
      'Requests',
      'By what they are.',
      [[sumBy('type', rate(`${DURATION}_count`)), '{{type}}']],
      { unit: 'reqps' },
    ),
    ...['writes', 'reads_origin', 'reads_target'].map(latency),
    lines('Requests in flight', 'Not answered by the clusters yet.', [
      [sumBy('type', series('zdm_proxy_inflight_requests_total')), '{{type}}'],
    ]),
    lines(
      'Requests by opcode',
      'As clients send them, those of handshakes and those that the proxy answers itself included.',
      [[sumBy('opcode', rate('zdm_client_requests_total')), '{{opcode}}']],
      { unit: 'reqps' },
    ),
    lines(
      'Requests by keyspace',
      'Where metrics_keyspaces is on.',
      [[sumBy('keyspace, kind', rate('zdm_keyspace_requests_total')), '{{keyspace}} {{kind}}']],
      { unit: 'reqps' },
    ),
    lines(
      'Bytes from and to clients',
      'Without what TLS adds.',
      [
        [`sum(${rate('zdm_client_received_bytes_total')})`, 'from clients'],
        [`sum(${rate('zdm_client_sent_bytes_total')})`, 'to clients'],
      ],
      { unit: 'Bps' },
    ),
    lines(
      'Clients',
      'Connections by instance, those in their handshake included. The limit is proxy_max_client_connections.',
      [[series('zdm_client_connections_total'), '{{instance}}']],
    ),
    lines(
      'Clients that the proxy closed',
      'By the reason.',
      [[sumBy('reason', rate('zdm_clients_closed_total')), '{{reason}}']],
      { unit: 'cps' },
    ),
    lines(
      'Clients refused for their credentials',
      'By the cluster that refused them; drivers try again and again.',
      [[sumBy('cluster', rate('zdm_client_authentication_failures_total')), '{{cluster}}']],
      { unit: 'cps' },
    ),
    lines(
      'Failed reads',
      'Answered with an error, by cluster.',
      [[sumBy('cluster', rate('zdm_proxy_failed_reads_total')), '{{cluster}}']],
      { unit: 'reqps' },
    ),
    lines(
      'Failed writes',
      'Answered with an error, by the cluster that they failed on.',
      [[sumBy('failed_on', rate('zdm_proxy_failed_writes_total')), '{{failed_on}}']],
      { unit: 'reqps' },
    ),
  ],
}

/** Lines at half and at 99 of 100, of each value of a label. */
const halfAndMost = (histogram: string, label: string): readonly Query[] =>
  ([0.5, 0.99] as const).map((share) => [
    quantile(share, histogram, '', label),
    `{{${label}}} p${share * 100}`,
  ])

const ADDED: Row = {
  title: 'What the proxy adds',
  panels: [
    lines(
      'Time in the proxy',
      'From reading bytes to writing what they have caused. A request passes through two such turns, there and back.',
      ([0.5, 0.99, 0.999] as const).map((share) => [
        quantile(share, 'zdm_turn_duration_seconds'),
        `p${share * 100}`,
      ]),
      { unit: 's' },
    ),
    lines(
      'How late event loops are',
      'What was due ran this much later; everything on that thread waited.',
      [
        [series('zdm_event_loop_delay_seconds', 'statistic="p99"'), '{{instance}} {{thread}} p99'],
        [series('zdm_event_loop_delay_seconds', 'statistic="max"'), '{{instance}} {{thread}} max'],
      ],
      { unit: 's' },
    ),
    lines(
      'Latency in fine buckets',
      'The same time as above, told apart from 0.1 ms on.',
      halfAndMost('zdm_request_duration_seconds', 'type'),
      { unit: 's' },
    ),
    lines(
      'What a write waits for the slower cluster',
      'Between the two answers, by the cluster that was first.',
      halfAndMost('zdm_write_answer_gap_seconds', 'first'),
      { unit: 's' },
    ),
    lines(
      'Calls replaced, write times set',
      'Calls of non-deterministic functions that became one value (replace_cql_functions), and requests that got their write time here (unify_write_timestamps).',
      [
        [`sum(${rate('zdm_functions_replaced_total')})`, 'calls'],
        [`sum(${rate('zdm_write_timestamps_set_total')})`, 'write times'],
      ],
      { unit: 'ops' },
    ),
    stat(
      'Functions left to the clusters',
      "Statements, in the dashboard's time range, in which each cluster evaluates a non-deterministic function for itself, by the reason. FUNCTION_NOT_REPLACED in the log has them.",
      [[sumBy('reason', increase('zdm_functions_unreplaced_statements_total')), '{{reason}}']],
      { height: 8, thresholds: NONE_IS_GOOD, defaults: { decimals: 0 } },
    ),
  ],
}

const PREPARED: Row = {
  title: 'Prepared statements',
  panels: [
    lines(
      'Statements remembered',
      'Of all threads. A line that never flattens: applications put values into the text.',
      [[series('zdm_pscache_entries_total'), '{{instance}}']],
      { width: 6 },
    ),
    lines(
      'Misses',
      'Executions of a statement that the proxy does not know; the client prepares it again.',
      [[sumBy('instance', rate('zdm_pscache_miss_total')), '{{instance}}']],
      { width: 6, unit: 'reqps' },
    ),
    lines(
      'Healed',
      'Statements prepared again because a node had forgotten them.',
      [[sumBy('cluster', rate('zdm_prepared_heals_total')), '{{cluster}}']],
      { width: 6, unit: 'reqps' },
    ),
    lines(
      'Forgotten for want of room',
      'The cache is full (prepared_cache_max_entries, prepared_cache_max_mib): misses follow where such a statement is still in use.',
      [[sumBy('instance', rate('zdm_prepared_evictions_total')), '{{instance}}']],
      { width: 6, unit: 'ops' },
    ),
  ],
}

const age = (name: string): string => `time() - ${series(name)}`

const CONTROL: Row = {
  title: 'Control connections and settings',
  panels: [
    stat(
      'Control connections',
      'Whether each instance has one to each cluster. Without it the instance hears of no node that comes or goes, and after 5 s, or with no node left, it is not ready; with readiness_policy primary only where that cluster serves the reads.',
      [[series('zdm_control_connection_up'), '{{instance}} {{cluster}}']],
      {
        width: 6,
        height: 8,
        thresholds: [
          ['red', null],
          ['green', 1],
        ],
        defaults: {
          mappings: [{ type: 'value', options: { 0: { text: 'down' }, 1: { text: 'up' } } }],
        },
      },
    ),
    lines(
      'Control connections lost and opened again',
      'Failed: no node of the cluster could be reached.',
      [
        [sumBy('cluster', rate('zdm_control_connection_losses_total')), '{{cluster}} lost'],
        [
          sumBy('cluster, result', rate('zdm_control_connection_reopenings_total')),
          '{{cluster}} {{result}}',
        ],
      ],
      { width: 6, unit: 'cps' },
    ),
    lines(
      'How old the knowledge of the clusters is',
      'Since the last answer to a heartbeat, and since the system tables were last read; it climbs to heartbeat_interval_ms and falls.',
      [
        [
          age('zdm_control_connection_last_answer_timestamp_seconds'),
          '{{instance}} {{cluster}} answer',
        ],
        [age('zdm_topology_last_refresh_timestamp_seconds'), '{{instance}} {{cluster}} topology'],
      ],
      { width: 6, unit: 's' },
    ),
    stat(
      'Settings read',
      'How long ago a file without fault was read, at the start or again.',
      [[age('zdm_config_last_reload_success_timestamp_seconds'), '{{instance}}']],
      { width: 3, height: 8, unit: 's' },
    ),
    stat(
      'Settings refused',
      "In the dashboard's time range: files of settings and of certificates that were read again and could not be used.",
      [
        [
          sumBy('instance', increase('zdm_config_reloads_total', 'result="refused"')),
          '{{instance}} settings',
        ],
        [
          sumBy('instance', increase('zdm_tls_certificate_reloads_total', 'result="rejected"')),
          '{{instance}} certificates',
        ],
      ],
      { width: 3, height: 8, thresholds: NONE_IS_GOOD, defaults: { decimals: 0 } },
    ),
  ],
}

const DAY_SECONDS = 86_400
/** As the alerts have it: a ticket three weeks before, a page three days before. */
const EXPIRY = [
  ['red', null],
  ['yellow', 3 * DAY_SECONDS],
  ['green', 21 * DAY_SECONDS],
] as const
const left = (expiry: string): string => `${series(expiry)} - time()`

const CERTIFICATES: Row = {
  title: 'Certificates',
  panels: [
    stat(
      'Certificates: time left',
      "Until the first of the proxy's own chain (certificate) or of what it trusts (authority) expires.",
      [[left('zdm_tls_certificate_expiry_timestamp_seconds'), '{{instance}} {{leg}} {{role}}']],
      { width: 12, unit: 's', thresholds: EXPIRY, defaults: { noValue: 'No TLS' } },
    ),
    stat(
      'Revocation lists: time left',
      'Until every certificate of the authority is refused. The alert is a day before.',
      [[left('zdm_tls_crl_expiry_timestamp_seconds'), '{{instance}} {{leg}}']],
      {
        width: 6,
        unit: 's',
        thresholds: [
          ['red', null],
          ['green', DAY_SECONDS],
        ],
        defaults: { noValue: 'None' },
      },
    ),
    stat(
      'Files that cannot be used',
      'Certificates, keys, revocation lists or tokens that are wrong now; what was read before stays in force.',
      [[`${series('zdm_tls_certificate_files_rejected')} > 0`, '{{instance}} {{leg}}']],
      { width: 6, thresholds: NONE_IS_GOOD, defaults: { noValue: 'None' } },
    ),
  ],
}

const PROCESS: Row = {
  title: 'Threads and memory',
  panels: [
    lines(
      'How busy each thread is',
      "Share of the time that its event loop works. From about 0.9 on all of a thread's clients wait.",
      [[rate('zdm_event_loop_active_seconds_total'), '{{instance}} thread {{thread}}']],
      { unit: 'percentunit', defaults: { max: 1 } },
    ),
    lines('CPU', 'Cores in use.', [
      [rate('process_cpu_seconds_total'), '{{instance}}'],
      [`sum(${rate('process_cpu_user_seconds_total')})`, 'user, all'],
      [`sum(${rate('process_cpu_system_seconds_total')})`, 'system, all'],
    ]),
    lines(
      'Garbage collection',
      'Share of the time that threads stood still for it, all threads together.',
      [[rate('go_gc_duration_seconds_sum'), '{{instance}}']],
      { unit: 'percentunit' },
    ),
    lines(
      'Pauses for garbage collection',
      'The longest and the median of late; each stops one thread.',
      [
        [series('go_gc_duration_seconds', 'quantile="1"'), '{{instance}} longest'],
        [series('go_gc_duration_seconds', 'quantile="0.5"'), '{{instance}} median'],
      ],
      { unit: 's' },
    ),
    lines(
      'Memory of the process',
      'Resident.',
      [[series('process_resident_memory_bytes'), '{{instance}}']],
      { unit: 'bytes' },
    ),
    lines(
      'Memory of JavaScript',
      'Objects in use, heaps, and buffers outside of them.',
      [
        [series('nodejs_heap_size_used_bytes'), '{{instance}} used'],
        [series('nodejs_heap_size_total_bytes'), '{{instance}} heap'],
        [series('nodejs_external_memory_bytes'), '{{instance}} buffers'],
      ],
      { unit: 'bytes' },
    ),
    lines(
      'Spans',
      'Where tracing_otlp_endpoint is set: taken by the collector, and dropped by the reason.',
      [
        [`sum(${rate('zdm_trace_spans_exported_total')})`, 'exported'],
        [`${sumBy('reason', rate('zdm_trace_spans_dropped_total'))} > 0`, 'dropped: {{reason}}'],
      ],
      { unit: 'ops' },
    ),
    lines(
      'Allocation',
      'What the garbage collector has to clear away again.',
      [[rate('go_memstats_alloc_bytes_total'), '{{instance}}']],
      { unit: 'Bps' },
    ),
    lines(
      'File descriptors',
      'Share of the limit; one that only climbs is a leak.',
      [[`${series('process_open_fds')} / ${series('process_max_fds')}`, '{{instance}}']],
      { unit: 'percentunit' },
    ),
    stat(
      'Version and start',
      'Of each instance.',
      [
        [
          `${series('zdm_build_info')} * on (instance) group_left () (time() - ${series('process_start_time_seconds')})`,
          '{{instance}} {{version}}',
        ],
      ],
      { height: 8, unit: 's' },
    ),
  ],
}

export const INSIDE: Dashboard = {
  uid: 'zdm-inside',
  title: 'ZDM proxy: inside',
  description:
    'What the proxy itself does: clients, requests, connections to the clusters, threads, memory.',
  rows: [
    CLIENTS,
    ADDED,
    PREPARED,
    nodes('Origin'),
    nodes('Target'),
    CONTROL,
    CERTIFICATES,
    PROCESS,
  ],
}
