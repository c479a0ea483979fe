/** How the command ends: exit status and what is said on stderr. */

export const ExitCode = {
  OK: 0,
  /** The instance could not be reached or could not do it. */
  FAILED: 1,
  /** Wrong arguments. */
  USAGE: 2,
  /** A check failed; nothing has changed. */
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
