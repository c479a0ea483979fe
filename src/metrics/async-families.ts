/**
 * The families of asynchronous reads: the Go proxy's async_* (operations §3.2), which have a node but no
 * cluster, and our own of drops, comparisons and mismatches.
 */
import { type Gathered, histogramPoints, type MetricFamily, total } from './family.ts'
import { ERROR_KIND_LABELS } from './node-metrics.ts'
import type {
  AsyncNodeSeries,
  PerComparisonResult,
  PerDropReason,
  PerSkipReason,
} from './plane-series.ts'

const REFERENCE = { isPrefixed: true, isReference: true } as const
const OWN = { isPrefixed: true, isReference: false } as const
const NODE = { node: 'address and port of the node' } as const

const DROP_REASONS = [
  ['in_flight_limit', 'inFlightLimit'],
  ['no_connection', 'noConnection'],
  ['no_stream_id', 'noStreamId'],
  ['not_prepared', 'notPrepared'],
  ['queue_full', 'queueFull'],
] as const satisfies readonly (readonly [string, keyof PerDropReason])[]

const COMPARISON_RESULTS = [
  ['equal', 'equal'],
  ['equal_later', 'equalLater'],
  ['mismatch', 'mismatch'],
] as const satisfies readonly (readonly [string, keyof PerComparisonResult])[]

const SKIP_REASONS = [
  ['busy', 'busy'],
  ['no_rows', 'noRows'],
  ['not_comparable', 'notComparable'],
  ['too_large', 'tooLarge'],
] as const satisfies readonly (readonly [string, keyof PerSkipReason])[]

/** In the order of their labels, each with what every plane counted of it. */
const nodesOf = ({
  planes,
}: Gathered): readonly (readonly [string, readonly AsyncNodeSeries[]])[] => {
  const byLabel = Map.groupBy(
    planes.flatMap((plane) => plane.asyncReads.nodes),
    (series) => series.node,
  )
  return [...byLabel].sort(([a], [b]) => (a < b ? -1 : 1))
}

const sum = (all: readonly AsyncNodeSeries[], read: (series: AsyncNodeSeries) => number): number =>
  all.reduce((result, series) => result + read(series), 0)

const readPerNode =
  (read: (series: AsyncNodeSeries) => number): MetricFamily['read'] =>
  (gathered) =>
    nodesOf(gathered).map(([node, all]) => ({ labels: { node }, value: sum(all, read) }))

const REFERENCE_FAMILIES: readonly MetricFamily[] = [
  {
    ...REFERENCE,
    name: 'async_request_duration_seconds',
    type: 'histogram',
    labels: { ...NODE, type: ['reads', 'writes'] },
    help: 'Time from the copying of a read to the answer of this node. There are no writes: connections are in their keyspace already. Buckets: metrics_async_read_latency_buckets_ms.',
    read: (gathered) =>
      nodesOf(gathered).flatMap(([node, all]) => [
        ...histogramPoints(
          { node, type: 'reads' },
          gathered.asyncBoundsSeconds,
          all.map((series) => series.requestDurationReads),
        ),
        ...histogramPoints(
          { node, type: 'writes' },
          gathered.asyncBoundsSeconds,
          all.map((series) => series.requestDurationWrites),
        ),
      ]),
  },
  {
    ...REFERENCE,
    name: 'async_requests_failed_total',
    type: 'counter',
    labels: { error: ERROR_KIND_LABELS, ...NODE },
    help: 'Copied reads that this node answered with an error, or not at all within proxy_request_timeout_ms (client_timeout).',
    read: (gathered) =>
      nodesOf(gathered).flatMap(([node, all]) =>
        ERROR_KIND_LABELS.map((error, kind) => ({
          labels: { error, node },
          value: sum(all, (series) => series.failed[kind]!),
        })),
      ),
  },
  {
    ...REFERENCE,
    name: 'async_connections_total',
    type: 'gauge',
    labels: NODE,
    help: 'Connections for asynchronous reads to this node that are open now.',
    read: readPerNode((series) => series.connections),
  },
  {
    ...REFERENCE,
    name: 'async_failed_connections_total',
    type: 'counter',
    labels: NODE,
    help: 'Connections for asynchronous reads to this node that could not be opened.',
    read: readPerNode((series) => series.failedConnections),
  },
  {
    ...REFERENCE,
    name: 'async_inflight_requests_total',
    type: 'gauge',
    labels: NODE,
    help: 'Copied reads that this node has not answered yet.',
    read: readPerNode((series) => series.inflight),
  },
  {
    ...REFERENCE,
    name: 'async_used_stream_ids_total',
    type: 'gauge',
    labels: NODE,
    help: 'Stream ids in use on the connections for asynchronous reads to this node.',
    read: readPerNode((series) => series.usedStreamIds),
  },
]

const OWN_FAMILIES: readonly MetricFamily[] = [
  {
    ...OWN,
    name: 'async_reads_dropped_total',
    type: 'counter',
    labels: { reason: DROP_REASONS.map(([label]) => label) },
    help: 'Reads that were not copied, or whose copy was given up: async_reads_max_in_flight reached, no connection ready, no stream id free, the statement not known to the node and not to be taught, too much queued for it.',
    read: ({ planes }) =>
      DROP_REASONS.map(([reason, key]) => ({
        labels: { reason },
        value: total(planes, (plane) => plane.asyncReads.dropped[key]),
      })),
  },
  {
    ...OWN,
    name: 'async_read_comparisons_total',
    type: 'counter',
    labels: { result: COMPARISON_RESULTS.map(([label]) => label) },
    help: 'Answers of both clusters to one read that were compared: the same rows; the same only when both were asked again; different both times.',
    read: ({ planes }) =>
      COMPARISON_RESULTS.map(([result, key]) => ({
        labels: { result },
        value: total(planes, (plane) => plane.asyncReads.compared[key]),
      })),
  },
  {
    ...OWN,
    name: 'async_read_comparisons_skipped_total',
    type: 'counter',
    labels: { reason: SKIP_REASONS.map(([label]) => label) },
    help: 'Answers of both clusters that were not compared: too many waited, one was an error or did not come, the two need not be alike, more than 1 MiB or 5,000 rows.',
    read: ({ planes }) =>
      SKIP_REASONS.map(([reason, key]) => ({
        labels: { reason },
        value: total(planes, (plane) => plane.asyncReads.skipped[key]),
      })),
  },
  {
    ...OWN,
    name: 'async_read_mismatches_total',
    type: 'counter',
    labels: {
      keyspace: 'name of the keyspace',
      table: 'name of the table; after 100 tables of one thread the rest is `other`',
    },
    help: 'Reads that both clusters answered differently, twice.',
    read: ({ planes }) => {
      const byTable = Map.groupBy(
        planes.flatMap((plane) => plane.asyncReads.mismatches),
        ({ keyspace, table }) => `${keyspace}\u0000${table}`,
      )
      return [...byTable]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([, all]) => ({
          labels: { keyspace: all[0]!.keyspace, table: all[0]!.table },
          value: all.reduce((result, { count }) => result + count, 0),
        }))
    },
  },
]

export const ASYNC_FAMILIES: readonly MetricFamily[] = [...REFERENCE_FAMILIES, ...OWN_FAMILIES]
