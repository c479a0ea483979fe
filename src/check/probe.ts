/**
 * One connection to one node for the checks: calls and nothing else, each bounded by a time-out. Which
 * calls are made, and what their answers mean, is cluster-check.ts.
 */
import type { Clock } from '../clock.ts'
import type { Version } from '../cql/protocol.ts'
import { versionTraits } from '../cql/protocol.ts'
import { NodeMetrics } from '../metrics/node-metrics.ts'
import { Dialer, formatEndpoint } from '../net/dialer.ts'
import { Flusher } from '../net/output.ts'
import type { UpstreamTls } from '../net/tls.ts'
import { type Cluster, clusterLabel } from '../routing/cluster.ts'
import { Turn } from '../turn.ts'
import { type Endpoint, UpstreamConnection, type UpstreamListener } from '../upstream/connection.ts'

const SWEEP_INTERVAL_MS = 100
const STREAM_IDS_MAX = 16

/** A probe is asked by calls alone: nothing comes that somebody would listen to. */
const DEAF: UpstreamListener = {
  onAnswer: () => {},
  onEvent: () => {},
  onLateAnswer: () => {},
  onWritable: () => {},
  onLost: () => {},
}

export type ProbeTarget = {
  readonly cluster: Cluster
  readonly endpoint: Endpoint
  readonly tls: UpstreamTls | null
  readonly version: Version
  readonly connectTimeoutMs: number
  readonly callTimeoutMs: number
  /** Aborted: the connection is closed, and what waits for it rejects. */
  readonly signal: AbortSignal
}

/** Opens a connection, lets `use` work with it, and closes it. Rejects with a ClusterError. */
export const withProbe = async <T>(
  target: ProbeTarget,
  clock: Clock,
  use: (connection: UpstreamConnection) => Promise<T>,
): Promise<T> => {
  const { cluster, endpoint, connectTimeoutMs, callTimeoutMs, signal } = target
  const turn = new Turn(clock)
  const connection = await UpstreamConnection.open(
    {
      cluster,
      endpoint,
      node: formatEndpoint(endpoint.address, endpoint.port),
      traits: versionTraits(target.version)!,
      metrics: new NodeMetrics(clusterLabel(cluster), 'check', []),
      streamIdsMax: STREAM_IDS_MAX,
      connectTimeoutMs,
      callTimeoutMs: () => callTimeoutMs,
    },
    {
      dialer: new Dialer(clock),
      flusher: new Flusher((flush) => setImmediate(flush)),
      turn,
      tls: target.tls,
    },
    DEAF,
    signal,
  )
  const onAbort = (): void => connection.fail(new Error('the check has taken too long'))
  signal.addEventListener('abort', onAbort)
  const timer = clock.setInterval(() => connection.sweep(turn.begin()), SWEEP_INTERVAL_MS)
  try {
    signal.throwIfAborted()
    return await use(connection)
  } finally {
    clock.clearInterval(timer)
    signal.removeEventListener('abort', onAbort)
    connection.destroy()
  }
}
