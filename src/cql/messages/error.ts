/**
 * ERROR, and what each code adds to its message (v5 §4.2.1, §9). Details are read and written for the
 * codes that the proxy makes or looks into; every other code, known or not, is code and message.
 */
import { ErrorCode } from '../protocol.ts'
import type { BodyReader } from '../reader.ts'
import type { BodyWriter } from '../writer.ts'

export type ErrorDetails =
  | {
      readonly kind: 'unavailable'
      readonly consistency: number
      readonly required: number
      readonly alive: number
    }
  | {
      readonly kind: 'readTimeout'
      readonly consistency: number
      readonly received: number
      readonly blockFor: number
      readonly dataPresent: boolean
    }
  | {
      readonly kind: 'writeTimeout'
      readonly consistency: number
      readonly received: number
      readonly blockFor: number
      readonly writeType: string
      /** v5, for a write type of CAS only. */
      readonly contentions?: number
    }
  | { readonly kind: 'unprepared'; readonly statementId: Uint8Array }

export type ErrorMessage = {
  /** One of `ErrorCode`, or what a newer server has invented. */
  readonly code: number
  readonly message: string
  readonly details?: ErrorDetails
}

export const WriteType = {
  SIMPLE: 'SIMPLE',
  BATCH: 'BATCH',
  UNLOGGED_BATCH: 'UNLOGGED_BATCH',
  COUNTER: 'COUNTER',
  CAS: 'CAS',
} as const

const MESSAGE_LENGTH_MAX = 0xffff
const UTF8 = new TextEncoder()

/**
 *   <code><message>[<details>]
 *     <code>     [int]
 *     <message>  [string]
 *     <details>  UNAVAILABLE:    <consistency [short]><required [int]><alive [int]>
 *                READ_TIMEOUT:   <consistency [short]><received [int]><block for [int]><data [byte]>
 *                WRITE_TIMEOUT:  <consistency [short]><received [int]><block for [int]>
 *                                <write type [string]>[<contentions [short]>]
 *                UNPREPARED:     <statement id [short bytes]>
 */
export const decodeError = (reader: BodyReader): ErrorMessage => {
  const code = reader.readInt('error code')
  const message = reader.readString('error message')
  const details = decodeDetails(reader, code)
  return details === undefined ? { code, message } : { code, message, details }
}

const decodeDetails = (reader: BodyReader, code: number): ErrorDetails | undefined => {
  switch (code) {
    case ErrorCode.UNAVAILABLE:
      return {
        kind: 'unavailable',
        consistency: reader.readShort('consistency'),
        required: reader.readInt('required replicas'),
        alive: reader.readInt('alive replicas'),
      }
    case ErrorCode.READ_TIMEOUT:
      return {
        kind: 'readTimeout',
        consistency: reader.readShort('consistency'),
        received: reader.readInt('received answers'),
        blockFor: reader.readInt('required answers'),
        dataPresent: reader.readByte('data present') !== 0,
      }
    case ErrorCode.WRITE_TIMEOUT:
      return decodeWriteTimeout(reader)
    case ErrorCode.UNPREPARED:
      return { kind: 'unprepared', statementId: reader.readShortBytes('statement id') }
    default:
      return undefined
  }
}

const decodeWriteTimeout = (reader: BodyReader): ErrorDetails => {
  const timeout = {
    kind: 'writeTimeout',
    consistency: reader.readShort('consistency'),
    received: reader.readInt('received acknowledgements'),
    blockFor: reader.readInt('required acknowledgements'),
    writeType: reader.readString('write type'),
  } as const
  if (timeout.writeType !== WriteType.CAS || reader.remaining === 0) return timeout
  return { ...timeout, contentions: reader.readShort('contentions') }
}

/** A message that is too long for a [string] is cut, so that there always is an answer. */
export const encodeError = (writer: BodyWriter, error: ErrorMessage): BodyWriter => {
  writer.writeInt(error.code).writeShortBytes(truncatedUtf8(error.message))
  return error.details === undefined ? writer : encodeDetails(writer, error.details)
}

const encodeDetails = (writer: BodyWriter, details: ErrorDetails): BodyWriter => {
  if (details.kind === 'unprepared') return writer.writeShortBytes(details.statementId)
  writer.writeShort(details.consistency)
  if (details.kind === 'unavailable') {
    return writer.writeInt(details.required).writeInt(details.alive)
  }
  writer.writeInt(details.received).writeInt(details.blockFor)
  if (details.kind === 'readTimeout') return writer.writeByte(details.dataPresent ? 1 : 0)
  writer.writeString(details.writeType)
  return details.contentions === undefined ? writer : writer.writeShort(details.contentions)
}

/** At most 65,535 bytes of UTF-8, cut between characters. */
const truncatedUtf8 = (text: string): Uint8Array => {
  const bytes = UTF8.encode(text)
  if (bytes.length <= MESSAGE_LENGTH_MAX) return bytes
  let end = MESSAGE_LENGTH_MAX
  while ((bytes[end]! & 0xc0) === 0x80) end--
  return bytes.subarray(0, end)
}
