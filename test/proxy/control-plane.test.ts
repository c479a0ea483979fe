import { describe, expect, test } from 'vitest'
import { configuredContacts } from '../../src/cluster/contacts.ts'
import type { ControlConnectionSettings } from '../../src/cluster/control-contract.ts'
import { Opcode, Version } from '../../src/cql/protocol.ts'
import { decodeInt, decodeText } from '../../src/cql/values.ts'
import { createLogger } from '../../src/log.ts'
import { ControlPlane, type ControlPlaneSettings } from '../../src/proxy/control-plane.ts'
import type { NodeStatus } from '../../src/proxy/plane-messages.ts'
import { Cluster } from '../../src/routing/cluster.ts'
import type { Snapshot } from '../../src/session/context.ts'
import { ClusterErrorCode } from '../../src/upstream/errors.ts'
import { afterTest } from '../support/after-test.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { passwordAuthenticator } from '../support/fake-cluster/answers.ts'
import { FakeCluster, type FakeClusterOptions } from '../support/fake-cluster/cluster.ts'
import { rowsAnswer } from '../support/fake-cluster/results.ts'
import { closeSocket, drop, respond } from '../support/fake-cluster/script.ts'

const REFRESH_DELAY_MS = 100
/** Per control connection: the sweep and the next heartbeat. */
const IDLE_TIMERS = 4

const eventually = async (isDone: () => boolean): Promise<void> => {
  while (!isDone()) await new Promise((resolve) => setImmediate(resolve))
}

const startCluster = async (options: FakeClusterOptions): Promise<FakeCluster> => {
  const cluster = await FakeCluster.start(options)
  afterTest(() => cluster.stop())
  return cluster
}

type ConnectionOverrides = Partial<ControlConnectionSettings> & {
  readonly contactPoints?: readonly string[]
}

const connectionTo = (
  cluster: Cluster,
  fake: FakeCluster,
  { contactPoints = fake.contactPoints, ...settings }: ConnectionOverrides,
): ControlConnectionSettings => ({
  cluster,
  contacts: configuredContacts(contactPoints, fake.port),
  port: fake.port,
  tls: null,
  localDatacenter: null,
  isStrictDatacenter: false,
  credentials: null,
  connectTimeoutMs: 5_000,
  versionMax: Version.V5,
  heartbeatIntervalMs: 30_000,
  retryDelayMinMs: 100,
  retryDelayMaxMs: 1_000,
  retryFactor: 2,
  ...settings,
})

type Line = { readonly level: string; readonly code: string; readonly cluster: string }

type RigOptions = {
  readonly origin?: Partial<FakeClusterOptions>
  readonly target?: Partial<FakeClusterOptions>
  readonly connection?: ConnectionOverrides
  readonly settings?: Partial<ControlPlaneSettings>
  readonly clientPort?: number
  /** Both sides lead to Origin. */
  readonly isOneCluster?: boolean
}

const startRig = async (options: RigOptions = {}) => {
  const origin = await startCluster({ name: 'origin', ...options.origin })
  const target = await startCluster({ name: 'target', ...options.target })
  const clock = new FakeClock()
  const lines: Line[] = []
  const snapshots: Snapshot[] = []
  const statuses: NodeStatus[] = []
  const schemaChanges: string[] = []
  const sink = { write: (line: string): void => void lines.push(JSON.parse(line)) }
  const control = new ControlPlane(
    {
      connections: [
        connectionTo(Cluster.ORIGIN, origin, options.connection ?? {}),
        connectionTo(
          Cluster.TARGET,
          options.isOneCluster === true ? origin : target,
          options.connection ?? {},
        ),
      ],
      hostAssignment: [true, true],
      localRacks: [null, null],
      topology: { addresses: null, index: 0, numTokens: 8, implicitAddress: '127.0.0.1' },
      blockedVersions: [],
      systemQueries: Cluster.ORIGIN,
      schemaEventsFrom: 'ORIGIN',
      hasPeersV2: true,
      ...options.settings,
    },
    options.clientPort ?? 0,
    {
      onSnapshot: (snapshot) => snapshots.push(snapshot),
      onNodeStatus: (status) => statuses.push(status),
      onSchemaChange: (body) => schemaChanges.push(Buffer.from(body).toString('latin1')),
    },
    { clock, log: createLogger({ level: 'info', clock, sink }), random: () => 0 },
  )
  afterTest(() => control.close())
  return { origin, target, clock, lines, snapshots, statuses, schemaChanges, control }
}

const labels = (snapshot: Snapshot, cluster: Cluster): string[] =>
  snapshot.clusters[cluster].nodes.map(({ label }) => label)

/** A value of the first row of a virtual table. */
const cell = (snapshot: Snapshot, table: string, column: string): Uint8Array | null => {
  const { columns, rows } = snapshot.virtualTables.get(table)!
  const value = rows[0]![columns.findIndex(({ name }) => name === column)]
  if (value === undefined) throw new Error(`no column ${column} in ${table}`)
  return value
}

const push = (cluster: FakeCluster, keyspace = 'ks'): number =>
  cluster.pushEvent({ type: 'SCHEMA_CHANGE', change: 'CREATED', target: 'KEYSPACE', keyspace })

describe('the snapshot', () => {
  test('tells of both clusters', async () => {
    const { control, origin, target } = await startRig({
      origin: { nodes: 2, authenticator: passwordAuthenticator('u', 'p') },
      target: { maxVersion: Version.V4, supported: new Map([['CQL_VERSION', ['3.4.7']]]) },
      connection: { credentials: { username: 'u', password: 'p' } },
    })
    const snapshot = await control.open()
    expect(snapshot.clusters).toMatchObject([
      { requiresAuthentication: true },
      { requiresAuthentication: false },
    ])
    expect(labels(snapshot, Cluster.ORIGIN).sort()).toEqual([
      `127.0.0.1:${origin.port}`,
      `127.0.0.2:${origin.port}`,
    ])
    const [node] = snapshot.clusters[Cluster.TARGET].nodes
    expect(node).toEqual({
      hostId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      label: `127.0.0.1:${target.port}`,
      endpoint: { address: '127.0.0.1', port: target.port },
    })
    expect(snapshot.errorVersion).toBe(Version.V4)
    expect(Object.fromEntries(snapshot.supported)).toEqual({
      CQL_VERSION: ['3.4.6'],
      COMPRESSION: [],
      PROTOCOL_VERSIONS: ['3/v3', '4/v4'],
    })
  })

  test('offers the compressions that both clusters have and the proxy speaks', async () => {
    const { control } = await startRig({
      origin: { compressions: ['zstd', 'snappy', 'lz4'] },
      target: { compressions: ['lz4', 'zstd'] },
    })
    const snapshot = await control.open()
    expect(snapshot.supported.get('COMPRESSION')).toEqual(['lz4'])
  })

  test('offers no version that is blocked, and answers in none', async () => {
    const { control } = await startRig({ settings: { blockedVersions: [Version.V5, Version.V3] } })
    const snapshot = await control.open()
    expect(snapshot.supported.get('PROTOCOL_VERSIONS')).toEqual(['4/v4'])
    expect(snapshot.errorVersion).toBe(Version.V4)
  })

  test.each([
    {
      systemQueries: Cluster.ORIGIN,
      hasPeersV2: true,
      release: '4.1.10',
      tables: ['local', 'peers', 'peers_v2'],
    },
    {
      systemQueries: Cluster.ORIGIN,
      hasPeersV2: false,
      release: '4.1.10',
      tables: ['local', 'peers'],
    },
    {
      systemQueries: Cluster.TARGET,
      hasPeersV2: true,
      release: '3.11.19',
      tables: ['local', 'peers'],
    },
  ])(
    'shows the system tables of cluster $systemQueries, peers_v2 if asked to: $hasPeersV2',
    async ({ systemQueries, hasPeersV2, release, tables }) => {
      const { control } = await startRig({
        target: { releaseVersion: '3.11.19' },
        settings: { systemQueries, hasPeersV2 },
      })
      const snapshot = await control.open()
      expect(decodeText(cell(snapshot, 'local', 'release_version')!)).toBe(release)
      expect([...snapshot.virtualTables.keys()]).toEqual(tables)
    },
  )

  const RACKS = ['a', 'b', 'c'].map((rack) => ({ rack }))
  const FLEET = ['10.1.0.1', '10.1.0.2', '10.1.0.3', '10.1.0.4']
  test.each([
    { addresses: null, index: 0, nodes: [1, 2, 3] },
    { addresses: FLEET.slice(0, 1), index: 0, nodes: [1, 2, 3] },
    { addresses: FLEET.slice(0, 2), index: 0, nodes: [1, 3] },
    { addresses: FLEET.slice(0, 2), index: 1, nodes: [2] },
    { addresses: FLEET.slice(0, 3), index: 1, nodes: [2] },
    { addresses: FLEET, index: 3, nodes: [1] },
  ])('instance $index of $addresses uses nodes $nodes', async ({ addresses, index, nodes }) => {
    const topology = { addresses, index, numTokens: 8, implicitAddress: '127.0.0.1' }
    const rig = await startRig({
      origin: { nodes: RACKS },
      target: { nodes: RACKS },
      settings: { topology },
    })
    const snapshot = await rig.control.open()
    for (const cluster of [Cluster.ORIGIN, Cluster.TARGET]) {
      const { port } = cluster === Cluster.ORIGIN ? rig.origin : rig.target
      expect(labels(snapshot, cluster)).toEqual(nodes.map((node) => `127.0.0.${node}:${port}`))
    }
  })

  test('with a rack: all of its nodes, the others of the datacenter in reserve', async () => {
    const nodes = ['a', 'b', 'a'].map((rack) => ({ rack }))
    const rig = await startRig({
      origin: { nodes },
      target: { nodes },
      settings: {
        localRacks: ['a', 'nowhere'],
        topology: { addresses: FLEET.slice(0, 3), index: 1, numTokens: 8, implicitAddress: null },
      },
    })
    const { clusters } = await rig.control.open()
    const shown = clusters[Cluster.ORIGIN].nodes.map(
      ({ endpoint, isReserve }) => `${endpoint.address}${isReserve === true ? ' reserve' : ''}`,
    )
    expect(shown.toSorted()).toEqual(['127.0.0.1', '127.0.0.2 reserve', '127.0.0.3'])
    expect(shown[2]).toContain('reserve')
    // The reference's assignment: the second of the three, by rack and host id.
    expect(clusters[Cluster.TARGET].nodes).toHaveLength(1)
    const told = rig.lines.filter(({ code }) => code === 'RACK_UNKNOWN')
    expect(told).toMatchObject([
      {
        cluster: 'target',
        msg: expect.stringContaining('"nowhere" (target_local_rack); found: a, b'),
      },
    ])
    push(rig.target)
    await eventually(() => rig.clock.pendingTimers === IDLE_TIMERS + 1)
    rig.clock.advance(REFRESH_DELAY_MS)
    await eventually(() => rig.clock.pendingTimers === IDLE_TIMERS)
    expect(rig.lines.filter(({ code }) => code === 'RACK_UNKNOWN')).toHaveLength(1)
  })

  test.each([
    { hostAssignment: [false, true] as const, nodes: [[2], [1, 2, 3]] },
    { hostAssignment: [true, false] as const, nodes: [[1, 2, 3], [2]] },
  ])(
    'host assignment $hostAssignment: else the node of the control connection alone',
    async ({ hostAssignment, nodes }) => {
      const rig = await startRig({
        origin: { nodes: RACKS },
        target: { nodes: RACKS },
        connection: { contactPoints: ['127.0.0.2'] },
        settings: { hostAssignment },
      })
      const snapshot = await rig.control.open()
      for (const cluster of [Cluster.ORIGIN, Cluster.TARGET]) {
        const { port } = cluster === Cluster.ORIGIN ? rig.origin : rig.target
        expect(labels(snapshot, cluster)).toEqual(
          nodes[cluster]!.map((node) => `127.0.0.${node}:${port}`),
        )
      }
    },
  )

  const DATACENTERS = ['dc1', 'dc2', 'dc2'].map((datacenter) => ({ datacenter }))
  test.each([
    { localDatacenter: 'dc2', nodes: [2, 3] },
    { localDatacenter: null, nodes: [1] },
    { localDatacenter: 'nowhere', nodes: [1] },
  ])('local datacenter $localDatacenter: nodes $nodes', async ({ localDatacenter, nodes }) => {
    const { control, origin, lines } = await startRig({
      origin: { nodes: DATACENTERS },
      target: { nodes: DATACENTERS },
      connection: { localDatacenter },
    })
    const snapshot = await control.open()
    expect(labels(snapshot, Cluster.ORIGIN).sort()).toEqual(
      nodes.map((node) => `127.0.0.${node}:${origin.port}`),
    )
    const odd = lines
      .filter(({ code }) => code === 'DATACENTER_UNKNOWN')
      .map(({ cluster }) => cluster)
    expect(odd).toEqual(localDatacenter === 'nowhere' ? ['origin', 'target'] : [])
  })
})

describe('changes after the opening', () => {
  test('a new topology is a new snapshot', async () => {
    const { control, origin, clock, snapshots } = await startRig({ origin: { nodes: 2 } })
    expect(labels(await control.open(), Cluster.ORIGIN)).toHaveLength(2)
    const before = snapshots.length
    const name = { keyspace: 'system', table: 'peers_v2' }
    origin.on({ text: /peers/ }, respond(rowsAnswer({ name, columns: [], rows: [] })))
    const gone = { address: '127.0.0.2', port: origin.port }
    origin.pushEvent({ type: 'TOPOLOGY_CHANGE', change: 'REMOVED_NODE', ...gone })
    await eventually(() => clock.pendingTimers === IDLE_TIMERS + 1)
    clock.advance(REFRESH_DELAY_MS)
    await eventually(() => snapshots.length > before)
    expect(labels(snapshots.at(-1)!, Cluster.ORIGIN)).toEqual([`127.0.0.1:${origin.port}`])
    expect(labels(snapshots.at(-1)!, Cluster.TARGET)).toHaveLength(1)
  })

  test("what a cluster says of a node's status is passed on, by the node's id", async () => {
    const { control, origin, statuses, lines } = await startRig({ origin: { nodes: 2 } })
    const opened = await control.open()
    const node = { address: '127.0.0.2', port: origin.port }
    origin.pushEvent({ type: 'STATUS_CHANGE', change: 'DOWN', ...node })
    origin.pushEvent({ type: 'STATUS_CHANGE', change: 'UP', ...node })
    origin.pushEvent({ type: 'STATUS_CHANGE', change: 'DOWN', address: '127.0.0.9', port: 1 })
    await eventually(() => lines.filter(({ code }) => code === 'NODE_DOWN').length === 2)
    const { hostId } = opened.clusters[Cluster.ORIGIN].nodes.find(
      ({ endpoint }) => endpoint.address === '127.0.0.2',
    )!
    expect(statuses).toEqual([
      { cluster: Cluster.ORIGIN, hostId, isUp: false },
      { cluster: Cluster.ORIGIN, hostId, isUp: true },
    ])
  })

  test('a node that was down, left and came back is not down', async () => {
    const { control, origin, clock, snapshots } = await startRig({ origin: { nodes: 2 } })
    await control.open()
    const node = { address: '127.0.0.2', port: origin.port }
    const refreshed = async (): Promise<void> => {
      const before = snapshots.length
      origin.pushEvent({ type: 'TOPOLOGY_CHANGE', change: 'NEW_NODE', ...node })
      await eventually(() => clock.pendingTimers === IDLE_TIMERS + 1)
      clock.advance(REFRESH_DELAY_MS)
      await eventually(() => snapshots.length > before)
    }
    origin.pushEvent({ type: 'STATUS_CHANGE', change: 'DOWN', ...node })
    await eventually(() => control.health(Cluster.ORIGIN).nodesDown.length === 1)
    await refreshed()
    expect(control.health(Cluster.ORIGIN).nodesDown).toEqual([`127.0.0.2:${origin.port}`])
    const name = { keyspace: 'system', table: 'peers_v2' }
    const isGone = origin.on(
      { text: /peers/ },
      respond(rowsAnswer({ name, columns: [], rows: [] })),
    )
    await refreshed()
    origin.off(isGone)
    await refreshed()
    expect(labels(snapshots.at(-1)!, Cluster.ORIGIN)).toHaveLength(2)
    expect(control.health(Cluster.ORIGIN).nodesDown).toEqual([])
  })

  test('the port that the listener was given is shown from then on', async () => {
    const { control, clock, snapshots, origin } = await startRig()
    const opened = await control.open()
    expect(decodeInt(cell(opened, 'local', 'rpc_port')!)).toBe(0)
    control.setClientPort(29_042)
    expect(decodeInt(cell(snapshots.at(-1)!, 'local', 'rpc_port')!)).toBe(29_042)
    const before = snapshots.length
    push(origin)
    await eventually(() => clock.pendingTimers === IDLE_TIMERS + 1)
    clock.advance(REFRESH_DELAY_MS)
    await eventually(() => snapshots.length > before)
    expect(decodeInt(cell(snapshots.at(-1)!, 'local', 'rpc_port')!)).toBe(29_042)
  })

  test("clients hear of Origin's schema changes only", async () => {
    const { control, origin, target, clock, schemaChanges } = await startRig()
    await control.open()
    expect(push(target, 'on_target')).toBe(1)
    await eventually(() => clock.pendingTimers === IDLE_TIMERS + 1)
    expect(push(origin, 'on_origin')).toBe(1)
    await eventually(() => schemaChanges.length > 0)
    expect(schemaChanges).toEqual(['\0\x0dSCHEMA_CHANGE\0\x07CREATED\0\x08KEYSPACE\0\x09on_origin'])
  })

  test('what one cluster sends wrong does not touch the other', async () => {
    const { control, origin, target, lines } = await startRig()
    await control.open()
    const damaged = Buffer.from('\0\x0dSCHEMA_CHANGE\0\x40', 'latin1')
    origin.openConnections[0]!.send(-1, { opcode: Opcode.EVENT, body: damaged })
    await eventually(() => lines.some(({ code }) => code === 'CONTROL_REOPENED'))
    expect(origin.connections).toHaveLength(2)
    expect(target.connections).toHaveLength(1)
    expect(target.openConnections).toHaveLength(1)
  })

  test('health is that of each control connection', async () => {
    const { control, origin, target } = await startRig()
    expect(control.health(Cluster.ORIGIN)).toMatchObject({ endpoint: null, failures: 0 })
    await control.open()
    await target.stopListening()
    await eventually(() => control.health(Cluster.TARGET).failures === 1)
    expect(control.health(Cluster.TARGET).endpoint).toBe(`127.0.0.1:${target.port}`)
    expect(control.health(Cluster.TARGET).trouble).toMatchObject({
      cause: { message: expect.stringContaining('ECONNREFUSED') },
    })
    expect(control.health(Cluster.ORIGIN)).toEqual({
      endpoint: `127.0.0.1:${origin.port}`,
      failures: 0,
      trouble: null,
      nodesDown: [],
    })
  })

  test('a cluster without a node that can be reached: all its nodes are to give a sign of life', async () => {
    const { control, target, statuses } = await startRig({ target: { nodes: 2 } })
    const snapshot = await control.open()
    await target.stopListening()
    await eventually(() => control.health(Cluster.TARGET).failures === 1)
    expect(statuses).toEqual(
      snapshot.clusters[Cluster.TARGET].nodes.map(({ hostId }) => ({
        cluster: Cluster.TARGET,
        hostId,
        isUp: false,
      })),
    )
  })
})

describe('the opening', () => {
  test('is refused where both sides are one cluster, under whatever names', async () => {
    const { control } = await startRig({ isOneCluster: true })
    await expect(control.open()).rejects.toMatchObject({
      code: ClusterErrorCode.UNUSABLE,
      message: expect.stringMatching(/^Target: its node 127\.0\.0\.1 .* is a node of Origin too/),
    })
  })

  test('names both clusters where neither can be reached', async () => {
    const { control, origin, target } = await startRig()
    await Promise.all([origin.stopListening(), target.stopListening()])
    await expect(control.open()).rejects.toMatchObject({
      name: 'BothFailed',
      message: expect.stringMatching(/^Origin: .*ECONNREFUSED.*; Target: .*ECONNREFUSED/),
    })
  })

  test('is not refused where a machine was cloned: the same host id elsewhere', async () => {
    const nodes = [{ hostId: '00000000-0000-4000-8000-00000000000a' }]
    const { control } = await startRig({ origin: { nodes }, target: { nodes } })
    await control.open()
  })

  test('is logged, with a warning for a cluster that asks for no credentials', async () => {
    const { control, lines } = await startRig({
      origin: { authenticator: passwordAuthenticator('u', 'p'), nodes: 2 },
      connection: { credentials: { username: 'u', password: 'p' } },
    })
    await control.open()
    expect(lines.map(({ level, code, cluster }) => `${level} ${code} ${cluster}`)).toEqual([
      'info CLUSTER_CONNECTED origin',
      'info CLUSTER_CONNECTED target',
      'warn CLUSTER_WITHOUT_AUTHENTICATION target',
    ])
    expect(lines[0]).toMatchObject({
      clusterName: 'origin',
      datacenter: 'datacenter1',
      protocolVersion: Version.V5,
      hosts: [expect.any(String), expect.any(String)],
      assigned: [expect.any(String), expect.any(String)],
    })
  })

  test('fails where Origin cannot be used, and nothing is left after the close', async () => {
    const { control, origin, target, clock } = await startRig()
    origin.on({ opcode: Opcode.STARTUP }, closeSocket())
    await expect(control.open()).rejects.toMatchObject({
      code: ClusterErrorCode.CONNECTION_LOST,
      cluster: Cluster.ORIGIN,
    })
    expect(target.openConnections).toHaveLength(1)
    control.close()
    await eventually(() => target.openConnections.length === 0)
    expect(clock.pendingTimers).toBe(0)
  })

  test('fails where Target cannot be used, and nothing is left after the close', async () => {
    const { control, origin, target, clock, snapshots } = await startRig()
    target.on({ opcode: Opcode.REGISTER }, closeSocket())
    await expect(control.open()).rejects.toMatchObject({ cluster: Cluster.TARGET })
    expect(origin.openConnections).toHaveLength(1)
    control.close()
    expect(clock.pendingTimers).toBe(0)
    expect(snapshots).toEqual([])
    await origin.waitUntil(() => origin.openConnections.length === 0)
  })

  test('ends when it is closed meanwhile', async () => {
    const { control, origin, target, clock } = await startRig()
    const silent = target.on({ opcode: Opcode.STARTUP }, drop())
    const opening = expect(control.open()).rejects.toThrow()
    await target.waitUntil(() => silent.hits === 1)
    control.close()
    await opening
    expect(clock.pendingTimers).toBe(0)
    await origin.waitUntil(() => origin.openConnections.length === 0)
    await target.waitUntil(() => target.openConnections.length === 0)
  })
})
