/** How a control connection comes to be; what comes afterwards is in control-connection.test.ts. */
import { describe, expect, test } from 'vitest'
import { configuredContacts } from '../../src/cluster/contacts.ts'
import { ErrorCode, Opcode, Version } from '../../src/cql/protocol.ts'
import { Cluster } from '../../src/routing/cluster.ts'
import { ClusterErrorCode } from '../../src/upstream/errors.ts'
import { dseAuthenticator, passwordAuthenticator } from '../support/fake-cluster/answers.ts'
import { rowsAnswer, voidAnswer } from '../support/fake-cluster/results.ts'
import {
  type Condition,
  closeSocket,
  delay,
  drop,
  halfClose,
  type Reaction,
  rawBytes,
  resetSocket,
  respond,
  respondError,
} from '../support/fake-cluster/script.ts'
import {
  askedNodes,
  CALL_TIMEOUT_MS,
  ControlHarness,
  connected,
  DAMAGED_EVENT,
  endpointOf,
  eventually,
  inOneChunk,
  LOCAL,
  OPENING_STEPS,
  openNodes,
  PEERS_V2,
  rejection,
  SWEEP_INTERVAL_MS,
  someTurns,
  startCluster,
} from './control-harness.ts'

const PEERS = /FROM system\.peers$/
const CREDENTIALS = { username: 'zdm', password: 'do-not-show-this' }
const VERSIONS = [Version.V3, Version.V4, Version.V5]

describe('the opening', () => {
  test.each(VERSIONS)('v%i: asks for what it needs and no more', async (version) => {
    const cluster = await startCluster({ maxVersion: version })
    const { knowledge, control } = await connected(cluster, { versionMax: version })
    const startup = cluster.received.find(({ opcode }) => opcode === Opcode.STARTUP)
    const register = cluster.received.find(({ opcode }) => opcode === Opcode.REGISTER)
    expect(cluster.received.map(({ opcode, text }) => text ?? opcode)).toEqual([
      Opcode.OPTIONS,
      Opcode.STARTUP,
      Opcode.REGISTER,
      'SELECT * FROM system.local',
      'SELECT * FROM system.peers',
      'SELECT * FROM system.peers_v2',
    ])
    expect(startup!.startupOptions).toEqual(new Map([['CQL_VERSION', '3.0.0']]))
    expect(register!.eventTypes).toEqual(['TOPOLOGY_CHANGE', 'STATUS_CHANGE', 'SCHEMA_CHANGE'])
    expect(knowledge).toMatchObject([
      { version, requiresAuthentication: false, topology: { clusterName: 'origin' } },
    ])
    expect(knowledge[0]!.supported.get('CQL_VERSION')).toEqual(['3.4.6'])
    expect(control).toMatchObject({ failures: 0, endpoint: endpointOf(cluster) })
    expect(cluster.violations).toEqual([])
  })

  test.each([
    { versionMax: Version.V5, spoken: Version.V5, steps: [5] },
    { versionMax: Version.V5, spoken: Version.V4, steps: [5, 4] },
    { versionMax: Version.V5, spoken: Version.V3, steps: [5, 4, 3] },
    { versionMax: Version.V4, spoken: Version.V5, steps: [4] },
  ])(
    'steps down from v$versionMax through $steps where v$spoken is the highest spoken',
    async ({ versionMax, spoken, steps }) => {
      const cluster = await startCluster({ maxVersion: spoken })
      const { knowledge, lines } = await connected(cluster, { versionMax })
      expect(knowledge.map(({ version }) => version)).toEqual([steps.at(-1)])
      expect(cluster.connections).toHaveLength(steps.length)
      await cluster.waitUntil(() => cluster.openConnections.length === 1)
      expect(lines.filter(({ level }) => level !== 'debug')).toEqual([])
    },
  )

  test('steps down where STARTUP is what a node refuses', async () => {
    const cluster = await startCluster()
    cluster.on(
      { opcode: Opcode.STARTUP, where: ({ version }) => version === Version.V5 },
      respondError(ErrorCode.PROTOCOL_ERROR, 'Beta version of the protocol used (5/v5-beta)'),
    )
    const { knowledge } = await connected(cluster)
    expect(knowledge.map(({ version }) => version)).toEqual([Version.V4])
    expect(cluster.connections).toHaveLength(2)
  })

  test('fails where no version is common, with what the node says', async () => {
    const cluster = await startCluster({ minVersion: Version.V4 })
    const { control } = new ControlHarness(cluster, { versionMax: Version.V3 })
    const error = await rejection(control.connect())
    expect(error).toMatchObject({ code: ClusterErrorCode.VERSION })
    // The last step down is v2.
    expect(String(error)).toContain('unsupported protocol version (2)')
  })

  test('fails with the setting to change where the highest version allowed is not spoken here', async () => {
    const cluster = await startCluster()
    const { control } = new ControlHarness(cluster, { versionMax: 1 })
    const error = await rejection(control.connect())
    expect(error).toMatchObject({ code: ClusterErrorCode.VERSION })
    expect(String(error)).toContain('raise control_conn_max_protocol_version')
    expect(cluster.connections).toHaveLength(0)
  })

  test.each(
    VERSIONS.flatMap((version) => [
      {
        version,
        name: 'password',
        authenticator: passwordAuthenticator('zdm', 'do-not-show-this'),
      },
      { version, name: 'DSE', authenticator: dseAuthenticator('zdm', 'do-not-show-this') },
    ]),
  )(
    'v$version: gives its credentials to a $name authenticator',
    async ({ version, authenticator }) => {
      const cluster = await startCluster({ authenticator, maxVersion: version })
      const harness = await connected(cluster, { credentials: CREDENTIALS, versionMax: version })
      expect(harness.knowledge).toMatchObject([{ requiresAuthentication: true }])
      expect(cluster.connections[0]!.username).toBe('zdm')
      expect(cluster.violations).toEqual([])
    },
  )

  test('keeps its credentials where nobody asks for them', async () => {
    const cluster = await startCluster()
    const harness = await connected(cluster, { credentials: CREDENTIALS })
    expect(harness.knowledge).toMatchObject([{ requiresAuthentication: false }])
    expect(harness.received(Opcode.AUTH_RESPONSE)).toBe(0)
  })

  test.each([
    { cluster: Cluster.ORIGIN, text: 'set origin_username and origin_password' },
    { cluster: Cluster.TARGET, text: 'set target_username and target_password' },
  ])('without credentials: $text', async ({ cluster, text }) => {
    const fake = await startCluster({ authenticator: passwordAuthenticator('u', 'p') })
    const { control } = new ControlHarness(fake, { cluster })
    const error = await rejection(control.connect())
    expect(error).toMatchObject({ code: ClusterErrorCode.AUTHENTICATION, cluster })
    expect(String(error)).toContain(text)
  })

  test.each([passwordAuthenticator('zdm', 'other'), dseAuthenticator('zdm', 'other')])(
    'wrong credentials are an error, and the password is nowhere ($name)',
    async (authenticator) => {
      const cluster = await startCluster({ authenticator })
      const { control, logText } = new ControlHarness(cluster, { credentials: CREDENTIALS })
      const error = await rejection(control.connect())
      expect(error).toMatchObject({ code: ClusterErrorCode.AUTHENTICATION })
      expect(logText).not.toEqual([])
      expect(`${logText.join('')}${JSON.stringify(error)}${String(error)}`).not.toContain(
        CREDENTIALS.password,
      )
    },
  )
})

const LONE_VERSION = new Uint8Array([0x84])
const GARBAGE = new Uint8Array([0xff, 0xff, 0, 0, 0, 0, 0, 0, 0])
const NO_ROWS = rowsAnswer({ name: { keyspace: 'system', table: 'local' }, columns: [], rows: [] })
const truncated = (opcode: number, length = 3): Reaction =>
  respond({ opcode, body: new Uint8Array(length).fill(0x01) })

const UNUSABLE: readonly (readonly [string, Condition, Reaction])[] = [
  ['closes', { opcode: Opcode.OPTIONS }, closeSocket()],
  ['resets', { opcode: Opcode.STARTUP }, resetSocket()],
  ['sends its end and nothing more', { opcode: Opcode.REGISTER }, halfClose()],
  ['closes in the middle of an answer', { opcode: Opcode.STARTUP }, rawBytes(LONE_VERSION)],
  ['sends garbage', { opcode: Opcode.OPTIONS }, rawBytes(GARBAGE)],
  ['is overloaded', { opcode: Opcode.STARTUP }, respondError(ErrorCode.OVERLOADED)],
  ['refuses REGISTER', { opcode: Opcode.REGISTER }, respondError(ErrorCode.SERVER_ERROR)],
  ['answers OPTIONS with READY', { opcode: Opcode.OPTIONS }, truncated(Opcode.READY, 0)],
  ['cannot be understood: SUPPORTED', { opcode: Opcode.OPTIONS }, truncated(Opcode.SUPPORTED)],
  [
    'cannot be understood: AUTHENTICATE',
    { opcode: Opcode.STARTUP },
    truncated(Opcode.AUTHENTICATE),
  ],
  ['cannot be understood: RESULT', { text: PEERS }, truncated(Opcode.RESULT)],
  ['cannot be understood: ERROR', { text: LOCAL }, truncated(Opcode.ERROR)],
  ['refuses system.local', { text: LOCAL }, respondError(ErrorCode.UNAUTHORIZED)],
  ['refuses system.peers_v2', { text: PEERS_V2 }, respondError(ErrorCode.SERVER_ERROR)],
  ['answers a SELECT with VOID', { text: PEERS }, respond(voidAnswer())],
  ['has no row in system.local', { text: LOCAL }, respond(NO_ROWS)],
]

describe('the candidates', () => {
  test.each(UNUSABLE)('one that %s is left for the next', async (_what, condition, reaction) => {
    const cluster = await startCluster({ nodes: 2 })
    if (reaction.kind === 'rawBytes') {
      // The connection ends behind the bytes, as that of a process that dies does.
      cluster.on({ ...condition, node: 0 }, reaction)
      void cluster
        .waitFor(({ node, opcode }) => node === 0 && opcode === condition.opcode)
        .then(() => cluster.nodes[0]!.connections[0]!.socket.end())
    } else cluster.on({ ...condition, node: 0 }, reaction)
    const harness = await connected(cluster, { credentials: CREDENTIALS })
    expect(harness.control.endpoint).toBe(endpointOf(cluster, 1))
    await cluster.waitUntil(() => cluster.openConnections.length === 1)
    expect(openNodes(cluster)).toEqual([1])
    expect(harness.codes('warn')).toEqual(['CONTROL_CANDIDATE_FAILED'])
    expect(harness.lines.find(({ level }) => level === 'warn')!.msg).toContain(endpointOf(cluster))
    expect(harness.knowledge).toHaveLength(1)
    await harness.idle()
  })

  test('one whose partitioner is not supported is left for the next', async () => {
    const partitioner = 'org.apache.cassandra.dht.ByteOrderedPartitioner'
    const cluster = await startCluster({ nodes: [{ cells: { partitioner } }, {}] })
    const harness = await connected(cluster)
    expect(harness.control.endpoint).toBe(endpointOf(cluster, 1))
    expect(harness.lines.find(({ level }) => level === 'warn')!.msg).toContain(partitioner)
    await cluster.waitUntil(() => cluster.openConnections.length === 1)
  })

  test('one where nobody listens is left for the next', async () => {
    const cluster = await startCluster()
    const contacts = configuredContacts(['127.0.0.9', ...cluster.contactPoints], cluster.port)
    const { control, lines } = await connected(cluster, { contacts })
    expect(control.endpoint).toBe(endpointOf(cluster))
    expect(lines.map(({ code, node }) => [code, node])).toEqual([
      ['CONTROL_CANDIDATE_FAILED', `127.0.0.9:${cluster.port}`],
    ])
    expect(lines[0]!.msg).toContain('ECONNREFUSED')
  })

  test.each(OPENING_STEPS)(
    'one that never answers %s is left after the time for a call',
    async (_step, condition) => {
      const cluster = await startCluster({
        nodes: 2,
        authenticator: passwordAuthenticator('zdm', CREDENTIALS.password),
      })
      const silent = cluster.on({ ...condition, node: 0 }, drop())
      const harness = new ControlHarness(cluster, { credentials: CREDENTIALS })
      const connecting = harness.control.connect()
      await cluster.waitUntil(() => silent.hits === 1)
      harness.clock.advance(CALL_TIMEOUT_MS - 1)
      await someTurns()
      expect(openNodes(cluster)).toEqual([0])
      harness.clock.advance(SWEEP_INTERVAL_MS)
      await connecting
      expect(harness.control.endpoint).toBe(endpointOf(cluster, 1))
      expect(harness.lines.find(({ level }) => level === 'warn')!.msg).toContain(`did not answer`)
    },
  )

  test.each([
    { random: 0, order: [0, 1, 2] },
    { random: 0.5, order: [1, 2, 0] },
    { random: 0.999, order: [2, 0, 1] },
  ])(
    'contact points come in turn from a random one: $random gives $order',
    async ({ random, order }) => {
      const cluster = await startCluster({ nodes: 3 })
      cluster.on({ opcode: Opcode.OPTIONS }, respondError(ErrorCode.IS_BOOTSTRAPPING, 'too early'))
      const { control, clock } = new ControlHarness(cluster, {}, () => random)
      const error = await rejection(control.connect())
      expect(askedNodes(cluster)).toEqual(order)
      expect(String(error)).toContain(endpointOf(cluster, order[2]))
      expect(String(error)).toContain('too early')
      control.close()
      expect(clock.pendingTimers).toBe(0)
      await cluster.waitUntil(() => cluster.openConnections.length === 0)
    },
  )

  test('one that is lost in the turn of its last answer is left for the next', async () => {
    const cluster = await startCluster({ nodes: 2 })
    const held = delay()
    cluster.on({ text: PEERS_V2, node: 0 }, held)
    const harness = new ControlHarness(cluster)
    const connecting = harness.control.connect()
    await cluster.waitFor(({ text }) => text === 'SELECT * FROM system.peers_v2')
    await inOneChunk(cluster, () => held.release(), DAMAGED_EVENT)
    await connecting
    expect(harness.control.endpoint).toBe(endpointOf(cluster, 1))
    await harness.idle()
  })

  test('the datacenter that was settled on stays, whichever node is asked later', async () => {
    const cluster = await startCluster({
      nodes: [{ datacenter: 'dc1' }, { datacenter: 'dc2' }],
    })
    const harness = await connected(cluster)
    await cluster.nodes[0]!.stopListening()
    await eventually(() => harness.knowledge.length === 2)
    expect(harness.control.endpoint).toBe(endpointOf(cluster, 1))
    expect(harness.knowledge[1]!.topology.localDatacenter).toBe('dc1')
  })
})
