import { expect, test } from 'vitest'
import { UpstreamWaiters } from '../../src/session/upstream-waiters.ts'

const full = () => ({ isCongested: true })

test('who waits for both clusters is woken by each, and waits until the second', () => {
  const waiters = new UpstreamWaiters()
  const [origin, target, other] = [full(), full(), full()]
  const waitsAfter: boolean[] = []
  const session = { onUpstreamWritable: () => void waitsAfter.push(waiters.has(session)) }
  waiters.add(session, origin)
  waiters.add(session, target)
  waiters.wake(other)
  expect(waitsAfter).toEqual([])
  waiters.wake(origin)
  waiters.wake(origin)
  waiters.wake(target)
  expect(waitsAfter).toEqual([true, false])
})

test('a session that is closed is forgotten; who waits for the same connection is not', () => {
  const waiters = new UpstreamWaiters()
  const [origin, target] = [full(), full()]
  const woken: string[] = []
  const [closed, other] = ['closed', 'other'].map((name) => ({
    onUpstreamWritable: () => void woken.push(name),
  }))
  waiters.add(closed!, origin)
  waiters.add(closed!, target)
  waiters.add(other!, target)
  waiters.remove(closed!)
  expect(waiters.size).toBe(1)
  waiters.wake(target)
  expect(woken).toEqual(['other'])
  expect(waiters.size).toBe(0)
})
