/** What the switch counts, for the families of control-families.ts. Words as the admin API has them. */

export type ControlSeries = {
  readonly phase: string
  readonly primary: string
  readonly readMode: string
  readonly writeMode: string
  readonly revision: number
  /** Since 1970. */
  readonly changedAtSeconds: number
  readonly changes: Readonly<Record<string, number>>
  readonly failedChecks: readonly (readonly [string, number])[]
  /** Of the last change: until the last request routed before it was answered. */
  readonly quiescenceSeconds: number
  /** Writes that each cluster lacks since it was last made equal, those of earlier runs among them. */
  readonly unreconciled: { readonly origin: number; readonly target: number }
}
