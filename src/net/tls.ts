/**
 * TLS towards the clusters, and what both directions have in common: PEM texts become secure contexts
 * here. The texts are plain data, so that the control plane can post them to the data planes' threads
 * (operations §7). Reading them from files is src/certificates/; the listener's side is
 * tls-acceptor.ts.
 */
import { isIP } from 'node:net'
import {
  checkServerIdentity,
  connect,
  createSecureContext,
  getCACertificates,
  type SecureContext,
  type SecureContextOptions,
  type TLSSocket,
} from 'node:tls'

const TLS_VERSION_MIN = 'TLSv1.2'
/** Nodes whose TLS sessions are remembered. */
const SESSIONS_MAX = 256

/** What the connections to one cluster need. */
export type UpstreamTlsMaterial = {
  /** Certificates (PEM) that are trusted. */
  readonly authority: string | null
  /** Whether the well-known authorities are trusted too. */
  readonly trustsWellKnownRoots: boolean
  /** Revocation lists (PEM, one each); none: nobody asks whether a certificate was revoked. */
  readonly crls: readonly string[]
  /** The proxy's own chain, the leaf first, and its key (PEM); both or none. */
  readonly certificate: string | null
  readonly key: string | null
  /** Whether a node's certificate must name the address that was dialled. */
  readonly verifiesName: boolean
}

/** What the client listener needs. */
export type ListenerTlsMaterial = {
  readonly certificate: string
  readonly key: string
  /** Who signs the certificates that clients must show (PEM); null: they are asked for none. */
  readonly clientAuthority: string | null
  /** Revocation lists (PEM, one each) of their certificates; none: nobody asks. */
  readonly crls: readonly string[]
  /** 48 random bytes, alike on all data planes: a client may resume its session on any of them. */
  readonly ticketKeys: Uint8Array
}

/** All three legs; null where a leg has no TLS. */
export type TlsMaterial = {
  readonly listener: ListenerTlsMaterial | null
  readonly clusters: readonly [UpstreamTlsMaterial | null, UpstreamTlsMaterial | null]
}

export const NO_TLS: TlsMaterial = { listener: null, clusters: [null, null] }

/** A trusted certificate need not be a root: the Go proxy takes any certificate as an anchor too. */
const trusting = (ca: string[]): { ca: string[]; allowPartialTrustChain: true } => ({
  ca,
  allowPartialTrustChain: true,
})

/** With a list OpenSSL wants one of every authority in a chain. */
const checkingRevocation = (crls: readonly string[]): { crl?: string[] } =>
  crls.length === 0 ? {} : { crl: [...crls] }

/** The context of a client. Node's `ca` replaces its defaults, hence the well-known ones by name. */
export const clientContext = (
  material: Omit<UpstreamTlsMaterial, 'verifiesName'>,
): SecureContext => {
  const { authority, certificate, key, crls, trustsWellKnownRoots } = material
  const own = authority === null ? [] : [authority]
  const wellKnown = trustsWellKnownRoots ? getCACertificates('default') : []
  return createSecureContext({
    minVersion: TLS_VERSION_MIN,
    ...trusting([...wellKnown, ...own]),
    ...checkingRevocation(crls),
    ...(certificate === null || key === null ? {} : { cert: certificate, key }),
  })
}

/** A server's context: clients are verified against the given authority alone. */
export const listenerContextOptions = (
  material: Omit<ListenerTlsMaterial, 'ticketKeys'>,
): SecureContextOptions => ({
  minVersion: TLS_VERSION_MIN,
  cert: material.certificate,
  key: material.key,
  ...(material.clientAuthority === null ? {} : trusting([material.clientAuthority])),
  ...checkingRevocation(material.crls),
})

export type TlsTarget = {
  readonly address: string
  readonly port: number
  /** Sent as SNI; else none is, unless the name is verified. */
  readonly serverName?: string
}

/** TLS towards one cluster, with the files as they were when it was made. */
export class UpstreamTls {
  readonly #context: SecureContext
  readonly #verifiesName: boolean
  /** By peer: a resumed session saves most of the handshake's work. */
  readonly #sessions = new Map<string, Buffer>()

  constructor(material: UpstreamTlsMaterial) {
    this.#context = clientContext(material)
    this.#verifiesName = material.verifiesName
  }

  /** A socket that connects and shakes hands; `secureConnect` tells when a certificate was accepted. */
  connect(target: TlsTarget): TLSSocket {
    const { address, port } = target
    const serverName = target.serverName ?? (this.#verifiesName ? address : '')
    const name = `${address} ${port} ${serverName}`
    const session = this.#sessions.get(name)
    const socket = connect({
      host: address,
      port,
      secureContext: this.#context,
      // An IP address cannot be sent as a server name (RFC 6066 §3).
      servername: isIP(serverName) === 0 ? serverName : '',
      // Behind an SNI router all nodes share the certificate of the name that is dialled.
      checkServerIdentity: (_, certificate) =>
        this.#verifiesName ? checkServerIdentity(address, certificate) : undefined,
      ...(session === undefined ? {} : { session }),
    })
    socket.on('session', (fresh) => this.#remember(name, fresh))
    return socket
  }

  #remember(name: string, session: Buffer): void {
    this.#sessions.delete(name)
    this.#sessions.set(name, session)
    if (this.#sessions.size > SESSIONS_MAX) {
      for (const oldest of this.#sessions.keys()) {
        this.#sessions.delete(oldest)
        break
      }
    }
  }
}

const UNTRUSTED = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])
const CRL_EXPLANATIONS: ReadonlyMap<string, string> = new Map([
  ['CERT_REVOKED', 'the certificate has been revoked'],
  [
    'CRL_HAS_EXPIRED',
    'a revocation list has expired, so that every certificate is refused: fetch the current one',
  ],
  ['CRL_NOT_YET_VALID', 'a revocation list is not valid yet, so that every certificate is refused'],
  [
    'CRL_SIGNATURE_FAILURE',
    'a revocation list is not signed by the authority of the certificate, so that it is refused',
  ],
  [
    'UNABLE_TO_GET_CRL',
    'there is no revocation list of an authority of the certificate, so that it is refused: add the list of every authority in its chain',
  ],
])
const NO_TLS_THERE = new Set(['ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG'])

const codeOf = (error: Error): string =>
  'code' in error && typeof error.code === 'string' ? error.code : ''

const REFUSED_OURS = new Set([
  'ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE',
  'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED',
  'ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN',
  'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
  'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA',
])

/** What is wrong with a certificate for good, or with asking for one; null for any other error. */
export const certificateFault = (
  error: Error,
): 'untrusted' | 'expired' | 'wrong name' | 'no TLS' | 'refused ours' | null => {
  const code = codeOf(error)
  if (UNTRUSTED.has(code)) return 'untrusted'
  if (code === 'CERT_HAS_EXPIRED') return 'expired'
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'wrong name'
  if (NO_TLS_THERE.has(code)) return 'no TLS'
  return REFUSED_OURS.has(code) ? 'refused ours' : null
}

/** What a TLS error means, in words that tell an operator where to look. */
export const explainTlsError = (error: Error): string => {
  const code = codeOf(error)
  if (UNTRUSTED.has(code)) {
    return `the certificate is not signed by an authority that is trusted here (${code})`
  }
  if (code === 'CERT_HAS_EXPIRED') return `the certificate has expired (${code})`
  if (code === 'CERT_NOT_YET_VALID') return `the certificate is not valid yet (${code})`
  const revocation = CRL_EXPLANATIONS.get(code)
  if (revocation !== undefined) return `${revocation} (${code})`
  if (code === 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE') {
    return `no certificate was shown (${code})`
  }
  if (NO_TLS_THERE.has(code)) return `the other side does not speak TLS (${code})`
  if (code === 'ECONNRESET') return 'the other side closed the connection'
  return code === '' ? error.message : `${error.message} (${code})`
}

/** Per cluster; null where the cluster is reached without TLS. */
export const upstreamTlsOf = ({
  clusters,
}: TlsMaterial): readonly [UpstreamTls | null, UpstreamTls | null] => {
  const [origin, target] = clusters
  return [
    origin === null ? null : new UpstreamTls(origin),
    target === null ? null : new UpstreamTls(target),
  ]
}
