/** The walk as lines for a person: commands, what they did, a row for each phase. Pure. */
import type { ClusterWord } from '../src/control/phase.ts'
import { plural } from '../src/plural.ts'
import { formatCount } from './live-line.ts'
import type { Changed, Lapse, StepResult } from './walk.ts'

const NAMES: Readonly<Record<ClusterWord, string>> = { ORIGIN: 'Origin', TARGET: 'Target' }

const ms = (value: number): string => `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`

const row = (cells: readonly [string, string, string, string, string]): string => {
  const [phase, requests, errors, reads, rows] = cells
  const counts = `${requests.padStart(9)}${errors.padStart(8)}`
  return `${phase.padEnd(13)}${counts}   ${reads.padEnd(28)}${rows}`
}

export const WALK_HEADER = row(['phase', 'requests', 'errors', 'reads served by', 'rows in both'])

/** Nobody saw an error, every read came from where it should, nothing is missing. */
export const isGoodStep = ({ workload, comparison }: StepResult): boolean => {
  const { failures, wrongReads } = workload.done
  const { settled, misplacedCount } = workload.served
  const nothingWrong = failures.length + wrongReads.length + misplacedCount === 0
  return nothingWrong && settled > 0 && comparison.differenceCount === 0
}

export const renderStep = (step: StepResult): string => {
  const { done, served } = step.workload
  const { comparison, cluster } = step
  const wrong = served.misplacedCount
  const elsewhere = wrong === 0 ? '' : `, ${formatCount(wrong)} elsewhere`
  const rows = formatCount(comparison.writtenRows)
  return row([
    step.phase,
    formatCount(done.requests),
    formatCount(done.failures.length),
    `${formatCount(served.settled)} from ${NAMES[cluster]}${elsewhere}`,
    comparison.differenceCount === 0
      ? `${rows}, equal`
      : `${rows}, ${formatCount(comparison.differenceCount)} differences`,
  ])
}

const NOTHING: Lapse = { sinceEnterMs: 0, sinceAskedMs: 0 }

const renderLapse = ({ sinceAskedMs, sinceEnterMs }: Lapse): string =>
  `${ms(sinceAskedMs)} after the proxies were asked, ${ms(sinceEnterMs)} after Enter`

/** What the command said, and what the application saw of it. */
export const renderChanged = (change: Changed, from: ClusterWord, to: ClusterWord): string[] => {
  const { report, tookMs, lastFromOld } = change
  const skew = report.skewMs === null ? '' : `, skew ${ms(report.skewMs)}`
  const said = `${report.message}${skew}; the command took ${ms(tookMs)}`
  if (from === to) return [said]
  const last =
    lastFromOld === null
      ? `no read was answered by ${NAMES[from]} any more`
      : `last read answered by ${NAMES[from]}: ${renderLapse(lastFromOld)}`
  return [said, last]
}

/** The time that counts most, for the verdict. */
export const renderRollback = (steps: readonly StepResult[]): string => {
  const change = steps.find(({ phase }) => phase === 'rolled-back')?.change
  if (change == null) return 'not reached'
  const where = `on ${plural(change.report.instances.length, 'instance')}`
  return `all reads from Origin ${where} ${renderLapse(change.lastFromOld ?? NOTHING)}`
}
