/**
 * Tries to start until it succeeds, is told to stop, or gives up because of startup_fail_fast or
 * startup_timeout_ms (operations §2.2, §11 H1). What an attempt is, is an argument.
 */
import type { Clock, Timer } from '../clock.ts'
import { backoffMs } from '../cluster/backoff.ts'
import { publicText, remedyFor } from '../cluster/permanent-failure.ts'
import type { Settings } from '../config/settings.ts'
import type { Logger } from '../log.ts'
import { messageOf } from '../message-of.ts'

const RETRY_DELAY_MIN_MS = 100
const RETRY_DELAY_MAX_MS = 10_000
const RETRY_FACTOR = 2

/** How the attempts ended without success; each has an exit status of its own (main.ts). */
export type GivenUp = 'refused' | 'timed out'

export type StartTrouble = {
  /** Of the first attempt that failed, in wall clock milliseconds. */
  readonly sinceMs: number
  readonly attempts: number
  /** Why the last one failed. */
  readonly why: string
}

export type StartAttemptsTools = {
  readonly clock: Clock
  readonly log: Logger
  readonly random: () => number
  /** In effect now. */
  settings(): Pick<Settings, 'startupFailFast' | 'startupTimeoutMs'>
}

export class StartAttempts<T> {
  readonly #tools: StartAttemptsTools
  readonly #attempt: (signal: AbortSignal) => Promise<T>
  readonly #end = new AbortController()
  #givenUp: GivenUp | null = null
  #trouble: StartTrouble | null = null

  constructor(tools: StartAttemptsTools, attempt: (signal: AbortSignal) => Promise<T>) {
    this.#tools = tools
    this.#attempt = attempt
  }

  get givenUp(): GivenUp | null {
    return this.#givenUp
  }

  /** Null as long as no attempt has failed. */
  get trouble(): StartTrouble | null {
    return this.#trouble
  }

  /** Ends the attempt under way, and makes no other. */
  stop(): void {
    this.#end.abort()
  }

  /** Resolves with what an attempt has made, or null where there will be none. Never rejects. */
  async run(): Promise<T | null> {
    const { clock, settings } = this.#tools
    const { startupTimeoutMs } = settings()
    const timer =
      startupTimeoutMs === 0 ? null : clock.setTimeout(() => this.#giveUpLate(), startupTimeoutMs)
    try {
      return await this.#tryAgainAndAgain()
    } finally {
      clock.clearTimeout(timer)
    }
  }

  async #tryAgainAndAgain(): Promise<T | null> {
    const { signal } = this.#end
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        return await this.#attempt(signal)
      } catch (error) {
        if (!signal.aborted) await this.#onFailure(error, attempt)
      }
    }
    return null
  }

  async #onFailure(error: unknown, attempt: number): Promise<void> {
    const { clock, log, random, settings } = this.#tools
    const sinceMs = this.#trouble?.sinceMs ?? clock.wallMs()
    this.#trouble = { sinceMs, attempts: attempt + 1, why: publicText(error) }
    const text = messageOf(error)
    const remedy = remedyFor(error)
    if (remedy !== null && settings().startupFailFast) {
      this.#giveUp('refused', `${text}; waiting will not mend it (startup_fail_fast): ${remedy}`)
      return
    }
    const delayMs = backoffMs(attempt, RETRY_DELAY_MIN_MS, RETRY_DELAY_MAX_MS, RETRY_FACTOR, random)
    const retryInMs = Math.round(delayMs)
    const isPermanent = remedy !== null
    const advice = isPermanent ? `; waiting will not mend it: ${remedy}` : ''
    log.limited(
      `START_FAILED ${text}`,
      'error',
      { code: 'START_FAILED', attempt: attempt + 1, retryInMs, isPermanent },
      `cannot start yet, next try in ${retryInMs} ms: ${text}${advice}`,
    )
    await this.#sleep(delayMs)
  }

  #giveUpLate(): void {
    const { startupTimeoutMs } = this.#tools.settings()
    const last =
      this.#trouble === null
        ? 'the first attempt has not ended: a cluster, or a name server, takes long to answer'
        : `the last failure: ${this.#trouble.why}`
    this.#giveUp('timed out', `not within ${startupTimeoutMs} ms (startup_timeout_ms); ${last}`)
  }

  #giveUp(why: GivenUp, text: string): void {
    this.#givenUp = why
    this.#end.abort()
    this.#tools.log.error({ code: 'START_GIVEN_UP' }, `cannot start: ${text}`)
  }

  #sleep(delayMs: number): Promise<void> {
    const { clock } = this.#tools
    const { signal } = this.#end
    return new Promise((resolve) => {
      let timer: Timer | null = null
      const wake = (): void => {
        clock.clearTimeout(timer)
        signal.removeEventListener('abort', wake)
        resolve()
      }
      timer = clock.setTimeout(wake, delayMs)
      signal.addEventListener('abort', wake)
    })
  }
}
