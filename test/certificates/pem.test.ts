import { generateKeyPairSync } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { earliestExpiryMs, parseCertificates, parsePair } from '../../src/certificates/pem.ts'
import { Authority, type Issued } from '../support/certificates.ts'

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

describe('a certificate and its key', () => {
  test('fit', () => {
    expect(parsePair(issued.certificate, issued.key, FILES)).toHaveLength(2)
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

  test('an encrypted key is refused, with the way out', () => {
    const { privateKey } = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    })
    expect(() => parsePair(issued.certificate, privateKey, FILES)).toThrow(
      'proxy_tls_key_path: /key.pem is encrypted, and there is no setting for a passphrase',
    )
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
