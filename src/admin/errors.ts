/** What can go wrong with the HTTP servers as a whole. */

export const AdminErrorCode = {
  /** The address cannot be listened on. */
  BIND_FAILED: 'HTTP_BIND_FAILED',
} as const
export type AdminErrorCode = (typeof AdminErrorCode)[keyof typeof AdminErrorCode]

export class AdminError extends Error {
  readonly code: AdminErrorCode

  constructor(code: AdminErrorCode, message: string, cause: unknown) {
    super(message, { cause })
    this.name = 'AdminError'
    this.code = code
  }
}
