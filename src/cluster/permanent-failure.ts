/**
 * Which failures of a start waiting will not mend (operations §11 H1), and what will. Pure. Where it is not
 * certain, a failure counts as one that passes: secrets are mounted late, nodes restart, DNS catches up.
 */
import { CertificateError, CertificateErrorCode } from '../certificates/errors.ts'
import { messageOf } from '../message-of.ts'
import { certificateFault } from '../net/tls.ts'
import { clusterLabel, clusterName } from '../routing/cluster.ts'
import { ClusterError, ClusterErrorCode } from '../upstream/errors.ts'

/** How Cassandra says, with the code of refused credentials, that it could not look them up. */
const COULD_NOT_LOOK_UP = 'Unable to perform authentication'
const TEXT_LENGTH_MAX = 300

/** Neither cluster could be opened: each failure says why. */
export class BothFailed extends Error {
  readonly failures: readonly unknown[]

  constructor(failures: readonly unknown[]) {
    super(failures.map(messageOf).join('; '))
    this.name = 'BothFailed'
    this.failures = failures
  }
}

/** What was thrown and what caused it, outermost first. */
const causesOf = (error: unknown): Error[] =>
  error instanceof Error ? [error, ...causesOf(error.cause)] : []

const isRefusedForGood = ({ code, detail }: ClusterError): boolean =>
  code === ClusterErrorCode.UNUSABLE ||
  code === ClusterErrorCode.VERSION ||
  code === ClusterErrorCode.MECHANISM ||
  (code === ClusterErrorCode.AUTHENTICATION && !detail.includes(COULD_NOT_LOOK_UP))

const remedyForRefusal = ({ code, cluster, envelope }: ClusterError): string => {
  const name = clusterLabel(cluster)
  switch (code) {
    case ClusterErrorCode.AUTHENTICATION:
      return envelope === null
        ? `the cluster must take a user name and a password, and ${name}_username and ${name}_password have them`
        : `correct ${name}_username and ${name}_password, or that user in the cluster`
    case ClusterErrorCode.MECHANISM:
      return 'let the cluster take user names and passwords, as PasswordAuthenticator does'
    case ClusterErrorCode.VERSION:
      return 'raise control_conn_max_protocol_version; clusters older than Cassandra 2.0 cannot be used'
    default:
      return 'correct the settings, or use another cluster'
  }
}

const remedyForTls = (leg: string, fault: ReturnType<typeof certificateFault>): string | null => {
  switch (fault) {
    case 'untrusted':
      return `put the authority that has signed the node's certificate into ${leg}_tls_server_ca_path`
    case 'expired':
      return "renew the node's certificate"
    case 'wrong name':
      return `let the certificate name the address that is dialled, or set ${leg}_tls_verify_hostname to false`
    case 'no TLS':
      return `the port speaks no TLS: correct ${leg}_port, or leave the ${leg}_tls_… settings out`
    case 'refused ours':
      return `correct ${leg}_tls_client_cert_path and ${leg}_tls_client_key_path: the node does not take the proxy's certificate`
    default:
      return null
  }
}

const isPortRefused = (error: Error): boolean =>
  'code' in error && error.code === 'EACCES' && 'syscall' in error && error.syscall === 'listen'

/** What mends a failure that waiting will not; null where it may pass by itself. */
export const remedyFor = (failure: unknown): string | null => {
  if (failure instanceof BothFailed) {
    const remedies = failure.failures.flatMap((one) => remedyFor(one) ?? [])
    return remedies.length === 0 ? null : [...new Set(remedies)].join('; ')
  }
  const causes = causesOf(failure)
  const cluster = causes.find((cause) => cause instanceof ClusterError)
  if (cluster !== undefined && isRefusedForGood(cluster)) return remedyForRefusal(cluster)
  const leg = cluster === undefined ? '…' : clusterLabel(cluster.cluster)
  for (const cause of causes) {
    const remedy = remedyForTls(leg, certificateFault(cause))
    if (remedy !== null) return remedy
    if (cause instanceof CertificateError && cause.code === CertificateErrorCode.INVALID) {
      return `put the right file there, or correct ${cause.setting}`
    }
    if (isPortRefused(cause)) {
      return 'give the process the right to listen on ports below 1024, or choose another proxy_listen_port'
    }
  }
  return null
}

/**
 * Of the failures of all candidates the one that tells most. What one node says of credentials, versions or
 * datacenters every node would say; a certificate is a node's own, and another node may be back soon.
 */
export const tellingFailure = (failures: readonly unknown[]): unknown =>
  failures.find((one) => one instanceof ClusterError && isRefusedForGood(one)) ??
  failures.findLast((one) => remedyFor(one) === null) ??
  failures.at(-1)

/** For those who may ask without a password: on one line, and without a node's own words, which name users. */
export const publicText = (failure: unknown): string => {
  if (failure instanceof BothFailed) return failure.failures.map(publicText).join('; ')
  const isNodesWord = failure instanceof ClusterError && failure.envelope !== null
  const text = isNodesWord
    ? `${clusterName(failure.cluster)}: ${failure.detail.split(': ')[0]}`
    : messageOf(failure)
  return text.replaceAll(/\s+/g, ' ').slice(0, TEXT_LENGTH_MAX)
}
