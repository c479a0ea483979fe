/**
 * PEM texts of certificates and keys, checked before they are used: OpenSSL takes a file without a
 * single certificate for an empty list of authorities and says nothing. Pure; files are
 * leg-source.ts.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { messageOf } from '../message-of.ts'
import { DerTag, readElement } from './der.ts'
import { CertificateError, CertificateErrorCode, type NamedFile } from './errors.ts'

const CERTIFICATE = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END [A-Z0-9 ]*-----/g

const invalid = (file: NamedFile, detail: string, cause?: unknown): CertificateError =>
  new CertificateError(CertificateErrorCode.INVALID, file, detail, cause)

/** What a file of PEM is to hold. */
export type PemContent = 'certificate' | 'key' | 'crl'

/** The commands that make it of another form. FILE is the one that was given. */
const CONVERSIONS: Readonly<Record<PemContent, Readonly<Record<'PKCS#12' | 'DER', string>>>> = {
  certificate: {
    'PKCS#12': 'openssl pkcs12 -in FILE -nokeys -out FILE.pem',
    DER: 'openssl x509 -inform DER -in FILE -out FILE.pem',
  },
  key: {
    'PKCS#12': 'openssl pkcs12 -in FILE -nocerts -out FILE.pem',
    DER: 'openssl pkey -inform DER -in FILE -out FILE.pem',
  },
  crl: {
    'PKCS#12': 'openssl crl -in FILE -out FILE.pem',
    DER: 'openssl crl -inform DER -in FILE -out FILE.pem',
  },
}

const PEM_BEGIN = '-----BEGIN '
/** A Java keystore begins with it. */
const JKS_MAGIC = Buffer.from('feedfeed', 'hex')
/** How the outer sequence of PKCS #12 begins: version 3 (RFC 7292 §4). */
const PKCS12_VERSION = Buffer.from('020103', 'hex')
const SEQUENCE_HEADER_MAX = 6

/** One sequence from end to end, as all of these are. */
const isDer = (bytes: Buffer): boolean => {
  try {
    const { tag, whole } = readElement(bytes)
    return tag === DerTag.SEQUENCE && whole.length === bytes.length
  } catch {
    return false
  }
}

/** The text of a file that should be PEM. Throws a CertificateError that tells how to convert what it is instead. */
export const pemText = (bytes: Buffer, file: NamedFile, content: PemContent): string => {
  if (bytes.includes(PEM_BEGIN)) return bytes.toString('utf8')
  const into = (form: 'PKCS#12' | 'DER', path = file.path): string =>
    CONVERSIONS[content][form].replaceAll('FILE', path)
  if (bytes.subarray(0, JKS_MAGIC.length).equals(JKS_MAGIC)) {
    const { path } = file
    const first = `keytool -importkeystore -srckeystore ${path} -destkeystore ${path}.p12 -deststoretype PKCS12`
    throw invalid(
      file,
      `is a Java keystore; PEM is needed: ${first}, then ${into('PKCS#12', `${path}.p12`)}`,
    )
  }
  if (!isDer(bytes)) return bytes.toString('utf8')
  const isPkcs12 = bytes.subarray(0, SEQUENCE_HEADER_MAX + 3).includes(PKCS12_VERSION)
  const form = isPkcs12 ? 'PKCS#12' : 'DER'
  throw invalid(file, `is in ${form} form; PEM is needed: ${into(form)}`)
}

/** The certificates of a PEM text in its order; at least one. Throws a CertificateError. */
export const parseCertificates = (text: string, file: NamedFile): readonly X509Certificate[] => {
  const blocks = text.match(CERTIFICATE) ?? []
  if (blocks.length === 0) throw invalid(file, 'holds no certificate in PEM form')
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block)
    } catch (error) {
      throw invalid(file, `: certificate ${index + 1} cannot be read: ${messageOf(error)}`, error)
    }
  })
}

/** The passphrase of a key: which file would hold it, and what it holds; null where no setting names one. */
export type Passphrase = {
  /** The setting that is for it; null where there is none, as for a key in a bundle. */
  readonly setting: string | null
  readonly file: NamedFile | null
  readonly text: string | null
}

const NO_PASSPHRASE: Passphrase = { setting: null, file: null, text: null }

const parseKey = (text: string, file: NamedFile, passphrase: Passphrase): KeyObject => {
  const isEncrypted = /^-----BEGIN ENCRYPTED|^Proc-Type:.*ENCRYPTED/m.test(text)
  if (isEncrypted && passphrase.text === null) throw invalid(file, withoutPassphrase(passphrase))
  try {
    return createPrivateKey({ key: text, passphrase: passphrase.text ?? '' })
  } catch (error) {
    if (isEncrypted && passphrase.file !== null) {
      const detail = `does not hold the passphrase of the key in ${file.path} (${file.setting}): ${messageOf(error)}; try it: openssl pkey -in ${file.path} -passin file:${passphrase.file.path} -noout`
      throw invalid(passphrase.file, detail, error)
    }
    throw invalid(file, `holds no private key in PEM form: ${messageOf(error)}`, error)
  }
}

const withoutPassphrase = ({ setting }: Passphrase): string =>
  setting === null
    ? 'is encrypted, and there is no setting for its passphrase'
    : `is encrypted: set ${setting} to a file with the passphrase, or store the key without one (openssl pkey -in ENCRYPTED -out PLAIN), readable by the proxy alone`

export type Pair = {
  readonly chain: readonly X509Certificate[]
  /** PEM, without a passphrase. */
  readonly key: string
}

/** Chain and key, once it is sure that the chain's first certificate belongs to the key. */
export const parsePair = (
  certificate: string,
  key: string,
  files: { readonly certificate: NamedFile; readonly key: NamedFile },
  passphrase: Passphrase = NO_PASSPHRASE,
): Pair => {
  const chain = parseCertificates(certificate, files.certificate)
  const privateKey = parseKey(key, files.key, passphrase)
  const [leaf, ...rest] = chain
  if (leaf?.checkPrivateKey(privateKey) === true) {
    const plain =
      passphrase.text === null ? key : privateKey.export({ type: 'pkcs8', format: 'pem' })
    return { chain, key: String(plain) }
  }
  if (rest.some((other) => other.checkPrivateKey(privateKey))) {
    throw invalid(
      files.certificate,
      `must begin with the certificate that belongs to the key, the others after it`,
    )
  }
  throw invalid(
    files.key,
    `is not the key of the certificate in ${files.certificate.path} (${files.certificate.setting})`,
  )
}

/** When the first of them expires, in milliseconds since 1970. */
export const earliestExpiryMs = (certificates: readonly X509Certificate[]): number =>
  Math.min(...certificates.map(({ validToDate }) => validToDate.getTime()))
