import { describe, expect, test } from 'vitest'
import type { Difference } from '../../src/check/schema.ts'
import {
  type CheckRow,
  hasFailed,
  renderDifferences,
  renderRows,
  type Verdict,
} from '../../src/check/verdict.ts'

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
    expect(renderRows(rows)).toEqual([
      'Settings  values  ok       found',
      'Origin    TCP     FAILED   nobody listens',
      '                           → start it',
      'Origin    schema  skipped  needs "TCP" first',
      'Origin    clock   WARNING  found',
      '',
      '4 checks: 1 ok, 1 warning, 1 failed, 1 skipped',
    ])
  })

  test('shows nothing but the summary of no rows', () => {
    expect(renderRows([])).toEqual(['', '0 checks: 0 ok, 0 warnings, 0 failed, 0 skipped'])
  })
})

describe('renderDifferences', () => {
  const one: Difference = {
    severity: 'error',
    subject: 'ks.t',
    text: 'is\nmissing',
    remedy: 'make it',
  }

  test('has a line per difference, aligned, with what to do below, the word painted', () => {
    const found = [one, { ...one, severity: 'note', subject: 'k', remedy: '' } as const]
    expect(renderDifferences(found, (text, verdict) => `<${verdict} ${text}>`)).toEqual([
      '',
      'Differences',
      '<fail error>  ks.t  is missing',
      '             → make it',
      '<skipped note >  k     is missing',
    ])
  })

  test('is nothing where nothing differs', () => {
    expect(renderDifferences([])).toEqual([])
  })
})
