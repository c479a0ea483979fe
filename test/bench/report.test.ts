import { describe, expect, it } from 'vitest'
import type { LoadResult } from '../../bench/load.ts'
import { parseOptions } from '../../bench/options.ts'
import {
  formatReport,
  missedLimits,
  type Report,
  roundOf,
  variantReport,
} from '../../bench/report.ts'

const result = (changes: Partial<LoadResult>): LoadResult => ({
  requests: 1000,
  durationMs: 500,
  p50Ms: 1,
  p99Ms: 2,
  answersPerRead: 25,
  cpuMs: 8,
  rssBytes: 100 * 1024 * 1024,
  reads: 0,
  writes: 0,
  ...changes,
})

const FORWARDERS = [result({ cpuMs: 4 }), result({ cpuMs: 2 })]

const reportOf = (argv: string, proxies: readonly LoadResult[]): Report => ({
  options: parseOptions(argv === '' ? [] : argv.split(' '))!,
  machine: { cores: 2, node: 'v26', isPinned: true },
  variants: [
    variantReport(
      'forwarder',
      FORWARDERS.map((forwarder) => roundOf(forwarder, forwarder)),
    ),
    variantReport(
      'proxy',
      proxies.map((proxy, round) => roundOf(proxy, FORWARDERS[round]!)),
    ),
  ],
})

describe('the report of a bench', () => {
  it('has rates, CPU per request and the ratio to the forwarder of the same round', () => {
    expect(roundOf(result({}), FORWARDERS[0]!)).toEqual({
      requestsPerSecond: 2000,
      p50Ms: 1,
      p99Ms: 2,
      answersPerRead: 25,
      cpuUsPerRequest: 8,
      cpuRatioToForwarder: 2,
      rssMib: 100,
    })
    expect(roundOf(result({ cpuMs: null, rssBytes: null }), null)).toMatchObject({
      cpuUsPerRequest: null,
      cpuRatioToForwarder: null,
      rssMib: null,
    })
  })

  it('is printed with the median and range of each figure', () => {
    const lines = formatReport(reportOf('', [result({}), result({ cpuMs: 10 })])).split('\n')
    expect(lines[1]).toContain('proxies on core 0, load and clusters on 1')
    expect(lines[3]).toMatch(/^ +requests\/s +p50 ms +p99 ms +CPU µs\/request +× forwarder/)
    expect(lines[6]).toMatch(
      /^proxy +2,000 +1\.00 +2\.00 +9\.00 \[8\.00–10\.0\] +3\.50 \[2\.00–5\.00\] +25\.0 +100$/,
    )
  })

  it.each([
    ['', []],
    ['--max-cpu 9 --max-ratio 3.5', []],
    ['--max-cpu 8.5', ['--max-cpu 8.5: the proxy has 9.00']],
    ['--max-ratio 3', ['--max-ratio 3: the proxy has 3.50']],
  ])('tells which of the limits %j are missed', (argv, missed) => {
    expect(missedLimits(reportOf(argv, [result({}), result({ cpuMs: 10 })]))).toEqual(missed)
  })

  it('misses a limit on what was not measured', () => {
    const report = { ...reportOf('--max-cpu 8', []), variants: [] }
    expect(missedLimits(report)).toEqual([
      '--max-cpu 8: the proxy (or the forwarder) was not measured',
    ])
  })
})
