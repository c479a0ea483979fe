/** PREPAREs of the same statement at the same time, as at an application's start: one round trip per node. */
import { describe, expect, test } from 'vitest'
import { EnvelopeFlag, ErrorCode, Opcode, ResultKind, Version } from '../../src/cql/protocol.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import { JOINABLE_MS } from '../../src/upstream/shared-calls.ts'
import { FakeClock } from '../support/fake-clock.ts'
import type { Authenticator } from '../support/fake-cluster/answers.ts'
import type { FakeCluster } from '../support/fake-cluster/cluster.ts'
import {
  prepareBody,
  readError,
  readPrepared,
  resultKind,
} from '../support/fake-cluster/request-bodies.ts'
import { closeSocket, delay, drop, respondError } from '../support/fake-cluster/script.ts'
import type { Envelope } from '../support/fake-cluster/wire.ts'
import { eventually, type PlaneRig, type PlaneRigOptions, startPlane } from '../support/plane.ts'
import type { RawClient, SendOptions } from '../support/raw-client.ts'

const INSERT = 'INSERT INTO ks.t (k, v) VALUES (?, ?)'
const TIMEOUT_MS = 10_000
const CLIENTS = 100

const USERS: Authenticator = {
  name: 'org.apache.cassandra.auth.PasswordAuthenticator',
  credentials: { one: 'first', two: 'second' },
}

const preparesOn = (cluster: FakeCluster): readonly { text?: string; node: number }[] =>
  cluster.received.filter(({ opcode }) => opcode === Opcode.PREPARE)

const counts = ({ origin, target }: PlaneRig): number[] =>
  [origin, target].map((cluster) => preparesOn(cluster).length)

const clients = (rig: PlaneRig, count: number, version: Version = Version.V4) =>
  Promise.all(Array.from({ length: count }, () => rig.client(version)))

type Asked = {
  readonly driver: RawClient
  readonly body?: Uint8Array
  readonly options?: SendOptions
}

/** Resolves when the proxy has taken all PREPAREs; the clusters hold their answers until then. */
const askAll = async (
  asked: readonly Asked[],
): Promise<{ readonly answers: Promise<Envelope[]> }> => {
  const answers = Promise.all(
    asked.map(({ driver, body, options }) =>
      driver.request(Opcode.PREPARE, body ?? prepareBody(driver.version, INSERT), options),
    ),
  )
  // A client may leave before its answer comes.
  answers.catch(() => {})
  // What the proxy answers itself comes back when what stands before it was taken.
  const drivers = [...new Set(asked.map(({ driver }) => driver))]
  await Promise.all(drivers.map((driver) => driver.request(Opcode.OPTIONS, new Uint8Array(0))))
  return { answers }
}

/** Both clusters hold every PREPARE until the release. */
const holdPrepares = (rig: PlaneRig): { release(): void } => {
  const held = [delay(), delay()] as const
  rig.origin.on({ opcode: Opcode.PREPARE }, held[0])
  rig.target.on({ opcode: Opcode.PREPARE }, held[1])
  const release = (): void => {
    for (const each of held) each.release()
  }
  return { release }
}

const askAllAtOnce = async (rig: PlaneRig, asked: readonly Asked[]): Promise<Envelope[]> => {
  const held = holdPrepares(rig)
  const { answers } = await askAll(asked)
  held.release()
  return answers
}

describe.each([Version.V3, Version.V4, Version.V5])('v%i', (version) => {
  test('a hundred clients: each cluster gets one PREPARE, each client its own answer', async () => {
    const rig = await startPlane()
    const drivers = await clients(rig, CLIENTS, version)
    const asked = drivers.map((driver, at) => ({ driver, options: { streamId: 1000 + at } }))
    const answers = await askAllAtOnce(rig, asked)
    expect(counts(rig)).toEqual([1, 1])
    expect(answers.map(({ streamId }) => streamId)).toEqual(drivers.map((_, at) => 1000 + at))
    const executed = await Promise.all(
      drivers.map((driver, at) => driver.execute(readPrepared(answers[at]!))),
    )
    expect(executed.map(resultKind)).toEqual(drivers.map(() => ResultKind.VOID))
    expect(drivers.flatMap(({ unread }) => unread)).toEqual([])
    expect(counts(rig)).toEqual([1, 1])
    await rig.idle()
  })

  test('one client that asks several times gets as many answers', async () => {
    const rig = await startPlane()
    const driver = await rig.client(version)
    const answers = await askAllAtOnce(rig, Array(5).fill({ driver }))
    expect(answers.map(resultKind)).toEqual(Array(5).fill(ResultKind.PREPARED))
    expect(counts(rig)).toEqual([1, 1])
    await rig.idle()
  })
})

test('every node that clients use gets one PREPARE of its own', async () => {
  const rig = await startPlane({ target: { nodes: 2 } })
  const drivers = await clients(rig, 10)
  await askAllAtOnce(
    rig,
    drivers.map((driver) => ({ driver })),
  )
  expect(preparesOn(rig.origin)).toHaveLength(1)
  expect(preparesOn(rig.target).map(({ node }) => node)).toEqual([0, 1])
})

test('one after the other: each is asked for', async () => {
  const rig = await startPlane()
  const [one, other] = await clients(rig, 2)
  await one!.prepare(INSERT)
  await other!.prepare(INSERT)
  expect(counts(rig)).toEqual([2, 2])
})

describe('with functions replaced', () => {
  const NOW = 'INSERT INTO ks.t (k, v) VALUES (?, now())'
  const MARKERS = 'INSERT INTO ks.t (k, v) VALUES (?, ?)'
  const start = (bindType: 'uuid' | 'varchar') =>
    startPlane({
      settings: { replaceCqlFunctions: true },
      origin: { bindType },
      target: { bindType },
    })

  test('the changed text is prepared once', async () => {
    const rig = await start('uuid')
    const drivers = await clients(rig, 10)
    const asked = drivers.map((driver) => ({ driver, body: prepareBody(driver.version, NOW) }))
    const answers = await askAllAtOnce(rig, asked)
    expect(answers.map(resultKind)).toEqual(drivers.map(() => ResultKind.PREPARED))
    for (const cluster of [rig.origin, rig.target]) {
      expect(preparesOn(cluster).map(({ text }) => text)).toEqual([MARKERS])
    }
    const ids = answers.map((answer) => Buffer.from(readPrepared(answer).id).toString('hex'))
    expect(new Set(ids).size).toBe(1)
    await rig.idle()
  })

  test('where the clusters do not take it, the clients’ own is prepared once', async () => {
    const rig = await start('varchar')
    const drivers = await clients(rig, 10)
    const asked = drivers.map((driver) => ({ driver, body: prepareBody(driver.version, NOW) }))
    const answers = await askAllAtOnce(rig, asked)
    expect(answers.map(resultKind)).toEqual(drivers.map(() => ResultKind.PREPARED))
    for (const cluster of [rig.origin, rig.target]) {
      expect(preparesOn(cluster).map(({ text }) => text)).toEqual([MARKERS, NOW])
    }
    await rig.idle()
  })
})

describe('what goes wrong', () => {
  test('a refusal is shared by those who waited for it, and by nobody after them', async () => {
    const rig = await startPlane()
    const drivers = await clients(rig, 10)
    const held = delay(respondError(ErrorCode.INVALID, 'no such table'))
    rig.target.on({ opcode: Opcode.PREPARE, times: 1 }, held)
    const { answers } = await askAll(drivers.map((driver) => ({ driver })))
    held.release()
    for (const answer of await answers) {
      expect(readError(answer)).toEqual({ code: ErrorCode.INVALID, message: 'no such table' })
    }
    expect(preparesOn(rig.target)).toHaveLength(1)
    const prepared = await drivers[0]!.prepare(INSERT)
    expect(resultKind(await drivers[1]!.execute(prepared))).toBe(ResultKind.VOID)
    await rig.idle()
  })

  test('a time-out is everybody’s; who asks afterwards is served', async () => {
    const clock = new FakeClock()
    const rig = await startPlane({ clock })
    const drivers = await clients(rig, 3)
    rig.target.on({ opcode: Opcode.PREPARE, times: 1 }, drop())
    const { answers } = await askAll(drivers.map((driver) => ({ driver })))
    await rig.target.waitFor(({ opcode }) => opcode === Opcode.PREPARE)
    await eventually(() => rig.used('origin') === 0)
    clock.advance(TIMEOUT_MS + 500)
    for (const answer of await answers) {
      const { code, message } = readError(answer)
      expect(code).toBe(ErrorCode.SERVER_ERROR)
      expect(message).toMatch(/Target.*did not answer PREPARE within 10000 ms/)
    }
    await drivers[0]!.prepare(INSERT)
    expect(drivers.flatMap(({ unread }) => unread)).toEqual([])
  })

  test('one that takes long may be stuck: who comes later is not made to wait for it', async () => {
    const clock = new FakeClock()
    const rig = await startPlane({ clock })
    const drivers = await clients(rig, 2)
    const held = delay()
    rig.target.on({ opcode: Opcode.PREPARE, times: 1 }, held)
    const { answers } = await askAll([{ driver: drivers[0]! }])
    await rig.target.waitFor(({ opcode }) => opcode === Opcode.PREPARE)
    clock.advance(JOINABLE_MS + 1)
    await drivers[1]!.prepare(INSERT)
    held.release()
    expect((await answers).map(resultKind)).toEqual([ResultKind.PREPARED])
    expect(preparesOn(rig.target)).toHaveLength(2)
    await rig.idle()
  })

  test('the connection is lost: everybody gets an error, and all is well afterwards', async () => {
    const rig = await startPlane()
    const drivers = await clients(rig, 5)
    rig.target.on({ opcode: Opcode.PREPARE, times: 1 }, delay())
    const { answers } = await askAll(drivers.map((driver) => ({ driver })))
    await rig.target.waitFor(({ opcode }) => opcode === Opcode.PREPARE)
    rig.target.on({ text: /the end/ }, closeSocket())
    void drivers[0]!.query('DELETE FROM ks.t -- the end')
    for (const answer of await answers) {
      const { code, message } = readError(answer)
      expect(code).toBe(ErrorCode.OVERLOADED)
      expect(message).toContain('Target')
    }
    const body = prepareBody(Version.V4, INSERT)
    let again = await drivers[1]!.request(Opcode.PREPARE, body)
    while (again.opcode === Opcode.ERROR) {
      expect(readError(again).message).toContain('no connection is ready')
      again = await drivers[1]!.request(Opcode.PREPARE, body)
    }
    expect(resultKind(await drivers[2]!.execute(readPrepared(again)))).toBe(ResultKind.VOID)
    await rig.idle()
  })

  test('the client that was first leaves: the others get their answers', async () => {
    const rig = await startPlane()
    const drivers = await clients(rig, 5)
    const held = holdPrepares(rig)
    await askAll([{ driver: drivers[0]! }])
    const { answers } = await askAll(drivers.slice(1).map((driver) => ({ driver })))
    await drivers[0]!.close()
    await eventually(() => rig.series().clientConnections === 4)
    held.release()
    expect((await answers).map(resultKind)).toEqual(Array(4).fill(ResultKind.PREPARED))
    expect(counts(rig)).toEqual([1, 1])
    await rig.idle()
  })
})

type Pair = {
  readonly name: string
  readonly options?: PlaneRigOptions
  /** Two PREPAREs that must not share an answer. */
  readonly asked: (rig: PlaneRig) => Promise<readonly Asked[]>
}

const both = async (
  rig: PlaneRig,
  change: (driver: RawClient) => Omit<Asked, 'driver'>,
): Promise<readonly Asked[]> => {
  const [one, other] = await clients(rig, 2)
  return [{ driver: one! }, { driver: other!, ...change(other!) }]
}

const withPayload = (driver: RawClient): Uint8Array => {
  const payload = new BodyWriter().writeShort(1).writeString('request-id')
  payload.writeBytes(Buffer.from('1')).writeRaw(prepareBody(driver.version, INSERT))
  return payload.toBytes()
}

const PAIRS: readonly Pair[] = [
  {
    name: 'another text',
    asked: (rig) => both(rig, ({ version }) => ({ body: prepareBody(version, `${INSERT} `) })),
  },
  {
    name: 'another keyspace',
    asked: async (rig) => [
      { driver: await rig.client(Version.V4, { keyspace: 'ks1' }) },
      { driver: await rig.client(Version.V4, { keyspace: 'ks2' }) },
    ],
  },
  {
    name: 'another keyspace of its own (v5)',
    asked: async (rig) => {
      const [one, other] = await clients(rig, 2, Version.V5)
      return [
        { driver: one!, body: prepareBody(Version.V5, INSERT, 'ks1') },
        { driver: other!, body: prepareBody(Version.V5, INSERT, 'ks2') },
      ]
    },
  },
  {
    name: 'another protocol version',
    asked: async (rig) => [
      { driver: await rig.client(Version.V4) },
      { driver: await rig.client(Version.V3) },
    ],
  },
  {
    name: 'another user',
    options: {
      target: { authenticator: USERS },
      settings: { targetUsername: 'one', targetPassword: 'first' },
    },
    asked: async (rig) => [
      { driver: await rig.client(4, { credentials: { username: 'one', password: 'first' } }) },
      { driver: await rig.client(4, { credentials: { username: 'two', password: 'second' } }) },
    ],
  },
  {
    name: 'an option of STARTUP',
    asked: async (rig) => [
      { driver: await rig.client(Version.V4) },
      { driver: await rig.client(Version.V4, { startupOptions: { NO_COMPACT: 'true' } }) },
    ],
  },
  {
    name: 'a custom payload',
    asked: (rig) =>
      both(rig, (driver) => ({
        body: withPayload(driver),
        options: { flags: EnvelopeFlag.CUSTOM_PAYLOAD },
      })),
  },
  {
    name: 'connections of one’s own',
    options: { settings: { upstreamConnections: 'per_client' } },
    asked: (rig) => both(rig, () => ({})),
  },
]

describe('not shared', () => {
  test.each(PAIRS)('$name', async ({ options, asked }) => {
    const rig = await startPlane(options)
    const answers = await askAllAtOnce(rig, await asked(rig))
    expect(answers.map(resultKind)).toEqual([ResultKind.PREPARED, ResultKind.PREPARED])
    expect(counts(rig)).toEqual([2, 2])
    await rig.idle()
  })

  test('tracing: each answer has its own trace', async () => {
    const rig = await startPlane()
    const [one, other] = await clients(rig, 2)
    const traced = { options: { flags: EnvelopeFlag.TRACING } }
    await askAllAtOnce(rig, [
      { driver: one!, ...traced },
      { driver: other!, ...traced },
    ])
    expect(counts(rig)).toEqual([2, 2])
  })

  test('custom payloads that are equal: they may be the name of one request', async () => {
    const rig = await startPlane()
    const drivers = await clients(rig, 2)
    const options = { flags: EnvelopeFlag.CUSTOM_PAYLOAD }
    await askAllAtOnce(
      rig,
      drivers.map((driver) => ({ driver, body: withPayload(driver), options })),
    )
    expect(counts(rig)).toEqual([2, 2])
  })
})
