/** What is known of the certificates in force, for the families of tls-families.ts. */

export type CertificateSeries = {
  readonly expiries: readonly {
    readonly leg: string
    readonly role: string
    readonly expiresAtSeconds: number
  }[]
  /** One per leg whose revocation lists expire. */
  readonly crls: readonly { readonly leg: string; readonly expiresAtSeconds: number }[]
  /** One per leg that has TLS or tokens. */
  readonly legs: readonly {
    readonly leg: string
    readonly isRejected: boolean
    /** Changes of its files since they were read first. */
    readonly reloads: { readonly applied: number; readonly rejected: number }
  }[]
}

export const NO_CERTIFICATES: CertificateSeries = { expiries: [], crls: [], legs: [] }
