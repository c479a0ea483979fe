/** The families of what passes through: bytes on both sides, requests by opcode and, where wanted, by keyspace. */
import { Opcode, opcodeName } from '../cql/protocol.ts'
import { type MetricFamily, readPerCluster, total } from './family.ts'
import type { KeyspaceCount, PlaneSeries } from './plane-series.ts'

const CLUSTER = ['origin', 'target'] as const

const OWN = { isPrefixed: true, isReference: false } as const

/** What clients ask with; whatever else they send counts as `other`. */
const OPCODES: readonly number[] = [
  Opcode.AUTH_RESPONSE,
  Opcode.BATCH,
  Opcode.EXECUTE,
  Opcode.OPTIONS,
  Opcode.PREPARE,
  Opcode.QUERY,
  Opcode.REGISTER,
  Opcode.STARTUP,
]
const OTHER = 'other'

const opcodeLabel = (opcode: number): string =>
  OPCODES.includes(opcode) ? opcodeName(opcode).toLowerCase() : OTHER

const OPCODE_LABELS = [...OPCODES.map(opcodeLabel), OTHER]

const KINDS = [
  ['read', 'reads'],
  ['write', 'writes'],
] as const satisfies readonly (readonly [string, keyof KeyspaceCount])[]

const readTotal =
  (read: (plane: PlaneSeries) => number): MetricFamily['read'] =>
  ({ planes }) => [{ labels: {}, value: total(planes, read) }]

const requestsOf = ({ requestsByOpcode }: PlaneSeries, label: string): number =>
  requestsByOpcode.reduce(
    (sum, count, opcode) => (opcodeLabel(opcode) === label ? sum + count : sum),
    0,
  )

export const TRAFFIC_FAMILIES: readonly MetricFamily[] = [
  {
    ...OWN,
    name: 'client_received_bytes_total',
    type: 'counter',
    labels: {},
    help: 'Bytes that clients have sent, as they came: compressed where clients compress, without what TLS adds.',
    read: readTotal((plane) => plane.clientTraffic.receivedBytes),
  },
  {
    ...OWN,
    name: 'client_sent_bytes_total',
    type: 'counter',
    labels: {},
    help: 'Bytes that were sent to clients.',
    read: readTotal((plane) => plane.clientTraffic.sentBytes),
  },
  {
    ...OWN,
    name: 'upstream_sent_bytes_total',
    type: 'counter',
    labels: { cluster: CLUSTER },
    help: 'Bytes that were sent to the nodes of this cluster, copies of reads for the secondary included; control connections are left out.',
    read: readPerCluster(({ upstreamTraffic: { origin, target } }) => ({
      origin: origin.sentBytes,
      target: target.sentBytes,
    })),
  },
  {
    ...OWN,
    name: 'upstream_received_bytes_total',
    type: 'counter',
    labels: { cluster: CLUSTER },
    help: 'Bytes that the nodes of this cluster have sent, answers to copies of reads included; control connections are left out.',
    read: readPerCluster(({ upstreamTraffic: { origin, target } }) => ({
      origin: origin.receivedBytes,
      target: target.receivedBytes,
    })),
  },
  {
    ...OWN,
    name: 'client_requests_total',
    type: 'counter',
    labels: { opcode: OPCODE_LABELS },
    help: 'Requests of clients by their opcode, those of handshakes and those that the proxy answers itself or refuses included.',
    read: ({ planes }) =>
      OPCODE_LABELS.map((opcode) => ({
        labels: { opcode },
        value: total(planes, (plane) => requestsOf(plane, opcode)),
      })),
  },
  {
    ...OWN,
    name: 'keyspace_requests_total',
    type: 'counter',
    labels: {
      keyspace:
        'as the statement names it, else that of its session; empty outside of any, and after 100 of one thread the rest is `other`',
      kind: KINDS.map(([label]) => label),
    },
    help: 'With metrics_keyspaces: QUERY, EXECUTE and BATCH that were sent on, as reads and writes in proxy_request_duration_seconds; a BATCH counts where its first statement does. A keyspace has series from its first request on.',
    read: ({ planes }) => {
      const byKeyspace = Map.groupBy(
        planes.flatMap(({ keyspaceRequests }) => keyspaceRequests),
        ({ keyspace }) => keyspace,
      )
      return [...byKeyspace]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .flatMap(([keyspace, all]) =>
          KINDS.map(([kind, key]) => ({
            labels: { keyspace, kind },
            value: all.reduce((sum, counts) => sum + counts[key], 0),
          })),
        )
    },
  },
]
