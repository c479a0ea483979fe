/** What passes through a data plane: bytes on both sides, and requests by what they are. */
import { describe, expect, test } from 'vitest'
import { Opcode, Version } from '../../src/cql/protocol.ts'
import { TRAFFIC_FAMILIES } from '../../src/metrics/traffic-families.ts'
import { eventually, startPlane } from '../support/plane.ts'

const READ = 'SELECT v FROM ks.t'
const WRITE = 'INSERT INTO ks.t (k) VALUES (1)'

describe.each([Version.V3, Version.V4, Version.V5])('v%i', (version) => {
  test('every byte from and to clients counts, also of long requests', async () => {
    const rig = await startPlane()
    const driver = await rig.client(version)
    await driver.query(READ)
    await driver.query(`${WRITE} -- ${'x'.repeat(200_000)}`)
    await eventually(() => rig.series().clientTraffic.sentBytes === driver.socket.bytesRead)
    expect(rig.series().clientTraffic).toEqual({
      receivedBytes: driver.socket.bytesWritten,
      sentBytes: driver.socket.bytesRead,
    })
  })
})

test('bytes count for the cluster that they go to and come from', async () => {
  const rig = await startPlane()
  const driver = await rig.client()
  await driver.query(WRITE)
  const exchange = async (text: string) => {
    const before = rig.series().upstreamTraffic
    const { bytesRead, bytesWritten } = driver.socket
    await driver.query(text)
    const after = rig.series().upstreamTraffic
    const grown = (cluster: 'origin' | 'target') => ({
      sentBytes: after[cluster].sentBytes - before[cluster].sentBytes,
      receivedBytes: after[cluster].receivedBytes - before[cluster].receivedBytes,
    })
    const asClient = {
      sentBytes: driver.socket.bytesWritten - bytesWritten,
      receivedBytes: driver.socket.bytesRead - bytesRead,
    }
    return { origin: grown('origin'), target: grown('target'), asClient }
  }
  const read = await exchange(READ)
  expect(read.origin).toEqual(read.asClient)
  expect(read.target).toEqual({ sentBytes: 0, receivedBytes: 0 })
  const write = await exchange(WRITE)
  expect([write.origin, write.target]).toEqual([write.asClient, write.asClient])
})

test('requests count by their opcode, whoever answers them, and unknown opcodes together', async () => {
  const rig = await startPlane()
  const driver = await rig.client()
  const prepared = await driver.prepare(READ)
  await driver.execute(prepared)
  await driver.execute(prepared)
  await driver.query('SELECT * FROM system.local')
  await driver.batch([{ text: WRITE }])
  await driver.request(0xff, new Uint8Array(0))
  const { requestsByOpcode } = rig.series()
  expect(requestsByOpcode[Opcode.EXECUTE]).toBe(2)
  const requests = TRAFFIC_FAMILIES.find(({ name }) => name === 'client_requests_total')!
  const gathered = { planes: [rig.series()] } as unknown as Parameters<typeof requests.read>[0]
  const counts = requests.read(gathered).map(({ labels, value }) => [labels['opcode'], value])
  expect(Object.fromEntries(counts)).toEqual({
    auth_response: 0,
    batch: 1,
    execute: 2,
    options: 0,
    other: 1,
    prepare: 1,
    query: 1,
    register: 0,
    startup: 1,
  })
})
