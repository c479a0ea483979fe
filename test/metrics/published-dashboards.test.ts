/** What the Go proxy's published dashboards ask for (operations §3.6) is exposed, with the labels that they use. */
import { expect, test } from 'vitest'
import { FAMILIES, familyName, PROCESS_METRICS } from '../../src/metrics/families.ts'

const CLUSTERS = ['origin', 'target'] as const

/** `job` and `instance` come from the scrape, `le` with a histogram. */
const QUERIED: readonly (readonly [series: string, labels: readonly string[]])[] = [
  ['zdm_proxy_request_duration_seconds_count', ['type']],
  ['zdm_proxy_request_duration_seconds_bucket', ['type']],
  ['zdm_proxy_inflight_requests_total', ['type']],
  ['zdm_client_connections_total', []],
  ['zdm_pscache_miss_total', []],
  ['zdm_pscache_entries_total', []],
  ['zdm_proxy_failed_connections_total', ['cluster']],
  ['zdm_proxy_failed_reads_total', ['cluster']],
  ['zdm_proxy_failed_writes_total', ['failed_on']],
  ...CLUSTERS.flatMap((cluster): [string, string[]][] => [
    [`zdm_${cluster}_request_duration_seconds_count`, ['node']],
    [`zdm_${cluster}_request_duration_seconds_bucket`, ['node']],
    [`zdm_${cluster}_connections_total`, ['node']],
    [`zdm_${cluster}_requests_failed_total`, ['error', 'node']],
    [`zdm_${cluster}_used_stream_ids_total`, ['node']],
  ]),
  ['zdm_async_used_stream_ids_total', ['node']],
  ['zdm_async_inflight_requests_total', ['node']],
  ['zdm_async_connections_total', ['node']],
  ['zdm_async_request_duration_seconds_count', ['node']],
  ['zdm_async_request_duration_seconds_bucket', ['node']],
  ['zdm_async_requests_failed_total', ['error', 'node']],
  ['process_resident_memory_bytes', []],
  ['process_virtual_memory_bytes', []],
  ['process_open_fds', []],
  ['go_memstats_alloc_bytes', []],
  ['go_memstats_alloc_bytes_total', []],
  ['go_memstats_stack_inuse_bytes', []],
  ['go_memstats_heap_inuse_bytes', []],
  ['go_goroutines', []],
  ['go_gc_duration_seconds', ['quantile']],
]

const labelsOf = (series: string): readonly string[] | null => {
  if (PROCESS_METRICS.includes(series)) return []
  const family = FAMILIES.find((candidate) => {
    const name = familyName(candidate, 'zdm')
    return candidate.type === 'histogram'
      ? [`${name}_count`, `${name}_bucket`].includes(series)
      : name === series
  })
  return family === undefined ? null : Object.keys(family.labels)
}

test.each(QUERIED)('%s with %j', (series, labels) => {
  expect(labelsOf(series)).toEqual(expect.arrayContaining([...labels]))
})
