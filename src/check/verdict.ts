/**
 * What a check found, and the tables that an operator sees of it, in the log of a start or on a terminal.
 * Pure; the checks themselves are cluster-check.ts (one cluster) and preflight.ts (all of them).
 */
import { plural } from '../plural.ts'
import type { Difference, Severity } from './schema.ts'

/** skipped: not applicable, or an earlier failure makes it pointless; its detail says which. */
export type Verdict = 'pass' | 'warn' | 'fail' | 'skipped'

export type CheckRow = {
  /** Settings, Origin, Target, or both clusters. */
  readonly subject: string
  readonly name: string
  readonly verdict: Verdict
  /** What was found, on one line. */
  readonly detail: string
  /** What to do about a warning or failure; empty where there is nothing to do. */
  readonly remedy: string
}

const WORDS = {
  pass: 'ok',
  warn: 'WARNING',
  fail: 'FAILED',
  skipped: 'skipped',
} as const satisfies Record<Verdict, string>

const SEVERITIES = {
  error: 'fail',
  warning: 'warn',
  note: 'skipped',
} as const satisfies Record<Severity, Verdict>

/** Colours a word by how bad it is. */
export type Paint = (text: string, verdict: Verdict) => string

const PLAIN: Paint = (text) => text

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim()

const count = (rows: readonly CheckRow[], verdict: Verdict): number =>
  rows.filter((row) => row.verdict === verdict).length

/** Whether a proxy with these settings can be expected to serve. */
export const hasFailed = (rows: readonly CheckRow[]): boolean =>
  rows.some(({ verdict }) => verdict === 'fail')

type Line = {
  /** Cells in front of the text; the word is the one that is painted. */
  readonly cells: readonly string[]
  readonly word: number
  readonly verdict: Verdict
  readonly text: string
  readonly remedy: string
}

/** Columns that line up, and below a line what to do about it. */
const align = (lines: readonly Line[], paint: Paint): string[] => {
  const widths: number[] = []
  for (const { cells } of lines) {
    for (const [at, cell] of cells.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length)
  }
  const indent = ' '.repeat(widths.reduce((sum, width) => sum + width + 2, 0))
  return lines.flatMap(({ cells, word, verdict, text, remedy }) => {
    const padded = cells.map((cell, at) => {
      const full = cell.padEnd(widths[at]!)
      return at === word ? paint(full, verdict) : full
    })
    const line = `${padded.join('  ')}  ${oneLine(text)}`.trimEnd()
    return remedy === '' ? [line] : [line, `${indent}→ ${oneLine(remedy)}`]
  })
}

/** A line per check, what to do below those that need it, and a summary. */
export const renderRows = (rows: readonly CheckRow[], paint: Paint = PLAIN): string[] => {
  const lines = rows.map(({ subject, name, verdict, detail, remedy }) => {
    const cells = [subject, name, WORDS[verdict]]
    return { cells, word: 2, verdict, text: detail, remedy }
  })
  const failures = count(rows, 'fail')
  const warnings = count(rows, 'warn')
  const summary = `${plural(rows.length, 'check')}: ${count(rows, 'pass')} ok, ${plural(warnings, 'warning')}, ${failures} failed, ${count(rows, 'skipped')} skipped`
  return [...align(lines, paint), '', summary]
}

/** The worst first, with what each means and what to do; nothing where nothing differs. */
export const renderDifferences = (
  differences: readonly Difference[],
  paint: Paint = PLAIN,
): string[] => {
  const lines = differences.map(({ severity, subject, text, remedy }) => {
    return { cells: [severity, subject], word: 0, verdict: SEVERITIES[severity], text, remedy }
  })
  return differences.length === 0 ? [] : ['', 'Differences', ...align(lines, paint)]
}
