/**
 * The clients of one data plane: accepted up to a limit that all planes share, told of events, and sent
 * away in the end.
 *
 *   accepting ──drain──► announced: served, nobody new ──► leaving: closed when quiet ──► refusing ──► none left
 */
import type { Clock, Timer } from '../clock.ts'
import { EVENT_STREAM_ID } from '../cql/messages/event.ts'
import type { Refusal } from '../net/refusals.ts'
import type { Transport, TransportHandler } from '../net/transport.ts'
import { type ClientEvent, eventEnvelope } from '../session/client-events.ts'
import type { SessionContext } from '../session/context.ts'
import { Session } from '../session/session.ts'
import { type AddressCounts, addressOf } from './address-counts.ts'
import type { ClientFailures } from './client-failures.ts'

/** Above the round trip of a client that is near: who is silent for so long has hardly a request on its way. */
const QUIET_MS = 25
/** Who is never that quiet is refused after this. */
const LEAVE_WITHIN_MS = 1_000

/** What of a data plane its clients need. */
export type ClientsContext = SessionContext & {
  readonly settings: {
    readonly clientConnectionsMax: number
    /** 0: no limit. */
    readonly clientConnectionsPerAddressMax: number
  }
}

export class Clients implements Iterable<Session> {
  readonly #context: ClientsContext
  readonly #failures: ClientFailures
  readonly #clock: Clock
  /** The client connections of all planes together. */
  readonly #count: Int32Array
  /** Those by the address that they come from. */
  readonly #addresses: AddressCounts
  readonly #sessions = new Set<Session>()
  #nextId = 1
  #isDraining = false
  #leaveTimer: Timer | null = null
  #onDrained: (() => void) | null = null

  constructor(
    context: ClientsContext,
    clientCount: SharedArrayBuffer,
    addresses: AddressCounts,
    failures: ClientFailures,
  ) {
    this.#context = context
    this.#failures = failures
    this.#clock = context.clock
    this.#addresses = addresses
    this.#count = new Int32Array(clientCount)
  }

  [Symbol.iterator](): IterableIterator<Session> {
    return this.#sessions.values()
  }

  /** The session of a new client, or what is to be told where it is refused. */
  accept(transport: Transport): TransportHandler | Refusal {
    if (this.#isDraining) return () => undefined
    const { metrics, settings, log } = this.#context
    const client = transport.peer
    const { clientConnectionsMax, clientConnectionsPerAddressMax } = settings
    const count = Atomics.add(this.#count, 0, 1)
    if (count >= clientConnectionsMax) {
      Atomics.sub(this.#count, 0, 1)
      return () => this.#failures.limit(client, clientConnectionsMax)
    }
    if (!this.#addresses.take(addressOf(client), clientConnectionsPerAddressMax)) {
      Atomics.sub(this.#count, 0, 1)
      return () => this.#failures.addressLimit(client, clientConnectionsPerAddressMax)
    }
    metrics.clientConnections++
    log.debug({ code: 'CLIENT_CONNECTED', client }, 'client connected')
    const session = new Session(this.#nextId++, transport, this.#context)
    this.#sessions.add(session)
    return session
  }

  onClosed(session: Session): void {
    this.#sessions.delete(session)
    Atomics.sub(this.#count, 0, 1)
    const { metrics, log } = this.#context
    metrics.clientConnections--
    const client = session.transport.peer
    this.#addresses.release(addressOf(client))
    log.debug({ code: 'CLIENT_DISCONNECTED', client }, 'client disconnected')
    this.#tellIfDrained()
  }

  /** Passes an event on to those who have registered for its type. */
  announce(event: ClientEvent): void {
    for (const session of this.#sessions) {
      if (!session.eventTypes.has(event.type) || session.state !== 'ready') continue
      session.reply(EVENT_STREAM_ID, eventEnvelope(session.traits!, event))
    }
  }

  /**
   * Accepts nobody any more, and resolves when the last client is gone. For `announceMs` those who are there
   * are served as before: they, or the instances that they ask, have been told that this one leaves, and
   * drivers that listen go. Then connections are closed while nothing is on its way; 0: at once.
   */
  async drain(announceMs: number): Promise<void> {
    this.#isDraining = true
    const drained = new Promise<void>((resolve) => {
      this.#onDrained = resolve
    })
    for (const session of [...this.#sessions]) {
      if (announceMs === 0 || session.state !== 'ready') session.drain()
    }
    if (announceMs > 0) this.#leaveTimer = this.#clock.setTimeout(() => this.#leave(0), announceMs)
    this.#tellIfDrained()
    await drained
  }

  /** Closes everything now. */
  destroyAll(): void {
    this.#isDraining = true
    this.#clock.clearTimeout(this.#leaveTimer)
    for (const session of [...this.#sessions]) session.destroy()
  }

  #leave(sinceMs: number): void {
    const isOver = sinceMs >= LEAVE_WITHIN_MS
    for (const session of [...this.#sessions]) {
      if (isOver) session.drain()
      else session.drainIfQuiet()
    }
    if (isOver || this.#sessions.size === 0) return
    const next = (): void => this.#leave(sinceMs + QUIET_MS)
    this.#leaveTimer = this.#clock.setTimeout(next, QUIET_MS)
  }

  #tellIfDrained(): void {
    if (!this.#isDraining || this.#sessions.size > 0) return
    this.#clock.clearTimeout(this.#leaveTimer)
    this.#onDrained?.()
  }
}
