import { describe, expect, test } from 'vitest'
import { messageOf } from '../../src/message-of.ts'
import { firstToOpen, NEXT_NODE_AFTER_MS } from '../../src/upstream/first-to-open.ts'
import { FakeClock } from '../support/fake-clock.ts'

/** A search over candidates whose openings the test settles by hand. */
const search = (names: readonly string[]) => {
  const clock = new FakeClock()
  const called: string[] = []
  const discarded: string[] = []
  const openings = new Map<string, PromiseWithResolvers<string>>()
  const result = firstToOpen(
    names,
    (name) => {
      called.push(name)
      const opening = Promise.withResolvers<string>()
      openings.set(name, opening)
      return opening.promise
    },
    {
      clock,
      isFinal: (error) => error instanceof Error && error.message === 'final',
      discard: (late) => discarded.push(late),
    },
  )
  const settled = result.then(
    (value) => `opened ${value}`,
    (error: unknown) => `rejected: ${messageOf(error)}`,
  )
  const act = async (name: string, error?: string): Promise<void> => {
    if (error === undefined) openings.get(name)!.resolve(name)
    else openings.get(name)!.reject(new Error(error))
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { clock, called, discarded, act, settled }
}

describe('the search for a first connection', () => {
  test('calls nobody else when the first answers in time', async () => {
    const { clock, called, act, settled } = search(['a', 'b'])
    clock.advance(NEXT_NODE_AFTER_MS - 1)
    await act('a')
    expect(await settled).toBe('opened a')
    expect(called).toEqual(['a'])
    expect(clock.pendingTimers).toBe(0)
  })

  test('goes on at once when one fails', async () => {
    const { clock, called, act, settled } = search(['a', 'b', 'c'])
    await act('a', 'down')
    expect(called).toEqual(['a', 'b'])
    await act('b', 'down')
    await act('c')
    expect(await settled).toBe('opened c')
    expect(clock.pendingTimers).toBe(0)
  })

  test('goes on after a while when one says nothing, and takes whoever is first', async () => {
    const { clock, called, discarded, act, settled } = search(['a', 'b', 'c'])
    clock.advance(NEXT_NODE_AFTER_MS)
    expect(called).toEqual(['a', 'b'])
    clock.advance(NEXT_NODE_AFTER_MS)
    expect(called).toEqual(['a', 'b', 'c'])
    await act('b')
    expect(await settled).toBe('opened b')
    await act('c')
    await act('a', 'too late')
    expect(discarded).toEqual(['c'])
    expect(clock.pendingTimers).toBe(0)
  })

  test('gives each node its own while: a failure starts it anew', async () => {
    const { clock, called, act } = search(['a', 'b', 'c'])
    clock.advance(NEXT_NODE_AFTER_MS - 1)
    await act('a', 'down')
    clock.advance(NEXT_NODE_AFTER_MS - 1)
    expect(called).toEqual(['a', 'b'])
    clock.advance(1)
    expect(called).toEqual(['a', 'b', 'c'])
  })

  test('waits for the silent ones before it fails, with the last error', async () => {
    const { clock, act, settled } = search(['a', 'b'])
    clock.advance(NEXT_NODE_AFTER_MS)
    await act('b', 'b is down')
    await act('a', 'a is down')
    expect(await settled).toBe('rejected: a is down')
    expect(clock.pendingTimers).toBe(0)
  })

  test('still takes a silent one when all others have failed', async () => {
    const { clock, act, settled } = search(['a', 'b'])
    clock.advance(NEXT_NODE_AFTER_MS)
    await act('b', 'down')
    await act('a')
    expect(await settled).toBe('opened a')
  })

  test('ends with a final error, and calls nobody after it', async () => {
    const { clock, called, discarded, act, settled } = search(['a', 'b', 'c'])
    clock.advance(NEXT_NODE_AFTER_MS)
    await act('b', 'final')
    expect(await settled).toBe('rejected: final')
    expect(clock.pendingTimers).toBe(0)
    await act('a')
    expect(discarded).toEqual(['a'])
    expect(called).toEqual(['a', 'b'])
  })
})
