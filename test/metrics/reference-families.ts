/** The Go proxy's metrics as operations §3.2 and §3.3 have them. */

export type ReferenceFamily = {
  readonly name: string
  readonly type: string
  /** Label values that exist from the start, or null where they come with the nodes. */
  readonly labels: Readonly<Record<string, readonly string[] | null>>
}

const REQUEST_TYPE = ['reads_origin', 'reads_target', 'writes']
const CLUSTER = ['origin', 'target']

export const ERROR_VALUES = [
  'unprepared',
  'read_timeout',
  'write_timeout',
  'overloaded',
  'read_failure',
  'write_failure',
  'unavailable',
  'other',
  'client_timeout',
]

const nodeLevel = (cluster: string): readonly ReferenceFamily[] => [
  {
    name: `zdm_${cluster}_request_duration_seconds`,
    type: 'histogram',
    labels: { node: null, type: ['reads', 'writes'] },
  },
  {
    name: `zdm_${cluster}_requests_failed_total`,
    type: 'counter',
    labels: { error: ERROR_VALUES, node: null },
  },
  { name: `zdm_${cluster}_connections_total`, type: 'gauge', labels: { node: null } },
  { name: `zdm_${cluster}_failed_connections_total`, type: 'counter', labels: { node: null } },
  { name: `zdm_${cluster}_used_stream_ids_total`, type: 'gauge', labels: { node: null } },
]

export const PROXY_LEVEL: readonly ReferenceFamily[] = [
  { name: 'zdm_client_connections_total', type: 'gauge', labels: {} },
  {
    name: 'zdm_proxy_request_duration_seconds',
    type: 'histogram',
    labels: { type: REQUEST_TYPE },
  },
  { name: 'zdm_proxy_inflight_requests_total', type: 'gauge', labels: { type: REQUEST_TYPE } },
  { name: 'zdm_proxy_failed_reads_total', type: 'counter', labels: { cluster: CLUSTER } },
  {
    name: 'zdm_proxy_failed_writes_total',
    type: 'counter',
    labels: { failed_on: ['origin', 'target', 'both'] },
  },
  { name: 'zdm_proxy_failed_connections_total', type: 'counter', labels: { cluster: CLUSTER } },
  { name: 'zdm_pscache_entries_total', type: 'gauge', labels: {} },
  { name: 'zdm_pscache_miss_total', type: 'counter', labels: {} },
]

export const NODE_LEVEL: readonly ReferenceFamily[] = [
  ...nodeLevel('origin'),
  ...nodeLevel('target'),
]

export const ASYNC_LEVEL: readonly ReferenceFamily[] = [
  ...nodeLevel('async'),
  { name: 'zdm_async_inflight_requests_total', type: 'gauge', labels: { node: null } },
]

/** What dashboards for the Go runtime ask for and Node has too (operations §3.6). */
export const RUNTIME: readonly ReferenceFamily[] = [
  { name: 'go_gc_duration_seconds', type: 'summary', labels: { quantile: null } },
  { name: 'go_memstats_alloc_bytes', type: 'gauge', labels: {} },
  { name: 'go_memstats_alloc_bytes_total', type: 'counter', labels: {} },
  { name: 'go_memstats_heap_inuse_bytes', type: 'gauge', labels: {} },
  { name: 'go_memstats_stack_inuse_bytes', type: 'gauge', labels: {} },
  { name: 'go_goroutines', type: 'gauge', labels: {} },
  { name: 'process_virtual_memory_max_bytes', type: 'gauge', labels: {} },
  {
    name: 'promhttp_metric_handler_requests_total',
    type: 'counter',
    labels: { code: ['200', '500', '503'] },
  },
  { name: 'promhttp_metric_handler_requests_in_flight', type: 'gauge', labels: {} },
]
