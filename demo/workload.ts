/**
 * An application at work: a real driver, connected to the proxy only, that writes with prepared and
 * unprepared statements and with batches, and checks what its reads return. The driver gives each
 * write its time stamp, as drivers do, so both clusters store the same.
 */
import type cassandra from 'cassandra-driver'
import { messageOf } from '../src/message-of.ts'
import { Ledger, type Operation, type Values, valuesOf } from './ledger.ts'
import {
  type Column,
  deletePrepared,
  insertLiteral,
  insertPrepared,
  type Order,
  SCHEMA,
  type Statement,
  selectLiteral,
  selectPrepared,
  updatePrepared,
} from './schema.ts'

const CUSTOMERS = 24
/** After so many failed requests there is nothing more to learn. */
const FAILURES_MAX = 10

export interface WorkDone {
  requests: number
  /** Requests by what they were, for the report. */
  readonly counts: Record<'prepared' | 'unprepared' | 'batch' | 'read', number>
  /** Reads that did not return what had been written, and requests that failed: lines for a person. */
  readonly wrongReads: string[]
  readonly failures: string[]
}

export const createSchema = async (client: cassandra.Client): Promise<void> => {
  for (const statement of SCHEMA) await client.execute(statement)
}

const execute = (
  client: cassandra.Client,
  { query, params }: Statement,
  prepare: boolean,
): Promise<cassandra.types.ResultSet> =>
  client.execute(query, [...params], { prepare, isIdempotent: true })

const executeBatch = (
  client: cassandra.Client,
  statements: readonly Statement[],
): Promise<cassandra.types.ResultSet> => {
  const queries = statements.map(({ query, params }) => ({ query, params: [...params] }))
  return client.batch(queries, { prepare: true, isIdempotent: true })
}

/** What is wrong with the answer to a read; undefined if it is what was written. */
export const checkRead = (
  order: Order,
  rows: readonly Readonly<Record<string, unknown>>[],
): string | undefined => {
  const written = JSON.stringify(valuesOf(order))
  const returned = rows.map((row) => JSON.stringify(valuesOf(row as Record<Column, unknown>)))
  if (returned.length === 1 && returned[0] === written) return undefined
  const what = returned.length === 0 ? 'no row' : returned.join(' and ')
  return `order ${order.customer}/${order.orderNo}: ${what} read, ${written} written`
}

export class Workload {
  readonly done: WorkDone = {
    requests: 0,
    counts: { prepared: 0, unprepared: 0, batch: 0, read: 0 },
    wrongReads: [],
    failures: [],
  }
  readonly #client: cassandra.Client
  readonly #ledgers = Array.from({ length: CUSTOMERS }, (_, i) => new Ledger(i + 1))

  constructor(client: cassandra.Client) {
    this.#client = client
  }

  /** What every order must be now, by `orderKey`. */
  written(): Map<string, Values> {
    const orders = this.#ledgers.flatMap((ledger) => [...ledger.orders])
    return new Map(orders.map(([key, order]) => [key, valuesOf(order)]))
  }

  /** Works until the signal says so, or too many requests failed; then everything is answered. */
  async run(until: AbortSignal): Promise<void> {
    await Promise.all(this.#ledgers.map((ledger) => this.#serve(ledger, until)))
  }

  async #serve(ledger: Ledger, until: AbortSignal): Promise<void> {
    const { failures } = this.done
    while (!until.aborted && failures.length < FAILURES_MAX) {
      const operation = ledger.next()
      try {
        await this.#perform(operation)
        ledger.acknowledge(operation)
        this.done.requests += 1
      } catch (error) {
        failures.push(`${operation.kind} failed: ${messageOf(error)}`)
      }
    }
  }

  async #perform(operation: Operation): Promise<void> {
    const client = this.#client
    const { counts } = this.done
    switch (operation.kind) {
      case 'insert': {
        const { order, isPrepared } = operation
        counts[isPrepared ? 'prepared' : 'unprepared'] += 1
        await execute(client, isPrepared ? insertPrepared(order) : insertLiteral(order), isPrepared)
        break
      }
      case 'update':
        counts.prepared += 1
        await execute(client, updatePrepared(operation.order), true)
        break
      case 'delete':
        counts.prepared += 1
        await execute(client, deletePrepared(operation.order), true)
        break
      case 'batch': {
        counts.batch += 1
        const inserts = operation.inserted.map(insertPrepared)
        await executeBatch(client, [...inserts, updatePrepared(operation.updated)])
        break
      }
      case 'read':
        await this.#read(operation.order, operation.isPrepared)
        break
    }
  }

  async #read(order: Order, isPrepared: boolean): Promise<void> {
    this.done.counts.read += 1
    const statement = isPrepared ? selectPrepared(order) : selectLiteral(order)
    const { rows } = await execute(this.#client, statement, isPrepared)
    const wrong = checkRead(order, rows)
    if (wrong !== undefined) this.done.wrongReads.push(wrong)
  }
}
