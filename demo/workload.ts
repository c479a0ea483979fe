/**
 * An application at work: a real driver, connected to the proxies only, that writes with prepared and
 * unprepared statements and with batches, and checks what its reads return and which cluster has served
 * them. The driver gives each write its time stamp, as drivers do, so both clusters store the same.
 */
import type cassandra from 'cassandra-driver'
import type { ClusterWord } from '../src/control/phase.ts'
import { messageOf } from '../src/message-of.ts'
import { Ledger, type Operation, type Values, valuesOf } from './ledger.ts'
import {
  type Column,
  deletePrepared,
  INSERT_MARKER,
  insertLiteral,
  insertPrepared,
  type Order,
  SCHEMA,
  type Statement,
  selectLiteral,
  selectPrepared,
  updatePrepared,
} from './schema.ts'
import type { ServedReads } from './served-reads.ts'

/** At work at the same time, each with one request under way. */
export const CUSTOMERS = 24
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

/** Of several workloads together. */
export const addWork = (all: readonly Readonly<WorkDone>[]): WorkDone => {
  const sum = (read: (done: Readonly<WorkDone>) => number): number =>
    all.reduce((total, done) => total + read(done), 0)
  return {
    requests: sum(({ requests }) => requests),
    counts: {
      prepared: sum(({ counts }) => counts.prepared),
      unprepared: sum(({ counts }) => counts.unprepared),
      batch: sum(({ counts }) => counts.batch),
      read: sum(({ counts }) => counts.read),
    },
    wrongReads: all.flatMap(({ wrongReads }) => wrongReads),
    failures: all.flatMap(({ failures }) => failures),
  }
}

/** Written to one cluster, past the proxy: what its reads tell is where they come from. */
export const writeMarkers = async (
  direct: cassandra.Client,
  cluster: ClusterWord,
  customers: readonly number[],
): Promise<void> => {
  const write = (customer: number) =>
    direct.execute(INSERT_MARKER, [customer, cluster], { prepare: true })
  await Promise.all(customers.map(write))
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
  readonly customers: readonly number[]
  readonly served: ServedReads
  readonly #client: cassandra.Client
  readonly #ledgers: readonly Ledger[]

  constructor(client: cassandra.Client, customers: readonly number[], served: ServedReads) {
    this.#client = client
    this.customers = customers
    this.served = served
    this.#ledgers = customers.map((customer) => new Ledger(customer))
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
    const startedAtMs = performance.now()
    const { rows } = await execute(this.#client, statement, isPrepared)
    this.served.note(rows[0]?.['marker'], startedAtMs, performance.now())
    const wrong = checkRead(order, rows)
    if (wrong !== undefined) this.done.wrongReads.push(wrong)
  }
}
