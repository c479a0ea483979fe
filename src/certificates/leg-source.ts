/**
 * Where the certificates of one leg (clients, Origin, Target) or of one of the proxy's HTTP servers come from,
 * and what was read there: PEM files, or a Secure Connect Bundle. Reading checks everything, so that whoever
 * gets the texts can use them. When it is read again is certificate-store.ts.
 */
import { readFile } from 'node:fs/promises'
import { messageOf } from '../message-of.ts'
import { BUNDLE_ENTRIES, readBundle, type SecureConnectBundle } from './bundle.ts'
import { parseRevocation, type Revocation } from './crl.ts'
import { CertificateError, CertificateErrorCode, type NamedFile } from './errors.ts'
import {
  earliestExpiryMs,
  type Passphrase,
  type PemContent,
  parseCertificates,
  parsePair,
  pemText,
} from './pem.ts'
import { parseTokens } from './tokens.ts'

export type Leg = 'listener' | 'origin' | 'target' | 'admin' | 'metrics'

/** Whose validity it is: the proxy's own certificate chain, or what it trusts. */
export type CertificateRole = 'authority' | 'certificate'

export type LegContent = {
  readonly authority: string | null
  readonly certificate: string | null
  /** PEM, without a passphrase. */
  readonly key: string | null
  /** Null: nobody asks whether certificates were revoked. */
  readonly revocation: Revocation | null
  /** Of which a caller must show one; the first is the one that is shown to others. Null: none is asked for. */
  readonly tokens: readonly string[] | null
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

const readNamedFile = async (file: NamedFile): Promise<Buffer> => {
  try {
    return await readFile(file.path)
  } catch (error) {
    const reason = messageOf(error)
    const text = `cannot be read: ${reason}`
    throw new CertificateError(CertificateErrorCode.UNREADABLE, file, text, error)
  }
}

const readPem = async (file: NamedFile | null, content: PemContent): Promise<string | null> =>
  file === null ? null : pemText(await readNamedFile(file), file, content)

const readText = async (file: NamedFile | null): Promise<string | null> =>
  file === null ? null : (await readNamedFile(file)).toString('utf8')

/** What is named is read; null where a setting is empty. */
export type LegFiles = {
  readonly authority: NamedFile | null
  /** Both or none. */
  readonly certificate: NamedFile | null
  readonly key: NamedFile | null
  readonly passphrase?: NamedFile | null
  /** The setting that would name `passphrase`; absent where the key may have none. */
  readonly passphraseSetting?: string
  readonly crl?: NamedFile | null
  readonly token?: NamedFile | null
}

type Texts = Pick<LegContent, 'authority' | 'certificate' | 'key'> & {
  readonly passphrase: string | null
  readonly crl: string | null
  readonly token: string | null
}

const isSame = (a: Texts, b: Texts): boolean =>
  a.authority === b.authority &&
  a.certificate === b.certificate &&
  a.key === b.key &&
  a.passphrase === b.passphrase &&
  a.crl === b.crl &&
  a.token === b.token

/** As editors and `echo` end a file. */
const withoutLineEnd = (text: string): string => text.replace(/\r?\n$/, '')

const passphraseOf = (files: LegFiles, text: string | null): Passphrase => ({
  setting: files.passphraseSetting ?? null,
  file: files.passphrase ?? null,
  text: text === null ? null : withoutLineEnd(text),
})

const checked = (texts: Texts, files: LegFiles): Omit<LegContent, 'bundle'> => {
  const { authority, certificate, key } = texts
  const found: Partial<Record<CertificateRole, number>> = {}
  const authorities = authority === null ? [] : parseCertificates(authority, files.authority!)
  if (authority !== null) found.authority = earliestExpiryMs(authorities)
  let plainKey = key
  if (certificate !== null && key !== null) {
    const names = { certificate: files.certificate!, key: files.key! }
    const passphrase = passphraseOf(files, texts.passphrase)
    const pair = parsePair(certificate, key, names, passphrase)
    plainKey = pair.key
    found.certificate = earliestExpiryMs(pair.chain)
  }
  const names = { crl: files.crl!, authority: files.authority! }
  return {
    authority,
    certificate,
    key: plainKey,
    revocation: texts.crl === null ? null : parseRevocation(texts.crl, authorities, names),
    tokens: texts.token === null ? null : parseTokens(texts.token, files.token!),
    expiresAtMs: found,
  }
}

/** PEM files that settings name, and a file of tokens. */
export class FileLegSource implements LegSource {
  readonly description: string
  readonly #files: LegFiles
  /** A key under a passphrase takes its time by design, and this is the thread that may serve clients. */
  #last: { readonly texts: Texts; readonly content: LegContent } | null = null

  constructor(files: LegFiles) {
    this.#files = files
    const { authority, certificate, key, passphrase, crl, token } = files
    const all = [authority, certificate, key, passphrase, crl, token]
    this.description = all.flatMap((file) => file?.path ?? []).join(', ')
  }

  async read(): Promise<LegContent> {
    const files = this.#files
    const [authority, certificate, key, passphrase, crl, token] = await Promise.all([
      readPem(files.authority, 'certificate'),
      readPem(files.certificate, 'certificate'),
      readPem(files.key, 'key'),
      readText(files.passphrase ?? null),
      readPem(files.crl ?? null, 'crl'),
      readText(files.token ?? null),
    ])
    const texts = { authority, certificate, key, passphrase, crl, token }
    if (this.#last !== null && isSame(texts, this.#last.texts)) return this.#last.content
    const content = { ...checked(texts, files), bundle: null }
    this.#last = { texts, content }
    return content
  }
}

/** A Secure Connect Bundle. */
export class BundleLegSource implements LegSource {
  readonly description: string
  readonly #file: NamedFile
  readonly #authorityNeededBy: string | null

  /** `authorityNeededBy`: the setting that asks for an authority in it; null: the well-known ones will do. */
  constructor(file: NamedFile, authorityNeededBy: string | null = null) {
    this.#file = file
    this.description = file.path
    this.#authorityNeededBy = authorityNeededBy
  }

  async read(): Promise<LegContent> {
    const bundle = readBundle(await readNamedFile(this.#file), this.#file)
    const { authority, certificate, key } = bundle
    if (authority === null && this.#authorityNeededBy !== null) {
      const detail = `has no ${BUNDLE_ENTRIES.authority}, and ${this.#authorityNeededBy} trusts nothing else`
      throw new CertificateError(CertificateErrorCode.INVALID, this.#file, detail)
    }
    const entry = (name: string): NamedFile => ({
      setting: this.#file.setting,
      path: `${this.#file.path} (${name})`,
    })
    const files = {
      authority: entry(BUNDLE_ENTRIES.authority),
      certificate: entry(BUNDLE_ENTRIES.certificate),
      key: entry(BUNDLE_ENTRIES.key),
    }
    const texts = { authority, certificate, key, passphrase: null, crl: null, token: null }
    return { ...checked(texts, files), bundle }
  }
}
