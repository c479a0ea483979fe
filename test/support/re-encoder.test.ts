/** What the seam does to single messages; the driver suite runs it on all of them. */
import { describe, expect, test } from 'vitest'
import { RESPONSE_BIT } from '../../src/cql/envelope.ts'
import { EnvelopeFlag, MetadataFlag, Opcode, ResultKind, Version } from '../../src/cql/protocol.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import { ReEncoder } from './re-encoder.ts'

const STREAM_ID = 7

const MESSAGES: readonly (readonly [string, Uint8Array])[] = [
  [
    'a QUERY of v3 with a custom payload',
    new BodyWriter()
      .writeBytesMap(new Map([['key', Uint8Array.of(1)]]))
      .writeLongString('SELECT 1')
      .writeShort(1)
      .writeByte(0)
      .toEnvelope(Version.V3, EnvelopeFlag.CUSTOM_PAYLOAD, STREAM_ID, Opcode.QUERY),
  ],
  [
    'an answer with tracing id and warnings',
    new BodyWriter()
      .writeRaw(new Uint8Array(16).fill(3))
      .writeStringList(['careful'])
      .writeInt(ResultKind.VOID)
      .toEnvelope(
        Version.V4 | RESPONSE_BIT,
        EnvelopeFlag.TRACING | EnvelopeFlag.WARNING,
        STREAM_ID,
        Opcode.RESULT,
      ),
  ],
  [
    'rows without metadata, as Cassandra marks them',
    new BodyWriter()
      .writeInt(ResultKind.ROWS)
      .writeInt(MetadataFlag.NO_METADATA | MetadataFlag.GLOBAL_TABLES_SPEC)
      .writeInt(1)
      .writeInt(1)
      .writeBytes(Uint8Array.of(1, 2))
      .toEnvelope(Version.V5 | RESPONSE_BIT, 0, STREAM_ID, Opcode.RESULT),
  ],
  [
    'an error with details that the proxy does not read',
    new BodyWriter()
      .writeInt(0x2400)
      .writeString('Cannot add already existing table')
      .writeString('ks')
      .writeString('t')
      .toEnvelope(Version.V4 | RESPONSE_BIT, 0, STREAM_ID, Opcode.ERROR),
  ],
]

describe('re-encoding', () => {
  test.each(MESSAGES)('%s: the same bytes, made anew', (_, envelope) => {
    const encoder = new ReEncoder()
    const again = encoder.rewrite(envelope)
    expect(again).not.toBe(envelope)
    expect(Buffer.from(again).toString('hex')).toBe(Buffer.from(envelope).toString('hex'))
    expect(encoder.differences).toEqual([])
    expect(encoder.passed).toBe(0)
  })

  test('a compressed body passes, and is counted', () => {
    const encoder = new ReEncoder()
    const envelope = new BodyWriter()
      .writeRaw(Uint8Array.of(1, 2, 3))
      .toEnvelope(Version.V4, EnvelopeFlag.COMPRESSION, 0, Opcode.QUERY)
    expect(encoder.rewrite(envelope)).toBe(envelope)
    expect(encoder.passed).toBe(1)
  })
})
