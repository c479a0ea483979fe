/** Summaries over rounds, and how they are printed. */

export type Spread = { readonly min: number; readonly median: number; readonly max: number }

/** Null for no values. */
export const spreadOf = (values: readonly number[]): Spread | null => {
  if (values.length === 0) return null
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const median =
    sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { min: sorted[0]!, median, max: sorted.at(-1)! }
}

/** `median [min–max]`, each as `format` prints it; the median alone where all are the same. */
export const formatSpread = (spread: Spread | null, format: (value: number) => string): string => {
  if (spread === null) return '–'
  const [median, min, max] = [spread.median, spread.min, spread.max].map(format)
  return min === max ? `${median}` : `${median} [${min}–${max}]`
}

/** Three digits that count: 0.123, 1.23, 12.3, 123, 1,234. */
export const formatNumber = (value: number): string => {
  if (value >= 1000) return Math.round(value).toLocaleString('en-US')
  const magnitude = value <= 0 ? 0 : Math.floor(Math.log10(value))
  return value.toFixed(Math.min(3, Math.max(0, 2 - magnitude)))
}

/** A table with aligned columns: the first to the left, the others to the right. */
export const formatTable = (rows: readonly (readonly string[])[]): string => {
  const widths = rows[0]!.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)))
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)))
      .join('  ')
      .trimEnd()
  const [head, ...body] = rows.map(line)
  return [head, '-'.repeat(Math.max(...rows.map(line).map(({ length }) => length))), ...body].join(
    '\n',
  )
}
