/** A terminal, or none, that keeps what was written to it. */
import type { StatusOutput } from '../../clusters/status-line.ts'

export interface RecordedOutput extends StatusOutput {
  readonly written: string[]
}

export const recordOutput = (
  options: Partial<Pick<StatusOutput, 'isTerminal' | 'hasColours'>> & { columns?: number },
): RecordedOutput => {
  const written: string[] = []
  return {
    isTerminal: options.isTerminal ?? true,
    hasColours: options.hasColours ?? false,
    columns: () => options.columns ?? 80,
    write: (text) => {
      written.push(text)
    },
    written,
  }
}
