import { expect, test } from 'vitest'
import { compareNodeSettings, type NodeSettings } from '../../src/check/node-settings.ts'

const settings = (values: Readonly<Record<string, string>>): NodeSettings =>
  new Map(Object.entries(values))

type Values = Readonly<Record<string, string>>

test.each<[string, Values, Values, RegExp | null]>([
  [
    'the same',
    { batch_size_fail_threshold: '50KiB' },
    { batch_size_fail_threshold: '50KiB' },
    null,
  ],
  ['nothing known', {}, {}, null],
  [
    'the same under the name of 4.0',
    { batch_size_fail_threshold_in_kb: '50' },
    { batch_size_fail_threshold: '50KiB' },
    null,
  ],
  [
    'a lower size',
    { batch_size_fail_threshold_in_kb: '50' },
    { batch_size_fail_threshold: '10240B' },
    /batch_size_fail_threshold is stricter in Target: batches above 10240B .* Origin has 50 \(batch_size_fail_threshold_in_kb\)/,
  ],
  ['a higher size', { max_mutation_size: '16MiB' }, { max_mutation_size: '32768KiB' }, null],
  [
    'a limit where there was none',
    { items_per_collection_fail_threshold: '-1' },
    { items_per_collection_fail_threshold: '20' },
    /items_per_collection_fail_threshold .* above 20 .* Origin has no limit/,
  ],
  [
    'no limit where there was one',
    { column_value_size_fail_threshold: '1MiB' },
    { column_value_size_fail_threshold: 'null' },
    null,
  ],
  [
    'something switched off',
    { user_timestamps_enabled: 'true' },
    { user_timestamps_enabled: 'false' },
    /user_timestamps_enabled is false in Target only: USING TIMESTAMP/,
  ],
  [
    'switched off in both',
    { allow_filtering_enabled: 'false' },
    { allow_filtering_enabled: 'false' },
    null,
  ],
  [
    'a consistency level refused',
    { write_consistency_levels_disallowed: '[ANY]' },
    { write_consistency_levels_disallowed: '[ANY, ONE]' },
    /write_consistency_levels_disallowed refuses writes at ONE in Target only/,
  ],
])('%s', (_, origin, target, expected) => {
  const found = compareNodeSettings(settings(origin), settings(target))
  expect(found).toHaveLength(expected === null ? 0 : 1)
  if (expected === null) return
  expect(`${found[0]!.subject} ${found[0]!.text}`).toMatch(expected)
  expect(found[0]).toMatchObject({
    severity: 'warning',
    remedy: expect.stringContaining('cassandra.yaml'),
  })
})
