/**
 * The query parameters that QUERY and EXECUTE share (v5 §4.1.4). An absent property is a flag that is
 * not set; null and NOT_SET are values of the protocol.
 */
import { QueryFlag, type VersionTraits } from '../protocol.ts'
import type { BodyReader, NOT_SET } from '../reader.ts'
import type { BodyWriter } from '../writer.ts'

export type BoundValue = Uint8Array | null | typeof NOT_SET

/** The parameters that BATCH has too, after its children. */
export type TrailingParameters = {
  readonly serialConsistency?: number
  /** Microseconds. */
  readonly timestamp?: bigint
  /** v5. */
  readonly keyspace?: string
  /** v5. */
  readonly nowInSeconds?: number
}

export type QueryParameters = TrailingParameters & {
  readonly consistency: number
  readonly values?: readonly BoundValue[]
  /** As many as values. */
  readonly names?: readonly string[]
  readonly skipMetadata: boolean
  readonly pageSize?: number
  readonly pagingState?: Uint8Array | null
  /** Flags that add no field here; written as they were read. */
  readonly otherFlags?: number
}

const FIELD_FLAGS =
  QueryFlag.VALUES |
  QueryFlag.SKIP_METADATA |
  QueryFlag.PAGE_SIZE |
  QueryFlag.PAGING_STATE |
  QueryFlag.SERIAL_CONSISTENCY |
  QueryFlag.DEFAULT_TIMESTAMP
const V5_FIELD_FLAGS = QueryFlag.KEYSPACE | QueryFlag.NOW_IN_SECONDS

/** Flags that say which fields follow, in this version. */
const fieldFlags = (traits: VersionTraits): number =>
  traits.hasKeyspaceField ? FIELD_FLAGS | V5_FIELD_FLAGS : FIELD_FLAGS

export const readFlags = (reader: BodyReader, traits: VersionTraits): number =>
  traits.hasIntFlags ? reader.readInt('flags') : reader.readByte('flags')

export const writeFlags = (writer: BodyWriter, flags: number, traits: VersionTraits): BodyWriter =>
  traits.hasIntFlags ? writer.writeInt(flags) : writer.writeByte(flags)

/**
 *   <consistency><flags>[<n>([<name>]<value>)*][<page size>][<paging state>]<trailing parameters>
 *     <consistency>   [short]
 *     <flags>         [byte], v5: [int]
 *     <n>             [short]
 *     <name>          [string], with NAMES_FOR_VALUES
 *     <value>         [value]
 *     <page size>     [int]
 *     <paging state>  [bytes]
 */
export const decodeQueryParameters = (
  reader: BodyReader,
  traits: VersionTraits,
): QueryParameters => {
  const consistency = reader.readShort('consistency')
  const flags = readFlags(reader, traits)
  const hasValues = (flags & QueryFlag.VALUES) !== 0
  const hasNames = hasValues && (flags & QueryFlag.NAMES_FOR_VALUES) !== 0
  const known = fieldFlags(traits) | (hasNames ? QueryFlag.NAMES_FOR_VALUES : 0)
  const otherFlags = flags & ~known
  return {
    consistency,
    skipMetadata: (flags & QueryFlag.SKIP_METADATA) !== 0,
    ...(hasNames ? decodeNamedValues(reader) : hasValues && { values: decodeValues(reader) }),
    ...(flags & QueryFlag.PAGE_SIZE && { pageSize: reader.readInt('page size') }),
    ...(flags & QueryFlag.PAGING_STATE && { pagingState: reader.readBytes('paging state') }),
    ...decodeTrailingParameters(reader, flags, traits),
    ...(otherFlags !== 0 && { otherFlags }),
  }
}

/** <n><value>* */
export const decodeValues = (reader: BodyReader): BoundValue[] => {
  const count = reader.readShort('value count')
  const values: BoundValue[] = []
  for (let i = 0; i < count; i++) values.push(reader.readValue('value'))
  return values
}

const decodeNamedValues = (reader: BodyReader): { names: string[]; values: BoundValue[] } => {
  const count = reader.readShort('value count')
  const names: string[] = []
  const values: BoundValue[] = []
  for (let i = 0; i < count; i++) {
    names.push(reader.readString('value name'))
    values.push(reader.readValue('value'))
  }
  return { names, values }
}

/**
 *   [<serial consistency>][<timestamp>][<keyspace>][<now in seconds>]
 *     <serial consistency>  [short]
 *     <timestamp>           [long]
 *     <keyspace>            [string], v5
 *     <now in seconds>      [int], v5
 */
export const decodeTrailingParameters = (
  reader: BodyReader,
  flags: number,
  traits: VersionTraits,
): TrailingParameters => {
  const v5Flags = traits.hasKeyspaceField ? flags : 0
  return {
    ...(flags & QueryFlag.SERIAL_CONSISTENCY && {
      serialConsistency: reader.readShort('serial consistency'),
    }),
    ...(flags & QueryFlag.DEFAULT_TIMESTAMP && { timestamp: reader.readLong('timestamp') }),
    ...(v5Flags & QueryFlag.KEYSPACE && { keyspace: reader.readString('keyspace') }),
    ...(v5Flags & QueryFlag.NOW_IN_SECONDS && { nowInSeconds: reader.readInt('now in seconds') }),
  }
}

export const encodeQueryParameters = (
  writer: BodyWriter,
  parameters: QueryParameters,
  traits: VersionTraits,
): BodyWriter => {
  const { values, names, pageSize, pagingState } = parameters
  const flags =
    (parameters.otherFlags ?? 0) |
    (values !== undefined ? QueryFlag.VALUES : 0) |
    (values !== undefined && names !== undefined ? QueryFlag.NAMES_FOR_VALUES : 0) |
    (parameters.skipMetadata ? QueryFlag.SKIP_METADATA : 0) |
    (pageSize !== undefined ? QueryFlag.PAGE_SIZE : 0) |
    (pagingState !== undefined ? QueryFlag.PAGING_STATE : 0) |
    trailingFlags(parameters, traits)
  writeFlags(writer.writeShort(parameters.consistency), flags, traits)
  if (values !== undefined && names !== undefined) encodeNamedValues(writer, names, values)
  else if (values !== undefined) writer.writeValues(values)
  if (pageSize !== undefined) writer.writeInt(pageSize)
  if (pagingState !== undefined) writer.writeBytes(pagingState)
  return encodeTrailingParameters(writer, parameters, traits)
}

const encodeNamedValues = (
  writer: BodyWriter,
  names: readonly string[],
  values: readonly BoundValue[],
): void => {
  writer.writeCount(values.length, 'values')
  values.forEach((value, index) => {
    writer.writeString(names[index] ?? '').writeValue(value)
  })
}

/** The flags of the trailing parameters that are present and that this version can carry. */
export const trailingFlags = (parameters: TrailingParameters, traits: VersionTraits): number =>
  (parameters.serialConsistency !== undefined ? QueryFlag.SERIAL_CONSISTENCY : 0) |
  (parameters.timestamp !== undefined ? QueryFlag.DEFAULT_TIMESTAMP : 0) |
  (traits.hasKeyspaceField && parameters.keyspace !== undefined ? QueryFlag.KEYSPACE : 0) |
  (traits.hasKeyspaceField && parameters.nowInSeconds !== undefined ? QueryFlag.NOW_IN_SECONDS : 0)

export const encodeTrailingParameters = (
  writer: BodyWriter,
  parameters: TrailingParameters,
  traits: VersionTraits,
): BodyWriter => {
  const { serialConsistency, timestamp, keyspace, nowInSeconds } = parameters
  if (serialConsistency !== undefined) writer.writeShort(serialConsistency)
  if (timestamp !== undefined) writer.writeLong(timestamp)
  if (traits.hasKeyspaceField && keyspace !== undefined) writer.writeString(keyspace)
  if (traits.hasKeyspaceField && nowInSeconds !== undefined) writer.writeInt(nowInSeconds)
  return writer
}
