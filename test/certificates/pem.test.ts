import { createPrivateKey, X509Certificate } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  earliestExpiryMs,
  type PemContent,
  parseCertificates,
  parsePair,
  pemText,
} from '../../src/certificates/pem.ts'
import { Authority, encrypted, type Issued } from '../support/certificates.ts'

const FILE = { setting: 'proxy_tls_ca_path', path: '/ca.pem' }
const FILES = {
  certificate: { setting: 'proxy_tls_cert_path', path: '/cert.pem' },
  key: { setting: 'proxy_tls_key_path', path: '/key.pem' },
}

let root: Authority
let intermediate: Authority
let issued: Issued
let other: Issued

beforeAll(async () => {
  root = await Authority.create()
  intermediate = await root.intermediate()
  issued = await intermediate.issue('leaf')
  other = await intermediate.issue('other')
})

describe('certificates', () => {
  test('are all of the file, in its order, whatever stands between them', () => {
    const text = `A comment.\r\n${issued.certificate}\n\n# and the root:\n${root.certificate}\n`
    const subjects = parseCertificates(text, FILE).map(({ subject }) => subject)
    expect(subjects).toEqual(['CN=leaf', 'CN=Test Intermediate', 'CN=Test Root'])
  })

  test.each([
    ['nothing', ''],
    ['another text', 'not a certificate'],
    ['a key', '-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n'],
  ])('%s is refused', (_, text) => {
    expect(() => parseCertificates(text, FILE)).toThrow(
      'proxy_tls_ca_path: /ca.pem holds no certificate in PEM form',
    )
  })

  test('one that is damaged is named by its place', () => {
    const damaged = root.certificate.replace(/\n[A-Za-z0-9+/]{20}/, '\n')
    expect(() => parseCertificates(`${root.certificate}\n${damaged}`, FILE)).toThrow(
      /^proxy_tls_ca_path: \/ca.pem : certificate 2 cannot be read/,
    )
  })
})

describe('a file in another form than PEM is refused, with the command that converts it:', () => {
  const der = (): Buffer => new X509Certificate(root.certificate).raw
  /** PKCS #12 as its outermost bytes tell: a sequence that begins with version 3. */
  const pkcs12 = Buffer.from('3082000e0201033009060748656c6c6f2121', 'hex')
  const keystore = Buffer.from('feedfeed00000002', 'hex')

  test.each<[string, () => Buffer, PemContent, string]>([
    [
      'a certificate',
      der,
      'certificate',
      'is in DER form; PEM is needed: openssl x509 -inform DER',
    ],
    [
      'a key',
      () => createPrivateKey(issued.key).export({ type: 'pkcs8', format: 'der' }),
      'key',
      'openssl pkey -inform DER -in /ca.pem -out /ca.pem.pem',
    ],
    ['a list', der, 'crl', 'openssl crl -inform DER -in /ca.pem'],
    [
      'certificates in PKCS#12',
      () => pkcs12,
      'certificate',
      'is in PKCS#12 form; PEM is needed: openssl pkcs12 -in /ca.pem -nokeys -out /ca.pem.pem',
    ],
    ['a key in PKCS#12', () => pkcs12, 'key', 'openssl pkcs12 -in /ca.pem -nocerts'],
    [
      'a Java keystore',
      () => keystore,
      'key',
      'is a Java keystore; PEM is needed: keytool -importkeystore -srckeystore /ca.pem -destkeystore /ca.pem.p12 -deststoretype PKCS12, then openssl pkcs12 -in /ca.pem.p12 -nocerts',
    ],
  ])('%s', (_, bytes, content, text) => {
    expect(() => pemText(bytes(), FILE, content)).toThrow(/^proxy_tls_ca_path: \/ca.pem is /)
    expect(() => pemText(bytes(), FILE, content)).toThrow(text)
  })

  test('what is no form at all is left to who reads it', () => {
    expect(pemText(Buffer.from('0 is no certificate'), FILE, 'key')).toBe('0 is no certificate')
  })
})

describe('a certificate and its key', () => {
  test('fit', () => {
    const { chain, key } = parsePair(issued.certificate, issued.key, FILES)
    expect([chain.length, key]).toEqual([2, issued.key])
  })

  test('the key of another certificate is refused', () => {
    expect(() => parsePair(issued.certificate, other.key, FILES)).toThrow(
      'proxy_tls_key_path: /key.pem is not the key of the certificate in /cert.pem (proxy_tls_cert_path)',
    )
  })

  test('a chain in the wrong order is refused', () => {
    const [leaf, above] = parseCertificates(issued.certificate, FILE)
    expect(() => parsePair(`${above}${leaf}`, issued.key, FILES)).toThrow(
      'proxy_tls_cert_path: /cert.pem must begin with the certificate that belongs to the key',
    )
  })

  const PASSPHRASE = { setting: 'proxy_tls_key_passphrase_path', path: '/pass' }
  const withPassphrase = (key: string, text: string | null) =>
    parsePair(issued.certificate, key, FILES, {
      setting: PASSPHRASE.setting,
      file: text === null ? null : PASSPHRASE,
      text,
    })

  test('may be kept under a passphrase; who uses the key needs none', () => {
    const { key } = withPassphrase(encrypted(issued.key, 'a secret'), 'a secret')
    expect(key).toMatch(/^-----BEGIN PRIVATE KEY-----/)
    expect(createPrivateKey(key).equals(createPrivateKey(issued.key))).toBe(true)
  })

  test('a passphrase for a key that needs none is no fault', () => {
    expect(createPrivateKey(withPassphrase(issued.key, 'a secret').key).type).toBe('private')
  })

  test('an encrypted key without a passphrase is refused, with both ways out', () => {
    expect(() => withPassphrase(encrypted(issued.key, 'a secret'), null)).toThrow(
      'proxy_tls_key_path: /key.pem is encrypted: set proxy_tls_key_passphrase_path to a file with the passphrase, or store the key without one (openssl pkey -in ENCRYPTED -out PLAIN)',
    )
  })

  test('a wrong passphrase is refused, and not shown', () => {
    const key = encrypted(issued.key, 'a secret')
    const attempt = (): unknown => withPassphrase(key, 'another one')
    expect(attempt).toThrow(
      /^proxy_tls_key_passphrase_path: \/pass does not hold the passphrase of the key in \/key.pem \(proxy_tls_key_path\): .*; try it: openssl pkey -in \/key.pem -passin file:\/pass -noout$/,
    )
    expect(attempt).not.toThrow(/another one|a secret/)
  })

  test('no key is refused', () => {
    expect(() => parsePair(issued.certificate, issued.certificate, FILES)).toThrow(
      'proxy_tls_key_path: /key.pem holds no private key in PEM form',
    )
  })
})

test('a chain is valid as long as its first certificate to expire', async () => {
  const short = await root.intermediate('Short', 10)
  const { certificate } = await short.issue('long', { days: 100 })
  const days = (earliestExpiryMs(parseCertificates(certificate, FILE)) - Date.now()) / 86_400_000
  expect(Math.round(days)).toBe(10)
})
