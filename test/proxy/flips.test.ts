/**
 * The routing changed a thousand times under load: each request is routed by exactly one state, none fails,
 * no connection is lost, and what the change reports of the requests before it is true.
 */
import { describe, expect, test } from 'vitest'
import { Opcode, Version } from '../../src/cql/protocol.ts'
import type { RoutingState } from '../../src/routing/routing-state.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { readError, resultKind } from '../support/fake-cluster/request-bodies.ts'
import { voidAnswer } from '../support/fake-cluster/results.ts'
import { delay, drop, respond } from '../support/fake-cluster/script.ts'
import { type PlaneRig, someTurns, startPlane } from '../support/plane.ts'

const FLIPS = 1000
const REQUESTS = 100_000
const IN_FLIGHT = 100
const CLIENTS = 4

const numbersSeen = (rig: PlaneRig, cluster: 'origin' | 'target'): Set<number> =>
  new Set(
    rig[cluster].received.flatMap(({ text }) => {
      const number = /^SELECT v FROM ks.t WHERE k = (\d+)$/.exec(text ?? '')?.[1]
      return number === undefined ? [] : [Number(number)]
    }),
  )

const flipped = (routing: RoutingState): RoutingState => ({
  ...routing,
  revision: routing.revision + 1,
  primary: routing.primary === 0 ? 1 : 0,
})

test('a thousand flips under load', { timeout: 600_000 }, async () => {
  const rig = await startPlane()
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => rig.client(Version.V4)))
  const opened = rig.series().upstreamConnectionsOpened
  rig.clear()
  let next = 0
  const errors: string[] = []
  const work = async (client: (typeof clients)[number]): Promise<void> => {
    for (let number = next++; number < REQUESTS; number = next++) {
      const answer = await client.query(`SELECT v FROM ks.t WHERE k = ${number}`)
      if (answer.opcode === Opcode.ERROR) errors.push(readError(answer).message)
    }
  }
  const load = Promise.all(Array.from({ length: IN_FLIGHT }, (_, i) => work(clients[i % CLIENTS]!)))
  const settled: Promise<{ inFlight: number; remaining: number }>[] = []
  for (let flip = 1; flip <= FLIPS; flip++) {
    // Spread over the whole load, always with requests in flight.
    while (next < (REQUESTS * flip) / (FLIPS + 1)) await someTurns(1)
    settled.push(rig.plane.setRouting(flipped(rig.plane.routing)))
    // Answers come in bursts: two flips in one turn would be none.
    await someTurns(1)
  }
  await load
  const flips = await Promise.all(settled)
  expect(errors).toEqual([])
  expect(rig.plane.routing.revision).toBe(FLIPS)
  expect(flips.filter(({ remaining }) => remaining > 0)).toEqual([])
  expect(flips.filter(({ inFlight }) => inFlight > 0).length).toBeGreaterThan(FLIPS / 100)
  const origin = numbersSeen(rig, 'origin')
  const target = numbersSeen(rig, 'target')
  expect(origin.intersection(target).size).toBe(0)
  expect(origin.union(target).size).toBe(REQUESTS)
  expect(rig.origin.received.length + rig.target.received.length).toBe(REQUESTS)
  // Both served: the flips were no formality.
  expect(Math.min(origin.size, target.size)).toBeGreaterThan(REQUESTS / 10)
  expect(rig.series().upstreamConnectionsOpened).toEqual(opened)
  expect(clients.every(({ socket }) => !socket.closed)).toBe(true)
  await rig.idle()
})

describe('a change has come to rest', () => {
  test('when the last request that was routed before it is answered, and not sooner', async () => {
    const clock = new FakeClock()
    const rig = await startPlane({ clock })
    const client = await rig.client()
    const held = delay(respond(voidAnswer()))
    rig.origin.on({ text: /old/ }, held)
    const old = client.query("SELECT 'old' FROM ks.t")
    await rig.origin.waitFor(({ text }) => text?.includes('old') === true)
    let report: object | null = null
    const change = rig.plane.setRouting(flipped(rig.plane.routing)).then((result) => {
      report = result
    })
    // What comes later does not count, and is served at once by the other cluster.
    expect(resultKind(await client.query('SELECT v FROM ks.t'))).toBeGreaterThan(0)
    expect(rig.target.received.map(({ text }) => text)).toContain('SELECT v FROM ks.t')
    clock.advance(50)
    await someTurns()
    expect(report).toBeNull()
    held.release()
    await old
    clock.advance(10)
    await change
    expect(report).toEqual({ inFlight: 1, waitedMs: 52, remaining: 0 })
  })

  test('or when no request can live that long, though a cluster is silent', async () => {
    const clock = new FakeClock()
    const rig = await startPlane({ clock, settings: { proxyRequestTimeoutMs: 1000 } })
    const client = await rig.client()
    rig.origin.on({ opcode: Opcode.PREPARE }, drop())
    const prepare = client.prepare('DELETE FROM ks.t').catch(String)
    await rig.origin.waitFor(({ opcode }) => opcode === Opcode.PREPARE)
    const change = rig.plane.setRouting(flipped(rig.plane.routing))
    for (let ms = 0; ms < 1600; ms += 2) {
      clock.advance(2)
      if (ms % 100 === 0) await someTurns(2)
    }
    expect(await prepare).toContain('Not a RESULT')
    expect(await change).toMatchObject({ inFlight: 1, remaining: 0 })
  })

  test('or after 15 s, however long a request may take: whoever asked for it waits over HTTP', async () => {
    const clock = new FakeClock()
    const rig = await startPlane({ clock, settings: { proxyRequestTimeoutMs: 120_000 } })
    const client = await rig.client()
    const held = delay(respond(voidAnswer()))
    rig.origin.on({ text: /old/ }, held)
    const old = client.query("SELECT 'old' FROM ks.t")
    await rig.origin.waitFor(({ text }) => text?.includes('old') === true)
    const change = rig.plane.setRouting(flipped(rig.plane.routing))
    clock.advance(15_002)
    const report = await Promise.race([change, someTurns(10)])
    held.release()
    await old
    expect(report).toMatchObject({ inFlight: 1, remaining: 1 })
  })

  test('at once where nothing is in flight', async () => {
    const rig = await startPlane()
    const report = await rig.plane.setRouting(flipped(rig.plane.routing))
    expect(report).toEqual({ inFlight: 0, waitedMs: 0, remaining: 0 })
  })
})
