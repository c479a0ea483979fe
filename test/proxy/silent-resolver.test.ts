/** A resolver that never answers: it does not hold up a stop. */
import { expect, test, vi } from 'vitest'
import { createInstance, testSettings } from '../support/instance.ts'

const hung = vi.hoisted(() => ({ astra: false }))
vi.mock('../../src/net/resolve.ts', () => ({ systemResolve: () => new Promise(() => undefined) }))
vi.mock('../../src/reach/tls-legs.ts', async (original) => {
  const legs = await original<typeof import('../../src/reach/tls-legs.ts')>()
  const openAstraContacts: typeof legs.openAstraContacts = (...given) =>
    hung.astra ? new Promise(() => undefined) : legs.openAstraContacts(...given)
  return { ...legs, openAstraContacts }
})

test.each([
  ['other instances', { proxyTopologyAddresses: ['a.example', 'b.example'] }],
  ['the address to listen on', { proxyListenAddress: 'a.example' }],
])('a start that asks for names of %s is stopped at once', async (_what, overrides) => {
  const { instance, stop, log } = createInstance(testSettings(overrides))
  const started = instance.start()
  await stop()
  expect(await started).toBe(false)
  expect(log.map(({ code }) => code)).toEqual(['SHUTDOWN_COMPLETE'])
})

test('a start that does not hear of the stop is not waited for by who tells again', async () => {
  hung.astra = true
  const { instance } = createInstance(testSettings())
  void instance.start()
  const force = new AbortController()
  const stopped = instance.stop(force.signal)
  force.abort()
  await stopped
  expect(instance.phase).toBe('stopped')
})
