import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SLOT_CALL, SLOT_FREE, SLOT_ORPHAN, SlotTable } from '../../src/upstream/slots.ts'

const takeAll = (slots: SlotTable): number[] => {
  const taken: number[] = []
  while (slots.hasFree) taken.push(slots.take(taken.length))
  return taken
}

describe('a slot table', () => {
  test.each([1, 2, 63, 64, 65, 128, 1000, 32_767])(
    'of %i hands out each id once, never 0',
    (max) => {
      const slots = new SlotTable(max)
      const taken = takeAll(slots)
      expect(taken).toHaveLength(max)
      expect(new Set(taken).size).toBe(max)
      expect(Math.min(...taken)).toBe(1)
      expect(Math.max(...taken)).toBe(max)
      expect(slots.used).toBe(max)
    },
  )

  test('starts small, and hands out the lowest first', () => {
    const slots = new SlotTable(32_767)
    expect(slots.owner.length).toBe(64)
    expect([slots.take(0), slots.take(0), slots.take(0)]).toEqual([1, 2, 3])
  })

  test('gives back last in, first out', () => {
    const slots = new SlotTable(100)
    const [first, second] = [slots.take(7), slots.take(8)]
    slots.release(first)
    slots.release(second)
    expect([slots.take(9), slots.take(10)]).toEqual([second, first])
  })

  test('knows the owner of an id while it is taken', () => {
    const slots = new SlotTable(100)
    const request = slots.take(4711)
    const call = slots.take(SLOT_CALL)
    expect(slots.ownerOf(request)).toBe(4711)
    expect(slots.ownerOf(call)).toBe(SLOT_CALL)
    slots.release(request)
    expect(slots.ownerOf(request)).toBe(SLOT_FREE)
  })

  test.each([0, 5, 63, 64, 100, 32_767])('nobody owns id %i of an empty table', (streamId) => {
    expect(new SlotTable(100).ownerOf(streamId)).toBe(SLOT_FREE)
  })

  test('an orphan stays taken until it is released', () => {
    const slots = new SlotTable(2)
    const orphan = slots.take(0)
    slots.orphan(orphan)
    slots.take(1)
    expect(slots.hasFree).toBe(false)
    expect(slots.ownerOf(orphan)).toBe(SLOT_ORPHAN)
    slots.release(orphan)
    expect(slots.take(2)).toBe(orphan)
    expect(slots.orphans).toBe(0)
  })

  test('keeps its owners when it grows', () => {
    const slots = new SlotTable(500)
    const taken = takeAll(slots)
    expect(taken.map((slot) => slots.ownerOf(slot))).toEqual(taken.map((_, i) => i))
  })
})

/** A map, and the set of those that are orphans. */
class Model {
  readonly owners = new Map<number, number>()
  readonly orphans = new Set<number>()
}

describe('whatever is taken, orphaned and released', () => {
  test('it accounts as a map would', () => {
    const steps = fc.array(
      fc.tuple(fc.constantFrom('take', 'release', 'orphan'), fc.nat({ max: 300 })),
      { maxLength: 400 },
    )
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 150 }), steps, (max, commands) => {
        const slots = new SlotTable(max)
        const model = new Model()
        for (const [kind, choice] of commands) {
          const taken = [...model.owners.keys()]
          if (kind === 'take') {
            expect(slots.hasFree).toBe(model.owners.size < max)
            if (!slots.hasFree) continue
            const slot = slots.take(choice)
            expect(model.owners.has(slot)).toBe(false)
            expect(slot).toBeGreaterThan(0)
            model.owners.set(slot, choice)
          } else if (taken.length > 0) {
            const slot = taken[choice % taken.length]!
            if (kind === 'release') {
              slots.release(slot)
              model.owners.delete(slot)
              model.orphans.delete(slot)
            } else if (!model.orphans.has(slot)) {
              slots.orphan(slot)
              model.owners.set(slot, SLOT_ORPHAN)
              model.orphans.add(slot)
            }
          }
          expect(slots.used).toBe(model.owners.size)
          expect(slots.orphans).toBe(model.orphans.size)
        }
        for (let slot = 0; slot <= max + 1; slot++) {
          expect(slots.ownerOf(slot)).toBe(model.owners.get(slot) ?? SLOT_FREE)
        }
      }),
    )
  })
})
