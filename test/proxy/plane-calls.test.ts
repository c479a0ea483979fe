import { beforeEach, describe, expect, test } from 'vitest'
import { PlaneCalls } from '../../src/proxy/plane-calls.ts'
import type { ToPlane } from '../../src/proxy/plane-messages.ts'
import { FakeClock } from '../support/fake-clock.ts'

let clock: FakeClock
let posted: ToPlane[]
let calls: PlaneCalls

beforeEach(() => {
  clock = new FakeClock()
  posted = []
  calls = new PlaneCalls(3, (message) => posted.push(message), clock)
})

const DRAINED = { kind: 'done', call: 0, result: { name: 'drain', announceMs: 0 } } as const

describe('a call to a thread', () => {
  test('is answered, and leaves no timer', async () => {
    const called = calls.call({ name: 'drain', announceMs: 0 }, 2000)
    expect(posted).toEqual([{ kind: 'call', call: 0, what: { name: 'drain', announceMs: 0 } }])
    calls.onAnswer(DRAINED)
    expect(await called).toEqual({ name: 'drain', announceMs: 0 })
    expect(clock.pendingTimers).toBe(0)
  })

  test('that is not answered in time says which thread is stuck, until it answers', async () => {
    const called = calls.call({ name: 'series' }, 2000)
    clock.advance(2000)
    await expect(called).rejects.toThrow(
      'data plane thread 3 has not answered within 2000 ms (series): it is stuck',
    )
    expect(calls.isStuck).toBe(true)
    calls.onAnswer(DRAINED)
    expect(calls.isStuck).toBe(false)
  })

  test('may take as long as it takes', async () => {
    const called = calls.call({ name: 'drain', announceMs: 0 }, null)
    clock.advance(1e9)
    calls.onAnswer(DRAINED)
    expect(await called).toEqual({ name: 'drain', announceMs: 0 })
  })

  test('ends with the thread', async () => {
    const called = calls.call({ name: 'drain', announceMs: 0 }, null)
    calls.fail(new Error('out of memory'))
    await expect(called).rejects.toThrow('out of memory')
    expect(calls.hasEnded).toBe(true)
  })

  test('is refused at once after its end', async () => {
    calls.fail(new Error('out of memory'))
    const called = calls.call({ name: 'drain', announceMs: 0 }, null)
    await expect(called).rejects.toThrow('out of memory')
    expect(posted).toEqual([])
    expect(clock.pendingTimers).toBe(0)
  })
})
