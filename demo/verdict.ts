/** What the demo found out in the end, as lines for a person, and whether that is a PASS. */
import type { Comparison } from './comparison.ts'
import { formatCount, renderLatency } from './live-line.ts'
import type { ClusterLatencies } from './metrics-scrape.ts'
import { isGoodStep, renderRollback } from './render-walk.ts'
import { STEPS, type StepResult } from './walk.ts'
import type { WorkDone } from './workload.ts'

export interface Findings {
  readonly originVersion: string
  readonly targetVersion: string
  readonly durationMs: number
  /** Of all steps together. */
  readonly done: Readonly<WorkDone>
  readonly steps: readonly StepResult[]
  readonly comparison: Comparison
  /** Of the whole run. */
  readonly latencies: ClusterLatencies
}

const SHOWN_MAX = 10

export const isPass = ({ done, steps, comparison }: Findings): boolean =>
  steps.length === STEPS.length &&
  steps.every(isGoodStep) &&
  done.failures.length === 0 &&
  done.wrongReads.length === 0 &&
  done.counts.read > 0 &&
  comparison.writtenRows > 0 &&
  comparison.differenceCount === 0

const line = (label: string, text: string): string => `  ${label.padEnd(28)}${text}`

const renderList = (title: string, count: number, texts: readonly string[]): string[] => {
  if (count === 0) return []
  const shown = texts.slice(0, SHOWN_MAX)
  const rest = count - shown.length
  const more = rest > 0 ? [`    … and ${formatCount(rest)} more`] : []
  return ['', `  ${title} (${formatCount(count)}):`, ...shown.map((text) => `    ${text}`), ...more]
}

const renderComparison = ({ comparison, originVersion, targetVersion }: Findings): string[] => [
  line('Rows written and kept', formatCount(comparison.writtenRows)),
  line(`Rows in Origin ${originVersion}`, formatCount(comparison.originRows)),
  line(`Rows in Target ${targetVersion}`, formatCount(comparison.targetRows)),
  line(
    'Compared, column by column',
    `${formatCount(comparison.cells)} values and write times, ` +
      `${comparison.differenceCount === 0 ? 'no' : formatCount(comparison.differenceCount)} differences`,
  ),
]

export const renderFindings = (findings: Findings): string[] => {
  const { done, steps, comparison, durationMs, latencies } = findings
  const { counts, wrongReads, failures } = done
  const perSecond = formatCount((done.requests * 1000) / durationMs)
  const reads = formatCount(counts.read)
  const misplaced = steps.flatMap(({ workload }) => workload.served.misplaced)
  return [
    line('Requests', `${formatCount(done.requests)}, ${perSecond} per second`),
    line(
      'Writes, to both clusters',
      `${formatCount(counts.prepared)} prepared, ${formatCount(counts.unprepared)} unprepared, ` +
        `${formatCount(counts.batch)} batches`,
    ),
    line(
      'Reads, through the proxies',
      wrongReads.length === 0 ? `${reads}, each returned what had been written` : reads,
    ),
    line('Rollback', renderRollback(steps)),
    line('Latency', renderLatency('Origin', latencies.origin)),
    line('', renderLatency('Target', latencies.target)),
    ...renderComparison(findings),
    ...renderList('Requests that failed', failures.length, failures),
    ...renderList('Reads that returned something else', wrongReads.length, wrongReads),
    ...renderList('Reads that the wrong cluster served', misplaced.length, misplaced),
    ...renderList('Differences', comparison.differenceCount, comparison.differences),
  ]
}
