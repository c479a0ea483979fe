/**
 * Golden envelopes: test/golden/messages-v*.json. Each entry has a whole envelope in hex and the
 * message in it as plain data: bytes as {"hex"}, a [long] as {"long"}, a value that is not set as
 * {"notSet"}, maps as objects.
 */
import { readFileSync } from 'node:fs'
import { HEADER_LENGTH, OPCODE_OFFSET } from '../../../src/cql/envelope.ts'
import {
  decodeAuthChallenge,
  encodeAuthChallenge,
} from '../../../src/cql/messages/auth-challenge.ts'
import { decodeAuthResponse, encodeAuthResponse } from '../../../src/cql/messages/auth-response.ts'
import { decodeAuthSuccess, encodeAuthSuccess } from '../../../src/cql/messages/auth-success.ts'
import { decodeAuthenticate, encodeAuthenticate } from '../../../src/cql/messages/authenticate.ts'
import { decodeBatch, encodeBatch } from '../../../src/cql/messages/batch.ts'
import { decodeError, encodeError } from '../../../src/cql/messages/error.ts'
import { decodeEvent, encodeEvent } from '../../../src/cql/messages/event.ts'
import { decodeExecute, encodeExecute } from '../../../src/cql/messages/execute.ts'
import { decodePrepare, encodePrepare } from '../../../src/cql/messages/prepare.ts'
import { decodeQuery, encodeQuery } from '../../../src/cql/messages/query.ts'
import { decodeRegister, encodeRegister } from '../../../src/cql/messages/register.ts'
import { decodeResult, encodeResult } from '../../../src/cql/messages/result.ts'
import { decodeStartup, encodeStartup } from '../../../src/cql/messages/startup.ts'
import { decodeSupported, encodeSupported } from '../../../src/cql/messages/supported.ts'
import {
  Opcode,
  SUPPORTED_VERSIONS,
  type VersionTraits,
  versionTraits,
} from '../../../src/cql/protocol.ts'
import { BodyReader, NOT_SET } from '../../../src/cql/reader.ts'
import { BodyWriter } from '../../../src/cql/writer.ts'

export type Golden = {
  readonly name: string
  readonly version: number
  /** The whole envelope; blanks are for the reader's eyes. */
  readonly hex: string
  readonly message: unknown
  /** Lengths to which the body may be cut and still be a message. */
  readonly validCuts?: readonly number[]
}

export const readGoldens = (version: number): Golden[] => {
  const file = new URL(`../../golden/messages-v${version}.json`, import.meta.url)
  const goldens: Golden[] = JSON.parse(readFileSync(file, 'utf8'))
  return goldens
}

export const ALL_GOLDENS: readonly Golden[] = SUPPORTED_VERSIONS.flatMap(readGoldens)

export const goldenBytes = (golden: Golden): Uint8Array =>
  Uint8Array.from(Buffer.from(golden.hex.replaceAll(' ', ''), 'hex'))

export const traitsOf = (version: number): VersionTraits => {
  const traits = versionTraits(version)
  if (traits === undefined) throw new Error(`no traits of version ${version}`)
  return traits
}

type RoundTrip = { readonly message: unknown; readonly writer: BodyWriter }

/** Per opcode: what a body says, and that written again. */
const ROUND_TRIPS: Readonly<
  Record<number, (reader: BodyReader, traits: VersionTraits) => RoundTrip>
> = {
  [Opcode.ERROR]: (reader) => {
    const message = decodeError(reader)
    return { message, writer: encodeError(new BodyWriter(), message) }
  },
  [Opcode.STARTUP]: (reader) => {
    const message = decodeStartup(reader)
    return { message, writer: encodeStartup(new BodyWriter(), message) }
  },
  [Opcode.READY]: () => ({ message: null, writer: new BodyWriter() }),
  [Opcode.AUTHENTICATE]: (reader) => {
    const message = decodeAuthenticate(reader)
    return { message, writer: encodeAuthenticate(new BodyWriter(), message) }
  },
  [Opcode.OPTIONS]: () => ({ message: null, writer: new BodyWriter() }),
  [Opcode.SUPPORTED]: (reader) => {
    const message = decodeSupported(reader)
    return { message, writer: encodeSupported(new BodyWriter(), message) }
  },
  [Opcode.QUERY]: (reader, traits) => {
    const message = decodeQuery(reader, traits)
    return { message, writer: encodeQuery(new BodyWriter(), message, traits) }
  },
  [Opcode.RESULT]: (reader, traits) => {
    const message = decodeResult(reader, traits)
    return { message, writer: encodeResult(new BodyWriter(), message, traits) }
  },
  [Opcode.PREPARE]: (reader, traits) => {
    const message = decodePrepare(reader, traits)
    return { message, writer: encodePrepare(new BodyWriter(), message, traits) }
  },
  [Opcode.EXECUTE]: (reader, traits) => {
    const message = decodeExecute(reader, traits)
    return { message, writer: encodeExecute(new BodyWriter(), message, traits) }
  },
  [Opcode.REGISTER]: (reader) => {
    const message = decodeRegister(reader)
    return { message, writer: encodeRegister(new BodyWriter(), message) }
  },
  [Opcode.EVENT]: (reader, traits) => {
    const message = decodeEvent(reader, traits)
    const writer = new BodyWriter()
    return { message, writer: message === null ? writer : encodeEvent(writer, message, traits) }
  },
  [Opcode.BATCH]: (reader, traits) => {
    const message = decodeBatch(reader, traits)
    return { message, writer: encodeBatch(new BodyWriter(), message, traits) }
  },
  [Opcode.AUTH_CHALLENGE]: (reader) => {
    const message = decodeAuthChallenge(reader)
    return { message, writer: encodeAuthChallenge(new BodyWriter(), message) }
  },
  [Opcode.AUTH_RESPONSE]: (reader) => {
    const message = decodeAuthResponse(reader)
    return { message, writer: encodeAuthResponse(new BodyWriter(), message) }
  },
  [Opcode.AUTH_SUCCESS]: (reader) => {
    const message = decodeAuthSuccess(reader)
    return { message, writer: encodeAuthSuccess(new BodyWriter(), message) }
  },
}

/** Decodes and encodes the body of an envelope that may be cut off at `end`. */
export const roundTrip = (
  bytes: Uint8Array,
  version: number,
  end: number = bytes.length,
): RoundTrip & { readonly reader: BodyReader } => {
  const codec = ROUND_TRIPS[bytes[OPCODE_OFFSET]!]
  if (codec === undefined) throw new Error(`no codec of opcode ${bytes[OPCODE_OFFSET]}`)
  const reader = new BodyReader(bytes, HEADER_LENGTH, end)
  return { ...codec(reader, traitsOf(version)), reader }
}

/** A message as the plain data of a golden file. Text that is kept as bytes is shown as text. */
export const toPlain = (value: unknown, key = ''): unknown => {
  if (value === NOT_SET) return { notSet: true }
  if (typeof value === 'bigint') return { long: String(value) }
  if (value instanceof Uint8Array) {
    const buffer = Buffer.from(value)
    return key === 'text' ? buffer.toString('utf8') : { hex: buffer.toString('hex') }
  }
  if (value instanceof Map) return Object.fromEntries([...value].map(([k, v]) => [k, toPlain(v)]))
  if (Array.isArray(value)) return value.map((element) => toPlain(element))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, toPlain(v, k)]))
}
