import { describe, expect, test } from 'vitest'
import {
  type Column,
  compareSchemas,
  type Index,
  type Schema,
  type Table,
  type UserType,
} from '../../src/check/schema-comparison.ts'

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

const table = (columns: readonly Column[], name = 't'): Table => ({ keyspace: 'ks', name, columns })

const schema = (changes: Partial<Schema> = {}): Schema => ({
  keyspaces: ['ks'],
  tables: [table([KEY, TIME, VALUE])],
  indexes: [],
  types: [],
  ...changes,
})

const compare = (origin: Partial<Schema>, target: Partial<Schema>): string[] =>
  compareSchemas(schema(origin), schema(target)).map(
    ({ severity, subject, text }) => `${severity} ${subject} ${text}`,
  )

const compareColumns = (target: readonly Column[], origin = [KEY, TIME, VALUE]): string[] =>
  compare({ tables: [table(origin)] }, { tables: [table(target)] })

test('the same schemas do not differ, in whatever order their columns come', () => {
  expect(compare({}, {})).toEqual([])
  expect(compareColumns([VALUE, TIME, KEY])).toEqual([])
})

describe('columns', () => {
  test.each<[string, readonly Column[], RegExp]>([
    ['missing', [KEY, TIME], /^error ks.t.v is missing in Target.*type text/],
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
      'error ks.t is missing in Target: every write to it fails there',
    ])
  })

  test('a keyspace that is missing is one line for all that is in it', () => {
    const types: UserType[] = [{ keyspace: 'ks', name: 'u', fields: [] }]
    const indexes: Index[] = [
      { keyspace: 'ks', table: 't', name: 'i', target: 'v', kind: 'COMPOSITES' },
    ]
    expect(compare({ types, indexes }, { keyspaces: [], tables: [] })).toEqual([
      'error ks is missing in Target, with all of its tables and types',
    ])
  })

  test('what only Target has is a note, and comes last', () => {
    const more = table([KEY], 'more')
    const found = compare({}, { tables: [table([KEY, TIME]), more], keyspaces: ['ks', 'other'] })
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
