/**
 * The sessions that read nothing until a node takes bytes again, by the connection whose queue is full:
 * what drains on another connection, as under TLS every write does, says nothing about theirs.
 */
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { Session } from './session.ts'

type Waiter = Pick<Session, 'onUpstreamWritable'>
type Full = Pick<UpstreamConnection, 'isCongested'>

export class UpstreamWaiters {
  readonly #byConnection = new Map<Full, Set<Waiter>>()

  /** Connections that somebody waits for. */
  get size(): number {
    return this.#byConnection.size
  }

  add(session: Waiter, connection: Full): void {
    const waiting = this.#byConnection.get(connection)
    if (waiting === undefined) this.#byConnection.set(connection, new Set([session]))
    else waiting.add(session)
  }

  /** Whether it waits for any connection; there are few that are full. */
  has(session: Waiter): boolean {
    for (const waiting of this.#byConnection.values()) if (waiting.has(session)) return true
    return false
  }

  /** The session is closed. */
  remove(session: Waiter): void {
    for (const [connection, waiting] of this.#byConnection) {
      waiting.delete(session)
      if (waiting.size === 0) this.#byConnection.delete(connection)
    }
  }

  /** The connection takes bytes again, or is lost: who waited for it reads on, unless another one is full. */
  wake(connection: Full): void {
    const waiting = this.#byConnection.get(connection)
    if (waiting === undefined) return
    this.#byConnection.delete(connection)
    for (const session of waiting) session.onUpstreamWritable()
  }
}
