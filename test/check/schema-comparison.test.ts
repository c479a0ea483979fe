import { describe, expect, test } from 'vitest'
import type {
  Column,
  Index,
  Keyspace,
  Schema,
  Table,
  UserType,
  View,
} from '../../src/check/schema.ts'
import { comparedKeyspaces, compareSchemas } from '../../src/check/schema-comparison.ts'
import type { Places } from '../../src/check/schema-options.ts'

const column = (name: string, type: string, changes: Partial<Column> = {}): Column => ({
  name,
  type,
  kind: 'regular',
  position: -1,
  clusteringOrder: 'none',
  ...changes,
})

const KEY = column('id', 'int', { kind: 'partition_key', position: 0 })
const TIME = column('at', 'timestamp', {
  kind: 'clustering',
  position: 0,
  clusteringOrder: 'desc',
})
const VALUE = column('v', 'text')

const table = (columns: readonly Column[], name = 't', changes: Partial<Table> = {}): Table => ({
  keyspace: 'ks',
  name,
  columns,
  isCompact: false,
  defaultTtl: 0,
  gcGraceSeconds: 864_000,
  compaction: 'SizeTieredCompactionStrategy',
  ...changes,
})

const keyspace = (name: string, changes: Partial<Keyspace> = {}): Keyspace => ({
  name,
  strategy: 'NetworkTopologyStrategy',
  replicas: new Map([['dc1', 3]]),
  hasDurableWrites: true,
  ...changes,
})

const schema = (changes: Partial<Schema> = {}): Schema => ({
  keyspaces: [keyspace('ks')],
  unread: [],
  tables: [table([KEY, TIME, VALUE])],
  views: [],
  indexes: [],
  types: [],
  routines: [],
  ...changes,
})

const PLACES: Places = {
  origin: { datacenters: ['dc1'], localDatacenter: 'dc1' },
  target: { datacenters: ['dc1'], localDatacenter: 'dc1' },
}

/** A line per difference; with what to do behind the arrow. */
const compare = (
  origin: Partial<Schema>,
  target: Partial<Schema>,
  places: Places | null = PLACES,
): string[] =>
  compareSchemas(schema(origin), schema(target), places).map(
    ({ severity, subject, text, remedy }) => `${severity} ${subject} ${text} → ${remedy}`,
  )

const compareColumns = (target: readonly Column[], origin = [KEY, TIME, VALUE]): string[] =>
  compare({ tables: [table(origin)] }, { tables: [table(target)] })

test('the same schemas do not differ, in whatever order their columns come', () => {
  expect(compare({}, {})).toEqual([])
  expect(compareColumns([VALUE, TIME, KEY])).toEqual([])
})

describe('columns', () => {
  test.each<[string, readonly Column[], RegExp]>([
    [
      'missing',
      [KEY, TIME],
      /^error ks.t.v is missing in Target.* → on Target: ALTER TABLE ks.t ADD v text$/,
    ],
    ['of another type', [KEY, TIME, column('v', 'blob')], /^error ks.t.v is text .* and blob/],
    ['added', [KEY, TIME, VALUE, column('w', 'int')], /^note ks.t.w is in Target only/],
    [
      'added to the key',
      [KEY, TIME, VALUE, column('k2', 'int', { kind: 'clustering', position: 1 })],
      /^error ks.t.k2 is part of the key in Target only/,
    ],
    [
      'of another kind',
      [KEY, TIME, column('v', 'text', { kind: 'static' })],
      /^error ks.t.v is a regular column in Origin and a static column/,
    ],
    [
      'in another place of the key',
      [KEY, { ...TIME, position: 1 }, VALUE],
      /^error ks.t.at is number 0 .* and 1 in Target/,
    ],
    [
      'ordered otherwise',
      [KEY, { ...TIME, clusteringOrder: 'asc' }, VALUE],
      /^warning ks.t.at is ordered desc in Origin and asc/,
    ],
  ])('%s', (_, columns, expected) => {
    const found = compareColumns(columns)
    expect(found).toHaveLength(1)
    expect(found[0]).toMatch(expected)
  })

  test.each([
    ['map<text, int>', 'map<text,int>'],
    ['varchar', 'text'],
    ['list<varchar>', 'list<text>'],
  ])('%s and %s are the same type', (origin, target) => {
    expect(compareColumns([column('v', target)], [column('v', origin)])).toEqual([])
  })

  test.each([
    ['frozen<list<int>>', 'list<int>'],
    ['"Address"', '"address"'],
  ])('%s and %s are not', (origin, target) => {
    expect(compareColumns([column('v', target)], [column('v', origin)])).toHaveLength(1)
  })
})

describe('tables and keyspaces', () => {
  test('a table that is missing', () => {
    expect(compare({}, { tables: [] })).toEqual([
      'error ks.t is missing in Target: every write to it fails there, and so for the client → create it on Target as it is in Origin',
    ])
  })

  test('a keyspace that is missing is one line for all that is in it', () => {
    const types: UserType[] = [{ keyspace: 'ks', name: 'u', fields: [] }]
    const indexes: Index[] = [
      { keyspace: 'ks', table: 't', name: 'i', target: 'v', kind: 'COMPOSITES' },
    ]
    const found = compare({ types, indexes }, { keyspaces: [], tables: [] })
    expect(found).toHaveLength(1)
    expect(found[0]).toMatch(/^error ks is missing in Target, with all .* --keyspace /)
  })

  test('what only Target has is a note, and comes last', () => {
    const more = table([KEY], 'more')
    const found = compare(
      {},
      {
        tables: [table([KEY, TIME]), more],
        keyspaces: [keyspace('ks'), keyspace('other')],
      },
    )
    expect(found.map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
      'error ks.t.v',
      'note ks.more',
    ])
  })
})

describe('indexes', () => {
  const index: Index = { keyspace: 'ks', table: 't', name: 'i', target: 'v', kind: 'COMPOSITES' }

  test.each<[string, readonly Index[], readonly RegExp[]]>([
    ['the same', [index], []],
    ['under another name', [{ ...index, name: 'j' }], []],
    ['missing', [], [/^warning ks.i indexes v of t and is missing/]],
    ['on something else', [{ ...index, target: 'keys(v)' }], [/^warning ks.i indexes v of t/]],
    ['of another kind', [{ ...index, kind: 'CUSTOM' }], [/^warning ks.i is of kind COMPOSITES/]],
  ])('%s', (_, there, expected) => {
    const found = compare({ indexes: [index] }, { indexes: there })
    expect(found).toHaveLength(expected.length)
    for (const [at, pattern] of expected.entries()) expect(found[at]).toMatch(pattern)
  })
})

describe('user-defined types', () => {
  const fields = [
    { name: 'street', type: 'text' },
    { name: 'zip', type: 'int' },
  ]
  const type: UserType = { keyspace: 'ks', name: 'address', fields }

  test.each<[string, readonly UserType[], readonly RegExp[]]>([
    ['the same', [type], []],
    ['missing', [], [/^error ks.address is a user-defined type that is missing/]],
    [
      'in another order',
      [{ ...type, fields: [...fields].reverse() }],
      [/^error ks.address has other fields/],
    ],
  ])('%s', (_, there, expected) => {
    const found = compare({ types: [type] }, { types: there })
    expect(found).toHaveLength(expected.length)
    for (const [at, pattern] of expected.entries()) expect(found[at]).toMatch(pattern)
  })
})

describe('keyspaces', () => {
  const replicated = (replicas: Record<string, number>, strategy?: string): Keyspace =>
    keyspace('ks', {
      replicas: new Map(Object.entries(replicas)),
      ...(strategy === undefined ? {} : { strategy }),
    })
  const SIMPLE = 'SimpleStrategy'
  const IN_WEST: Places = {
    origin: PLACES.origin,
    target: { datacenters: ['east', 'west'], localDatacenter: 'west' },
  }

  test.each<[string, Keyspace, Keyspace, Places | null, readonly RegExp[]]>([
    [
      'as many replicas in a datacenter of another name',
      keyspace('ks'),
      replicated({ west: 3 }),
      IN_WEST,
      [],
    ],
    [
      'as many by another strategy',
      replicated({ replication_factor: 3 }, SIMPLE),
      keyspace('ks'),
      PLACES,
      [],
    ],
    [
      'fewer replicas',
      keyspace('ks'),
      replicated({ replication_factor: 1 }, SIMPLE),
      PLACES,
      [/^warning ks has 1 replicas in Target and 3 in Origin/],
    ],
    [
      'no replica where the proxy is',
      keyspace('ks'),
      replicated({ east: 3 }),
      IN_WEST,
      [/^error ks has no replica in Target's datacenter west.*ALTER KEYSPACE ks /],
    ],
    [
      'a datacenter that Target does not have',
      keyspace('ks'),
      replicated({ west: 3, dc1: 3 }),
      IN_WEST,
      [/^warning ks names datacenters that Target does not have \(dc1\)/],
    ],
    [
      'SimpleStrategy over two datacenters',
      keyspace('ks'),
      replicated({ replication_factor: 3 }, SIMPLE),
      IN_WEST,
      [/^warning ks has SimpleStrategy in Target, which has 2 datacenters/],
    ],
    [
      'no durable writes',
      keyspace('ks'),
      keyspace('ks', { hasDurableWrites: false }),
      PLACES,
      [/^warning ks has no durable writes in Target/],
    ],
    ['anything, where nobody knows the nodes', keyspace('ks'), replicated({ x: 1 }), null, []],
  ])('%s', (_, origin, target, places, expected) => {
    const found = compare({ keyspaces: [origin] }, { keyspaces: [target] }, places)
    expect(found).toHaveLength(expected.length)
    for (const [at, pattern] of expected.entries()) expect(found[at]).toMatch(pattern)
  })

  test('what was not read on one side is not compared', () => {
    const keyspaces = [keyspace('big'), keyspace('ks')]
    const target = schema({ keyspaces, unread: ['big'] })
    expect(comparedKeyspaces(schema({ keyspaces }), target)).toEqual(['ks'])
    expect(compareSchemas(schema({ keyspaces }), target, PLACES)).toEqual([])
  })
})

describe('options of tables', () => {
  test.each<[Partial<Table>, Partial<Table>, RegExp]>([
    [
      {},
      { defaultTtl: 60 },
      /^error ks.t keeps .* for ever in Origin and 60 s in Target: writes are lost/,
    ],
    [{ defaultTtl: 90 }, { defaultTtl: 60 }, /^error ks.t keeps .* = 90$/],
    [{ defaultTtl: 60 }, {}, /^warning ks.t keeps .* 60 s in Origin and for ever in Target: rows/],
    [
      {},
      { gcGraceSeconds: 60 },
      /^note ks.t .*gc_grace_seconds 864000 and 60; .* → finish the copy/,
    ],
    [
      {},
      { compaction: 'LeveledCompactionStrategy' },
      /^note ks.t .*compaction SizeTiered.* and Leveled/,
    ],
    [{ isCompact: true }, {}, /^note ks.t .*COMPACT STORAGE yes and no/],
  ])('%o and %o', (origin, target, expected) => {
    const columns = [KEY, VALUE]
    const found = compare(
      { tables: [table(columns, 't', origin)] },
      { tables: [table(columns, 't', target)] },
    )
    expect(found).toHaveLength(1)
    expect(found[0]).toMatch(expected)
  })

  test('a compact table that is missing may come without COMPACT STORAGE', () => {
    const found = compare({ tables: [table([KEY], 't', { isCompact: true })] }, { tables: [] })
    expect(found[0]).toContain('without COMPACT STORAGE where Target refuses that')
  })
})

describe('views, functions and counters', () => {
  const view: View = { keyspace: 'ks', name: 'by_v', baseTable: 't' }

  test.each<[string, Partial<Schema>, Partial<Schema>, RegExp]>([
    [
      'a view that is missing',
      { views: [view] },
      {},
      /^warning ks.by_v is a materialized view of t/,
    ],
    [
      'a view of another table',
      { views: [view] },
      { views: [{ ...view, baseTable: 'u' }] },
      /^warning ks.by_v is a view of t in Origin and of u in Target/,
    ],
    [
      'a view that is a table in Target',
      { views: [view] },
      { tables: [table([KEY, TIME, VALUE]), table([KEY], 'by_v')] },
      /^warning ks.by_v .* and a table in Target: nothing fills it/,
    ],
    [
      'a table that is a view in Target',
      { tables: [table([KEY, TIME, VALUE]), table([KEY], 'by_v')] },
      { views: [view] },
      /^error ks.by_v is a table in Origin and a materialized view in Target/,
    ],
    [
      'a function that is missing',
      { routines: [{ keyspace: 'ks', name: 'f', argumentTypes: ['int', 'varchar'] }] },
      { routines: [{ keyspace: 'ks', name: 'f', argumentTypes: ['int'] }] },
      /^warning ks.f\(int, text\) is a user-defined function/,
    ],
    [
      'counters, which are the same',
      { tables: [table([KEY, column('n', 'counter')], 'hits')] },
      { tables: [table([KEY, column('n', 'counter')], 'hits')] },
      /^note ks has 1 table of counters \(hits\)/,
    ],
  ])('%s', (_, origin, target, expected) => {
    const found = compare(origin, target)
    expect(found).toHaveLength(1)
    expect(found[0]).toMatch(expected)
  })

  test('a view that both have is no difference', () => {
    expect(compare({ views: [view] }, { views: [view] })).toEqual([])
  })
})

test('names that CQL has to quote are quoted', () => {
  const origin = [KEY, column('Total Sum', 'int')]
  const [found] = compare({ tables: [table(origin, 'T')] }, { tables: [table([KEY], 'T')] })
  expect(found).toContain('ALTER TABLE ks."T" ADD "Total Sum" int')
})
