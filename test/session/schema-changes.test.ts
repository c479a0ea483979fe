/** A schema change is answered when the clusters that have made it agree on it, and not before. */
import { describe, expect, test } from 'vitest'
import { ErrorCode, ResultKind, Version, versionTraits } from '../../src/cql/protocol.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { readError, resultKind } from '../support/fake-cluster/request-bodies.ts'
import { type Cell, schemaChangeAnswer } from '../support/fake-cluster/results.ts'
import { respond, respondError } from '../support/fake-cluster/script.ts'
import { uuidOf } from '../support/fake-cluster/system-tables.ts'
import { type Rig, type RigOptions, startRig } from '../support/instance.ts'
import { eventually, someTurns } from '../support/plane.ts'
import type { RawClient } from '../support/raw-client.ts'

const CREATE = 'CREATE TABLE ks.t (k int PRIMARY KEY)'
const LOCAL_READ = 'SELECT * FROM system.local'

/** A node whose schema version a test can change. */
type TestNode = { readonly cells: Record<string, Cell> }

const nodeWith = (version: string): TestNode => ({ cells: { schema_version: uuidOf(version) } })

const setVersion = (nodes: readonly TestNode[], version: string): void => {
  for (const { cells } of nodes) cells['schema_version'] = uuidOf(version)
}

type SchemaRig = Rig & {
  readonly clock: FakeClock
  readonly originNodes: readonly TestNode[]
  readonly targetNodes: readonly TestNode[]
  reads(cluster: 'origin' | 'target'): number
  /** Moves the clock on in steps that let sockets answer. */
  pass(ms: number): Promise<void>
}

const startSchemaRig = async (options: RigOptions = {}): Promise<SchemaRig> => {
  const clock = new FakeClock()
  const originNodes = [nodeWith('old'), nodeWith('old')]
  const targetNodes = [nodeWith('old'), nodeWith('old')]
  const rig = await startRig({
    ...options,
    clock,
    origin: { nodes: originNodes, ...options.origin },
    target: { nodes: targetNodes, ...options.target },
  })
  return {
    ...rig,
    clock,
    originNodes,
    targetNodes,
    reads: (cluster) => rig[cluster].received.filter(({ text }) => text === LOCAL_READ).length,
    pass: async (ms) => {
      for (let passed = 0; passed < ms; passed += 50) {
        await someTurns(10)
        clock.advance(50)
      }
      await someTurns()
    },
  }
}

/** What a cluster answers to CREATE, in the client's version. */
const acceptsCreate = (cluster: Rig['origin'], version: Version): void => {
  const answer = schemaChangeAnswer(versionTraits(version)!)
  cluster.on({ text: /^CREATE/ }, respond(answer))
}

/** Whether the request has been answered by now. */
const isAnswered = async (answer: Promise<unknown>): Promise<boolean> => {
  let is = false
  void answer.then(() => {
    is = true
  })
  await someTurns()
  return is
}

const shownVersion = async (client: RawClient): Promise<string> => {
  const { body } = await client.query("SELECT schema_version FROM system.local WHERE key='local'")
  return Buffer.from(body).subarray(-16).toString('hex')
}

const hexOf = (version: string): string => uuidOf(version).replaceAll('-', '')

describe.each([Version.V2, Version.V3, Version.V4, Version.V5])('v%i', (version) => {
  const speaks = { minVersion: Version.V2 }

  test('is held until the nodes of both clusters agree', async () => {
    const rig = await startSchemaRig({ origin: speaks, target: speaks })
    const client = await rig.client(version)
    for (const cluster of [rig.origin, rig.target]) acceptsCreate(cluster, version)
    // The nodes that were asked have it, their peers not yet.
    setVersion(rig.originNodes.slice(0, 1), 'new')
    setVersion(rig.targetNodes.slice(0, 1), 'new')
    const created = client.query(CREATE)
    await rig.pass(1000)
    expect(await isAnswered(created)).toBe(false)
    // The connection serves on.
    expect(resultKind(await client.query('SELECT * FROM ks.u'))).toBe(ResultKind.ROWS)
    setVersion(rig.originNodes, 'new')
    await rig.pass(400)
    expect(await isAnswered(created)).toBe(false)
    setVersion(rig.targetNodes, 'new')
    await rig.pass(400)
    expect(resultKind(await created)).toBe(ResultKind.SCHEMA_CHANGE)
    expect(await shownVersion(client)).toBe(hexOf('new'))
  })
})

describe('a schema change', () => {
  test.each([undefined, 'lz4', 'snappy'] as const)(
    'costs one read where there is one node (compression: %s)',
    async (compression) => {
      const compressions = compression === undefined ? [] : [compression]
      const originNodes = [nodeWith('old')]
      const rig = await startSchemaRig({
        origin: { nodes: originNodes, compressions },
        target: { nodes: 1, compressions },
      })
      const client = await rig.connect({
        version: Version.V4,
        ...(compression === undefined ? {} : { compression }),
      })
      await client.handshake()
      for (const cluster of [rig.origin, rig.target]) acceptsCreate(cluster, Version.V4)
      expect(await shownVersion(client)).toBe(hexOf('old'))
      const before = [rig.reads('origin'), rig.reads('target')]
      setVersion(originNodes, 'new')
      expect(resultKind(await client.query(CREATE))).toBe(ResultKind.SCHEMA_CHANGE)
      expect([rig.reads('origin'), rig.reads('target')]).toEqual(before.map((count) => count + 1))
      expect(await shownVersion(client)).toBe(hexOf('new'))
    },
  )

  test('that is never agreed on is answered after 10 s, and the log says so', async () => {
    const rig = await startSchemaRig({ settings: { proxyRequestTimeoutMs: 2_000 } })
    const client = await rig.client()
    for (const cluster of [rig.origin, rig.target]) acceptsCreate(cluster, Version.V4)
    setVersion(rig.originNodes, 'new')
    setVersion(rig.targetNodes.slice(0, 1), 'new')
    const created = client.query(CREATE)
    await rig.pass(9_500)
    expect(await isAnswered(created)).toBe(false)
    await rig.pass(1_000)
    expect(resultKind(await created)).toBe(ResultKind.SCHEMA_CHANGE)
    const said = rig.log.filter(({ code }) => code === 'SCHEMA_DISAGREEMENT')
    expect(said).toMatchObject([{ level: 'warn', cluster: 'target' }])
  })

  test('does not wait for a node that is down', async () => {
    const rig = await startSchemaRig()
    const client = await rig.client()
    for (const cluster of [rig.origin, rig.target]) acceptsCreate(cluster, Version.V4)
    await rig.target.nodes[1]!.stopListening()
    setVersion(rig.originNodes, 'new')
    setVersion(rig.targetNodes.slice(0, 1), 'new')
    const created = client.query(CREATE)
    // What the tables tell of it is a disagreement at first.
    expect(await isAnswered(created)).toBe(false)
    await rig.pass(600)
    expect(resultKind(await created)).toBe(ResultKind.SCHEMA_CHANGE)
    expect(rig.log.map(({ code }) => code)).not.toContain('SCHEMA_DISAGREEMENT')
  })

  test('that one cluster refuses is answered at once', async () => {
    const rig = await startSchemaRig()
    const client = await rig.client()
    acceptsCreate(rig.origin, Version.V4)
    rig.target.on({ text: /^CREATE/ }, respondError(ErrorCode.ALREADY_EXISTS))
    setVersion(rig.originNodes.slice(0, 1), 'new')
    expect(readError(await client.query(CREATE)).code).toBe(ErrorCode.ALREADY_EXISTS)
  })

  test('that changes nothing is answered at once', async () => {
    const rig = await startSchemaRig()
    const client = await rig.client()
    setVersion(rig.originNodes.slice(0, 1), 'new')
    expect(resultKind(await client.query('CREATE TABLE IF NOT EXISTS ks.t'))).toBe(ResultKind.VOID)
  })

  test('that one cluster alone makes waits for that one', async () => {
    const rig = await startSchemaRig()
    await rig.instance.setRouting({
      ...rig.instance.routing,
      revision: 1,
      writeMode: 'target_only',
    })
    const client = await rig.client()
    acceptsCreate(rig.target, Version.V4)
    setVersion([rig.originNodes[0]!, rig.targetNodes[0]!], 'new')
    const created = client.query(CREATE)
    await rig.pass(400)
    expect(await isAnswered(created)).toBe(false)
    setVersion(rig.targetNodes, 'new')
    await rig.pass(400)
    expect(resultKind(await created)).toBe(ResultKind.SCHEMA_CHANGE)
  })

  test('that was prepared is held too', async () => {
    const rig = await startSchemaRig()
    const client = await rig.client()
    const prepared = await client.prepare('DROP TABLE ks.t')
    const answer = schemaChangeAnswer(versionTraits(Version.V4)!)
    for (const cluster of [rig.origin, rig.target]) {
      cluster.on({ text: /^DROP/ }, respond(answer))
    }
    setVersion(rig.originNodes.slice(0, 1), 'new')
    setVersion(rig.targetNodes, 'new')
    const dropped = client.execute(prepared)
    await rig.pass(400)
    expect(await isAnswered(dropped)).toBe(false)
    setVersion(rig.originNodes, 'new')
    await rig.pass(400)
    expect(resultKind(await dropped)).toBe(ResultKind.SCHEMA_CHANGE)
  })

  test('is still answered to a client while the instance drains', async () => {
    const rig = await startSchemaRig({ settings: { shutdownTimeoutMs: 5_000 } })
    const client = await rig.client()
    for (const cluster of [rig.origin, rig.target]) acceptsCreate(cluster, Version.V4)
    setVersion(rig.originNodes.slice(0, 1), 'new')
    const created = client.query(CREATE)
    await eventually(() => rig.reads('target') > 1)
    const stopped = rig.stop()
    await rig.pass(400)
    setVersion([...rig.originNodes, ...rig.targetNodes], 'new')
    await rig.pass(400)
    expect(resultKind(await created)).toBe(ResultKind.SCHEMA_CHANGE)
    await Promise.all([client.closed, stopped])
  })

  test('crosses from the thread of its client to the control plane', {
    timeout: 60_000,
  }, async () => {
    const originNodes = [nodeWith('old'), nodeWith('old')]
    const rig = await startRig({
      origin: { nodes: originNodes },
      settings: { dataPlaneThreads: 2 },
    })
    const client = await rig.client()
    for (const cluster of [rig.origin, rig.target]) acceptsCreate(cluster, Version.V4)
    setVersion(originNodes.slice(0, 1), 'new')
    const reads = (): number => rig.origin.received.filter(({ text }) => text === LOCAL_READ).length
    const created = client.query(CREATE)
    await eventually(() => reads() > 2)
    expect(await isAnswered(created)).toBe(false)
    setVersion(originNodes, 'new')
    expect(resultKind(await created)).toBe(ResultKind.SCHEMA_CHANGE)
    expect(await shownVersion(client)).toBe(hexOf('new'))
  })
})
