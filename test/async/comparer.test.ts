/** What bounds comparing: memory, second looks, time of a turn. */
import { describe, expect, test } from 'vitest'
import { Comparer, KEPT_BYTES_MAX, RECHECKS_MAX } from '../../src/async/comparer.ts'
import {
  COMPARED_LENGTH_MAX,
  type Comparison,
  type ComparisonOrigin,
} from '../../src/async/comparison.ts'
import { CopyPools } from '../../src/async/copy-pools.ts'
import { keyedHash, MismatchRing, SAMPLES_MAX } from '../../src/async/mismatch-samples.ts'
import { encodeQuery } from '../../src/cql/messages/query.ts'
import { encodeResult } from '../../src/cql/messages/result.ts'
import { Opcode, ResultKind, TypeId, versionTraits } from '../../src/cql/protocol.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import { createLogger } from '../../src/log.ts'
import { AsyncMetrics, MISMATCH_TABLES_MAX } from '../../src/metrics/async-metrics.ts'
import { Cluster } from '../../src/routing/cluster.ts'
import { Sampler } from '../../src/sampler.ts'
import { UpstreamPool } from '../../src/upstream/pool.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { buildEnvelope, compressBody } from '../support/fake-cluster/wire.ts'

const TRAITS = versionTraits(4)!

const answer = (value: string): Uint8Array => {
  const type = { kind: 'native', id: TypeId.VARCHAR } as const
  const columns = [{ keyspace: 'ks', table: 't', name: 'v', type }]
  return encodeResult(
    new BodyWriter(),
    {
      kind: ResultKind.ROWS,
      metadata: { columnCount: 1, columns },
      rows: [[new TextEncoder().encode(value)]],
    },
    TRAITS,
  ).toEnvelope(0x84, 0, 0, Opcode.RESULT)
}

const makeOrigin = (clock: FakeClock): ComparisonOrigin => {
  const pool = (cluster: Cluster): UpstreamPool =>
    new UpstreamPool(
      {
        cluster,
        connectionsPerNodeMax: 1,
        isExclusive: false,
        clock,
        open: () => Promise.reject(new Error('no node')),
        onExclusiveLost: () => {},
        onReconnectFailed: () => {},
      },
      [],
    )
  const profile = {
    traits: TRAITS,
    startupOptions: new Map(),
    credentials: [null, null],
    keyspace: null,
    exclusiveTo: null,
  } as const
  const text = 'SELECT v FROM t'
  const query = { text, parameters: { consistency: 1, skipMetadata: false } }
  const envelope = encodeQuery(new BodyWriter(), query, TRAITS).toEnvelope(4, 0, 0, Opcode.QUERY)
  return {
    request: { envelope, statement: null, traits: TRAITS, compression: null, keyspace: 'ks' },
    pools: new CopyPools(profile, [pool(0), pool(1)], 0, () => {}),
    preferredNode: [0, 0],
    primary: Cluster.ORIGIN,
  }
}

const setUp = () => {
  const clock = new FakeClock()
  const metrics = new AsyncMetrics([1])
  const scheduled: (() => void)[] = []
  const asked: { comparison: Comparison; cluster: Cluster }[] = []
  const comparer = new Comparer({
    recheckDelayMs: () => 1000,
    hashSecret: new Uint8Array(32),
    clock,
    log: createLogger({ level: 'error', clock, sink: { write: () => {} } }),
    metrics,
    schedule: (run) => scheduled.push(run),
    isSameTokenOrder: () => true,
    prepareToReadAgain: () => {},
    readAgain: (comparison, cluster) => asked.push({ comparison, cluster }),
    keyIndices: () => null,
  })
  const origin = makeOrigin(clock)
  const begin = (): Comparison => comparer.start(origin)!
  const give = (comparison: Comparison, primary: Uint8Array, secondary: Uint8Array): void => {
    comparison.onAnswer(primary, 0, primary.length)
    comparison.take(Cluster.TARGET, secondary, 0, secondary.length)
  }
  const run = (): void => {
    while (scheduled.length > 0) scheduled.shift()!()
  }
  return { clock, metrics, scheduled, asked, comparer, origin, begin, give, run }
}

describe('comparing', () => {
  test('happens in a later turn, and never twice at once', () => {
    const { begin, give, run, metrics, scheduled } = setUp()
    for (let i = 0; i < 5; i++) give(begin(), answer('a'), answer('a'))
    expect(metrics.compared.equal).toBe(0)
    expect(scheduled).toHaveLength(1)
    run()
    expect(metrics.compared.equal).toBe(5)
  })

  test('goes on in the next turn when its time is over', () => {
    const { clock, begin, give, metrics, scheduled } = setUp()
    for (let i = 0; i < 3; i++) give(begin(), answer('a'), answer('a'))
    const now = clock.now.bind(clock)
    let reads = 0
    clock.now = () => now() + reads++
    scheduled.shift()!()
    expect(metrics.compared.equal).toBe(1)
    expect(scheduled).toHaveLength(1)
  })

  test('keeps so many bytes and no more; what is settled makes room', () => {
    const { begin, give, run, metrics } = setUp()
    const big = answer('x'.repeat(COMPARED_LENGTH_MAX - 200))
    const pairs = Math.floor(KEPT_BYTES_MAX / big.length / 2) + 2
    for (let i = 0; i < pairs; i++) give(begin(), big, big)
    expect(metrics.skipped.busy).toBeGreaterThan(0)
    run()
    const { busy } = metrics.skipped
    give(begin(), big, big)
    run()
    expect(metrics.skipped.busy).toBe(busy)
    expect(metrics.compared.equal).toBe(pairs - busy + 1)
  })

  test('leaves out what is too large', () => {
    const { begin, give, metrics } = setUp()
    give(begin(), answer('a'), answer('x'.repeat(COMPARED_LENGTH_MAX)))
    expect(metrics.skipped.tooLarge).toBe(1)
  })

  test('takes each cluster’s answer once, in any order', () => {
    const { begin, run, metrics } = setUp()
    const comparison = begin()
    const [a, b] = [answer('a'), answer('b')]
    comparison.take(Cluster.TARGET, a, 0, a.length)
    comparison.take(Cluster.TARGET, b, 0, b.length)
    comparison.onAnswer(a, 0, a.length)
    run()
    expect(metrics.compared.equal).toBe(1)
  })
})

test('requests count as well: there is no room for comparisons without end', () => {
  const { comparer, origin, metrics } = setUp()
  const envelope = new Uint8Array(COMPARED_LENGTH_MAX)
  const large = { ...origin, request: { ...origin.request, envelope } }
  const room = KEPT_BYTES_MAX / COMPARED_LENGTH_MAX
  for (let i = 0; i < room; i++) expect(comparer.start(large)).not.toBeNull()
  expect(comparer.start(large)).toBeNull()
  expect(metrics.skipped.busy).toBe(1)
  const larger = new Uint8Array(COMPARED_LENGTH_MAX + 1)
  expect(comparer.start({ ...origin, request: { ...origin.request, envelope: larger } })).toBeNull()
  expect(metrics.skipped.tooLarge).toBe(1)
})

test('what is settled leaves nothing behind', () => {
  const { comparer, begin, give, run, asked, clock } = setUp()
  for (let i = 0; i < RECHECKS_MAX * 2; i++) give(begin(), answer('a'), answer(i % 2 ? 'a' : 'b'))
  run()
  clock.advance(1000)
  comparer.sweep(clock.now())
  for (const comparison of new Set(asked.map((one) => one.comparison))) {
    give(comparison, answer('a'), answer('b'))
  }
  run()
  // All the room there is can be had again, to the byte.
  expect(comparer.keep(KEPT_BYTES_MAX)).toBe(true)
})

describe('a second look', () => {
  test('is due after the delay, at both clusters', () => {
    const { clock, comparer, begin, give, run, asked, metrics } = setUp()
    give(begin(), answer('a'), answer('b'))
    run()
    comparer.sweep(clock.now())
    clock.advance(999)
    comparer.sweep(clock.now())
    expect(asked).toEqual([])
    clock.advance(1)
    comparer.sweep(clock.now())
    expect(asked.map(({ cluster }) => cluster)).toEqual([Cluster.ORIGIN, Cluster.TARGET])
    give(asked[0]!.comparison, answer('a'), answer('b'))
    run()
    expect(metrics.compared).toEqual({ equal: 0, equalLater: 0, mismatch: 1 })
    expect(comparer.samples()).toHaveLength(1)
  })

  test('that gets no answer counts nothing', () => {
    const { clock, comparer, begin, give, run, asked, metrics } = setUp()
    give(begin(), answer('a'), answer('b'))
    run()
    clock.advance(1000)
    comparer.sweep(clock.now())
    asked[0]!.comparison.take(Cluster.ORIGIN, null, 0, 0)
    asked[0]!.comparison.take(Cluster.TARGET, null, 0, 0)
    run()
    expect(metrics.compared.mismatch).toBe(0)
    expect(metrics.skipped.noRows).toBe(1)
  })

  test('is not for more than so many at a time', () => {
    const { begin, give, run, metrics } = setUp()
    for (let i = 0; i < RECHECKS_MAX + 3; i++) give(begin(), answer('a'), answer('b'))
    run()
    expect(metrics.skipped.busy).toBe(3)
  })
})

test('samples: the last hundred, oldest first', () => {
  const ring = new MismatchRing()
  const sample = (atMs: number) => ({ atMs }) as Parameters<MismatchRing['add']>[0]
  for (let i = 0; i < SAMPLES_MAX + 5; i++) ring.add(sample(i))
  expect(ring.list().map(({ atMs }) => atMs)).toEqual(
    Array.from({ length: SAMPLES_MAX }, (_, i) => i + 5),
  )
})

test('hashes tell values apart, and secrets', () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
  const secret = bytes('secret')
  const hashes = [
    keyedHash(secret, [bytes('ab'), bytes('c')]),
    keyedHash(secret, [bytes('a'), bytes('bc')]),
    keyedHash(secret, [bytes('abc')]),
    keyedHash(secret, [bytes('abc'), null]),
    keyedHash(secret, [bytes('abc'), bytes('')]),
    keyedHash(bytes('other'), [bytes('abc')]),
  ]
  expect(new Set(hashes).size).toBe(hashes.length)
  expect(keyedHash(secret, [bytes('abc')])).toBe(hashes[2])
})

test('more tables than are told apart are counted together', () => {
  const metrics = new AsyncMetrics([1])
  for (let i = 0; i < MISMATCH_TABLES_MAX + 7; i++) metrics.countMismatch('ks', `t${i}`)
  metrics.countMismatch('ks', 't3')
  const { mismatches, compared } = metrics.toSeries()
  expect(mismatches).toHaveLength(MISMATCH_TABLES_MAX + 1)
  expect(mismatches.at(-1)).toEqual({ keyspace: 'other', table: 'other', count: 7 })
  expect(mismatches[3]).toEqual({ keyspace: 'ks', table: 't3', count: 2 })
  expect(compared.mismatch).toBe(MISMATCH_TABLES_MAX + 8)
})

test.each([0, 1, 10, 50, 99, 100])('a sampler takes %i %% of many', (percent) => {
  const sampler = new Sampler(percent)
  let taken = 0
  for (let i = 0; i < 100_000; i++) if (sampler.takes()) taken++
  expect(Math.abs(taken - percent * 1000)).toBeLessThan(percent % 100 === 0 ? 1 : 700)
})

describe('compressed answers', () => {
  const packed = (plain: Uint8Array): Uint8Array =>
    buildEnvelope(0x84, 1, 0, Opcode.RESULT, compressBody('lz4', plain.subarray(9)))

  test('are compared by what is in them', () => {
    const { comparer, origin, give, run, metrics } = setUp()
    const compressed = { ...origin, request: { ...origin.request, compression: 'lz4' } as const }
    give(comparer.start(compressed)!, packed(answer('a')), answer('a'))
    run()
    expect(metrics.compared.equal).toBe(1)
  })

  test('are not compared where they become too large, or are damaged', () => {
    const { comparer, origin, give, run, metrics } = setUp()
    const compressed = { ...origin, request: { ...origin.request, compression: 'lz4' } as const }
    give(comparer.start(compressed)!, packed(answer('x'.repeat(COMPARED_LENGTH_MAX))), answer('a'))
    give(comparer.start(compressed)!, packed(answer('a')).subarray(0, 20), answer('a'))
    run()
    expect(metrics.skipped.tooLarge).toBe(2)
    expect(metrics.compared.equal).toBe(0)
  })
})
