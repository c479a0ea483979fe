/** Write times, over the threads of one process. */
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { makeSharedState } from '../../src/proxy/shared-state.ts'
import { WriteClock } from '../../src/session/write-clock.ts'

test('are microseconds of the wall clock, and rise also when it does not', () => {
  const clock = new WriteClock(makeSharedState().writeClock)
  expect([5, 5, 4, 6].map((ms) => clock.next(ms))).toEqual([5000n, 5001n, 5002n, 6000n])
})

test('are given out once only, whoever asks', async () => {
  const { writeClock } = makeSharedState()
  const source = `
    const { workerData, parentPort } = require('node:worker_threads')
    import(workerData.module).then(({ WriteClock }) => {
      const clock = new WriteClock(workerData.writeClock)
      parentPort.postMessage(Array.from({ length: 5000 }, () => clock.next(1)))
    })`
  const module = new URL('../../src/session/write-clock.ts', import.meta.url).href
  const given = await Promise.all(
    [1, 2, 3].map(async () => {
      const worker = new Worker(source, { eval: true, workerData: { module, writeClock } })
      const { promise, resolve, reject } = Promise.withResolvers<bigint[]>()
      worker.once('message', resolve)
      worker.once('error', reject)
      const times = await promise
      await worker.terminate()
      return times
    }),
  )
  for (const times of given) {
    expect(times.every((time, at) => at === 0 || time > times[at - 1]!)).toBe(true)
  }
  expect(new Set(given.flat()).size).toBe(15_000)
})
