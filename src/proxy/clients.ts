/**
 * The clients of one data plane: accepted up to a limit that all planes share, told of events, and sent
 * away in the end.
 *
 *   accepting ──drain──► announced: served, nobody new ──► leaving: closed when quiet ──► refusing ──► none left
 *
 * Some of them may be let go in between, in the same way (`close`).
 */
import type { Clock, Timer } from '../clock.ts'
import type { ClientSelection } from '../control/report.ts'
import { EVENT_STREAM_ID } from '../cql/messages/event.ts'
import type { Refusal } from '../net/refusals.ts'
import type { Transport, TransportHandler } from '../net/transport.ts'
import { type ClientEvent, eventEnvelope } from '../session/client-events.ts'
import type { SessionContext } from '../session/context.ts'
import { Session } from '../session/session.ts'
import { type AddressCounts, addressOf } from './address-counts.ts'
import type { ClientFailures } from './client-failures.ts'
import { isSelected } from './client-groups.ts'

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
  readonly #timers = new Set<Timer>()
  /** Those that `close` is letting go: nobody is looked at twice. */
  readonly #leaving = new WeakSet<Session>()
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
    if (announceMs > 0) this.#later(() => this.#leave(this.#sessions, 0), announceMs)
    this.#tellIfDrained()
    await drained
  }

  /**
   * Lets these go: each is closed while nothing is on its way, or refused after a while and closed when all is
   * answered. Returns how many they are. Nothing keeps them from coming back.
   */
  close(selection: ClientSelection): number {
    const leaving = [...this.#sessions].filter(
      (session) =>
        !session.isDraining && !this.#leaving.has(session) && isSelected(session, selection),
    )
    for (const session of leaving) this.#leaving.add(session)
    this.#leave(leaving, 0)
    return leaving.length
  }

  /** Closes everything now. */
  destroyAll(): void {
    this.#isDraining = true
    this.#clearTimers()
    for (const session of [...this.#sessions]) session.destroy()
  }

  #leave(sessions: Iterable<Session>, sinceMs: number): void {
    const isOver = sinceMs >= LEAVE_WITHIN_MS
    const left = [...sessions].filter(({ state }) => state !== 'closed')
    for (const session of left) {
      if (isOver) session.drain()
      else session.drainIfQuiet()
    }
    if (isOver || left.length === 0) return
    this.#later(() => this.#leave(left, sinceMs + QUIET_MS), QUIET_MS)
  }

  #later(work: () => void, delayMs: number): void {
    const timer = this.#clock.setTimeout(() => {
      this.#timers.delete(timer)
      work()
    }, delayMs)
    this.#timers.add(timer)
  }

  #clearTimers(): void {
    for (const timer of this.#timers) this.#clock.clearTimeout(timer)
    this.#timers.clear()
  }

  #tellIfDrained(): void {
    if (!this.#isDraining || this.#sessions.size > 0) return
    this.#clearTimers()
    this.#onDrained?.()
  }
}
