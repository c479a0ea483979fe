/** A data plane's thread that has died, or hangs: nobody waits for it, and it is told. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { expect, test, vi } from 'vitest'
import { type Clock, systemClock } from '../../src/clock.ts'
import { createLogger } from '../../src/log.ts'
import { ProxyInstance } from '../../src/proxy/instance.ts'
import { readinessDetailsNow } from '../../src/proxy/readiness-view.ts'
import { afterTest } from '../support/after-test.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { settingsFor, startCluster } from '../support/instance.ts'

/** All threads that the main one sends something to, and those that nothing gets through to any more. */
type Watched = { readonly threads: ReadonlySet<Worker>; readonly hung: Set<Worker> }

const watchThreads = (): Watched => {
  const threads = new Set<Worker>()
  const hung = new Set<Worker>()
  const send = Worker.prototype.postMessage
  const spy = vi.spyOn(Worker.prototype, 'postMessage')
  spy.mockImplementation(function (this: Worker, ...message: Parameters<typeof send>) {
    threads.add(this)
    if (!hung.has(this)) send.apply(this, message)
  })
  afterTest(() => spy.mockRestore())
  return { threads, hung }
}

/** Threads take seconds to start where many tests run at once. */
const TIMEOUT_MS = 60_000
/** Longer than any test: whoever waits for this fails. */
const FOREVER_MS = 3_600_000

const startThreads = async (clock: Clock = systemClock) => {
  const { threads, hung } = watchThreads()
  const origin = await startCluster({ name: 'origin' })
  const target = await startCluster({ name: 'target' })
  const { promise: death, resolve } = Promise.withResolvers<Error>()
  const settings = settingsFor(origin, target, {
    dataPlaneThreads: 2,
    shutdownTimeoutMs: FOREVER_MS,
  })
  const instance = new ProxyInstance(settings, {
    clock,
    log: createLogger({ level: 'fatal', clock }),
    logLevel: 'fatal',
    random: () => 0,
    onFault: resolve,
  })
  const stop = (): Promise<void> => instance.stop(AbortSignal.abort())
  afterTest(stop)
  await instance.start()
  return { instance, threads: [...threads], hung, death }
}

test('an instance whose thread has died stops as soon as the others have nobody left', {
  timeout: TIMEOUT_MS,
}, async () => {
  const { instance, threads, death } = await startThreads()
  const before = await instance.series()
  await threads[0]!.terminate()
  expect((await death).message).toContain('a data plane thread ended')
  // What the dead one has counted is not lost to the last scrape.
  expect(await instance.series()).toHaveLength(before!.length)
  await instance.stop(new AbortController().signal)
  expect(instance.phase).toBe('stopped')
})

test('so does one whose thread dies while it stops', { timeout: TIMEOUT_MS }, async () => {
  const { instance, threads } = await startThreads()
  const stopped = instance.stop(new AbortController().signal)
  await threads[0]!.terminate()
  await stopped
  expect(instance.phase).toBe('stopped')
})

test('a thread that hangs is counted, and shown as it was', { timeout: TIMEOUT_MS }, async () => {
  const clock = new FakeClock()
  const { instance, threads, hung } = await startThreads(clock)
  const before = await instance.series()
  expect(instance.stuckThreads).toBe(0)
  hung.add(threads[0]!)
  afterTest(() => hung.clear())
  const answer = once(threads[1]!, 'message')
  const asked = instance.series()
  await answer
  clock.advance(2000)
  expect(await asked).toHaveLength(before!.length)
  expect(instance.stuckThreads).toBe(1)
  expect(readinessDetailsNow(instance, clock).Degraded).toContain(
    'A thread does not answer; its clients wait.',
  )
})
