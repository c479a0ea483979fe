/**
 * A node forgets a statement as often as it is taught it: a write that the other cluster may have executed
 * already is executed there by its text.
 */
import { describe, expect, test } from 'vitest'
import { EnvelopeFlag, ErrorCode, Opcode, ResultKind, Version } from '../../src/cql/protocol.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import { HEALS_MAX } from '../../src/session/healer.ts'
import type { FakeCluster } from '../support/fake-cluster/cluster.ts'
import { executeBody, readError, resultKind } from '../support/fake-cluster/request-bodies.ts'
import { decodeRequest } from '../support/fake-cluster/requests.ts'
import { errorAnswer } from '../support/fake-cluster/results.ts'
import { type Received, respond, respondError } from '../support/fake-cluster/script.ts'
import { type PlaneRig, startPlane } from '../support/plane.ts'

const INSERT = 'INSERT INTO ks.t (k, v) VALUES (?, ?)'
const VALUES = ['a', 'é']

const of = (cluster: FakeCluster, opcode: number): readonly Received[] =>
  cluster.received.filter((request) => request.opcode === opcode)

const forgetForEver = (...clusters: readonly FakeCluster[]): void => {
  const unprepared = errorAnswer(ErrorCode.UNPREPARED, 'forgotten', Buffer.alloc(16))
  for (const cluster of clusters) cluster.on({ opcode: Opcode.EXECUTE }, respond(unprepared))
}

/** But for the proxy's own. */
const queriesOn = (cluster: FakeCluster): readonly Received[] =>
  of(cluster, Opcode.QUERY).filter(({ text }) => text?.startsWith('INSERT') === true)

const start = (options: Parameters<typeof startPlane>[0] = {}): Promise<PlaneRig> =>
  startPlane({
    ...options,
    origin: { minVersion: Version.V2, maxVersion: Version.DSE_V2, ...options.origin },
    target: { minVersion: Version.V2, maxVersion: Version.DSE_V2, ...options.target },
  })

describe.each(Object.values(Version))('v%i', (version) => {
  test('with the same values, and what else the EXECUTE says', async () => {
    const rig = await start()
    const driver = await rig.client(version)
    const prepared = await driver.prepare(INSERT)
    forgetForEver(rig.target)
    rig.clear()
    const answer = await driver.execute(prepared, { values: VALUES, skipMetadata: true })
    expect(resultKind(answer)).toBe(ResultKind.VOID)
    expect(of(rig.target, Opcode.EXECUTE)).toHaveLength(HEALS_MAX + 1)
    const [query, ...others] = queriesOn(rig.target)
    expect(others).toEqual([])
    expect(query).toMatchObject({ text: INSERT, values: VALUES.map((value) => Buffer.from(value)) })
    // The columns of a conditional write's rows depend on its outcome.
    expect(decodeRequest(query!.envelope).skipMetadata).toBe(false)
    expect(of(rig.origin, Opcode.EXECUTE)).toHaveLength(1)
    expect(queriesOn(rig.origin)).toEqual([])
    await rig.idle()
  })
})

test('behind the EXECUTE’s custom payload', async () => {
  const rig = await start()
  const driver = await rig.client()
  const prepared = await driver.prepare(INSERT)
  forgetForEver(rig.target)
  const payload = new BodyWriter().writeShort(1).writeString('key')
  payload.writeBytes(Buffer.from('1'))
  const body = payload.writeRaw(executeBody(driver.version, prepared, { values: VALUES })).toBytes()
  const flags = EnvelopeFlag.CUSTOM_PAYLOAD
  const answer = await driver.request(Opcode.EXECUTE, body, { flags })
  expect(resultKind(answer)).toBe(ResultKind.VOID)
  const [query] = queriesOn(rig.target)
  expect(query).toMatchObject({ text: INSERT, flags })
  expect(query!.customPayload?.get('key')).toEqual(Buffer.from('1'))
})

test('on both clusters, if both forget it', async () => {
  const rig = await start()
  const driver = await rig.client()
  const prepared = await driver.prepare(INSERT)
  forgetForEver(rig.origin, rig.target)
  expect(resultKind(await driver.execute(prepared, { values: VALUES }))).toBe(ResultKind.VOID)
  for (const cluster of [rig.origin, rig.target]) expect(queriesOn(cluster)).toHaveLength(1)
  await rig.idle()
})

test('with the values that the proxy binds in place of functions', async () => {
  const bindType = 'uuid' as const
  const rig = await start({
    settings: { replaceCqlFunctions: true },
    origin: { bindType },
    target: { bindType },
  })
  const driver = await rig.client()
  const prepared = await driver.prepare('INSERT INTO ks.t (k, v) VALUES (?, now())')
  forgetForEver(rig.target)
  expect(resultKind(await driver.execute(prepared, { values: ['a'] }))).toBe(ResultKind.VOID)
  const [execute] = of(rig.origin, Opcode.EXECUTE)
  expect(queriesOn(rig.target)).toMatchObject([{ text: INSERT, values: execute!.values! }])
})

test('and what the cluster says of it is the client’s answer', async () => {
  const rig = await start()
  const driver = await rig.client()
  const prepared = await driver.prepare(INSERT)
  forgetForEver(rig.target)
  rig.target.on({ text: /INSERT/ }, respondError(ErrorCode.INVALID, 'no such table'))
  const error = readError(await driver.execute(prepared, { values: VALUES }))
  expect(error).toEqual({ code: ErrorCode.INVALID, message: 'no such table' })
  await rig.idle()
})

test('once: a cluster that answers UNPREPARED to a QUERY too is not asked again', async () => {
  const rig = await start()
  const driver = await rig.client()
  const prepared = await driver.prepare(INSERT)
  forgetForEver(rig.target)
  const unprepared = errorAnswer(ErrorCode.UNPREPARED, 'what?', Buffer.alloc(16))
  rig.target.on({ opcode: Opcode.QUERY, text: /INSERT/ }, respond(unprepared))
  const { code, message } = readError(await driver.execute(prepared, { values: VALUES }))
  expect(code).toBe(ErrorCode.OVERLOADED)
  expect(message).toMatch(/^Target: .*prepared_statements_cache_size/)
  expect(queriesOn(rig.target)).toHaveLength(1)
  await rig.idle()
})

test('not where its unqualified names would mean another keyspace: then the client is told', async () => {
  const rig = await start()
  const one = await rig.client(Version.V4, { keyspace: 'ks1' })
  const prepared = await one.prepare('INSERT INTO t (k, v) VALUES (?, ?)')
  const other = await rig.client(Version.V4, { keyspace: 'ks2' })
  forgetForEver(rig.target)
  const { code } = readError(await other.execute(prepared, { values: VALUES }))
  expect(code).toBe(ErrorCode.OVERLOADED)
  expect(queriesOn(rig.target)).toEqual([])
  await rig.idle()
})

test('not a BATCH, whose statements are many: then the client is told', async () => {
  const rig = await start()
  const driver = await rig.client()
  const { id } = await driver.prepare(INSERT)
  const unprepared = errorAnswer(ErrorCode.UNPREPARED, 'forgotten', Buffer.alloc(16))
  rig.target.on({ opcode: Opcode.BATCH }, respond(unprepared))
  const { code, message } = readError(await driver.batch([{ id, values: VALUES }]))
  expect(code).toBe(ErrorCode.OVERLOADED)
  expect(message).toMatch(/^Target: .*prepared_statements_cache_size/)
  expect(of(rig.target, Opcode.BATCH)).toHaveLength(HEALS_MAX + 1)
  await rig.idle()
})
