/**
 * Time as an argument: everything that waits or measures takes a Clock, so that tests decide when
 * time passes. The system's clock is here; the manual one is test/support/fake-clock.ts.
 */

/** What a clock gave for a callback to come; only good for giving it back. */
export type Timer = NodeJS.Timeout | number

export interface Clock {
  /** Monotonic milliseconds with fraction, from an arbitrary start. For durations. */
  now(): number
  /** Milliseconds since 1970. For people and files, never for durations. */
  wallMs(): number
  setTimeout(callback: () => void, delayMs: number): Timer
  clearTimeout(timer: Timer | null | undefined): void
  setInterval(callback: () => void, periodMs: number): Timer
  clearInterval(timer: Timer | null | undefined): void
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wallMs: () => Date.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (timer) => clearTimeout(timer ?? undefined),
  setInterval: (callback, periodMs) => setInterval(callback, periodMs),
  clearInterval: (timer) => clearInterval(timer ?? undefined),
}
