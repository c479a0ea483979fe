/** The files of the admin API: what is wrong with one is told with its setting and path, and ends the start. */
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/config/errors.ts'
import { adminCredentials } from '../../src/proxy/admin-credentials.ts'
import { Authority, Files, type Issued } from '../support/certificates.ts'
import { testSettings } from '../support/instance.ts'

let authority: Authority
let issued: Issued
let other: Issued
let files: Files

beforeAll(async () => {
  authority = await Authority.create('Root', 1000)
  issued = await authority.issue('admin')
  other = await authority.issue('other')
})

beforeEach(async () => {
  files = await Files.create()
  await files.writePair('admin', issued)
  await files.write('ca.crt', authority.certificate)
  await files.write('token', 'a-token-of-many-letters\n')
})

const read = () =>
  adminCredentials(
    testSettings({
      adminTokenPath: files.path('token'),
      adminTlsCertPath: files.path('admin.crt'),
      adminTlsKeyPath: files.path('admin.key'),
      adminTlsClientCaPath: files.path('ca.crt'),
    }),
  )

test('are the token without its line end, and a server that asks for certificates', () => {
  const { token, https } = read()
  expect(token).toBe('a-token-of-many-letters')
  expect(https).toMatchObject({ cert: issued.certificate, requestCert: true })
})

describe('ends the start', () => {
  test.each<[string, string, string, string]>([
    ['a token that is short', 'token', 'short', 'admin_token_path: '],
    ['a token of two words', 'token', 'two words of some length', 'admin_token_path: '],
    ['a certificate that is none', 'admin.crt', 'x', 'admin_tls_cert_path: '],
    ['a key that is none', 'admin.key', 'x', 'admin_tls_key_path: '],
    [
      'a key with a passphrase',
      'admin.key',
      '-----BEGIN ENCRYPTED PRIVATE KEY-----',
      'openssl pkey',
    ],
    ['an authority that is none', 'ca.crt', 'x', 'admin_tls_client_ca_path: '],
  ])('%s', async (_, file, content, text) => {
    await files.write(file, content)
    expect(read).toThrow(ConfigError)
    expect(read).toThrow(text)
    expect(read).toThrow(files.path(file))
  })

  test("another certificate's key", async () => {
    await files.write('admin.key', other.key)
    expect(read).toThrow('admin_tls_key_path: ')
  })
})
