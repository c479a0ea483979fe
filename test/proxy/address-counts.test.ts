import { describe, expect, test } from 'vitest'
import {
  AddressCounts,
  addressOf,
  makeSharedAddressCounts,
} from '../../src/proxy/address-counts.ts'

describe('the address of a peer', () => {
  test.each([
    ['10.0.0.1:5000', '10.0.0.1'],
    ['[::ffff:10.0.0.1]:5000', '10.0.0.1'],
    ['[::ffff:a00:1]:5000', '10.0.0.1'],
    ['[2001:db8::1]:5000', '2001:db8::1'],
    ['[fe80::1%eth0]:5000', 'fe80::1%eth0'],
    ['unknown:0', 'unknown'],
  ])('%s is %s', (peer, address) => {
    expect(addressOf(peer)).toBe(address)
  })
})

describe('counts by address', () => {
  const threads = () => {
    const shared = makeSharedAddressCounts()
    return [new AddressCounts(shared), new AddressCounts(shared)] as const
  }

  test('are of all threads together, and each address has its own', () => {
    const [one, two] = threads()
    expect([one.take('a', 2), two.take('a', 2), one.take('a', 2), two.take('a', 2)]).toEqual([
      true,
      true,
      false,
      false,
    ])
    expect(two.take('b', 2)).toBe(true)
    two.release('a')
    expect([one.take('a', 2), one.take('a', 2)]).toEqual([true, false])
  })

  test('0 is no limit, and what came without one counts against one that comes later', () => {
    const [one, two] = threads()
    for (let i = 0; i < 100; i++) expect(one.take('a', 0)).toBe(true)
    expect(two.take('a', 100)).toBe(false)
    expect(two.take('a', 101)).toBe(true)
  })

  test('an address gives its place up with its last connection', () => {
    const shared = makeSharedAddressCounts()
    const counts = new AddressCounts(shared)
    const used = () => new BigUint64Array(shared.words).filter((word) => word !== 0n).length
    const addresses = Array.from({ length: 1000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`)
    for (const address of addresses) {
      counts.take(address, 1)
      counts.take(address, 2)
    }
    expect(used()).toBe(1000)
    for (const address of addresses) counts.release(address)
    expect(used()).toBe(1000)
    for (const address of addresses) counts.release(address)
    expect(used()).toBe(0)
  })

  test('where there is no place, nobody is refused, and others are told right', () => {
    const shared = makeSharedAddressCounts()
    const counts = new AddressCounts(shared)
    expect(counts.take('first', 1)).toBe(true)
    // Every other place is somebody's.
    const words = new BigUint64Array(shared.words)
    words.forEach((word, place) => {
      if (word === 0n) words[place] = (12_345n << 20n) | 1n
    })
    expect([counts.take('more', 1), counts.take('more', 1)]).toEqual([true, true])
    counts.release('more')
    expect(counts.take('first', 1)).toBe(false)
    words.fill(0n)
    expect([counts.take('more', 1), counts.take('more', 1)]).toEqual([true, false])
  })
})
