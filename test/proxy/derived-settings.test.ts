import { describe, expect, test } from 'vitest'
import {
  controlPlaneSettings,
  dataPlaneSettings,
  trafficBounds,
} from '../../src/proxy/derived-settings.ts'
import { testSettings } from '../support/instance.ts'

describe('the address that an instance without a list advertises', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['localhost', '127.0.0.1'],
    ['::1', '::1'],
    ['fd00::5', 'fd00::5'],
  ])('listening on %s it is %s', async (proxyListenAddress, expected) => {
    const { topology } = await controlPlaneSettings(testSettings({ proxyListenAddress }))
    expect(topology).toMatchObject({ addresses: null, implicitAddress: expected })
  })
})

test('names in the list of addresses are resolved', async () => {
  const proxyTopologyAddresses = ['localhost', '127.0.0.2']
  const { topology } = await controlPlaneSettings(testSettings({ proxyTopologyAddresses }))
  expect(topology.addresses).toEqual(['127.0.0.1', '127.0.0.2'])
})

test('the map of users is whole where it comes to a thread', () => {
  const credentialsMap = 'unlisted: refuse\nusers:\n  a: { username: b, password: c }'
  const posted = structuredClone(dataPlaneSettings(testSettings({ credentialsMap })).credentialsMap)
  expect(posted).toEqual({
    unlisted: 'refuse',
    users: new Map([['a', { username: 'b', password: 'c' }]]),
  })
  expect(dataPlaneSettings(testSettings()).credentialsMap).toBe(null)
})

test.each([
  [false, [0.001]],
  [true, [0.002]],
])(
  'reads from Target are shown in the buckets that they are counted in: %s',
  (metricsHonourTargetBuckets, readsTarget) => {
    const buckets = { metricsOriginLatencyBucketsMs: [1], metricsTargetLatencyBucketsMs: [2] }
    const settings = testSettings({ ...buckets, metricsHonourTargetBuckets })
    expect(trafficBounds(settings)).toEqual({ origin: [0.001], target: [0.002], readsTarget })
  },
)
