/**
 * Grafana's dashboards from rows of panels: what a panel asks and says is given, where it stands and what Grafana wants
 * besides is added here. The dashboards themselves: may-i-advance.ts and inside.ts; their JSON is in dashboards/.
 */

/** An expression and what its series are called, in Grafana's spelling. */
export type Query = readonly [expression: string, legend: string]

export type Threshold = readonly [colour: 'red' | 'yellow' | 'green' | 'blue', from: number | null]

export type Panel = {
  readonly kind: 'timeseries' | 'stat' | 'table' | 'text'
  readonly title: string
  /** A sentence or more; empty for text. */
  readonly description: string
  readonly queries: readonly Query[]
  /** Of 24. */
  readonly width: number
  /** In rows of 30 pixels. */
  readonly height: number
  /** Grafana's name of it. */
  readonly unit: string
  readonly thresholds: readonly Threshold[]
  /** More of Grafana's own, laid over what is made here. */
  readonly defaults: Readonly<Record<string, unknown>>
  readonly extra: Readonly<Record<string, unknown>>
}

export type Row = { readonly title: string; readonly panels: readonly Panel[] }

export type Dashboard = {
  readonly uid: string
  readonly title: string
  readonly description: string
  readonly rows: readonly Row[]
}

type Options = Partial<
  Pick<Panel, 'width' | 'height' | 'unit' | 'thresholds' | 'defaults' | 'extra'>
>

const panel = (
  kind: Panel['kind'],
  [title, description]: readonly [title: string, description: string],
  queries: readonly Query[],
  options: Options,
): Panel => ({
  kind,
  title,
  description,
  queries,
  width: 8,
  height: 8,
  unit: 'short',
  thresholds: [],
  defaults: {},
  extra: {},
  ...options,
})

/** Lines over time. */
export const lines = (
  title: string,
  description: string,
  queries: readonly Query[],
  options: Options = {},
): Panel => panel('timeseries', [title, description], queries, options)

/** The latest value of each series, large. */
export const stat = (
  title: string,
  description: string,
  queries: readonly Query[],
  options: Options = {},
): Panel =>
  panel('stat', [title, description], queries, { height: 6, thresholds: NEUTRAL, ...options })

export const table = (
  title: string,
  description: string,
  queries: readonly Query[],
  options: Options = {},
): Panel => panel('table', [title, description], queries, options)

/** Markdown. */
export const text = (title: string, content: string, options: Options = {}): Panel =>
  panel('text', [title, ''], [], {
    width: 24,
    extra: { options: { mode: 'markdown', content } },
    ...options,
  })

export const NEUTRAL: readonly Threshold[] = [['blue', null]]
/** What ought to be none. `increase` extrapolates to fractions: half a one is one. */
export const NONE_IS_GOOD: readonly Threshold[] = [
  ['green', null],
  ['red', 0.5],
]

const SOURCE = { type: 'prometheus', uid: `\${datasource}` }

const fieldDefaults = ({ kind, unit, thresholds, defaults }: Panel): Record<string, unknown> => ({
  unit,
  min: 0,
  ...(kind === 'timeseries'
    ? { custom: { lineWidth: 1, fillOpacity: 8, showPoints: 'never', spanNulls: false } }
    : {}),
  ...(thresholds.length === 0
    ? {}
    : {
        thresholds: {
          mode: 'absolute',
          steps: thresholds.map(([color, value]) => ({ color, value })),
        },
      }),
  ...defaults,
})

const OPTIONS: Readonly<Record<Panel['kind'], Readonly<Record<string, unknown>>>> = {
  timeseries: {
    legend: { displayMode: 'list', placement: 'bottom' },
    tooltip: { mode: 'multi', sort: 'desc' },
  },
  stat: {
    reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
    colorMode: 'background',
    graphMode: 'none',
    textMode: 'auto',
  },
  table: {},
  text: {},
}

const renderPanel = (of: Panel): Record<string, unknown> => {
  const isLatestOnly = of.kind === 'stat' || of.kind === 'table'
  const asking = {
    datasource: SOURCE,
    targets: of.queries.map(([expr, legendFormat], index) => ({
      refId: String.fromCharCode(65 + index),
      datasource: SOURCE,
      expr,
      legendFormat,
      editorMode: 'code',
      ...(isLatestOnly ? { instant: true, range: false } : {}),
      ...(of.kind === 'table' ? { format: 'table' } : {}),
    })),
    fieldConfig: { defaults: fieldDefaults(of), overrides: [] },
  }
  return {
    type: of.kind,
    title: of.title,
    description: of.description,
    ...(of.kind === 'text' ? {} : asking),
    options: OPTIONS[of.kind],
    ...of.extra,
  }
}

const VARIABLES = [
  { name: 'datasource', label: 'Prometheus', type: 'datasource', query: 'prometheus' },
  {
    name: 'instance',
    label: 'Instance',
    type: 'query',
    datasource: SOURCE,
    query: { query: 'label_values(up{job="zdm_proxy"}, instance)', refId: 'instance' },
    refresh: 2,
    sort: 1,
    includeAll: true,
    multi: true,
    allValue: '.*',
    current: { text: 'All', value: '$__all' },
  },
]

const COLUMNS = 24

/** Panels from left to right, the next line where one does not fit. */
const layOut = (rows: readonly Row[]): readonly Record<string, unknown>[] => {
  const placed: Record<string, unknown>[] = []
  let y = 0
  const place = (rendered: Record<string, unknown>, x: number, w: number, h: number): void => {
    placed.push({ id: placed.length + 1, ...rendered, gridPos: { x, y, w, h } })
  }
  for (const { title, panels } of rows) {
    place({ type: 'row', title, collapsed: false, panels: [] }, 0, COLUMNS, 1)
    y++
    let x = 0
    let lineHeight = 0
    for (const of of panels) {
      if (x + of.width > COLUMNS) {
        x = 0
        y += lineHeight
        lineHeight = 0
      }
      place(renderPanel(of), x, of.width, of.height)
      x += of.width
      lineHeight = Math.max(lineHeight, of.height)
    }
    y += lineHeight
  }
  return placed
}

/** The file that Grafana provisions or imports. */
export const renderDashboard = ({ uid, title, description, rows }: Dashboard): string => {
  const tag = 'zdm-proxy'
  const document = {
    uid,
    title,
    description,
    tags: [tag],
    schemaVersion: 39,
    version: 1,
    editable: true,
    timezone: 'browser',
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    graphTooltip: 1,
    annotations: { list: [] },
    templating: { list: VARIABLES },
    links: [
      {
        type: 'dashboards',
        tags: [tag],
        title: 'ZDM proxy',
        asDropdown: true,
        includeVars: true,
        keepTime: true,
      },
    ],
    panels: layOut(rows),
  }
  return `${JSON.stringify(document, null, 2)}\n`
}

/** What every selector begins with. */
export const OF_INSTANCE = 'job="zdm_proxy", instance=~"$instance"'

/** A metric's series of the chosen instances; `matchers` such as `type="writes"`. */
export const series = (metric: string, matchers = ''): string =>
  `${metric}{${[OF_INSTANCE, matchers].filter((part) => part !== '').join(', ')}}`

/** Per second, over a window that fits the zoom. */
export const rate = (metric: string, matchers = ''): string =>
  `rate(${series(metric, matchers)}[$__rate_interval])`

/** Over the dashboard's time range. */
export const increase = (metric: string, matchers = ''): string =>
  `increase(${series(metric, matchers)}[$__range])`

export const sumBy = (labels: string, expression: string): string =>
  `sum by (${labels}) (${expression})`

/** Of a histogram, seconds below which `share` of its observations are. */
export const quantile = (share: number, histogram: string, matchers = '', labels = ''): string =>
  `histogram_quantile(${share}, ${sumBy(['le', labels].filter((part) => part !== '').join(', '), rate(`${histogram}_bucket`, matchers))})`
