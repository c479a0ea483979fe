import { expect, test, vi } from 'vitest'
import { Authority, Files } from '../support/certificates.ts'
import { createInstance, settingsFor, startCluster } from '../support/instance.ts'
import { eventually } from '../support/plane.ts'

// Certificates and waits between attempts.
vi.setConfig({ testTimeout: 30_000 })

test('a certificate that expires soon is warned of once, however often the start is tried', async () => {
  const authority = await Authority.create('Clients')
  const files = new Files()
  const soon = await authority.issue('listener', { usage: 'server', days: 5 })
  await files.writePair('listener', soon)
  const origin = await startCluster({ name: 'origin' })
  const target = await startCluster({ name: 'target' })
  const settings = settingsFor(origin, target, {
    proxyTlsCertPath: files.path('listener.crt'),
    proxyTlsKeyPath: files.path('listener.key'),
  })
  await target.stop()
  const { instance, log } = createInstance(settings)
  void instance.start()
  const times = (code: string): number => log.filter((line) => line.code === code).length
  await eventually(() => (instance.startTrouble?.attempts ?? 0) > 2)
  expect(times('CERTIFICATE_EXPIRES_SOON')).toBe(1)
})
