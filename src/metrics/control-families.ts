/** The families of the routing state and of the writes that one cluster lacks. None is the Go proxy's. */
import type { ControlSeries } from './control-series.ts'
import { type Gathered, type MetricFamily, type Point, total } from './family.ts'
import type { FailedTable } from './plane-series.ts'

const OWN = { isPrefixed: true, isReference: false } as const

const PHASES = ['connect', 'migrate', 'dual-read', 'target-reads', 'cut-over', 'rolled-back']
const VERBS = ['advance', 'rollback', 'route', 'align']

/** Nothing where there is no switch: in a proxy that tests have made by hand. */
const of =
  (read: (control: ControlSeries) => readonly Point[]): MetricFamily['read'] =>
  ({ control }) =>
    control === null ? [] : read(control)

/** 1 for the word that holds, 0 for the others. */
const oneOf = (label: string, words: readonly string[], current: string): readonly Point[] =>
  words.map((word) => ({ labels: { [label]: word }, value: word === current ? 1 : 0 }))

const CLUSTERS = [
  ['origin', 'originOnly'],
  ['target', 'targetOnly'],
] as const satisfies readonly (readonly [string, keyof FailedTable])[]

const missingWrites = ({ planes }: Gathered): readonly Point[] =>
  CLUSTERS.map(([cluster, key]) => ({
    labels: { cluster },
    value: total(planes, ({ failedTables: rows }) => rows.reduce((sum, row) => sum + row[key], 0)),
  }))

const missingWritesByTable = ({ planes }: Gathered): readonly Point[] => {
  const sums = new Map<string, { labels: Record<string, string>; value: number }>()
  for (const { failedTables: rows } of planes) {
    for (const row of rows) {
      const { keyspace, table } = row
      for (const [cluster, key] of CLUSTERS) {
        const count = row[key]
        if (count === 0) continue
        const labels = { cluster, keyspace, table }
        const name = JSON.stringify(labels)
        const value = (sums.get(name)?.value ?? 0) + count
        sums.set(name, { labels, value })
      }
    }
  }
  return [...sums.values()]
}

export const CONTROL_FAMILIES: readonly MetricFamily[] = [
  {
    ...OWN,
    name: 'migration_phase',
    type: 'gauge',
    labels: { phase: PHASES },
    help: 'Is 1 for the phase that the instance is in.',
    read: of(({ phase }) => oneOf('phase', PHASES, phase)),
  },
  {
    ...OWN,
    name: 'routing_primary',
    type: 'gauge',
    labels: { cluster: ['origin', 'target'] },
    help: 'Is 1 for the cluster that serves reads.',
    read: of(({ primary }) => oneOf('cluster', ['origin', 'target'], primary.toLowerCase())),
  },
  {
    ...OWN,
    name: 'routing_read_mode',
    type: 'gauge',
    labels: { mode: ['primary_only', 'dual_async_on_secondary'] },
    help: 'Is 1 for the read mode.',
    read: of(({ readMode }) =>
      oneOf('mode', ['primary_only', 'dual_async_on_secondary'], readMode.toLowerCase()),
    ),
  },
  {
    ...OWN,
    name: 'routing_write_mode',
    type: 'gauge',
    labels: { mode: ['both', 'origin_only', 'target_only'] },
    help: 'Is 1 for the write mode; anything but `both` has ended the safety net.',
    read: of(({ writeMode }) => oneOf('mode', ['both', 'origin_only', 'target_only'], writeMode)),
  },
  {
    ...OWN,
    name: 'routing_revision',
    type: 'gauge',
    labels: {},
    help: 'Counts the changes of the deployment; must be equal on all instances.',
    read: of(({ revision }) => [{ labels: {}, value: revision }]),
  },
  {
    ...OWN,
    name: 'routing_last_change_timestamp_seconds',
    type: 'gauge',
    labels: {},
    help: 'When the routing state was changed last; where it never was, the start.',
    read: of(({ changedAtSeconds }) => [{ labels: {}, value: changedAtSeconds }]),
  },
  {
    ...OWN,
    name: 'routing_last_quiescence_seconds',
    type: 'gauge',
    labels: {},
    help: 'From the last change until the last request that was routed before it was answered.',
    read: of(({ quiescenceSeconds }) => [{ labels: {}, value: quiescenceSeconds }]),
  },
  {
    ...OWN,
    name: 'routing_changes_total',
    type: 'counter',
    labels: { verb: VERBS },
    help: 'Changes of the routing state since the start.',
    read: of(({ changes }) =>
      VERBS.map((verb) => ({ labels: { verb }, value: changes[verb] ?? 0 })),
    ),
  },
  {
    ...OWN,
    name: 'routing_checks_failed_total',
    type: 'counter',
    labels: { check: "the check's name, see docs/operations.md" },
    help: 'Checks that failed when a change was asked for, forced ones included.',
    read: of(({ failedChecks }) =>
      failedChecks.map(([check, value]) => ({ labels: { check }, value })),
    ),
  },
  {
    ...OWN,
    name: 'writes_missing_total',
    type: 'counter',
    labels: {
      cluster: ['origin', 'target'],
      keyspace: 'as in the statement or of the session',
      table: 'empty where the statement names none',
    },
    help: 'Writes that succeeded on the other cluster only, conditional ones that only it applied, or were not answered in time by this one alone; at most 500 tables per thread are told apart.',
    read: missingWritesByTable,
  },
  {
    ...OWN,
    name: 'writes_unreconciled',
    type: 'gauge',
    labels: { cluster: CLUSTERS.map(([cluster]) => cluster) },
    help: 'Writes that this cluster lacks since it was last made equal (zdm reconciled), as zdm status has them and the check failed-writes; over restarts too where routing_state_path is set.',
    read: of(({ unreconciled }) =>
      CLUSTERS.map(([cluster]) => ({ labels: { cluster }, value: unreconciled[cluster] })),
    ),
  },
  {
    ...OWN,
    name: 'one_sided_writes_total',
    type: 'counter',
    labels: { cluster: CLUSTERS.map(([cluster]) => cluster) },
    help: 'All of writes_missing_total together, by the cluster that lacks them. It is there from the start, with 0, so that rate() and increase() see the first one.',
    read: missingWrites,
  },
]
