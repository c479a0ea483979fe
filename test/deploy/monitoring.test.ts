import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { renderDashboard } from '../../deploy/grafana/dashboard.ts'
import { INSIDE } from '../../deploy/grafana/inside.ts'
import { MAY_I_ADVANCE } from '../../deploy/grafana/may-i-advance.ts'
import { systemClock } from '../../src/clock.ts'
import { DataPlaneMetrics } from '../../src/metrics/data-plane-metrics.ts'
import { MetricsExposition, type MetricsExpositionOptions } from '../../src/metrics/exposition.ts'
import { FAMILIES, familyName } from '../../src/metrics/families.ts'
import { type Family, parsePrometheusText } from '../support/prometheus-text.ts'
import { matchesValue, readExpression, type Selector } from '../support/promql.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

type Target = { readonly refId: string; readonly expr: string }
type Panel = {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>
  readonly datasource?: { readonly type: string; readonly uid: string }
  readonly targets?: readonly Target[]
}
type Variable = { readonly name: string; readonly query: string | { readonly query: string } }
type Dashboard = {
  readonly uid: string
  readonly title: string
  readonly panels: readonly Panel[]
  readonly templating: { readonly list: readonly Variable[] }
}
type Rule = {
  readonly alert: string
  readonly expr: string
  readonly for?: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

const DASHBOARDS = readdirSync(join(ROOT, 'deploy/grafana/dashboards')).map((name) => ({
  name,
  dashboard: JSON.parse(read(`deploy/grafana/dashboards/${name}`)) as Dashboard,
}))

const ALERTS = (
  parse(read('deploy/prometheus/alerts.yml')) as {
    readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[]
  }
).groups

const RULES = ALERTS.flatMap(({ rules }) => rules)
const PROMETHEUS = parse(read('deploy/prometheus/prometheus.yml')) as {
  readonly rule_files: readonly string[]
  readonly scrape_configs: readonly {
    readonly job_name: string
    readonly metrics_path: string
    readonly static_configs: readonly { readonly targets: readonly string[] }[]
  }[]
}
const JOB = PROMETHEUS.scrape_configs[0]!.job_name

/** What Grafana puts in before it asks Prometheus. */
const withoutVariables = (expression: string): string =>
  expression.replace(/\$__(?:rate_interval|interval|range)\b/g, '5m').replace(/\$instance\b/g, '.*')

const PANEL_EXPRESSIONS = DASHBOARDS.flatMap(({ name, dashboard }) =>
  dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ refId, expr }) => ({ where: `${name}, ${title}, ${refId}`, expr })),
  ),
)
const RULE_EXPRESSIONS = RULES.map(({ alert, expr }) => ({ where: alert, expr }))
const EXPRESSIONS = [...PANEL_EXPRESSIONS, ...RULE_EXPRESSIONS].map(({ where, expr }) => ({
  where,
  expr: withoutVariables(expr),
}))

/** Series that Prometheus makes itself, with their labels. */
const PROMETHEUS_SERIES: ReadonlyMap<string, readonly string[]> = new Map([
  ['up', []],
  ['ALERTS', ['alertname', 'alertstate', 'severity', 'blocks_advance']],
])
/** Labels that every scraped series has. */
const SCRAPE_LABELS = ['job', 'instance']

/** What the process has besides its data planes. */
const PROCESS_WIDE: Partial<MetricsExpositionOptions> = {
  control: () => ({
    phase: 'connect',
    primary: 'ORIGIN',
    readMode: 'PRIMARY_ONLY',
    writeMode: 'both',
    revision: 0,
    changedAtSeconds: 0,
    changes: {},
    failedChecks: [],
    quiescenceSeconds: 0,
    unreconciled: { origin: 0, target: 0 },
  }),
  certificates: () => ({
    expiries: [{ leg: 'origin', role: 'certificate', expiresAtSeconds: 1 }],
    crls: [{ leg: 'listener', expiresAtSeconds: 1 }],
    legs: [{ leg: 'origin', isRejected: false, reloads: { applied: 0, rejected: 0 } }],
  }),
  controlConnections: () => [
    {
      cluster: 'target',
      isUp: true,
      losses: 0,
      reopenings: { succeeded: 0, failed: 0 },
      heardAtSeconds: 0,
      refreshedAtSeconds: 0,
    },
  ],
  tracing: () => ({ exported: 0, queueFull: 0, exportFailed: 0 }),
  reloads: () => ({
    counts: { applied: 0, refused: 0 },
    isLastRefused: false,
    readAtSeconds: 0,
  }),
}

/** Of an instance to which nothing has happened yet. */
const exposed = async (): Promise<ReadonlyMap<string, Family>> => {
  const bounds = {
    originBoundsSeconds: [0.01, 1],
    targetBoundsSeconds: [0.01, 1],
    asyncBoundsSeconds: [0.01, 1],
  }
  const plane = new DataPlaneMetrics(bounds)
  plane.node('origin', '10.0.0.1:9042')
  plane.node('target', '10.0.1.1:9042')
  plane.asyncReads.node('target', '10.0.1.1:9042')
  const exposition = new MetricsExposition({
    prefix: 'zdm',
    version: '1.2.3',
    ...bounds,
    ...PROCESS_WIDE,
    series: () => Promise.resolve([plane.toSeries()]),
    clock: systemClock,
  })
  return parsePrometheusText((await exposition.exposition()).body)
}

const EXPOSED = await exposed()
/** What a family's lines are called. */
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  histogram: ['_bucket', '_sum', '_count'],
  summary: ['', '_sum', '_count'],
}

/** Also of families that have no series before something has happened. */
const familyLabels = ({ name, samples }: Family): readonly string[] => {
  const declared = FAMILIES.find((family) => familyName(family, 'zdm') === name)?.labels ?? {}
  return [...Object.keys(declared), ...samples.flatMap(({ labels }) => Object.keys(labels))]
}

/** Labels by the name of a series, `…_bucket` and its like included. */
const SERIES: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ...[...EXPOSED.values()].flatMap((family) =>
    (SUFFIXES[family.type] ?? ['']).map(
      (suffix) => [family.name + suffix, new Set(familyLabels(family))] as const,
    ),
  ),
  ...[...PROMETHEUS_SERIES].map(([name, labels]) => [name, new Set(labels)] as const),
])

const labelsOf = ({ metric }: Selector): readonly string[] => [
  ...(SERIES.get(metric) ?? []),
  ...SCRAPE_LABELS,
]

/** All values that a label of ours can have; null where that is open. */
const valuesOf = (metric: string, label: string): readonly string[] | null => {
  if (label === 'job') return [JOB]
  if (label === 'alertname') return RULES.map(({ alert }) => alert)
  if (label === 'alertstate') return ['pending', 'firing']
  const name = metric.replace(/_(?:bucket|sum|count)$/, '')
  const family = FAMILIES.find((candidate) => [name, metric].includes(familyName(candidate, 'zdm')))
  const values = family?.labels[label]
  return Array.isArray(values) ? values : null
}

/** Each alternative of a regular expression for itself, where it is a plain list of them. */
const alternatives = (operator: string, wanted: string): readonly string[] =>
  operator.endsWith('~') && /^[\w|]+$/.test(wanted) ? wanted.split('|') : [wanted]

/** Where a check finds something wrong, with what that is. */
const faults = (check: (expr: string) => readonly string[]): readonly string[] =>
  EXPRESSIONS.flatMap(({ where, expr }) => check(expr).map((fault) => `${where}: ${fault}`))

/** The values that a matcher asks for and no series can have. */
const impossibleValues = (selector: Selector): readonly string[] =>
  selector.matchers.flatMap(({ label, operator, value }) => {
    const values = valuesOf(selector.metric, label)
    if (values === null) return []
    return alternatives(operator, value)
      .filter((wanted) => {
        const matcher = { label, operator: operator.replace('!', ''), value: wanted }
        return !values.some((candidate) => matchesValue(matcher, candidate))
      })
      .map((wanted) => `${selector.metric}{${label}${operator}"${wanted}"}`)
  })

describe('every expression of a panel or a rule', () => {
  test('is there: dashboards and alerts are not empty', () => {
    expect(DASHBOARDS.map(({ name }) => name).sort()).toEqual(['inside.json', 'may-i-advance.json'])
    expect(PANEL_EXPRESSIONS.length).toBeGreaterThan(50)
    expect(RULE_EXPRESSIONS.length).toBeGreaterThan(15)
  })

  test('is PromQL and asks for something', () => {
    expect(
      faults((expr) => (readExpression(expr).selectors.length === 0 ? ['no selector'] : [])),
    ).toEqual([])
  })

  test('names only metrics that exist', () => {
    expect(
      faults((expr) =>
        readExpression(expr)
          .selectors.map(({ metric }) => metric)
          .filter((metric) => !SERIES.has(metric)),
      ),
    ).toEqual([])
  })

  test('asks for labels that its metrics have', () => {
    expect(
      faults((expr) =>
        readExpression(expr).selectors.flatMap((selector) =>
          selector.matchers
            .map(({ label }) => label)
            .filter((label) => !labelsOf(selector).includes(label)),
        ),
      ),
    ).toEqual([])
  })

  test('asks for values that these labels have', () => {
    expect(faults((expr) => readExpression(expr).selectors.flatMap(impossibleValues))).toEqual([])
  })

  /** increase() does not see the event with which a series begins. */
  test('counts events of series that are there before the first', () => {
    expect(
      faults((expr) =>
        [...expr.matchAll(/\bincrease\((\w+)/g)]
          .map(([, metric = '']) => metric.replace(/_(?:count|sum|bucket)$/, ''))
          .filter((metric) => (EXPOSED.get(metric)?.samples ?? []).length === 0),
      ),
    ).toEqual([])
  })

  test('groups by labels that its series have', () => {
    expect(
      faults((expr) => {
        const { selectors, groupings } = readExpression(expr)
        const created = [...expr.matchAll(/, "(\w+)", "\$1", "\w+", /g)].map(([, label]) => label)
        const known = [...selectors.flatMap(labelsOf), ...created]
        return groupings.filter((label) => !known.includes(label))
      }),
    ).toEqual([])
  })

  test('asks for the job that is scraped', () => {
    const wanted = { label: 'job', operator: '=', value: JOB }
    expect(
      faults((expr) =>
        readExpression(expr)
          .selectors.filter(({ metric }) => metric !== 'ALERTS')
          .filter(({ matchers }) => !matchers.some((matcher) => isDeepStrictEqual(matcher, wanted)))
          .map(({ metric }) => metric),
      ),
    ).toEqual([])
  })
})

test('every metric of our own is on a dashboard or in an alert', () => {
  const asked = new Set(
    EXPRESSIONS.flatMap(({ expr }) => readExpression(expr).selectors.map(({ metric }) => metric)),
  )
  const own = FAMILIES.filter(({ isReference }) => !isReference)
  const unwatched = own
    .map((family) => [familyName(family, 'zdm'), SUFFIXES[family.type] ?? ['']] as const)
    .filter(([name, suffixes]) => !suffixes.some((suffix) => asked.has(name + suffix)))
    .map(([name]) => name)
  expect(unwatched).toEqual([])
})

test.each([
  ['may-i-advance.json', MAY_I_ADVANCE],
  ['inside.json', INSIDE],
])('deploy/grafana/dashboards/%s is rendered from its table', async (name, dashboard) => {
  await expect(renderDashboard(dashboard)).toMatchFileSnapshot(
    `../../deploy/grafana/dashboards/${name}`,
  )
})

describe.each(DASHBOARDS)('the dashboard $name', ({ dashboard }) => {
  const { panels, templating } = dashboard

  test('has a fixed uid, and ids and titles of panels are there once', () => {
    expect(dashboard.uid).toMatch(/^zdm-[a-z-]+$/)
    const ids = panels.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    const titles = panels.map(({ title }) => title)
    expect(titles.filter((title, index) => titles.indexOf(title) !== index)).toEqual([])
  })

  test('says of every panel what it shows', () => {
    const silent = panels.filter(({ type, description = '' }) => {
      const needsNone = type === 'row' || type === 'text'
      return !needsNone && !/^[A-Z].*\.$/.test(description)
    })
    expect(silent.map(({ title }) => title)).toEqual([])
  })

  test('asks the data source that the reader has chosen', () => {
    const asking = panels.filter(({ targets }) => targets !== undefined)
    expect(asking.length).toBeGreaterThan(10)
    for (const { title, datasource } of asking) {
      expect(datasource, title).toEqual({ type: 'prometheus', uid: `\${datasource}` })
    }
  })

  test('uses only variables that it has', () => {
    const known = templating.list.map(({ name }) => name)
    const used = panels.flatMap(({ targets = [] }) =>
      targets.flatMap(({ expr }) => [...expr.matchAll(/\$\{?(\w+)/g)].map(([, name]) => name!)),
    )
    expect(used.filter((name) => !name.startsWith('__') && !known.includes(name))).toEqual([])
  })

  test('fills its variables from metrics that exist', () => {
    for (const { query } of templating.list) {
      if (typeof query === 'string') continue
      const [, selector = '', label = ''] = /^label_values\((.+), (\w+)\)$/.exec(query.query) ?? []
      const [{ metric, matchers } = { metric: '', matchers: [] }] =
        readExpression(selector).selectors
      expect(SERIES.has(metric), metric).toBe(true)
      expect(SCRAPE_LABELS).toContain(label)
      expect(matchers).toEqual([{ label: 'job', operator: '=', value: JOB }])
    }
  })

  test('lays its panels side by side', () => {
    const taken = new Map<string, string>()
    for (const { title, gridPos } of panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.get(`${x},${y}`), `${title} at ${x},${y}`).toBeUndefined()
          taken.set(`${x},${y}`, title)
        }
      }
    }
  })
})

describe('alerts', () => {
  test('have names of their own, a severity, and say in a line what is the matter', () => {
    const names = RULES.map(({ alert }) => alert)
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
    for (const { alert, labels, annotations, for: duration = '0m' } of RULES) {
      expect(alert).toMatch(/^Zdm[A-Z][A-Za-z]+$/)
      expect(['page', 'ticket'], alert).toContain(labels['severity'])
      expect([undefined, 'true'], alert).toContain(labels['blocks_advance'])
      expect(annotations['summary'], alert).toMatch(/^\S[^\n]*\S$/)
      expect(duration, alert).toMatch(/^\d+m$/)
    }
  })

  test('speak only of labels that their expressions leave', () => {
    const unknown = RULES.flatMap(({ alert, expr, annotations }) => {
      const { selectors, groupings } = readExpression(expr)
      const isAggregated = /\b(?:sum|count|max|min|histogram_quantile)\b/.test(expr)
      const left = isAggregated ? groupings : selectors.flatMap(labelsOf)
      const texts = Object.values(annotations).join(' ')
      const spoken = [...texts.matchAll(/\$labels\.(\w+)/g)].map(([, label]) => label!)
      return spoken.filter((label) => !left.includes(label)).map((label) => `${alert}: ${label}`)
    })
    expect(unknown).toEqual([])
  })

  test.each([
    ['writes failing on one cluster', 'zdm_proxy_failed_writes_total'],
    ['writes that one cluster lacks', 'zdm_writes_unreconciled'],
    ['reads answered differently', 'zdm_async_read_comparisons_total'],
    ['instances that differ', 'zdm_build_info'],
    ['instances that are gone', 'up'],
    ['saturated threads', 'zdm_event_loop_active_seconds_total'],
  ])('stand against advancing with %s', (_, metric) => {
    const blocking = RULES.filter(({ labels }) => labels['blocks_advance'] === 'true')
    const asked = blocking.flatMap(({ expr }) => readExpression(expr).selectors)
    expect(asked.map((selector) => selector.metric)).toContain(metric)
  })
})

describe('Prometheus in the playground', () => {
  test('reads the alerts and scrapes where the proxy answers', () => {
    expect(PROMETHEUS.rule_files).toEqual(['alerts.yml'])
    expect(PROMETHEUS.scrape_configs.map(({ metrics_path }) => metrics_path)).toEqual(['/metrics'])
    expect(JOB).toBe('zdm_proxy')
  })

  test('is the data source that Grafana is given', () => {
    const { datasources } = parse(read('deploy/grafana/provisioning/datasources/prometheus.yaml'))
    expect(datasources).toMatchObject([{ type: 'prometheus', url: 'http://prometheus:9090' }])
  })
})
