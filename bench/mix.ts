/**
 * What a load is made of, and its requests as ready-made envelopes: a copy needs a stream id and a key
 * only. Written as `KIND:READS`, for example `execute:50`: KIND is execute, query or batch, READS the
 * percentage of reads.
 */
import { encodeBatch } from '../src/cql/messages/batch.ts'
import { encodeExecute } from '../src/cql/messages/execute.ts'
import { encodeQuery } from '../src/cql/messages/query.ts'
import { BatchType, Consistency, Opcode, type VersionTraits } from '../src/cql/protocol.ts'
import { BodyWriter } from '../src/cql/writer.ts'
import { AnswerKind } from './in-flight.ts'
import { KEY_PLACEHOLDER, textRead, textWrite } from './statements.ts'

export const MIX_KINDS = ['execute', 'query', 'batch'] as const
export type Mix = { readonly kind: (typeof MIX_KINDS)[number]; readonly readPercent: number }

/** Children of a batch, all of the prepared write. */
export const BATCH_CHILDREN = 10

/** The mix that a text means, or null. A batch only writes; the others have 50 % reads if not told. */
export const parseMix = (text: string): Mix | null => {
  const [name, reads, ...rest] = text.split(':')
  const kind = MIX_KINDS.find((known) => known === name)
  if (kind === undefined || rest.length > 0) return null
  if (kind === 'batch') return reads === undefined ? { kind, readPercent: 0 } : null
  if (reads === undefined) return { kind, readPercent: 50 }
  if (!/^\d{1,3}$/.test(reads) || Number(reads) > 100) return null
  return { kind, readPercent: Number(reads) }
}

export const formatMix = ({ kind, readPercent }: Mix): string =>
  kind === 'batch' ? `batch of ${BATCH_CHILDREN}` : `${kind}, ${readPercent} % reads`

/** A prepared statement as the server under test has named it. */
export type StatementIds = { readonly id: Uint8Array; readonly resultMetadataId?: Uint8Array }

export type RequestTemplate = {
  readonly envelope: Uint8Array
  /** Where the key's characters lie, for a read as for a write. */
  readonly keyOffset: number
  readonly answer: AnswerKind
}

export type Requests = { readonly read: RequestTemplate; readonly write: RequestTemplate }

const UTF8 = new TextEncoder()

/** Fills values of writes; no cluster answers with it. */
const WRITTEN_BYTE = 'w'

export const makeRequests = (
  mix: Mix,
  traits: VersionTraits,
  valueLength: number,
  read: StatementIds,
  write: StatementIds,
): Requests => {
  const key = UTF8.encode(KEY_PLACEHOLDER)
  const written = WRITTEN_BYTE.repeat(valueLength)
  const value = UTF8.encode(written)
  const template = (opcode: number, body: BodyWriter, answer: AnswerKind): RequestTemplate => {
    const envelope = body.toEnvelope(traits.version, 0, 0, opcode)
    return { envelope, keyOffset: Buffer.from(envelope.buffer).indexOf(KEY_PLACEHOLDER), answer }
  }
  const query = (text: string): BodyWriter =>
    encodeQuery(
      new BodyWriter(),
      { text, parameters: { consistency: Consistency.LOCAL_QUORUM, skipMetadata: false } },
      traits,
    )
  const execute = ({ id, resultMetadataId }: StatementIds, values: Uint8Array[]): BodyWriter =>
    encodeExecute(
      new BodyWriter(),
      {
        statementId: id,
        ...(resultMetadataId && { resultMetadataId }),
        // Drivers keep the columns from PREPARED.
        parameters: { consistency: Consistency.LOCAL_QUORUM, values, skipMetadata: true },
      },
      traits,
    )
  if (mix.kind === 'query') {
    return {
      read: template(Opcode.QUERY, query(textRead(KEY_PLACEHOLDER)), AnswerKind.ROWS),
      write: template(Opcode.QUERY, query(textWrite(KEY_PLACEHOLDER, written)), AnswerKind.DONE),
    }
  }
  const child = { kind: 'prepared', statementId: write.id, values: [key, value] } as const
  const batch = encodeBatch(
    new BodyWriter(),
    {
      type: BatchType.UNLOGGED,
      children: Array.from({ length: BATCH_CHILDREN }, () => child),
      consistency: Consistency.LOCAL_QUORUM,
    },
    traits,
  )
  return {
    read: template(Opcode.EXECUTE, execute(read, [key]), AnswerKind.ROWS),
    write:
      mix.kind === 'batch'
        ? template(Opcode.BATCH, batch, AnswerKind.DONE)
        : template(Opcode.EXECUTE, execute(write, [key, value]), AnswerKind.DONE),
  }
}

const DIGIT_ZERO = 0x30

/** Writes the number as seven digits behind the key's first character. */
export const writeKey = (bytes: Uint8Array, keyOffset: number, number: number): void => {
  let rest = number
  for (let at = keyOffset + KEY_PLACEHOLDER.length - 1; at > keyOffset; at--) {
    bytes[at] = DIGIT_ZERO + (rest % 10)
    rest = (rest / 10) | 0
  }
}
