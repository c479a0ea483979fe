/** The families of exporting spans (tracing_otlp_endpoint). */
import { type MetricFamily, total } from './family.ts'

const OWN = { isPrefixed: true, isReference: false } as const

export const TRACING_FAMILIES: readonly MetricFamily[] = [
  {
    ...OWN,
    name: 'trace_spans_exported_total',
    type: 'counter',
    labels: {},
    help: 'Spans that the collector has taken.',
    read: ({ tracing }) => (tracing === null ? [] : [{ labels: {}, value: tracing.exported }]),
  },
  {
    ...OWN,
    name: 'trace_spans_dropped_total',
    type: 'counter',
    labels: { reason: ['export_failed', 'queue_full', 'too_many'] },
    help: 'Spans that were not exported: the collector was not reached or did not take them, 4,096 requests waited, or a thread had more than 1,000 traced requests within 250 ms.',
    read: ({ tracing, planes }) =>
      tracing === null
        ? []
        : [
            { labels: { reason: 'export_failed' }, value: tracing.exportFailed },
            { labels: { reason: 'queue_full' }, value: tracing.queueFull },
            { labels: { reason: 'too_many' }, value: total(planes, (plane) => plane.spansDropped) },
          ],
  },
]
