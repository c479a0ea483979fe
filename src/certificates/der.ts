/** Just enough of DER (X.690) to find one's way through what node:crypto cannot read, such as revocation lists. */

export const DerTag = {
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OBJECT_IDENTIFIER: 0x06,
  UTC_TIME: 0x17,
  GENERALIZED_TIME: 0x18,
  SEQUENCE: 0x30,
} as const

export type DerElement = {
  readonly tag: number
  /** Tag and length included. */
  readonly whole: Buffer
  readonly content: Buffer
}

const LONG_LENGTH = 0x80
/** Files are small: four bytes say 4 GiB. */
const LENGTH_BYTES_MAX = 4
const CENTURY_PIVOT = 50

/** The first element of these bytes. Throws a RangeError where they end before it does. */
export const readElement = (bytes: Buffer): DerElement => {
  const tag = bytes.readUInt8(0)
  const first = bytes.readUInt8(1)
  const lengthBytes = first < LONG_LENGTH ? 0 : first - LONG_LENGTH
  if (first === LONG_LENGTH || lengthBytes > LENGTH_BYTES_MAX) {
    throw new RangeError('a length that DER has not')
  }
  const length = lengthBytes === 0 ? first : bytes.readUIntBE(2, lengthBytes)
  const start = 2 + lengthBytes
  if (start + length > bytes.length) throw new RangeError('it ends in the middle of an element')
  const whole = bytes.subarray(0, start + length)
  return { tag, whole, content: whole.subarray(start) }
}

/** What a SEQUENCE holds. Throws a RangeError where it is none. */
export const readSequence = (bytes: Buffer): readonly DerElement[] => {
  const { tag, content } = readElement(bytes)
  if (tag !== DerTag.SEQUENCE) throw new RangeError('no sequence where one belongs')
  const elements: DerElement[] = []
  for (let rest = content; rest.length > 0; ) {
    const element = readElement(rest)
    elements.push(element)
    rest = rest.subarray(element.whole.length)
  }
  return elements
}

export const isTime = (element: DerElement | undefined): element is DerElement =>
  element?.tag === DerTag.UTC_TIME || element?.tag === DerTag.GENERALIZED_TIME

/** In milliseconds since 1970; RFC 5280 §4.1.2.5 allows only UTC with seconds. */
export const timeMs = ({ tag, content }: DerElement): number => {
  const text = content.toString('latin1')
  const isShort = tag === DerTag.UTC_TIME
  const century = isShort ? (Number(text.slice(0, 2)) < CENTURY_PIVOT ? '20' : '19') : ''
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(`${century}${text}`)
  if (parts === null) throw new RangeError(`${text} is no time`)
  const [year, month, day, hour, minute, second] = parts.slice(1)
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
}
