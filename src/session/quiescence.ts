/**
 * When a change of the routing has come to rest: the last request that was routed before it is answered.
 * Looks from time to time at what was in flight then, so that requests pay nothing for it.
 */
import type { Clock } from '../clock.ts'
import { RequestKind, type RequestTable } from './request-table.ts'

/** How the change met the requests in flight. */
export type Quiescence = {
  /** Routed the old way and not answered yet when the change came. */
  readonly inFlight: number
  /** Until the last of them was answered, or the wait was given up. */
  readonly waitedMs: number
  /** Not answered within the bound. */
  readonly remaining: number
}

/** A time-out ends a request within this. */
const TIMEOUT_LATENESS_MS = 500
/** Whoever waits for the report waits over HTTP, and what must follow there has to fit into 30 s without a byte. */
const WAIT_MS_MAX = 15_000

/** For how long a change waits for what was in flight before: longer than any request lives, within that limit. */
export const quiescenceBoundMs = (requestTimeoutMs: number): number =>
  Math.min(requestTimeoutMs + TIMEOUT_LATENESS_MS, WAIT_MS_MAX)

/** What is reported is late by this at most. */
const LOOK_EVERY_MS = 2

/** Requests outside the table, by a number of their own. */
export type NumberedRequests = {
  inFlight(): readonly number[]
  isInFlight(number: number): boolean
}

/**
 * Waits until all requests that are in flight now have been answered, or `boundMs` milliseconds are over. Never rejects:
 * what is still unanswered then is `remaining`.
 */
export const quiescence = (
  requests: RequestTable,
  slow: NumberedRequests,
  clock: Clock,
  boundMs: number,
): Promise<Quiescence> => {
  const startMs = clock.now()
  let indices: number[] = []
  for (let index = 0; index < requests.highWater; index++) {
    if (requests.kind[index] !== RequestKind.FREE) indices.push(index)
  }
  // An index may have been another request's in the meantime: its generation tells.
  const generations = new Map(indices.map((index) => [index, requests.generation[index]!]))
  let numbers = slow.inFlight()
  const inFlight = indices.length + numbers.length
  if (inFlight === 0) return Promise.resolve({ inFlight, waitedMs: 0, remaining: 0 })
  return new Promise((resolve) => {
    const look = (): void => {
      indices = indices.filter((index) => requests.generation[index] === generations.get(index))
      numbers = numbers.filter((number) => slow.isInFlight(number))
      const remaining = indices.length + numbers.length
      const waitedMs = clock.now() - startMs
      if (remaining === 0 || waitedMs >= boundMs) resolve({ inFlight, waitedMs, remaining })
      else clock.setTimeout(look, LOOK_EVERY_MS)
    }
    clock.setTimeout(look, LOOK_EVERY_MS)
  })
}
