/** deploy/prometheus/alerts.test.yml, which promtool carries out as well: each alert fires when it should, and only then. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { type AlertCase, type Rule, runAlertCase } from '../support/alert-cases.ts'

const FOLDER = join(import.meta.dirname, '../../deploy/prometheus')
const read = (name: string): unknown => parse(readFileSync(join(FOLDER, name), 'utf8'))

const RULES = (read('alerts.yml') as { groups: { rules: Rule[] }[] }).groups.flatMap(
  ({ rules }) => rules,
)
const { evaluation_interval: INTERVAL, tests: CASES } = read('alerts.test.yml') as {
  evaluation_interval: string
  tests: AlertCase[]
}

test.each(CASES)('$name', (one) => {
  expect(runAlertCase(one, RULES, INTERVAL)).toEqual(one.alert_rule_test)
})

describe.each(RULES)('$alert', ({ alert }) => {
  const expected = CASES.flatMap((one) => one.alert_rule_test).filter(
    ({ alertname }) => alertname === alert,
  )

  test('has a case in which it fires', () => {
    expect(expected.some(({ exp_alerts }) => exp_alerts.length > 0)).toBe(true)
  })

  test('has a case in which it does not', () => {
    expect(expected.some(({ exp_alerts }) => exp_alerts.length === 0)).toBe(true)
  })
})
