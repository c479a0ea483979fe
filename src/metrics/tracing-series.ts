/** What became of the spans of traced requests, for the families of tracing-families.ts. */

export type TracingSeries = {
  readonly exported: number
  /** Too many waited to be sent. */
  readonly queueFull: number
  /** The collector did not take them, or could not be reached. */
  readonly exportFailed: number
}
