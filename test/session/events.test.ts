/** REGISTER and what clients hear of it (request-path §6.3): schema changes of one cluster, and nothing else of theirs. */
import { describe, expect, test } from 'vitest'
import { decodeEvent } from '../../src/cql/messages/event.ts'
import { ErrorCode, Opcode, ResultKind, Version, versionTraits } from '../../src/cql/protocol.ts'
import { BodyReader } from '../../src/cql/reader.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import { readError, registerBody, resultKind } from '../support/fake-cluster/request-bodies.ts'
import { type ClusterEvent, eventAnswer } from '../support/fake-cluster/results.ts'
import type { Envelope } from '../support/fake-cluster/wire.ts'
import { type Rig, startRig } from '../support/instance.ts'
import { eventually, type PlaneRig, someTurns, startPlane } from '../support/plane.ts'
import type { RawClient } from '../support/raw-client.ts'

const TABLE: ClusterEvent = {
  type: 'SCHEMA_CHANGE',
  change: 'CREATED',
  target: 'TABLE',
  keyspace: 'ks',
  name: 't',
}
const UP: ClusterEvent = { type: 'STATUS_CHANGE', change: 'UP', address: '127.0.0.1', port: 9042 }
const NEW_NODE: ClusterEvent = { ...UP, type: 'TOPOLOGY_CHANGE', change: 'NEW_NODE' }

const register = (driver: RawClient, types: readonly string[]): Promise<Envelope> =>
  driver.request(Opcode.REGISTER, registerBody(types))

const eventOf = (envelope: Envelope): unknown => {
  expect(envelope).toMatchObject({ opcode: Opcode.EVENT, streamId: -1 })
  return decodeEvent(new BodyReader(envelope.body), versionTraits(envelope.version)!)
}

/** The control connections have registered. */
const registered = (rig: PlaneRig | Rig): Promise<void> =>
  eventually(() =>
    [rig.origin, rig.target].every((cluster) =>
      cluster.openConnections.some(({ eventTypes }) => eventTypes.has('SCHEMA_CHANGE')),
    ),
  )

describe.each([Version.V3, Version.V4, Version.V5])('v%i', (version) => {
  test('a change of Origin’s schema reaches whoever has registered for it, once', async () => {
    const rig = await startPlane()
    await registered(rig)
    const [one, two, three] = [
      await rig.client(version),
      await rig.client(version),
      await rig.client(version),
    ]
    await register(one, ['SCHEMA_CHANGE', 'STATUS_CHANGE', 'TOPOLOGY_CHANGE'])
    await register(one, ['SCHEMA_CHANGE'])
    await register(two, ['STATUS_CHANGE'])
    rig.origin.pushEvent(TABLE)
    const schemaChange = { change: 'CREATED', target: 'TABLE', keyspace: 'ks', name: 't' }
    expect(eventOf(await one.next())).toEqual({ type: 'SCHEMA_CHANGE', schemaChange })
    await someTurns()
    expect([one.unread, two.unread, three.unread]).toEqual([[], [], []])
    expect(resultKind(await one.query('SELECT * FROM ks.t'))).toBe(ResultKind.ROWS)
  })

  test('an event type that is none is refused, and nothing is registered', async () => {
    const rig = await startPlane()
    await registered(rig)
    const driver = await rig.client(version)
    const answer = await register(driver, ['SCHEMA_CHANGE', 'NOPE'])
    expect(readError(answer)).toMatchObject({
      code: ErrorCode.PROTOCOL_ERROR,
      message: "Invalid value 'NOPE' for Type",
    })
    expect((await register(driver, ['status_change'])).opcode).toBe(Opcode.READY)
    rig.origin.pushEvent(TABLE)
    await someTurns()
    expect(driver.unread).toEqual([])
  })

  test('what else happens reaches nobody', async () => {
    const rig = await startPlane({ settings: { primaryCluster: 'TARGET' } })
    await registered(rig)
    const driver = await rig.client(version)
    await register(driver, ['SCHEMA_CHANGE', 'STATUS_CHANGE', 'TOPOLOGY_CHANGE'])
    rig.target.pushEvent(TABLE)
    for (const cluster of [rig.origin, rig.target]) {
      cluster.pushEvent(UP)
      cluster.pushEvent(NEW_NODE)
    }
    // Events of one connection keep their order: this one is behind the others.
    rig.origin.pushEvent({ ...TABLE, change: 'DROPPED' })
    const event = eventOf(await driver.next())
    expect(event).toMatchObject({ schemaChange: { change: 'DROPPED' } })
    await someTurns()
    expect(driver.unread).toEqual([])
  })
})

test('v3 clients hear of functions as a change of their keyspace', async () => {
  const rig = await startPlane()
  await registered(rig)
  const [v3, v4] = [await rig.client(Version.V3), await rig.client(Version.V4)]
  for (const driver of [v3, v4]) await register(driver, ['SCHEMA_CHANGE'])
  const connection = rig.origin.openConnections.find(({ eventTypes }) => eventTypes.size > 0)!

  for (const target of ['FUNCTION', 'AGGREGATE']) {
    const body = new BodyWriter()
      .writeString('SCHEMA_CHANGE')
      .writeString('CREATED')
      .writeString(target)
      .writeString('ks')
      .writeString('f')
      .writeStringList(['int'])
      .toBytes()
    connection.send(-1, { opcode: Opcode.EVENT, body })
    const keyspaceChanged = { change: 'UPDATED', target: 'KEYSPACE', keyspace: 'ks' }
    expect(eventOf(await v3.next())).toEqual({
      type: 'SCHEMA_CHANGE',
      schemaChange: keyspaceChanged,
    })
    expect(eventOf(await v4.next())).toMatchObject({ schemaChange: { target, name: 'f' } })
  }
})

test('events of a request connection are nobody’s', async () => {
  const rig = await startPlane()
  const driver = await rig.client()
  await register(driver, ['SCHEMA_CHANGE'])

  for (const connection of rig.origin.openConnections.filter(({ index }) => index > 0)) {
    connection.send(-1, eventAnswer(TABLE))
  }
  expect(resultKind(await driver.query('SELECT * FROM ks.t'))).toBe(ResultKind.ROWS)
  expect(driver.unread).toEqual([])
})

test('a client that has gone is told nothing', async () => {
  const rig = await startPlane()
  await registered(rig)
  const [gone, stays] = [await rig.client(), await rig.client()]
  for (const driver of [gone, stays]) await register(driver, ['SCHEMA_CHANGE'])
  await gone.close()
  rig.origin.pushEvent(TABLE)
  expect(eventOf(await stays.next())).toMatchObject({ type: 'SCHEMA_CHANGE' })
})

test('with schema_events_from PRIMARY a switch changes at once whose changes are told', async () => {
  const rig = await startRig({ settings: { schemaEventsFrom: 'PRIMARY' } })
  await registered(rig)
  const driver = await rig.client()
  await register(driver, ['SCHEMA_CHANGE'])
  const nextTable = async (): Promise<unknown> => {
    const event = decodeEvent(new BodyReader((await driver.next()).body), versionTraits(4)!)
    return event?.type === 'SCHEMA_CHANGE' ? event.schemaChange.name : event
  }
  rig.target.pushEvent({ ...TABLE, name: 'not_told' })
  rig.origin.pushEvent({ ...TABLE, name: 'of_origin' })
  expect(await nextTable()).toBe('of_origin')
  await rig.instance.setRouting({ ...rig.instance.routing, revision: 1, primary: 1 })
  // What Target had said before the switch is told now: its twin from Origin would not be any more.
  expect(await nextTable()).toBe('not_told')
  rig.origin.pushEvent({ ...TABLE, name: 'not_told_either' })
  rig.target.pushEvent({ ...TABLE, name: 'of_target' })
  expect(await nextTable()).toBe('of_target')
  rig.target.pushEvent({ ...TABLE, name: 'last' })
  expect(await nextTable()).toBe('last')
})
