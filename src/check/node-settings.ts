/**
 * What Target's nodes refuse that Origin's accept, by their own settings (system_views.settings, Cassandra
 * 4.0 and later). A table of what matters, and the comparison. Pure.
 */
import { type Difference, difference } from './schema.ts'

/** By name; a value that is not set is absent or `null`. */
export type NodeSettings = ReadonlyMap<string, string>

type Limit = {
  /** As releases have called it, the newest first. */
  readonly names: readonly string[]
  /** What is above it. */
  readonly meaning: string
}

const LIMITS: readonly Limit[] = [
  {
    names: ['batch_size_fail_threshold', 'batch_size_fail_threshold_in_kb'],
    meaning: 'batches',
  },
  { names: ['max_mutation_size', 'max_mutation_size_in_kb'], meaning: 'writes of one partition' },
  {
    names: ['native_transport_max_frame_size', 'native_transport_max_frame_size_in_mb'],
    meaning: 'requests',
  },
  { names: ['column_value_size_fail_threshold'], meaning: 'values' },
  { names: ['collection_size_fail_threshold'], meaning: 'collections' },
  { names: ['items_per_collection_fail_threshold'], meaning: 'collections of more items' },
  { names: ['page_size_fail_threshold'], meaning: 'reads with larger pages' },
  { names: ['partition_keys_in_select_fail_threshold'], meaning: 'reads of more partitions' },
  {
    names: ['in_select_cartesian_product_fail_threshold'],
    meaning: 'reads with more combinations of IN',
  },
  {
    names: ['tombstone_failure_threshold'],
    meaning: 'reads that meet more tombstones',
  },
]

/** What a node does unless its setting says false. */
const FLAGS: readonly (readonly [name: string, meaning: string])[] = [
  ['user_timestamps_enabled', 'USING TIMESTAMP, also of a copy that keeps write times'],
  ['read_before_write_list_operations_enabled', 'writes of lists that read first'],
  ['allow_filtering_enabled', 'ALLOW FILTERING'],
  ['group_by_enabled', 'GROUP BY'],
  ['use_statements_enabled', 'USE'],
  ['drop_truncate_table_enabled', 'TRUNCATE and DROP TABLE'],
]

const LISTS: readonly (readonly [name: string, meaning: string])[] = [
  ['write_consistency_levels_disallowed', 'writes'],
  ['read_consistency_levels_disallowed', 'reads'],
]

const REMEDY = 'change it in cassandra.yaml of Target’s nodes, or what the application does'

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KiB: 1 << 10,
  MiB: 1 << 20,
  GiB: 1 << 30,
}
const UNIT_IN_NAME: Readonly<Record<string, number>> = { kb: 1 << 10, mb: 1 << 20 }

/** In bytes or items; infinite where nothing is set, which nodes tell as null or -1. */
const limitOf = (settings: NodeSettings, { names }: Limit): number => {
  for (const name of names) {
    const match = /^(\d+)([A-Za-z]*)$/.exec(settings.get(name) ?? '')
    if (match === null) continue
    const inName = UNIT_IN_NAME[/_in_(kb|mb)$/.exec(name)?.[1] ?? ''] ?? 1
    return Number(match[1]) * (UNITS[match[2]!] ?? 1) * inName
  }
  return Number.POSITIVE_INFINITY
}

const shown = (settings: NodeSettings, { names }: Limit): string => {
  const name = names.find((candidate) => settings.has(candidate))
  const value = name === undefined ? null : settings.get(name)
  return value === null || value === '-1' ? 'no limit' : `${value} (${name})`
}

/** `[ANY, ONE]` */
const wordsOf = (settings: NodeSettings, name: string): string[] =>
  (settings.get(name) ?? '').match(/\w+/g)?.filter((word) => word !== 'null') ?? []

/** Where Target is stricter; where it is not, nothing follows for the migration. */
export const compareNodeSettings = (origin: NodeSettings, target: NodeSettings): Difference[] => {
  const limits = LIMITS.filter((limit) => limitOf(target, limit) < limitOf(origin, limit))
  const flags = FLAGS.filter(
    ([name]) => target.get(name) === 'false' && origin.get(name) !== 'false',
  )
  const lists = LISTS.flatMap(([name, meaning]) => {
    const here = wordsOf(origin, name)
    const added = wordsOf(target, name).filter((word) => !here.includes(word))
    return added.length === 0 ? [] : [{ name, meaning, added }]
  })
  return [
    ...limits.map((limit) =>
      difference(
        'warning',
        limit.names[0]!,
        `is stricter in Target: ${limit.meaning} above ${shown(target, limit)} are refused there; Origin has ${shown(origin, limit)}`,
        REMEDY,
      ),
    ),
    ...flags.map(([name, meaning]) =>
      difference('warning', name, `is false in Target only: ${meaning} is refused there`, REMEDY),
    ),
    ...lists.map(({ name, meaning, added }) =>
      difference(
        'warning',
        name,
        `refuses ${meaning} at ${added.join(', ')} in Target only`,
        REMEDY,
      ),
    ),
  ]
}
