/**
 * The families of the proxy as a whole: the Go proxy's (operations §3.2), and our own under new names.
 * All their series exist from the start, with 0.
 */
import { histogramPoints, type MetricFamily, readPerCluster, total } from './family.ts'
import { readsTargetBounds } from './histogram.ts'
import type {
  PerCloseReason,
  PerRequestType,
  PerUnreplacedReason,
  PlaneSeries,
} from './plane-series.ts'

const CLUSTER = ['origin', 'target'] as const

const REQUEST_TYPES = [
  ['reads_origin', 'readsOrigin'],
  ['reads_target', 'readsTarget'],
  ['writes', 'writes'],
] as const satisfies readonly (readonly [string, keyof PerRequestType])[]

const CLOSE_REASONS = [
  ['accept', 'accept'],
  ['address_limit', 'addressLimit'],
  ['handshake_timeout', 'handshakeTimeout'],
  ['internal_error', 'internalError'],
  ['limit', 'limit'],
  ['protocol_error', 'protocolError'],
  ['slow', 'slow'],
  ['tls_handshake', 'tlsHandshake'],
] as const satisfies readonly (readonly [string, keyof PerCloseReason])[]

const UNREPLACED_REASONS = [
  'collection',
  'json',
  'off',
  'refused',
] as const satisfies readonly (keyof PerUnreplacedReason)[]

const REFERENCE = { isPrefixed: true, isReference: true } as const
const OWN = { isPrefixed: true, isReference: false } as const

const readTotal =
  (read: (plane: PlaneSeries) => number): MetricFamily['read'] =>
  ({ planes }) => [{ labels: {}, value: total(planes, read) }]

const REFERENCE_FAMILIES: readonly MetricFamily[] = [
  {
    ...REFERENCE,
    name: 'client_connections_total',
    type: 'gauge',
    labels: {},
    help: 'Client connections that are open now, those in their handshake included.',
    read: readTotal((plane) => plane.clientConnections),
  },
  {
    ...REFERENCE,
    name: 'proxy_request_duration_seconds',
    type: 'histogram',
    labels: { type: REQUEST_TYPES.map(([label]) => label) },
    help: "Time from a request's arrival to the client's answer or the proxy's time-out. Buckets: metrics_origin_latency_buckets_ms for all types, or with metrics_honour_target_buckets metrics_target_latency_buckets_ms for reads_target.",
    read: (gathered) =>
      REQUEST_TYPES.flatMap(([type, key]) =>
        histogramPoints(
          { type },
          key === 'readsTarget' ? readsTargetBounds(gathered) : gathered.originBoundsSeconds,
          gathered.planes.map((plane) => plane.requestDuration[key]),
        ),
      ),
  },
  {
    ...REFERENCE,
    name: 'proxy_inflight_requests_total',
    type: 'gauge',
    labels: { type: REQUEST_TYPES.map(([label]) => label) },
    help: 'Requests that the clusters have not answered yet.',
    read: ({ planes }) =>
      REQUEST_TYPES.map(([type, key]) => ({
        labels: { type },
        value: total(planes, (plane) => plane.inflight[key]),
      })),
  },
  {
    ...REFERENCE,
    name: 'proxy_failed_reads_total',
    type: 'counter',
    labels: { cluster: CLUSTER },
    help: 'Requests for one cluster that it answered with an error. Time-outs are not among them.',
    read: readPerCluster((plane) => plane.failedReads),
  },
  {
    ...REFERENCE,
    name: 'proxy_failed_writes_total',
    type: 'counter',
    labels: { failed_on: ['origin', 'target', 'both'] },
    help: 'Requests for both clusters that only Origin, only Target or both answered with an error. Time-outs are not among them.',
    read: ({ planes }) =>
      (['origin', 'target', 'both'] as const).map((key) => ({
        labels: { failed_on: key },
        value: total(planes, (plane) => plane.failedWrites[key]),
      })),
  },
  {
    ...REFERENCE,
    name: 'proxy_failed_connections_total',
    type: 'counter',
    labels: { cluster: CLUSTER },
    help: 'Clients turned away because no request connection to this cluster could be opened.',
    read: readPerCluster((plane) => plane.failedConnections),
  },
  {
    ...REFERENCE,
    name: 'pscache_entries_total',
    type: 'gauge',
    labels: {},
    help: 'Prepared statements that the proxy remembers, those of every thread counted.',
    read: readTotal((plane) => plane.preparedEntries),
  },
  {
    ...REFERENCE,
    name: 'pscache_miss_total',
    type: 'counter',
    labels: {},
    help: 'Executions of a statement id that the proxy does not know: the client was told UNPREPARED.',
    read: readTotal((plane) => plane.preparedMisses),
  },
]

const OWN_FAMILIES: readonly MetricFamily[] = [
  {
    ...OWN,
    name: 'build_info',
    type: 'gauge',
    labels: { version: "the proxy's version" },
    help: 'Always 1; the version is in the label.',
    read: ({ version }) => [{ labels: { version }, value: 1 }],
  },
  {
    ...OWN,
    name: 'client_authentication_failures_total',
    type: 'counter',
    labels: { cluster: CLUSTER },
    help: "Handshakes of clients that a cluster refused for their credentials, or for the proxy's own where these serve it; and of those for whom `credentials_map` has nobody there.",
    read: readPerCluster((plane) => plane.authenticationFailures),
  },
  {
    ...OWN,
    name: 'clients_closed_total',
    type: 'counter',
    labels: { reason: CLOSE_REASONS.map(([label]) => label) },
    help: 'Client connections that the proxy ended: not accepted for want of file descriptors for instance, no handshake in time, a fault of its own, proxy_max_client_connections or proxy_max_client_connections_per_address reached (who sends no byte is no client), bytes against the protocol, answers not read, no TLS or no acceptable certificate.',
    read: ({ planes }) =>
      CLOSE_REASONS.map(([reason, key]) => ({
        labels: { reason },
        value: total(planes, (plane) => plane.clientsClosed[key]),
      })),
  },
  {
    ...OWN,
    name: 'functions_replaced_total',
    type: 'counter',
    labels: {},
    help: 'Calls of non-deterministic functions that became one value for both clusters (replace_cql_functions).',
    read: readTotal((plane) => plane.functionsReplaced),
  },
  {
    ...OWN,
    name: 'functions_unreplaced_statements_total',
    type: 'counter',
    labels: { reason: [...UNREPLACED_REASONS] },
    help: 'Statements, each counted once, in which both clusters evaluate a non-deterministic function for themselves: inside a collection literal of a prepared statement, inside JSON, replacement off, or refused by a cluster with a bound value in its place.',
    read: ({ planes }) =>
      UNREPLACED_REASONS.map((reason) => ({
        labels: { reason },
        value: total(planes, (plane) => plane.unreplacedFunctions[reason]),
      })),
  },
  {
    ...OWN,
    name: 'write_timestamps_set_total',
    type: 'counter',
    labels: {},
    help: 'Requests that got their write time from the proxy (unify_write_timestamps).',
    read: readTotal((plane) => plane.writeTimestampsSet),
  },
  {
    ...OWN,
    name: 'late_answers_total',
    type: 'counter',
    labels: { cluster: CLUSTER },
    help: 'Answers that came after their request had timed out, and were dropped.',
    read: readPerCluster((plane) => plane.lateAnswers),
  },
  {
    ...OWN,
    name: 'prepared_heals_total',
    type: 'counter',
    labels: { cluster: CLUSTER },
    help: 'Statements that the proxy prepared again because a node did not know them.',
    read: readPerCluster((plane) => plane.preparedHeals),
  },
  {
    ...OWN,
    name: 'prepared_evictions_total',
    type: 'counter',
    labels: {},
    help: 'Prepared statements that were forgotten because prepared_cache_max_entries or prepared_cache_max_mib was reached; who executes one prepares it again.',
    read: readTotal((plane) => plane.preparedEvictions),
  },
  {
    ...OWN,
    name: 'requests_timed_out_total',
    type: 'counter',
    labels: { cluster: CLUSTER },
    help: 'Requests that this cluster had not answered within proxy_request_timeout_ms.',
    read: readPerCluster((plane) => plane.requestsTimedOut),
  },
  {
    ...OWN,
    name: 'upstream_connections_opened_total',
    type: 'counter',
    labels: { cluster: CLUSTER },
    help: 'Request connections opened.',
    read: readPerCluster((plane) => plane.upstreamConnectionsOpened),
  },
  {
    ...OWN,
    name: 'upstream_connections_lost_total',
    type: 'counter',
    labels: { cluster: CLUSTER },
    help: "Request connections that ended without the proxy's wish.",
    read: readPerCluster((plane) => plane.upstreamConnectionsLost),
  },
  {
    ...OWN,
    name: 'upstream_orphaned_connections_replaced_total',
    type: 'counter',
    labels: { cluster: CLUSTER },
    help: 'Request connections replaced because too many of their stream ids waited for late answers.',
    read: readPerCluster((plane) => plane.orphanedConnectionsReplaced),
  },
]

export const PROXY_FAMILIES: readonly MetricFamily[] = [...REFERENCE_FAMILIES, ...OWN_FAMILIES]
