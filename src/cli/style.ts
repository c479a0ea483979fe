/** Colours where a terminal shows them, and columns that line up. Pure but for the one question. */
import { styleText } from 'node:util'
import type { CheckOutcome } from '../control/report.ts'

export type Style = {
  bold(text: string): string
  dim(text: string): string
  good(text: string): string
  warning(text: string): string
  bad(text: string): string
}

const plain = (text: string): string => text
const paint =
  (format: Parameters<typeof styleText>[0]) =>
  (text: string): string =>
    styleText(format, text, { validateStream: false })

export const PLAIN: Style = { bold: plain, dim: plain, good: plain, warning: plain, bad: plain }
export const COLOURED: Style = {
  bold: paint('bold'),
  dim: paint('dim'),
  good: paint('green'),
  warning: paint('yellow'),
  bad: paint('red'),
}

/** NO_COLOR and what is no terminal get plain text. */
export const styleFor = (
  isTerminal: boolean,
  environment: Readonly<Record<string, string | undefined>>,
): Style => {
  const isUnwanted = (environment['NO_COLOR'] ?? '') !== '' || environment['TERM'] === 'dumb'
  return isTerminal && !isUnwanted ? COLOURED : PLAIN
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what colours are made of.
const ESCAPES = /\u001b\[[0-9;]*m/g

const width = (text: string): number => text.replaceAll(ESCAPES, '').length

/** Rows of cells, padded so that columns line up; the last column is left as it is. */
export const table = (rows: readonly (readonly string[])[], gap = '  '): string[] => {
  const widths: number[] = []
  for (const row of rows) {
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, width(cell))
  }
  return rows.map((row) =>
    row
      .map((cell, at) =>
        at === row.length - 1 ? cell : cell + ' '.repeat(widths[at]! - width(cell)),
      )
      .join(gap)
      .trimEnd(),
  )
}

const OUTCOME_MARKS: Readonly<Record<CheckOutcome, string>> = {
  pass: '✓',
  warn: '!',
  fail: '✗',
}

export const outcomeMark = (outcome: CheckOutcome, style: Style): string => {
  const mark = OUTCOME_MARKS[outcome]
  if (outcome === 'pass') return style.good(mark)
  return outcome === 'warn' ? style.warning(mark) : style.bad(mark)
}

/** `1,234`; whole numbers only. */
export const formatCount = (count: number): string => count.toLocaleString('en-US')

/** Two figures are enough for a screen. */
export const formatRate = (perSecond: number): string =>
  perSecond >= 10 || perSecond === 0 ? formatCount(Math.round(perSecond)) : perSecond.toFixed(1)

export const formatMs = (ms: number | null): string => {
  if (ms === null) return '–'
  return ms >= 10 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`
}
