/**
 * The CQL values that system tables are made of, between JavaScript and their bytes (v5 §6). Values
 * of applications are never looked into.
 */
import { ProtocolError } from './errors.ts'
import { formatInet, parseInet } from './inet.ts'
import { ErrorCode } from './protocol.ts'
import { BodyReader } from './reader.ts'
import { BodyWriter } from './writer.ts'

const UTF8_ENCODER = new TextEncoder()
const UTF8_DECODER = new TextDecoder('utf-8', { ignoreBOM: true })
const UUID_LENGTH = 16
const UUID_TEXT = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

const invalid = (type: string, value: string): ProtocolError =>
  new ProtocolError('CQL_VALUE', `${value} is no value of type ${type}`, ErrorCode.INVALID)

const ofLength = (bytes: Uint8Array, length: number, type: string): Uint8Array => {
  if (bytes.length === length) return bytes
  throw invalid(type, `0x${bytes.toHex()}`)
}

export const encodeText = (value: string): Uint8Array => UTF8_ENCODER.encode(value)

export const decodeText = (bytes: Uint8Array): string => UTF8_DECODER.decode(bytes)

export const encodeInt = (value: number): Uint8Array => new BodyWriter(4).writeInt(value).toBytes()

export const decodeInt = (bytes: Uint8Array): number =>
  new BodyReader(ofLength(bytes, 4, 'int')).readInt()

export const encodeBigint = (value: bigint): Uint8Array =>
  new BodyWriter(8).writeLong(value).toBytes()

export const decodeBigint = (bytes: Uint8Array): bigint =>
  new BodyReader(ofLength(bytes, 8, 'bigint')).readLong()

export const encodeBoolean = (value: boolean): Uint8Array => Uint8Array.of(value ? 1 : 0)

export const decodeBoolean = (bytes: Uint8Array): boolean => ofLength(bytes, 1, 'boolean')[0] !== 0

export const encodeUuid = (value: string): Uint8Array => {
  if (!UUID_TEXT.test(value)) throw invalid('uuid', value)
  return Uint8Array.fromHex(value.replaceAll('-', ''))
}

export const decodeUuid = (bytes: Uint8Array): string => {
  const hex = ofLength(bytes, UUID_LENGTH, 'uuid').toHex()
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20)]
  return [...parts, hex.slice(20)].join('-')
}

export const encodeInet = (value: string): Uint8Array => {
  const bytes = parseInet(value)
  if (bytes === null) throw invalid('inet', value)
  return bytes
}

export const decodeInet = (bytes: Uint8Array): string => {
  if (bytes.length !== 4 && bytes.length !== 16) throw invalid('inet', `0x${bytes.toHex()}`)
  return formatInet(bytes)
}

/** <n [int]><element [bytes]>*, for set and list alike; elements are encoded already. */
export const encodeElements = (elements: readonly Uint8Array[]): Uint8Array => {
  const writer = new BodyWriter().writeInt(elements.length)
  for (const element of elements) writer.writeBytes(element)
  return writer.toBytes()
}

/** The elements of a set or list, as views. */
export const decodeElements = (bytes: Uint8Array): (Uint8Array | null)[] => {
  const reader = new BodyReader(bytes)
  const count = reader.readInt('element count')
  const elements: (Uint8Array | null)[] = []
  for (let i = 0; i < count; i++) elements.push(reader.readBytes('element'))
  return elements
}

/** set<text>, sorted as a server sorts it: by the bytes of UTF-8. */
export const encodeTextSet = (values: Iterable<string>): Uint8Array =>
  encodeElements([...new Set(values)].map(encodeText).sort(Buffer.compare))

export const decodeTextSet = (bytes: Uint8Array): Set<string> =>
  new Set(decodeElements(bytes).map((element) => decodeText(element ?? new Uint8Array(0))))

/** The entries of a map, as views. */
export const decodeMap = (bytes: Uint8Array): [Uint8Array | null, Uint8Array | null][] => {
  const reader = new BodyReader(bytes)
  const count = reader.readInt('entry count')
  const entries: [Uint8Array | null, Uint8Array | null][] = []
  for (let i = 0; i < count; i++) {
    const key = reader.readBytes('key')
    entries.push([key, reader.readBytes('value')])
  }
  return entries
}
