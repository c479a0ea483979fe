/** What is known of the control connections, for the families of control-connection-families.ts. */

export type ControlConnectionSeries = {
  readonly cluster: 'origin' | 'target'
  readonly isUp: boolean
  /** Since the start attempt that succeeded; times in seconds since 1970. */
  readonly losses: number
  readonly reopenings: { readonly succeeded: number; readonly failed: number }
  readonly heardAtSeconds: number
  readonly refreshedAtSeconds: number
}
