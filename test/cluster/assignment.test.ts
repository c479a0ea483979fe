import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { assignedHosts, rackAssignment } from '../../src/cluster/assignment.ts'

describe('rackAssignment', () => {
  const hosts = ['a', 'b', 'a', 'c'].map((rack, id) => ({ rack, id }))
  test('takes every host of the rack, and keeps the others in reserve', () => {
    const { used, reserve } = rackAssignment(hosts, 'a')!
    expect(used.map(({ id }) => id)).toEqual([0, 2])
    expect(reserve.map(({ id }) => id)).toEqual([1, 3])
  })

  test('is none where no host is in the rack', () => {
    expect(rackAssignment(hosts, 'A')).toBeNull()
  })
})

describe('assignedHosts', () => {
  test.each([
    { hosts: 3, count: 1, index: 0, expected: [0, 1, 2] },
    { hosts: 3, count: 2, index: 0, expected: [0, 2] },
    { hosts: 3, count: 2, index: 1, expected: [1] },
    { hosts: 3, count: 3, index: 1, expected: [1] },
    { hosts: 3, count: 4, index: 3, expected: [0] },
    { hosts: 3, count: 12, index: 10, expected: [1] },
    { hosts: 1, count: 5, index: 4, expected: [0] },
    { hosts: 5, count: 2, index: 1, expected: [1, 3] },
    { hosts: 0, count: 2, index: 1, expected: [] },
  ])('instance $index of $count with $hosts hosts takes $expected', (given) => {
    const hosts = Array.from({ length: given.hosts }, (_, position) => position)
    expect(assignedHosts(hosts, given.index, given.count)).toEqual(given.expected)
  })

  test('each instance has a host, and together they have all of them', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }), (m, n) => {
        const hosts = Array.from({ length: m }, (_, position) => position)
        const shares = Array.from({ length: n }, (_, index) => assignedHosts(hosts, index, n))
        expect(shares.filter((share) => share.length === 0)).toEqual([])
        expect(new Set(shares.flat())).toEqual(new Set(hosts))
      }),
    )
  })
})
