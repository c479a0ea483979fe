/**
 * The cases of `promtool test rules`, carried out: series over time, and which alerts are firing at a moment. Only
 * `alert_rule_test` is known.
 */

import { readExpression } from './promql.ts'
import { durationSeconds, evaluate, keyOf, type Labels, type Series } from './promql-evaluation.ts'

export type Rule = {
  readonly alert: string
  readonly expr: string
  readonly for?: string
  readonly labels: Labels
  readonly annotations: Labels
}

export type Alert = { readonly exp_labels: Labels; readonly exp_annotations: Labels }
export type AlertCase = {
  readonly name: string
  readonly interval: string
  readonly input_series: readonly { readonly series: string; readonly values: string }[]
  readonly alert_rule_test: readonly {
    readonly eval_time: string
    readonly alertname: string
    readonly exp_alerts: readonly Alert[]
  }[]
}

/** `a+bxn` and `a-bxn` grow n times, `axn` is n times repeated, `_` is no sample. */
const valuesOf = (notation: string): readonly number[] =>
  notation.split(/\s+/).flatMap((part) => {
    const [, start, step = '0', times = '0'] =
      /^(_|-?[\d.]+)([+-][\d.]+)?(?:x(\d+))?$/.exec(part) ?? []
    if (start === undefined) throw new Error(`not a series of values: ${part}`)
    if (start === '_') return Array.from({ length: Number(times || 1) }, () => Number.NaN)
    const count = Number(times) + 1
    return Array.from({ length: count }, (_, index) => Number(start) + index * Number(step))
  })

/** NaN stands for no sample. */
const seriesOf = ({ interval, input_series }: AlertCase): readonly Series[] =>
  input_series.map(({ series, values }) => {
    const { metric, matchers } = readExpression(series).selectors[0]!
    const labels = Object.fromEntries(matchers.map(({ label, value }) => [label, value]))
    return {
      labels: { __name__: metric, ...labels },
      points: valuesOf(values)
        .map((value, index) => [index * durationSeconds(interval), value] as const)
        .filter(([, value]) => !Number.isNaN(value)),
    }
  })

/** Go's %g: no zeros at the end, exponents of two digits. */
const general = (value: number, digits: number): string => {
  const text = value.toPrecision(digits)
  const [mantissa = '', exponent] = text.split('e')
  const short = mantissa.includes('.') ? mantissa.replace(/\.?0+$/, '') : mantissa
  return exponent === undefined ? short : `${short}e${exponent.replace(/^([+-])(\d)$/, '$10$2')}`
}

const humanDuration = (seconds: number): string => {
  if (Math.abs(seconds) < 1) return `${general(seconds, 4)}s`
  const whole = Math.trunc(Math.abs(seconds))
  const parts = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'm'],
    [whole % 60, 's'],
  ] as const
  const first = parts.findIndex(([count]) => count > 0)
  const text = parts.slice(first).map(([count, unit]) => `${count}${unit}`)
  return `${seconds < 0 ? '-' : ''}${text.join(' ')}`
}

const FORMATS: Readonly<Record<string, (value: number) => string>> = {
  '': String,
  'printf "%.0f"': (value) => value.toFixed(0),
  'printf "%.2g"': (value) => general(value, 2),
  humanizeDuration: humanDuration,
  humanizePercentage: (value) => `${general(value * 100, 4)}%`,
}

const filledIn = (template: string, labels: Labels, value: number): string =>
  template.replace(
    /\{\{\s*\$(?:labels\.(\w+)|value(?:\s*\|\s*([^}]*?))?)\s*\}\}/g,
    (_, label: string | undefined, format = '') => {
      if (label !== undefined) return labels[label] ?? ''
      const formatted = FORMATS[format]
      if (formatted === undefined) throw new Error(`not a format known here: ${format}`)
      return formatted(value)
    },
  )

const alertOf = (rule: Rule, { __name__, ...labels }: Labels, value: number): Alert => ({
  exp_labels: { ...labels, ...rule.labels },
  exp_annotations: Object.fromEntries(
    Object.entries(rule.annotations).map(([name, text]) => [name, filledIn(text, labels, value)]),
  ),
})

/** The alerts of a rule that are firing at a moment, the rule evaluated every `stepSeconds` from 0 on. */
const firingOf = (
  rule: Rule,
  series: readonly Series[],
  untilSeconds: number,
  stepSeconds: number,
): readonly Alert[] => {
  const waitSeconds = durationSeconds(rule.for ?? '0s')
  let sinceByKey: ReadonlyMap<string, number> = new Map()
  let firing: readonly Alert[] = []
  for (let now = 0; now <= untilSeconds; now += stepSeconds) {
    const value = evaluate(rule.expr, series, now)
    if (typeof value === 'number') throw new Error(`${rule.alert} asks for a number`)
    const before = sinceByKey
    const since = (labels: Labels): number => before.get(keyOf(labels)) ?? now
    sinceByKey = new Map(value.map(({ labels }) => [keyOf(labels), since(labels)]))
    firing = value
      .filter(({ labels }) => now - since(labels) >= waitSeconds)
      .map((sample) => alertOf(rule, sample.labels, sample.value))
  }
  return firing
}

/** What a case finds at each of its moments, in the shape of what it expects. */
export const runAlertCase = (
  one: AlertCase,
  rules: readonly Rule[],
  evaluationInterval: string,
): AlertCase['alert_rule_test'] => {
  const series = seriesOf(one)
  return one.alert_rule_test.map(({ eval_time, alertname }) => {
    const rule = rules.find(({ alert }) => alert === alertname)
    if (rule === undefined) throw new Error(`no rule is called ${alertname}`)
    const step = durationSeconds(evaluationInterval)
    const exp_alerts = firingOf(rule, series, durationSeconds(eval_time), step)
    return { eval_time, alertname, exp_alerts }
  })
}
