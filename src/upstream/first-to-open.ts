/**
 * The first of several nodes that can be reached: they are tried in order, but a node that says
 * nothing holds up the next one for a moment only, not for its whole connection time-out
 * (architecture §2.3). Knows nothing of connections.
 */
import type { Clock, Timer } from '../clock.ts'

/** How long a node may keep silent before the next one is tried beside it. */
export const NEXT_NODE_AFTER_MS = 250

export type FirstToOpenOptions<T> = {
  readonly clock: Clock
  /** An error that another node would give as well: it ends the search. */
  isFinal(error: unknown): boolean
  /** What came too late; it has lost to another node. */
  discard(late: T): void
}

/**
 * Resolves with what `open` first resolves with; rejects with a final error, else with the last one
 * when all candidates have failed. There must be at least one candidate.
 */
export const firstToOpen = <C, T>(
  candidates: readonly C[],
  open: (candidate: C) => Promise<T>,
  options: FirstToOpenOptions<T>,
): Promise<T> =>
  new Promise((resolve, reject) => {
    const { clock } = options
    let next = 0
    let underWay = 0
    let isSettled = false
    let timer: Timer | null = null
    const settle = (): void => {
      isSettled = true
      clock.clearTimeout(timer)
    }
    const onOpen = (opened: T): void => {
      underWay--
      if (isSettled) {
        options.discard(opened)
        return
      }
      settle()
      resolve(opened)
    }
    const onFailed = (error: unknown): void => {
      underWay--
      if (isSettled) return
      const isLast = next === candidates.length && underWay === 0
      if (isLast || options.isFinal(error)) {
        settle()
        reject(error)
      } else tryNext()
    }
    const tryNext = (): void => {
      clock.clearTimeout(timer)
      if (next === candidates.length) return
      const candidate = candidates[next]!
      next++
      underWay++
      if (next < candidates.length) timer = clock.setTimeout(tryNext, NEXT_NODE_AFTER_MS)
      open(candidate).then(onOpen, onFailed)
    }
    tryNext()
  })
