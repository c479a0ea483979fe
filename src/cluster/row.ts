/**
 * A row of a system table as a cluster sent it: cells by column name, each with its type and raw
 * bytes, and readers for the few types that the proxy itself looks into. What it does not look into
 * it hands on byte for byte.
 */
import type { RowsResult } from '../cql/messages/result.ts'
import type { VersionTraits } from '../cql/protocol.ts'
import { widenCollection } from '../cql/short-collections.ts'
import type { TypeOption } from '../cql/type-option.ts'
import { decodeInt, decodeText, decodeTextSet, decodeUuid } from '../cql/values.ts'
import { formatAddress, isAnyAddress } from './address.ts'

export type Cell = { readonly type: TypeOption; readonly value: Uint8Array | null }
export type Row = ReadonlyMap<string, Cell>

/**
 * The rows of an answer with metadata, collections as v3 writes them. Values are copied: they outlive the
 * connection's buffers.
 */
export const rowsFrom = ({ metadata, rows }: RowsResult, traits: VersionTraits): Row[] => {
  const columns = metadata.columns ?? []
  return rows.map(
    (values) =>
      new Map(
        columns.map(({ name, type }, at) => {
          const value = values[at]?.slice() ?? null
          return [
            name,
            { type, value: traits.hasIntCollections ? value : widenCollection(type, value) },
          ]
        }),
      ),
  )
}

const bytesOf = (row: Row, column: string): Uint8Array | null => row.get(column)?.value ?? null

/** Null where the column is absent, null or empty: none of the texts we read may be empty. */
export const readText = (row: Row, column: string): string | null => {
  const bytes = bytesOf(row, column)
  return bytes === null || bytes.length === 0 ? null : decodeText(bytes)
}

/** Null where the column is absent, null or no uuid; the same holds for the readers below. */
export const readUuid = (row: Row, column: string): string | null => {
  const bytes = bytesOf(row, column)
  return bytes?.length === 16 ? decodeUuid(bytes) : null
}

/** An address that can be dialled; "any address" cannot. */
export const readAddress = (row: Row, column: string): string | null => {
  const bytes = bytesOf(row, column)
  const isAddress = bytes?.length === 4 || bytes?.length === 16
  return bytes !== null && isAddress && !isAnyAddress(bytes) ? formatAddress(bytes) : null
}

/** Whether the column holds 0.0.0.0 or `::`, which point back at another column. */
export const holdsAnyAddress = (row: Row, column: string): boolean => {
  const bytes = bytesOf(row, column)
  return bytes !== null && bytes.length > 0 && isAnyAddress(bytes)
}

/** Null where the column is missing, null, or no int. */
export const readInt = (row: Row, column: string): number | null => {
  const bytes = bytesOf(row, column)
  return bytes?.length === 4 ? decodeInt(bytes) : null
}

/** Empty where the column is missing or null. */
export const readTextSet = (row: Row, column: string): string[] => {
  const bytes = bytesOf(row, column)
  return bytes === null ? [] : [...decodeTextSet(bytes)]
}
