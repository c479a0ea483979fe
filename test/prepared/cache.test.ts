import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PreparedCache } from '../../src/prepared/cache.ts'
import { PreparedStatement } from '../../src/prepared/statement.ts'
import { StatementClass } from '../../src/statement/classify.ts'

const statement = (id: Uint8Array, nowMs = 0, textLength = 10): PreparedStatement =>
  new PreparedStatement(
    {
      id,
      ids: [id, id],
      columnDigests: [null, null],
      statementClass: StatementClass.READ,
      text: new Uint8Array(textLength),
      keyspace: null,
    },
    nowMs,
  )

/** An id of 16 bytes as a digest would be. */
const idOf = (seed: number): Uint8Array => {
  const id = new Uint8Array(16)
  new DataView(id.buffer).setUint32(0, Math.imul(seed + 1, 0x9e3779b1) >>> 0)
  new DataView(id.buffer).setUint32(12, seed)
  return id
}

const find = (cache: PreparedCache, id: Uint8Array): PreparedStatement | null =>
  cache.find(id, 0, id.length)

const hex = (id: Uint8Array): string => Buffer.from(id).toString('hex')

describe('a prepared cache', () => {
  test('finds an id where it lies in a request', () => {
    const cache = new PreparedCache(100)
    const known = statement(idOf(1))
    cache.add(known)
    const request = new Uint8Array(50)
    request.set(known.id, 11)
    expect(cache.find(request, 11, 16)).toBe(known)
    expect(cache.find(request, 10, 16)).toBeNull()
    expect(cache.find(request, 11, 15)).toBeNull()
    expect(find(cache, idOf(2))).toBeNull()
  })

  test('replaces what had the same id', () => {
    const cache = new PreparedCache(100)
    cache.add(statement(idOf(1)))
    const newer = statement(idOf(1).slice())
    cache.add(newer)
    expect(find(cache, idOf(1))).toBe(newer)
    expect(cache.size).toBe(1)
  })

  test('tells ids apart that begin with the same word', () => {
    const cache = new PreparedCache(1000)
    const ids = Array.from({ length: 300 }, (_, i) => {
      const id = new Uint8Array(16).fill(0xff)
      id[14] = i >> 8
      id[15] = i
      return id
    })
    const added = ids.map((id) => statement(id))
    for (const one of added) cache.add(one)
    expect(ids.map((id) => find(cache, id))).toEqual(added)
  })

  test('takes ids of any length', () => {
    const cache = new PreparedCache(1000)
    const ids = [0, 1, 2, 3, 4, 5, 15, 17, 64].flatMap((length) =>
      [0, 0x80, 0xff].map((byte) => new Uint8Array(length).fill(byte)),
    )
    const last = new Map(ids.map((id) => [hex(id), statement(id)]))
    for (const one of last.values()) cache.add(one)
    for (const id of ids) expect(find(cache, id)).toBe(last.get(hex(id)))
    expect(cache.size).toBe(last.size)
  })

  test('grows far beyond its first table', () => {
    const cache = new PreparedCache(10_000)
    const added = Array.from({ length: 5000 }, (_, i) => statement(idOf(i)))
    for (const one of added) cache.add(one)
    expect(added.filter((one) => find(cache, one.id) !== one)).toEqual([])
    expect(cache.size).toBe(5000)
  })
})

describe('at its bound', () => {
  test('the least recently used go, a tenth at once', () => {
    const cache = new PreparedCache(100)
    const added = Array.from({ length: 100 }, (_, i) => statement(idOf(i), i))
    for (const one of added) cache.add(one)
    added[0]!.lastUsedMs = 1000
    cache.add(statement(idOf(100), 1001))
    expect(cache.size).toBe(91)
    const gone = added.filter((one) => find(cache, one.id) === null)
    expect(gone.map((one) => one.lastUsedMs)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect(cache.evictions).toBe(10)
  })

  test.each([1, 2, 5, 9, 10, 11])(
    '%i entries are never exceeded, and the newest is there',
    (max) => {
      const cache = new PreparedCache(max)
      for (let i = 0; i < 50; i++) {
        cache.add(statement(idOf(i), i))
        expect(cache.size).toBeLessThanOrEqual(max)
        expect(find(cache, idOf(i))).not.toBeNull()
      }
    },
  )

  test('replacing one makes nobody go', () => {
    const cache = new PreparedCache(10)
    for (let i = 0; i < 10; i++) cache.add(statement(idOf(i), i))
    cache.add(statement(idOf(0), 20))
    expect(cache.size).toBe(10)
    expect(cache.evictions).toBe(0)
  })

  test('long texts count by their bytes', () => {
    const cache = new PreparedCache(1000, 1_000_000)
    for (let i = 0; i < 100; i++) cache.add(statement(idOf(i), i, 100_000))
    expect(cache.size).toBeGreaterThan(5)
    expect(cache.size).toBeLessThan(10)
    expect(find(cache, idOf(99))).not.toBeNull()
    expect(find(cache, idOf(0))).toBeNull()
    for (let i = 200; i < 800; i++) cache.add(statement(idOf(i), i, 10))
    expect(cache.size).toBeGreaterThan(500)
  })

  test('a statement that grows counts anew', () => {
    const cache = new PreparedCache(1000, 100_000)
    for (let i = 0; i < 20; i++) cache.add(statement(idOf(i), i, 2_000))
    expect(cache.size).toBe(20)
    cache.add(statement(idOf(7), 30, 80_000))
    expect(cache.size).toBeLessThan(10)
    expect(find(cache, idOf(7))?.text).toHaveLength(80_000)
  })

  test('a statement that is prepared again and again counts once', () => {
    const cache = new PreparedCache(1000, 100_000)
    cache.add(statement(idOf(1), 1))
    for (let i = 2; i < 20; i++) cache.add(statement(idOf(2), i, 50_000))
    cache.add(statement(idOf(3), 30))
    expect(cache.size).toBe(3)
  })

  test('one statement longer than all of it is kept: its client is about to execute it', () => {
    const cache = new PreparedCache(1000, 100_000)
    cache.add(statement(idOf(1), 1))
    cache.add(statement(idOf(2), 2, 500_000))
    expect(cache.size).toBe(1)
    expect(find(cache, idOf(2))).not.toBeNull()
    cache.add(statement(idOf(3), 3))
    expect(find(cache, idOf(3))).not.toBeNull()
    expect(cache.size).toBe(1)
  })
})

describe('whatever is added, looked up and forgotten', () => {
  test('what it finds is what was added last, and what a full model would', () => {
    const id = fc.oneof(
      fc.nat({ max: 40 }).map(idOf),
      fc.uint8Array({ maxLength: 5 }),
      fc.nat({ max: 20 }).map((seed) => Uint8Array.of(0, 0, 0, 0, seed)),
    )
    const steps = fc.array(fc.tuple(fc.constantFrom('add', 'find'), id), { maxLength: 200 })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), steps, (max, commands) => {
        const cache = new PreparedCache(max)
        const model = new Map<string, PreparedStatement>()
        for (const [at, [kind, key]] of commands.entries()) {
          if (kind === 'add') {
            const one = statement(key, at)
            cache.add(one)
            model.set(hex(key), one)
            expect(find(cache, key)).toBe(one)
          } else {
            const found = find(cache, key)
            if (found !== null) {
              expect(found).toBe(model.get(hex(key)))
              found.lastUsedMs = at
            } else if (model.size <= max) expect(model.has(hex(key))).toBe(false)
          }
          expect(cache.size).toBeLessThanOrEqual(max)
          if (model.size <= max) expect(cache.size).toBe(model.size)
        }
        const kept = [...model.values()].filter((one) => find(cache, one.id) === one)
        const gone = [...model.values()].filter((one) => find(cache, one.id) === null)
        expect(kept.length + gone.length).toBe(model.size)
        expect(kept.length).toBe(cache.size)
        // Nothing was forgotten that was used later than something that is left.
        const oldestKept = Math.min(...kept.map((one) => one.lastUsedMs))
        for (const one of gone) expect(one.lastUsedMs).toBeLessThan(oldestKept)
      }),
    )
  })
})
