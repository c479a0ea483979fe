/**
 * How far clusters are with their start: one status line for all of them on a terminal; elsewhere a
 * line at each new stage, and now and then within one.
 */
import type { StatusLine } from './status-line.ts'

const TICK_MS = 1000
/** Without a terminal: how soon news within a stage are printed, and a stage without any. */
const REPEAT_MS = 5000
const SILENCE_MS = 10_000

/** `fetching …: 12 MB` and `fetching …: 13 MB` are one stage. */
const stageOf = (text: string): string => text.replace(/: \d+ MB$/, '')

interface Stage {
  readonly name: string
  readonly printedAtMs: number
}

export class StartProgress {
  readonly #line: StatusLine
  readonly #nowMs: () => number
  readonly #startedAtMs: number
  readonly #texts = new Map<string, string>()
  readonly #stages = new Map<string, Stage>()
  readonly #ticker: NodeJS.Timeout

  constructor(line: StatusLine, nowMs: () => number = Date.now) {
    this.#line = line
    this.#nowMs = nowMs
    this.#startedAtMs = nowMs()
    this.#ticker = setInterval(() => this.#tick(), TICK_MS)
    this.#ticker.unref()
  }

  /** To be given as `onProgress`. */
  readonly update = (text: string, clusterName: string): void => {
    this.#texts.set(clusterName, text)
    if (this.#line.output.isTerminal) this.#show()
    else this.#print(text, clusterName)
  }

  /** Takes the status line away. Safe to call twice. */
  readonly end = (): void => {
    clearInterval(this.#ticker)
    this.#texts.clear()
    this.#line.clear()
  }

  #tick(): void {
    if (this.#line.output.isTerminal) this.#show()
    else this.#repeat()
  }

  #seconds(): number {
    return Math.floor((this.#nowMs() - this.#startedAtMs) / 1000)
  }

  #show(): void {
    if (this.#texts.size === 0) return
    const seconds = String(this.#seconds()).padStart(3)
    this.#line.show(`${seconds} s  ${[...this.#texts.values()].join('  │  ')}`)
  }

  #repeat(): void {
    for (const [clusterName, text] of this.#texts) {
      const stage = this.#stages.get(clusterName)
      const silentMs = this.#nowMs() - (stage?.printedAtMs ?? 0)
      if (text.endsWith(': ready') || silentMs < SILENCE_MS) continue
      this.#stages.set(clusterName, { name: stageOf(text), printedAtMs: this.#nowMs() })
      this.#line.print(`${text} (${this.#seconds()} s)`)
    }
  }

  #print(text: string, clusterName: string): void {
    const name = stageOf(text)
    const before = this.#stages.get(clusterName)
    const printedAtMs = this.#nowMs()
    if (before?.name === name && printedAtMs - before.printedAtMs < REPEAT_MS) return
    this.#stages.set(clusterName, { name, printedAtMs })
    this.#line.print(text)
  }
}
