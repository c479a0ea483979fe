/**
 * A cluster's schema as far as dual writes and a change of the cluster that serves reads depend on it, and
 * what a difference between two of them is called. Plain data; schema-query.ts reads it from a node.
 */

export type ColumnKind = 'partition_key' | 'clustering' | 'regular' | 'static'

export type Column = {
  readonly name: string
  /** As system_schema.columns has it: `frozen<list<int>>`. */
  readonly type: string
  readonly kind: ColumnKind
  /** Within the key, from 0; -1 for columns outside it. */
  readonly position: number
  /** asc or desc for clustering columns, else none. */
  readonly clusteringOrder: string
}

export type Table = {
  readonly keyspace: string
  readonly name: string
  readonly columns: readonly Column[]
  /** COMPACT STORAGE. */
  readonly isCompact: boolean
  /** Seconds; 0: rows live until they are deleted. */
  readonly defaultTtl: number
  readonly gcGraceSeconds: number
  /** The class without its package. */
  readonly compaction: string
}

/** A materialized view. */
export type View = {
  readonly keyspace: string
  readonly name: string
  readonly baseTable: string
}

export type Index = {
  readonly keyspace: string
  readonly table: string
  readonly name: string
  /** What it indexes, as its options say: `v`, `keys(m)`. */
  readonly target: string
  /** COMPOSITES, CUSTOM and the like. */
  readonly kind: string
}

export type UserType = {
  readonly keyspace: string
  readonly name: string
  /** In their order, which is part of the type. */
  readonly fields: readonly { readonly name: string; readonly type: string }[]
}

/** A user-defined function or aggregate. */
export type Routine = {
  readonly keyspace: string
  readonly name: string
  readonly argumentTypes: readonly string[]
}

export type Keyspace = {
  readonly name: string
  /** The class without its package: NetworkTopologyStrategy. */
  readonly strategy: string
  /** Replicas by datacenter; under `replication_factor` for SimpleStrategy. */
  readonly replicas: ReadonlyMap<string, number>
  readonly hasDurableWrites: boolean
}

export type Schema = {
  /** Sorted by name. */
  readonly keyspaces: readonly Keyspace[]
  /** Keyspaces of which nothing below was read: there are too many columns. */
  readonly unread: readonly string[]
  readonly tables: readonly Table[]
  readonly views: readonly View[]
  readonly indexes: readonly Index[]
  readonly types: readonly UserType[]
  readonly routines: readonly Routine[]
}

/**
 * error: writes to Target fail or are lost, or mean something else there. warning: some requests fail, or
 * answers differ, once Target serves them. note: harmless as long as nobody expects otherwise.
 */
export type Severity = 'error' | 'warning' | 'note'

export type Difference = {
  readonly severity: Severity
  /** `ks`, `ks.table`, `ks.table.column`, `ks.type`, or a setting. */
  readonly subject: string
  /** One line: what differs and what follows from it. */
  readonly text: string
  /** What to do about it; empty where there is nothing to do. */
  readonly remedy: string
}

export const difference = (
  severity: Severity,
  subject: string,
  text: string,
  remedy = '',
): Difference => ({ severity, subject, text, remedy })

const RANKS = { error: 0, warning: 1, note: 2 } as const satisfies Record<Severity, number>

/** The worst first; those of one severity stay in their order. */
export const bySeverity = (differences: readonly Difference[]): readonly Difference[] =>
  differences.toSorted((a, b) => RANKS[a.severity] - RANKS[b.severity])

/** Cassandra's own, DSE's too. */
export const isSystemKeyspace = (name: string): boolean =>
  name === 'system' || name.startsWith('system_') || name.startsWith('dse_')

/** As CQL has to write it. */
export const cqlName = (name: string): string =>
  /^[a-z][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`

/** As CQL writes it: quoted where it must be. */
export const qualifiedName = (keyspace: string, name: string): string =>
  `${cqlName(keyspace)}.${cqlName(name)}`
