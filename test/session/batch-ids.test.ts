import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HEADER_LENGTH } from '../../src/cql/envelope.ts'
import { ProtocolError } from '../../src/cql/errors.ts'
import { Version, versionTraits } from '../../src/cql/protocol.ts'
import { PreparedCache } from '../../src/prepared/cache.ts'
import { PreparedStatement } from '../../src/prepared/statement.ts'
import { BatchIds } from '../../src/session/batch-ids.ts'
import { StatementClass } from '../../src/statement/classify.ts'
import { batchBody } from '../support/fake-cluster/request-bodies.ts'

const idOf = (seed: number, length = 16): Uint8Array =>
  new Uint8Array(length).map((_, i) => (seed * 37 + i * 11) & 0xff)

const prepared = (seed: number, targetId = idOf(seed)): PreparedStatement =>
  new PreparedStatement(
    {
      id: idOf(seed),
      ids: [idOf(seed), targetId],
      columnDigests: [null, null],
      statementClass: StatementClass.WRITE,
      text: new Uint8Array(0),
      keyspace: null,
    },
    0,
  )

const cacheOf = (...statements: PreparedStatement[]): PreparedCache => {
  const cache = new PreparedCache(1000)
  for (const statement of statements) cache.add(statement)
  return cache
}

const child = (seed: number) => ({ id: idOf(seed), values: ['a', null] })
const text = { text: 'INSERT INTO ks.t (k) VALUES (?)', values: ['b'] }
const traits = versionTraits(Version.V4)!

const read = (
  batch: BatchIds,
  cache: PreparedCache,
  children: Parameters<typeof batchBody>[1],
  version: Version = Version.V4,
): Uint8Array => {
  const body = batchBody(version, children)
  const bytes = Buffer.concat([Buffer.alloc(HEADER_LENGTH), body])
  batch.read(bytes, HEADER_LENGTH, bytes.length, versionTraits(version)!, cache)
  return bytes
}

describe('the children of a batch', () => {
  test.each([Version.V3, Version.V4, Version.V5])(
    'v%i: prepared ones are found in order',
    (version) => {
      const [one, two] = [prepared(1), prepared(2)]
      const batch = new BatchIds()
      const children = [child(2), text, child(1), child(2)]
      const bytes = read(batch, cacheOf(one, two), children, version)
      expect(batch.statements).toEqual([two, one, two])
      const ids = batch.starts.map((start) => bytes.subarray(start, start + 16))
      expect(ids.map((id) => Buffer.from(id))).toEqual(
        [2, 1, 2].map((seed) => Buffer.from(idOf(seed))),
      )
      expect(batch.unknownLength).toBe(0)
    },
  )

  test('the first unknown id is told, and where it lies', () => {
    const batch = new BatchIds()
    const bytes = read(batch, cacheOf(prepared(1)), [child(1), child(8), text, child(9)])
    const { unknownStart, unknownLength } = batch
    const unknown = bytes.subarray(unknownStart, unknownStart + unknownLength)
    expect(Buffer.from(unknown)).toEqual(Buffer.from(idOf(8)))
  })

  test('nothing is left of the batch before', () => {
    const batch = new BatchIds()
    const cache = cacheOf(prepared(1), prepared(2))
    read(batch, cache, [child(1), child(2), child(9)])
    read(batch, cache, [child(2)])
    expect(batch.statements.map((statement) => statement.id)).toEqual([idOf(2)])
    expect(batch.starts).toHaveLength(1)
    expect(batch.unknownLength).toBe(0)
    read(batch, cache, [text])
    expect(batch.statements).toEqual([])
    read(batch, cache, [])
    expect(batch.starts).toEqual([])
  })

  test('a batch that is cut off is an error, and the next one is read as if nothing was', () => {
    const cache = cacheOf(prepared(1))
    const body = batchBody(Version.V4, [child(1), text, child(1)])
    // What follows the children is the consistency, which nobody reads here.
    const whole = new BatchIds()
    whole.read(body, 0, body.length, traits, cache)
    const childrenEnd = body.length - 3
    for (let end = 0; end < childrenEnd; end++) {
      const batch = new BatchIds()
      expect(() => batch.read(body, 0, end, traits, cache), `cut at ${end}`).toThrow(ProtocolError)
      read(batch, cache, [child(1)])
      expect(batch.statements).toHaveLength(1)
    }
  })

  test('that are in use are not forgotten', () => {
    const [one, two, idle] = [prepared(1), prepared(2), prepared(3)]
    const batch = new BatchIds()
    read(batch, cacheOf(one, two, idle), [child(1), child(2)])
    batch.touch(77)
    expect([one, two, idle].map((statement) => statement.lastUsedMs)).toEqual([77, 77, 0])
  })

  test('random ones: as a naive reading of the list has it', () => {
    const children = fc.array(fc.integer({ min: -1, max: 6 }), { maxLength: 40 })
    const batch = new BatchIds()
    const cache = cacheOf(prepared(0), prepared(1), prepared(2), prepared(3))
    fc.assert(
      fc.property(children, (seeds) => {
        read(
          batch,
          cache,
          seeds.map((seed) => (seed < 0 ? text : child(seed))),
        )
        const known = seeds.filter((seed) => seed >= 0 && seed <= 3)
        expect(batch.statements.map((statement) => statement.id)).toEqual(known.map((s) => idOf(s)))
        expect(batch.starts).toHaveLength(known.length)
        expect(batch.unknownLength > 0).toBe(seeds.some((seed) => seed > 3))
      }),
    )
  })
})

describe('differsOn', () => {
  test.each<[string, PreparedStatement[], [boolean, boolean]]>([
    ['no child', [], [false, false]],
    ['equal ids', [prepared(1), prepared(2)], [false, false]],
    ['one that Target knows by another id', [prepared(1), prepared(2, idOf(99))], [false, true]],
  ])('%s', (_name, statements, expected) => {
    const batch = new BatchIds()
    const children = statements.map((statement) => ({ id: statement.id }))
    read(batch, cacheOf(...statements), children)
    expect([batch.differsOn(0), batch.differsOn(1)]).toEqual(expected)
  })
})
