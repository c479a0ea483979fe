import { describe, expect, test } from 'vitest'
import { isGoodStep, renderChanged, renderStep, WALK_HEADER } from '../../demo/render-walk.ts'
import { changeOf, LAPSE, stepOf } from './steps.ts'

describe('a step', () => {
  test('is a row under the header, and fits a terminal of 80 columns', () => {
    const row = renderStep(stepOf({ phase: 'target-reads' }))
    expect([WALK_HEADER, row]).toEqual([
      'phase         requests  errors   reads served by             rows in both',
      'target-reads     4,021       0   2 from Target               1,100, equal',
    ])
    expect(row.length).toBeLessThan(78)
  })

  test('tells of errors, of reads that came from elsewhere, of rows that differ', () => {
    const step = stepOf({ failures: ['x'], markers: ['ORIGIN', 'TARGET'], differences: ['a', 'b'] })
    expect(renderStep(step)).toMatch(/ 1 +1 from Origin, 1 elsewhere +1,100, 2 differences$/)
  })

  test('is good where nothing of that happened, and something was read', () => {
    expect(isGoodStep(stepOf())).toBe(true)
  })

  test.each([
    ['an error', { failures: ['x'] }],
    ['a read from elsewhere', { markers: ['ORIGIN', 'TARGET'] }],
    ['a difference', { differences: ['x'] }],
    ['nothing read', { markers: [] }],
  ] as const)('is not good with %s', (_, options) => {
    expect(isGoodStep(stepOf(options))).toBe(false)
  })
})

describe('a change', () => {
  const SAID = 'all 3 instances are there, skew 1.3 ms; the command took 412 ms'

  test('that moves no reads is what the command said', () => {
    expect(renderChanged(changeOf(null), 'ORIGIN', 'ORIGIN')).toEqual([SAID])
  })

  test.each([
    [
      LAPSE,
      'last read answered by Target: 9.9 ms after the proxies were asked, 414 ms after Enter',
    ],
    [null, 'no read was answered by Target any more'],
  ])('tells when the last read came from the other cluster', (lastFromOld, text) => {
    expect(renderChanged(changeOf(lastFromOld), 'TARGET', 'ORIGIN')).toEqual([SAID, text])
  })
})
