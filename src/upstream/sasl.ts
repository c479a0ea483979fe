/**
 * SASL PLAIN as CQL authenticators use it (request-path §9.2): the token is
 * `authorization id NUL user name NUL password`, UTF-8. DSE's authenticator asks for the mechanism's
 * name first.
 */
import type { Credentials } from './profile.ts'

export const DSE_AUTHENTICATOR = 'com.datastax.bdp.cassandra.auth.DseAuthenticator'
export const PLAIN_MECHANISM: Uint8Array = new TextEncoder().encode('PLAIN')
export const PLAIN_CHALLENGE = 'PLAIN-START'

/** PLAIN (RFC 4616): authorization id, user, password, NUL between them. */
export const encodePlainToken = (credentials: Credentials): Uint8Array =>
  new TextEncoder().encode(
    `${credentials.authorizationId ?? ''}\0${credentials.username}\0${credentials.password}`,
  )

/** The credentials in a client's token, or null where it is no PLAIN token. */
export const decodePlainToken = (token: Uint8Array): Credentials | null => {
  const parts = new TextDecoder('utf-8', { ignoreBOM: true }).decode(token).split('\0')
  const [authorizationId, username, password] = parts
  if (authorizationId === undefined || username === undefined || password === undefined) return null
  return authorizationId === '' ? { username, password } : { username, password, authorizationId }
}

/** Whether a client's AUTH_RESPONSE only chooses the mechanism (DSE's first step). */
export const isMechanismChoice = (token: Uint8Array | null): boolean =>
  token === null ||
  (token.length === PLAIN_MECHANISM.length && PLAIN_MECHANISM.every((byte, i) => token[i] === byte))
