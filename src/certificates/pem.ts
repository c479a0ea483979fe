/**
 * PEM texts of certificates and keys, checked before they are used: OpenSSL takes a file without a
 * single certificate for an empty list of authorities and says nothing. Pure; files are
 * leg-source.ts.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { messageOf } from '../message-of.ts'
import { CertificateError, CertificateErrorCode, type NamedFile } from './errors.ts'

const CERTIFICATE = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END [A-Z0-9 ]*-----/g

const invalid = (file: NamedFile, detail: string, cause?: unknown): CertificateError =>
  new CertificateError(CertificateErrorCode.INVALID, file, detail, cause)

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

const parseKey = (text: string, file: NamedFile): KeyObject => {
  if (/^-----BEGIN ENCRYPTED|^Proc-Type:.*ENCRYPTED/m.test(text)) {
    throw invalid(
      file,
      'is encrypted, and there is no setting for a passphrase: store the key without one (openssl pkey -in ENCRYPTED -out PLAIN), readable by the proxy alone',
    )
  }
  try {
    return createPrivateKey(text)
  } catch (error) {
    throw invalid(file, `holds no private key in PEM form: ${messageOf(error)}`, error)
  }
}

/** The chain, once it is sure that its first certificate belongs to the key. */
export const parsePair = (
  certificate: string,
  key: string,
  files: { readonly certificate: NamedFile; readonly key: NamedFile },
): readonly X509Certificate[] => {
  const chain = parseCertificates(certificate, files.certificate)
  const privateKey = parseKey(key, files.key)
  const [leaf, ...rest] = chain
  if (leaf?.checkPrivateKey(privateKey) === true) return chain
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
