/** Who is let in to an HTTP server of the proxy: a bearer token, a certificate, or everybody. */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Socket } from 'node:net'
import { type SecureContextOptions, TLSSocket } from 'node:tls'

/** As the files say now. Whether there are tokens, TLS and mutual TLS stays as long as the server runs. */
export type ServerCredentials = {
  /** Of which a caller must show one; null: none is asked for. */
  readonly tokens: readonly string[] | null
  /** Null: plain HTTP. */
  readonly tls: SecureContextOptions | null
  /** Whether callers must show a certificate. */
  readonly hasMutualTls: boolean
}

/** Everybody may come, in plain text. */
export const OPEN: ServerCredentials = { tokens: null, tls: null, hasMutualTls: false }

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Whether one of the tokens is shown. */
export const showsToken = (
  { authorization = '' }: IncomingHttpHeaders,
  tokens: readonly string[],
): boolean => {
  const shown = digest(/^Bearer +(\S+)$/i.exec(authorization)?.[1] ?? '')
  // Digests: of one length, so that nothing is told by the time it takes; all of them, for the same reason.
  return tokens.map((token) => timingSafeEqual(shown, digest(token))).includes(true)
}

/** Whether the caller has shown a certificate that was accepted, on a server that lets others in too. */
export const showsCertificate = (socket: Socket): boolean =>
  socket instanceof TLSSocket && socket.authorized
