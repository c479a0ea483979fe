/** What signals ask of the process: SIGINT and SIGTERM to stop, the second one at once; SIGHUP to read files again. */

/**
 * A terminal sends Ctrl-C to every process in its foreground, and npm, or bin/launch.js under an older Node, pass on theirs:
 * what comes within this is the same wish.
 */
const SAME_INTERRUPT_MS = 1000

export class StopSignals {
  #isDrained = false
  #interruptedAtMs = Number.NEGATIVE_INFINITY

  /** Stopping was begun by the admin API: whoever did so and then sends a signal wants no more than that. */
  onDrained(): void {
    this.#isDrained = true
  }

  /** Whether a signal that comes while the process stops, at `nowMs` (monotonic), is to end the wait. */
  isSecond(signal: NodeJS.Signals, nowMs: number): boolean {
    const isSame = signal === 'SIGINT' && nowMs - this.#interruptedAtMs < SAME_INTERRUPT_MS
    if (signal === 'SIGINT' && !isSame) this.#interruptedAtMs = nowMs
    const isFirst = this.#isDrained
    if (!isSame) this.#isDrained = false
    return !isSame && !isFirst
  }
}

/** Keeps SIGHUP from ending a process that has only begun: what comes before somebody follows is done then, once. */
export class Hangups {
  #isPending = false
  #act: (() => void) | null = null

  constructor() {
    process.on('SIGHUP', () => {
      if (this.#act === null) this.#isPending = true
      else this.#act()
    })
  }

  follow(act: () => void): void {
    this.#act = act
    if (this.#isPending) act()
  }
}
