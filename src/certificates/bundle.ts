/**
 * A Secure Connect Bundle of Astra: a zip with the address of a metadata service and what a mutual
 * TLS connection to it needs (operations §7.3). What the service says is src/cluster/astra-metadata.ts.
 */
import { unzipSync } from 'fflate'
import { messageOf } from '../message-of.ts'
import { CertificateError, CertificateErrorCode, type NamedFile } from './errors.ts'

/** The entries that are used, by their exact names at the root. User names and passwords are not. */
export const BUNDLE_ENTRIES = {
  configuration: 'config.json',
  authority: 'ca.crt',
  certificate: 'cert',
  key: 'key',
} as const

/** A certificate or key is a few kilobytes; a zip can pretend to hold anything. */
const ENTRY_LENGTH_MAX = 1024 * 1024
const PORT_MAX = 65_535

export type SecureConnectBundle = {
  /** Of the metadata service. */
  readonly host: string
  readonly port: number
  readonly authority: string | null
  readonly certificate: string | null
  readonly key: string | null
}

const unzip = (bytes: Uint8Array, refuse: Refuse): ReadonlyMap<string, string> => {
  const wanted = new Set<string>(Object.values(BUNDLE_ENTRIES))
  let oversized: string | null = null
  try {
    const entries = unzipSync(bytes, {
      filter: ({ name, originalSize }) => {
        if (!wanted.has(name)) return false
        if (originalSize > ENTRY_LENGTH_MAX) oversized = name
        return originalSize <= ENTRY_LENGTH_MAX
      },
    })
    if (oversized !== null) throw refuse(`holds an entry ${oversized} above 1 MiB`)
    return new Map(
      Object.entries(entries).map(([name, content]) => [
        name,
        Buffer.from(content).toString('utf8'),
      ]),
    )
  } catch (error) {
    if (error instanceof CertificateError) throw error
    const reason = messageOf(error)
    throw refuse(`is not a Secure Connect Bundle: the zip cannot be read: ${reason}`, error)
  }
}

type Refuse = (detail: string, cause?: unknown) => CertificateError

const readConfiguration = (
  text: string | undefined,
  refuse: Refuse,
): { host: string; port: number } => {
  const { configuration } = BUNDLE_ENTRIES
  if (text === undefined) throw refuse(`is not a Secure Connect Bundle: it has no ${configuration}`)
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    throw refuse(`: ${configuration} in it is not JSON`, error)
  }
  const { host, port } = Object(parsed) as { host?: unknown; port?: unknown }
  if (typeof host !== 'string' || host === '') throw refuse(`: ${configuration} in it has no host`)
  // Bundles have had it both as a number and as text.
  const number = typeof port === 'string' && port !== '' ? Number(port) : port
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 1 || number > PORT_MAX) {
    throw refuse(`: ${configuration} in it has no port from 1 to ${PORT_MAX}`)
  }
  return { host, port: number }
}

/** Throws a CertificateError. Without ca.crt only the well-known authorities are trusted. */
export const readBundle = (bytes: Uint8Array, file: NamedFile): SecureConnectBundle => {
  const refuse: Refuse = (detail, cause) =>
    new CertificateError(CertificateErrorCode.INVALID, file, detail, cause)
  const entries = unzip(bytes, refuse)
  const where = readConfiguration(entries.get(BUNDLE_ENTRIES.configuration), refuse)
  const certificate = entries.get(BUNDLE_ENTRIES.certificate) ?? null
  const key = entries.get(BUNDLE_ENTRIES.key) ?? null
  if ((certificate === null) !== (key === null)) {
    const [has, lacks] =
      key === null
        ? [BUNDLE_ENTRIES.certificate, BUNDLE_ENTRIES.key]
        : [BUNDLE_ENTRIES.key, BUNDLE_ENTRIES.certificate]
    throw refuse(`has an entry ${has} but no ${lacks}: both or none are needed`)
  }
  return { ...where, authority: entries.get(BUNDLE_ENTRIES.authority) ?? null, certificate, key }
}
