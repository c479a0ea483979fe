/** Instances as processes, told to leave through their admin API. */
import { expect, test } from 'vitest'
import type { AuditEntry, ClientCloseReport, ClientReport } from '../../src/control/report.ts'
import { ResultKind } from '../../src/cql/protocol.ts'
import { afterTest } from '../support/after-test.ts'
import { resultKind } from '../support/fake-cluster/request-bodies.ts'
import { delay } from '../support/fake-cluster/script.ts'
import { type ProcessInstance, startDeployment } from '../support/process-deployment.ts'
import { RawClient } from '../support/raw-client.ts'

const TIMEOUT_MS = 120_000
const REQUEST = { by: 'ada', reason: 'a new disk' }
const WRITE = 'INSERT INTO ks.t (k) VALUES (1)'

const drain = ({ client }: ProcessInstance): Promise<unknown> =>
  client.ask('POST', '/v1/drain', REQUEST)

test('one after the other leaves with status 0, but for the last', {
  timeout: TIMEOUT_MS,
}, async () => {
  const { instances, place, target } = await startDeployment()
  const [a, b, c] = instances
  const client = await RawClient.connect(place.port, { host: a.address })
  afterTest(() => client.close())
  await client.handshake()
  const held = delay()
  target.on({ text: /INSERT/ }, held)
  const write = client.query(WRITE)
  await target.waitFor(({ text }) => text === WRITE)

  expect(await drain(a)).toEqual({ instance: a.name })
  // Whoever watches over the process may send the signal too: nothing is cut short.
  a.terminate()
  expect((await a.status()).serving).toBe('draining')
  held.release()
  expect(resultKind(await write)).toBe(ResultKind.VOID)
  await client.closed
  expect(await a.ended()).toBe(0)
  expect(a.log).not.toContain('SHUTDOWN_CUT_SHORT')

  await drain(b)
  expect(await b.ended()).toBe(0)
  await expect(drain(c)).rejects.toThrow('no other instance is ready to serve clients')
  expect((await c.status()).serving).toBe('running')
})

test('clients of all instances are shown and closed through one of them', {
  timeout: TIMEOUT_MS,
}, async () => {
  const { instances, place } = await startDeployment()
  const connect = async ({ address }: ProcessInstance): Promise<RawClient> => {
    const client = await RawClient.connect(place.port, { host: address })
    afterTest(() => client.close())
    await client.handshake()
    return client
  }
  const clients = await Promise.all(instances.map(connect))
  const through = instances[0].client
  const names = instances.map(({ name }) => name)

  const seen = await through.ask<ClientReport>('GET', '/v1/clients')
  expect(seen.instances.map(({ name }) => name).sort()).toEqual([...names].sort())
  // The instances look at each other's client ports, which makes no group that stays.
  const ready = seen.instances.map(({ groups }) =>
    groups.filter(({ protocolVersion }) => protocolVersion !== null),
  )
  expect(ready.map(([group]) => group?.connections)).toEqual([1, 1, 1])

  const address = ready[0]![0]!.address
  const body = { ...REQUEST, address }
  const closed = await through.ask<ClientCloseReport>('POST', '/v1/clients/close', body)
  expect(closed.instances.every(({ closed: count, error }) => count! >= 1 && error === null)).toBe(
    true,
  )
  await Promise.all(clients.map((client) => client.closed))
  for (const { client } of instances) {
    const [entry] = await client.ask<AuditEntry[]>('GET', '/v1/audit?limit=1')
    expect(entry).toMatchObject({ event: 'clients-closed', ...REQUEST })
  }
})
