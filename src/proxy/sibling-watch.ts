/**
 * The other instances of the deployment as this one sees them: somebody listens where clients connect, or
 * not. An instance that drains stops listening first, so that the others see it leave within a second.
 * It needs nothing of them but the port that clients use: neither an admin API nor a health path that
 * may be bound to loopback. Knows no sockets: how one looks is an argument.
 *
 *   unknown ──a good look──► up ──two failed looks──► down ──good looks──► up
 *
 * One that was never seen up is not said to be down: clients may reach what this instance does not.
 */
import type { Clock, Timer } from '../clock.ts'
import { formatAddress, parseAddress } from '../cluster/address.ts'
import type { Logger } from '../log.ts'
import { messageOf } from '../message-of.ts'
import { formatEndpoint } from '../net/dialer.ts'

/** An instance as clients know it. */
export type Sibling = {
  readonly address: string
  /** 4 or 16 bytes. */
  readonly addressBytes: Uint8Array
  readonly port: number
}

const LOOK_EVERY_MS = 500
/** The second look, that decides, follows a failed one sooner. */
const LOOK_AGAIN_MS = 250
const FAILED_LOOKS = 2
const GOOD_LOOKS_MIN = 2
const GOOD_LOOKS_MAX = 32
/** Who was up for less has been back too soon: its next return needs twice as many good looks. */
const STEADY_MS = 60_000

export type SiblingWatchTools = {
  readonly clock: Clock
  readonly log: Logger
  /** Resolves where somebody listens, rejects where nobody does, or not in time. */
  look(sibling: Sibling): Promise<void>
  /** A change for the clients. */
  tell(sibling: Sibling, isUp: boolean): void
}

/** The instance at a position of the list, all on one port. */
export const siblingAt = (addresses: readonly string[], index: number, port: number): Sibling => {
  // The virtual tables have taken it already, in the same spelling.
  const addressBytes = parseAddress(addresses[index]!)!
  return { address: formatAddress(addressBytes), addressBytes, port }
}

export class SiblingWatch {
  readonly #watched: readonly Watched[]

  constructor(siblings: readonly Sibling[], tools: SiblingWatchTools) {
    this.#watched = siblings.map((sibling) => new Watched(sibling, tools))
  }

  close(): void {
    for (const watched of this.#watched) watched.close()
  }
}

class Watched {
  readonly #sibling: Sibling
  readonly #tools: SiblingWatchTools
  #state: 'unknown' | 'up' | 'down' = 'unknown'
  /** Good looks in a row; below 0, failed ones. */
  #streak = 0
  #goodLooksNeeded = 1
  /** When it came back last; -Infinity where it has not been away. */
  #backSinceMs = Number.NEGATIVE_INFINITY
  #timer: Timer | null = null
  #isClosed = false

  constructor(sibling: Sibling, tools: SiblingWatchTools) {
    this.#sibling = sibling
    this.#tools = tools
    this.#look()
  }

  close(): void {
    this.#isClosed = true
    this.#tools.clock.clearTimeout(this.#timer)
  }

  #look(): void {
    this.#tools.look(this.#sibling).then(
      () => this.#onLook(true, ''),
      (error: unknown) => this.#onLook(false, messageOf(error)),
    )
  }

  #onLook(isThere: boolean, why: string): void {
    if (this.#isClosed) return
    this.#streak = isThere ? Math.max(this.#streak, 0) + 1 : Math.min(this.#streak, 0) - 1
    if (this.#state !== 'up') this.#onLookAtAbsent(isThere)
    else if (this.#streak <= -FAILED_LOOKS) this.#becomesDown(why)
    const decides = this.#state === 'up' && this.#streak < 0
    const delayMs = decides ? LOOK_AGAIN_MS : LOOK_EVERY_MS
    this.#timer = this.#tools.clock.setTimeout(() => this.#look(), delayMs)
  }

  #onLookAtAbsent(isThere: boolean): void {
    // Starting later than this one: worth a word when it is there.
    if (!isThere && this.#state === 'unknown') this.#goodLooksNeeded = GOOD_LOOKS_MIN
    if (this.#streak < this.#goodLooksNeeded) return
    const isNews = this.#state === 'down' || this.#goodLooksNeeded > 1
    this.#state = 'up'
    if (!isNews) return
    this.#backSinceMs = this.#tools.clock.now()
    this.#tell(true, 'INSTANCE_UP', 'accepts clients')
  }

  #becomesDown(why: string): void {
    const isFlapping = this.#tools.clock.now() - this.#backSinceMs < STEADY_MS
    const doubled = Math.min(this.#goodLooksNeeded * 2, GOOD_LOOKS_MAX)
    this.#goodLooksNeeded = isFlapping ? doubled : GOOD_LOOKS_MIN
    this.#state = 'down'
    this.#tell(false, 'INSTANCE_DOWN', `is gone or leaves: ${why}`)
  }

  #tell(isUp: boolean, code: string, what: string): void {
    const instance = formatEndpoint(this.#sibling.address, this.#sibling.port)
    this.#tools.log.info({ code, instance }, `the instance ${instance} ${what}`)
    this.#tools.tell(this.#sibling, isUp)
  }
}
