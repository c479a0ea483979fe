/** What is known of reading the settings again, for the families of reload-families.ts. */

export type ReloadSeries = {
  /** Since the start. Settings from the environment are never read again, which is no failure. */
  readonly counts: { readonly applied: number; readonly refused: number }
  /** The file that was read last is wrong: what it should change has not changed. */
  readonly isLastRefused: boolean
  /** When the settings in effect were read, since 1970. */
  readonly readAtSeconds: number
}
