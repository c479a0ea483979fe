import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { editDistance, nearestName } from '../../src/config/nearest-name.ts'

describe('editDistance', () => {
  test.each([
    ['', '', 0],
    ['', 'abc', 3],
    ['abc', '', 3],
    ['abc', 'abc', 0],
    ['abc', 'abd', 1],
    ['abc', 'ab', 1],
    ['abc', 'xabc', 1],
    ['abc', 'acb', 1],
    ['ab', 'ba', 1],
    ['kitten', 'sitting', 3],
  ])('from %j to %j is %i', (from, to, distance) => {
    expect(editDistance(from, to)).toBe(distance)
  })

  test('is the same both ways, and never more than the longer text', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (from, to) => {
        const distance = editDistance(from, to)
        expect(editDistance(to, from)).toBe(distance)
        expect(distance).toBeLessThanOrEqual(Math.max(from.length, to.length))
        expect(distance === 0).toBe(from === to)
      }),
    )
  })
})

describe('nearestName', () => {
  const known = ['origin_port', 'target_port', 'metrics_enabled', 'log_level']

  test.each([
    ['origin_prot', 'origin_port'],
    ['metrics_enable', 'metrics_enabled'],
    ['loglevel', 'log_level'],
    ['log_level', 'log_level'],
    ['something_else', null],
    ['', null],
  ])('for %j is %j', (name, nearest) => {
    expect(nearestName(name, known)).toBe(nearest)
  })

  test('is the first of two that are equally near', () => {
    expect(nearestName('a_part', ['a_port', 'a_pact'])).toBe('a_port')
    expect(nearestName('a_part', ['a_pact', 'a_port'])).toBe('a_pact')
  })
})
