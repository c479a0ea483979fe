/** The rows of the dashboard of the proxy's inside that are there for each cluster. */
import { lines, quantile, type Row, rate, series, sumBy } from './dashboard.ts'

const lateness = (name: string, cluster: string) =>
  lines(
    `${name}: time-outs and late answers`,
    'A late answer came after its request had timed out.',
    [
      [`sum(${rate('zdm_requests_timed_out_total', cluster)})`, 'timed out'],
      [`sum(${rate('zdm_late_answers_total', cluster)})`, 'answered late'],
    ],
    { height: 6, unit: 'reqps' },
  )

const bytes = (name: string, cluster: string) =>
  lines(
    `${name}: bytes`,
    'To and from its nodes, copies of reads included, control connections left out.',
    [
      [`sum(${rate('zdm_upstream_sent_bytes_total', cluster)})`, 'sent'],
      [`sum(${rate('zdm_upstream_received_bytes_total', cluster)})`, 'received'],
    ],
    { height: 6, unit: 'Bps' },
  )

const poolUse = (name: string, prefix: string, cluster: string) =>
  lines(
    `${name}: how full the pools are`,
    'Share of the stream ids of all connections that is taken, by instance. At 1 requests are answered OVERLOADED.',
    [
      [
        `${sumBy('instance', series(`${prefix}_used_stream_ids_total`))} / (${sumBy('instance', series('zdm_upstream_stream_ids', cluster))} > 0)`,
        '{{instance}}',
      ],
    ],
    { height: 6, unit: 'percentunit', defaults: { max: 1 } },
  )

/** What each node of a cluster does, and the connections to it. */
export const nodes = (name: 'Origin' | 'Target'): Row => {
  const prefix = `zdm_${name.toLowerCase()}`
  const cluster = `cluster="${name.toLowerCase()}"`
  return {
    title: `Nodes of ${name}`,
    panels: [
      lines(
        `${name}: requests`,
        'By node and kind.',
        [
          [
            sumBy('node, type', rate(`${prefix}_request_duration_seconds_count`)),
            '{{node}} {{type}}',
          ],
        ],
        { unit: 'reqps' },
      ),
      lines(
        `${name}: latency p99`,
        "By node and kind, up to the node's answer.",
        [
          [
            quantile(0.99, `${prefix}_request_duration_seconds`, '', 'node, type'),
            '{{node}} {{type}}',
          ],
        ],
        { unit: 's' },
      ),
      lines(
        `${name}: errors`,
        'By node and kind of error; client_timeout is no answer in time.',
        [
          [
            `${sumBy('node, error', rate(`${prefix}_requests_failed_total`))} > 0`,
            '{{node}} {{error}}',
          ],
        ],
        { unit: 'reqps' },
      ),
      lines(
        `${name}: connections`,
        'Open request connections by node.',
        [[sumBy('node', series(`${prefix}_connections_total`)), '{{node}}']],
        { width: 6 },
      ),
      lines(
        `${name}: connections not opened`,
        'Failed attempts by node.',
        [[sumBy('node', rate(`${prefix}_failed_connections_total`)), '{{node}}']],
        { width: 6, unit: 'cps' },
      ),
      lines(
        `${name}: connections opened and lost`,
        "Lost: ended without the proxy's wish.",
        [
          [`sum(${rate('zdm_upstream_connections_opened_total', cluster)})`, 'opened'],
          [`sum(${rate('zdm_upstream_connections_lost_total', cluster)})`, 'lost'],
          [
            `sum(${rate('zdm_upstream_orphaned_connections_replaced_total', cluster)})`,
            'replaced, answers overdue',
          ],
        ],
        { width: 6, unit: 'cps' },
      ),
      lines(
        `${name}: stream ids`,
        'Answers that each node owes.',
        [[sumBy('node', series(`${prefix}_used_stream_ids_total`)), '{{node}}']],
        { width: 6 },
      ),
      poolUse(name, prefix, cluster),
      lateness(name, cluster),
      bytes(name, cluster),
    ],
  }
}
