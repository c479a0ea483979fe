import { describe, expect, test } from 'vitest'
import { compareRows, DIFFERENCES_MAX, type StoredRow } from '../../demo/comparison.ts'
import type { Values } from '../../demo/ledger.ts'

const VALUES: Values = { item: '"lamp"', quantity: '3', paid: 'true', notes: '["a"]' }
const TIMES: Values = { item: '100', quantity: '200', paid: '200', notes: '200' }
const ROW: StoredRow = { values: VALUES, writeTimes: TIMES }

const withValue = (change: Partial<Values>): StoredRow => ({
  ...ROW,
  values: { ...VALUES, ...change },
})
const withTime = (change: Partial<Values>): StoredRow => ({
  ...ROW,
  writeTimes: { ...TIMES, ...change },
})

const rows = (row: StoredRow | undefined) => new Map(row === undefined ? [] : [['1/7', row]])
const written = (values: Values | undefined) =>
  new Map(values === undefined ? [] : [['1/7', values]])

describe('a row of both clusters', () => {
  test('that is the same everywhere makes no difference', () => {
    expect(compareRows(rows(ROW), rows(ROW), written(VALUES))).toEqual({
      originRows: 1,
      targetRows: 1,
      writtenRows: 1,
      cells: 4,
      differenceCount: 0,
      differences: [],
    })
  })

  test.each<{
    what: string
    origin?: StoredRow
    target?: StoredRow
    written?: Values
    difference: string
  }>([
    {
      what: 'missing in Target',
      origin: ROW,
      written: VALUES,
      difference: 'order 1/7: written, but in Origin only',
    },
    {
      what: 'missing in Origin',
      target: ROW,
      written: VALUES,
      difference: 'order 1/7: written, but in Target only',
    },
    {
      what: 'missing in both',
      written: VALUES,
      difference: 'order 1/7: written, but in neither cluster',
    },
    {
      what: 'never written',
      origin: ROW,
      target: ROW,
      difference: 'order 1/7: in both clusters, though never written, or deleted',
    },
    {
      what: 'deleted in Origin only',
      target: ROW,
      difference: 'order 1/7: in Target only, though never written, or deleted',
    },
    {
      what: 'with another value',
      origin: ROW,
      target: withValue({ quantity: '4' }),
      written: VALUES,
      difference: 'order 1/7: quantity is 3 in Origin, 4 in Target',
    },
    {
      what: 'with null in one',
      origin: withValue({ notes: 'null' }),
      target: ROW,
      written: VALUES,
      difference: 'order 1/7: notes is null in Origin, ["a"] in Target',
    },
    {
      what: 'with another write time',
      origin: ROW,
      target: withTime({ item: '101' }),
      written: VALUES,
      difference: 'order 1/7: item was written at 100 in Origin, at 101 in Target',
    },
    {
      what: 'that is not as written',
      origin: ROW,
      target: ROW,
      written: { ...VALUES, paid: 'false' },
      difference: 'order 1/7: paid is true in both clusters, but false was written',
    },
  ])('$what', ({ origin, target, written: asWritten, difference }) => {
    const { differences, differenceCount } = compareRows(
      rows(origin),
      rows(target),
      written(asWritten),
    )
    expect(differences).toEqual([difference])
    expect(differenceCount).toBe(1)
  })

  test('every column that differs is told', () => {
    const target = withValue({ quantity: '4', paid: 'false' })
    expect(compareRows(rows(ROW), rows(target), written(VALUES)).differenceCount).toBe(2)
  })
})

test('all differences are counted, the first are told', () => {
  const count = DIFFERENCES_MAX + 5
  const many = new Map(Array.from({ length: count }, (_, i) => [`1/${i}`, VALUES]))
  const { differences, differenceCount } = compareRows(new Map(), new Map(), many)
  expect(differenceCount).toBe(count)
  expect(differences).toHaveLength(DIFFERENCES_MAX)
})
