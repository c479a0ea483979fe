import { expect, test } from 'vitest'
import { MissingWritesLog } from '../../src/control/missing-writes-log.ts'
import { createLogger } from '../../src/log.ts'
import type { FailedTable } from '../../src/metrics/plane-series.ts'
import { FakeClock } from '../support/fake-clock.ts'

const row = (table: string, originOnly: number, targetOnly = 0, both = 0): FailedTable => ({
  keyspace: table === '' ? '' : 'ks',
  table,
  originOnly,
  targetOnly,
  both,
  firstMs: 0,
  lastMs: 0,
})

const begin = () => {
  const clock = new FakeClock()
  const lines: string[] = []
  const sink = {
    write: (line: string): void => {
      const { level, code, cluster, table, writes, suppressed = 0 } = JSON.parse(line)
      lines.push(`${level} ${code} ${cluster} ${table} ${writes} ${suppressed}`)
    },
  }
  const log = new MissingWritesLog(createLogger({ level: 'info', clock, sink }))
  return { clock, lines, log }
}

test('writes that a cluster lacks are told for each table and cluster, of all threads together', () => {
  const { lines, log } = begin()
  log.sample([row('t', 2), row('t', 3, 1), row('u', 0, 0, 7), row('', 1)])
  expect(lines).toEqual([
    'warn WRITES_MISSING origin ks.t 5 0',
    'warn WRITES_MISSING origin  1 0',
    'warn WRITES_MISSING target ks.t 1 0',
  ])
})

test('once a minute as long as there are more, and never again without', () => {
  const { clock, lines, log } = begin()
  log.sample([row('t', 1)])
  log.sample([row('t', 2)])
  clock.advance(60_000)
  log.sample([row('t', 2)])
  expect(lines).toEqual(['warn WRITES_MISSING origin ks.t 1 0'])
  log.sample([row('t', 3)])
  expect(lines.at(-1)).toBe('warn WRITES_MISSING origin ks.t 3 1')
})
