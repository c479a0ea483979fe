import { describe, expect, test } from 'vitest'
import { ServedReads } from '../../demo/served-reads.ts'

/** Reads from Target; the change is made until 140. */
const changed = (): ServedReads => {
  const reads = new ServedReads('ORIGIN')
  reads.changeBegins('TARGET')
  reads.changeIsDone(140)
  return reads
}

describe('a read', () => {
  test.each([
    { what: 'before any change', marker: 'ORIGIN', at: [1, 2], is: 'settled' },
    { what: 'from elsewhere', marker: 'TARGET', at: [1, 2], is: 'misplaced' },
    { what: 'without a marker', marker: undefined, at: [1, 2], is: 'misplaced' },
  ] as const)('$what is $is', ({ marker, at: [from, to], is }) => {
    const reads = new ServedReads('ORIGIN')
    reads.note(marker, from, to)
    const counts = { settled: reads.settled, misplaced: reads.misplacedCount }
    expect(counts).toEqual({ settled: 0, misplaced: 0, [is]: 1 })
  })

  test.each([
    { what: 'that began before the change', marker: 'ORIGIN', at: [90, 150], isRight: true },
    { what: 'that began during the change', marker: 'ORIGIN', at: [120, 150], isRight: true },
    { what: 'that was served by the new one', marker: 'TARGET', at: [120, 150], isRight: true },
    { what: 'that began afterwards', marker: 'ORIGIN', at: [140, 150], isRight: false },
    { what: 'of nobody', marker: 'BOTH', at: [120, 150], isRight: false },
  ] as const)('$what, by $marker: right is $isRight', ({ marker, at: [from, to], isRight }) => {
    const reads = changed()
    reads.note(marker, from, to)
    expect(reads.misplacedCount).toBe(isRight ? 0 : 1)
    expect(reads.misplaced).toHaveLength(reads.misplacedCount)
  })
})

describe('a change', () => {
  test('tells when the cluster that served before answered its last read', () => {
    const reads = changed()
    expect(reads.lastFromOldAtMs).toBeNull()
    for (const answeredAt of [110, 135, 130]) reads.note('ORIGIN', 95, answeredAt)
    reads.note('TARGET', 150, 190)
    expect(reads.lastFromOldAtMs).toBe(135)
  })

  test('that leaves reads where they are has no last one', () => {
    const reads = new ServedReads('ORIGIN')
    reads.changeBegins('ORIGIN')
    reads.note('ORIGIN', 95, 110)
    reads.changeIsDone(140)
    expect(reads.lastFromOldAtMs).toBeNull()
  })

  test('counts the reads anew that are settled', () => {
    const reads = changed()
    reads.note('TARGET', 150, 190)
    reads.changeBegins('ORIGIN')
    expect(reads.settled).toBe(0)
    // It is being made: both are right, neither is settled.
    reads.note('TARGET', 201, 202)
    reads.note('ORIGIN', 203, 204)
    expect([reads.settled, reads.misplacedCount]).toEqual([0, 0])
  })
})
