import { describe, expect, test } from 'vitest'
import { type Findings, isPass, renderFindings } from '../../demo/verdict.ts'
import { goodSteps, stepOf } from './steps.ts'

const nothing = { count: 0, sumSeconds: 0, buckets: [] }

const GOOD: Findings = {
  originVersion: '4.1.10',
  targetVersion: '5.0.6',
  durationMs: 2000,
  done: {
    requests: 3000,
    counts: { prepared: 1000, unprepared: 200, batch: 300, read: 1500 },
    wrongReads: [],
    failures: [],
  },
  steps: goodSteps(),
  comparison: {
    originRows: 1100,
    targetRows: 1100,
    writtenRows: 1100,
    cells: 4400,
    differenceCount: 0,
    differences: [],
  },
  latencies: { origin: nothing, target: nothing },
}

const withDone = (change: Partial<Findings['done']>): Findings => ({
  ...GOOD,
  done: { ...GOOD.done, ...change },
})

const withComparison = (change: Partial<Findings['comparison']>): Findings => ({
  ...GOOD,
  comparison: { ...GOOD.comparison, ...change },
})

describe('the verdict', () => {
  test('is PASS if both clusters hold what was written', () => {
    expect(isPass(GOOD)).toBe(true)
  })

  test.each([
    { what: 'a difference', findings: withComparison({ differenceCount: 1 }) },
    { what: 'a read that was wrong', findings: withDone({ wrongReads: ['x'] }) },
    { what: 'a request that failed', findings: withDone({ failures: ['x'] }) },
    { what: 'a step less', findings: { ...GOOD, steps: GOOD.steps.slice(1) } },
    {
      what: 'a read that the wrong cluster served',
      findings: { ...GOOD, steps: [stepOf({ markers: ['TARGET'] }), ...GOOD.steps.slice(1)] },
    },
    { what: 'no rows to compare', findings: withComparison({ writtenRows: 0 }) },
    {
      what: 'no reads to check',
      findings: withDone({ counts: { ...GOOD.done.counts, read: 0 } }),
    },
  ])('is no PASS with $what', ({ findings }) => {
    expect(isPass(findings)).toBe(false)
  })
})

describe('the report', () => {
  test('has counts, rate and rows of both clusters', () => {
    const text = renderFindings(GOOD).join('\n')
    expect(text).toContain('3,000, 1,500 per second')
    expect(text).toContain('1,000 prepared, 200 unprepared, 300 batches')
    expect(text).toContain('1,500, each returned what had been written')
    expect(text).toMatch(/Rows in Origin 4\.1\.10 +1,100/)
    expect(text).toMatch(/Rows in Target 5\.0\.6 +1,100/)
    expect(text).toContain('4,400 values and write times, no differences')
    expect(text).toContain(
      'all reads from Origin on 3 instances 9.9 ms after the proxies were asked',
    )
  })

  test('shows what differs, and how much is not shown', () => {
    const comparison = { differenceCount: 12, differences: ['order 1/1: one', 'order 1/2: two'] }
    const text = renderFindings(withComparison(comparison)).join('\n')
    expect(text).toContain('12 differences')
    expect(text).toContain('Differences (12):\n    order 1/1: one\n    order 1/2: two\n')
    expect(text).toContain('… and 10 more')
  })

  test('shows reads that were wrong and requests that failed', () => {
    const done = { wrongReads: ['order 1/1: no row read'], failures: ['insert failed: no host'] }
    const text = renderFindings(withDone(done)).join('\n')
    expect(text).toContain('order 1/1: no row read')
    expect(text).toContain('insert failed: no host')
    expect(text).not.toContain('each returned what had been written')
  })
})
