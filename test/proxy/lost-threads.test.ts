/** A data plane's thread that has died: nobody waits for it. */
import { Worker } from 'node:worker_threads'
import { expect, test, vi } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { createLogger } from '../../src/log.ts'
import { ProxyInstance } from '../../src/proxy/instance.ts'
import { afterTest } from '../support/after-test.ts'
import { settingsFor, startCluster } from '../support/instance.ts'

/** All threads that the main one sends something to. */
const watchThreads = (): ReadonlySet<Worker> => {
  const threads = new Set<Worker>()
  const send = Worker.prototype.postMessage
  const spy = vi.spyOn(Worker.prototype, 'postMessage')
  spy.mockImplementation(function (this: Worker, ...message: Parameters<typeof send>) {
    threads.add(this)
    send.apply(this, message)
  })
  afterTest(() => spy.mockRestore())
  return threads
}

/** Longer than any test: whoever waits for this fails. */
const FOREVER_MS = 3_600_000

const startThreads = async () => {
  const threads = watchThreads()
  const origin = await startCluster({ name: 'origin' })
  const target = await startCluster({ name: 'target' })
  const { promise: death, resolve } = Promise.withResolvers<Error>()
  const settings = settingsFor(origin, target, {
    dataPlaneThreads: 2,
    shutdownTimeoutMs: FOREVER_MS,
  })
  const instance = new ProxyInstance(settings, {
    clock: systemClock,
    log: createLogger({ level: 'fatal', clock: systemClock }),
    logLevel: 'fatal',
    random: () => 0,
    onFault: resolve,
  })
  const stop = (): Promise<void> => instance.stop(AbortSignal.abort())
  afterTest(stop)
  await instance.start()
  return { instance, threads: [...threads], death }
}

test('an instance whose thread has died stops as soon as the others have nobody left', async () => {
  const { instance, threads, death } = await startThreads()
  const before = await instance.series()
  await threads[0]!.terminate()
  expect((await death).message).toContain('a data plane thread ended')
  // What the dead one has counted is not lost to the last scrape.
  expect(await instance.series()).toHaveLength(before!.length)
  await instance.stop(new AbortController().signal)
  expect(instance.phase).toBe('stopped')
})

test('so does one whose thread dies while it stops', async () => {
  const { instance, threads } = await startThreads()
  const stopped = instance.stop(new AbortController().signal)
  await threads[0]!.terminate()
  await stopped
  expect(instance.phase).toBe('stopped')
})
