/**
 * What one customer's orders must be, and which operation comes next: pure but for the ledger's own
 * rows. A customer has one operation under way at a time, so what a read must return is known.
 */
import { COLUMNS, type Column, type Order, orderKey } from './schema.ts'

export type Operation =
  | { readonly kind: 'insert'; readonly order: Order; readonly isPrepared: boolean }
  | { readonly kind: 'update'; readonly order: Order }
  | { readonly kind: 'delete'; readonly order: Order }
  | { readonly kind: 'batch'; readonly inserted: readonly Order[]; readonly updated: Order }
  | { readonly kind: 'read'; readonly order: Order; readonly isPrepared: boolean }

/** With this many orders a customer makes no more, so that a long run needs no more memory. */
export const ORDERS_MAX = 500
const BATCH_INSERTS_MAX = 3

const ITEMS = ['lamp', "carpenter's square", 'kettle', 'Fahrradklingel', '急須', 'rope; 10 m']

/** From 0 inclusive to 1 exclusive, as Math.random. */
export type Random = () => number

const pick = <T>(random: Random, values: readonly T[]): T =>
  values[Math.floor(random() * values.length)]!

/** Out of a hundred operations, once there are orders. */
const SHARES: readonly (readonly [Operation['kind'] | 'insertLiteral' | 'readLiteral', number])[] =
  [
    ['insert', 22],
    ['insertLiteral', 6],
    ['update', 16],
    ['batch', 8],
    ['delete', 3],
    ['read', 38],
    ['readLiteral', 7],
  ]

const chooseKind = (random: Random) => {
  let left = random() * 100
  for (const [kind, share] of SHARES) {
    left -= share
    if (left < 0) return kind
  }
  return 'read'
}

export class Ledger {
  readonly #customer: number
  readonly #random: Random
  readonly #orders = new Map<string, Order>()
  #nextOrderNo = 0

  constructor(customer: number, random: Random = Math.random) {
    this.#customer = customer
    this.#random = random
  }

  get orders(): ReadonlyMap<string, Order> {
    return this.#orders
  }

  next(): Operation {
    const random = this.#random
    const kind = this.#orders.size === 0 ? 'insert' : chooseKind(random)
    const isFull = this.#orders.size > ORDERS_MAX - BATCH_INSERTS_MAX - 1
    switch (kind) {
      case 'insert':
      case 'insertLiteral':
        if (isFull) return { kind: 'update', order: this.#change() }
        return { kind: 'insert', order: this.#create(), isPrepared: kind === 'insert' }
      case 'update':
        return { kind: 'update', order: this.#change() }
      case 'batch': {
        const count = isFull ? 0 : 1 + Math.floor(random() * BATCH_INSERTS_MAX)
        const inserted = Array.from({ length: count }, () => this.#create())
        return { kind: 'batch', inserted, updated: this.#change() }
      }
      case 'delete':
        return { kind: 'delete', order: this.#pick() }
      case 'read':
      case 'readLiteral':
        return { kind: 'read', order: this.#pick(), isPrepared: kind === 'read' }
    }
  }

  /** Notes a write that was acknowledged. */
  acknowledge(operation: Operation): void {
    switch (operation.kind) {
      case 'insert':
      case 'update':
        this.#put(operation.order)
        break
      case 'batch':
        for (const order of [...operation.inserted, operation.updated]) this.#put(order)
        break
      case 'delete':
        this.#orders.delete(orderKey(operation.order))
        break
      case 'read':
        break
    }
  }

  #put(order: Order): void {
    this.#orders.set(orderKey(order), order)
  }

  #pick(): Order {
    return pick(this.#random, [...this.#orders.values()])
  }

  #create(): Order {
    this.#nextOrderNo += 1
    const base = { customer: this.#customer, orderNo: this.#nextOrderNo }
    return { ...base, item: pick(this.#random, ITEMS), ...this.#mutable() }
  }

  #change(): Order {
    return { ...this.#pick(), ...this.#mutable() }
  }

  #mutable(): Pick<Order, 'quantity' | 'paid' | 'notes'> {
    const random = this.#random
    const count = Math.floor(random() * 4)
    const notes = Array.from({ length: count }, () => `note ${Math.floor(random() * 1000)}`)
    // None at all is null: an update then deletes the cell, in both clusters.
    return {
      quantity: 1 + Math.floor(random() * 99),
      paid: random() < 0.5,
      notes: count === 0 ? null : notes,
    }
  }
}

export type Values = Readonly<Record<Column, string>>

/** One spelling for a value as we made it and as the driver returns it. */
export const spell = (value: unknown): string => JSON.stringify(value ?? null)

export const valuesOf = (row: Readonly<Record<Column, unknown>>): Values => {
  const spelt = COLUMNS.map((column) => [column, spell(row[column])] as const)
  return Object.fromEntries(spelt) as Record<Column, string>
}
