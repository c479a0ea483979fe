/**
 * What a cluster made of a conditional write (LWT). Each cluster decides its condition for itself, on its own data: where
 * they decide differently, one of them lacks the write though both have answered with success.
 */
import { ProtocolError } from '../cql/errors.ts'
import { answerReader } from '../cql/messages/answer.ts'
import { decodeResult } from '../cql/messages/result.ts'
import { ResultKind, type VersionTraits } from '../cql/protocol.ts'
import { Cluster } from '../routing/cluster.ts'

export const Applied = { UNKNOWN: 0, NO: 1, YES: 2 } as const
export type Applied = (typeof Applied)[keyof typeof Applied]

/** What one cluster's takes in the request table's `applied`; Origin's are the lower ones. */
export const APPLIED_BITS = 2
const APPLIED_COLUMN = '[applied]'

/**
 * Reads the answer to a write, header included, not compressed. UNKNOWN for all but rows whose first column is
 * `[applied]`, also where the bytes do not follow the protocol: the client gets them as they are.
 */
export const appliedIn = (envelope: Uint8Array, traits: VersionTraits): Applied => {
  try {
    const result = decodeResult(answerReader(envelope), traits)
    if (result.kind !== ResultKind.ROWS) return Applied.UNKNOWN
    const { columns } = result.metadata
    const value = result.rows[0]?.[0]
    // Without columns it is still the answer to a write, and only a conditional one has rows.
    if (columns !== null && columns[0]?.name !== APPLIED_COLUMN) return Applied.UNKNOWN
    if (value?.length !== 1) return Applied.UNKNOWN
    return value[0] === 0 ? Applied.NO : Applied.YES
  } catch (error) {
    if (error instanceof ProtocolError) return Applied.UNKNOWN
    throw error
  }
}

/** The clusters that lack the write, a bit each, once both have said; 0 where they agree or one has not. */
export const missingWhereNotApplied = (applied: number): number => {
  const origin = applied & 0b11
  const target = applied >> APPLIED_BITS
  if (origin === Applied.UNKNOWN || target === Applied.UNKNOWN || origin === target) return 0
  return origin === Applied.NO ? 1 << Cluster.ORIGIN : 1 << Cluster.TARGET
}
