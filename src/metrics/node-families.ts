/**
 * The families of single nodes (operations §3.2): the same five for Origin and for Target. A node has series
 * from the first connection to it on, until a while after it has left (departed-nodes.ts); what several data planes counted of it adds up.
 */

import { type Gathered, histogramPoints, type MetricFamily, type Point } from './family.ts'
import { ERROR_KIND_LABELS } from './node-metrics.ts'
import type { ClusterKey, NodeSeries } from './plane-series.ts'

const REFERENCE = { isPrefixed: true, isReference: true } as const
const NODE = { node: 'address and port of the node' } as const

/** A cluster's nodes in the order of their labels, each with what every plane counted of it. */
const nodesOf = (
  { planes }: Gathered,
  cluster: ClusterKey,
): readonly (readonly [string, readonly NodeSeries[]])[] => {
  const byLabel = new Map<string, NodeSeries[]>()
  for (const series of planes.flatMap((plane) => plane.nodes)) {
    if (series.cluster !== cluster) continue
    const known = byLabel.get(series.node)
    if (known === undefined) byLabel.set(series.node, [series])
    else known.push(series)
  }
  return [...byLabel].sort(([a], [b]) => (a < b ? -1 : 1))
}

const totalOf = (all: readonly NodeSeries[], read: (series: NodeSeries) => number): number =>
  all.reduce((sum, series) => sum + read(series), 0)

const readTotal =
  (cluster: ClusterKey, read: (series: NodeSeries) => number): MetricFamily['read'] =>
  (gathered) =>
    nodesOf(gathered, cluster).map(([node, all]) => ({
      labels: { node },
      value: totalOf(all, read),
    }))

const durationPoints = (gathered: Gathered, cluster: ClusterKey): readonly Point[] => {
  const bounds = cluster === 'origin' ? gathered.originBoundsSeconds : gathered.targetBoundsSeconds
  return nodesOf(gathered, cluster).flatMap(([node, all]) => [
    ...histogramPoints(
      { node, type: 'reads' },
      bounds,
      all.map((series) => series.requestDurationReads),
    ),
    ...histogramPoints(
      { node, type: 'writes' },
      bounds,
      all.map((series) => series.requestDurationWrites),
    ),
  ])
}

const clusterFamilies = (
  cluster: ClusterKey,
  clusterName: 'Origin' | 'Target',
): readonly MetricFamily[] => [
  {
    ...REFERENCE,
    name: `${cluster}_request_duration_seconds`,
    type: 'histogram',
    labels: { ...NODE, type: ['reads', 'writes'] },
    help: `Time from a request's arrival to this ${clusterName} node's answer; what goes to both clusters is a write. Buckets: metrics_${cluster}_latency_buckets_ms.`,
    read: (gathered) => durationPoints(gathered, cluster),
  },
  {
    ...REFERENCE,
    name: `${cluster}_requests_failed_total`,
    type: 'counter',
    labels: { error: ERROR_KIND_LABELS, ...NODE },
    help: `Requests that this ${clusterName} node answered with an error, or not at all within proxy_request_timeout_ms (client_timeout).`,
    read: (gathered) =>
      nodesOf(gathered, cluster).flatMap(([node, all]) =>
        ERROR_KIND_LABELS.map((error, kind) => ({
          labels: { error, node },
          value: totalOf(all, (series) => series.failed[kind]!),
        })),
      ),
  },
  {
    ...REFERENCE,
    name: `${cluster}_connections_total`,
    type: 'gauge',
    labels: NODE,
    help: `Request connections to this ${clusterName} node that are open now. The control connection is not among them.`,
    read: readTotal(cluster, (series) => series.connections),
  },
  {
    ...REFERENCE,
    name: `${cluster}_failed_connections_total`,
    type: 'counter',
    labels: NODE,
    help: `Request connections to this ${clusterName} node that could not be opened.`,
    read: readTotal(cluster, (series) => series.failedConnections),
  },
  {
    ...REFERENCE,
    name: `${cluster}_used_stream_ids_total`,
    type: 'gauge',
    labels: NODE,
    help: `Stream ids in use on the connections to this ${clusterName} node: answers that it owes.`,
    read: readTotal(cluster, (series) => series.usedStreamIds),
  },
]

export const NODE_FAMILIES: readonly MetricFamily[] = [
  ...clusterFamilies('origin', 'Origin'),
  ...clusterFamilies('target', 'Target'),
]
