/**
 * Looking at all instances of a deployment at once. Where going back must not wait, an instance that is slow
 * is left for later: it counts as not answering, and what it says in the end is kept.
 */
import type { Clock } from '../clock.ts'
import { messageOf } from '../message-of.ts'
import type { InstanceClient } from './coordinate.ts'
import type { Seen } from './deployment.ts'

/** A promise, or what stands for it where it has not come within a time; `late` is the promise then. */
export type InTime<T> = { readonly value: T; readonly late: Promise<T> | null }

export type Work<T> = {
  /** Must not reject. */
  readonly work: Promise<T>
  /** What stands for it. */
  otherwise(): T
}

const inTime = async <T>(
  { work, otherwise }: Work<T>,
  deadlineMs: number,
  clock: Clock,
): Promise<InTime<T>> => {
  const { promise: deadline, resolve } = Promise.withResolvers<InTime<T>>()
  const timer = clock.setTimeout(() => resolve({ value: otherwise(), late: work }), deadlineMs)
  try {
    return await Promise.race([work.then((value) => ({ value, late: null })), deadline])
  } finally {
    clock.clearTimeout(timer)
  }
}

/** All as far as they have come within `deadlineMs`; as they come in the end where it is null, or none is good then. */
export const allInTime = async <T>(
  all: readonly Work<T>[],
  isGood: (value: T) => boolean,
  deadlineMs: number | null,
  clock: Clock,
): Promise<readonly InTime<T>[]> => {
  if (deadlineMs !== null) {
    const inTimes = await Promise.all(all.map((one) => inTime(one, deadlineMs, clock)))
    if (inTimes.some(({ value }) => isGood(value))) return inTimes
  }
  const values = await Promise.all(all.map(({ work }) => work))
  return values.map((value) => ({ value, late: null }))
}

const unseen = (name: string, error: string): Seen => ({ name, status: null, error, config: null })

const look = async (client: InstanceClient): Promise<Seen> => {
  const { name } = client
  try {
    const [status, config] = await Promise.all([client.status(), client.config()])
    return { name, status, error: null, config }
  } catch (error) {
    return unseen(name, messageOf(error))
  }
}

export const lookAtAll = (clients: readonly InstanceClient[]): Promise<readonly Seen[]> =>
  Promise.all(clients.map(look))

/** As each is within `deadlineMs`; null: as long as it takes. */
export const lookInTime = (
  clients: readonly InstanceClient[],
  deadlineMs: number | null,
  clock: Clock,
): Promise<readonly InTime<Seen>[]> => {
  const looks = clients.map((client) => ({
    work: look(client),
    otherwise: () => unseen(client.name, `no answer within ${deadlineMs} ms, so far`),
  }))
  return allInTime(looks, ({ status }) => status !== null, deadlineMs, clock)
}
