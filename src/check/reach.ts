/** Whether names lead to addresses and addresses to somebody who listens, several at once. */
import { isIP } from 'node:net'
import type { Clock } from '../clock.ts'
import { messageOf } from '../message-of.ts'
import { Dialer, formatEndpoint } from '../net/dialer.ts'
import { tryConnect } from '../net/reach.ts'
import type { Endpoint } from '../upstream/connection.ts'
import type { Verdict } from './verdict.ts'

export type ResolvedPoints = {
  readonly verdict: Verdict
  readonly detail: string
  readonly remedy: string
  /** The contact points that are worth a connection, as the settings spell them. */
  readonly usable: readonly string[]
}

/** Rejects when the promise takes longer; a system's resolver may be silent for half a minute. */
export const within = async <T>(
  promise: Promise<T>,
  timeoutMs: number,
  clock: Clock,
): Promise<T> => {
  const { promise: deadline, reject } = Promise.withResolvers<never>()
  const timer = clock.setTimeout(
    () => reject(new Error(`no answer within ${timeoutMs} ms`)),
    timeoutMs,
  )
  try {
    return await Promise.race([promise, deadline])
  } finally {
    clock.clearTimeout(timer)
  }
}

/** Each name within `timeoutMs`; addresses as they are. Never rejects: what failed is in the result. */
export const resolveContactPoints = async (
  points: readonly string[],
  resolve: (name: string) => Promise<readonly string[]>,
  timeoutMs: number,
  clock: Clock,
): Promise<ResolvedPoints> => {
  const names = points.filter((point) => isIP(point) === 0)
  if (names.length === 0) {
    return {
      verdict: 'pass',
      detail: 'only addresses, nothing to resolve',
      remedy: '',
      usable: points,
    }
  }
  const texts: string[] = []
  const lost = new Set<string>()
  const lookUp = async (name: string): Promise<void> => {
    try {
      const addresses = await within(resolve(name), timeoutMs, clock)
      texts.push(`${name} is ${addresses.join(', ')}`)
    } catch (error) {
      lost.add(name)
      texts.push(`${name}: ${messageOf(error)}`)
    }
  }
  await Promise.all(names.map(lookUp))
  const usable = points.filter((point) => !lost.has(point))
  const verdict = lost.size === 0 ? 'pass' : usable.length === 0 ? 'fail' : 'warn'
  const remedy = lost.size === 0 ? '' : 'correct the names, or the DNS that this machine asks'
  return { verdict, detail: texts.join('; '), remedy, usable }
}

export type Reachable = {
  readonly reached: readonly Endpoint[]
  /** What each of the others said. */
  readonly refused: readonly string[]
}

/** Connects to all at once and hangs up again. */
export const findReachable = async (
  endpoints: readonly Endpoint[],
  timeoutMs: number,
  clock: Clock,
): Promise<Reachable> => {
  const dialer = new Dialer(clock)
  const results = await Promise.all(
    endpoints.map(async ({ address, port }): Promise<Endpoint | string> => {
      try {
        await tryConnect(dialer, { address, port, timeoutMs })
        return { address, port }
      } catch (error) {
        const text = messageOf(error)
        return `${formatEndpoint(address, port)}: ${text}`
      }
    }),
  )
  return {
    reached: results.filter((result) => typeof result !== 'string'),
    refused: results.filter((result) => typeof result === 'string'),
  }
}
