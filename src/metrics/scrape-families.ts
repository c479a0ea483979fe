/** How often metrics were asked for, under the names of Go's handler. */
import type { MetricFamily } from './family.ts'

const REFERENCE = { isPrefixed: false, isReference: true } as const

export type ScrapeSeries = {
  readonly answered: number
  /** A data plane did not hand over its counters. */
  readonly failed: number
  /** The one that reads this among them. */
  readonly inFlight: number
}

/** With what each counts; nobody is told 503 once there are metrics. */
const STATUSES = [
  ['200', (scrapes) => scrapes.answered],
  ['500', (scrapes) => scrapes.failed],
  ['503', () => 0],
] as const satisfies readonly (readonly [string, (scrapes: ScrapeSeries) => number])[]

export const SCRAPE_FAMILIES: readonly MetricFamily[] = [
  {
    ...REFERENCE,
    name: 'promhttp_metric_handler_requests_total',
    type: 'counter',
    labels: { code: STATUSES.map(([code]) => code) },
    help: 'Scrapes that were answered, by the status. Those before both clusters were reached are not counted: 503 stays 0, as with the Go proxy.',
    read: ({ scrapes }) =>
      STATUSES.map(([code, count]) => ({ labels: { code }, value: count(scrapes) })),
  },
  {
    ...REFERENCE,
    name: 'promhttp_metric_handler_requests_in_flight',
    type: 'gauge',
    labels: {},
    help: 'Scrapes that are being answered, this one among them.',
    read: ({ scrapes }) => [{ labels: {}, value: scrapes.inFlight }],
  },
]
