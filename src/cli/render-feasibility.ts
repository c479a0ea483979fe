/** What `zdm check` found, as lines of text. Pure; the tables themselves are check/verdict.ts. */
import { type Paint, renderDifferences, renderRows, type Verdict } from '../check/verdict.ts'
import type { CheckReport, InstanceCheck, SchemaReport } from '../control/report.ts'
import { plural } from '../plural.ts'
import { formatCount, type Style } from './style.ts'

/** More are for machines: --json has them. */
const DIFFERENCES_SHOWN_MAX = 100

const COLOURS = {
  pass: 'good',
  warn: 'warning',
  fail: 'bad',
  skipped: 'dim',
} as const satisfies Record<Verdict, keyof Style>

const paintWith =
  (style: Style): Paint =>
  (text, verdict) =>
    style[COLOURS[verdict]](text)

/** Most of what another instance sees is what the first one has said already. */
const renderOther = ({ name, rows, error }: InstanceCheck, style: Style): string[] => {
  if (error !== null) return ['', style.bold(name), style.bad(error)]
  const odd = rows.filter(({ verdict }) => verdict === 'warn' || verdict === 'fail')
  if (odd.length === 0) return ['', `${style.bold(name)}  ${style.good('ok')}`]
  return ['', style.bold(name), ...renderRows(odd, paintWith(style)).slice(0, -2)]
}

const renderSchema = (schema: SchemaReport, style: Style): string[] => {
  const shown = schema.differences.slice(0, DIFFERENCES_SHOWN_MAX)
  const hidden = schema.errors + schema.warnings + schema.notes - shown.length
  return [
    ...renderDifferences(shown, paintWith(style)),
    ...(hidden === 0 ? [] : [`… and ${formatCount(hidden)} more; --json has up to 500`]),
  ]
}

const failedRows = ({ instances }: CheckReport): number =>
  instances.flatMap(({ rows }) => rows).filter(({ verdict }) => verdict === 'fail').length

/** Whether something was found wrong, and not only somebody could not be asked. */
export const hasFaults = (report: CheckReport): boolean => failedRows(report) > 0

const conclusion = (report: CheckReport): string => {
  const lost = report.instances.filter(({ error }) => error !== null).length
  if (report.isFeasible) {
    const { schema } = report
    const open = schema === null ? 0 : schema.warnings
    return open === 0
      ? 'Nothing found that stands in the way of the migration.'
      : `Nothing found that loses writes. Settle ${open === 1 ? 'the warning' : `the ${formatCount(open)} warnings`} before Target serves reads.`
  }
  const parts = [
    ...(hasFaults(report) ? [`${plural(failedRows(report), 'check')} failed`] : []),
    ...(lost > 0 ? [`${plural(lost, 'instance')} could not be asked`] : []),
  ]
  return `${parts.join(', ')}: mend what the arrows say, then check again before the migration goes on.`
}

export const renderFeasibility = (report: CheckReport, style: Style): string[] => {
  const [first, ...others] = report.instances
  const text = conclusion(report)
  return [
    ...(first === undefined
      ? []
      : [
          `${style.bold(first.name)}  ${style.dim(report.checkedAt)}`,
          ...renderRows(first.rows, paintWith(style)),
        ]),
    ...others.flatMap((other) => renderOther(other, style)),
    ...(report.schema === null ? [] : renderSchema(report.schema, style)),
    '',
    report.isFeasible ? style.good(text) : style.bad(text),
  ]
}
