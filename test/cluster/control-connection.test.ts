import { describe, expect, test } from 'vitest'
import { backoffMs } from '../../src/cluster/backoff.ts'
import { configuredContacts } from '../../src/cluster/contacts.ts'
import { ROUND_OVERDUE_MS } from '../../src/cluster/control-health.ts'
import { EnvelopeFlag, ErrorCode, Opcode } from '../../src/cql/protocol.ts'
import { passwordAuthenticator } from '../support/fake-cluster/answers.ts'
import { errorAnswer } from '../support/fake-cluster/results.ts'
import { closeSocket, delay, drop, respondError } from '../support/fake-cluster/script.ts'
import {
  askedNodes,
  CALL_TIMEOUT_MS,
  CONNECT_TIMEOUT_MS,
  ControlHarness,
  connected,
  DAMAGED_EVENT,
  endpointOf,
  eventually,
  HEARTBEAT_INTERVAL_MS,
  IDLE_TIMERS,
  inOneChunk,
  LOCAL,
  OPENING_STEPS,
  openNodes,
  PEERS_V2,
  pushRaw,
  REFRESH_DELAY_MS,
  rejection,
  SCHEMA_EVENT,
  SWEEP_INTERVAL_MS,
  someTurns,
  startCluster,
} from './control-harness.ts'

const PEERS = /FROM system\.peers$/
const CREDENTIALS = { username: 'zdm', password: 'do-not-show-this' }

describe('events', () => {
  test('a burst of all kinds is one refresh', async () => {
    const cluster = await startCluster({ nodes: 2 })
    const harness = await connected(cluster)
    const node = { address: '127.0.0.2', port: cluster.port }
    cluster.pushEvent({ type: 'TOPOLOGY_CHANGE', change: 'NEW_NODE', ...node })
    cluster.pushEvent({ type: 'STATUS_CHANGE', change: 'DOWN', ...node })
    cluster.pushEvent({ type: 'STATUS_CHANGE', change: 'UP', ...node })
    await harness.pushSchemaChange()
    harness.clock.advance(REFRESH_DELAY_MS - 1)
    expect(harness.clock.pendingTimers).toBe(IDLE_TIMERS + 1)
    harness.clock.advance(1)
    await eventually(() => harness.knowledge.length === 2)
    await someTurns()
    expect(harness.reads).toBe(2)
    expect(harness.clock.pendingTimers).toBe(IDLE_TIMERS)
  })

  test.each([
    { type: 'TOPOLOGY_CHANGE', change: 'REMOVED_NODE' } as const,
    { type: 'STATUS_CHANGE', change: 'DOWN' } as const,
  ])('$type alone is a refresh, and not for clients', async (event) => {
    const cluster = await startCluster()
    const harness = await connected(cluster)
    cluster.pushEvent({ ...event, address: '127.0.0.2', port: 9042 })
    await eventually(() => harness.clock.pendingTimers === IDLE_TIMERS + 1)
    harness.clock.advance(REFRESH_DELAY_MS)
    await eventually(() => harness.knowledge.length === 2)
    expect(harness.schemaChanges).toEqual([])
  })

  test('a stream of events that never pauses does not put the refresh off for ever', async () => {
    const cluster = await startCluster()
    const harness = await connected(cluster)
    for (let passedMs = 0; passedMs < 1_200; passedMs += 60) {
      await harness.pushSchemaChange()
      harness.clock.advance(60)
    }
    await eventually(() => harness.knowledge.length === 2)
    expect(harness.reads).toBe(2)
  })

  test('one that comes while the tables are read is another refresh afterwards', async () => {
    const cluster = await startCluster()
    const harness = await connected(cluster)
    const held = delay()
    cluster.on({ text: LOCAL, times: 1 }, held)
    await harness.pushSchemaChange()
    harness.clock.advance(REFRESH_DELAY_MS)
    await cluster.waitUntil(() => harness.reads === 2)
    await harness.pushSchemaChange()
    harness.clock.advance(REFRESH_DELAY_MS)
    await someTurns()
    expect(harness.reads).toBe(2)
    held.release()
    await eventually(() => harness.knowledge.length === 2)
    await eventually(() => harness.clock.pendingTimers === IDLE_TIMERS + 1)
    harness.clock.advance(REFRESH_DELAY_MS)
    await eventually(() => harness.knowledge.length === 3)
    expect(harness.reads).toBe(3)
  })

  test('one that comes while the connection is being opened is a refresh afterwards', async () => {
    const cluster = await startCluster()
    const held = delay()
    cluster.on({ text: PEERS, times: 1 }, held)
    const harness = new ControlHarness(cluster)
    const connecting = harness.control.connect()
    await cluster.waitFor(({ text }) => text === 'SELECT * FROM system.peers')
    await harness.pushSchemaChange()
    harness.clock.advance(REFRESH_DELAY_MS)
    held.release()
    await connecting
    harness.clock.advance(REFRESH_DELAY_MS)
    await eventually(() => harness.knowledge.length === 2)
    expect(harness.reads).toBe(2)
  })

  test('a SCHEMA_CHANGE is told as it came, even if the refresh that follows fails', async () => {
    const cluster = await startCluster()
    const harness = await connected(cluster)
    const change = { change: 'UPDATED', target: 'TABLE', keyspace: 'ks', name: 't' }
    cluster.on({ text: LOCAL, times: 1 }, respondError(ErrorCode.SERVER_ERROR))
    cluster.pushEvent({ type: 'SCHEMA_CHANGE', ...change })
    await eventually(() => harness.schemaChanges.length === 1)
    harness.clock.advance(REFRESH_DELAY_MS)
    await eventually(() => harness.codes('info').includes('CONTROL_REOPENED'))
    expect(Buffer.from(harness.schemaChanges[0]!).toString('latin1')).toBe(
      '\0\x0dSCHEMA_CHANGE\0\x07UPDATED\0\x05TABLE\0\x02ks\0\x01t',
    )
    expect(harness.codes('warn')).toEqual(['TOPOLOGY_REFRESH_FAILED'])
    expect(harness.knowledge).toHaveLength(2)
    expect(cluster.connections).toHaveLength(2)
  })

  test('warnings in front of an event are not part of what is told', async () => {
    const cluster = await startCluster()
    const harness = await connected(cluster)
    pushRaw(cluster, `\0\x01\0\x04oops${SCHEMA_EVENT}`, EnvelopeFlag.WARNING)
    await eventually(() => harness.schemaChanges.length === 1)
    expect(Buffer.from(harness.schemaChanges[0]!).toString('latin1')).toBe(SCHEMA_EVENT)
  })

  test('a type that nobody has registered for is passed over', async () => {
    const cluster = await startCluster()
    const harness = await connected(cluster)
    pushRaw(cluster, '\0\x0bTRACE_EVENT')
    await harness.pushSchemaChange()
    expect(harness.schemaChanges).toHaveLength(1)
    expect(cluster.openConnections).toHaveLength(1)
  })

  test('one that cannot be understood ends the connection, and another takes its place', async () => {
    const cluster = await startCluster()
    const harness = await connected(cluster)
    pushRaw(cluster, DAMAGED_EVENT)
    await eventually(() => harness.codes('info').includes('CONTROL_REOPENED'))
    expect(harness.codes('warn')).toEqual(['CONTROL_LOST'])
    expect(harness.schemaChanges).toEqual([])
    expect(cluster.connections).toHaveLength(2)
    expect(cluster.openConnections).toHaveLength(1)
  })
})

describe('the heartbeat', () => {
  test.each([
    ['SUPPORTED', null],
    ['an ERROR', respondError(ErrorCode.OVERLOADED)],
  ])('%s is a sign of life', async (_what, reaction) => {
    const cluster = await startCluster()
    const harness = await connected(cluster)
    if (reaction !== null) cluster.on({ opcode: Opcode.OPTIONS }, reaction)
    for (let beats = 1; beats <= 3; beats++) {
      await harness.beat()
      // The next heartbeat, the sweep, and the refresh that makes up for missed events.
      await eventually(() => harness.clock.pendingTimers === IDLE_TIMERS + 1)
      harness.clock.advance(REFRESH_DELAY_MS)
      await eventually(() => harness.knowledge.length === 1 + beats)
    }
    expect(cluster.connections).toHaveLength(1)
    expect(harness.control.failures).toBe(0)
    expect(harness.codes('warn')).toEqual([])
  })

  test('without an answer in time another connection takes its place', async () => {
    const cluster = await startCluster({ nodes: [{ rack: 'a' }, { rack: 'b' }] })
    const harness = await connected(cluster)
    cluster.on({ opcode: Opcode.OPTIONS, node: 0 }, drop())
    const held = delay()
    cluster.on({ opcode: Opcode.STARTUP, node: 1 }, held)
    await harness.beat()
    harness.clock.advance(CALL_TIMEOUT_MS - 1)
    await someTurns()
    expect(harness.control.trouble).toBeNull()
    harness.clock.advance(SWEEP_INTERVAL_MS)
    // The node that does not answer would be the last to be tried.
    await cluster.waitFor(({ opcode, node }) => opcode === Opcode.STARTUP && node === 1)
    expect(harness.control).toMatchObject({ failures: 0, endpoint: endpointOf(cluster) })
    expect(harness.control.trouble).not.toBeNull()
    held.release()
    await eventually(() => harness.control.trouble === null)
    expect(askedNodes(cluster)).toEqual([0, 0, 1])
    expect(harness.control).toMatchObject({ failures: 0, endpoint: endpointOf(cluster, 1) })
    await cluster.waitUntil(() => cluster.openConnections.length === 1)
    expect(harness.codes('warn')).toEqual(['CONTROL_HEARTBEAT_FAILED'])
    expect(harness.unreachable).toBe(0)
    await harness.idle()
  })
})

describe('a connection that is lost', () => {
  test('in the turn of its heartbeat is replaced, and nothing is left of it', async () => {
    const cluster = await startCluster()
    const harness = await connected(cluster)
    const held = delay()
    cluster.on({ opcode: Opcode.OPTIONS, times: 1 }, held)
    await harness.beat()
    await inOneChunk(cluster, () => held.release(), DAMAGED_EVENT)
    await eventually(() => harness.codes('info').includes('CONTROL_REOPENED'))
    expect(harness.clock.pendingTimers).toBe(IDLE_TIMERS)
    expect(harness.codes('warn')).toEqual(['CONTROL_LOST'])
  })

  test('by an ERROR on stream 0 is replaced, even if it owes an answer', async () => {
    const cluster = await startCluster()
    const harness = await connected(cluster)
    cluster.on({ opcode: Opcode.OPTIONS, times: 1 }, drop())
    await harness.beat()
    cluster.openConnections[0]!.send(0, errorAnswer(ErrorCode.PROTOCOL_ERROR, 'bad frame'))
    await eventually(() => harness.codes('info').includes('CONTROL_REOPENED'))
    expect(harness.lines.find(({ code }) => code === 'CONTROL_LOST')!.msg).toContain('bad frame')
  })

  test('with a refresh due does not hurry the next one', async () => {
    const cluster = await startCluster()
    const harness = await connected(cluster)
    await harness.pushSchemaChange()
    cluster.openConnections[0]!.destroy()
    await eventually(() => harness.codes('info').includes('CONTROL_REOPENED'))
    harness.clock.advance(2_000)
    await harness.pushSchemaChange()
    harness.clock.advance(REFRESH_DELAY_MS - 1)
    expect(harness.clock.pendingTimers).toBe(IDLE_TIMERS + 1)
  })

  const DURING: readonly (readonly [string, (harness: ControlHarness) => Promise<void>])[] = [
    ['with nothing to do', async () => {}],
    ['while a refresh is due', (harness) => harness.pushSchemaChange()],
    [
      'while the tables are read and another refresh is asked for',
      async (harness) => {
        const silent = harness.cluster.on({ text: PEERS, times: 1 }, drop())
        await harness.pushSchemaChange()
        harness.clock.advance(REFRESH_DELAY_MS)
        await harness.cluster.waitUntil(() => silent.hits === 1)
        await harness.pushSchemaChange()
        harness.clock.advance(REFRESH_DELAY_MS)
      },
    ],
    [
      'while it owes a heartbeat',
      async (harness) => {
        harness.cluster.on({ opcode: Opcode.OPTIONS, times: 1 }, drop())
        await harness.beat()
      },
    ],
  ]

  test.each(DURING)('%s is replaced once', async (_when, prepare) => {
    const cluster = await startCluster()
    const harness = await connected(cluster)
    await prepare(harness)
    const knowledge = harness.knowledge.length
    cluster.connections[0]!.destroy()
    await eventually(() => harness.codes('info').includes('CONTROL_REOPENED'))
    await someTurns()
    expect(cluster.connections).toHaveLength(2)
    expect(cluster.openConnections).toHaveLength(1)
    expect(harness.codes('warn')).toEqual(['CONTROL_LOST'])
    expect(harness.codes('info')).toEqual(['CONTROL_REOPENED'])
    expect(harness.control).toMatchObject({ failures: 0, endpoint: endpointOf(cluster) })
    expect(harness.knowledge).toHaveLength(knowledge + 1)
    await harness.idle()
  })

  test('is replaced by known nodes, the local ones first, then by contact points', async () => {
    const cluster = await startCluster({
      nodes: [
        { datacenter: 'dc2' },
        { datacenter: 'dc1', rack: 'a' },
        { datacenter: 'dc1', rack: 'b' },
      ],
    })
    const harness = await connected(cluster, {
      contacts: configuredContacts(['127.0.0.9', '127.0.0.2'], cluster.port),
      localDatacenter: 'dc1',
    })
    expect(askedNodes(cluster)).toEqual([1])
    cluster.on({ opcode: Opcode.OPTIONS }, closeSocket())
    const before = harness.lines.length
    cluster.openConnections[0]!.destroy()
    await eventually(() => harness.control.failures === 1)
    const nodes = harness.lines
      .slice(before)
      .flatMap(({ code, node }) => (code === 'CONTROL_CANDIDATE_FAILED' ? [node] : []))
    expect(nodes).toEqual([2, 1, 0].map((node) => endpointOf(cluster, node)))
    // The contact point where nobody listens was told of within the same minute, at the start.
    expect(harness.lines.filter(({ node }) => node?.startsWith('127.0.0.9'))).toHaveLength(1)
    expect(harness.control.endpoint).toBe(endpointOf(cluster, 1))
  })

  test('is replaced within the same turn of the clock by a node that is up', async () => {
    const cluster = await startCluster({ nodes: 2 })
    const harness = await connected(cluster)
    await cluster.nodes[0]!.stopListening()
    await eventually(() => harness.control.endpoint === endpointOf(cluster, 1))
    expect(harness.clock.now()).toBe(0)
    expect(harness.control.failures).toBe(0)
  })

  test('is no failure while another node takes over, however the loss shows', async () => {
    const cluster = await startCluster({ nodes: 2 })
    const harness = await connected(cluster)
    const held = delay()
    cluster.on({ opcode: Opcode.OPTIONS, node: 1 }, held)
    await cluster.nodes[0]!.stopListening()
    await cluster.waitFor(({ opcode, node }) => opcode === Opcode.OPTIONS && node === 1)
    expect(harness.control).toMatchObject({ failures: 0, trouble: { sinceMs: expect.anything() } })
    held.release()
    await eventually(() => harness.control.trouble === null)
    expect(harness).toMatchObject({ unreachable: 0, control: { failures: 0 } })
  })

  test('is a failure at once where every node is gone', async () => {
    const cluster = await startCluster({ nodes: 2 })
    const harness = await connected(cluster)
    await cluster.stopListening()
    await eventually(() => harness.control.failures === 1)
    expect(harness.clock.now()).toBe(0)
    expect(harness.unreachable).toBe(1)
  })

  test('is a failure after 5 s where the nodes are silent, and only one for a round', async () => {
    const cluster = await startCluster({ nodes: 2 })
    const harness = await connected(cluster)
    cluster.on({ opcode: Opcode.OPTIONS }, drop())
    cluster.openConnections[0]!.destroy()
    await cluster.waitUntil(() => askedNodes(cluster).length === 2)
    harness.clock.advance(ROUND_OVERDUE_MS - 1)
    expect(harness.control.failures).toBe(0)
    harness.clock.advance(1)
    expect(harness).toMatchObject({ unreachable: 1, control: { failures: 1 } })
    for (let asked = 3; asked <= 4; asked++) {
      harness.clock.advance(CALL_TIMEOUT_MS + SWEEP_INTERVAL_MS)
      await cluster.waitUntil(() => askedNodes(cluster).length === asked || asked === 4)
    }
    await eventually(() => harness.codes('error').includes('CONTROL_REOPEN_FAILED'))
    expect(harness).toMatchObject({ unreachable: 1, control: { failures: 1 } })
  })

  test('to a node of another datacenter goes back to a local one that takes connections', async () => {
    const cluster = await startCluster({
      nodes: [{ datacenter: 'dc1' }, { datacenter: 'dc2' }, { datacenter: 'dc2' }],
    })
    const harness = await connected(cluster, { localDatacenter: 'dc1' })
    await cluster.nodes[0]!.stopListening()
    await eventually(() => harness.control.endpoint === endpointOf(cluster, 1))
    await harness.beat()
    await eventually(() => harness.clock.pendingTimers === IDLE_TIMERS + 1)
    const known = harness.knowledge.length
    harness.clock.advance(REFRESH_DELAY_MS)
    await eventually(() => harness.knowledge.length > known)
    await harness.idle()
    expect(openNodes(cluster)).toEqual([1])
    await cluster.nodes[0]!.resume()
    await harness.beat()
    await eventually(() => harness.control.endpoint === endpointOf(cluster))
    await cluster.waitUntil(() => openNodes(cluster).join() === '0')
    expect(harness.codes('info')).toEqual(['CONTROL_REOPENED', 'CONTROL_RETURNED'])
    expect(harness.codes('warn').filter((code) => code === 'CONTROL_LOST')).toHaveLength(1)
    expect(harness.knowledge.at(-1)!.topology.localDatacenter).toBe('dc1')
    expect(harness.control.failures).toBe(0)
  })
})

describe('reopening', () => {
  /** The waits between attempts; the other timers have lengths of their own. */
  const waits = (harness: ControlHarness): number[] =>
    harness.clock.delays.filter(
      (delayMs) =>
        ![CONNECT_TIMEOUT_MS, HEARTBEAT_INTERVAL_MS, REFRESH_DELAY_MS, ROUND_OVERDUE_MS].includes(
          delayMs,
        ),
    )

  const BACKOFF = { retryDelayMinMs: 200, retryDelayMaxMs: 700, retryFactor: 2 }
  const WAITS = [200, 300, 500, 700, 700]

  test('waits longer after each failure, which each count one', async () => {
    const cluster = await startCluster()
    const harness = await connected(cluster, BACKOFF, () => 0.5)
    await cluster.stopListening()
    for (const [round, waitMs] of WAITS.entries()) {
      await eventually(() => harness.control.failures === 1 + round)
      expect(waits(harness)).toEqual(WAITS.slice(0, round + 1))
      // The sweep and the wait.
      expect(harness.clock.pendingTimers).toBe(2)
      harness.clock.advance(waitMs - 1)
      await someTurns(3)
      expect(harness.control.failures).toBe(1 + round)
      harness.clock.advance(1)
    }
    expect(harness.control.endpoint).toBe(endpointOf(cluster))
    await eventually(() => harness.control.failures === 6)
    await cluster.resume()
    harness.clock.advance(700)
    await eventually(() => harness.control.failures === 0)
    expect(harness.codes('info')).toEqual(['CONTROL_REOPENED'])
    await harness.idle()
  })

  test('is counted, with the times at which the cluster was heard', async () => {
    const cluster = await startCluster()
    const harness = await connected(cluster, BACKOFF)
    const { clock, control } = harness
    const seconds = (): number => clock.wallMs() / 1000
    const openedAt = seconds()
    const none = { losses: 0, reopenings: { succeeded: 0, failed: 0 } }
    const heard = { heardAtSeconds: openedAt, refreshedAtSeconds: openedAt }
    expect(control.series()).toEqual({ cluster: 'origin', isUp: true, ...none, ...heard })
    await harness.beat()
    await eventually(() => control.series().heardAtSeconds === seconds())
    const beatAt = seconds()
    await cluster.stopListening()
    await eventually(() => control.failures === 1)
    expect(control.series()).toMatchObject({
      isUp: false,
      losses: 1,
      reopenings: { succeeded: 0, failed: 1 },
      heardAtSeconds: beatAt,
    })
    await cluster.resume()
    clock.advance(BACKOFF.retryDelayMinMs)
    await eventually(() => control.series().isUp)
    const again = { heardAtSeconds: seconds(), refreshedAtSeconds: seconds() }
    const reopenings = { succeeded: 1, failed: 1 }
    expect(control.series()).toMatchObject({ losses: 1, reopenings, ...again })
  })

  test('begins with no wait again once a heartbeat was answered', async () => {
    const cluster = await startCluster()
    const harness = await connected(cluster, BACKOFF, () => 0.5)
    await cluster.stopListening()
    await eventually(() => harness.control.failures === 1)
    await cluster.resume()
    harness.clock.advance(200)
    await eventually(() => harness.control.failures === 0)
    await harness.beat()
    await eventually(() => harness.clock.pendingTimers === IDLE_TIMERS + 1)
    cluster.openConnections[0]!.destroy()
    await eventually(() => harness.codes('info').length === 2)
    expect(waits(harness)).toEqual([200])
  })

  test('waits where a connection that was just opened dies before its first heartbeat', async () => {
    const cluster = await startCluster()
    const harness = await connected(cluster, BACKOFF, () => 0.5)
    for (const [round, waitMs] of [0, ...WAITS].entries()) {
      cluster.openConnections[0]!.destroy()
      // The first loss may be the node's; a connection that dies at once is a failure of the round.
      if (round > 0) await eventually(() => harness.control.failures === 1)
      harness.clock.advance(waitMs)
      await eventually(() => harness.codes('info').length === 1 + round)
      await cluster.waitUntil(() => cluster.openConnections.length === 1)
    }
    expect(waits(harness)).toEqual(WAITS)
  })

  test('says little of a cluster that is down for long', async () => {
    const cluster = await startCluster({ nodes: 2 })
    const harness = await connected(cluster)
    await cluster.stopListening()
    const rounds = 250
    for (let failures = 1; failures < 1 + rounds; failures++) {
      await eventually(() => harness.control.failures === failures)
      harness.clock.advance(1_000)
    }
    const minutes = Math.ceil(harness.clock.now() / 60_000)
    for (const code of ['CONTROL_REOPEN_FAILED', 'CONTROL_CANDIDATE_FAILED', 'CONTROL_LOST']) {
      const lines = harness.lines.filter((line) => line.code === code)
      const perMinute = code === 'CONTROL_CANDIDATE_FAILED' ? 2 : 1
      expect(lines.length, code).toBeGreaterThan(0)
      expect(lines.length, code).toBeLessThanOrEqual(perMinute * minutes)
    }
    const last = harness.lines.findLast(({ code }) => code === 'CONTROL_REOPEN_FAILED')!
    expect(last).toMatchObject({ level: 'error', suppressed: expect.any(Number) })
    expect(last.msg).toMatch(/^no control connection to Origin, next try in \d+ ms: /)
  })
})

describe('the back-off law', () => {
  const law = (attempt: number, random: number): number =>
    backoffMs(attempt, 100, 10_000, 2, () => random)

  test.each([
    { attempt: 0, random: 0.99, expected: 100 },
    { attempt: 1, random: 0.5, expected: 150 },
    { attempt: 3, random: 0.5, expected: 450 },
    { attempt: 10, random: 0.999, expected: 10_000 },
    { attempt: 10, random: 0, expected: 100 },
    { attempt: 5_000, random: 0.5, expected: 10_000 },
    { attempt: 5_000, random: 0, expected: 100 },
  ])('attempt $attempt with $random: $expected ms', ({ attempt, random, expected }) => {
    expect(law(attempt, random)).toBe(expected)
  })

  test('a least wait above the longest one gives way to it', () => {
    expect(backoffMs(0, 500, 300, 2, () => 0)).toBe(300)
  })
})

describe('close', () => {
  /** Everything is over, and stays over. */
  const expectEnd = async (harness: ControlHarness): Promise<void> => {
    const { clock, cluster, lines, knowledge, schemaChanges } = harness
    const before = [lines.length, knowledge.length, schemaChanges.length]
    harness.control.close()
    expect(clock.pendingTimers).toBe(0)
    await cluster.waitUntil(() => cluster.openConnections.length === 0)
    await someTurns()
    clock.advance(10 * HEARTBEAT_INTERVAL_MS)
    await someTurns()
    expect(clock.pendingTimers).toBe(0)
    expect(cluster.openConnections).toEqual([])
    expect([lines.length, knowledge.length, schemaChanges.length]).toEqual(before)
  }

  test.each(OPENING_STEPS)(
    'ends an opening that waits for the answer to %s',
    async (_step, condition) => {
      const cluster = await startCluster({
        nodes: 2,
        authenticator: passwordAuthenticator('zdm', CREDENTIALS.password),
      })
      const silent = cluster.on(condition, drop())
      const harness = new ControlHarness(cluster, { credentials: CREDENTIALS })
      const connecting = rejection(harness.control.connect())
      await cluster.waitUntil(() => silent.hits === 1)
      await expectEnd(harness)
      expect(await connecting).toBeInstanceOf(Error)
      expect(harness.knowledge).toEqual([])
      expect(harness.lines).toEqual([])
    },
  )

  test('ends an opening that is still being dialled', async () => {
    const cluster = await startCluster()
    const harness = new ControlHarness(cluster)
    const connecting = rejection(harness.control.connect())
    harness.control.close()
    expect(String(await connecting)).toContain('is not wanted any more')
    expect(harness.clock.pendingTimers).toBe(0)
    await someTurns()
    expect(cluster.received).toEqual([])
    expect(cluster.openConnections).toEqual([])
  })

  test('ends an opening in the moment in which its dialling succeeds', async () => {
    const cluster = await startCluster()
    cluster.on({}, drop())
    const harness = new ControlHarness(cluster)
    const clearTimeout = harness.clock.clearTimeout.bind(harness.clock)
    // The dialler gives its timer back when the connection stands.
    harness.clock.clearTimeout = (timer) => {
      clearTimeout(timer)
      harness.clock.clearTimeout = clearTimeout
      queueMicrotask(() => harness.control.close())
    }
    expect(await rejection(harness.control.connect())).toBeInstanceOf(Error)
    await cluster.waitUntil(() => cluster.openConnections.length === 0)
    expect(harness.clock.pendingTimers).toBe(0)
  })

  const CONNECTED: readonly (readonly [string, (harness: ControlHarness) => Promise<void>])[] = [
    ['with nothing to do', async () => {}],
    ['while a refresh is due', (harness) => harness.pushSchemaChange()],
    [
      'while the tables are read and another refresh is asked for',
      async (harness) => {
        const silent = harness.cluster.on({ text: PEERS }, drop())
        await harness.pushSchemaChange()
        harness.clock.advance(REFRESH_DELAY_MS)
        await harness.cluster.waitUntil(() => silent.hits === 1)
        await harness.pushSchemaChange()
        harness.clock.advance(REFRESH_DELAY_MS)
      },
    ],
    [
      'while a heartbeat is owed',
      async (harness) => {
        harness.cluster.on({ opcode: Opcode.OPTIONS }, drop())
        await harness.beat()
      },
    ],
    [
      'while another connection is being opened',
      async (harness) => {
        const silent = harness.cluster.on({ text: PEERS }, drop())
        harness.cluster.openConnections[0]!.destroy()
        await harness.cluster.waitUntil(() => silent.hits === 1)
      },
    ],
    [
      'while the next attempt is waited for',
      async (harness) => {
        await harness.cluster.stopListening()
        await eventually(() => harness.control.failures === 1)
      },
    ],
  ]

  test.each(CONNECTED)('%s ends everything', async (_when, prepare) => {
    const harness = await connected(await startCluster())
    await prepare(harness)
    await expectEnd(harness)
  })

  test('in the middle of a burst of events: what follows is told to nobody', async () => {
    const cluster = await startCluster()
    const harness = await connected(cluster)
    harness.schemaChanges.push = (...bodies) => {
      harness.control.close()
      return Array.prototype.push.apply(harness.schemaChanges, bodies)
    }
    const change = { change: 'CREATED', target: 'KEYSPACE', keyspace: 'ks' }
    const connection = cluster.openConnections[0]!
    connection.socket.cork()
    for (let i = 0; i < 3; i++) cluster.pushEvent({ type: 'SCHEMA_CHANGE', ...change })
    connection.socket.uncork()
    await connection.closed
    expect(harness.schemaChanges).toHaveLength(1)
    expect(harness.clock.pendingTimers).toBe(0)
  })

  test('in the turn of the last row: what was read is told to nobody', async () => {
    const cluster = await startCluster()
    const harness = await connected(cluster)
    const held = delay()
    const rule = cluster.on({ text: PEERS_V2 }, held)
    await harness.pushSchemaChange()
    harness.clock.advance(REFRESH_DELAY_MS)
    await cluster.waitUntil(() => rule.hits === 1)
    harness.schemaChanges.push = () => {
      harness.control.close()
      return 0
    }
    const [connection] = cluster.openConnections
    await inOneChunk(cluster, () => held.release(), SCHEMA_EVENT)
    await connection!.closed
    expect(harness.knowledge).toHaveLength(1)
    expect(harness.clock.pendingTimers).toBe(0)
    expect(harness.lines).toEqual([])
  })

  test('twice is once, and nothing opens afterwards', async () => {
    const cluster = await startCluster()
    const harness = await connected(cluster)
    harness.control.close()
    harness.control.close()
    const error = await rejection(harness.control.connect())
    expect(String(error)).toContain('the control connection is closed')
    expect(cluster.connections).toHaveLength(1)
    expect(harness.clock.pendingTimers).toBe(0)
  })
})
