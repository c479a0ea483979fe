import { describe, expect, test } from 'vitest'
import { DataPlaneMetrics } from '../../src/metrics/data-plane-metrics.ts'
import { renderMetricsDocument } from '../../src/metrics/document.ts'
import { FAMILIES, familyName, PROCESS_METRICS } from '../../src/metrics/families.ts'
import type { Gathered, MetricFamily } from '../../src/metrics/family.ts'
import type { PlaneSeries } from '../../src/metrics/plane-series.ts'
import { quantile } from '../../src/metrics/runtime-families.ts'
import { ASYNC_LEVEL, NODE_LEVEL, PROXY_LEVEL, RUNTIME } from './reference-families.ts'

const REFERENCE = [...PROXY_LEVEL, ...NODE_LEVEL, ...ASYNC_LEVEL, ...RUNTIME]
const BOUNDS = {
  originBoundsSeconds: [0.001, 1],
  targetBoundsSeconds: [0.002, 2],
  asyncBoundsSeconds: [3],
}

const findFamily = (name: string): MetricFamily | undefined =>
  FAMILIES.find((family) => familyName(family, 'zdm') === name)

const CONTROL = {
  phase: 'target-reads',
  primary: 'TARGET',
  readMode: 'PRIMARY_ONLY',
  writeMode: 'both',
  revision: 3,
  changedAtSeconds: 1_700_000_000,
  changes: { advance: 3 },
  failedChecks: [['failed-writes', 1]],
  quiescenceSeconds: 0.002,
  unreconciled: { origin: 3, target: 5 },
} as const

const gather = (...planes: PlaneSeries[]): Gathered => ({
  planes,
  threads: planes.map((plane) => plane.thread),
  stuckThreads: 0,
  version: '1.2.3',
  control: CONTROL,
  tracing: { exported: 1, queueFull: 2, exportFailed: 3 },
  certificates: {
    expiries: [{ leg: 'origin', role: 'certificate', expiresAtSeconds: 1_800_000_000 }],
    crls: [{ leg: 'listener', expiresAtSeconds: 1_790_000_000 }],
    legs: [{ leg: 'origin', isRejected: true, reloads: { applied: 1, rejected: 2 } }],
  },
  controlConnections: [
    {
      cluster: 'target',
      isUp: true,
      losses: 2,
      reopenings: { succeeded: 2, failed: 7 },
      heardAtSeconds: 1_700_000_000,
      refreshedAtSeconds: 1_700_000_001,
    },
  ],
  reloads: { counts: { applied: 1, refused: 2 }, isLastRefused: true, readAtSeconds: 1.5 },
  scrapes: { answered: 1, failed: 2, inFlight: 1 },
  addressSpaceMaxBytes: 2 ** 64,
  ...BOUNDS,
})

const seriesOf = (nodes: readonly (readonly ['origin' | 'target', string])[] = []): PlaneSeries => {
  const metrics = new DataPlaneMetrics(BOUNDS)
  for (const [cluster, node] of nodes) metrics.node(cluster, node)
  for (const [cluster, node] of nodes) metrics.asyncReads.node(cluster, node)
  metrics.asyncReads.countMismatch('ks', 't')
  const series = metrics.toSeries([], [{ keyspace: 'ks', reads: 1, writes: 2 }])
  const gc = { count: 1, sumSeconds: 0.5, recentSeconds: [0.5] }
  return { ...series, thread: { ...series.thread, gc } }
}

describe("the Go proxy's families", () => {
  test.each(REFERENCE)('$name is a $type with its labels', ({ name, type, labels }) => {
    const family = findFamily(name)
    expect(family, name).toBeDefined()
    expect(family!.type).toBe(type)
    expect(family!.isReference).toBe(true)
    expect(Object.keys(family!.labels)).toEqual(Object.keys(labels))
    for (const [label, values] of Object.entries(labels)) {
      if (values !== null) expect(family!.labels[label]).toEqual(values)
    }
  })

  test('are all that is called so', () => {
    const named = FAMILIES.filter((family) => family.isReference)
    expect(named.map((family) => familyName(family, 'zdm')).sort()).toEqual(
      REFERENCE.map(({ name }) => name).sort(),
    )
  })
})

describe('every family', () => {
  test('has a name of its own', () => {
    const names = [...FAMILIES.map((family) => familyName(family, 'zdm')), ...PROCESS_METRICS]
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
  })

  test.each(FAMILIES)('$name has labels in alphabetical order and a sentence of help', (family) => {
    const labels = Object.keys(family.labels)
    expect(labels).toEqual([...labels].sort())
    expect(family.help).toMatch(/^[A-Z][^\n|]*\.$/)
  })

  test.each(FAMILIES)('$name gives points with exactly the labels that it declares', (family) => {
    const nodes = [['origin', 'a:1'] as const, ['target', 'b:1'] as const]
    for (const { suffix, labels } of family.read(gather(seriesOf(nodes)))) {
      const isPartOfSummary = family.type === 'summary' && suffix !== undefined
      const declared = isPartOfSummary ? [] : Object.keys(family.labels)
      expect(Object.keys(labels)).toEqual(suffix === '_bucket' ? [...declared, 'le'] : declared)
      for (const [label, value] of Object.entries(labels)) {
        const values = family.labels[label]
        if (Array.isArray(values)) expect(values).toContain(value)
      }
    }
  })
})

describe('families of our own', () => {
  const own = FAMILIES.filter((family) => !family.isReference)

  test.each(own)('$name ends in _total if and only if it is a counter', (family) => {
    expect(family.name).toMatch(/^[a-z][a-z_]*$/)
    expect(family.name.endsWith('_total')).toBe(family.type === 'counter')
    expect(family.name).not.toMatch(/_(ms|milliseconds|kb|mb|mib)(_|$)/)
  })
})

describe('the prefix', () => {
  const [prefixed] = FAMILIES.filter((family) => family.isPrefixed)
  const [plain] = FAMILIES.filter((family) => !family.isPrefixed)

  test('comes before an underscore, and with none there is no underscore', () => {
    expect(familyName(prefixed!, 'zdm')).toBe(`zdm_${prefixed!.name}`)
    expect(familyName(prefixed!, '')).toBe(prefixed!.name)
  })

  test("leaves the runtime's names alone", () => {
    expect(familyName(plain!, 'zdm')).toBe(plain!.name)
  })
})

type Path = readonly (string | number)[]

/** Where the numbers of a value are. A histogram's count is not among them: its buckets have it. */
const numberPaths = (value: unknown, path: Path = []): Path[] => {
  if (typeof value === 'number') return [path]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value)
    .filter(([key]) => !(key === 'count' && 'buckets' in value))
    .flatMap(([key, inner]) => numberPaths(inner, [...path, key]))
}

const bumped = (series: PlaneSeries, path: Path): PlaneSeries => {
  const copy: unknown = structuredClone(series)
  let owner = copy as Record<string | number, unknown>
  for (const key of path.slice(0, -1)) owner = owner[key] as typeof owner
  owner[path.at(-1)!] = Number(owner[path.at(-1)!]) + 1
  return copy as PlaneSeries
}

describe('what data planes count', () => {
  const series = seriesOf([
    ['origin', 'a:1'],
    ['target', 'b:1'],
  ])
  const read = (plane: PlaneSeries): string =>
    JSON.stringify(FAMILIES.map((family) => family.read(gather(plane))))

  test.each(numberPaths(series).map((path) => path.join('.')))('%s is published', (path) => {
    expect(read(bumped(series, path.split('.')))).not.toBe(read(series))
  })

  test('of one node adds up, and nodes are in order', () => {
    const first = new DataPlaneMetrics(BOUNDS)
    first.node('origin', 'b:1').connections = 2
    first.node('origin', 'a:1').connections = 1
    const second = new DataPlaneMetrics(BOUNDS)
    second.node('origin', 'b:1').connections = 3
    second.node('target', 'b:1').connections = 7
    const family = findFamily('zdm_origin_connections_total')!
    expect(family.read(gather(first.toSeries(), second.toSeries()))).toEqual([
      { labels: { node: 'a:1' }, value: 1 },
      { labels: { node: 'b:1' }, value: 5 },
    ])
  })
})

test('writes that one cluster lacks are told by table, those of all threads together', () => {
  const row = { keyspace: 'ks', table: 't', originOnly: 1, targetOnly: 2, both: 5 }
  const plane = { ...seriesOf(), failedTables: [{ ...row, firstMs: 0, lastMs: 0 }] }
  const labels = { keyspace: 'ks', table: 't' }
  expect(findFamily('zdm_writes_missing_total')!.read(gather(plane, plane))).toEqual([
    { labels: { cluster: 'origin', ...labels }, value: 2 },
    { labels: { cluster: 'target', ...labels }, value: 4 },
  ])
})

test('writes that one cluster lacks are told for all tables together, from the start', () => {
  const rows = ['a', 'b'].map((table) => ({ keyspace: 'ks', table, originOnly: 1, targetOnly: 2 }))
  const failedTables = rows.map((row) => ({ ...row, both: 5, firstMs: 0, lastMs: 0 }))
  const family = findFamily('zdm_one_sided_writes_total')!
  const read = (plane: PlaneSeries) =>
    family.read(gather(plane, plane)).map(({ labels, value }) => [labels['cluster'], value])
  expect(read(seriesOf())).toEqual([
    ['origin', 0],
    ['target', 0],
  ])
  expect(read({ ...seriesOf(), failedTables })).toEqual([
    ['origin', 4],
    ['target', 8],
  ])
})

test.each(FAMILIES)('$name is in docs/metrics.md', (family) => {
  expect(renderMetricsDocument()).toContain(`| \`${familyName(family, 'zdm')}\` | ${family.type} |`)
})

test('where there is no switch, nothing is said of one', () => {
  const phase = findFamily('zdm_migration_phase')!
  expect(phase.read(gather()).filter(({ value }) => value === 1)).toEqual([
    { labels: { phase: 'target-reads' }, value: 1 },
  ])
  expect(phase.read({ ...gather(), control: null })).toEqual([])
})

test.each([
  ['go_memstats_alloc_bytes', 1 + 100],
  ['go_memstats_heap_inuse_bytes', 10 + 100],
  ['go_memstats_alloc_bytes_total', 1000],
  ['go_memstats_stack_inuse_bytes', 20],
  ['go_goroutines', 7],
  ['nodejs_heap_size_used_bytes', 1],
  ['nodejs_heap_size_total_bytes', 10],
  ['nodejs_external_memory_bytes', 100],
])('%s is of all threads', (name, perThread) => {
  const series = seriesOf()
  const thread = {
    ...series.thread,
    heapUsedBytes: 1,
    heapTotalBytes: 10,
    externalBytes: 100,
    mallocedBytes: 20,
    activeResources: 7,
    allocatedBytes: 1000,
  }
  const planes = [series, series].map((plane) => ({ ...plane, thread }))
  expect(findFamily(name)!.read(gather(...planes))).toEqual([{ labels: {}, value: 2 * perThread }])
})

describe('quantile', () => {
  test.each([
    { values: [], share: 0.5, expected: 0 },
    { values: [3], share: 0, expected: 3 },
    { values: [3], share: 1, expected: 3 },
    { values: [1, 2, 3, 4], share: 0, expected: 1 },
    { values: [1, 2, 3, 4], share: 0.25, expected: 2 },
    { values: [1, 2, 3, 4], share: 1, expected: 4 },
  ])('$share of $values is $expected', ({ values, share, expected }) => {
    expect(quantile(values, share)).toBe(expected)
  })
})

test('docs/metrics.md is rendered from the table', async () => {
  await expect(renderMetricsDocument()).toMatchFileSnapshot('../../docs/metrics.md')
})
