import { expect, test } from 'vitest'
import { operationName } from '../../src/statement/operation-name.ts'

test.each([
  ['select v from ks.t', 'SELECT'],
  [';( SELECT v FROM ks.t', 'SELECT'],
  ['/* INSERT */ Update ks.t SET v = 1', 'UPDATE'],
  ['BEGIN UNLOGGED BATCH', 'BEGIN'],
  ['secret', null],
  ["'SELECT'", null],
  ['"SELECT"', null],
  ['', null],
])('%s: %s', (text, name) => {
  expect(operationName(new TextEncoder().encode(text))).toBe(name)
})
