/** The families of reading the settings again while the proxy runs. */
import type { MetricFamily } from './family.ts'
import type { ReloadSeries } from './reload-series.ts'

const OWN = { isPrefixed: true, isReference: false } as const

/** Nothing where nobody can ask for it: in a proxy that tests have made by hand. */
const of =
  (read: (reloads: ReloadSeries) => number): MetricFamily['read'] =>
  ({ reloads }) =>
    reloads === null ? [] : [{ labels: {}, value: read(reloads) }]

export const RELOAD_FAMILIES: readonly MetricFamily[] = [
  {
    ...OWN,
    name: 'config_reloads_total',
    type: 'counter',
    labels: { result: ['applied', 'refused'] },
    help: 'How often the files of settings (SIGHUP) or of secrets (when they change) were read again; refused: they were wrong, and nothing has changed.',
    read: ({ reloads }) =>
      reloads === null
        ? []
        : (['applied', 'refused'] as const).map((result) => ({
            labels: { result },
            value: reloads.counts[result],
          })),
  },
  {
    ...OWN,
    name: 'config_last_reload_successful',
    type: 'gauge',
    labels: {},
    help: 'Whether the files of settings and of secrets were right when they were read last (1, else 0).',
    read: of(({ isLastRefused }) => (isLastRefused ? 0 : 1)),
  },
  {
    ...OWN,
    name: 'config_last_reload_success_timestamp_seconds',
    type: 'gauge',
    labels: {},
    help: 'When the settings were last read without fault, at the start or again, in seconds since 1970.',
    read: of(({ readAtSeconds }) => readAtSeconds),
  },
]
