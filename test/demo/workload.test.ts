import { describe, expect, test } from 'vitest'
import { insertLiteral, type Order } from '../../demo/schema.ts'
import { checkRead } from '../../demo/workload.ts'

const ORDER: Order = {
  customer: 3,
  orderNo: 8,
  item: "carpenter's square",
  quantity: 2,
  paid: false,
  notes: ["it's", 'two'],
}

const { customer: _customer, orderNo: _orderNo, ...ROW } = ORDER

describe('a read', () => {
  test('of what was written is right', () => {
    expect(checkRead(ORDER, [ROW])).toBeUndefined()
    expect(checkRead({ ...ORDER, notes: null }, [{ ...ROW, notes: null }])).toBeUndefined()
  })

  test.each([
    { what: 'no row', rows: [], wrong: /3\/8: no row read/ },
    { what: 'another value', rows: [{ ...ROW, quantity: 5 }], wrong: /"quantity":"5".*read/ },
    { what: 'null for a list', rows: [{ ...ROW, notes: null }], wrong: /"notes":"null".*read/ },
    { what: 'the row twice', rows: [ROW, ROW], wrong: / and .*read/ },
  ])('of $what is told', ({ rows, wrong }) => {
    expect(checkRead(ORDER, rows)).toMatch(wrong)
  })
})

describe('an insert without prepared statement', () => {
  test('has its values as literals, with quotes doubled', () => {
    const { query, params } = insertLiteral(ORDER)
    expect(params).toEqual([])
    expect(query).toMatch(/VALUES \(3, 8, 'carpenter''s square', 2, false, \['it''s', 'two'\]\)$/)
  })

  test('writes null for no notes', () => {
    expect(insertLiteral({ ...ORDER, notes: null }).query).toMatch(/false, null\)$/)
  })
})
