import { expect, test } from 'vitest'
import { statementKeyspace } from '../../src/statement/statement-keyspace.ts'

const CASES: readonly (readonly [text: string, keyspace: string | null])[] = [
  ['SELECT v FROM ks.t WHERE k = ?', 'ks'],
  ['select v from KS . T', 'ks'],
  ['SELECT v FROM "Ks"."T"', 'Ks'],
  ['SELECT v FROM t', null],
  ['SELECT v FROM "a.b"', null],
  ['SELECT CAST(a AS int), m[1], x.from FROM ks.t', 'ks'],
  ['SELECT (int) from.x, v FROM ks.t', null],
  [';; (SELECT v FROM ks.t', 'ks'],
  ['INSERT INTO ks.t (k) VALUES (1)', 'ks'],
  ['INSERT INTO t (k) VALUES (1)', null],
  ['/* a.b */ UPDATE ks.t SET v = 1', 'ks'],
  ['DELETE a FROM ks.t WHERE k = 1', 'ks'],
  ['BEGIN BATCH INSERT INTO one.t (k) VALUES (1) UPDATE two.t SET v = 1 APPLY BATCH', 'one'],
  ['TRUNCATE ks.t', 'ks'],
  ['CREATE TABLE ks.t (k int PRIMARY KEY)', null],
  ['SELECT', null],
  ['SELECT v FROM', null],
  ['SELECT v FROM "ks', null],
  ['', null],
]

test.each(CASES)('%s: %s', (text, keyspace) => {
  expect(statementKeyspace(new TextEncoder().encode(text))).toBe(keyspace)
})
