/** The families of the control connections: whether the proxy hears from a cluster, and how old its knowledge is. */
import type { ControlConnectionSeries } from './control-connection-series.ts'
import type { MetricFamily } from './family.ts'

const CLUSTER = ['origin', 'target'] as const

const OWN = { isPrefixed: true, isReference: false, labels: { cluster: CLUSTER } } as const

const of =
  (read: (connection: ControlConnectionSeries) => number): MetricFamily['read'] =>
  ({ controlConnections }) =>
    controlConnections.map((connection) => ({
      labels: { cluster: connection.cluster },
      value: read(connection),
    }))

export const CONTROL_CONNECTION_FAMILIES: readonly MetricFamily[] = [
  {
    ...OWN,
    name: 'control_connection_up',
    type: 'gauge',
    help: 'Whether the control connection to the cluster is open (1, else 0).',
    read: of(({ isUp }) => (isUp ? 1 : 0)),
  },
  {
    ...OWN,
    name: 'control_connection_losses_total',
    type: 'counter',
    help: 'Control connections that ended, or were given up because a heartbeat or a refresh failed.',
    read: of(({ losses }) => losses),
  },
  {
    ...OWN,
    name: 'control_connection_reopenings_total',
    type: 'counter',
    labels: { cluster: CLUSTER, result: ['failed', 'succeeded'] },
    help: 'Attempts to open a lost control connection again, each through all known nodes and contact points.',
    read: ({ controlConnections }) =>
      controlConnections.flatMap(({ cluster, reopenings }) =>
        (['failed', 'succeeded'] as const).map((result) => ({
          labels: { cluster, result },
          value: reopenings[result],
        })),
      ),
  },
  {
    ...OWN,
    name: 'control_connection_last_answer_timestamp_seconds',
    type: 'gauge',
    help: 'When the cluster has last answered an opening or a heartbeat, in seconds since 1970.',
    read: of(({ heardAtSeconds }) => heardAtSeconds),
  },
  {
    ...OWN,
    name: 'topology_last_refresh_timestamp_seconds',
    type: 'gauge',
    help: "When the cluster's system tables were last read, in seconds since 1970.",
    read: of(({ refreshedAtSeconds }) => refreshedAtSeconds),
  },
]
