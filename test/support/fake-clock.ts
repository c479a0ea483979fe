/** A clock that stands still until a test moves it. Callbacks run in the order of their due times. */
import type { Clock, Timer } from '../../src/clock.ts'

type Entry = { dueMs: number; readonly periodMs: number | null; readonly callback: () => void }

export class FakeClock implements Clock {
  #nowMs = 0
  #nextTimer = 1
  readonly #startWallMs: number
  readonly #entries = new Map<number, Entry>()

  constructor(startWallMs = Date.UTC(2026, 0, 1)) {
    this.#startWallMs = startWallMs
  }

  /** Timers that have not fired and were not cleared. */
  get pendingTimers(): number {
    return this.#entries.size
  }

  now(): number {
    return this.#nowMs
  }

  wallMs(): number {
    return this.#startWallMs + this.#nowMs
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    return this.#add({ dueMs: this.#nowMs + Math.max(0, delayMs), periodMs: null, callback })
  }

  clearTimeout(timer: Timer | null | undefined): void {
    if (typeof timer === 'number') this.#entries.delete(timer)
  }

  setInterval(callback: () => void, periodMs: number): Timer {
    const period = Math.max(1, periodMs)
    return this.#add({ dueMs: this.#nowMs + period, periodMs: period, callback })
  }

  clearInterval(timer: Timer | null | undefined): void {
    this.clearTimeout(timer)
  }

  /** Moves time on, running what falls due on the way at its own time. */
  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs
    for (let next = this.#next(endMs); next !== null; next = this.#next(endMs)) {
      const [timer, entry] = next
      this.#nowMs = Math.max(this.#nowMs, entry.dueMs)
      if (entry.periodMs === null) this.#entries.delete(timer)
      else entry.dueMs += entry.periodMs
      entry.callback()
    }
    this.#nowMs = endMs
  }

  #add(entry: Entry): number {
    const timer = this.#nextTimer
    this.#nextTimer++
    this.#entries.set(timer, entry)
    return timer
  }

  /** The earliest entry due by `endMs`; of equals the one set first. */
  #next(endMs: number): [number, Entry] | null {
    let best: [number, Entry] | null = null
    for (const [timer, entry] of this.#entries) {
      if (entry.dueMs <= endMs && (best === null || entry.dueMs < best[1].dueMs)) {
        best = [timer, entry]
      }
    }
    return best
  }
}
