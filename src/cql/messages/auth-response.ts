/** AUTH_RESPONSE, a client's step of the SASL dialogue (v5 §4.1.2). */
import type { BodyReader } from '../reader.ts'
import type { BodyWriter } from '../writer.ts'

/** <token>: [bytes], null where the authenticator has nothing to say */
export const encodeAuthResponse = (writer: BodyWriter, token: Uint8Array | null): BodyWriter =>
  writer.writeBytes(token)

/** The token is a view. */
export const decodeAuthResponse = (reader: BodyReader): Uint8Array | null =>
  reader.readBytes('AUTH_RESPONSE token')
