import { describe, expect, test } from 'vitest'
import { CertificateError, CertificateErrorCode } from '../../src/certificates/errors.ts'
import {
  BothFailed,
  publicText,
  remedyFor,
  tellingFailure,
} from '../../src/cluster/permanent-failure.ts'
import { Cluster } from '../../src/routing/cluster.ts'
import { ClusterError, ClusterErrorCode } from '../../src/upstream/errors.ts'

const { AUTHENTICATION, CONNECT_FAILED, MECHANISM, TIMEOUT, UNAVAILABLE } = ClusterErrorCode
const { UNEXPECTED, UNUSABLE, VERSION } = ClusterErrorCode
const envelope = new Uint8Array(9)

const coded = (code: string, more: Readonly<Record<string, string>> = {}): Error =>
  Object.assign(new Error(`it says ${code}`), { code, ...more })

/** As it comes from a control connection: the node, the handshake, the socket. */
const connecting = (code: string): ClusterError =>
  new ClusterError(CONNECT_FAILED, Cluster.TARGET, 'cannot connect', {
    cause: new Error('TLS handshake', { cause: coded(code) }),
  })

const refused = (text: string): ClusterError =>
  new ClusterError(AUTHENTICATION, Cluster.ORIGIN, `node refused the credentials: ${text}`, {
    envelope,
  })

const WRONG_PASSWORD = refused('Provided username bob and/or password are incorrect')
const AUTH_DOWN = refused(
  'Unable to perform authentication: Cannot achieve consistency level LOCAL_ONE',
)
const DOWN = connecting('ECONNREFUSED')
const EXPIRED = connecting('CERT_HAS_EXPIRED')

describe('waiting will not mend', () => {
  test.each<[string, Error, string]>([
    ['refused credentials', WRONG_PASSWORD, 'origin_username and origin_password'],
    [
      'missing credentials',
      new ClusterError(AUTHENTICATION, Cluster.TARGET, 'it asks for credentials'),
      'target_username and target_password',
    ],
    [
      'an authenticator that wants another mechanism',
      new ClusterError(MECHANISM, Cluster.ORIGIN, 'its authenticator is Kerberos'),
      'PasswordAuthenticator',
    ],
    [
      'no common protocol version',
      new ClusterError(VERSION, Cluster.ORIGIN, 'version 3 is not spoken'),
      'control_conn_max_protocol_version',
    ],
    [
      'a partitioner, or a datacenter in strict mode',
      new ClusterError(UNUSABLE, Cluster.ORIGIN, 'no host in the datacenter'),
      'correct the settings',
    ],
    ['an unknown authority', connecting('SELF_SIGNED_CERT_IN_CHAIN'), 'target_tls_server_ca_path'],
    ['an expired certificate', EXPIRED, "renew the node's certificate"],
    ['another name', connecting('ERR_TLS_CERT_ALTNAME_INVALID'), 'target_tls_verify_hostname'],
    ['a port without TLS', connecting('ERR_SSL_WRONG_VERSION_NUMBER'), 'target_port'],
    [
      'a client certificate that is not taken',
      connecting('ERR_SSL_TLSV1_ALERT_UNKNOWN_CA'),
      'target_tls_client_cert_path',
    ],
    [
      'a file that is not what it should be',
      new CertificateError(
        CertificateErrorCode.INVALID,
        { setting: 'proxy_tls_key_path', path: '/k' },
        'is no key',
      ),
      'correct proxy_tls_key_path',
    ],
    ['one of both clusters', new BothFailed([DOWN, WRONG_PASSWORD]), 'origin_password'],
    ['a port of the system', coded('EACCES', { syscall: 'listen' }), 'proxy_listen_port'],
  ])('%s', (_what, error, remedy) => {
    expect(remedyFor(error)).toContain(remedy)
  })
})

describe('waiting may mend', () => {
  test.each<[string, unknown]>([
    ['a node that refuses connections', DOWN],
    ['a name that is not known yet', connecting('ENOTFOUND')],
    ['a node that is silent', new ClusterError(TIMEOUT, Cluster.ORIGIN, 'no answer')],
    ['a cluster that cannot look users up', AUTH_DOWN],
    ['a certificate that is not valid yet', connecting('CERT_NOT_YET_VALID')],
    ['a port that is still in use', coded('EADDRINUSE', { syscall: 'listen' })],
    [
      'a file that is mounted late',
      new CertificateError(
        CertificateErrorCode.UNREADABLE,
        { setting: 'proxy_tls_key_path', path: '/k' },
        'is not there',
      ),
    ],
    ['no node in the datacenter any more', new ClusterError(UNEXPECTED, 0, 'no host is left')],
    ['a full pool', new ClusterError(UNAVAILABLE, 0, 'no connection')],
    ['both clusters, where both may come back', new BothFailed([DOWN, DOWN])],
    ['what is no error', 'text'],
  ])('%s', (_what, error) => {
    expect(remedyFor(error)).toBeNull()
  })
})

describe('of several failures tells most', () => {
  test.each<[string, readonly unknown[], unknown]>([
    ['what any node would say', [DOWN, WRONG_PASSWORD, DOWN], WRONG_PASSWORD],
    ['a node that may come back, before the certificate of another', [DOWN, EXPIRED], DOWN],
    ['a certificate where all have failed so', [connecting('CERT_HAS_EXPIRED'), EXPIRED], EXPIRED],
    ['none where there is none', [], undefined],
  ])('%s', (_what, failures, expected) => {
    expect(tellingFailure(failures)).toBe(expected)
  })
})

describe('what anybody may read', () => {
  test('names no user', () => {
    expect(publicText(WRONG_PASSWORD)).toBe('Origin: node refused the credentials')
    const denied = '10.0.0.1:9042 refused SELECT * FROM system.local: User bob has no permission'
    const error = new ClusterError(UNEXPECTED, Cluster.TARGET, denied, { envelope })
    expect(publicText(error)).toBe('Target: 10.0.0.1:9042 refused SELECT * FROM system.local')
  })

  test('of both clusters names each', () => {
    const error = new BothFailed([WRONG_PASSWORD, new Error('gone')])
    expect(publicText(error)).toBe('Origin: node refused the credentials; gone')
  })

  test('is one line of a bounded length', () => {
    expect(publicText(new Error('a\n  b'))).toBe('a b')
    expect(publicText(new Error('x'.repeat(1000)))).toHaveLength(300)
  })
})
