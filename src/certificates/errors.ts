/** What is wrong with a file of certificates or keys: which file, which setting, and the way out. */

export const CertificateErrorCode = {
  /** The file is not there, or may not be read. */
  UNREADABLE: 'CERTIFICATE_FILE_UNREADABLE',
  /** It is not what its setting asks for. */
  INVALID: 'CERTIFICATE_FILE_INVALID',
} as const
export type CertificateErrorCode = (typeof CertificateErrorCode)[keyof typeof CertificateErrorCode]

/** A file and the setting that names it. */
export type NamedFile = { readonly setting: string; readonly path: string }

export class CertificateError extends Error {
  readonly code: CertificateErrorCode
  readonly setting: string
  readonly path: string

  constructor(code: CertificateErrorCode, file: NamedFile, detail: string, cause?: unknown) {
    super(`${file.setting}: ${file.path} ${detail}`, { cause })
    this.name = 'CertificateError'
    this.code = code
    this.setting = file.setting
    this.path = file.path
  }
}
