/**
 * replace_cql_functions and unify_write_timestamps on the wire: what two fake clusters get for what a
 * client sends (request-path §3.4, §3.5, §12).
 */
import { describe, expect, test } from 'vitest'
import { type BatchMessage, decodeBatch } from '../../src/cql/messages/batch.ts'
import { decodeExecute } from '../../src/cql/messages/execute.ts'
import { decodeQuery } from '../../src/cql/messages/query.ts'
import type { QueryParameters } from '../../src/cql/messages/query-parameters.ts'
import { decodeResult, type PreparedResult } from '../../src/cql/messages/result.ts'
import {
  ErrorCode,
  Opcode,
  QueryFlag,
  ResultKind,
  Version,
  versionTraits,
} from '../../src/cql/protocol.ts'
import { BodyReader, NOT_SET } from '../../src/cql/reader.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import type { FakeCluster } from '../support/fake-cluster/cluster.ts'
import {
  type PreparedIds,
  prepareBody,
  readError,
  resultKind,
} from '../support/fake-cluster/request-bodies.ts'
import { type Received, respondError } from '../support/fake-cluster/script.ts'
import { type PlaneRig, type PlaneRigOptions, startPlane } from '../support/plane.ts'
import type { RawClient } from '../support/raw-client.ts'

const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-1[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}'

const VERSIONS = Object.values(Version)

const start = (settings: PlaneRigOptions['settings'] = {}): Promise<PlaneRig> =>
  startPlane({
    origin: { bindType: 'uuid', versions: VERSIONS },
    target: { bindType: 'uuid', versions: VERSIONS },
    settings: { replaceCqlFunctions: true, ...settings },
  })

const of = (cluster: FakeCluster, opcode: number): readonly Received[] =>
  cluster.received.filter((request) => request.opcode === opcode && request.connection > 0)

/** A plain array, as which values can be compared. */
const bodyOf = ({ envelope }: Received): BodyReader => new BodyReader(new Uint8Array(envelope.body))

const parametersOf = (received: Received): QueryParameters => {
  const traits = versionTraits(received.version)!
  return received.opcode === Opcode.EXECUTE
    ? decodeExecute(bodyOf(received), traits).parameters
    : decodeQuery(bodyOf(received), traits).parameters
}

/** What both clusters got as this opcode; fails where they got different things. */
const gotByBoth = (rig: PlaneRig, opcode: number): QueryParameters[] => {
  const [origin, target] = [rig.origin, rig.target].map((cluster) =>
    of(cluster, opcode).map(parametersOf),
  )
  expect(target).toEqual(origin)
  return origin!
}

const batchesOnBoth = (rig: PlaneRig): BatchMessage => {
  const [origin, target] = [rig.origin, rig.target].map((cluster) => {
    const [batch] = of(cluster, Opcode.BATCH)
    return decodeBatch(bodyOf(batch!), versionTraits(batch!.version)!)
  })
  const valuesOf = (batch: BatchMessage) => batch.children.map(({ values }) => values)
  expect(valuesOf(target!)).toEqual(valuesOf(origin!))
  expect(target!.timestamp).toBe(origin!.timestamp)
  return origin!
}

const prepared = async (driver: RawClient, text: string): Promise<PreparedResult> => {
  const answer = await driver.request(Opcode.PREPARE, prepareBody(driver.version, text))
  const traits = versionTraits(driver.version)!
  const result = decodeResult(new BodyReader(answer.body), traits)
  if (result.kind !== ResultKind.PREPARED) throw new Error(`RESULT of kind ${result.kind}`)
  return result
}

const idsOf = (result: PreparedResult): PreparedIds => ({
  id: result.statementId,
  ...(result.resultMetadataId && { resultMetadataId: result.resultMetadataId }),
})

const isTimeUuid = expect.toSatisfy(
  (value) => value instanceof Uint8Array && value.length === 16 && value[6]! >> 4 === 1,
)
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))

const textsOf = (cluster: FakeCluster, opcode: number): (string | undefined)[] =>
  of(cluster, opcode).map(({ text }) => text)

describe.each(VERSIONS)('v%i', (version) => {
  test('QUERY: the same literal for both, everything else as it came', async () => {
    const rig = await start()
    const driver = await rig.client(version)
    await driver.query("INSERT INTO t (é, b) VALUES (?, now(), 'é✓')", { values: ['é'] })
    const [origin, target] = [rig.origin, rig.target].map((c) => textsOf(c, Opcode.QUERY)[0])
    expect(origin).toMatch(new RegExp(`^INSERT INTO t \\(é, b\\) VALUES \\(\\?, ${UUID}, 'é✓'\\)$`))
    expect(target).toBe(origin)
    expect(gotByBoth(rig, Opcode.QUERY)[0]?.values).toEqual([bytes('é')])
    expect(rig.series().functionsReplaced).toBe(1)
    await rig.idle()
  })

  test('EXECUTE: values in their places, the same for both, new each time', async () => {
    const rig = await start()
    const driver = await rig.client(version)
    const text = 'INSERT INTO t (a, b, c, d) VALUES (?, now(), ?, now())'
    const result = await prepared(driver, text)
    expect(textsOf(rig.origin, Opcode.PREPARE)).toEqual([
      'INSERT INTO t (a, b, c, d) VALUES (?, ?, ?, ?)',
    ])
    expect(result.variables.columns.map(({ name }) => name)).toEqual(['p0', 'p2'])
    if (version >= Version.V4) expect(result.variables.partitionKeyIndices).toEqual([0])
    for (const value of ['x', 'y']) {
      const answer = await driver.execute(idsOf(result), { values: ['é', value], pageSize: 7 })
      expect(resultKind(answer)).toBe(ResultKind.VOID)
    }
    const [first, second] = gotByBoth(rig, Opcode.EXECUTE)
    expect(first).toMatchObject({
      values: [bytes('é'), isTimeUuid, bytes('x'), isTimeUuid],
      pageSize: 7,
    })
    const uuids = [first!, second!].flatMap(({ values }) => [values![1], values![3]])
    expect(new Set(uuids.map((uuid) => Buffer.from(uuid as Uint8Array).toString('hex'))).size).toBe(
      4,
    )
    await rig.idle()
  })

  test('texts that become the same have ids and values of their own', async () => {
    const rig = await start()
    const driver = await rig.client(version)
    const texts = ['(?, now())', '(now(), ?)', '(?, ?)', '(now(), now())']
    const results: PreparedResult[] = []
    for (const values of texts) {
      results.push(await prepared(driver, `INSERT INTO t (a, b) VALUES ${values}`))
    }
    expect(new Set(textsOf(rig.origin, Opcode.PREPARE)).size).toBe(1)
    expect(
      new Set(results.map(({ statementId }) => Buffer.from(statementId).toString('hex'))).size,
    ).toBe(4)
    for (const [at, values] of [['x'], ['x'], ['x', 'x'], []].entries()) {
      await driver.execute(idsOf(results[at]!), { values })
    }
    const x = bytes('x')
    expect(gotByBoth(rig, Opcode.EXECUTE).map(({ values }) => values)).toEqual([
      [x, isTimeUuid],
      [isTimeUuid, x],
      [x, x],
      [isTimeUuid, isTimeUuid],
    ])
    await rig.idle()
  })

  test('BATCH: texts, prepared children and what needs nothing, side by side', async () => {
    const rig = await start()
    const driver = await rig.client(version)
    const a = await prepared(driver, 'INSERT INTO t (a, b) VALUES (now(), ?)')
    const b = await prepared(driver, 'INSERT INTO t (a, b) VALUES (?, ?)')
    rig.clear()
    const answer = await driver.batch([
      { id: b.statementId, values: ['1', '2'] },
      { text: "INSERT INTO t (a) VALUES (now(), 'é', ?)", values: ['v'] },
      { id: a.statementId, values: ['3'] },
      { text: 'DELETE FROM t WHERE a = 1' },
      { id: a.statementId, values: ['4'] },
    ])
    expect(resultKind(answer)).toBe(ResultKind.VOID)
    const batch = batchesOnBoth(rig)
    expect(batch.children.map(({ values }) => values)).toEqual([
      [bytes('1'), bytes('2')],
      [bytes('v')],
      [isTimeUuid, bytes('3')],
      [],
      [isTimeUuid, bytes('4')],
    ])
    const [, text] = of(rig.target, Opcode.BATCH)[0]!.children!
    expect(text!.text).toMatch(new RegExp(`^INSERT INTO t \\(a\\) VALUES \\(${UUID}, 'é', \\?\\)$`))
    await rig.idle()
  })

  test('a node that has forgotten: the same values go out again', async () => {
    const rig = await start()
    const driver = await rig.client(version)
    const result = await prepared(driver, 'INSERT INTO t (a, b) VALUES (now(), ?)')
    rig.target.forgetPrepared()
    rig.origin.forgetPrepared()
    rig.clear()
    await driver.execute(idsOf(result), { values: ['x'] })
    await driver.batch([{ id: result.statementId, values: ['y'] }])
    for (const cluster of [rig.origin, rig.target]) {
      const executes = of(cluster, Opcode.EXECUTE).map(parametersOf)
      expect(executes).toHaveLength(2)
      expect(executes[1]).toEqual(executes[0])
      expect(textsOf(cluster, Opcode.PREPARE)).toEqual(['INSERT INTO t (a, b) VALUES (?, ?)'])
    }
    gotByBoth(rig, Opcode.EXECUTE)
    await rig.idle()
  })

  test('a refused text is prepared as it came, with the clusters’ own answer', async () => {
    const rig = await start()
    const driver = await rig.client(version)
    const text = 'INSERT INTO t (a) VALUES (uuid())'
    rig.target.on({ opcode: Opcode.PREPARE, text: /\?/ }, respondError(ErrorCode.INVALID))
    const result = await prepared(driver, text)
    expect(result.variables.columns).toEqual([])
    expect(textsOf(rig.target, Opcode.PREPARE)).toEqual([
      'INSERT INTO t (a) VALUES ((uuid)?)',
      text,
    ])
    await driver.execute(idsOf(result))
    expect(gotByBoth(rig, Opcode.EXECUTE)[0]).not.toHaveProperty('values')
    expect(rig.series().unreplacedFunctions).toEqual({ off: 0, collection: 0, json: 0, refused: 1 })
    await rig.idle()
  })

  test('an error that is not about the text is the client’s', async () => {
    const rig = await start()
    const driver = await rig.client(version)
    rig.target.on({ opcode: Opcode.PREPARE }, respondError(ErrorCode.OVERLOADED, 'busy'))
    const body = prepareBody(version, 'INSERT INTO t (a) VALUES (now())')
    const answer = await driver.request(Opcode.PREPARE, body)
    expect(readError(answer)).toMatchObject({ code: ErrorCode.OVERLOADED, message: 'busy' })
    expect(of(rig.target, Opcode.PREPARE)).toHaveLength(1)
    await rig.idle()
  })
})

describe.each(VERSIONS.filter((version) => version !== Version.V2))('v%i', (version) => {
  test('EXECUTE by name comes out by position', async () => {
    const rig = await start()
    const driver = await rig.client(version)
    const result = await prepared(driver, 'UPDATE t SET a = now(), b = :b WHERE k = :k')
    expect(textsOf(rig.target, Opcode.PREPARE)).toEqual([
      'UPDATE t SET a = :zdm__now, b = :b WHERE k = :k',
    ])
    expect(result.variables.columns.map(({ name }) => name)).toEqual(['b', 'k'])
    // The key's only variable is the client's second one; the fake node calls the first the key.
    if (version >= Version.V4) expect(result.variables.partitionKeyIndices).toEqual([])
    const body = new BodyWriter().writeShortBytes(result.statementId)
    const traits = versionTraits(version)!
    if (traits.hasResultMetadataId) body.writeShortBytes(result.resultMetadataId!)
    body.writeShort(1)
    const flags = QueryFlag.VALUES | QueryFlag.NAMES_FOR_VALUES
    if (traits.hasIntFlags) body.writeInt(flags)
    else body.writeByte(flags)
    body.writeShort(2).writeString('k').writeBytes(bytes('key')).writeString('b')
    body.writeValue(version >= Version.V4 ? NOT_SET : null)
    await driver.request(Opcode.EXECUTE, body.toBytes())
    const unset = version >= Version.V4 ? NOT_SET : null
    const [execute] = gotByBoth(rig, Opcode.EXECUTE)
    expect(execute).toMatchObject({ values: [isTimeUuid, unset, bytes('key')] })
    expect(execute).not.toHaveProperty('names')
    await rig.idle()
  })

  describe('write times', () => {
    const unify = { unifyWriteTimestamps: true, replaceCqlFunctions: false }

    test('QUERY, EXECUTE and BATCH without one get the proxy’s, the same and rising', async () => {
      const rig = await start(unify)
      const driver = await rig.client(version)
      const result = await prepared(driver, 'INSERT INTO t (a) VALUES (?)')
      const beforeMs = Date.now()
      await driver.query('INSERT INTO t (a) VALUES (?)', { values: ['x'], pageSize: 3 })
      await driver.execute(idsOf(result), { values: ['y'] })
      await driver.batch([{ id: result.statementId, values: ['z'] }, { text: 'DELETE FROM t' }])
      const [query] = gotByBoth(rig, Opcode.QUERY)
      const [execute] = gotByBoth(rig, Opcode.EXECUTE)
      const batch = batchesOnBoth(rig)
      expect(query).toMatchObject({ values: [bytes('x')], pageSize: 3 })
      expect(execute).toMatchObject({ values: [bytes('y')] })
      const times = [query!, execute!, batch].map(({ timestamp }) => timestamp!)
      expect(times.toSorted((a, b) => Number(a - b))).toEqual(times)
      expect(new Set(times).size).toBe(3)
      expect(Number(times[0]! / 1000n)).toBeGreaterThanOrEqual(beforeMs)
      expect(Number(times[2]! / 1000n)).toBeLessThanOrEqual(Date.now() + 1)
      expect(rig.series().writeTimestampsSet).toBe(3)
      await rig.idle()
    })

    test.each([
      'INSERT INTO t (a) VALUES (1) USING TIMESTAMP 5',
      'INSERT INTO t (a) VALUES (1) IF NOT EXISTS',
      'UPDATE t SET n = n + 1',
      'SELECT * FROM t',
      'CREATE TABLE t (a int PRIMARY KEY)',
    ])('%s goes out as it came', async (text) => {
      const rig = await start(unify)
      const driver = await rig.client(version)
      const result = await prepared(driver, text)
      await driver.query(text)
      await driver.execute(idsOf(result))
      await driver.batch([{ text }])
      await driver.batch([{ id: result.statementId }])
      const requests = rig.origin.received.filter(({ connection }) => connection > 0)
      for (const received of requests) {
        if (received.opcode === Opcode.BATCH) {
          const batch = decodeBatch(bodyOf(received), versionTraits(version)!)
          expect(batch).not.toHaveProperty('timestamp')
        } else if (received.opcode === Opcode.QUERY || received.opcode === Opcode.EXECUTE) {
          expect(parametersOf(received)).not.toHaveProperty('timestamp')
        }
      }
      expect(rig.series().writeTimestampsSet).toBe(0)
      await rig.idle()
    })

    test('a batch with a conditional child has none; one with a timestamp of a child’s own has', async () => {
      const rig = await start(unify)
      const driver = await rig.client(version)
      const plain = { text: 'DELETE FROM t WHERE k = 1' }
      await driver.batch([plain, { text: 'DELETE FROM t WHERE k = 1 IF EXISTS' }])
      expect(batchesOnBoth(rig)).not.toHaveProperty('timestamp')
      rig.clear()
      await driver.batch([{ text: 'DELETE FROM t USING TIMESTAMP 5 WHERE k = 1' }, plain])
      expect(batchesOnBoth(rig).timestamp).toBeGreaterThan(0n)
    })

    test('with functions replaced too', async () => {
      const rig = await start({ unifyWriteTimestamps: true })
      const driver = await rig.client(version)
      const result = await prepared(driver, 'INSERT INTO t (a, b) VALUES (now(), ?)')
      await driver.execute(idsOf(result), { values: ['x'] })
      await driver.query('INSERT INTO t (a) VALUES (now())')
      const [execute] = gotByBoth(rig, Opcode.EXECUTE)
      expect(execute).toMatchObject({ values: [isTimeUuid, bytes('x')] })
      expect(execute!.timestamp).toBeGreaterThan(0n)
      expect(gotByBoth(rig, Opcode.QUERY)[0]!.timestamp).toBeGreaterThan(execute!.timestamp!)
    })
  })
})

test('v2 has no field for write times: writes go out without, functions replaced', async () => {
  const rig = await start({ unifyWriteTimestamps: true })
  const driver = await rig.client(Version.V2)
  const result = await prepared(driver, 'INSERT INTO t (a, b) VALUES (now(), ?)')
  await driver.query('DELETE FROM t')
  await driver.execute(idsOf(result), { values: ['x'] })
  await driver.batch([{ id: result.statementId, values: ['y'] }, { text: 'DELETE FROM t' }])
  expect(gotByBoth(rig, Opcode.QUERY)[0]).not.toHaveProperty('timestamp')
  expect(gotByBoth(rig, Opcode.EXECUTE)[0]).not.toHaveProperty('timestamp')
  expect(batchesOnBoth(rig).children[0]?.values).toEqual([isTimeUuid, bytes('y')])
  expect(rig.series().writeTimestampsSet).toBe(0)
})

describe('what is left to the clusters', () => {
  const off = { replaceCqlFunctions: false }

  test('off: passed on as it came, counted and logged once per statement', async () => {
    const rig = await start(off)
    const driver = await rig.client()
    for (const value of ['a', 'b']) {
      const text = `INSERT INTO t (a, b) VALUES ('${value}', now())`
      await driver.query(text)
      expect(textsOf(rig.origin, Opcode.QUERY)).toContain(text)
    }
    await driver.batch([{ text: 'UPDATE t SET a = uuid()' }])
    await prepared(driver, 'UPDATE t SET b = currentTime()')
    await prepared(driver, 'UPDATE t SET b = currentTime()')
    await driver.query('SELECT now() FROM t')
    expect(rig.series().unreplacedFunctions).toEqual({ off: 3, collection: 0, json: 0, refused: 0 })
    const lines = rig.log.filter(({ code }) => code === 'FUNCTION_NOT_REPLACED')
    const shown = ['INSERT INTO t (a, b) VALUES (…, now())', 'UPDATE t SET a = uuid()']
    shown.push('UPDATE t SET b = currentTime()')
    expect(lines).toMatchObject(shown.map((statement) => ({ statement, reason: 'off' })))
    expect(lines).toHaveLength(3)
  })

  test('only the functions of the list are replaced', async () => {
    const rig = await start({ replaceCqlFunctionsList: ['now'] })
    const driver = await rig.client()
    await driver.query('UPDATE t SET a = now(), b = uuid()')
    expect(textsOf(rig.target, Opcode.QUERY)[0]).toMatch(
      new RegExp(`^UPDATE t SET a = ${UUID}, b = uuid\\(\\)$`),
    )
    expect(rig.series().unreplacedFunctions.off).toBe(1)
  })

  test('a collection literal of a prepared statement, beside a call that is replaced', async () => {
    const rig = await start()
    const driver = await rig.client()
    await prepared(driver, 'UPDATE t SET l = [now()], a = now()')
    expect(textsOf(rig.origin, Opcode.PREPARE)).toEqual(['UPDATE t SET l = [now()], a = ?'])
    expect(rig.series().unreplacedFunctions.collection).toBe(1)
  })

  test('an INSERT JSON', async () => {
    const rig = await start()
    const driver = await rig.client()
    const text = `INSERT INTO t JSON '{"a": "now()"}'`
    await driver.query(text)
    expect(textsOf(rig.origin, Opcode.QUERY)).toContain(text)
    expect(rig.series().unreplacedFunctions.json).toBe(1)
  })

  test('a column of another type is the cluster’s to refuse', async () => {
    const rig = await startPlane({ settings: { replaceCqlFunctions: true } })
    const driver = await rig.client()
    const text = 'INSERT INTO t (a) VALUES (now())'
    await prepared(driver, text)
    expect(textsOf(rig.origin, Opcode.PREPARE)).toEqual(['INSERT INTO t (a) VALUES (?)', text])
  })
})
