/** What stops a change, or the start. The codes are stable and part of the admin API. */
import type { CheckResult } from './report.ts'

export const ControlErrorCode = {
  NO_SUCH_WAY: 'NO_SUCH_WAY',
  REVISION_MISMATCH: 'REVISION_MISMATCH',
  CHANGE_IN_PROGRESS: 'CHANGE_IN_PROGRESS',
  CHANGE_UNKNOWN: 'CHANGE_UNKNOWN',
  /** One instance looks at both clusters once at a time. */
  CHECK_IN_PROGRESS: 'CHECK_IN_PROGRESS',
  /** A rollback took its place. */
  CHANGE_DISCARDED: 'CHANGE_DISCARDED',
  /** The change is in effect, but for a thread that does not answer. */
  THREAD_BEHIND: 'THREAD_BEHIND',
  CHECKS_FAILED: 'CHECKS_FAILED',
  REASON_MISSING: 'REASON_MISSING',
  /** It would leave its clients with nobody to serve them. */
  LAST_INSTANCE: 'LAST_INSTANCE',
  /** Of clients that are to be closed. */
  ADDRESS_INVALID: 'ADDRESS_INVALID',
  /** A comparison that cannot be recorded as it was said. */
  RECONCILIATION_REFUSED: 'RECONCILIATION_REFUSED',
  /** The state file cannot be read, or says what no state file says. */
  STATE_UNREADABLE: 'STATE_UNREADABLE',
  /** Another instance uses the same state file. */
  STATE_IN_USE: 'STATE_IN_USE',
  STATE_NOT_WRITTEN: 'STATE_NOT_WRITTEN',
  AUDIT_NOT_WRITTEN: 'AUDIT_NOT_WRITTEN',
} as const
export type ControlErrorCode = (typeof ControlErrorCode)[keyof typeof ControlErrorCode]

export class ControlError extends Error {
  readonly code: ControlErrorCode
  readonly checks: readonly CheckResult[]

  constructor(
    code: ControlErrorCode,
    message: string,
    options: { readonly checks?: readonly CheckResult[]; readonly cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause })
    this.name = 'ControlError'
    this.code = code
    this.checks = options.checks ?? []
  }
}
