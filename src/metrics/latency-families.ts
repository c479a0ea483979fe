/**
 * Latencies that the Go proxy does not measure, with buckets that begin far below its first of 1 ms:
 * what most requests take, how far the clusters' answers to a write lie apart, and what the proxy adds.
 */
import { histogramPoints, type MetricFamily, total } from './family.ts'
import type { PlaneSeries } from './plane-series.ts'

/** Fixed: they are ours, and no dashboard of the Go proxy asks for them. */
export const FINE_BOUNDS_SECONDS: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.00075, 0.001, 0.0015, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1,
  5,
]

const REQUEST_TYPES = [
  ['reads_origin', 'readsOrigin'],
  ['reads_target', 'readsTarget'],
  ['writes', 'writes'],
] as const satisfies readonly (readonly [string, keyof PlaneSeries['fineDuration']])[]

const CLUSTERS = ['origin', 'target'] as const

const OWN = { isPrefixed: true, isReference: false } as const

export const LATENCY_FAMILIES: readonly MetricFamily[] = [
  {
    ...OWN,
    name: 'request_duration_seconds',
    type: 'histogram',
    labels: { type: REQUEST_TYPES.map(([label]) => label) },
    help: 'The same as proxy_request_duration_seconds, in fixed buckets from 0.1 ms.',
    read: ({ planes }) =>
      REQUEST_TYPES.flatMap(([type, key]) =>
        histogramPoints(
          { type },
          FINE_BOUNDS_SECONDS,
          planes.map((plane) => plane.fineDuration[key]),
        ),
      ),
  },
  {
    ...OWN,
    name: 'write_answer_gap_seconds',
    type: 'histogram',
    labels: { first: CLUSTERS },
    help: 'Time between the two answers to a request for both clusters, by the cluster that answered first: what a write waits for the slower one. Lost connections count as answers, time-outs do not.',
    read: ({ planes }) =>
      CLUSTERS.flatMap((first) =>
        histogramPoints(
          { first },
          FINE_BOUNDS_SECONDS,
          planes.map((plane) => plane.writeGap[first]),
        ),
      ),
  },
  {
    ...OWN,
    name: 'turn_duration_seconds',
    type: 'histogram',
    labels: {},
    help: 'Time from reading bytes of a socket to writing all that they and others read in the same turn of the event loop have caused. A request passes through two turns, there and back: this is what the proxy itself adds.',
    read: ({ planes }) =>
      histogramPoints(
        {},
        FINE_BOUNDS_SECONDS,
        planes.map((plane) => plane.turnDuration),
      ),
  },
  {
    ...OWN,
    name: 'upstream_stream_ids',
    type: 'gauge',
    labels: { cluster: CLUSTERS },
    help: 'Stream ids of all open request connections together, free or not: with origin_used_stream_ids_total or target_used_stream_ids_total, how full the pools are.',
    read: ({ planes }) =>
      CLUSTERS.map((cluster) => ({
        labels: { cluster },
        value: total(planes, (plane) => plane.upstreamStreamIds[cluster]),
      })),
  },
]
