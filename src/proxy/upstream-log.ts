/** The log lines of a data plane's connections to nodes: opened, closed, lost, not to be had. */
import type { Logger } from '../log.ts'
import { messageOf } from '../message-of.ts'
import { plural } from '../plural.ts'
import { type Cluster, clusterLabel, clusterName } from '../routing/cluster.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'

export class UpstreamLog {
  readonly #log: Logger

  constructor(log: Logger) {
    this.#log = log
  }

  opened(cluster: Cluster, node: string): void {
    this.#log.debug(
      { code: 'UPSTREAM_OPENED', cluster: clusterLabel(cluster), node },
      `connection to ${clusterName(cluster)} ${node} opened`,
    )
  }

  /** The proxy itself ended it. */
  closed({ cluster, node }: UpstreamConnection): void {
    this.#log.debug(
      { code: 'UPSTREAM_CLOSED', cluster: clusterLabel(cluster), node },
      `connection to ${clusterName(cluster)} ${node} closed`,
    )
  }

  /** `requests`: how many were in flight. */
  lost({ cluster, node }: UpstreamConnection, requests: number, cause: Error | null): void {
    this.#log.limited(
      `lost ${node}`,
      'warn',
      { code: 'UPSTREAM_LOST', cluster: clusterLabel(cluster), node },
      `connection to ${clusterName(cluster)} ${node} lost with ${plural(requests, 'request')} in flight: ${cause?.message ?? 'closed by the node'}`,
    )
  }

  reconnectFailed(cluster: Cluster, node: string, error: unknown): void {
    const text = messageOf(error)
    this.#log.limited(
      `reconnect ${node}`,
      'warn',
      { code: 'UPSTREAM_CONNECT_FAILED', cluster: clusterLabel(cluster), node },
      text,
    )
  }
}
