/**
 * The last line of a terminal, rewritten in place, with lasting lines above it. Where there is no
 * terminal only the lasting lines are written.
 */

export interface StatusOutput {
  /** A terminal that understands cursor movements. */
  readonly isTerminal: boolean
  readonly hasColours: boolean
  columns(): number
  write(text: string): void
}

const DEFAULT_COLUMNS = 80

/** `NO_COLOR` (any value but the empty one) and `TERM=dumb` are honoured. */
export const describeOutput = (
  stream: Pick<NodeJS.WriteStream, 'isTTY' | 'columns' | 'write'>,
  environment: NodeJS.ProcessEnv,
): StatusOutput => {
  const isTerminal = stream.isTTY === true && environment['TERM'] !== 'dumb'
  return {
    isTerminal,
    hasColours: isTerminal && (environment['NO_COLOR'] ?? '') === '',
    columns: () => (stream.columns > 0 ? stream.columns : DEFAULT_COLUMNS),
    write: (text) => {
      stream.write(text)
    },
  }
}

export const standardOutput = (): StatusOutput => describeOutput(process.stdout, process.env)
export const standardError = (): StatusOutput => describeOutput(process.stderr, process.env)

const ERASE_LINE = '\r\x1b[2K'

/** Cut to fit: a line that wraps could not be erased. Texts are plain, one column a character. */
const cutToFit = (text: string, columns: number): string =>
  text.length < columns ? text : `${text.slice(0, Math.max(0, columns - 2))}…`

export class StatusLine {
  readonly output: StatusOutput
  #shown = ''

  constructor(output: StatusOutput) {
    this.output = output
  }

  /** Replaces the line, on a terminal. */
  show(text: string): void {
    if (!this.output.isTerminal) return
    const fitting = cutToFit(text, this.output.columns())
    if (fitting === this.#shown) return
    this.output.write(`${ERASE_LINE}${fitting}`)
    this.#shown = fitting
  }

  /** Writes a lasting line; the status line, if any, stays below it. */
  print(text = ''): void {
    const shown = this.#shown
    this.clear()
    this.output.write(`${text}\n`)
    if (shown !== '') this.show(shown)
  }

  clear(): void {
    if (this.#shown === '') return
    this.output.write(ERASE_LINE)
    this.#shown = ''
  }
}
