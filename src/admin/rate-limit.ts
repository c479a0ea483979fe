/** Token buckets by caller: each may do so many things at once, and so many a second in the long run. */
import type { Clock } from '../clock.ts'

export type RateLimitOptions = {
  readonly burst: number
  readonly perSecond: number
}

/** Callers told apart; the one that was seen first is forgotten beyond that, with a full bucket. */
const CALLERS_MAX = 1000
const MS_PER_SECOND = 1000

type Bucket = { tokens: number; atMs: number }

export class RateLimit {
  readonly #options: RateLimitOptions
  readonly #clock: Clock
  readonly #buckets = new Map<string, Bucket>()

  constructor(options: RateLimitOptions, clock: Clock) {
    this.#options = options
    this.#clock = clock
  }

  /** 0 where it is allowed; else the seconds until it would be, at least 1. */
  take(caller: string): number {
    const { perSecond } = this.#options
    const bucket = this.#filled(caller)
    if (bucket.tokens < 1) return Math.max(1, Math.ceil((1 - bucket.tokens) / perSecond))
    bucket.tokens--
    return 0
  }

  #filled(caller: string): Bucket {
    const { burst, perSecond } = this.#options
    const nowMs = this.#clock.now()
    const bucket = this.#buckets.get(caller) ?? { tokens: burst, atMs: nowMs }
    const gained = ((nowMs - bucket.atMs) / MS_PER_SECOND) * perSecond
    bucket.tokens = Math.min(burst, bucket.tokens + gained)
    bucket.atMs = nowMs
    this.#buckets.set(caller, bucket)
    if (this.#buckets.size > CALLERS_MAX) {
      for (const oldest of this.#buckets.keys()) {
        this.#buckets.delete(oldest)
        break
      }
    }
    return bucket
  }
}
