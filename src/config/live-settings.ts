/**
 * Which settings a running proxy takes over when its configuration is read again (SIGHUP), and what a
 * new configuration means for one that runs. Pure; proxy/instance.ts carries it out.
 */

import type { SettingValue } from './definition.ts'
import {
  camelCase,
  DEFINITIONS,
  partialSettingsOf,
  type SettingKey,
  type Settings,
} from './settings.ts'
import { valueText } from './value.ts'

/** From the next use on: clients and connections that are there are not disturbed. */
export const LIVE_SETTINGS: ReadonlySet<SettingKey> = new Set<SettingKey>([
  'log_level',
  'log_levels',
  'blocked_protocol_versions',
  'origin_username',
  'origin_username_path',
  'origin_password',
  'origin_password_path',
  'origin_connection_timeout_ms',
  'target_username',
  'target_username_path',
  'target_password',
  'target_password_path',
  'target_connection_timeout_ms',
  'credentials_map',
  'credentials_map_path',
  'proxy_request_timeout_ms',
  'proxy_timeout_reply',
  'proxy_max_client_connections',
  'proxy_max_client_connections_per_address',
  'proxy_max_envelope_mib',
  'proxy_client_output_max_mib',
  'metrics_keyspaces',
  'tracing_sample_percent',
  'heartbeat_interval_ms',
  'heartbeat_retry_interval_min_ms',
  'heartbeat_retry_interval_max_ms',
  'heartbeat_retry_backoff_factor',
  'heartbeat_failure_threshold',
  'readiness_policy',
  'async_handshake_timeout_ms',
  'async_reads_sample_percent',
  'async_reads_max_in_flight',
  'compare_async_reads',
  'compare_async_reads_recheck_ms',
  'shutdown_timeout_ms',
  'shutdown_announce_ms',
])

export type Change = {
  /** In effect from now on: what ran, with the live ones of the new configuration. */
  readonly settings: Settings
  /** Keys of live settings that have changed. */
  readonly applied: readonly string[]
  /** Keys of settings that have changed and go on as they were until a restart. */
  readonly needsRestart: readonly string[]
}

/** Whether a running proxy takes over a new value of this setting. */
export const isLive = (key: string): boolean => [...LIVE_SETTINGS].some((live) => live === key)

/** What a new configuration changes of one that runs. */
export const changeOf = (current: Settings, next: Settings): Change => {
  const currentValues = new Map<string, SettingValue>(Object.entries(current))
  const nextValues = new Map<string, SettingValue>(Object.entries(next))
  const changed = DEFINITIONS.filter(({ key, status }) => {
    const name = camelCase(key)
    const text = (values: ReadonlyMap<string, SettingValue>): string =>
      valueText(values.get(name) ?? '')
    return status !== 'ignored' && text(currentValues) !== text(nextValues)
  }).map(({ key }) => key)
  const applied = changed.filter((key) => isLive(key))
  const live = new Map(applied.map((key) => [key, nextValues.get(camelCase(key)) ?? '']))
  return {
    settings: Object.freeze({ ...current, ...partialSettingsOf(live) }),
    applied,
    needsRestart: changed.filter((key) => !isLive(key)),
  }
}
