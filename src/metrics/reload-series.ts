/** What is known of reading the settings again, for the families of reload-families.ts. */

export type ReloadSeries = {
  /** Since the start. That settings from the environment cannot be read again is no failure. */
  readonly counts: { readonly applied: number; readonly refused: number }
  /** What was read last is wrong: what it should change has not changed. */
  readonly isLastRefused: boolean
  /** When the settings in effect were read, since 1970. */
  readonly readAtSeconds: number
}
