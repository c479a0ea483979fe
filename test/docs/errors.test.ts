/** docs/errors.md lists every code that the sources use, and none that they do not. */
import { globSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const ROOT = new URL('../../', import.meta.url).pathname

/** Codes are the quoted words in capitals, */
const CODE = /'([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)'/g
/** and these, */
const SHORT_CODES = /\bcode(?::| =) ?'([A-Z0-9]+)'/g
/** but for words of the protocol, values of settings, and errors of OpenSSL and Node. */
const OTHER_WORDS = new Set([
  'APPLICATION_NAME',
  'APPLICATION_VERSION',
  'CLIENT_ID',
  'CQL_VERSION',
  'DRIVER_NAME',
  'DRIVER_VERSION',
  'DUAL_ASYNC_ON_SECONDARY',
  'DUPLICATE_KEY',
  'NOT_CONNECTED',
  'NO_COLOR',
  'PRIMARY_ONLY',
  'PROTOCOL_VERSIONS',
  'SCHEMA_CHANGE',
  'STATUS_CHANGE',
  'TOPOLOGY_CHANGE',
  'UNLOGGED_BATCH',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REVOKED',
  'CRL_HAS_EXPIRED',
  'CRL_NOT_YET_VALID',
  'CRL_SIGNATURE_FAILURE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE',
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE',
  'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED',
  'ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN',
  'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
  'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_CRL',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

const codesIn = (source: string): string[] =>
  [CODE, SHORT_CODES].flatMap((pattern) => [...source.matchAll(pattern)].map((match) => match[1]!))

const codesInSources = (): string[] => {
  const files = globSync('src/**/*.ts', { cwd: ROOT })
  expect(files.length).toBeGreaterThan(50)
  const codes = files.flatMap((file) => codesIn(readFileSync(`${ROOT}${file}`, 'utf8')))
  return [...new Set(codes)]
    .filter((code) => !OTHER_WORDS.has(code) && !code.startsWith('ZDM_'))
    .sort()
}

/** The first cell of each row, which may list several. */
const codesInDocument = (): string[] =>
  readFileSync(`${ROOT}docs/errors.md`, 'utf8')
    .split('\n')
    .filter((line) => /^\| [A-Z]/.test(line) && !line.startsWith('| Code'))
    .flatMap((line) =>
      line
        .split('|')[1]!
        .split(',')
        .map((code) => code.trim()),
    )

test('every code of the sources is explained, and nothing else', () => {
  expect(codesInDocument().sort()).toEqual(codesInSources())
})

test('no code is explained twice', () => {
  const codes = codesInDocument()
  expect(codes.filter((code, at) => codes.indexOf(code) !== at)).toEqual([])
})
