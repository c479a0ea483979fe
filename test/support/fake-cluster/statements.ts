/** The little that a fake node reads out of CQL text: what kind it is, its table, its markers. */
import type { TableName } from './results.ts'

/** The text without comments, string literals and quoted names' content. */
const withoutLiterals = (text: string): string =>
  text.replaceAll(/--.*|\/\/.*|\/\*[\s\S]*?\*\/|\$\$[\s\S]*?\$\$|'(?:[^']|'')*'/g, ' ')

export const isSelect = (text: string): boolean => /^\s*select\b/i.test(withoutLiterals(text))

/** The bind markers: names of `:name`, made-up ones of `?`. */
export const markerNames = (text: string): string[] =>
  (withoutLiterals(text).match(/\?|:[a-z]\w*/gi) ?? []).map((marker, i) =>
    marker === '?' ? `p${i}` : marker.slice(1).toLowerCase(),
  )

const unquote = (name: string): string =>
  name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase()

const NAME = '("(?:[^"]|"")+"|\\w+)'
const USE = new RegExp(`^\\s*use\\s+${NAME}\\s*;?\\s*$`, 'i')
const TABLE = new RegExp(`\\b(?:from|into|update)\\s+${NAME}(?:\\s*\\.\\s*${NAME})?`, 'i')

/** The keyspace of a USE statement. */
export const usedKeyspace = (text: string): string | undefined => {
  const name = USE.exec(withoutLiterals(text))?.[1]
  return name === undefined ? undefined : unquote(name)
}

/** The table that a statement reads or writes; without one in the text, a made-up name. */
export const tableOf = (text: string, keyspace: string | undefined): TableName => {
  const match = TABLE.exec(withoutLiterals(text))
  const [, first, second] = match ?? []
  if (first === undefined) return { keyspace: keyspace ?? 'ks', table: 'table' }
  if (second === undefined) return { keyspace: keyspace ?? 'ks', table: unquote(first) }
  return { keyspace: unquote(first), table: unquote(second) }
}
