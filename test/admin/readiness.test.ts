import { describe, expect, test } from 'vitest'
import { isReady, readinessOf, renderReadiness } from '../../src/admin/readiness.ts'
import { Cluster } from '../../src/routing/cluster.ts'

const ORIGIN = { endpoint: '10.0.0.1:9042', failures: 0 }
const TARGET = { endpoint: '10.0.0.2:9042', failures: 0 }
const failing = (failures: number): typeof ORIGIN => ({ ...ORIGIN, failures })

const body = (...arguments_: Parameters<typeof readinessOf>): string =>
  renderReadiness(readinessOf(...arguments_))

describe('the body of readiness', () => {
  test.each([
    {
      moment: 'starting',
      actual: body('starting', null, null, 1),
      expected: '{"OriginStatus":null,"TargetStatus":null,"Status":"STARTUP"}',
    },
    {
      moment: 'running, both healthy',
      actual: body('running', ORIGIN, TARGET, 1),
      expected:
        '{"OriginStatus":{"Addr":"10.0.0.1:9042","CurrentFailureCount":0,"FailureCountThreshold":1,"Status":"UP"},"TargetStatus":{"Addr":"10.0.0.2:9042","CurrentFailureCount":0,"FailureCountThreshold":1,"Status":"UP"},"Status":"UP"}',
    },
    {
      moment: 'running, Origin failing, Target never connected',
      actual: body('running', failing(5), { endpoint: null, failures: 0 }, 3),
      expected:
        '{"OriginStatus":{"Addr":"10.0.0.1:9042","CurrentFailureCount":5,"FailureCountThreshold":3,"Status":"DOWN"},"TargetStatus":{"Addr":"NOT_CONNECTED","CurrentFailureCount":0,"FailureCountThreshold":3,"Status":"UP"},"Status":"DOWN"}',
    },
    {
      moment: 'draining',
      actual: body('draining', ORIGIN, TARGET, 1),
      expected:
        '{"OriginStatus":{"Addr":"10.0.0.1:9042","CurrentFailureCount":0,"FailureCountThreshold":1,"Status":"UP"},"TargetStatus":{"Addr":"10.0.0.2:9042","CurrentFailureCount":0,"FailureCountThreshold":1,"Status":"UP"},"Status":"DRAINING"}',
    },
    {
      moment: 'told to stop while starting',
      actual: body('draining', null, null, 1),
      expected: '{"OriginStatus":null,"TargetStatus":null,"Status":"DRAINING"}',
    },
    {
      moment: 'stopped',
      actual: body('stopped', ORIGIN, TARGET, 1),
      expected: '{"OriginStatus":null,"TargetStatus":null,"Status":"STARTUP"}',
    },
  ])('$moment', ({ actual, expected }) => {
    expect(actual).toBe(expected)
  })

  test('has its keys in order, however the object was made', () => {
    const cluster = {
      Status: 'UP',
      FailureCountThreshold: 2,
      CurrentFailureCount: 1,
      Addr: 'a',
    } as const
    const rendered = '{"Addr":"a","CurrentFailureCount":1,"FailureCountThreshold":2,"Status":"UP"}'
    expect(renderReadiness({ Status: 'UP', TargetStatus: cluster, OriginStatus: cluster })).toBe(
      `{"OriginStatus":${rendered},"TargetStatus":${rendered},"Status":"UP"}`,
    )
  })
})

describe('the status', () => {
  test.each([
    { origin: 0, target: 0, threshold: 1, expected: 'UP' },
    { origin: 1, target: 0, threshold: 1, expected: 'DOWN' },
    { origin: 0, target: 1, threshold: 1, expected: 'DOWN' },
    { origin: 1, target: 1, threshold: 1, expected: 'DOWN' },
    { origin: 2, target: 2, threshold: 3, expected: 'UP' },
    { origin: 3, target: 2, threshold: 3, expected: 'DOWN' },
    { origin: 2, target: 9, threshold: 3, expected: 'DOWN' },
  ])('with $origin and $target failures of $threshold is $expected', (given) => {
    const { origin, target, threshold, expected } = given
    const readiness = readinessOf('running', failing(origin), failing(target), threshold)
    expect(readiness.Status).toBe(expected)
    expect(isReady(readiness)).toBe(expected === 'UP')
  })

  const [ORIGIN_ONLY, TARGET_ONLY] = [Cluster.ORIGIN, Cluster.TARGET]
  test.each([
    { origin: 0, target: 9, needed: ORIGIN_ONLY, expected: 'UP' },
    { origin: 9, target: 0, needed: ORIGIN_ONLY, expected: 'DOWN' },
    { origin: 0, target: 9, needed: TARGET_ONLY, expected: 'DOWN' },
    { origin: 9, target: 0, needed: TARGET_ONLY, expected: 'UP' },
    { origin: 9, target: 0, needed: null, expected: 'DOWN' },
  ])('with $origin and $target failures, cluster $needed needed, is $expected', (given) => {
    const { origin, target, needed, expected } = given
    const readiness = readinessOf('running', failing(origin), failing(target), 1, needed)
    expect(readiness.Status).toBe(expected)
    expect(readiness.TargetStatus!.Status).toBe(target === 0 ? 'UP' : 'DOWN')
  })

  test.each([
    ['starting', false],
    ['running', true],
    ['draining', false],
    ['stopped', false],
  ] as const)('%s with both clusters healthy: ready is %s', (phase, expected) => {
    expect(isReady(readinessOf(phase, ORIGIN, TARGET, 1))).toBe(expected)
  })
})
