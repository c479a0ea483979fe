import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { writeTargets } from '../../src/statement/write-target.ts'

const targets = (text: string): string[] =>
  writeTargets(new TextEncoder().encode(text)).map(
    ({ keyspace, table }) => `${keyspace ?? '-'}.${table}`,
  )

describe('the tables that a statement writes to', () => {
  test.each([
    ['INSERT INTO ks.t (k) VALUES (1)', ['ks.t']],
    ['insert /* into x */ into T (k) VALUES (1)', ['-.t']],
    ["INSERT INTO ks.t JSON '{}'", ['ks.t']],
    ['INSERT INTO "Ks"."T t" (k) VALUES (1)', ['Ks.T t']],
    ['UPDATE ks.t USING TTL 3 SET v = 1 WHERE k = 1', ['ks.t']],
    ['UPDATE t SET v = 1', ['-.t']],
    ['DELETE FROM ks.t WHERE k = 1', ['ks.t']],
    ["DELETE a, m['from'] FROM ks.t WHERE k = 1", ['ks.t']],
    ['TRUNCATE ks.t', ['ks.t']],
    ['TRUNCATE TABLE t', ['-.t']],
    [
      "BEGIN UNLOGGED BATCH USING TIMESTAMP 3 INSERT INTO a.b (k) VALUES ('UPDATE x') UPDATE c SET v = 1; DELETE v FROM d.e WHERE k = 1; APPLY BATCH",
      ['a.b', '-.c', 'd.e'],
    ],
    [';; INSERT INTO t (k) VALUES (1)', ['-.t']],
    ['SELECT * FROM ks.t', []],
    ['CREATE TABLE ks.t (k int PRIMARY KEY)', []],
    ['INSERT INTO', []],
    ['UPDATE ', []],
    ['DELETE v', []],
    ['BEGIN BATCH', []],
    ['', []],
  ] as const)('%s: %j', (text, expected) => {
    expect(targets(text)).toEqual(expected)
  })

  test('of any text end', () => {
    const word = fc.constantFrom(
      'BEGIN',
      'BATCH',
      'INSERT',
      'INTO',
      'UPDATE',
      'DELETE',
      'FROM',
      ';',
      '.',
      '"',
      "'",
      'ks',
      '(',
    )
    fc.assert(
      fc.property(fc.array(word), (words) => {
        expect(targets(words.join(' ')).length).toBeLessThanOrEqual(words.length)
      }),
    )
  })
})
