/** Which writes take the write time of their request. */
import { expect, test } from 'vitest'
import { WriteTimestamp, writeTimestampOf } from '../../src/statement/write-timestamp.ts'

const { OF_REQUEST, OF_STATEMENT, OF_SERVER } = WriteTimestamp

test.each([
  ['INSERT INTO t (a) VALUES (1)', OF_REQUEST],
  ['INSERT INTO t (a) VALUES (1) USING TTL 5', OF_REQUEST],
  ['INSERT INTO t (a) VALUES (1) USING TIMESTAMP 5', OF_STATEMENT],
  ['INSERT INTO t (a) VALUES (1) USING TTL ? AND TIMESTAMP ?', OF_STATEMENT],
  ['INSERT INTO t (a) VALUES (1) using ttl :t and timestamp :w', OF_STATEMENT],
  ['INSERT INTO t (a) VALUES (1) USING TIMESTAMP :w AND TTL 1', OF_STATEMENT],
  ['INSERT INTO t (a) VALUES (1) IF NOT EXISTS', OF_SERVER],
  ["INSERT INTO t JSON '{}' IF NOT EXISTS", OF_SERVER],
  ["INSERT INTO t (a) VALUES ('IF USING TIMESTAMP 1')", OF_REQUEST],
  ['INSERT INTO t ("IF", timestamp) VALUES (1, 2) /* IF */', OF_REQUEST],
  ['UPDATE t USING TTL 5 SET timestamp = 1 WHERE k = 1', OF_REQUEST],
  ['UPDATE t USING TIMESTAMP 5 SET a = 1', OF_STATEMENT],
  ['UPDATE t SET a = 1 WHERE k = 1 IF b = 2', OF_SERVER],
  ['UPDATE t SET n = n + 1 WHERE k = 1', OF_SERVER],
  ['UPDATE t SET n=n-1 WHERE k = 1', OF_SERVER],
  ['UPDATE t SET n += 1 WHERE k = 1', OF_SERVER],
  ['UPDATE t SET "N" = "N" + 10', OF_SERVER],
  ['UPDATE t SET l = l + [1] WHERE k = 1', OF_REQUEST],
  ['UPDATE t SET l += [1]', OF_REQUEST],
  ['UPDATE t SET l = [1] + l', OF_REQUEST],
  ['UPDATE t SET a = -1 WHERE k = b', OF_REQUEST],
  ['DELETE FROM t USING TIMESTAMP 7 WHERE k = 1', OF_STATEMENT],
  ['DELETE FROM t WHERE k = 1 IF EXISTS', OF_SERVER],
  ['DELETE a FROM t WHERE k = 1', OF_REQUEST],
  ['BEGIN BATCH INSERT INTO t (a) VALUES (1); APPLY BATCH', OF_REQUEST],
  ['BEGIN UNLOGGED BATCH USING TIMESTAMP 1 DELETE FROM t WHERE k = 1 APPLY BATCH', OF_STATEMENT],
  ['BEGIN COUNTER BATCH UPDATE t SET n = n + ? APPLY BATCH', OF_SERVER],
  ['BEGIN BATCH INSERT INTO t (a) VALUES (1) IF NOT EXISTS; APPLY BATCH', OF_SERVER],
  [
    'BEGIN BATCH INSERT INTO t (a) VALUES (1) USING TIMESTAMP 1; DELETE FROM t WHERE k = 1 APPLY BATCH',
    OF_REQUEST,
  ],
  ['UPDATE', OF_REQUEST],
  ['', OF_REQUEST],
])('%s', (text, expected) => {
  const bytes = new TextEncoder().encode(`IF ${text} IF`)
  expect(writeTimestampOf(bytes, 3, bytes.length - 3)).toBe(expected)
})
