import { EnvelopeFlag } from '../../src/cql/protocol.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import type { RawClient } from './raw-client.ts'

/** Sends a request with a custom payload in front of its body. */
export const sendWithPayload = (
  driver: RawClient,
  opcode: number,
  body: Uint8Array,
  payload: Readonly<Record<string, string | null>>,
) => {
  const entries = new Map(
    Object.entries(payload).map(([key, value]) => [
      key,
      value === null ? null : Buffer.from(value),
    ]),
  )
  const prefix = new BodyWriter().writeBytesMap(entries).toBytes()
  const flags = EnvelopeFlag.CUSTOM_PAYLOAD
  return driver.request(opcode, Buffer.concat([prefix, body]), { flags })
}
