import { describe, expect, test } from 'vitest'
import { proxyEnvironment } from '../../demo/proxy-process.ts'

const PLAN = {
  origin: { address: '127.0.0.7', port: 9042 },
  target: { address: '127.0.0.8', port: 9043 },
  place: { addresses: ['127.0.1.1', '127.0.1.2'], port: 4001, httpPort: 4002, adminPort: 4003 },
  index: 1,
  directory: '/tmp/demo',
}

describe("a proxy's environment", () => {
  test('names both clusters, the other proxies and the free ports', () => {
    expect(proxyEnvironment({}, PLAN)).toMatchObject({
      ZDM_ORIGIN_CONTACT_POINTS: '127.0.0.7',
      ZDM_ORIGIN_PORT: '9042',
      ZDM_TARGET_CONTACT_POINTS: '127.0.0.8',
      ZDM_TARGET_PORT: '9043',
      ZDM_PROXY_TOPOLOGY_ADDRESSES: '127.0.1.1,127.0.1.2',
      ZDM_PROXY_TOPOLOGY_INDEX: '1',
      ZDM_PROXY_LISTEN_ADDRESS: '127.0.1.2',
      ZDM_PROXY_LISTEN_PORT: '4001',
      ZDM_METRICS_ADDRESS: '127.0.1.2',
      ZDM_METRICS_PORT: '4002',
      ZDM_ADMIN_ADDRESS: '127.0.1.2',
      ZDM_ADMIN_PORT: '4003',
    })
  })

  test('gives each a state file of its own', () => {
    const [first, second] = [0, 1].map((index) => proxyEnvironment({}, { ...PLAN, index }))
    expect(first!['ZDM_ROUTING_STATE_PATH']).not.toBe(second!['ZDM_ROUTING_STATE_PATH'])
  })

  test('sets the credentials, which the environment must have, to nothing', () => {
    const names = ['ORIGIN_USERNAME', 'ORIGIN_PASSWORD', 'TARGET_USERNAME', 'TARGET_PASSWORD']
    const environment = proxyEnvironment({ ZDM_ORIGIN_USERNAME: 'me' }, PLAN)
    for (const name of names) expect(environment[`ZDM_${name}`]).toBe('')
  })

  test('takes over the rest, but no setting of the proxy', () => {
    const environment = proxyEnvironment({ PATH: '/bin', ZDM_PRIMARY_CLUSTER: 'TARGET' }, PLAN)
    expect(environment['PATH']).toBe('/bin')
    expect(environment).not.toHaveProperty('ZDM_PRIMARY_CLUSTER')
  })
})
