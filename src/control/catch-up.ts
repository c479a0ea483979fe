/**
 * What an instance does at its start about the others of its deployment: a change may have been made while it was
 * down, and reads that it routes by an older phase would go to the wrong cluster. It takes over what all that
 * answer agree on, if that is newer; where they differ it stays as it is, because nobody here can tell who is right.
 */
import type { Clock } from '../clock.ts'
import { messageOf } from '../message-of.ts'
import type { InstanceClient } from './coordinate.ts'
import { agree, type Seen, stateKey, statesText, statusesOf } from './deployment.ts'
import type { MigrationState } from './migration-state.ts'

/** Nobody's start may wait longer for instances that are gone. */
export const CATCH_UP_TIMEOUT_MS = 2000
/** A change that is under way is committed or aborted soon. */
const ASK_AGAIN_MS = 100

export type CatchUp =
  /** It is alone, or in the state of all that answer. */
  | { readonly kind: 'current' }
  | { readonly kind: 'adopt'; readonly state: MigrationState; readonly from: string }
  /** None answers. */
  | { readonly kind: 'silent'; readonly text: string }
  /** It stays as it is. */
  | { readonly kind: 'disagree'; readonly text: string }

/** Pure: its own state, and what the others said. */
export const decideCatchUp = (own: MigrationState, others: readonly Seen[]): CatchUp => {
  if (others.length === 0) return { kind: 'current' }
  const all = statusesOf(others)
  const [first] = all
  if (first === undefined) {
    const why = others.map(({ name, error }) => `${name}: ${error}`).join('; ')
    return { kind: 'silent', text: why }
  }
  const theirs = first.state
  if (!agree(others)) return { kind: 'disagree', text: statesText(others) }
  if (theirs.revision > own.revision) {
    return { kind: 'adopt', state: theirs, from: all.map(({ name }) => name).join(', ') }
  }
  // Behind, or at the same revision with something else: a change that reached this instance alone.
  const isSame = theirs.revision === own.revision && stateKey(theirs) === stateKey(own)
  return isSame ? { kind: 'current' } : { kind: 'disagree', text: statesText(others) }
}

const askOne = async (client: InstanceClient, tooLate: Promise<never>): Promise<Seen> => {
  const { name } = client
  try {
    const status = await Promise.race([client.status(), tooLate])
    return { name, status, error: null, config: null }
  } catch (error) {
    return { name, status: null, error: messageOf(error), config: null }
  }
}

/** Asks the others, again while one of them is about to change. Resolves in time whatever they do. */
export const askOthers = async (
  own: MigrationState,
  others: readonly InstanceClient[],
  clock: Clock,
): Promise<CatchUp> => {
  const late = Promise.withResolvers<never>()
  late.promise.catch(() => undefined)
  const deadlineMs = clock.now() + CATCH_UP_TIMEOUT_MS
  const tooLate = new Error(`no answer within ${CATCH_UP_TIMEOUT_MS} ms`)
  const timer = clock.setTimeout(() => late.reject(tooLate), CATCH_UP_TIMEOUT_MS)
  try {
    for (;;) {
      const seen = await Promise.all(others.map((client) => askOne(client, late.promise)))
      const isPending = statusesOf(seen).some(({ pending }) => pending !== null)
      if (!isPending || clock.now() + ASK_AGAIN_MS >= deadlineMs) return decideCatchUp(own, seen)
      await new Promise<void>((resolve) => void clock.setTimeout(resolve, ASK_AGAIN_MS))
    }
  } finally {
    clock.clearTimeout(timer)
  }
}
