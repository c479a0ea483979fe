/**
 * What a check found, and the table that an operator sees of it. Pure; the checks themselves are
 * cluster-check.ts (one cluster) and preflight.ts (all of them).
 */

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

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim()

const count = (rows: readonly CheckRow[], verdict: Verdict): number =>
  rows.filter((row) => row.verdict === verdict).length

/** Whether a proxy with these settings can be expected to serve. */
export const hasFailed = (rows: readonly CheckRow[]): boolean =>
  rows.some(({ verdict }) => verdict === 'fail')

/** A line per check, what to do below those that need it, and a summary; for a terminal or a file. */
export const renderRows = (rows: readonly CheckRow[]): string => {
  const width = (read: (row: CheckRow) => string): number =>
    Math.max(0, ...rows.map((row) => read(row).length))
  const subjectWidth = width(({ subject }) => subject)
  const nameWidth = width(({ name }) => name)
  const wordWidth = width(({ verdict }) => WORDS[verdict])
  const lines = rows.flatMap(({ subject, name, verdict, detail, remedy }) => {
    const head = [
      subject.padEnd(subjectWidth),
      name.padEnd(nameWidth),
      WORDS[verdict].padEnd(wordWidth),
    ].join('  ')
    const line = `${head}  ${oneLine(detail)}`.trimEnd()
    return remedy === '' ? [line] : [line, `${' '.repeat(head.length)}  → ${oneLine(remedy)}`]
  })
  const failures = count(rows, 'fail')
  const warnings = count(rows, 'warn')
  const summary = `${rows.length} checks: ${count(rows, 'pass')} ok, ${warnings} warnings, ${failures} failed, ${count(rows, 'skipped')} skipped`
  return `${[...lines, '', summary].join('\n')}\n`
}
