/** AUTH_CHALLENGE, a server's step of the SASL dialogue (v5 §4.2.7). */
import type { BodyReader } from '../reader.ts'
import type { BodyWriter } from '../writer.ts'

/** <token>: [bytes], null where the authenticator has nothing to say */
export const encodeAuthChallenge = (writer: BodyWriter, token: Uint8Array | null): BodyWriter =>
  writer.writeBytes(token)

/** The token is a view. */
export const decodeAuthChallenge = (reader: BodyReader): Uint8Array | null =>
  reader.readBytes('AUTH_CHALLENGE token')
