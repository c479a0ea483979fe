/**
 * Where the certificates of one leg (clients, Origin, Target) come from, and what was read there:
 * PEM files, or a Secure Connect Bundle. Reading checks everything, so that whoever gets the texts
 * can use them. When it is read again is certificate-store.ts.
 */
import { readFile } from 'node:fs/promises'
import { messageOf } from '../message-of.ts'
import { BUNDLE_ENTRIES, readBundle, type SecureConnectBundle } from './bundle.ts'
import { CertificateError, CertificateErrorCode, type NamedFile } from './errors.ts'
import { earliestExpiryMs, parseCertificates, parsePair } from './pem.ts'

export type Leg = 'listener' | 'origin' | 'target'

/** Whose validity it is: the proxy's own certificate chain, or what it trusts. */
export type CertificateRole = 'authority' | 'certificate'

export type LegContent = {
  readonly authority: string | null
  readonly certificate: string | null
  readonly key: string | null
  /** Of each role the first certificate to expire, in milliseconds since 1970. */
  readonly expiresAtMs: Readonly<Partial<Record<CertificateRole, number>>>
  /** Where the nodes are, if that was in the same file. */
  readonly bundle: SecureConnectBundle | null
}

export interface LegSource {
  /** What its content came from, for people. */
  readonly description: string
  /** Rejects with a CertificateError. */
  read(): Promise<LegContent>
}

export const readNamedFile = async (file: NamedFile): Promise<Buffer> => {
  try {
    return await readFile(file.path)
  } catch (error) {
    const reason = messageOf(error)
    const text = `cannot be read: ${reason}`
    throw new CertificateError(CertificateErrorCode.UNREADABLE, file, text, error)
  }
}

const readText = async (file: NamedFile | null): Promise<string | null> =>
  file === null ? null : (await readNamedFile(file)).toString('utf8')

export type LegFiles = {
  readonly authority: NamedFile | null
  /** Both or none. */
  readonly certificate: NamedFile | null
  readonly key: NamedFile | null
}

type LegTexts = Pick<LegContent, 'authority' | 'certificate' | 'key'>

const expiries = (texts: LegTexts, files: LegFiles): LegContent['expiresAtMs'] => {
  const { authority, certificate, key } = texts
  const found: Partial<Record<CertificateRole, number>> = {}
  if (authority !== null) {
    found.authority = earliestExpiryMs(parseCertificates(authority, files.authority!))
  }
  if (certificate !== null && key !== null) {
    const names = { certificate: files.certificate!, key: files.key! }
    found.certificate = earliestExpiryMs(parsePair(certificate, key, names))
  }
  return found
}

/** PEM files that settings name. */
export class FileLegSource implements LegSource {
  readonly description: string
  readonly #files: LegFiles

  constructor(files: LegFiles) {
    this.#files = files
    const all = [files.authority, files.certificate, files.key]
    this.description = all.flatMap((file) => file?.path ?? []).join(', ')
  }

  async read(): Promise<LegContent> {
    const files = this.#files
    const [authority, certificate, key] = await Promise.all([
      readText(files.authority),
      readText(files.certificate),
      readText(files.key),
    ])
    const texts = { authority, certificate, key }
    return { ...texts, expiresAtMs: expiries(texts, files), bundle: null }
  }
}

/** A Secure Connect Bundle. */
export class BundleLegSource implements LegSource {
  readonly description: string
  readonly #file: NamedFile

  constructor(file: NamedFile) {
    this.#file = file
    this.description = file.path
  }

  async read(): Promise<LegContent> {
    const bundle = readBundle(await readNamedFile(this.#file), this.#file)
    const { authority, certificate, key } = bundle
    const texts = { authority, certificate, key }
    const entry = (name: string): NamedFile => ({
      setting: this.#file.setting,
      path: `${this.#file.path} (${name})`,
    })
    const files = {
      authority: entry(BUNDLE_ENTRIES.authority),
      certificate: entry(BUNDLE_ENTRIES.certificate),
      key: entry(BUNDLE_ENTRIES.key),
    }
    return { ...texts, expiresAtMs: expiries(texts, files), bundle }
  }
}
