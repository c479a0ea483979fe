/** Which cluster sees what (request-path §2.2, §2.3), over both primaries and both system modes. */
import { describe, expect, test } from 'vitest'
import { Opcode, ResultKind, Version, versionTraits } from '../../src/cql/protocol.ts'
import { registerBody, resultKind } from '../support/fake-cluster/request-bodies.ts'
import { preparedAnswer, voidAnswer } from '../support/fake-cluster/results.ts'
import { type Received, respond } from '../support/fake-cluster/script.ts'
import { type PlaneRig, startPlane } from '../support/plane.ts'
import type { RawClient } from '../support/raw-client.ts'

type Mode = 'ORIGIN' | 'TARGET'

/** Where a statement goes: the primary, the cluster of system queries, both, or nowhere. */
type Way = 'primary' | 'system' | 'both' | 'proxy'

/** Qualified names, so that the session's keyspace does not matter. */
const STATEMENTS: readonly (readonly [text: string, way: Way])[] = [
  ['SELECT * FROM ks.t', 'primary'],
  ['select v from ks.t where k = 1', 'primary'],
  ['/* FROM system.local */ SELECT v FROM ks.t -- the end', 'primary'],
  ['SELECT token(k) FROM ks.t', 'primary'],
  ["SELECT m['x'], a.b FROM ks.t WHERE a NOT IN (1)", 'primary'],
  ['SELECT v FROM ks.t ORDER BY v ANN OF [1, 2] LIMIT 3', 'primary'],
  ['SELECT * FROM "System".local', 'primary'],
  ['SELECT * FROM dsefs.t', 'primary'],
  ['SELECT * FROM "OpsCenter".t', 'primary'],
  ['SELECT * FROM local', 'primary'],
  ['SELECT * FROM system.local', 'proxy'],
  ['SELECT * FROM system.peers', 'proxy'],
  ['SELECT * FROM system.peers_v2', 'proxy'],
  ['SELECT * FROM "system"."local"', 'proxy'],
  ['CALL InsightsRpc.reportInsight(?)', 'proxy'],
  ['call INSIGHTSRPC . reportInsight(:json)', 'proxy'],
  ['SELECT * FROM system.built_views', 'system'],
  ['SELECT * FROM system_schema.tables', 'system'],
  ['SELECT * FROM system_auth.roles', 'system'],
  ['SELECT * FROM system_virtual_schema.tables', 'system'],
  ['SELECT * FROM dse_insights.tokens', 'system'],
  ['SELECT * FROM system_traces.sessions', 'primary'],
  ['INSERT INTO ks.t (k) VALUES (1)', 'both'],
  ["INSERT INTO ks.t JSON '{}'", 'both'],
  ['INSERT INTO system_auth.roles (role) VALUES (1)', 'both'],
  ['UPDATE ks.t SET v = 1 WHERE k = 1', 'both'],
  ['DELETE FROM ks.t WHERE k = 1', 'both'],
  ['BEGIN BATCH INSERT INTO ks.t (k) VALUES (1) APPLY BATCH', 'both'],
  ['CREATE TABLE ks.t (k int PRIMARY KEY)', 'both'],
  ['DROP TABLE ks.t', 'both'],
  ['TRUNCATE ks.t', 'both'],
  ['GRANT SELECT ON ks.t TO r', 'both'],
  ['LIST ROLES', 'system'],
  ['DESCRIBE TABLES', 'system'],
  ['CALL "InsightsRpc".reportInsight(1)', 'both'],
  ['CALL other.f()', 'both'],
  ['', 'both'],
  ['complete nonsense ;;', 'both'],
]

const MODES: readonly Mode[] = ['ORIGIN', 'TARGET']
const COMBINATIONS = MODES.flatMap((primary) =>
  MODES.flatMap((system) =>
    (['shared', 'per_client'] as const).map((connections) => ({ primary, system, connections })),
  ),
)

type Combination = (typeof COMBINATIONS)[number]

const startWith = ({ primary, system, connections }: Combination): Promise<PlaneRig> =>
  startPlane({
    settings: {
      primaryCluster: primary,
      systemQueriesMode: system,
      upstreamConnections: connections,
      proxyTopologyPeersV2: true,
    },
  })

/** The fake clusters have no such table of their own. */
const addBuiltViews = ({ origin, target }: PlaneRig, version: Version): void => {
  const id = Buffer.alloc(16, 1)
  const name = { keyspace: 'system', table: 'built_views' }
  const prepared = { id, resultMetadataId: id, name, binds: [], columns: [] }
  for (const cluster of [origin, target]) {
    cluster.on(
      { opcode: Opcode.PREPARE, text: /built_views/ },
      respond(preparedAnswer(prepared, versionTraits(version)!)),
    )
    cluster.on(
      { opcode: Opcode.EXECUTE, where: ({ statementId }) => statementId === id.toString('hex') },
      respond(voidAnswer()),
    )
  }
}

const expected = (way: Way, { primary, system }: Combination): string => {
  if (way === 'both') return 'origin target'
  if (way === 'proxy') return ''
  return (way === 'primary' ? primary : system).toLowerCase()
}

const sees = (received: readonly Received[], opcode: number, text: string): number =>
  received.filter((request) => request.opcode === opcode && request.text === text).length

/** Names the clusters that saw it; one that saw it twice is named twice. */
const seenBy = (rig: PlaneRig, opcode: number, text: string): string =>
  [
    ...Array(sees(rig.origin.received, opcode, text)).fill('origin'),
    ...Array(sees(rig.target.received, opcode, text)).fill('target'),
  ].join(' ')

/** The only EXECUTE since the last `clear`. */
const executedBy = ({ origin, target }: PlaneRig): string =>
  [origin, target]
    .flatMap(({ name, received }) =>
      received.filter(({ opcode }) => opcode === Opcode.EXECUTE).map(() => name),
    )
    .join(' ')

describe.each(COMBINATIONS)('primary $primary, system queries $system, $connections', (mode) => {
  test('QUERY goes where its statement says', async () => {
    const rig = await startWith(mode)
    const driver = await rig.client()
    const actual: string[] = []
    for (const [text] of STATEMENTS) {
      rig.clear()
      await driver.query(text)
      actual.push(`${text}: ${seenBy(rig, Opcode.QUERY, text)}`)
    }
    expect(actual).toEqual(STATEMENTS.map(([text, way]) => `${text}: ${expected(way, mode)}`))
    await rig.idle()
  })

  test.each([Version.V3, Version.V5])(
    'v%i: PREPARE goes to both but for what the proxy answers, EXECUTE where its statement says',
    async (version) => {
      const rig = await startWith(mode)
      addBuiltViews(rig, version)
      const driver = await rig.client(version)
      const actual: string[] = []
      for (const [text] of STATEMENTS) {
        rig.clear()
        const prepared = await driver.prepare(text)
        const whoPrepared = seenBy(rig, Opcode.PREPARE, text)
        const answer = await driver.execute(prepared)
        expect(`${text}: ${answer.opcode}`).toBe(`${text}: ${Opcode.RESULT}`)
        actual.push(`${text}: ${whoPrepared} / ${executedBy(rig)}`)
      }
      const wanted = STATEMENTS.map(([text, way]) => {
        return `${text}: ${way === 'proxy' ? '' : 'origin target'} / ${expected(way, mode)}`
      })
      expect(actual).toEqual(wanted)
      await rig.idle()
    },
  )

  test('BATCH goes to both, whatever its children are', async () => {
    const rig = await startWith(mode)
    const driver = await rig.client()
    const read = await driver.prepare('SELECT * FROM ks.t')
    rig.clear()
    await driver.batch([{ text: 'SELECT * FROM system.local' }, { id: read.id }])
    for (const cluster of [rig.origin, rig.target]) {
      expect(cluster.received.map(({ opcode }) => opcode)).toEqual([Opcode.BATCH])
    }
  })

  test('a statement keeps the class of its PREPARE, and follows the primary of its EXECUTE', async () => {
    const rig = await startWith(mode)
    const driver = await rig.client()
    const read = await driver.prepare('SELECT * FROM ks.t')
    const other = mode.primary === 'ORIGIN' ? 1 : 0
    await rig.plane.setRouting({ ...rig.plane.routing, revision: 1, primary: other })
    rig.clear()
    await driver.execute(read)
    expect(seenBy(rig, Opcode.EXECUTE, 'SELECT * FROM ks.t')).toBe(
      other === 0 ? 'origin' : 'target',
    )
  })
})

describe('what the proxy answers alone', () => {
  const OWN: readonly (readonly [name: string, ask: (driver: RawClient) => Promise<unknown>])[] = [
    ['OPTIONS', (driver) => driver.request(Opcode.OPTIONS, new Uint8Array(0))],
    [
      'REGISTER',
      (driver) => driver.request(Opcode.REGISTER, registerBody(['SCHEMA_CHANGE', 'STATUS_CHANGE'])),
    ],
  ]
  test.each(OWN)('%s reaches no cluster', async (_, ask) => {
    const rig = await startPlane()
    const driver = await rig.client()
    rig.clear()
    await ask(driver)
    await driver.query('SELECT * FROM ks.t')
    expect(rig.origin.received.map(({ opcode }) => opcode)).toEqual([Opcode.QUERY])
    expect(rig.target.received).toEqual([])
  })
})

describe('the keyspace that unqualified names mean', () => {
  const UNQUALIFIED: readonly (readonly [keyspace: string, table: string, way: Way])[] = [
    ['system', 'local', 'proxy'],
    ['system', 'peers', 'proxy'],
    ['system', 'built_views', 'system'],
    ['system_schema', 'tables', 'system'],
    ['system_traces', 'events', 'primary'],
    ['System', 'local', 'primary'],
    ['ks', 'local', 'primary'],
  ]
  const mode: Combination = { primary: 'TARGET', system: 'ORIGIN', connections: 'shared' }

  test.each(UNQUALIFIED)('after USE "%s", %s', async (keyspace, table, way) => {
    const rig = await startWith(mode)
    addBuiltViews(rig, Version.V4)
    const driver = await rig.client(4, { keyspace })
    const text = `SELECT * FROM ${table}`
    await driver.query(text)
    const prepared = await driver.prepare(text)
    await driver.execute(prepared)
    expect(seenBy(rig, Opcode.QUERY, text)).toBe(expected(way, mode))
    expect(executedBy(rig)).toBe(expected(way, mode))
  })

  test.each(UNQUALIFIED)('in the keyspace field of v5, "%s", %s', async (keyspace, table, way) => {
    const rig = await startWith(mode)
    addBuiltViews(rig, Version.V5)
    const driver = await rig.client(5, { keyspace: 'elsewhere' })
    const text = `SELECT * FROM ${table}`
    await driver.query(text, { keyspace })
    const prepared = await driver.prepare(text, keyspace)
    await driver.execute(prepared)
    expect(seenBy(rig, Opcode.QUERY, text)).toBe(expected(way, mode))
    expect(executedBy(rig)).toBe(expected(way, mode))
  })

  test('a statement with a written keyspace does not care', async () => {
    const rig = await startWith(mode)
    const driver = await rig.client(4, { keyspace: 'system' })
    await driver.query('SELECT * FROM ks.local')
    expect(seenBy(rig, Opcode.QUERY, 'SELECT * FROM ks.local')).toBe('target')
  })

  test('EXECUTE does not follow a later USE', async () => {
    const rig = await startWith(mode)
    const driver = await rig.client(4, { keyspace: 'ks' })
    const prepared = await driver.prepare('SELECT * FROM local')
    await driver.query('USE system')
    const answer = await driver.execute(prepared)
    expect(resultKind(answer)).toBe(ResultKind.ROWS)
    expect(seenBy(rig, Opcode.EXECUTE, 'SELECT * FROM local')).toBe('target')
  })
})
