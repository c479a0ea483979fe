/**
 * The configuration files of one node: cassandra.yaml with a small footprint and a fast start, and a
 * logback.xml that logs to standard output. Pure: who writes them where is the provider's business.
 */
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { ClusterSpec } from './cluster.ts'

export interface NodePlace {
  readonly address: string
  readonly seed: string
  readonly nativePort: number
  readonly storagePort: number
  readonly dataDirectory: string
}

const AUTHENTICATION = {
  authenticator: 'PasswordAuthenticator',
  authorizer: 'CassandraAuthorizer',
  role_manager: 'CassandraRoleManager',
} as const

/** Long: a busy machine with two cores must not turn into time-outs that say nothing about us. */
const TIMEOUTS = {
  read_request_timeout: '10s',
  range_request_timeout: '20s',
  write_request_timeout: '10s',
  counter_write_request_timeout: '10s',
  cas_contention_timeout: '5s',
  truncate_request_timeout: '60s',
  request_timeout: '20s',
} as const

const FOOTPRINT = {
  memtable_heap_space: '64MiB',
  memtable_offheap_space: '64MiB',
  commitlog_total_space: '256MiB',
  file_cache_size: '32MiB',
  key_cache_size: '4MiB',
  counter_cache_size: '1MiB',
  row_cache_size: '0MiB',
  // The default of 10 MiB is full after a few thousand statements, and then turns new ones away.
  prepared_statements_cache_size: '64MiB',
  concurrent_reads: 16,
  concurrent_writes: 16,
  concurrent_counter_writes: 8,
  concurrent_compactors: 1,
} as const

/** A value of 20 MiB is a mutation, a request and an answer: half a segment is the largest mutation. */
const LARGE_VALUES = {
  commitlog_segment_size: '64MiB',
  native_transport_max_frame_size: '64MiB',
  native_transport_max_request_data_in_flight: '256MiB',
  native_transport_max_request_data_in_flight_per_ip: '128MiB',
} as const

export const cassandraSettings = (spec: ClusterSpec, place: NodePlace): Record<string, unknown> => {
  const under = (folder: string) => join(place.dataDirectory, folder)
  return {
    cluster_name: spec.name,
    num_tokens: 8,
    partitioner: 'org.apache.cassandra.dht.Murmur3Partitioner',
    endpoint_snitch: 'SimpleSnitch',
    dynamic_snitch: false,
    seed_provider: [
      {
        class_name: 'org.apache.cassandra.locator.SimpleSeedProvider',
        parameters: [{ seeds: `${place.seed}:${place.storagePort}` }],
      },
    ],
    listen_address: place.address,
    rpc_address: place.address,
    native_transport_port: place.nativePort,
    storage_port: place.storagePort,
    start_native_transport: true,
    auto_bootstrap: false,
    data_file_directories: [under('data')],
    commitlog_directory: under('commitlog'),
    saved_caches_directory: under('saved_caches'),
    hints_directory: under('hints'),
    cdc_raw_directory: under('cdc_raw'),
    commitlog_sync: 'periodic',
    commitlog_sync_period: '10s',
    auto_snapshot: false,
    user_defined_functions_enabled: true,
    materialized_views_enabled: true,
    ...FOOTPRINT,
    ...LARGE_VALUES,
    ...TIMEOUTS,
    ...(spec.authentication === true ? AUTHENTICATION : {}),
    ...spec.yaml,
  }
}

export const cassandraYaml = (spec: ClusterSpec, place: NodePlace): string =>
  stringify(cassandraSettings(spec, place))

export const LOGBACK_XML = `<configuration>
  <appender name="STDOUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%-5level [%thread] %date{ISO8601} %F:%L - %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="STDOUT"/></root>
</configuration>
`
