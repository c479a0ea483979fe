/** AUTHENTICATE, a server's demand for credentials (v5 §4.2.3). */
import type { BodyReader } from '../reader.ts'
import type { BodyWriter } from '../writer.ts'

/** <authenticator>: [string], the full class name of the server's IAuthenticator */
export const encodeAuthenticate = (writer: BodyWriter, authenticator: string): BodyWriter =>
  writer.writeString(authenticator)

export const decodeAuthenticate = (reader: BodyReader): string =>
  reader.readString('AUTHENTICATE class')
