/**
 * The counters of one node as one data plane sees it, and the kinds of errors that they tell apart
 * (operations §3.3).
 */
import { ErrorCode } from '../cql/protocol.ts'
import { LatencyHistogram } from './histogram.ts'
import type { ClusterKey, NodeSeries } from './plane-series.ts'

/** The values of the label `error` (operations §3.3), as indices. */
export const ErrorKind = {
  UNPREPARED: 0,
  READ_TIMEOUT: 1,
  WRITE_TIMEOUT: 2,
  OVERLOADED: 3,
  READ_FAILURE: 4,
  WRITE_FAILURE: 5,
  UNAVAILABLE: 6,
  OTHER: 7,
  CLIENT_TIMEOUT: 8,
} as const
export type ErrorKind = (typeof ErrorKind)[keyof typeof ErrorKind]

/** The label's text, by index. */
export const ERROR_KIND_LABELS = Object.keys(ErrorKind).map((name) => name.toLowerCase())

/** What a CQL error code counts as. */
export const errorKindOf = (errorCode: number): ErrorKind => {
  switch (errorCode) {
    case ErrorCode.UNPREPARED:
      return ErrorKind.UNPREPARED
    case ErrorCode.READ_TIMEOUT:
      return ErrorKind.READ_TIMEOUT
    case ErrorCode.WRITE_TIMEOUT:
      return ErrorKind.WRITE_TIMEOUT
    case ErrorCode.OVERLOADED:
      return ErrorKind.OVERLOADED
    case ErrorCode.READ_FAILURE:
      return ErrorKind.READ_FAILURE
    case ErrorCode.WRITE_FAILURE:
      return ErrorKind.WRITE_FAILURE
    case ErrorCode.UNAVAILABLE:
      return ErrorKind.UNAVAILABLE
    default:
      return ErrorKind.OTHER
  }
}

/** One node of one cluster as one data plane sees it. Connections keep a reference. */
export class NodeMetrics {
  readonly cluster: ClusterKey
  readonly node: string
  readonly requestDurationReads: LatencyHistogram
  readonly requestDurationWrites: LatencyHistogram
  /** Indexed by ErrorKind. */
  readonly failed = new Float64Array(ERROR_KIND_LABELS.length)
  /** Open request connections. */
  connections = 0
  /** Openings that were given up. */
  failedConnections = 0
  usedStreamIds = 0

  constructor(cluster: ClusterKey, node: string, boundsSeconds: readonly number[]) {
    this.cluster = cluster
    this.node = node
    this.requestDurationReads = new LatencyHistogram(boundsSeconds)
    this.requestDurationWrites = new LatencyHistogram(boundsSeconds)
  }

  toSeries(): NodeSeries {
    return {
      cluster: this.cluster,
      node: this.node,
      requestDurationReads: this.requestDurationReads.snapshot(),
      requestDurationWrites: this.requestDurationWrites.snapshot(),
      failed: Array.from(this.failed),
      connections: this.connections,
      failedConnections: this.failedConnections,
      usedStreamIds: this.usedStreamIds,
    }
  }
}
