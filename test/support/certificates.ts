/**
 * Certificates for tests, issued when they are needed: an authority, and what it signs. PEM texts
 * as operators have them in files; EC keys (P-256), because they are made in a millisecond.
 */
// The certificate library's parts find each other by decorators.
import 'reflect-metadata'
import { createPrivateKey, type webcrypto, X509Certificate } from 'node:crypto'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as x509 from '@peculiar/x509'
import { afterTest } from './after-test.ts'
import { temporaryDirectory } from './temporary-directory.ts'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY_MS = 24 * 60 * 60 * 1000

export type Issued = {
  /** The chain, leaf first, without the root. */
  readonly certificate: string
  /** PKCS #8. */
  readonly key: string
}

export type IssueOptions = {
  /** Subject alternative names. Default: 127.0.0.1 and localhost. */
  readonly names?: readonly string[]
  /** Validity in days from now; negative: expired so long ago. Default: 365. */
  readonly days?: number
  readonly usage?: 'server' | 'client' | 'both'
  /** With a key that is too short for anybody to trust it: RSA, 1,024 bits. */
  readonly isWeak?: boolean
}

export type CrlOptions = {
  /** Certificates (PEM) that it revokes. */
  readonly revoked?: readonly string[]
  /** Until when it holds, in days from now; null: for ever. Default: 30. */
  readonly days?: number | null
  /** How long it has held, in days. Default: 1. */
  readonly sinceDays?: number
}

/** The same key under a passphrase. */
export const encrypted = (key: string, passphrase: string): string =>
  String(
    createPrivateKey(key).export({
      type: 'pkcs8',
      format: 'pem',
      cipher: 'aes-256-cbc',
      passphrase,
    }),
  )

const keyPem = async (key: CryptoKey): Promise<string> =>
  x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')

const generateKeys = (): Promise<webcrypto.CryptoKeyPair> =>
  crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']) as Promise<webcrypto.CryptoKeyPair>

const generateWeakKeys = (): Promise<webcrypto.CryptoKeyPair> =>
  crypto.subtle.generateKey(
    {
      name: 'RSASSA-PKCS1-v1_5',
      modulusLength: 1024,
      publicExponent: Uint8Array.of(1, 0, 1),
      hash: 'SHA-256',
    },
    true,
    ['sign', 'verify'],
  ) as Promise<webcrypto.CryptoKeyPair>

const validity = (days: number): { notBefore: Date; notAfter: Date } => {
  const now = Date.now()
  const notAfter = new Date(now + days * DAY_MS)
  return { notBefore: new Date(Math.min(now, notAfter.getTime()) - DAY_MS), notAfter }
}

const isAddress = (name: string): boolean => /^[\d.]+$|:/.test(name)

const usages = (usage: 'server' | 'client' | 'both'): x509.ExtendedKeyUsage[] => [
  ...(usage === 'client' ? [] : [x509.ExtendedKeyUsage.serverAuth]),
  ...(usage === 'server' ? [] : [x509.ExtendedKeyUsage.clientAuth]),
]

let serial = 1

export class Authority {
  /** Its own certificate. */
  readonly certificate: string
  readonly #name: string
  readonly #keys: webcrypto.CryptoKeyPair
  /** What those need who know its root only. */
  readonly #intermediates: string

  private constructor(
    name: string,
    certificate: string,
    keys: webcrypto.CryptoKeyPair,
    intermediates: string,
  ) {
    this.#name = name
    this.certificate = certificate
    this.#keys = keys
    this.#intermediates = intermediates
  }

  /** A root of its own. */
  static async create(name = 'Test Root', days = 365): Promise<Authority> {
    const keys = await generateKeys()
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: (serial++).toString(16).padStart(4, '0'),
      name: `CN=${name}`,
      ...validity(days),
      signingAlgorithm: ALGORITHM,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
          true,
        ),
      ],
    })
    return new Authority(name, certificate.toString('pem'), keys, '')
  }

  /** An authority that this one has signed. */
  async intermediate(name = 'Test Intermediate', days = 365): Promise<Authority> {
    const keys = await generateKeys()
    const certificate = await this.#sign(`CN=${name}`, keys.publicKey, days, [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
    ])
    return new Authority(name, certificate, keys, certificate)
  }

  async issue(name: string, options: IssueOptions = {}): Promise<Issued> {
    const { names = ['127.0.0.1', 'localhost'], days = 365, usage = 'both' } = options
    const keys = await (options.isWeak === true ? generateWeakKeys() : generateKeys())
    const certificate = await this.#sign(`CN=${name}`, keys.publicKey, days, [
      new x509.ExtendedKeyUsageExtension(usages(usage)),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isAddress(value) ? 'ip' : 'dns', value })),
      ),
    ])
    return {
      certificate: `${certificate}\n${this.#intermediates}`,
      key: await keyPem(keys.privateKey),
    }
  }

  /** A revocation list of its own, in PEM. */
  async crl(options: CrlOptions = {}): Promise<string> {
    const { revoked = [], days = 30, sinceDays = 1 } = options
    const now = Date.now()
    const list = await x509.X509CrlGenerator.create({
      issuer: `CN=${this.#name}`,
      thisUpdate: new Date(now - sinceDays * DAY_MS),
      ...(days === null ? {} : { nextUpdate: new Date(now + days * DAY_MS) }),
      signingAlgorithm: ALGORITHM,
      signingKey: this.#keys.privateKey,
      entries: revoked.map((pem) => ({
        serialNumber: new X509Certificate(pem).serialNumber,
        revocationDate: new Date(now - 1000),
      })),
    })
    // The library's label is not the one that OpenSSL writes and reads.
    return list.toString('pem').replaceAll(' CRL-', ' X509 CRL-')
  }

  async #sign(
    subject: string,
    publicKey: CryptoKey,
    days: number,
    extensions: x509.Extension[],
  ): Promise<string> {
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: (serial++).toString(16).padStart(4, '0'),
      subject,
      issuer: `CN=${this.#name}`,
      ...validity(days),
      signingAlgorithm: ALGORITHM,
      publicKey,
      signingKey: this.#keys.privateKey,
      extensions,
    })
    return certificate.toString('pem')
  }
}

/** A directory of files for one test (or whoever removes it). */
export class Files {
  readonly directory: string

  /** `after` is given what removes it; by default that happens after the test. */
  constructor(after: (remove: () => void) => void = afterTest) {
    this.directory = temporaryDirectory(after)
  }

  path(name: string): string {
    return join(this.directory, name)
  }

  /** Replaces the file as a careful operator does: written beside it, then renamed. */
  async write(name: string, content: string | Uint8Array): Promise<string> {
    const path = this.path(name)
    await writeFile(`${path}.new`, content)
    await rename(`${path}.new`, path)
    return path
  }

  /** Writes NAME.crt and NAME.key. */
  async writePair(
    name: string,
    { certificate, key }: Issued,
  ): Promise<{ cert: string; key: string }> {
    return {
      cert: await this.write(`${name}.crt`, certificate),
      key: await this.write(`${name}.key`, key),
    }
  }
}
