/**
 * A data plane under random clients and random misfortune, from a seed. Always true: each request is
 * answered once, by its own answer; a write is acknowledged only when both clusters have executed it,
 * and none executes it twice; in the end everything is back to zero. `SIM_SEED=…` repeats a failure
 * (the order of socket events may still differ).
 */
import { describe, expect, test } from 'vitest'
import { ErrorCode, Opcode, Version } from '../../src/cql/protocol.ts'
import { FakeClock } from '../support/fake-clock.ts'
import type { FakeCluster } from '../support/fake-cluster/cluster.ts'
import {
  type PreparedIds,
  readError,
  readTextRows,
} from '../support/fake-cluster/request-bodies.ts'
import { errorAnswer, rowsAnswer } from '../support/fake-cluster/results.ts'
import {
  closeSocket,
  delayUntil,
  proceed,
  type Reaction,
  type Received,
  resetSocket,
  respond,
  respondError,
} from '../support/fake-cluster/script.ts'
import type { Envelope } from '../support/fake-cluster/wire.ts'
import type { LogLine } from '../support/instance.ts'
import { eventually, type PlaneRig, someTurns, startPlane } from '../support/plane.ts'
import type { RawClient } from '../support/raw-client.ts'

const CLIENTS = 10
const ROUNDS = 12
const REQUESTS_PER_ROUND = 12
/** The request time-out, the sweep, and what a heal may add. */
const UNANSWERED_AFTER_MS = 60_000
const SEEDS =
  process.env['SIM_SEED'] === undefined
    ? [1, 20_260, 987_654_321]
    : [Number(process.env['SIM_SEED'])]

type Random = {
  /** An integer in [0, below). */
  below(below: number): number
  chance(probability: number): boolean
  pick<T>(items: readonly T[]): T
}

/** mulberry32: small, seeded, good enough to shake things. */
const randomOf = (seed: number): Random => {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (limit: number): number => Math.floor(next() * limit)
  return {
    below,
    chance: (probability) => next() < probability,
    pick: (items) => items[below(items.length)]!,
  }
}

const name = { keyspace: 'ks', table: 't' }
const tagged = (tag: string) =>
  rowsAnswer({ name, columns: [{ name: 'tag', type: 'varchar' }], rows: [[tag]] })

/** The tag of a request: in its text, or in the first value of a prepared statement. */
const tagOf = ({ text, values, children }: Received): string | undefined => {
  const texts = [text, ...(children ?? []).map((child) => child.text)]
  for (const candidate of texts) {
    const found = /tag-\d+/.exec(candidate ?? '')?.[0]
    if (found !== undefined) return found
  }
  const [value] = values ?? []
  return value instanceof Uint8Array ? Buffer.from(value).toString() : undefined
}

/** What a cluster does to requests: mostly answer, sometimes not. */
class Fate {
  /** How often each tag was executed. */
  readonly executed = new Map<string, number>()
  readonly #cluster: FakeCluster
  readonly #random: Random
  readonly #late = Promise.withResolvers<void>()
  isKind = false

  constructor(cluster: FakeCluster, random: Random) {
    this.#cluster = cluster
    this.#random = random
    const receive = cluster.onReceived.bind(cluster)
    cluster.onReceived = (received) => {
      receive(received)
      return this.#decide(received)
    }
  }

  /** What was withheld comes now. */
  release(): void {
    this.isKind = true
    this.#late.resolve()
  }

  #decide(received: Received): Reaction {
    const tag = tagOf(received)
    const isControlConnection = received.connection === 0
    if (isControlConnection || this.isKind) return this.#answer(received, tag)
    const random = this.#random
    if (tag === undefined) {
      // PREPARE, USE, STARTUP.
      if (random.chance(0.02)) return closeSocket()
      if (random.chance(0.02)) return delayUntil(this.#late.promise)
      return random.chance(0.1) ? delayUntil(someTurns(random.below(20))) : proceed()
    }
    if (random.chance(0.01)) return closeSocket()
    if (random.chance(0.005)) return resetSocket()
    if (random.chance(0.05)) return respondError(ErrorCode.UNAVAILABLE)
    if (random.chance(0.02)) this.#cluster.nodes[received.node]!.forgetPrepared()
    const answer = this.#answer(received, tag)
    if (random.chance(0.03)) return delayUntil(this.#late.promise, answer)
    return random.chance(0.3) ? delayUntil(someTurns(random.below(20)), answer) : answer
  }

  #answer(received: Received, tag: string | undefined): Reaction {
    if (tag === undefined) return proceed()
    const { prepared } = this.#cluster.nodes[received.node]!
    const ids = [received.statementId, ...(received.children ?? []).map((c) => c.statementId)]
    const unknown = ids.find((id) => id !== undefined && !prepared.has(id))
    if (unknown !== undefined) {
      return respond(errorAnswer(ErrorCode.UNPREPARED, 'unknown', Buffer.from(unknown, 'hex')))
    }
    this.executed.set(tag, (this.executed.get(tag) ?? 0) + 1)
    return respond(tagged(tag))
  }
}

type Asked = { readonly tag: string; readonly isWrite: boolean; readonly answer: Promise<Envelope> }
type Result = { readonly tag: string; readonly isWrite: boolean; readonly outcome: string }

/** One application's connection: asks at random, comes back when it was closed. */
class Application {
  readonly #rig: PlaneRig
  readonly #random: Random
  readonly #version: Version
  readonly #statements: PreparedIds[]
  readonly #nextTag: () => string
  #driver: RawClient | null = null

  constructor(rig: PlaneRig, random: Random, statements: PreparedIds[], nextTag: () => string) {
    this.#rig = rig
    this.#random = random
    this.#version = random.pick([Version.V3, Version.V4, Version.V5])
    this.#statements = statements
    this.#nextTag = nextTag
  }

  /** Until a handshake succeeds. */
  async connect(): Promise<void> {
    if (this.#driver !== null && !this.#driver.socket.destroyed) return
    for (;;) {
      const driver = await this.#rig.connect({ version: this.#version })
      this.#driver = driver
      const answer = await driver.handshake().catch(() => null)
      if (answer?.opcode === Opcode.READY) return
      await driver.close()
    }
  }

  async close(): Promise<void> {
    // Whatever nobody asked for would lie here.
    expect(this.#driver?.unread ?? []).toEqual([])
    await this.#driver?.close()
  }

  ask(): Asked {
    const random = this.#random
    const driver = this.#driver!
    const tag = this.#nextTag()
    const statement = this.#statements.length > 0 ? random.pick(this.#statements) : undefined
    const text = (verb: string): string => `${verb} /* ${tag} */`
    switch (random.below(8)) {
      case 0:
        driver.query(`USE ks${random.below(3)}`).catch(() => {})
        break
      case 1:
        driver
          .prepare(`INSERT INTO ks.t${random.below(10)} (k) VALUES (?)`)
          .then((prepared) => this.#statements.push(prepared))
          .catch(() => {})
        break
      case 2:
      case 3:
        if (statement === undefined) break
        return { tag, isWrite: true, answer: driver.execute(statement, { values: [tag] }) }
      case 4: {
        const child = { text: text('INSERT INTO ks.t (k) VALUES (1)') }
        const children = statement === undefined ? [child] : [{ id: statement.id }, child]
        return { tag, isWrite: true, answer: driver.batch(children) }
      }
      case 5:
        return { tag, isWrite: true, answer: driver.query(text('UPDATE ks.t SET v = 1')) }
    }
    return { tag, isWrite: false, answer: driver.query(text('SELECT * FROM ks.t')) }
  }
}

const outcomeOf = (envelope: Envelope): string => {
  try {
    if (envelope.opcode !== Opcode.ERROR) return readTextRows(envelope).rows[0]?.[0] ?? 'no tag'
    return `error 0x${readError(envelope).code.toString(16)}`
  } catch (error) {
    return `unreadable answer: ${error}`
  }
}

const resultOf = async ({ tag, isWrite, answer }: Asked): Promise<Result> => {
  const outcome = await answer.then(outcomeOf, () => 'closed')
  return { tag, isWrite, outcome }
}

/** Waits for all; time passes only when nothing happens any more. */
const settle = async (clock: FakeClock, asked: readonly Asked[]): Promise<Result[]> => {
  const open = new Set(asked)
  const results = Promise.all(
    asked.map(async (each) => {
      const result = await resultOf(each)
      open.delete(each)
      return result
    }),
  )
  const deadlineMs = clock.now() + UNANSWERED_AFTER_MS
  while (open.size > 0) {
    const before = open.size
    await someTurns(60)
    if (open.size === before) clock.advance(3_000)
    const tags = [...open].map(({ tag }) => tag).join(' ')
    if (clock.now() > deadlineMs) throw new Error(`no answer to ${tags}`)
  }
  return results
}

const ERRORS = new Set(
  [
    ErrorCode.UNAVAILABLE,
    ErrorCode.OVERLOADED,
    ErrorCode.READ_TIMEOUT,
    ErrorCode.WRITE_TIMEOUT,
    ErrorCode.SERVER_ERROR,
    // From a node that forgets faster than it can be taught.
    ErrorCode.UNPREPARED,
  ].map((code) => `error 0x${code.toString(16)}`),
)

const check = (result: Result, fates: readonly [Fate, Fate], primary: 0 | 1): void => {
  const { tag, isWrite, outcome } = result
  const times = fates.map(({ executed }) => executed.get(tag) ?? 0)
  const seen = { ...result, times }
  for (const count of times) expect(count, JSON.stringify(seen)).toBeLessThanOrEqual(1)
  if (outcome === 'closed' || ERRORS.has(outcome)) return
  expect(outcome, JSON.stringify(seen)).toBe(tag)
  const wanted = isWrite ? [1, 1] : primary === 0 ? [1, 0] : [0, 1]
  expect(times, JSON.stringify(seen)).toEqual(wanted)
}

const run = async (seed: number, upstreamConnections: 'shared' | 'per_client'): Promise<void> => {
  const random = randomOf(seed)
  const clock = new FakeClock()
  const primary = random.below(2) === 0 ? 0 : 1
  const rig = await startPlane({
    clock,
    origin: { nodes: 2 },
    target: { nodes: 3 },
    settings: { upstreamConnections, primaryCluster: primary === 0 ? 'ORIGIN' : 'TARGET' },
  })
  const fates = [new Fate(rig.origin, random), new Fate(rig.target, random)] as const
  const statements: PreparedIds[] = []
  let tags = 0
  const nextTag = (): string => `tag-${tags++}`
  const applications = Array.from(
    { length: CLIENTS },
    () => new Application(rig, random, statements, nextTag),
  )
  let answered = 0
  for (let round = 0; round < ROUNDS; round++) {
    const connecting = Promise.all(applications.map((application) => application.connect()))
    let isConnected = false
    void connecting.then(() => {
      isConnected = true
    })
    while (!isConnected) {
      await someTurns(30)
      if (!isConnected) clock.advance(500)
    }
    const asked = applications.flatMap((application) =>
      Array.from({ length: REQUESTS_PER_ROUND }, () => application.ask()),
    )
    const results = await settle(clock, asked)
    for (const result of results) check(result, fates, primary)
    answered += results.filter(({ outcome }) => outcome !== 'closed').length
    clock.advance(300)
  }
  // A simulation in which nothing works would prove nothing.
  expect(answered).toBeGreaterThan((CLIENTS * ROUNDS * REQUESTS_PER_ROUND) / 4)
  for (const fate of fates) fate.release()
  await rig.idle()
  for (const application of applications) await application.close()
  await eventually(() => rig.series().clientConnections === 0)
  await rig.idle()
  const { inflight, clientsClosed } = rig.series()
  expect(inflight).toEqual({ readsOrigin: 0, readsTarget: 0, writes: 0 })
  expect({ ...clientsClosed, handshakeTimeout: 0 }).toEqual({
    slow: 0,
    handshakeTimeout: 0,
    protocolError: 0,
    limit: 0,
    addressLimit: 0,
    accept: 0,
    internalError: 0,
    tlsHandshake: 0,
  })
  expect(rig.plane.waitingForUpstream.size).toBe(0)
  // Nodes are lost on purpose, and clients turned away for it; a fault of the proxy's own is another thing.
  const isFault = ({ level, code }: LogLine): boolean =>
    level === 'error' && !code.startsWith('CLUSTER_')
  expect(rig.log.filter(isFault)).toEqual([])
  clock.advance(60_000)
  expect(rig.plane.profiles.size).toBe(0)
  await eventually(() => rig.series().nodes.every(({ connections }) => connections === 0))
}

describe.each(['shared', 'per_client'] as const)('%s', (upstreamConnections) => {
  test.each(SEEDS)('seed %i', { timeout: 60_000 }, async (seed) => {
    await run(seed, upstreamConnections)
  })
})
