/** A count with its noun: `1 table`, `2 tables`. `format` writes the number. */
export const plural = (
  count: number,
  noun: string,
  format: (count: number) => string = String,
): string => `${format(count)} ${noun}${count === 1 ? '' : 's'}`
