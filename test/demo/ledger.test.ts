import { describe, expect, test } from 'vitest'
import { Ledger, type Operation, ORDERS_MAX, type Random } from '../../demo/ledger.ts'
import { type Order, orderKey } from '../../demo/schema.ts'

/** A small linear congruential generator: the same operations in every run. */
const seeded = (seed: number): Random => {
  let state = seed
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return state / 2 ** 31
  }
}

const run = (ledger: Ledger, count: number, onNext: (operation: Operation) => void): void => {
  for (let i = 0; i < count; i += 1) {
    const operation = ledger.next()
    onNext(operation)
    ledger.acknowledge(operation)
  }
}

const touched = (operation: Operation): readonly Order[] =>
  operation.kind === 'batch' ? [...operation.inserted, operation.updated] : [operation.order]

describe('what a customer does next', () => {
  test('begins with an insert', () => {
    expect(new Ledger(1).next().kind).toBe('insert')
  })

  test('is every kind of operation, before long', () => {
    const seen = new Set<string>()
    run(new Ledger(1, seeded(1)), 500, (operation) => {
      const isPrepared = 'isPrepared' in operation ? operation.isPrepared : true
      seen.add(isPrepared ? operation.kind : `${operation.kind} unprepared`)
    })
    expect([...seen].sort()).toEqual([
      'batch',
      'delete',
      'insert',
      'insert unprepared',
      'read',
      'read unprepared',
      'update',
    ])
  })

  test('changes, reads and deletes only orders that exist, as they are', () => {
    const ledger = new Ledger(7, seeded(2))
    run(ledger, 2000, (operation) => {
      if (operation.kind === 'read' || operation.kind === 'delete') {
        expect(ledger.orders.get(orderKey(operation.order))).toBe(operation.order)
      }
      if (operation.kind === 'insert') {
        expect(ledger.orders.has(orderKey(operation.order))).toBe(false)
      }
      for (const order of touched(operation)) expect(order.customer).toBe(7)
    })
  })

  test('an update keeps the item, which its statement does not write', () => {
    const ledger = new Ledger(1, seeded(3))
    run(ledger, 2000, (operation) => {
      const updated = operation.kind === 'batch' ? operation.updated : undefined
      const order = operation.kind === 'update' ? operation.order : updated
      if (order === undefined) return
      expect(order.item).toBe(ledger.orders.get(orderKey(order))?.item)
    })
  })

  test('keeps within its bound however long it goes on', () => {
    const ledger = new Ledger(1, seeded(4))
    let most = 0
    run(ledger, 20_000, () => {
      most = Math.max(most, ledger.orders.size)
    })
    expect(most).toBeGreaterThan(ORDERS_MAX * 0.9)
    expect(most).toBeLessThanOrEqual(ORDERS_MAX)
  })

  test('a write that was not acknowledged is not expected', () => {
    const ledger = new Ledger(1)
    ledger.next()
    expect(ledger.orders.size).toBe(0)
  })
})
