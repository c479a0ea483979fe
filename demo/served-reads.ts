/**
 * Which cluster served each read, told by the markers, and whether it was the right one: outside of a change the
 * one that the phase says, while a change is made the old one or the new one. Pure; times are of one clock.
 */
import type { ClusterWord } from '../src/control/phase.ts'

const MISPLACED_MAX = 10

const isClusterWord = (marker: unknown): marker is ClusterWord =>
  marker === 'ORIGIN' || marker === 'TARGET'

export class ServedReads {
  #from: ClusterWord
  #to: ClusterWord
  /** Null while a change is made. */
  #doneAtMs: number | null = 0
  #lastFromMs: number | null = null
  #settled = 0
  #misplacedCount = 0
  readonly #misplaced: string[] = []

  constructor(cluster: ClusterWord) {
    this.#from = cluster
    this.#to = cluster
  }

  /** Where reads are served once the change is done. */
  get cluster(): ClusterWord {
    return this.#to
  }

  /** Reads since the last change was done, each served by `cluster`. */
  get settled(): number {
    return this.#settled
  }

  get misplacedCount(): number {
    return this.#misplacedCount
  }

  /** The first of them, each a line for a person. */
  get misplaced(): readonly string[] {
    return this.#misplaced
  }

  /**
   * When the cluster that served before the last change gave its last answer; null where the cluster is the
   * same, or gave none any more once the change had begun.
   */
  get lastFromOldAtMs(): number | null {
    return this.#lastFromMs
  }

  changeBegins(to: ClusterWord): void {
    this.#from = this.#to
    this.#to = to
    this.#doneAtMs = null
    this.#lastFromMs = null
    this.#settled = 0
  }

  changeIsDone(atMs: number): void {
    this.#doneAtMs = atMs
  }

  /** A read that began and was answered at these times, and what it found in the marker. */
  note(marker: unknown, startedAtMs: number, endedAtMs: number): void {
    const isSettled = this.#doneAtMs !== null && startedAtMs >= this.#doneAtMs
    const isRight = marker === this.#to || (!isSettled && marker === this.#from)
    if (!isClusterWord(marker) || !isRight) {
      this.#misplacedCount += 1
      if (this.#misplaced.length >= MISPLACED_MAX) return
      const expected = isSettled ? this.#to : `${this.#from} or ${this.#to}`
      this.#misplaced.push(`a read was served by ${String(marker)}, not by ${expected}`)
      return
    }
    if (isSettled) this.#settled += 1
    if (marker !== this.#to) this.#lastFromMs = Math.max(this.#lastFromMs ?? 0, endedAtMs)
  }
}
