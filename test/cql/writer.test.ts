import { describe, expect, test } from 'vitest'
import { BodyWriter } from '../../src/cql/writer.ts'

describe('a body that outgrows its buffer', () => {
  const WRITES: Record<string, (writer: BodyWriter) => BodyWriter> = {
    writeByte: (writer) => writer.writeByte(0xa5),
    writeShort: (writer) => writer.writeShort(0xa5a5),
    writeInt: (writer) => writer.writeInt(0x25a5a5a5),
    writeLong: (writer) => writer.writeLong(0x25a5a5a5a5a5a5a5n),
    writeRaw: (writer) => writer.writeRaw(Uint8Array.of(0xa5, 0xa6)),
  }

  test.each(Object.entries(WRITES))('%s loses nothing at the border', (_name, write) => {
    const expected = write(new BodyWriter(64)).toBytes()
    for (let before = 0; before <= 20; before++) {
      const writer = new BodyWriter(16).writeRaw(new Uint8Array(before))
      expect(write(writer).toBytes().subarray(before), `behind ${before} bytes`).toEqual(expected)
    }
  })
})
