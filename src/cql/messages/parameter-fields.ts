/**
 * Where the fields of query parameters lie (v5 §4.1.4), for those who change one of them in place. What
 * the fields mean is query-parameters.ts's business.
 */
import { QueryFlag, type VersionTraits } from '../protocol.ts'
import type { BodyReader } from '../reader.ts'
import { readFlags } from './query-parameters.ts'

/** Offsets into the reader's bytes. */
export type ParameterFields = {
  readonly flags: number
  readonly flagsStart: number
  readonly flagsEnd: number
  /** `<n>([<name>]<value>)*`; empty where there is none. */
  readonly valuesStart: number
  readonly valuesEnd: number
  /** Where the default timestamp is or would be. */
  readonly timestampStart: number
}

const skipValues = (reader: BodyReader, hasNames: boolean): void => {
  const count = reader.readShort('value count')
  for (let i = 0; i < count; i++) {
    if (hasNames) reader.skip(reader.readShort('value name'), 'value name')
    reader.readValue('value')
  }
}

/**
 * Reads the parameters at `reader`, of a QUERY or EXECUTE, or of a BATCH (from its consistency on, which
 * has no values). Leaves the reader behind the serial consistency. Throws ProtocolError when cut off.
 */
export const findParameterFields = (
  reader: BodyReader,
  traits: VersionTraits,
  isBatch: boolean,
): ParameterFields => {
  reader.readShort('consistency')
  const flagsStart = reader.offset
  const flags = readFlags(reader, traits)
  const flagsEnd = reader.offset
  if (!isBatch && (flags & QueryFlag.VALUES) !== 0) {
    skipValues(reader, (flags & QueryFlag.NAMES_FOR_VALUES) !== 0)
  }
  const valuesEnd = reader.offset
  if (!isBatch && (flags & QueryFlag.PAGE_SIZE) !== 0) reader.readInt('page size')
  if (!isBatch && (flags & QueryFlag.PAGING_STATE) !== 0) reader.readBytes('paging state')
  if ((flags & QueryFlag.SERIAL_CONSISTENCY) !== 0) reader.readShort('serial consistency')
  const timestampStart = reader.offset
  return { flags, flagsStart, flagsEnd, valuesStart: flagsEnd, valuesEnd, timestampStart }
}
