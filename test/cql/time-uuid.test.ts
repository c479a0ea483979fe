/** Version 1 UUIDs as now() makes them (request-path §3.5). */
import { randomFillSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { TimeUuidGenerator, timeUuid } from '../../src/cql/time-uuid.ts'
import { decodeUuid } from '../../src/cql/values.ts'

const random = (bytes: Uint8Array): Uint8Array => randomFillSync(bytes)

/** Ticks of 100 ns since 1582, as RFC 9562 §5.1 lays them out. */
const ticksOf = (uuid: Uint8Array): bigint => {
  const hex = Buffer.from(uuid).toString('hex')
  return BigInt(`0x${hex.slice(13, 16)}${hex.slice(8, 12)}${hex.slice(0, 8)}`)
}

test('the fields are where they belong: the check vector of the Go proxy', () => {
  const ticks = 1636481612n * 10_000_000n + 7053706n
  const node = Uint8Array.of(0, 2, 4, 6, 7, 8)
  expect(decodeUuid(timeUuid(ticks, 123, node))).toBe('bf928f8a-4188-11ec-807b-000204060708')
})

describe('a generator', () => {
  test('makes version 1 of the IETF variant, with a multicast node of its own', () => {
    const [a, b] = [new TimeUuidGenerator(random), new TimeUuidGenerator(random)].map((generator) =>
      generator.next(1636481612705),
    )
    for (const uuid of [a!, b!]) {
      expect(uuid[6]! >> 4).toBe(1)
      expect(uuid[8]! >> 6).toBe(2)
      expect(uuid[10]! & 1).toBe(1)
    }
    expect(a!.slice(10)).not.toEqual(b!.slice(10))
  })

  test('rises within a millisecond and when the clock goes back, the sequence by one', () => {
    const generator = new TimeUuidGenerator(random)
    const uuids = [5000, 5000, 4000, 5001].map((ms) => generator.next(ms))
    const ticks = uuids.map(ticksOf)
    expect(ticks.map((each) => Number(each - ticks[0]!))).toEqual([0, 1, 2, 10_000])
    const sequences = uuids.map((uuid) => ((uuid[8]! & 0x3f) << 8) | uuid[9]!)
    const steps = sequences.slice(1).map((each, at) => (each - sequences[at]! + 0x4000) % 0x4000)
    expect(steps).toEqual([1, 1, 1])
  })

  test('never makes the same twice', () => {
    const generator = new TimeUuidGenerator(random)
    const made = Array.from({ length: 40_000 }, () => decodeUuid(generator.next(7)))
    expect(new Set(made).size).toBe(made.length)
  })
})
