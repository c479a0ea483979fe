/**
 * Decodes every message and encodes it again: the seam `rewriteEnvelope` of a proxy instance, with
 * which a whole driver suite runs through the codecs of src/cql/messages. Bodies that cannot be read
 * without more (compressed ones, versions that we do not speak) pass as they are, and are counted.
 */
import { HEADER_LENGTH, OPCODE_OFFSET, RESPONSE_BIT, readStreamId } from '../../src/cql/envelope.ts'
import type { EnvelopeRewrite } from '../../src/cql/envelope-decoder.ts'
import { decodeAuthChallenge, encodeAuthChallenge } from '../../src/cql/messages/auth-challenge.ts'
import { decodeAuthResponse, encodeAuthResponse } from '../../src/cql/messages/auth-response.ts'
import { decodeAuthSuccess, encodeAuthSuccess } from '../../src/cql/messages/auth-success.ts'
import { decodeAuthenticate, encodeAuthenticate } from '../../src/cql/messages/authenticate.ts'
import { decodeBatch, encodeBatch } from '../../src/cql/messages/batch.ts'
import { decodeError, encodeError } from '../../src/cql/messages/error.ts'
import { decodeEvent, type EventMessage, encodeEvent } from '../../src/cql/messages/event.ts'
import { decodeExecute, encodeExecute } from '../../src/cql/messages/execute.ts'
import { decodePrepare, encodePrepare } from '../../src/cql/messages/prepare.ts'
import { decodeQuery, encodeQuery } from '../../src/cql/messages/query.ts'
import { decodeRegister, encodeRegister } from '../../src/cql/messages/register.ts'
import { decodeResult, encodeResult } from '../../src/cql/messages/result.ts'
import { decodeStartup, encodeStartup } from '../../src/cql/messages/startup.ts'
import { decodeSupported, encodeSupported } from '../../src/cql/messages/supported.ts'
import {
  EnvelopeFlag,
  Opcode,
  opcodeName,
  type VersionTraits,
  versionTraits,
} from '../../src/cql/protocol.ts'
import { BodyReader } from '../../src/cql/reader.ts'
import { BodyWriter } from '../../src/cql/writer.ts'

type Codec = (reader: BodyReader, writer: BodyWriter, traits: VersionTraits) => unknown

/** Reads a message with `decode` and writes what was read with `encode`. */
const codec =
  <T>(
    decode: (reader: BodyReader, traits: VersionTraits) => T,
    encode: (writer: BodyWriter, message: T, traits: VersionTraits) => unknown,
  ): Codec =>
  (reader, writer, traits) =>
    encode(writer, decode(reader, traits), traits)

const decodeKnownEvent = (reader: BodyReader, traits: VersionTraits): EventMessage => {
  const event = decodeEvent(reader, traits)
  if (event !== null) return event
  throw new Error('cannot encode an event again that nobody registers for')
}

const EMPTY: Codec = () => undefined

const CODECS: ReadonlyMap<number, Codec> = new Map([
  [Opcode.ERROR, codec(decodeError, encodeError)],
  [Opcode.STARTUP, codec(decodeStartup, encodeStartup)],
  [Opcode.READY, EMPTY],
  [Opcode.AUTHENTICATE, codec(decodeAuthenticate, encodeAuthenticate)],
  [Opcode.OPTIONS, EMPTY],
  [Opcode.SUPPORTED, codec(decodeSupported, encodeSupported)],
  [Opcode.QUERY, codec(decodeQuery, encodeQuery)],
  [Opcode.RESULT, codec(decodeResult, encodeResult)],
  [Opcode.PREPARE, codec(decodePrepare, encodePrepare)],
  [Opcode.EXECUTE, codec(decodeExecute, encodeExecute)],
  [Opcode.REGISTER, codec(decodeRegister, encodeRegister)],
  [Opcode.EVENT, codec(decodeKnownEvent, encodeEvent)],
  [Opcode.BATCH, codec(decodeBatch, encodeBatch)],
  [Opcode.AUTH_CHALLENGE, codec(decodeAuthChallenge, encodeAuthChallenge)],
  [Opcode.AUTH_RESPONSE, codec(decodeAuthResponse, encodeAuthResponse)],
  [Opcode.AUTH_SUCCESS, codec(decodeAuthSuccess, encodeAuthSuccess)],
])

/** What an answer has before its message, and a request if it has a custom payload (v5 §2.4.1.2). */
const copyPrefix = (
  reader: BodyReader,
  writer: BodyWriter,
  flags: number,
  isAnswer: boolean,
): void => {
  if (isAnswer && flags & EnvelopeFlag.TRACING) writer.writeRaw(reader.readUuid('tracing id'))
  if (isAnswer && flags & EnvelopeFlag.WARNING) {
    writer.writeStringList(reader.readStringList('warnings'))
  }
  if (flags & EnvelopeFlag.CUSTOM_PAYLOAD) writer.writeBytesMap(reader.readBytesMap('payload'))
}

const SHOWN_BYTES = 200
const DIFFERENCES_KEPT = 10

export class ReEncoder {
  /** Messages that were encoded again, by the name of their opcode. */
  readonly counts = new Map<string, number>()
  /** Messages that passed as they were. */
  passed = 0
  /** What was not the same, byte for byte, after it had been encoded again: the first few. */
  readonly differences: string[] = []

  readonly rewrite: EnvelopeRewrite = (envelope) => {
    const versionByte = envelope[0]!
    const flags = envelope[1]!
    const opcode = envelope[OPCODE_OFFSET]!
    const traits = versionTraits(versionByte & ~RESPONSE_BIT)
    const reencode = CODECS.get(opcode)
    if (traits === undefined || reencode === undefined || flags & EnvelopeFlag.COMPRESSION) {
      this.passed++
      return envelope
    }
    const reader = new BodyReader(envelope, HEADER_LENGTH, envelope.length)
    const writer = new BodyWriter(envelope.length)
    copyPrefix(reader, writer, flags, versionByte >= RESPONSE_BIT)
    reencode(reader, writer, traits)
    // Details of errors that the proxy never looks into.
    if (reader.remaining > 0) writer.writeRaw(envelope.subarray(reader.offset))
    const again = writer.toEnvelope(versionByte, flags, readStreamId(envelope, 0), opcode)
    const name = opcodeName(opcode)
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
    if (this.differences.length < DIFFERENCES_KEPT && Buffer.compare(envelope, again) !== 0) {
      this.differences.push(describe(name, envelope, again))
    }
    return again
  }
}

const describe = (name: string, before: Uint8Array, after: Uint8Array): string => {
  const at = before.findIndex((byte, index) => byte !== after[index])
  const shown = (bytes: Uint8Array) => Buffer.from(bytes.subarray(0, SHOWN_BYTES)).toString('hex')
  return `${name} from byte ${at}: ${shown(before)} became ${shown(after)}`
}
