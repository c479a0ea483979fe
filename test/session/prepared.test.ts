/** Prepared statements with the ids of both clusters, and what heals an UNPREPARED (request-path §4). */
import { describe, expect, test } from 'vitest'
import { ErrorCode, Opcode, ResultKind, Version, versionTraits } from '../../src/cql/protocol.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { statementIdOf } from '../support/fake-cluster/answers.ts'
import type { FakeCluster } from '../support/fake-cluster/cluster.ts'
import {
  executeBody,
  type PreparedIds,
  readError,
  readTextRows,
  resultKind,
} from '../support/fake-cluster/request-bodies.ts'
import { errorAnswer, preparedAnswer, voidAnswer } from '../support/fake-cluster/results.ts'
import {
  closeSocket,
  delay,
  drop,
  type Received,
  respond,
  respondError,
} from '../support/fake-cluster/script.ts'
import type { Envelope } from '../support/fake-cluster/wire.ts'
import { eventually, type PlaneRig, someTurns, startPlane } from '../support/plane.ts'
import type { RawClient } from '../support/raw-client.ts'

const INSERT = 'INSERT INTO ks.t (k, v) VALUES (?, ?)'
const SELECT = 'SELECT * FROM ks.t WHERE k = ?'
const VERSIONS = [Version.V3, Version.V4, Version.V5]

const V4_TRAITS = versionTraits(Version.V4)!

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

const of = (cluster: FakeCluster, opcode: number): readonly Received[] =>
  cluster.received.filter((request) => request.opcode === opcode)

const count = (cluster: FakeCluster, opcode: number): number => of(cluster, opcode).length

const idOn = (cluster: FakeCluster, text: string, keyspace?: string): string =>
  statementIdOf(cluster.salt, keyspace, text).toString('hex')

/** Executes until a connection is there again. */
const executeWhenReady = async (driver: RawClient, prepared: PreparedIds): Promise<Envelope> => {
  for (;;) {
    const answer = await driver.execute(prepared)
    if (answer.opcode !== Opcode.ERROR) return answer
    expect(readError(answer).message).toContain('no connection is ready')
  }
}

const DIALOGUES = VERSIONS.flatMap((version) =>
  (['shared', 'per_client'] as const).map((connections) => ({ version, connections })),
)

describe.each(DIALOGUES)('v$version, $connections', ({ version, connections }) => {
  const start = (): Promise<PlaneRig> =>
    startPlane({ settings: { upstreamConnections: connections } })

  test('the client gets Origin’s id, Target gets its own', async () => {
    const rig = await start()
    const driver = await rig.client(version)
    const prepared = await driver.prepare(INSERT)
    expect(hex(prepared.id)).toBe(idOn(rig.origin, INSERT))
    const answer = await driver.execute(prepared, { values: ['a', 'b'] })
    expect(resultKind(answer)).toBe(ResultKind.VOID)
    for (const cluster of [rig.origin, rig.target]) {
      const [execute] = of(cluster, Opcode.EXECUTE)
      expect(execute).toMatchObject({ statementId: idOn(cluster, INSERT), text: INSERT })
      expect(execute!.values).toEqual([Buffer.from('a'), Buffer.from('b')])
    }
    await rig.idle()
  })

  test('every child of a BATCH gets each cluster’s id', async () => {
    const rig = await start()
    const driver = await rig.client(version)
    const texts = Array.from({ length: 40 }, (_, i) => `INSERT INTO ks.t${i} (k) VALUES (?)`)
    const prepared: PreparedIds[] = []
    for (const text of texts) prepared.push(await driver.prepare(text))
    const children = [
      ...prepared.map(({ id }) => ({ id, values: ['x'] })),
      { text: 'DELETE FROM ks.t WHERE k = 1' },
      { id: prepared[0]!.id, values: ['y'] },
    ]
    expect(resultKind(await driver.batch(children))).toBe(ResultKind.VOID)
    for (const cluster of [rig.origin, rig.target]) {
      const [batch] = of(cluster, Opcode.BATCH)
      const ids = batch!.children!.map((child) => child.statementId)
      expect(ids).toEqual([
        ...texts.map((text) => idOn(cluster, text)),
        undefined,
        idOn(cluster, texts[0]!),
      ])
    }
  })

  test('an id that nobody has prepared: UNPREPARED with that id, nothing sent', async () => {
    const rig = await start()
    const driver = await rig.client(version)
    const known = await driver.prepare(INSERT)
    rig.clear()
    const id = Buffer.alloc(16, 7)
    const answers = [
      await driver.execute({ id, resultMetadataId: id }),
      await driver.batch([{ id: known.id }, { id }, { text: INSERT }]),
      await driver.execute({ id: new Uint8Array(0) }),
    ]
    expect(answers.map(readError)).toMatchObject([
      { code: ErrorCode.UNPREPARED, statementId: hex(id) },
      { code: ErrorCode.UNPREPARED, statementId: hex(id) },
      { code: ErrorCode.UNPREPARED, statementId: '' },
    ])
    expect([...rig.origin.received, ...rig.target.received]).toEqual([])
    expect(rig.series().preparedMisses).toBe(3)
    await rig.idle()
  })

  test('a node that has forgotten is taught again, and the client sees the result', async () => {
    const rig = await start()
    const driver = await rig.client(version)
    const prepared = await driver.prepare(INSERT)
    rig.origin.forgetPrepared()
    rig.clear()
    expect(resultKind(await driver.execute(prepared, { values: ['a', 'b'] }))).toBe(ResultKind.VOID)
    const opcodes = (cluster: FakeCluster): number[] => cluster.received.map((r) => r.opcode)
    expect(opcodes(rig.origin)).toEqual([Opcode.EXECUTE, Opcode.PREPARE, Opcode.EXECUTE])
    expect(opcodes(rig.target)).toEqual([Opcode.EXECUTE])
    const [first, second] = of(rig.origin, Opcode.EXECUTE)
    expect(second!.envelope.body).toEqual(first!.envelope.body)
    expect(rig.series().preparedHeals).toEqual({ origin: 1, target: 0 })
    await rig.idle()
  })

  test('both clusters have forgotten all children of a BATCH: one PREPARE for each', async () => {
    const rig = await start()
    const driver = await rig.client(version)
    const texts = Array.from({ length: 20 }, (_, i) => `INSERT INTO ks.t${i} (k) VALUES (?)`)
    const children: { id: Uint8Array; values: string[] }[] = []
    for (const text of texts) children.push({ id: (await driver.prepare(text)).id, values: ['x'] })
    rig.origin.forgetPrepared()
    rig.target.forgetPrepared()
    rig.clear()
    const answer = await driver.batch([...children, children[0]!])
    expect(resultKind(answer)).toBe(ResultKind.VOID)
    for (const cluster of [rig.origin, rig.target]) {
      expect(of(cluster, Opcode.PREPARE).map(({ text }) => text)).toEqual(texts)
      expect(count(cluster, Opcode.BATCH)).toBe(2)
    }
    await rig.idle()
  })

  test('executes at the same time cost one PREPARE', async () => {
    const rig = await start()
    const driver = await rig.client(version)
    const prepared = await driver.prepare(SELECT)
    rig.origin.forgetPrepared()
    rig.clear()
    const answers = await Promise.all(Array.from({ length: 50 }, () => driver.execute(prepared)))
    expect(answers.map(resultKind)).toEqual(Array(50).fill(ResultKind.ROWS))
    expect(count(rig.origin, Opcode.PREPARE)).toBe(1)
    await rig.idle()
  })

  test('prepared on one connection, executed on another', async () => {
    const rig = await start()
    const one = await rig.client(version)
    const other = await rig.client(version)
    const prepared = await one.prepare(INSERT)
    await one.close()
    expect(resultKind(await other.execute(prepared, { values: ['a', 'b'] }))).toBe(ResultKind.VOID)
    await rig.idle()
  })
})

describe.each(['ORIGIN', 'TARGET'] as const)(
  'columns of a result, primary %s',
  (primaryCluster) => {
    const columnsOf = (answer: Parameters<typeof readTextRows>[0]): readonly string[] | undefined =>
      readTextRows(answer).columns

    test.each(VERSIONS)(
      'v%i: equal ones are skipped where the client asks for it',
      async (version) => {
        const rig = await startPlane({ settings: { primaryCluster } })
        const driver = await rig.client(version)
        const prepared = await driver.prepare(SELECT)
        const answer = await driver.execute(prepared, { skipMetadata: true })
        expect(columnsOf(answer)).toBeUndefined()
        expect(readTextRows(answer).rows).toEqual([[primaryCluster.toLowerCase()]])
      },
    )

    test.each(VERSIONS)(
      'v%i: others on Target are told, for the client knows Origin’s',
      async (version) => {
        const rig = await startPlane({ settings: { primaryCluster }, target: { column: 'added' } })
        const driver = await rig.client(version)
        const prepared = await driver.prepare(SELECT)
        const answer = await driver.execute(prepared, { skipMetadata: true })
        expect(columnsOf(answer)).toEqual(primaryCluster === 'TARGET' ? ['added'] : undefined)
      },
    )
  },
)

describe('result metadata ids (v5)', () => {
  const columnsOf = (answer: Parameters<typeof readTextRows>[0]): readonly string[] | undefined =>
    readTextRows(answer).columns

  test('an id that is not the PREPARE’s goes out as it came', async () => {
    const rig = await startPlane({ settings: { primaryCluster: 'TARGET' } })
    const driver = await rig.client(Version.V5)
    const { id } = await driver.prepare(SELECT)
    const stale = Buffer.alloc(16, 9)
    const answer = await driver.execute({ id, resultMetadataId: stale }, { skipMetadata: true })
    expect(columnsOf(answer)).toEqual(['cluster'])
    expect(of(rig.target, Opcode.EXECUTE)[0]!.resultMetadataId).toBe(hex(stale))
  })

  test('an EXECUTE that ends behind its id is sent on as it is, and the cluster refuses it', async () => {
    const rig = await startPlane()
    const driver = await rig.client(Version.V5)
    const { id } = await driver.prepare(INSERT)
    const whole = executeBody(Version.V5, { id })
    for (const length of [18, 19, 20]) {
      const answer = await driver.request(Opcode.EXECUTE, whole.subarray(0, length))
      expect(readError(answer).code).toBe(ErrorCode.PROTOCOL_ERROR)
    }
    await rig.idle()
  })
})

describe('ids', () => {
  test('that are equal on both clusters leave the bytes alone', async () => {
    const rig = await startPlane({ origin: { salt: 'same' }, target: { salt: 'same' } })
    const driver = await rig.client(Version.V5)
    const prepared = await driver.prepare(INSERT)
    await driver.execute(prepared, { values: ['a', 'b'] })
    const bodies = [rig.origin, rig.target].map(
      (cluster) => of(cluster, Opcode.EXECUTE)[0]!.envelope.body,
    )
    expect(bodies[0]).toEqual(bodies[1])
  })

  test.each([1, 4, 15, 17, 300])('of %i bytes on Target', async (length) => {
    const rig = await startPlane()
    const id = Buffer.alloc(length, 5)
    const name = { keyspace: 'ks', table: 't' }
    rig.target.on(
      { opcode: Opcode.PREPARE },
      {
        kind: 'respond',
        answer: preparedAnswer(
          { id, resultMetadataId: id, name, binds: [], columns: [] },
          V4_TRAITS,
        ),
      },
    )
    for (const opcode of [Opcode.EXECUTE, Opcode.BATCH]) {
      rig.target.on({ opcode }, respond(voidAnswer()))
    }
    const driver = await rig.client()
    const prepared = await driver.prepare(INSERT)
    await driver.execute(prepared, { values: ['a', 'b'] })
    await driver.batch([{ id: prepared.id, values: ['a'] }, { text: 'x' }, { id: prepared.id }])
    const execute = of(rig.target, Opcode.EXECUTE)[0]!
    expect(execute.statementId).toBe(hex(id))
    expect(execute.values).toEqual([Buffer.from('a'), Buffer.from('b')])
    const batch = of(rig.target, Opcode.BATCH)[0]!
    expect(batch.children).toEqual([
      { statementId: hex(id) },
      { text: 'x' },
      { statementId: hex(id) },
    ])
    await rig.idle()
  })

  test('that a node changes when it prepares again are used from then on', async () => {
    const rig = await startPlane()
    const driver = await rig.client()
    const prepared = await driver.prepare(INSERT)
    const id = Buffer.alloc(16, 3)
    const name = { keyspace: 'ks', table: 't' }
    const answer = preparedAnswer(
      { id, resultMetadataId: id, name, binds: [], columns: [] },
      V4_TRAITS,
    )
    for (const cluster of [rig.origin, rig.target]) {
      cluster.on({ opcode: Opcode.PREPARE }, respond(answer))
      cluster.on(
        { opcode: Opcode.EXECUTE, where: ({ statementId }) => statementId === hex(id) },
        respond(voidAnswer()),
      )
      cluster.forgetPrepared()
    }
    rig.clear()
    for (let i = 0; i < 3; i++) {
      expect(resultKind(await driver.execute(prepared))).toBe(ResultKind.VOID)
    }
    for (const cluster of [rig.origin, rig.target]) {
      expect(of(cluster, Opcode.EXECUTE).map(({ statementId }) => statementId)).toEqual([
        idOn(cluster, INSERT),
        hex(id),
        hex(id),
        hex(id),
      ])
      expect(count(cluster, Opcode.PREPARE)).toBe(1)
    }
  })
})

describe('a heal', () => {
  const prepareAndForget = async (
    rig: PlaneRig,
    text = INSERT,
  ): Promise<{ driver: RawClient; prepared: PreparedIds }> => {
    const driver = await rig.client()
    const prepared = await driver.prepare(text)
    rig.target.forgetPrepared()
    rig.clear()
    return { driver, prepared }
  }

  test('that the node refuses: the client gets the refusal', async () => {
    const rig = await startPlane()
    const { driver, prepared } = await prepareAndForget(rig)
    rig.target.on({ opcode: Opcode.PREPARE }, respondError(ErrorCode.INVALID, 'no such table'))
    const error = readError(await driver.execute(prepared))
    expect(error).toEqual({ code: ErrorCode.INVALID, message: 'no such table' })
    await rig.idle()
  })

  test.each([
    [Version.V3, ErrorCode.UNPREPARED],
    [Version.V4, ErrorCode.UNPREPARED],
    [Version.V5, null],
  ])(
    'that finds other columns: in v%i the client must prepare again, for it would read rows by the old ones',
    async (version, code) => {
      const rig = await startPlane()
      const driver = await rig.client(version)
      const prepared = await driver.prepare(SELECT)
      rig.origin.forgetPrepared()
      rig.clear()
      const name = { keyspace: 'ks', table: 't' }
      const id = Buffer.from(prepared.id)
      const columns = ['k', 'added', 'v'].map((one) => ({ name: one, type: 'varchar' as const }))
      const answer = preparedAnswer(
        { id, resultMetadataId: Buffer.alloc(16, 9), name, binds: [], columns },
        versionTraits(version)!,
      )
      rig.origin.on({ opcode: Opcode.PREPARE }, respond(answer))
      const unprepared = errorAnswer(ErrorCode.UNPREPARED, 'forgotten', id)
      rig.origin.on({ opcode: Opcode.EXECUTE, times: 1 }, respond(unprepared))
      rig.origin.on({ opcode: Opcode.EXECUTE }, respond(voidAnswer()))
      const answered = await driver.execute(prepared)
      if (code === null) expect(resultKind(answered)).toBe(ResultKind.VOID)
      else expect(readError(answered)).toMatchObject({ code, statementId: hex(prepared.id) })
      expect(count(rig.origin, Opcode.EXECUTE)).toBe(code === null ? 2 : 1)
      await rig.idle()
    },
  )

  test('of a write that finds other columns: executed, for the other cluster has executed it already', async () => {
    const rig = await startPlane()
    const { driver, prepared } = await prepareAndForget(rig)
    const traits = versionTraits(driver.version)!
    const id = Buffer.from(idOn(rig.target, INSERT), 'hex')
    const columns = [{ name: 'added', type: 'varchar' as const }]
    const name = { keyspace: 'ks', table: 't' }
    const answer = preparedAnswer({ id, resultMetadataId: id, name, binds: [], columns }, traits)
    rig.target.on({ opcode: Opcode.PREPARE }, respond(answer))
    const unprepared = errorAnswer(ErrorCode.UNPREPARED, 'forgotten', id)
    rig.target.on({ opcode: Opcode.EXECUTE, times: 1 }, respond(unprepared))
    rig.target.on({ opcode: Opcode.EXECUTE }, respond(voidAnswer()))
    expect(resultKind(await driver.execute(prepared))).toBe(ResultKind.VOID)
    expect(count(rig.origin, Opcode.EXECUTE)).toBe(1)
    expect(count(rig.target, Opcode.EXECUTE)).toBe(2)
    await rig.idle()
  })

  test('that the node answers with something else: an error, for nothing was executed', async () => {
    const rig = await startPlane()
    const { driver, prepared } = await prepareAndForget(rig)
    rig.target.on({ opcode: Opcode.PREPARE }, respond(voidAnswer()))
    const error = readError(await driver.execute(prepared))
    expect(error.code).toBe(ErrorCode.SERVER_ERROR)
    expect(error.message).toContain('Target')
    await rig.idle()
  })

  test.each([
    ['QUERY', Opcode.QUERY, (driver: RawClient) => driver.query('DELETE FROM ks.t WHERE k = 1')],
    ['BATCH', Opcode.BATCH, (driver: RawClient) => driver.batch([{ text: 'DELETE FROM ks.t' }])],
  ])(
    'of a %s that executes no prepared statement: not tried, and the error says so',
    async (_name, opcode, ask) => {
      const rig = await startPlane()
      const driver = await rig.client()
      const unprepared = errorAnswer(ErrorCode.UNPREPARED, 'what?', Buffer.alloc(16))
      rig.target.on({ opcode }, respond(unprepared))
      rig.clear()
      const { code, message } = readError(await ask(driver))
      expect(code).toBe(ErrorCode.OVERLOADED)
      expect(message).toMatch(/^Target: .* answered UNPREPARED .* no prepared statement/)
      expect(message).not.toContain('prepared_statements_cache_size')
      expect(count(rig.target, opcode)).toBe(1)
      expect(count(rig.target, Opcode.PREPARE)).toBe(0)
      await rig.idle()
    },
  )

  test('that does not help a read: UNPREPARED with the client’s id', async () => {
    const rig = await startPlane()
    const driver = await rig.client()
    const prepared = await driver.prepare(SELECT)
    const detail = Buffer.from(idOn(rig.origin, SELECT), 'hex')
    const unprepared = errorAnswer(ErrorCode.UNPREPARED, 'again', detail)
    rig.origin.on({ opcode: Opcode.EXECUTE }, respond(unprepared))
    const error = readError(await driver.execute(prepared))
    expect(error).toMatchObject({ code: ErrorCode.UNPREPARED, statementId: hex(prepared.id) })
    expect(count(rig.origin, Opcode.EXECUTE)).toBe(16)
    await rig.idle()
  })

  test('of an UNPREPARED whose body is cut off', async () => {
    const rig = await startPlane()
    const driver = await rig.client()
    const prepared = await driver.prepare(SELECT)
    const body = errorAnswer(ErrorCode.UNPREPARED, 'cut off', Buffer.alloc(16)).body
    const answer = { opcode: Opcode.ERROR, body: body.subarray(0, body.length - 5) }
    rig.origin.on({ opcode: Opcode.EXECUTE }, respond(answer))
    const envelope = await driver.execute(prepared)
    expect(hex(envelope.body)).toBe(hex(answer.body))
    await rig.idle()
    expect(rig.series().upstreamConnectionsLost.origin).toBe(0)
  })

  test('that takes too long: the client gets a time-out, and the late PREPARE is nobody’s', async () => {
    const clock = new FakeClock()
    const rig = await startPlane({ clock })
    const { driver, prepared } = await prepareAndForget(rig)
    const held = delay()
    rig.target.on({ opcode: Opcode.PREPARE }, held)
    const answer = driver.execute(prepared)
    await rig.target.waitFor(({ opcode }) => opcode === Opcode.PREPARE)
    clock.advance(11_000)
    const error = readError(await answer)
    expect(error.code).toBe(ErrorCode.WRITE_TIMEOUT)
    expect(error.message).toContain('Target')
    held.release()
    await rig.idle()
    expect(count(rig.target, Opcode.EXECUTE)).toBe(1)
  })

  test('whose connection is lost: the client gets an error, the next request is healed', async () => {
    const rig = await startPlane()
    const { driver, prepared } = await prepareAndForget(rig)
    rig.target.on({ opcode: Opcode.PREPARE, times: 1 }, closeSocket())
    const error = readError(await driver.execute(prepared))
    expect(error.code).toBe(ErrorCode.OVERLOADED)
    expect(error.message).toContain('Target')
    expect(resultKind(await executeWhenReady(driver, prepared))).toBe(ResultKind.VOID)
    await rig.idle()
  })

  test('goes on when the client has gone, so that both clusters have the write', async () => {
    const rig = await startPlane()
    const { driver, prepared } = await prepareAndForget(rig)
    const held = delay()
    rig.target.on({ opcode: Opcode.PREPARE }, held)
    void driver.execute(prepared)
    await rig.target.waitFor(({ opcode }) => opcode === Opcode.PREPARE)
    await driver.close()
    await eventually(() => rig.series().clientConnections === 0)
    held.release()
    await rig.idle()
    expect(count(rig.target, Opcode.EXECUTE)).toBe(2)
  })

  test('waits for nobody: other requests of the connection go on', async () => {
    const rig = await startPlane()
    const { driver, prepared } = await prepareAndForget(rig)
    rig.target.on({ opcode: Opcode.PREPARE }, drop())
    void driver.execute(prepared)
    await rig.target.waitFor(({ opcode }) => opcode === Opcode.PREPARE)
    expect(resultKind(await driver.query('DELETE FROM ks.t WHERE k = 1'))).toBe(ResultKind.VOID)
  })

  test('happens on the node that has forgotten, and there only', async () => {
    const rig = await startPlane({ target: { nodes: 2 } })
    const drivers = [await rig.client(), await rig.client()]
    const prepared = await drivers[0]!.prepare(INSERT)
    // The other node has never heard of it.
    for (const driver of drivers) {
      expect(resultKind(await driver.execute(prepared))).toBe(ResultKind.VOID)
    }
    expect(of(rig.target, Opcode.PREPARE).map(({ node }) => node)).toEqual([0, 1])
    const executes = of(rig.target, Opcode.EXECUTE).map(({ node }) => node)
    expect(executes).toEqual([0, 1, 1])
  })
})

describe('the keyspace of a statement', () => {
  const UNQUALIFIED = 'INSERT INTO t (k, v) VALUES (?, ?)'

  test.each(VERSIONS)(
    'v%i: a node is taught in the keyspace of the PREPARE, not of the EXECUTE',
    async (version) => {
      const rig = await startPlane()
      const one = await rig.client(version, { keyspace: 'ks1' })
      const prepared = await one.prepare(UNQUALIFIED)
      expect(hex(prepared.id)).toBe(idOn(rig.origin, UNQUALIFIED, 'ks1'))
      for (const handshake of [{ keyspace: 'ks2' }, {}]) {
        rig.origin.forgetPrepared()
        rig.target.forgetPrepared()
        rig.clear()
        const other = await rig.client(version, handshake)
        expect(resultKind(await other.execute(prepared))).toBe(ResultKind.VOID)
        for (const cluster of [rig.origin, rig.target]) {
          expect(of(cluster, Opcode.PREPARE).map(({ keyspace }) => keyspace)).toEqual(['ks1'])
          const ids = of(cluster, Opcode.EXECUTE).map(({ statementId }) => statementId)
          expect(ids).toEqual(Array(2).fill(idOn(cluster, UNQUALIFIED, 'ks1')))
        }
      }
      await rig.idle()
    },
  )

  test.each(VERSIONS)('v%i: one that was prepared without is taught without', async (version) => {
    const rig = await startPlane()
    const one = await rig.client(version)
    const prepared = await one.prepare(INSERT)
    rig.origin.forgetPrepared()
    rig.clear()
    const other = await rig.client(version, { keyspace: 'ks2' })
    expect(resultKind(await other.execute(prepared))).toBe(ResultKind.VOID)
    const ids = of(rig.origin, Opcode.EXECUTE).map(({ statementId }) => statementId)
    expect(ids).toEqual(Array(2).fill(idOn(rig.origin, INSERT)))
  })

  test('per client, a heal in another keyspace leaves no connection behind', async () => {
    const rig = await startPlane({ settings: { upstreamConnections: 'per_client' } })
    const one = await rig.client(4, { keyspace: 'ks1' })
    const prepared = await one.prepare(UNQUALIFIED)
    const other = await rig.client(4, { keyspace: 'ks2' })
    rig.target.forgetPrepared()
    expect(resultKind(await other.execute(prepared))).toBe(ResultKind.VOID)
    await rig.idle()
    const open = (): number[] =>
      rig.series().nodes.map(({ connections: openConnections }) => openConnections)
    await eventually(() => open().every((each) => each === 2))
    expect(resultKind(await other.query('DELETE FROM ks.t WHERE k = 1'))).toBe(ResultKind.VOID)
    await other.close()
    await one.close()
    await eventually(() => open().every((each) => each === 0))
  })
})

describe('a PREPARE', () => {
  test('that a cluster answers with something else than PREPARED is an error', async () => {
    const rig = await startPlane()
    const driver = await rig.client()
    rig.target.on({ opcode: Opcode.PREPARE }, respond(voidAnswer()))
    await expect(driver.prepare(INSERT)).rejects.toThrow('Not a RESULT')
    expect(rig.series().preparedEntries).toBe(0)
  })

  test('that fails on one cluster is not remembered', async () => {
    const rig = await startPlane()
    const driver = await rig.client()
    rig.target.on({ opcode: Opcode.PREPARE }, respondError(ErrorCode.INVALID, 'no'))
    await expect(driver.prepare(INSERT)).rejects.toThrow('Not a RESULT')
    const id = Buffer.from(idOn(rig.origin, INSERT), 'hex')
    expect(readError(await driver.execute({ id })).code).toBe(ErrorCode.UNPREPARED)
    await someTurns()
    expect(count(rig.origin, Opcode.EXECUTE)).toBe(0)
  })

  test('keeps its own text only, not the chunk that it came in', async () => {
    const rig = await startPlane()
    const driver = await rig.client()
    const { id } = await driver.prepare(INSERT)
    const known = rig.plane.knownStatement(id)!
    expect(Buffer.from(known.text).toString()).toBe(INSERT)
    for (const bytes of [known.text, known.id, ...known.ids]) {
      expect(bytes.buffer.byteLength).toBe(bytes.length)
    }
  })
})

describe.each(['EXECUTE', 'BATCH'] as const)('a statement that is used by %s', (opcode) => {
  test('is not the one that a full cache forgets', async () => {
    const clock = new FakeClock()
    const rig = await startPlane({ clock, plane: { preparedEntriesMax: 10 } })
    const driver = await rig.client()
    const used = await driver.prepare(INSERT)
    for (let i = 0; i < 20; i++) {
      clock.advance(1)
      const answer =
        opcode === 'EXECUTE'
          ? await driver.execute(used, { values: ['a', 'b'] })
          : await driver.batch([{ id: used.id, values: ['a', 'b'] }])
      expect(resultKind(answer), `round ${i}`).toBe(ResultKind.VOID)
      clock.advance(1)
      await driver.prepare(`${INSERT} USING TTL ${i}`)
    }
  })
})
