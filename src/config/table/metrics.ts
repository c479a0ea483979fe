/** Settings of metrics and health (operations §1.3) that the Go proxy has. */
import type { Section } from '../definition.ts'

const DEFAULT_BUCKETS_MS = [
  1, 4, 7, 10, 25, 40, 60, 80, 100, 150, 250, 500, 1000, 2500, 5000, 10_000, 15_000,
] as const

export const METRICS = {
  title: 'Metrics and health',
  settings: [
    {
      key: 'metrics_enabled',
      type: 'boolean',
      default: true,
      status: 'active',
      description: 'If false, `/metrics` answers 404. The health paths stay.',
    },
    {
      key: 'metrics_address',
      type: 'string',
      default: 'localhost',
      format: 'listen address',
      status: 'active',
      description:
        'The address of the HTTP server for metrics and health; `0.0.0.0` for all. `localhost` is 127.0.0.1.',
    },
    {
      key: 'metrics_port',
      type: 'int',
      default: 14_001,
      min: 0,
      max: 65_535,
      status: 'active',
      description: 'The port of the HTTP server for metrics and health; 0 for any free one.',
    },
    {
      key: 'metrics_prefix',
      type: 'string',
      default: 'zdm',
      format: 'metrics prefix',
      status: 'active',
      description: 'What metric names begin with, before an underscore. Empty: nothing.',
    },
    {
      key: 'metrics_origin_latency_buckets_ms',
      type: 'buckets',
      default: DEFAULT_BUCKETS_MS,
      unit: 'ms',
      status: 'active',
      description: "Bounds of the latency histograms of the proxy and of Origin's nodes.",
    },
    {
      key: 'metrics_target_latency_buckets_ms',
      type: 'buckets',
      default: DEFAULT_BUCKETS_MS,
      unit: 'ms',
      status: 'active',
      description: "Bounds of the latency histograms of Target's nodes.",
    },
    {
      key: 'metrics_async_read_latency_buckets_ms',
      type: 'buckets',
      default: DEFAULT_BUCKETS_MS,
      unit: 'ms',
      status: 'active',
      description: 'Bounds of the latency histograms of asynchronous reads.',
    },
  ],
} as const satisfies Section
