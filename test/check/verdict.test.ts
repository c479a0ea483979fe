import { describe, expect, test } from 'vitest'
import { type CheckRow, hasFailed, renderRows, type Verdict } from '../../src/check/verdict.ts'

const row = (verdict: Verdict, changes: Partial<CheckRow> = {}): CheckRow => ({
  subject: 'Origin',
  name: 'TCP',
  verdict,
  detail: 'found',
  remedy: '',
  ...changes,
})

test.each<[Verdict, boolean]>([
  ['pass', false],
  ['warn', false],
  ['skipped', false],
  ['fail', true],
])('a row that is "%s" makes the whole fail: %s', (verdict, expected) => {
  expect(hasFailed([row('pass'), row(verdict)])).toBe(expected)
})

describe('renderRows', () => {
  test('has a line per check, aligned, with what to do below, and counts them', () => {
    const rows = [
      row('pass', { subject: 'Settings', name: 'values' }),
      row('fail', { detail: 'nobody\nlistens', remedy: 'start it' }),
      row('skipped', { name: 'schema', detail: 'needs "TCP" first' }),
      row('warn', { name: 'clock' }),
    ]
    expect(renderRows(rows)).toBe(
      [
        'Settings  values  ok       found',
        'Origin    TCP     FAILED   nobody listens',
        '                           → start it',
        'Origin    schema  skipped  needs "TCP" first',
        'Origin    clock   WARNING  found',
        '',
        '4 checks: 1 ok, 1 warnings, 1 failed, 1 skipped',
        '',
      ].join('\n'),
    )
  })

  test('shows nothing but the summary of no rows', () => {
    expect(renderRows([])).toBe('\n0 checks: 0 ok, 0 warnings, 0 failed, 0 skipped\n')
  })
})
