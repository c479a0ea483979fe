/**
 * The table of all metric families. The exposition publishes it, docs/metrics.md is rendered from it;
 * what the process itself uses is under process_* and comes from prom-client (exposition.ts).
 */
import { ASYNC_FAMILIES } from './async-families.ts'
import { CONTROL_CONNECTION_FAMILIES } from './control-connection-families.ts'
import { CONTROL_FAMILIES } from './control-families.ts'
import type { MetricFamily } from './family.ts'
import { LATENCY_FAMILIES } from './latency-families.ts'
import { NODE_FAMILIES } from './node-families.ts'
import { PROXY_FAMILIES } from './proxy-families.ts'
import { RELOAD_FAMILIES } from './reload-families.ts'
import { RUNTIME_FAMILIES } from './runtime-families.ts'
import { SCRAPE_FAMILIES } from './scrape-families.ts'
import { TLS_FAMILIES } from './tls-families.ts'
import { TRACING_FAMILIES } from './tracing-families.ts'
import { TRAFFIC_FAMILIES } from './traffic-families.ts'

export const FAMILIES: readonly MetricFamily[] = [
  ...PROXY_FAMILIES,
  ...TRAFFIC_FAMILIES,
  ...CONTROL_FAMILIES,
  ...LATENCY_FAMILIES,
  ...CONTROL_CONNECTION_FAMILIES,
  ...NODE_FAMILIES,
  ...ASYNC_FAMILIES,
  ...TLS_FAMILIES,
  ...TRACING_FAMILIES,
  ...RELOAD_FAMILIES,
  ...SCRAPE_FAMILIES,
  ...RUNTIME_FAMILIES,
]

/** What prom-client measures of the process, in its order. The Go proxy has most of it under these names. */
export const PROCESS_METRICS: readonly string[] = [
  'process_cpu_user_seconds_total',
  'process_cpu_system_seconds_total',
  'process_cpu_seconds_total',
  'process_start_time_seconds',
  'process_resident_memory_bytes',
  'process_virtual_memory_bytes',
  'process_heap_bytes',
  'process_open_fds',
  'process_max_fds',
]

/** `setting` is metrics_prefix: what names begin with, before an underscore; empty: nothing. */
export const familyName = ({ name, isPrefixed }: MetricFamily, setting: string): string =>
  isPrefixed && setting !== '' ? `${setting}_${name}` : name
