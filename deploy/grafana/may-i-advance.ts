/** The dashboard for one decision: whether a migration takes its next step now. */
import {
  type Dashboard,
  increase,
  lines,
  NEUTRAL,
  NONE_IS_GOOD,
  type Query,
  quantile,
  type Row,
  rate,
  series,
  stat,
  sumBy,
  table,
  text,
} from './dashboard.ts'

const ONE_CLUSTER = 'failed_on=~"origin|target"'
const DURATION = 'zdm_proxy_request_duration_seconds_count'

/**
 * Totals and no increase over the time range: a table's series begins with its first event, which increase() does not
 * see.
 */
const byTable = (
  title: string,
  description: string,
  [metric, labels]: readonly [metric: string, labels: string],
  options: Parameters<typeof table>[3],
) =>
  table(title, description, [[sumBy(labels, series(metric)), '']], {
    defaults: { noValue: 'None' },
    extra: {
      transformations: [
        {
          id: 'organize',
          options: { excludeByName: { Time: true }, renameByName: { Value: 'times' } },
        },
      ],
    },
    ...options,
  })

const ANSWER: Row = {
  title: 'The answer',
  panels: [
    stat(
      'Reasons to wait',
      "Alerts that are firing and stand against the next step. None says that nothing in the metrics is against it, not that the data was compared: that is the validation's word.",
      [
        [
          'count(count by (alertname) (ALERTS{alertstate="firing", blocks_advance="true"})) or 0 * count(up{job="zdm_proxy"} == 1)',
          'reasons',
        ],
      ],
      {
        width: 5,
        height: 7,
        thresholds: NONE_IS_GOOD,
        defaults: {
          noValue: 'No instance answers',
          mappings: [{ type: 'value', options: { 0: { text: 'None seen', color: 'green' } } }],
        },
      },
    ),
    table(
      'What is firing',
      'Each firing alert with its labels. Its description in deploy/prometheus/alerts.yml says what to do.',
      [['ALERTS{alertstate="firing", alertname=~"Zdm.*"}', '']],
      {
        width: 11,
        height: 7,
        defaults: { noValue: 'Nothing' },
        extra: {
          transformations: [
            {
              id: 'organize',
              options: {
                excludeByName: {
                  Time: true,
                  Value: true,
                  __name__: true,
                  alertstate: true,
                  job: true,
                },
                indexByName: { alertname: 0, severity: 1, blocks_advance: 2 },
              },
            },
          ],
        },
      },
    ),
    stat(
      'Instances that answer',
      'Of those that Prometheus knows. One that has not reached both clusters since its start does not answer.',
      [
        ['sum(up{job="zdm_proxy"})', 'answer'],
        ['count(up{job="zdm_proxy"})', 'known'],
      ],
      { width: 4, height: 7 },
    ),
    stat(
      'Versions',
      'Instances of each version. More than one only while a roll is going on.',
      [['count by (version) (zdm_build_info{job="zdm_proxy"})', '{{version}}']],
      { width: 4, height: 7 },
    ),
  ],
}

const AGREEMENT: Row = {
  title: 'Do both clusters hold the same?',
  panels: [
    stat(
      'Writes to be reconciled',
      'What each cluster lacks since it was last made equal, as zdm status and zdm advance have it, over restarts too. Each is a difference unless its client retried with success.',
      [[sumBy('cluster', series('zdm_writes_unreconciled')), '{{cluster}}']],
      { width: 6, thresholds: NONE_IS_GOOD, defaults: { decimals: 0 } },
    ),
    stat(
      'Writes that one cluster lacks',
      "In the dashboard's time range: failed or unanswered on one cluster alone, or conditional and applied on the other alone. Choose the range to begin at the last validation.",
      [[sumBy('cluster', increase('zdm_one_sided_writes_total')), '{{cluster}}']],
      { width: 6, thresholds: NONE_IS_GOOD, defaults: { decimals: 0 } },
    ),
    stat(
      'Requests that timed out',
      "In the dashboard's time range. Nobody knows whether a write that timed out was carried out.",
      [[sumBy('cluster', increase('zdm_requests_timed_out_total')), '{{cluster}}']],
      { width: 6, thresholds: NONE_IS_GOOD, defaults: { decimals: 0 } },
    ),
    stat(
      'Share of writes on which the clusters agreed',
      "In the dashboard's time range: both took them, or both refused them. Time-outs are not counted.",
      [
        [
          `1 - sum(${increase('zdm_proxy_failed_writes_total', ONE_CLUSTER)}) / (sum(${increase(DURATION, 'type="writes"')}) > 0)`,
          'writes',
        ],
      ],
      {
        width: 6,
        unit: 'percentunit',
        thresholds: [
          ['red', null],
          ['yellow', 0.999],
          ['green', 0.99999],
        ],
        defaults: { max: 1, decimals: 4, noValue: 'No writes' },
      },
    ),
    byTable(
      'Tables that one cluster lacks writes of',
      'Since the start of each instance, by the cluster that lacks them; what was reconciled is still among them. zdm status has those since.',
      ['zdm_writes_missing_total', 'cluster, keyspace, table'],
      { width: 24, height: 7 },
    ),
    lines(
      'Failed writes',
      'By the cluster that they failed on.',
      [[sumBy('failed_on', rate('zdm_proxy_failed_writes_total')), '{{failed_on}}']],
      { unit: 'reqps' },
    ),
    lines(
      'Time-outs',
      'By the cluster that had not answered.',
      [[sumBy('cluster', rate('zdm_requests_timed_out_total')), '{{cluster}}']],
      { unit: 'reqps' },
    ),
    lines(
      'Errors of the clusters',
      'By their kind. unprepared is healed by the proxy and hurts nobody.',
      [
        [`${sumBy('error', rate('zdm_origin_requests_failed_total'))} > 0`, 'Origin {{error}}'],
        [`${sumBy('error', rate('zdm_target_requests_failed_total'))} > 0`, 'Target {{error}}'],
      ],
      { unit: 'reqps' },
    ),
  ],
}

const compareLatency = (title: string, type: 'reads' | 'writes') =>
  lines(
    `${title}: Origin against Target`,
    "Time from a request's arrival to the cluster's answer, half and 99 of 100. Compare the shapes over a whole business day, not a quiet hour.",
    [0.5, 0.99].flatMap((share) =>
      (['origin', 'target'] as const).map(
        (cluster) =>
          [
            quantile(share, `zdm_${cluster}_request_duration_seconds`, `type="${type}"`),
            `${cluster === 'origin' ? 'Origin' : 'Target'} p${share * 100}`,
          ] as const,
      ),
    ),
    { unit: 's' },
  )

const CAPACITY: Row = {
  title: 'Can Target carry the load?',
  panels: [
    compareLatency('Writes', 'writes'),
    compareLatency('Reads', 'reads'),
    lines(
      'Who serves the reads',
      "Reads by cluster: the primary's, in fact and not by configuration. Both at once for long means that instances disagree.",
      [[sumBy('type', rate(DURATION, 'type=~"reads_.*"')), '{{type}}']],
      { unit: 'reqps' },
    ),
    lines(
      'Answers that Target owes',
      'Stream ids in use: a line that climbs without end says that Target cannot keep up.',
      [[sumBy('node', series('zdm_target_used_stream_ids_total')), '{{node}}']],
      { width: 12 },
    ),
    lines(
      'Answers that Origin owes',
      'The same of Origin, to compare.',
      [[sumBy('node', series('zdm_origin_used_stream_ids_total')), '{{node}}']],
      { width: 12 },
    ),
  ],
}

const INSTANCES: Row = {
  title: 'Are all instances the same, and all clients on them?',
  panels: [
    lines(
      'Clients by instance',
      'Connections. Before the cut-over is over they must be 0 on every instance; before dual writes count, nobody may be on Origin directly, which only Origin can tell.',
      [[series('zdm_client_connections_total'), '{{instance}}']],
    ),
    lines(
      'Requests by instance',
      'An instance that stands out is unlike the others, or drivers do not know it.',
      [[sumBy('instance', rate(DURATION)), '{{instance}}']],
      { unit: 'reqps' },
    ),
    lines(
      'Reads from Target by instance',
      'All instances must agree on the primary: between none and all of the reads there is nothing but a roll.',
      [
        [
          `${sumBy('instance', rate(DURATION, 'type="reads_target"'))} / (${sumBy('instance', rate(DURATION, 'type=~"reads_.*"'))} > 0)`,
          '{{instance}}',
        ],
      ],
      { unit: 'percentunit', defaults: { max: 1 } },
    ),
    stat(
      'Running since',
      'Time since the start of each instance.',
      [[`time() - ${series('process_start_time_seconds')}`, '{{instance}}']],
      { width: 12, height: 5, unit: 's', thresholds: NEUTRAL },
    ),
    stat(
      'Clients turned away',
      "In the dashboard's time range: for want of a connection to a cluster, or because of a limit.",
      [
        [
          sumBy('cluster', increase('zdm_proxy_failed_connections_total')),
          'no connection to {{cluster}}',
        ],
        [`sum(${increase('zdm_clients_closed_total', 'reason="limit"')})`, 'limit reached'],
        [
          `sum(${increase('zdm_clients_closed_total', 'reason="address_limit"')})`,
          'limit of an address reached',
        ],
      ],
      { width: 12, height: 5, thresholds: NONE_IS_GOOD, defaults: { decimals: 0 } },
    ),
  ],
}

const is1 = (metric: string, label: string, legend: string): Query => [
  `count by (${label}) (${series(metric)} == 1)`,
  legend,
]

/** What every instance says it does; one value of each kind is agreement. */
const ROUTING: Row = {
  title: 'What do the instances say they do?',
  panels: [
    stat(
      'Routing',
      'Instances by phase, primary, read mode and write mode. Anything in two values is a disagreement, or a change that is on its way.',
      [
        is1('zdm_migration_phase', 'phase', 'phase {{phase}}'),
        is1('zdm_routing_primary', 'cluster', 'primary {{cluster}}'),
        is1('zdm_routing_read_mode', 'mode', 'reads {{mode}}'),
        is1('zdm_routing_write_mode', 'mode', 'writes {{mode}}'),
      ],
      { width: 12 },
    ),
    stat(
      'Revision',
      'Counts the changes of the deployment. It must be equal on all instances.',
      [[series('zdm_routing_revision'), '{{instance}}']],
      { width: 6 },
    ),
    stat(
      'Since the last change',
      'Time since each instance was told to route differently.',
      [[`time() - ${series('zdm_routing_last_change_timestamp_seconds')}`, '{{instance}}']],
      { width: 6, unit: 's' },
    ),
    stat(
      'Changes of the routing',
      "In the dashboard's time range, by what was asked for; each counts on every instance.",
      [[sumBy('verb', increase('zdm_routing_changes_total')), '{{verb}}']],
      { width: 8, defaults: { decimals: 0 } },
    ),
    stat(
      'The last change took',
      'From it until the last request that was routed before it was answered.',
      [[series('zdm_routing_last_quiescence_seconds'), '{{instance}}']],
      { width: 8, unit: 's' },
    ),
    byTable(
      'Checks that failed',
      'When a step was asked for, since the start of each instance, forced ones included. zdm status says how they are now.',
      ['zdm_routing_checks_failed_total', 'check'],
      { height: 6 },
    ),
  ],
}

const MIRRORED_READS: Row = {
  title: 'Do both clusters answer the same? (read mode DUAL_ASYNC_ON_SECONDARY)',
  panels: [
    stat(
      'Reads answered differently',
      "In the dashboard's time range. Both clusters were asked twice.",
      [[`sum(${increase('zdm_async_read_comparisons_total', 'result="mismatch"')})`, 'reads']],
      { width: 4, thresholds: NONE_IS_GOOD, defaults: { decimals: 0 } },
    ),
    byTable(
      'Tables whose reads were answered differently',
      'Since the start of each instance.',
      ['zdm_async_read_mismatches_total', 'keyspace, table'],
      { width: 8, height: 6 },
    ),
    lines(
      'Comparisons',
      'By their result.',
      [[sumBy('result', rate('zdm_async_read_comparisons_total')), '{{result}}']],
      { unit: 'reqps', width: 6, height: 6 },
    ),
    lines(
      'Mirrored reads that were not sent or not compared',
      'By the reason. Where most are dropped, what is compared says little.',
      [
        [sumBy('reason', rate('zdm_async_reads_dropped_total')), 'not sent: {{reason}}'],
        [
          sumBy('reason', rate('zdm_async_read_comparisons_skipped_total')),
          'not compared: {{reason}}',
        ],
      ],
      { unit: 'reqps', width: 6, height: 6 },
    ),
    lines(
      'Mirrored reads: latency',
      "Time to the other cluster's answer, 99 of 100.",
      [[quantile(0.99, 'zdm_async_request_duration_seconds', 'type="reads"'), 'p99']],
      { unit: 's', width: 8, height: 6 },
    ),
    lines(
      'Mirrored reads in flight',
      'Not answered yet, by node.',
      [[sumBy('node', series('zdm_async_inflight_requests_total')), '{{node}}']],
      { width: 8, height: 6 },
    ),
    lines(
      'Errors of mirrored reads',
      'By kind; clients do not see them.',
      [[`${sumBy('error', rate('zdm_async_requests_failed_total'))} > 0`, '{{error}}']],
      { unit: 'reqps', width: 8, height: 6 },
    ),
  ],
}

const STEPS: Row = {
  title: 'What each step asks',
  panels: [
    text(
      'Before you take the next step',
      `| Step | Must be so | Seen here? |
|---|---|---|
| Clients move to the proxies | every instance up, same version, same settings; Target accepts writes | Instances, Versions, Clients by instance |
| Existing data is copied | **no** writer is left on Origin directly; writes failing on Target are next to none | Failed writes; Origin's own list of clients |
| Reads are tried on Target | validation clean in both directions; no write has failed on one cluster since | Writes to be reconciled |
| Reads move to Target | Target has carried them for a whole business day: errors, latency, answers owed | Origin against Target, Answers that Target owes |
| Clients move to Target | all instances read from Target, held for the agreed time; validation clean again; backups | Reads from Target by instance |
| The proxies go | no client on any instance for the agreed time | Clients by instance |

Never two steps at once, and none while instances disagree. Going back is allowed until clients have left the proxies.`,
      { height: 9 },
    ),
  ],
}

export const MAY_I_ADVANCE: Dashboard = {
  uid: 'zdm-may-i-advance',
  title: 'ZDM proxy: may I advance?',
  description:
    'What to look at before a migration takes its next step: instances in agreement, clusters that hold the same, Target that can carry the reads.',
  rows: [ANSWER, AGREEMENT, CAPACITY, MIRRORED_READS, INSTANCES, ROUTING, STEPS],
}
