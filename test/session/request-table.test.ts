import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RequestKind, RequestTable } from '../../src/session/request-table.ts'
import type { UpstreamConnection } from '../../src/upstream/connection.ts'

/** Takes an index as the dispatcher does: it is nobody's until it has a kind. */
const take = (table: RequestTable, kind: number = RequestKind.ON_BOTH): number => {
  const index = table.take()
  table.kind[index] = kind
  return index
}

/** The table only keeps connections; it never looks into them. */
const connectionLike = (): UpstreamConnection => ({}) as UpstreamConnection

describe('a request table', () => {
  test('hands out each index once, grows without a bound, and forgets nothing by it', () => {
    const table = new RequestTable()
    const taken = Array.from({ length: 5000 }, (_, i) => {
      const index = take(table)
      table.stream[index] = i
      table.startMs[index] = i + 0.5
      table.chunk[index] = Uint8Array.of(i)
      return index
    })
    expect(new Set(taken).size).toBe(5000)
    expect(table.inFlight).toBe(5000)
    expect(taken.map((index) => table.stream[index])).toEqual(taken.map((_, i) => i))
    expect(taken.map((index) => table.startMs[index])).toEqual(taken.map((_, i) => i + 0.5))
    expect(taken.map((index) => table.chunk[index]![0])).toEqual(taken.map((_, i) => i & 0xff))
  })

  test('takes again what was given back last', () => {
    const table = new RequestTable()
    const [first, second] = [take(table), take(table)]
    table.release(first)
    table.release(second)
    expect([take(table), take(table)]).toEqual([second, first])
  })

  test('tells a sweep where to stop', () => {
    const table = new RequestTable()
    expect(table.highWater).toBe(0)
    const indices = Array.from({ length: 3 }, () => take(table))
    expect(table.highWater).toBe(Math.max(...indices) + 1)
    for (const index of indices) table.release(index)
    take(table)
    expect(table.highWater).toBe(3)
  })

  test('keeps nothing of a request that is forgotten', () => {
    const table = new RequestTable()
    const index = take(table)
    table.chunk[index] = new Uint8Array(9)
    table.held[index] = new Uint8Array(9)
    table.setUpstream(index, 0, connectionLike(), 1)
    table.setUpstream(index, 1, connectionLike(), 2)
    table.release(index)
    expect(table.kind[index]).toBe(RequestKind.FREE)
    expect([table.chunk, table.held, table.session, table.statement].map((a) => a[index])).toEqual([
      null,
      null,
      null,
      null,
    ])
    expect([table.connection(index, 0), table.connection(index, 1)]).toEqual([null, null])
  })

  test('gives each use of an index another generation', () => {
    const table = new RequestTable()
    const index = take(table)
    const before = table.generation[index]
    table.release(index)
    expect(take(table)).toBe(index)
    expect(table.generation[index]).not.toBe(before)
  })

  test('refuses to forget a request twice: two would share its index', () => {
    const table = new RequestTable()
    const index = take(table)
    table.release(index)
    expect(() => table.release(index)).toThrow('released twice')
    expect(table.inFlight).toBe(0)
  })

  test('knows connection, slot and what is owed per cluster', () => {
    const table = new RequestTable()
    const index = take(table)
    const [origin, target] = [connectionLike(), connectionLike()]
    table.setUpstream(index, 0, origin, 11)
    table.setUpstream(index, 1, target, 22)
    expect(table.connection(index, 0)).toBe(origin)
    expect(table.connection(index, 1)).toBe(target)
    expect([table.slot(index, 0), table.slot(index, 1)]).toEqual([11, 22])
    table.outstanding[index] = 0b10
    expect([table.owes(index, 0), table.owes(index, 1)]).toEqual([false, true])
  })
})

describe('whatever is taken and released', () => {
  test('it accounts as a map would', () => {
    const steps = fc.array(fc.tuple(fc.boolean(), fc.nat({ max: 5000 })), { maxLength: 300 })
    fc.assert(
      fc.property(fc.nat({ max: 2000 }), steps, (before, commands) => {
        const table = new RequestTable()
        const model = new Map<number, number>()
        const add = (mark: number): void => {
          const index = take(table)
          expect(model.has(index)).toBe(false)
          table.chunkStart[index] = mark
          model.set(index, mark)
        }
        for (let i = 0; i < before; i++) add(i)
        for (const [isTake, choice] of commands) {
          if (isTake) add(choice)
          else if (model.size > 0) {
            const index = [...model.keys()][choice % model.size]!
            table.release(index)
            model.delete(index)
          }
        }
        expect(table.inFlight).toBe(model.size)
        for (const [index, mark] of model) {
          expect(table.chunkStart[index]).toBe(mark)
          expect(index).toBeLessThan(table.highWater)
        }
        const live = [...table.kind.keys()].filter((i) => table.kind[i] !== RequestKind.FREE)
        expect(live.sort()).toEqual([...model.keys()].sort())
      }),
      { numRuns: 30 },
    )
  })
})
