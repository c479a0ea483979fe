/**
 * What a fake node understands of a request's body (v5 §4.1): the statement's text, statement ids,
 * the keyspace and the parameters that change an answer.
 */
import { EnvelopeFlag, Opcode, QueryFlag, versionTraits } from '../../../src/cql/protocol.ts'
import { BodyReader } from '../../../src/cql/reader.ts'
import type { Envelope } from './wire.ts'

export type BatchChild = { readonly text?: string; readonly statementId?: string }

/** Ids in hex. A field is absent where the request has no such thing. */
export type DecodedRequest = {
  readonly text?: string
  readonly statementId?: string
  readonly resultMetadataId?: string
  /** The keyspace of the request itself (v5), not the connection's. */
  readonly keyspace?: string
  readonly children?: readonly BatchChild[]
  readonly skipMetadata?: boolean
  readonly values?: readonly (Uint8Array | null | symbol)[]
  readonly startupOptions?: ReadonlyMap<string, string>
  readonly eventTypes?: readonly string[]
  readonly token?: Uint8Array | null
  readonly customPayload?: ReadonlyMap<string, Uint8Array | null>
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

type Parameters = Pick<DecodedRequest, 'keyspace' | 'skipMetadata' | 'values'>

/** <consistency><flags>[<n>[name_1]<value_1>…][<page size>][<paging state>][…][<keyspace>][<now>] */
const readParameters = (reader: BodyReader, hasIntFlags: boolean): Parameters => {
  reader.readShort('<consistency>')
  const flags = hasIntFlags ? reader.readInt('<flags>') : reader.readByte('<flags>')
  const values: (Uint8Array | null | symbol)[] = []
  if (flags & QueryFlag.VALUES) {
    const count = reader.readShort('<n>')
    for (let i = 0; i < count; i++) {
      if (flags & QueryFlag.NAMES_FOR_VALUES) reader.readString('<name>')
      values.push(reader.readValue('<value>'))
    }
  }
  if (flags & QueryFlag.PAGE_SIZE) reader.readInt('<page size>')
  if (flags & QueryFlag.PAGING_STATE) reader.readBytes('<paging state>')
  return {
    ...readTail(reader, flags),
    skipMetadata: (flags & QueryFlag.SKIP_METADATA) !== 0,
    values,
  }
}

const readTail = (reader: BodyReader, flags: number): Pick<DecodedRequest, 'keyspace'> => {
  if (flags & QueryFlag.SERIAL_CONSISTENCY) reader.readShort('<serial consistency>')
  if (flags & QueryFlag.DEFAULT_TIMESTAMP) reader.readLong('<timestamp>')
  const keyspace = flags & QueryFlag.KEYSPACE ? reader.readString('<keyspace>') : undefined
  if (flags & QueryFlag.NOW_IN_SECONDS) reader.readInt('<now in seconds>')
  return keyspace === undefined ? {} : { keyspace }
}

/** <type><n><child_1>…<consistency><flags>…, a child: <kind><text or id><n><value_1>… */
const readBatch = (
  reader: BodyReader,
  hasIntFlags: boolean,
  hasBatchFlags: boolean,
): DecodedRequest => {
  reader.readByte('<type>')
  const count = reader.readShort('<n>')
  const children: BatchChild[] = []
  for (let i = 0; i < count; i++) {
    const isPrepared = reader.readByte('<kind>') === 1
    children.push(
      isPrepared
        ? { statementId: hex(reader.readShortBytes('<id>')) }
        : { text: reader.readLongString('<text>') },
    )
    const valueCount = reader.readShort('<n>')
    for (let j = 0; j < valueCount; j++) reader.readValue('<value>')
  }
  reader.readShort('<consistency>')
  if (!hasBatchFlags) return { children }
  const flags = hasIntFlags ? reader.readInt('<flags>') : reader.readByte('<flags>')
  return { children, ...readTail(reader, flags) }
}

const readPrepare = (reader: BodyReader, hasFlags: boolean): DecodedRequest => {
  const text = reader.readLongString('<text>')
  if (!hasFlags || (reader.readInt('<flags>') & 1) === 0) return { text }
  return { text, keyspace: reader.readString('<keyspace>') }
}

const readBody = (reader: BodyReader, envelope: Envelope): DecodedRequest => {
  const traits = versionTraits(envelope.version)
  const hasIntFlags = traits?.hasIntFlags ?? false
  switch (envelope.opcode) {
    case Opcode.STARTUP:
      return { startupOptions: reader.readStringMap() }
    case Opcode.AUTH_RESPONSE:
      return { token: reader.readBytes() }
    case Opcode.REGISTER:
      return { eventTypes: reader.readStringList() }
    case Opcode.QUERY:
      return { text: reader.readLongString('<text>'), ...readParameters(reader, hasIntFlags) }
    case Opcode.PREPARE:
      return readPrepare(reader, traits?.hasKeyspaceField ?? false)
    case Opcode.EXECUTE: {
      const statementId = hex(reader.readShortBytes('<id>'))
      const hasMetadataId = traits?.hasResultMetadataId ?? false
      const metadata = hasMetadataId ? { resultMetadataId: hex(reader.readShortBytes()) } : {}
      return { statementId, ...metadata, ...readParameters(reader, hasIntFlags) }
    }
    case Opcode.BATCH:
      return readBatch(reader, hasIntFlags, traits?.hasBatchFlags ?? true)
    default:
      return {}
  }
}

/** Throws a ProtocolError where the body does not follow the protocol. */
export const decodeRequest = (envelope: Envelope): DecodedRequest => {
  const reader = new BodyReader(envelope.body)
  const customPayload =
    envelope.flags & EnvelopeFlag.CUSTOM_PAYLOAD ? reader.readBytesMap('<payload>') : undefined
  const request = readBody(reader, envelope)
  return customPayload === undefined ? request : { ...request, customPayload }
}
