/**
 * The demo's table and its statements. A row is an order of a customer; each customer is a partition.
 * Only columns that have a write time: no counters, no collections but a frozen one. Each partition has a
 * marker, written to each cluster past the proxy and with another value there: every read tells by it which
 * cluster has served it.
 */

export const KEYSPACE = 'zdm_demo'
export const TABLE = `${KEYSPACE}.orders`

export const SCHEMA: readonly string[] = [
  `CREATE KEYSPACE IF NOT EXISTS ${KEYSPACE} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`,
  `CREATE TABLE IF NOT EXISTS ${TABLE} (customer int, order_no int, item text, quantity int, paid boolean, ` +
    'notes frozen<list<text>>, marker text static, PRIMARY KEY (customer, order_no))',
]

/** What the marker says: the cluster whose it is, as `zdm` spells it. */
export const INSERT_MARKER = `INSERT INTO ${TABLE} (customer, marker) VALUES (?, ?)`

/** The columns whose values and write times are compared. */
export const COLUMNS = ['item', 'quantity', 'paid', 'notes'] as const
export type Column = (typeof COLUMNS)[number]

export interface Order {
  readonly customer: number
  readonly orderNo: number
  readonly item: string
  readonly quantity: number
  readonly paid: boolean
  readonly notes: readonly string[] | null
}

export const orderKey = ({ customer, orderNo }: Pick<Order, 'customer' | 'orderNo'>): string =>
  `${customer}/${orderNo}`

export interface Statement {
  readonly query: string
  readonly params: readonly unknown[]
}

export const insertPrepared = (order: Order): Statement => ({
  query: `INSERT INTO ${TABLE} (customer, order_no, item, quantity, paid, notes) VALUES (?, ?, ?, ?, ?, ?)`,
  params: [order.customer, order.orderNo, order.item, order.quantity, order.paid, order.notes],
})

const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`

/** The same as text alone, as an application without prepared statements would send it. */
export const insertLiteral = ({ customer, orderNo, ...order }: Order): Statement => {
  const notes = order.notes === null ? 'null' : `[${order.notes.map(quote).join(', ')}]`
  const values = [customer, orderNo, quote(order.item), order.quantity, order.paid, notes]
  return {
    query: `INSERT INTO ${TABLE} (customer, order_no, item, quantity, paid, notes) VALUES (${values.join(', ')})`,
    params: [],
  }
}

/** Changes what is not part of the key, except the item. */
export const updatePrepared = (order: Order): Statement => ({
  query: `UPDATE ${TABLE} SET quantity = ?, paid = ?, notes = ? WHERE customer = ? AND order_no = ?`,
  params: [order.quantity, order.paid, order.notes, order.customer, order.orderNo],
})

export const deletePrepared = ({ customer, orderNo }: Order): Statement => ({
  query: `DELETE FROM ${TABLE} WHERE customer = ? AND order_no = ?`,
  params: [customer, orderNo],
})

export const selectPrepared = ({ customer, orderNo }: Order): Statement => ({
  query: `SELECT item, quantity, paid, notes, marker FROM ${TABLE} WHERE customer = ? AND order_no = ?`,
  params: [customer, orderNo],
})

export const selectLiteral = ({ customer, orderNo }: Order): Statement => ({
  query: `SELECT item, quantity, paid, notes, marker FROM ${TABLE} WHERE customer = ${customer} AND order_no = ${orderNo}`,
  params: [],
})

/** Every row with the write time of every compared column, as `item_time` and so on. */
export const SELECT_ALL = `SELECT customer, order_no, ${COLUMNS.join(', ')}, ${COLUMNS.map(
  (column) => `WRITETIME(${column}) AS ${column}_time`,
).join(', ')} FROM ${TABLE}`

/** The same of one customer. */
export const SELECT_OF_CUSTOMER = `${SELECT_ALL} WHERE customer = ?`
