/** How the command ends: exit status, what is said on stderr, and what may help. */
import { InstanceError } from '../admin/instance-client.ts'
import { ControlError, type ControlErrorCode } from '../control/errors.ts'

export const ExitCode = {
  OK: 0,
  /** The instance could not be reached or could not do it. */
  FAILED: 1,
  /** Wrong arguments. */
  USAGE: 2,
  /** A check failed, or there is no such way; nothing has changed. */
  REFUSED: 3,
  /** Some instances have changed and some have not. */
  PARTIAL: 4,
} as const
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

/** Ends the command with a status and a text that tells the next step. */
export class CliError extends Error {
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, message: string) {
    super(message)
    this.name = 'CliError'
    this.exitCode = exitCode
  }
}

const REFUSALS: ReadonlySet<ControlErrorCode> = new Set<ControlErrorCode>([
  'NO_SUCH_WAY',
  'REVISION_MISMATCH',
  'CHANGE_IN_PROGRESS',
  'CHECKS_FAILED',
  'ADDRESS_INVALID',
  'LAST_INSTANCE',
])

/** REFUSED where an instance has looked and changed nothing; FAILED where it could not do it. */
export const exitCodeOf = (error: unknown): ExitCode => {
  if (error instanceof CliError) return error.exitCode
  const isRefused = error instanceof ControlError && REFUSALS.has(error.code)
  return isRefused ? ExitCode.REFUSED : ExitCode.FAILED
}

const WHERE =
  'Say where the admin API is: --address http://10.0.0.1:14003, or ZDM_ADMIN_ADDRESS and ZDM_ADMIN_PORT; the proxy must run there with admin_enabled.'

/** By the code of a failed connection; the first that fits. */
const WAYS_OUT: readonly (readonly [RegExp, string])[] = [
  [/^(ECONNREFUSED|ENOTFOUND|EAI_|EHOSTUNREACH|ENETUNREACH)/, WHERE],
  [
    /CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE/,
    'It wants to see a certificate: --cert and --key, files signed by its admin_tls_client_ca_path.',
  ],
  [
    /WRONG_VERSION|PACKET_LENGTH|^EPROTO/,
    'Nothing speaks TLS there: use --address http://…, without --ca and --cert.',
  ],
  [
    /^ECONNRESET|^HPE_/,
    'If its admin API has TLS (admin_tls_cert_path): --address https://… and --ca with the file of its authority.',
  ],
  [/CERT|VERIFY|ISSUER/, 'Name the authority of its certificate: --ca <path>.'],
  [/^TIMEOUT/, 'Wait longer with --timeout <seconds>, or ask another instance with --address.'],
]

const UNAUTHORIZED = 401

const BY_STATUS: ReadonlyMap<number, string> = new Map([
  [
    UNAUTHORIZED,
    'Name the file with the token: --token-file <path> or ZDM_ADMIN_TOKEN_PATH, the same as admin_token_path of the proxies.',
  ],
  [403, 'Use its IP address or localhost in --address.'],
])

/** What may help against it; null where its text says so already, or nobody knows. `shown`: of the token, if one was. */
export const wayOut = (error: unknown, shown: string | null): string | null => {
  if (!(error instanceof InstanceError)) return null
  const { status, reason } = error
  if (status === UNAUTHORIZED && shown !== null) return shown
  if (status !== null) return BY_STATUS.get(status) ?? null
  return WAYS_OUT.find(([pattern]) => pattern.test(reason))?.[1] ?? null
}
