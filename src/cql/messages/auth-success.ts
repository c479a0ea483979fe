/** AUTH_SUCCESS, the SASL dialogue's good end (v5 §4.2.8). */
import type { BodyReader } from '../reader.ts'
import type { BodyWriter } from '../writer.ts'

/** <token>: [bytes], null where the authenticator has nothing to say */
export const encodeAuthSuccess = (writer: BodyWriter, token: Uint8Array | null): BodyWriter =>
  writer.writeBytes(token)

/** The token is a view. */
export const decodeAuthSuccess = (reader: BodyReader): Uint8Array | null =>
  reader.readBytes('AUTH_SUCCESS token')
