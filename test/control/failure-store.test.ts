/** Counts of failed writes over restarts: what is kept, what a kill costs, what a damaged file does. */
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { FailureStore } from '../../src/control/failure-store.ts'
import { createLogger } from '../../src/log.ts'
import type { FailedTable } from '../../src/metrics/plane-series.ts'
import { afterTest } from '../support/after-test.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const MINUTE_MS = 60_000

const newPath = (): string => {
  const directory = temporaryDirectory()
  afterTest(() => chmodSync(directory, 0o700))
  return join(directory, 'state.json.failed-writes')
}

type Run = { readonly store: FailureStore; readonly clock: FakeClock; readonly codes: string[] }

/** A run that begins so many minutes after the clock's start. */
const open = (path: string | null, minute = 0): Run => {
  const clock = new FakeClock()
  clock.advance(minute * MINUTE_MS)
  const codes: string[] = []
  const sink = { write: (line: string): void => void codes.push(JSON.parse(line).code) }
  return {
    store: new FailureStore(path, { clock, log: createLogger({ level: 'info', clock, sink }) }),
    clock,
    codes,
  }
}

const startMs = new FakeClock().wallMs()
const minuteAt = (minute: number): string => new Date(startMs + minute * MINUTE_MS).toISOString()

const failed = (
  table: string,
  originOnly: number,
  minute: number,
  targetOnly = 0,
): FailedTable => ({
  keyspace: 'ks',
  table,
  originOnly,
  targetOnly,
  both: 0,
  firstMs: startMs + minute * MINUTE_MS,
  lastMs: startMs + minute * MINUTE_MS,
})

/** What is on disk is what the last sample said. */
const saved = (path: string, text: string): Promise<void> =>
  expect.poll(() => readFileSync(path, 'utf8')).toContain(text)

describe('after a stop', () => {
  test('the next run goes on counting where this one ended', async () => {
    const path = newPath()
    const first = open(path)
    first.store.sample([failed('t', 2, 1)])
    await first.store.close([failed('t', 3, 2)])
    const second = open(path, 5)
    expect(second.store.read([])).toMatchObject({ since: minuteAt(0), originOnly: 3, gaps: [] })
    await second.store.close([failed('t', 1, 6), failed('u', 0, 6, 4)])
    expect(open(path, 9).store.read([failed('u', 1, 9)])).toEqual({
      since: minuteAt(0),
      originSince: minuteAt(0),
      originOnly: 5,
      targetOnly: 4,
      both: 0,
      tables: [
        {
          keyspace: 'ks',
          table: 'u',
          originOnly: 1,
          targetOnly: 4,
          both: 0,
          firstAt: minuteAt(6),
          lastAt: minuteAt(9),
        },
        {
          keyspace: 'ks',
          table: 't',
          originOnly: 4,
          targetOnly: 0,
          both: 0,
          firstAt: minuteAt(2),
          lastAt: minuteAt(6),
        },
      ],
      gaps: [],
      originGaps: [],
    })
  })

  test('a reconciliation is remembered with what has failed since', async () => {
    const path = newPath()
    const { store } = open(path)
    const beganMs = startMs + 2 * MINUTE_MS
    store.begin([failed('t', 7, 1, 4)], beganMs)
    await store.forget('origin', [failed('t', 8, 3, 4)], beganMs)
    await store.close([failed('t', 9, 3, 4)])
    expect(open(path, 5).store.read([])).toMatchObject({
      since: minuteAt(0),
      originSince: minuteAt(2),
      originOnly: 2,
      targetOnly: 4,
    })
  })

  test('reconciliations at the same time are all kept, and none is called lost', async () => {
    const path = newPath()
    const { store, codes } = open(path)
    const rows = [failed('t', 7, 1, 4), failed('u', 7, 3, 4)]
    store.sample(rows)
    const beganMs = startMs + 2 * MINUTE_MS
    store.begin(rows, beganMs)
    await Promise.all([
      store.forget('origin', rows, beganMs),
      store.forget('target', rows, beganMs),
      store.forget('origin', rows, beganMs),
    ])
    await store.close(rows)
    expect(codes).toEqual([])
    expect(open(path, 5).store.read([])).toMatchObject({
      since: minuteAt(2),
      originSince: minuteAt(2),
      gaps: [],
    })
  })

  test('without a path nothing is kept', async () => {
    const { store } = open(null)
    store.sample([failed('t', 2, 1)])
    await store.close([failed('t', 2, 1)])
    expect(open(null, 5).store.read([])).toMatchObject({ since: minuteAt(5), originOnly: 0 })
  })
})

describe('after a kill', () => {
  test('what was sampled is there, and what may be missing is said until it is reconciled', async () => {
    const path = newPath()
    open(path).store.sample([failed('t', 2, 1)])
    await saved(path, '"originOnly": 2')
    const second = open(path, 5)
    const gap = `up to the last 5 s before the instance was killed; it began again at ${minuteAt(5)}`
    expect(second.store.read([])).toMatchObject({ originOnly: 2, gaps: [gap] })
    await second.store.close([])
    const third = open(path, 6)
    expect(third.store.read([]).gaps).toEqual([gap])
    await third.store.forget('origin', [], startMs + 7 * MINUTE_MS)
    expect(third.store.read([])).toMatchObject({ originOnly: 0, gaps: [gap], originGaps: [] })
    await third.store.forget('target', [], startMs + 7 * MINUTE_MS)
    expect(third.store.read([]).gaps).toEqual([])
    await third.store.close([])
    expect(open(path, 8).store.read([]).gaps).toEqual([])
  })

  test('many times in a row the latest are told', () => {
    const path = newPath()
    for (let minute = 0; minute < 10; minute++) open(path, minute)
    const { gaps } = open(path, 10).store.read([])
    expect(gaps).toHaveLength(5)
    expect(gaps.at(-1)).toContain(minuteAt(10))
  })

  test('between a reconciliation and its mark, only what failed since then counts', async () => {
    const path = newPath()
    await open(path).store.close([failed('old', 0, 1, 2), failed('new', 0, 4, 3)])
    const { store } = open(path, 5)
    store.settle(startMs + 3 * MINUTE_MS)
    const { since, tables } = store.read([])
    expect({ since, tables: tables.map(({ table }) => table) }).toEqual({
      since: minuteAt(3),
      tables: ['new'],
    })
  })
})

describe('the file', () => {
  test('is not written while nothing changes', async () => {
    const path = newPath()
    const { store } = open(path)
    store.begin([failed('t', 2, 1)], startMs)
    await store.forget('origin', [failed('t', 2, 1)], startMs)
    rmSync(path)
    store.sample([failed('t', 2, 1)])
    expect(existsSync(path)).toBe(false)
    // While it writes it takes nothing else: this is written because nothing was before.
    store.sample([failed('t', 3, 1)])
    await expect.poll(() => existsSync(path)).toBe(true)
    await store.close(null)
    expect(readFileSync(path, 'utf8')).toContain('"originOnly": 1')
  })

  test.each([
    ['no JSON', '{"version"'],
    ['of another kind', '{"version": 1, "checksum": "", "state": {}}'],
    ['changed by hand', null],
  ])('that is %s stops no start; it is set aside, and said', async (_, text) => {
    const path = newPath()
    await open(path).store.close([failed('t', 2, 1)])
    const damaged = text ?? readFileSync(path, 'utf8').replace('"originOnly": 2', '"originOnly": 0')
    writeFileSync(path, damaged)
    const { store, codes } = open(path, 5)
    expect(codes).toEqual(['FAILED_WRITES_UNREADABLE'])
    expect(readFileSync(`${path}.damaged`, 'utf8')).toBe(damaged)
    expect(store.read([])).toMatchObject({ since: minuteAt(5), originOnly: 0 })
    expect(store.read([]).gaps).toEqual([
      `what was counted before ${minuteAt(5)}: its file was damaged`,
    ])
  })

  test('that cannot be written is said once, and the counts go on', async () => {
    const path = join(newPath(), 'nowhere', 'state.json.failed-writes')
    const { store, codes } = open(path)
    await store.forget('target', [], startMs)
    store.sample([failed('t', 2, 1)])
    await store.close([failed('t', 2, 1)])
    expect(codes).toEqual(['FAILED_WRITES_NOT_KEPT'])
    expect(store.read([failed('t', 2, 1)]).originOnly).toBe(2)
  })

  test('stays bounded however many tables there were, and no count is lost', async () => {
    const path = newPath()
    const rows = Array.from({ length: 3000 }, (_, i) => failed(`t${i}`, 1, 1))
    await open(path).store.close(rows)
    const { tables, originOnly } = open(path, 5).store.read([])
    expect([tables.length, originOnly]).toEqual([1000, 3000])
  })
})
