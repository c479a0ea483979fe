/** The samples of reads that the clusters answered differently, as lines of text. Pure. */
import type { Mismatch, MismatchReport } from '../control/report.ts'
import { plural } from '../plural.ts'
import { formatCount, type Style } from './style.ts'

/** What differs, in words. */
export const describeMismatch = (one: Mismatch): string => {
  const { missingOnOrigin, missingOnTarget, changedRows, columns, isOrder, isPartial } = one
  const names = columns.length === 0 ? '' : ` (${columns.join(', ')})`
  const parts = [
    ...(missingOnTarget > 0
      ? [`${plural(missingOnTarget, 'row', formatCount)} missing on Target`]
      : []),
    ...(missingOnOrigin > 0
      ? [`${plural(missingOnOrigin, 'row', formatCount)} missing on Origin`]
      : []),
    ...(changedRows > 0
      ? [`${plural(changedRows, 'row', formatCount)} with other values${names}`]
      : []),
    ...(isOrder ? ['the same rows in another order'] : []),
  ]
  const text = parts.length > 0 ? parts.join(', ') : `other columns${names}`
  return isPartial ? `${text}; of one page` : text
}

const KEYS = {
  partition_key: 'partition key',
  bound_values: 'bound values',
  statement: 'statement',
} as const satisfies Record<Mismatch['keyOf'], string>

const lines = (one: Mismatch, style: Style): string[] => [
  `${style.bold(`${one.keyspace}.${one.table}`)}  ${describeMismatch(one)}`,
  `    ${one.statement}`,
  style.dim(`    ${one.at}, primary ${one.primary}, ${KEYS[one.keyOf]} #${one.keyHash}`),
]

export const renderMismatches = (report: MismatchReport, style: Style): string[] => {
  const { instance, isComparing, mismatches } = report
  const off = `${instance} compares nothing now: set compare_async_reads and be in dual-read`
  if (mismatches.length === 0) {
    return [
      isComparing ? style.good(`${instance} has seen no mismatch.`) : style.warning(`${off}.`),
    ]
  }
  return [
    ...(isComparing ? [] : [style.warning(`${off}; these are from before.`), '']),
    ...mismatches.flatMap((one) => lines(one, style)),
    '',
    `Of ${instance}; the others have their own (--address). Equal # is the same key. Validate and repair these`,
    'tables with the tool that copied them, then record it: zdm reconciled',
  ]
}
