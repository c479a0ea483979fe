import { describe, expect, test } from 'vitest'
import { type OfferingCluster, offeredOptions } from '../../src/cluster/supported-options.ts'
import { Version } from '../../src/cql/protocol.ts'

const ALL = ['lz4', 'snappy', 'zstd']

const cluster = (
  supported: Readonly<Record<string, readonly string[]>>,
  version: Version = Version.V5,
): OfferingCluster => ({ supported: new Map(Object.entries(supported)), version })

const offered = (origin: OfferingCluster, target: OfferingCluster, spoken = ALL) =>
  Object.fromEntries(offeredOptions(origin, target, spoken))

describe('COMPRESSION', () => {
  test.each([
    { origin: ['snappy', 'lz4'], target: ['lz4', 'snappy'], expected: ['snappy', 'lz4'] },
    { origin: ['snappy', 'lz4'], target: ['lz4'], expected: ['lz4'] },
    { origin: ['lz4'], target: ['zstd', 'snappy'], expected: [] },
    { origin: ['LZ4'], target: ['lz4'], expected: [] },
    { origin: ['lz4', 'brotli'], target: ['lz4', 'brotli'], expected: ['lz4'] },
    { origin: [], target: ['lz4'], expected: [] },
    { origin: ['lz4'], target: undefined, expected: [] },
    { origin: undefined, target: ['lz4'], expected: undefined },
    { origin: undefined, target: undefined, expected: undefined },
  ])('$origin and $target: $expected', ({ origin, target, expected }) => {
    const options = offered(
      cluster(origin === undefined ? {} : { COMPRESSION: origin }),
      cluster(target === undefined ? {} : { COMPRESSION: target }),
    )
    expect(options['COMPRESSION']).toEqual(expected)
  })

  test('what the proxy does not speak is not offered', () => {
    const both = cluster({ COMPRESSION: ['snappy', 'lz4'] })
    expect(offered(both, both, ['lz4'])['COMPRESSION']).toEqual(['lz4'])
    expect(offered(both, both, [])['COMPRESSION']).toEqual([])
  })
})

const V3_TO_V5 = ['3/v3', '4/v4', '5/v5']

describe('PROTOCOL_VERSIONS', () => {
  test.each([
    { versions: [5, 5], listed: [V3_TO_V5, V3_TO_V5], expected: V3_TO_V5 },
    { versions: [4, 5], listed: [V3_TO_V5, V3_TO_V5], expected: ['3/v3', '4/v4'] },
    { versions: [5, 3], listed: [V3_TO_V5, V3_TO_V5], expected: ['3/v3'] },
    { versions: [5, 5], listed: [[...V3_TO_V5, '6/v6-beta'], V3_TO_V5], expected: V3_TO_V5 },
    { versions: [5, 5], listed: [V3_TO_V5, ['4/v4', '5/v5']], expected: ['4/v4', '5/v5'] },
    { versions: [5, 4], listed: [['5/v5', '3/v3'], ['4/v4']], expected: [] },
    {
      versions: [4, 4],
      listed: [['3/v3', '4/v4', '5/v5-beta'], undefined],
      expected: ['3/v3', '4/v4'],
    },
    { versions: [5, 4], listed: [undefined, undefined], expected: ['3/v3', '4/v4'] },
    { versions: [5, 5], listed: [['4/v4', '66/dse-v2'], V3_TO_V5], expected: ['4/v4'] },
  ])('negotiated $versions, listed $listed: $expected', ({ versions, listed, expected }) => {
    const [origin, target] = versions.map((version, at) => {
      const list = listed[at]
      return cluster(list === undefined ? {} : { PROTOCOL_VERSIONS: list }, version as Version)
    })
    expect(offered(origin!, target!)['PROTOCOL_VERSIONS']).toEqual(expected)
  })
})

describe('CQL_VERSION', () => {
  test.each([
    { origin: ['3.4.4'], target: ['3.4.7'], expected: ['3.4.4'] },
    { origin: ['3.4.7'], target: ['3.4.4'], expected: ['3.4.4'] },
    { origin: ['3.4.10'], target: ['3.4.9'], expected: ['3.4.9'] },
    { origin: ['3.4'], target: ['3.4.1'], expected: ['3.4'] },
    { origin: ['3.4.7-SNAPSHOT'], target: ['3.4.6'], expected: ['3.4.6'] },
    { origin: ['3.4.6'], target: ['3.4.7-SNAPSHOT'], expected: ['3.4.6'] },
    { origin: ['3.4.6'], target: undefined, expected: ['3.4.6'] },
    { origin: undefined, target: ['3.4.6'], expected: ['3.4.6'] },
    { origin: [], target: ['3.4.6'], expected: ['3.4.6'] },
    { origin: undefined, target: undefined, expected: undefined },
  ])('$origin and $target: $expected', ({ origin, target, expected }) => {
    const options = offered(
      cluster(origin === undefined ? {} : { CQL_VERSION: origin }),
      cluster(target === undefined ? {} : { CQL_VERSION: target }),
    )
    expect(options['CQL_VERSION']).toEqual(expected)
  })
})

test('everything else is what Target says, and neither answer is changed', () => {
  const origin = cluster({ SCYLLA_SHARD: ['1'], COMPRESSION: ['lz4'], PAGE_UNIT: ['row'] })
  const target = cluster({ PAGE_UNIT: ['byte'], COMPRESSION: ['lz4'] })
  const before = JSON.stringify([...origin.supported, ...target.supported])
  expect(offered(origin, target)).toEqual({
    PAGE_UNIT: ['byte'],
    COMPRESSION: ['lz4'],
    PROTOCOL_VERSIONS: V3_TO_V5,
  })
  expect(JSON.stringify([...origin.supported, ...target.supported])).toBe(before)
})
