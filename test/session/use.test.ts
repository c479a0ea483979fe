/** USE moves one session to connections that are in the keyspace (architecture §2.3). */
import { describe, expect, test } from 'vitest'
import { ErrorCode, Opcode, ResultKind, Version } from '../../src/cql/protocol.ts'
import { FakeClock } from '../support/fake-clock.ts'
import type { FakeCluster } from '../support/fake-cluster/cluster.ts'
import { readError, readSetKeyspace, resultKind } from '../support/fake-cluster/request-bodies.ts'
import { closeSocket, delay, drop, respondError } from '../support/fake-cluster/script.ts'
import { eventually, type PlaneRig, startPlane } from '../support/plane.ts'

const WRITE = 'INSERT INTO t (k) VALUES (1)'

/** The keyspaces in which a cluster saw this statement, in order. */
const keyspacesOf = (cluster: FakeCluster, text: string): (string | undefined)[] =>
  cluster.received.filter((request) => request.text === text).map(({ keyspace }) => keyspace)

const openConnections = (rig: PlaneRig, cluster: 'origin' | 'target'): number =>
  rig
    .series()
    .nodes.filter((node) => node.cluster === cluster)
    .reduce((sum, { connections }) => sum + connections, 0)

const BOTH = (['shared', 'per_client'] as const).flatMap((connections) =>
  [Version.V3, Version.V5].map((version) => ({ connections, version })),
)

describe.each(BOTH)('$connections, v$version', ({ connections, version }) => {
  const start = (): Promise<PlaneRig> =>
    startPlane({ settings: { upstreamConnections: connections } })

  const SPELLINGS = [
    ['USE ks1', 'ks1'],
    ['use KS1;', 'ks1'],
    ['USE "KS1"', 'KS1'],
    ['USE "a""b"', 'a"b'],
    ['/* USE other */ USE -- ?\n ks1', 'ks1'],
    ['USE "system"', 'system'],
  ] as const

  test.each(SPELLINGS)('%s', async (text, keyspace) => {
    const rig = await start()
    const driver = await rig.client(version)
    expect(readSetKeyspace(await driver.query(text))).toBe(keyspace)
    await driver.query(WRITE)
    for (const cluster of [rig.origin, rig.target]) {
      expect(keyspacesOf(cluster, WRITE)).toEqual([keyspace])
    }
    await rig.idle()
  })

  test('other sessions stay where they are', async () => {
    const rig = await start()
    const [one, two, three] = [
      await rig.client(version),
      await rig.client(version),
      await rig.client(version, { keyspace: 'ks2' }),
    ]
    await one.query('USE ks1')
    for (const driver of [one, two, three, one]) await driver.query(WRITE)
    for (const cluster of [rig.origin, rig.target]) {
      expect(keyspacesOf(cluster, WRITE)).toEqual(['ks1', undefined, 'ks2', 'ks1'])
    }
  })

  test('a prepared USE moves the session as well', async () => {
    const rig = await start()
    const driver = await rig.client(version)
    const prepared = await driver.prepare('USE ks1')
    expect(readSetKeyspace(await driver.execute(prepared))).toBe('ks1')
    await driver.query(WRITE)
    expect(keyspacesOf(rig.origin, WRITE)).toEqual(['ks1'])
    expect(keyspacesOf(rig.target, WRITE)).toEqual(['ks1'])
  })

  test.each(['origin', 'target'] as const)(
    'a keyspace that only %s lacks: its error, and the session stays on both',
    async (lacking) => {
      const rig = await startPlane({
        settings: { upstreamConnections: connections },
        [lacking]: { keyspaces: ['ks1'] },
      })
      const driver = await rig.client(version, { keyspace: 'ks1' })
      const error = readError(await driver.query('USE ks2'))
      expect(error).toMatchObject({ code: ErrorCode.INVALID })
      expect(error.message).toContain("'ks2' does not exist")
      await driver.query(WRITE)
      for (const cluster of [rig.origin, rig.target]) {
        expect(keyspacesOf(cluster, WRITE)).toEqual(['ks1'])
      }
      await rig.idle()
    },
  )

  test('a request of the old keyspace in flight ends there', async () => {
    const rig = await start()
    const driver = await rig.client(version, { keyspace: 'ks1' })
    const held = delay()
    rig.target.on({ text: /INSERT/, times: 1 }, held)
    const write = driver.query(WRITE)
    await rig.target.waitFor(({ text }) => text === WRITE)
    expect(readSetKeyspace(await driver.query('USE ks2'))).toBe('ks2')
    held.release()
    expect(resultKind(await write)).toBe(ResultKind.VOID)
    await rig.idle()
  })
})

test('sessions in the same keyspace share its connections', async () => {
  const rig = await startPlane()
  for (let i = 0; i < 10; i++) await rig.client(4, { keyspace: `ks${i % 2}` })
  // One for those that are in no keyspace yet, one for each keyspace.
  expect(openConnections(rig, 'origin')).toBe(3)
  expect(openConnections(rig, 'target')).toBe(3)
})

test('per client, the connections of the old keyspace are closed', async () => {
  const rig = await startPlane({ settings: { upstreamConnections: 'per_client' } })
  const driver = await rig.client()
  for (const keyspace of ['ks1', 'ks2', 'ks1', 'ks1']) await driver.query(`USE ${keyspace}`)
  await eventually(
    () => openConnections(rig, 'origin') === 1 && openConnections(rig, 'target') === 1,
  )
  expect(resultKind(await driver.query(WRITE))).toBe(ResultKind.VOID)
})

test.each(['USE', 'USE 1', 'USE ks1 ks2', 'USE ""', 'USE ks1; SELECT'])(
  '"%s" is a syntax error and changes nothing',
  async (text) => {
    const rig = await startPlane()
    const driver = await rig.client(4, { keyspace: 'ks1' })
    expect(readError(await driver.query(text)).code).toBe(ErrorCode.SYNTAX_ERROR)
    await driver.query(WRITE)
    expect(keyspacesOf(rig.origin, WRITE)).toEqual(['ks1'])
  },
)

test.each(['ORIGIN', 'TARGET'] as const)(
  'primary %s: one cluster refuses the statement itself, its error wins',
  async (primaryCluster) => {
    const rig = await startPlane({ settings: { primaryCluster } })
    const driver = await rig.client(4, { keyspace: 'ks1' })
    rig.target.on({ text: /^USE ks2/ }, respondError(ErrorCode.UNAUTHORIZED, 'not you'))
    expect(readError(await driver.query('USE ks2')).message).toBe('not you')
    await driver.query(WRITE)
    expect(keyspacesOf(rig.origin, WRITE)).toEqual(['ks1'])
  },
)

describe('a USE that gets no answer', () => {
  test.each(['USE ks1', 'STARTUP'])(
    'to its %s on Target: a time-out that names it',
    async (step) => {
      const clock = new FakeClock()
      const rig = await startPlane({ clock })
      const driver = await rig.client()
      rig.clear()
      if (step === 'STARTUP') rig.target.on({ opcode: Opcode.STARTUP }, drop())
      else rig.target.on({ text: /^USE ks1$/ }, drop())
      const answer = driver.query('USE ks1')
      await rig.target.waitFor(({ text, opcode }) =>
        step === 'STARTUP' ? opcode === Opcode.STARTUP : text === step,
      )
      await rig.origin.waitFor(({ text }) => text === (step === 'STARTUP' ? 'USE "ks1"' : step))
      await eventually(() => rig.used('origin') === 0)
      clock.advance(11_000)
      const error = readError(await answer)
      expect(error.code).toBe(ErrorCode.SERVER_ERROR)
      expect(error.message).toContain('Target')
      expect(resultKind(await driver.query(WRITE))).toBe(ResultKind.VOID)
      expect(keyspacesOf(rig.origin, WRITE)).toEqual([undefined])
    },
  )

  test('with proxy_timeout_reply none: silence, and the keyspace is given back', async () => {
    const clock = new FakeClock()
    const rig = await startPlane({ clock, settings: { proxyTimeoutReply: 'none' } })
    const driver = await rig.client()
    rig.target.on({ text: /^USE ks1$/ }, drop())
    void driver.query('USE ks1')
    await rig.target.waitFor(({ text }) => text === 'USE ks1')
    expect(rig.plane.profiles.size).toBe(2)
    clock.advance(11_000)
    expect(resultKind(await driver.query(WRITE))).toBe(ResultKind.VOID)
    clock.advance(31_000)
    expect(rig.plane.profiles.size).toBe(1)
    expect(driver.unread).toEqual([])
  })

  test('for the connection is lost: an error', async () => {
    const rig = await startPlane()
    const driver = await rig.client()
    rig.target.on({ text: /^USE ks1$/ }, closeSocket())
    const error = readError(await driver.query('USE ks1'))
    expect(error.code).toBe(ErrorCode.OVERLOADED)
    expect(error.message).toContain('Target')
  })

  test('and whose client has gone gives the keyspace back', async () => {
    const clock = new FakeClock()
    const rig = await startPlane({ clock })
    const driver = await rig.client()
    const held = delay()
    rig.target.on({ text: /^USE ks1$/ }, held)
    void driver.query('USE ks1')
    await rig.target.waitFor(({ text }) => text === 'USE ks1')
    await driver.close()
    await eventually(() => rig.series().clientConnections === 0)
    held.release()
    await rig.idle()
    clock.advance(31_000)
    expect(rig.plane.profiles.size).toBe(0)
  })
})
