/** What an operator hears of clients that are refused, and how loudly (operations §9). */
import { describe, expect, test } from 'vitest'
import { createLogger } from '../../src/log.ts'
import { DataPlaneMetrics } from '../../src/metrics/data-plane-metrics.ts'
import { ClientFailures } from '../../src/proxy/client-failures.ts'
import { Cluster } from '../../src/routing/cluster.ts'
import { ClusterError, ClusterErrorCode } from '../../src/upstream/errors.ts'
import { FakeClock } from '../support/fake-clock.ts'
import type { LogLine } from '../support/instance.ts'

const failuresWith = (): {
  failures: ClientFailures
  metrics: DataPlaneMetrics
  lines: LogLine[]
} => {
  const lines: LogLine[] = []
  const sink = { write: (line: string): void => void lines.push(JSON.parse(line)) }
  const log = createLogger({ level: 'trace', clock: new FakeClock(), sink })
  const bounds = { originBoundsSeconds: [1], targetBoundsSeconds: [1], asyncBoundsSeconds: [1] }
  const metrics = new DataPlaneMetrics(bounds)
  return { failures: new ClientFailures(metrics, log), metrics, lines }
}

describe('a handshake that fails', () => {
  test.each([
    ['CONNECT_FAILED', 'error'],
    ['TIMEOUT', 'error'],
    ['UNAVAILABLE', 'error'],
    ['AUTHENTICATION', 'warn'],
    // Drivers try a lower one.
    ['VERSION', 'info'],
  ] as const)('by %s of a cluster is logged at %s', (code, level) => {
    const { failures, lines } = failuresWith()
    failures.handshake('a:1', new ClusterError(ClusterErrorCode[code], Cluster.TARGET, 'no'))
    expect(lines).toMatchObject([{ level, code: ClusterErrorCode[code] }])
  })

  test('by the client itself is logged at info', () => {
    const { failures, lines } = failuresWith()
    failures.handshake('a:1', new Error('no CQL_VERSION'))
    expect(lines).toMatchObject([{ level: 'info', code: 'CLIENT_HANDSHAKE_FAILED' }])
  })

  test('because of one cluster does not hide that it fails because of the other', () => {
    const { failures, lines } = failuresWith()
    for (const cluster of [Cluster.ORIGIN, Cluster.TARGET, Cluster.ORIGIN]) {
      failures.handshake('a:1', new ClusterError(ClusterErrorCode.CONNECT_FAILED, cluster, 'no'))
    }
    expect(lines.map(({ cluster }) => cluster)).toEqual(['origin', 'target'])
  })
})

test('two faults of ours that close one client are told both, and counted as one client', () => {
  const { failures, metrics, lines } = failuresWith()
  failures.invariant('a:1', new Error('first'), true)
  failures.invariant('a:1', new Error('second'), false)
  expect(metrics.clientsClosed.internalError).toBe(1)
  expect(lines.map(({ code }) => code)).toEqual(['INTERNAL_ERROR', 'INTERNAL_ERROR'])
})
