/** The text of docs/metrics.md, from the table of families. A test holds the file to it. */
import { ASYNC_FAMILIES } from './async-families.ts'
import { CONTROL_CONNECTION_FAMILIES } from './control-connection-families.ts'
import { CONTROL_FAMILIES } from './control-families.ts'
import { FAMILIES, familyName, PROCESS_METRICS } from './families.ts'
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

const DEFAULT_PREFIX = 'zdm'

const SECTIONS: readonly { title: string; text: string; families: readonly MetricFamily[] }[] = [
  {
    title: 'The proxy',
    text: 'Every series is there from the start, with 0.',
    families: PROXY_FAMILIES,
  },
  {
    title: 'Traffic',
    text: 'What passes through. All but keyspaces are there from the start, with 0.',
    families: TRAFFIC_FAMILIES,
  },
  {
    title: 'The routing state',
    text: 'What the switch says; see docs/operations.md.',
    families: CONTROL_FAMILIES,
  },
  {
    title: 'What the proxy adds',
    text: 'Finer than the families of the Go proxy; see docs/operations.md, "What the proxy adds to a request".',
    families: LATENCY_FAMILIES,
  },
  {
    title: 'Control connections',
    text: 'The one to each cluster that tells the nodes and decides readiness; clients are served by others.',
    families: CONTROL_CONNECTION_FAMILIES,
  },
  {
    title: 'Nodes',
    text: 'A node has series from the first connection to it on. Those of a node that has left its cluster are shown for 15 minutes more; if it comes back they go on from where they were.',
    families: NODE_FAMILIES,
  },
  {
    title: 'Asynchronous reads',
    text: 'With the read mode `DUAL_ASYNC_ON_SECONDARY`. A node has series from the first connection for such reads to it on, and until 15 minutes after it has left its cluster, a table from its first mismatch on; what is counted by reason or result is there from the start.',
    families: ASYNC_FAMILIES,
  },
  {
    title: 'Certificates',
    text: 'Only of legs that have TLS. Days left: `(zdm_tls_certificate_expiry_timestamp_seconds - time()) / 86400`.',
    families: TLS_FAMILIES,
  },
  {
    title: 'Spans',
    text: 'Only with `tracing_otlp_endpoint`.',
    families: TRACING_FAMILIES,
  },
  {
    title: 'Settings',
    text: 'Settings from the environment are never read again.',
    families: RELOAD_FAMILIES,
  },
  {
    title: 'Scrapes',
    text: 'As the handler of the Go proxy counts them.',
    families: SCRAPE_FAMILIES,
  },
  {
    title: 'The process',
    text: 'Of all threads together, unless a label tells them apart.',
    families: RUNTIME_FAMILIES,
  },
]

const labelText = ([name, values]: readonly [string, readonly string[] | string]): string =>
  typeof values === 'string'
    ? `\`${name}\`: ${values}`
    : `\`${name}\`: ${values.map((value) => `\`${value}\``).join(', ')}`

const row = (family: MetricFamily): string => {
  const labels = Object.entries(family.labels).map(labelText).join('; ')
  const cells = [
    `\`${familyName(family, DEFAULT_PREFIX)}\``,
    family.type,
    labels,
    family.help,
    family.isReference ? 'yes' : 'no',
  ]
  return `| ${cells.join(' | ')} |`
}

const section = ({ title, text, families }: (typeof SECTIONS)[number]): string =>
  [
    `## ${title}`,
    '',
    text,
    '',
    '| Name | Type | Labels | Meaning | Go proxy |',
    '|---|---|---|---|---|',
    ...families.map(row),
    '',
  ].join('\n')

const opening = (): string => {
  const shared = FAMILIES.filter((family) => family.isReference).length
  return `<!-- Rendered from src/metrics/families.ts; \`npx vitest run --project unit test/metrics/families.test.ts -u\` renders it again. -->
# Metrics

\`GET /metrics\` on \`metrics_address\`:\`metrics_port\`, Prometheus' text format 0.0.4, gzip where the client accepts it. It answers 503
until both clusters have been reached for the first time, and 404 with \`metrics_enabled: false\`. Of a thread that does not answer it
shows what the thread counted last, and that it does not answer. Nothing is kept over a restart.

Names are shown with the default \`metrics_prefix\`, \`${DEFAULT_PREFIX}\`. The last column tells whether the Go proxy has the same name, type and
labels: ${shared} of these families, so that its dashboards and rules go on working. Several gauges end in \`_total\` for that reason.
`
}

const closing =
  (): string => `As prom-client measures them: ${PROCESS_METRICS.map((name) => `\`${name}\``).join(', ')}.

The rest of the Go runtime's metrics (\`go_threads\`, \`go_info\`, further \`go_memstats_…\`) has no counterpart in Node.js and is left out; no published dashboard
of the Go proxy asks for it.
`

/** All of docs/metrics.md. */
export const renderMetricsDocument = (): string =>
  [opening(), ...SECTIONS.map(section), closing()].join('\n')
