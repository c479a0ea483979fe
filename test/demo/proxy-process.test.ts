import { describe, expect, test } from 'vitest'
import { proxyEnvironment } from '../../demo/proxy-process.ts'

const PLAN = {
  origin: { address: '127.0.0.7', port: 9042 },
  target: { address: '127.0.0.8', port: 9043 },
  port: 4001,
  httpPort: 4002,
}

describe("the proxy's environment", () => {
  test('names both clusters and the free ports', () => {
    expect(proxyEnvironment({}, PLAN)).toMatchObject({
      ZDM_ORIGIN_CONTACT_POINTS: '127.0.0.7',
      ZDM_ORIGIN_PORT: '9042',
      ZDM_TARGET_CONTACT_POINTS: '127.0.0.8',
      ZDM_TARGET_PORT: '9043',
      ZDM_PROXY_LISTEN_ADDRESS: '127.0.0.1',
      ZDM_PROXY_LISTEN_PORT: '4001',
      ZDM_METRICS_ADDRESS: '127.0.0.1',
      ZDM_METRICS_PORT: '4002',
    })
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
