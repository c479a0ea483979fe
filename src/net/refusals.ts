/**
 * Closes connections that are refused, and tells clients from those who only look whether somebody listens: load
 * balancers and other instances send no byte, and are refused nothing. Their end is sent at once; the
 * connection is looked at a moment longer, for bytes that were on their way. Bounded in time and number.
 */
import type { Socket } from 'node:net'
import { type Clock, systemClock } from '../clock.ts'

/** A client's first bytes come with its connection, or a round trip later. */
const LOOK_MS = 1000
/** So many are looked at; one beyond counts as a client at once. */
const LOOKED_AT_MAX = 256

/** Called where a connection that was refused turns out to be a client's; once at most. */
export type Refusal = () => void

export class Refusals {
  readonly #clock: Clock
  #lookedAt = 0

  constructor(clock: Clock = systemClock) {
    this.#clock = clock
  }

  close(socket: Socket, onClient: Refusal): void {
    if (this.#lookedAt >= LOOKED_AT_MAX) {
      socket.destroy()
      onClient()
      return
    }
    this.#lookedAt++
    const timer = this.#clock.setTimeout(() => socket.destroy(), LOOK_MS)
    socket.once('data', () => {
      socket.destroy()
      onClient()
    })
    // Without a reader an end would not be noticed, nor the connection closed.
    socket.resume()
    socket.once('close', () => {
      this.#lookedAt--
      this.#clock.clearTimeout(timer)
    })
    socket.end()
  }
}
