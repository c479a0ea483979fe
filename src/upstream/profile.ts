/**
 * What makes two sessions able to share connections: everything of a session that a server keeps
 * with the connection (architecture §2.3). Sessions with equal profiles share; a session that
 * changes one of these things moves to another profile.
 */
import { createHmac, randomBytes } from 'node:crypto'
import type { VersionTraits } from '../cql/protocol.ts'

/** User name and password for SASL PLAIN, and the authorization id that a client may add. */
export type Credentials = {
  readonly username: string
  readonly password: string
  readonly authorizationId?: string
}

export type Profile = {
  readonly traits: VersionTraits
  /** STARTUP's options as the client sent them; those that only describe the client are not compared. */
  readonly startupOptions: ReadonlyMap<string, string>
  /** Per cluster; null where the cluster asks for none. */
  readonly credentials: readonly [Credentials | null, Credentials | null]
  /** Set by USE, in its internal form. */
  readonly keyspace: string | null
  /** With `upstream_connections: per_client`, the one session that may use it; else null. */
  readonly exclusiveTo: number | null
}

/** Options that a server only shows and that differ from client to client. */
const DESCRIPTIVE_OPTIONS: ReadonlySet<string> = new Set([
  'CLIENT_ID',
  'APPLICATION_NAME',
  'APPLICATION_VERSION',
])

/** Keys are compared within one thread only; nobody can guess passwords from one without this. */
const KEY_SECRET = randomBytes(32)

/** Equal for profiles that may share connections. A keyed digest, so that it may be shown. */
export const profileKey = (profile: Profile): string => {
  const options = [...profile.startupOptions]
    .filter(([name]) => !DESCRIPTIVE_OPTIONS.has(name.toUpperCase()))
    .sort(([a], [b]) => (a < b ? -1 : 1))
  const parts = [
    profile.traits.version,
    options,
    profile.credentials.map((c) => c && [c.authorizationId ?? '', c.username, c.password]),
    profile.keyspace,
    profile.exclusiveTo,
  ]
  return createHmac('sha256', KEY_SECRET).update(JSON.stringify(parts)).digest('hex')
}
