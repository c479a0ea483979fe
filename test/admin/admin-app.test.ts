/** The admin API: who gets in, what it answers, and that both are as its document says. */
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import type { FastifyInstance } from 'fastify'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { OPERATIONS, type Operation, type OperationId } from '../../src/admin/api-operations.ts'
import { SCHEMAS } from '../../src/admin/api-schemas.ts'
import { listenHttp } from '../../src/admin/http-server.ts'
import { HttpInstanceClient } from '../../src/admin/instance-client.ts'
import { ref } from '../../src/admin/json-schema.ts'
import { systemClock } from '../../src/clock.ts'
import type { CheckReport } from '../../src/control/report.ts'
import { createLogger } from '../../src/log.ts'
import type { MigrationControl } from '../../src/proxy/migration-control.ts'
import { ask, startTestControl, testApp } from '../support/controlled.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { type Rig, settingsFor, startRig } from '../support/instance.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

let rig: Rig
let control: MigrationControl
let app: FastifyInstance

beforeEach(async () => {
  rig = await startRig()
  control = startTestControl(settingsFor(rig.origin, rig.target), rig.instance)
  app = testApp(control)
})

const ACCESS = { token: null, tls: {}, timeoutMs: 5_000, commitTimeoutMs: 5_000 }
const LOOPBACK = { address: '127.0.0.1', port: 0, purpose: 'a test' }

/** Ways to write a path that a router may take for another. */
const SPELLINGS: readonly (readonly ['GET' | 'HEAD' | 'POST', string])[] = [
  ['GET', '/v1/log-level'],
  ['HEAD', '/v1/log-level'],
  ['GET', '/%761/log-level'],
  ['GET', '/v%31/log-level'],
  ['GET', '/v1%2Flog-level'],
  ['GET', 'http://127.0.0.1/v1/log-level'],
  ['GET', 'http://127.0.0.1/%761/log-level'],
  ['GET', '//v1/log-level'],
  ['GET', '/v1//log-level'],
  ['GET', '/V1/log-level'],
  ['GET', '/v1/LOG-LEVEL'],
  ['GET', '/v1/log-level/'],
  ['GET', '/./v1/log-level'],
  ['GET', '/x/../v1/log-level'],
  ['GET', '/v1/log-level?x=/openapi.json'],
  ['GET', '/v1/log-level#/openapi.json'],
  ['GET', '/v1/nothing'],
  ['GET', '/nothing'],
  ['POST', '/%761/rollback'],
  ['POST', 'http://127.0.0.1/v1/rollback'],
]

const TOKEN = 'a-secret-of-32-characters-0000000'
const ADVANCE = { to: 'migrate', by: 'ada', reason: 'all clients moved' }

describe('who gets in', () => {
  const FOREIGN: readonly (readonly [string, Record<string, string>, string])[] = [
    ['a page of another site', { origin: 'https://evil.example' }, 'CROSS_ORIGIN'],
    ['a page of another port', { origin: 'http://127.0.0.1:1' }, 'CROSS_ORIGIN'],
    ['a sandboxed page', { origin: 'null' }, 'CROSS_ORIGIN'],
    ['a link on another site', { 'sec-fetch-site': 'cross-site' }, 'CROSS_ORIGIN'],
    ['a name that resolves to here', { host: 'evil.example:14003' }, 'HOST_NOT_ALLOWED'],
  ]
  test.each(FOREIGN)('not %s', async (_, headers, code) => {
    for (const path of ['/v1/status', '/openapi.json']) {
      expect(await ask(app, 'GET', path, undefined, headers)).toMatchObject({
        status: 403,
        body: { code },
      })
    }
    expect((await ask(app, 'POST', '/v1/advance', ADVANCE, headers)).status).toBe(403)
    expect(control.state.revision).toBe(0)
  })

  test.each([
    { host: 'localhost:14003' },
    { host: '[::1]:14003' },
    { host: '127.0.0.1:14003', origin: 'http://127.0.0.1:14003', 'sec-fetch-site': 'same-origin' },
  ])('but %j', async (headers) => {
    expect((await ask(app, 'GET', '/v1/status', undefined, headers)).status).toBe(200)
  })

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data'])(
    'not what a form sends: %s',
    async (type) => {
      const answer = await app.inject({
        method: 'POST',
        url: '/v1/advance',
        headers: { host: '127.0.0.1', 'content-type': type },
        payload: JSON.stringify(ADVANCE),
      })
      expect(answer.statusCode).toBe(415)
      expect(answer.body).toContain('content-type: application/json')
      expect(control.state.revision).toBe(0)
    },
  )

  test('with a token only who shows it, whatever the host is called', async () => {
    const guarded = testApp(control, { token: TOKEN, clock: new FakeClock() })
    const get = (authorization?: string): ReturnType<typeof ask> =>
      ask(guarded, 'GET', '/v1/status', undefined, {
        host: 'proxy.example',
        ...(authorization === undefined ? {} : { authorization }),
      })
    for (const wrong of [undefined, 'Bearer', `Bearer ${TOKEN}x`, `Basic ${TOKEN}`, TOKEN]) {
      const { status, body } = await get(wrong)
      expect(status).toBe(401)
      const said = wrong === undefined ? 'show the token' : 'the token that was shown is none'
      expect(JSON.stringify(body)).toContain(said)
    }
    expect((await get(`Bearer ${TOKEN}`)).status).toBe(200)
    // The document is no secret.
    const document = await ask(guarded, 'GET', '/openapi.json', undefined, {
      host: 'proxy.example',
    })
    expect(document.status).toBe(200)
  })

  test('without the token nobody, however the path is written', async () => {
    const guarded = testApp(control, { token: TOKEN })
    const { port } = await listenHttp(guarded, LOOPBACK, systemClock)
    const statusOf = (method: string, path: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const headers = { host: `127.0.0.1:${port}`, 'content-type': 'application/json' }
        const options = { host: '127.0.0.1', port, method, path, headers, agent: false as const }
        const request = httpRequest(options, (response) => {
          response.resume()
          resolve(response.statusCode)
        })
        request.on('error', reject)
        request.end(method === 'POST' ? '{}' : undefined)
      })
    for (const [method, path] of SPELLINGS) {
      expect([401, 429], `${method} ${path}`).toContain(await statusOf(method, path))
    }
    expect(control.state.revision).toBe(0)
    // What says nothing needs none.
    for (const path of ['/', '/console.js', '/phases.json', '/openapi.json', '/?x=/v1/status']) {
      expect(await statusOf('GET', path), path).toBe(200)
    }
  })

  test('with a wrong token not many times, however the path is written', async () => {
    const clock = new FakeClock()
    const guarded = testApp(control, { token: TOKEN, clock })
    const get = (token: string, url: string): ReturnType<typeof ask> =>
      ask(guarded, 'GET', url, undefined, { authorization: `Bearer ${token}` })
    for (let i = 0; i < 10; i++) expect((await get('wrong', '/%761/status')).status).toBe(401)
    expect((await get('wrong', '/v1/status')).status).toBe(429)
  })

  test('with a wrong token not many times; the right one is not locked out by that', async () => {
    const clock = new FakeClock()
    const guarded = testApp(control, { token: TOKEN, clock })
    const get = (token: string): ReturnType<typeof ask> =>
      ask(guarded, 'GET', '/v1/status', undefined, { authorization: `Bearer ${token}` })
    for (let i = 0; i < 10; i++) expect((await get('wrong')).status).toBe(401)
    expect((await get('wrong')).status).toBe(429)
    expect((await get(TOKEN)).status).toBe(200)
    clock.advance(5000)
    expect((await get('wrong')).status).toBe(401)
    expect((await get('wrong')).status).toBe(429)
  })

  test('with the token not faster than its own limit, whatever others do from the same address', async () => {
    const limited = testApp(control, { token: TOKEN, clock: new FakeClock() })
    const get = (path: string, headers = {}): ReturnType<typeof ask> =>
      ask(limited, 'GET', path, undefined, headers)
    const shown = { authorization: `Bearer ${TOKEN}` }
    for (let i = 0; i < 101; i++) await get('/openapi.json')
    expect((await get('/openapi.json')).status).toBe(429)
    for (let i = 0; i < 100; i++) expect((await get('/v1/status', shown)).status).toBe(200)
    expect((await get('/v1/status', shown)).status).toBe(429)
  })

  test('not faster than the limits, and is told when to come again', async () => {
    const clock = new FakeClock()
    const limited = testApp(control, { clock })
    for (let i = 0; i < 20; i++) {
      expect((await ask(limited, 'PUT', '/v1/log-level', { level: 'info' })).status).toBe(200)
    }
    const answer = await ask(limited, 'PUT', '/v1/log-level', { level: 'info' })
    expect(answer).toMatchObject({
      status: 429,
      headers: { 'retry-after': '1' },
      body: { code: 'RATE_LIMITED' },
    })
    expect((await ask(limited, 'GET', '/v1/status')).status).toBe(200)
    clock.advance(500)
    expect((await ask(limited, 'PUT', '/v1/log-level', { level: 'info' })).status).toBe(200)
  })
})

describe('a change', () => {
  test('goes on, goes back, is recorded, and done again is nothing', async () => {
    const advanced = await ask(app, 'POST', '/v1/advance', ADVANCE)
    expect(advanced).toMatchObject({ status: 200, body: { outcome: 'done', to: 'migrate' } })
    expect((await ask(app, 'POST', '/v1/advance', ADVANCE)).body).toMatchObject({
      outcome: 'unchanged',
    })
    const back = await ask(app, 'POST', '/v1/rollback', { leave: true, by: 'ada' })
    expect(back).toMatchObject({
      status: 200,
      body: { outcome: 'done', to: 'rolled-back', leave: { isOriginComplete: true } },
    })
    const { body } = await ask(app, 'GET', '/v1/audit?limit=2')
    expect(body).toMatchObject([
      { event: 'begun', verb: 'rollback', by: 'ada', via: '127.0.0.1' },
      { event: 'committed', from: { phase: 'migrate' }, to: { phase: 'rolled-back' } },
    ])
  })

  test('that checks refuse changes nothing, and says what to do', async () => {
    await ask(app, 'POST', '/v1/advance', ADVANCE)
    const { status, body } = await ask(app, 'POST', '/v1/advance', { to: 'dual-read' })
    expect(status).toBe(409)
    expect(body).toMatchObject({ outcome: 'refused', from: 'migrate' })
    expect(JSON.stringify(body)).toContain('set routing_state_path')
    expect(rig.instance.routing.readMode).toBe('PRIMARY_ONLY')
    const forced = { to: 'dual-read', force: true, reason: 'a test' }
    expect((await ask(app, 'POST', '/v1/advance', forced)).status).toBe(200)
    expect(rig.instance.routing).toMatchObject({ readMode: 'DUAL_ASYNC_ON_SECONDARY', revision: 2 })
  })

  test('outside the phases needs force, and ending the net too', async () => {
    const routing = { primary: 'ORIGIN', readMode: 'PRIMARY_ONLY', writeMode: 'origin_only' }
    const refused = await ask(app, 'PUT', '/v1/routing', { routing })
    expect(refused.status).toBe(409)
    expect(JSON.stringify(refused.body)).toContain('safety-net')
    const forced = { routing, force: true, reason: 'leaving for good' }
    expect((await ask(app, 'PUT', '/v1/routing', forced)).status).toBe(200)
    expect(rig.instance.routing.writeMode).toBe('origin_only')
    expect((await ask(app, 'GET', '/v1/status')).body).toMatchObject({ isPhaseRouting: false })
  })

  test.each([
    ['/v1/advance', { to: 'nowhere' }],
    ['/v1/advance', {}],
    ['/v1/advance', { to: 'migrate', extra: 1 }],
    ['/v1/advance', { to: 'migrate', force: true }],
    ['/v1/changes', { transition: { verb: 'advance' }, expectedRevision: 0, revision: 1 }],
    ['/v1/reconciliations', { scope: 'half' }],
  ])('POST %s of %j is refused', async (path, payload) => {
    expect((await ask(app, 'POST', path, payload)).status).toBe(400)
    expect(control.state.revision).toBe(0)
  })

  test('in halves is what another coordinator does', async () => {
    const request = {
      transition: { verb: 'advance', to: 'migrate' },
      expectedRevision: 0,
      revision: 5,
    }
    const prepared = await ask(app, 'POST', '/v1/changes', request)
    expect(prepared.status).toBe(201)
    expect(await ask(app, 'POST', '/v1/changes', request)).toMatchObject({
      status: 409,
      body: { code: 'CHANGE_IN_PROGRESS' },
    })
    const { id } = prepared.body as { id: string }
    const committed = await ask(app, 'POST', `/v1/changes/${id}/commit`, {})
    expect(committed).toMatchObject({ status: 200, body: { state: { revision: 5 } } })
    expect((await ask(app, 'POST', `/v1/changes/${id}/commit`, {})).status).toBe(404)
    expect((await ask(app, 'DELETE', `/v1/changes/${id}`)).status).toBe(200)
  })
})

describe('what a caller asked in vain', () => {
  const REFUSED = [
    ['POST', '/v1/reconciliations', { step: 'done' }, 409],
    ['POST', '/v1/reconciliations', { since: 'yesterday' }, 409],
    ['POST', '/v1/clients/close', { address: 'hostname', reason: 'x' }, 400],
    ['POST', '/v1/drain', { reason: 'x' }, 409],
    ['GET', '/v1/plan?verb=advance&to=cut-over', undefined, 409],
  ] as const

  test.each(REFUSED)('is answered and not logged: %s %s %j', async (method, path, body, status) => {
    const lines: string[] = []
    const sink = { write: (line: string) => void lines.push(line) }
    const log = createLogger({ level: 'debug', clock: systemClock, sink })
    expect((await ask(testApp(control, { log }), method, path, body)).status).toBe(status)
    expect(lines).toEqual([])
  })

  test('is logged under its own code where the proxy could not do it', async () => {
    const lines: unknown[] = []
    const sink = { write: (line: string) => void lines.push(JSON.parse(line)) }
    const log = createLogger({ level: 'debug', clock: systemClock, sink })
    const settings = settingsFor(rig.origin, rig.target)
    const auditLogPath = join(temporaryDirectory(), 'nowhere', 'audit.jsonl')
    const own = startTestControl({ ...settings, auditLogPath }, rig.instance)
    const answer = await ask(testApp(own, { log }), 'PUT', '/v1/log-level', { level: 'info' })
    expect(answer).toMatchObject({ status: 503, body: { code: 'AUDIT_NOT_WRITTEN' } })
    expect(lines).toMatchObject([{ code: 'AUDIT_NOT_WRITTEN', level: 'warn' }])
    expect(JSON.stringify(lines)).not.toContain('stack')
  })
})

test('a reconciliation has a beginning and an end, and is refused without', async () => {
  const record = (body: object): ReturnType<typeof ask> =>
    ask(app, 'POST', '/v1/reconciliations', { by: 'ada', ...body })
  expect(await record({ step: 'begin' })).toMatchObject({ status: 200 })
  expect(await record({})).toMatchObject({
    status: 409,
    body: { code: 'RECONCILIATION_REFUSED', message: expect.stringContaining('advance migrate') },
  })
  await ask(app, 'POST', '/v1/advance', ADVANCE)
  expect((await record({})).status).toBe(409)
  expect((await record({ since: 'yesterday' })).status).toBe(409)
  const begun = await record({ step: 'begin' })
  const { comparisonBegunAt } = begun.body as { comparisonBegunAt: string }
  expect(await record({})).toMatchObject({ status: 200, body: { reconciledAt: comparisonBegunAt } })
  expect((await ask(app, 'GET', '/v1/status')).body).toMatchObject({
    state: { reconciledAt: comparisonBegunAt },
    failedWrites: { since: comparisonBegunAt },
  })
})

test('what a cluster lacks is the same in metrics as in the status', async () => {
  const [plane] = await rig.instance.series()!
  const row = { keyspace: 'ks', table: 't', both: 5, firstMs: Date.now(), lastMs: Date.now() }
  const planes = [{ ...plane!, failedTables: [{ ...row, originOnly: 1, targetOnly: 2 }] }]
  expect(control.series(planes).unreconciled).toEqual({ origin: 1, target: 2 })
  expect(control.series([]).unreconciled).toEqual({ origin: 0, target: 0 })
})

describe('a check', () => {
  test('asks both clusters over connections of its own, one at a time', async () => {
    const before = rig.origin.openConnections.length
    const [first, second] = await Promise.all([
      ask(app, 'GET', '/v1/check'),
      ask(app, 'GET', '/v1/check'),
    ])
    expect(first).toMatchObject({
      status: 200,
      body: { instances: [{ name: control.name, error: null }] },
    })
    expect(second).toMatchObject({ status: 409, body: { code: 'CHECK_IN_PROGRESS' } })
    await rig.origin.waitUntil(() => rig.origin.openConnections.length === before)
    expect((await ask(app, 'GET', '/v1/check')).status).toBe(200)
  })

  test('of a cluster that is down says what is wrong, and does not count as a comparison', async () => {
    await rig.target.stopListening()
    const { body } = await ask(app, 'GET', '/v1/check')
    expect(body).toMatchObject({ isFeasible: false, schema: null })
    const { instances } = body as CheckReport
    expect(instances[0]!.rows).toContainEqual(
      expect.objectContaining({ subject: 'Target', name: 'TCP', verdict: 'fail' }),
    )
    expect((await control.status()).lastCheck).toBeNull()
  })

  test('uses the credentials in effect and shows none', async () => {
    const settings = { ...rig.instance.settings, originUsername: 'u', originPassword: 'hunter2' }
    rig.instance.reconfigure(settings)
    const { body } = await ask(app, 'GET', '/v1/check')
    expect(JSON.stringify(body)).not.toContain('hunter2')
  })
})

describe('clients', () => {
  const close = (request: object): ReturnType<typeof ask> =>
    ask(app, 'POST', '/v1/clients/close', {
      address: '127.0.0.1',
      by: 'ada',
      reason: 'it moved',
      ...request,
    })

  test('are shown grouped', async () => {
    await rig.client(4, { startupOptions: { DRIVER_NAME: 'java\u001b[31m' } })
    const { status, body } = await ask(app, 'GET', '/v1/clients?scope=instance')
    expect(status).toBe(200)
    const group = { address: '127.0.0.1', driverName: 'java\ufffd[31m', connections: 1 }
    expect(body).toEqual({
      instances: [
        {
          name: control.name,
          groups: [expect.objectContaining(group)],
          unlistedConnections: 0,
          error: null,
        },
      ],
    })
  })

  test('of an instance that does not say are an error of that instance', async () => {
    vi.spyOn(rig.instance, 'clientGroups').mockRejectedValue(new Error('thread 1 is stuck'))
    const { status, body } = await ask(app, 'GET', '/v1/clients')
    expect(status).toBe(200)
    expect(body).toMatchObject({ instances: [{ groups: [], error: 'thread 1 is stuck' }] })
  })

  test.each(['127.0.0.1', '::ffff:127.0.0.1', '[::ffff:7f00:1]'])(
    'from %s are closed, which is recorded without whose they are',
    async (address) => {
      const client = await rig.client()
      expect(await close({ address, user: '' })).toMatchObject({
        status: 200,
        body: { instances: [{ name: control.name, closed: 1, error: null }] },
      })
      await client.closed
      expect(control.audit(1)).toMatchObject([
        {
          event: 'clients-closed',
          by: 'ada',
          reason: 'it moved',
          message: 'closes client connections from 127.0.0.1, those of one user',
        },
      ])
    },
  )

  test.each([
    [{ reason: '' }, 'REASON_MISSING'],
    [{ address: '127.0.0.1:50000' }, 'ADDRESS_INVALID'],
    [{ address: 'shop.example' }, 'ADDRESS_INVALID'],
    [{ address: '' }, 'REQUEST_INVALID'],
  ])('are not closed for %j', async (request, code) => {
    await rig.client()
    expect(await close(request)).toMatchObject({ status: 400, body: { code } })
    expect(rig.instance.clients?.count).toBe(1)
    expect(control.audit(10)).toEqual([])
  })

  test('that an instance did not close are told with a status of failure', async () => {
    vi.spyOn(rig.instance, 'closeClients').mockRejectedValue(new Error('thread 1 is stuck'))
    expect(await close({})).toMatchObject({
      status: 502,
      body: { instances: [{ closed: null, error: 'thread 1 is stuck' }] },
    })
  })

  test('of another instance are asked for and closed through its own API', async () => {
    const { port } = await listenHttp(app, LOOPBACK, systemClock)
    const other = new HttpInstanceClient(`http://127.0.0.1:${port}`, ACCESS)
    const client = await rig.client()
    expect(await other.clients()).toMatchObject({ groups: [{ connections: 1 }] })
    const selection = { address: '127.0.0.1', user: null }
    expect(await other.closeClients(selection, { by: 'ada', reason: 'it moved' })).toBe(1)
    await client.closed
    vi.spyOn(rig.instance, 'clientGroups').mockRejectedValue(new Error('thread 1 is stuck'))
    await expect(other.clients()).rejects.toThrow('thread 1 is stuck')
  })
})

describe('draining', () => {
  const REQUEST = { by: 'ada', reason: 'a new disk' }

  test.each([
    [{ ...REQUEST }, 409, 'LAST_INSTANCE'],
    [{ by: 'ada', force: true }, 400, 'REASON_MISSING'],
  ])('%j is refused with %i, and nothing is recorded', async (request, status, code) => {
    const leave = vi.fn<() => void>()
    const settings = settingsFor(rig.origin, rig.target)
    const own = startTestControl(settings, rig.instance, undefined, leave)
    const answer = await ask(testApp(own), 'POST', '/v1/drain', request)
    expect(answer).toMatchObject({ status, body: { code } })
    expect(leave).not.toHaveBeenCalled()
    expect(own.audit(10)).toEqual([])
  })

  test('the last instance is done when forced, and recorded so', async () => {
    const leave = vi.fn<() => void>()
    const settings = settingsFor(rig.origin, rig.target)
    const own = startTestControl(settings, rig.instance, undefined, leave)
    const answer = await ask(testApp(own), 'POST', '/v1/drain', { ...REQUEST, force: true })
    expect(answer).toMatchObject({ status: 200, body: { instance: own.name } })
    expect(leave).toHaveBeenCalledOnce()
    expect(own.audit(1)).toMatchObject([{ event: 'drained', isForced: true, ...REQUEST }])
  })
})

describe('mismatches', () => {
  const sample = {
    atMs: 0,
    keyspace: 'ks',
    table: 't',
    statement: 'SELECT v FROM ks.t WHERE k = ?',
    primary: 'target',
    missingOnPrimary: 2,
    missingOnSecondary: 1,
    changedRows: 0,
    columns: [],
    isOrder: false,
    isPartial: false,
    keyOf: 'partition_key',
    keyHash: '0123456789abcdef',
  } as const

  test('are told by cluster, whichever was the primary, and at most as many as asked for', async () => {
    const older = { ...sample, primary: 'origin' } as const
    vi.spyOn(rig.instance, 'mismatches').mockResolvedValue([sample, older])
    const { body } = await ask(app, 'GET', '/v1/mismatches')
    expect(body).toMatchObject({
      instance: control.name,
      isComparing: false,
      mismatches: [
        { at: '1970-01-01T00:00:00.000Z', missingOnOrigin: 1, missingOnTarget: 2 },
        { primary: 'ORIGIN', missingOnOrigin: 2, missingOnTarget: 1 },
      ],
    })
    const limited = await ask(app, 'GET', '/v1/mismatches?limit=1')
    expect(limited.body).toMatchObject({ mismatches: [{ primary: 'TARGET' }] })
    expect((await ask(app, 'GET', '/v1/mismatches?limit=0')).status).toBe(400)
  })
})

test('the configuration that is shown is the one in effect', async () => {
  rig.instance.reconfigure({ ...rig.instance.settings, proxyRequestTimeoutMs: 777 })
  const { body } = await ask(app, 'GET', '/v1/config')
  expect(body).toContainEqual(
    expect.objectContaining({ key: 'proxy_request_timeout_ms', value: 777 }),
  )
})

test('secrets are not shown', async () => {
  rig.instance.reconfigure({ ...rig.instance.settings, originPassword: 'hunter2' })
  const { body } = await ask(app, 'GET', '/v1/config')
  expect(JSON.stringify(body)).not.toContain('hunter2')
  expect(JSON.stringify(body)).toContain('origin_password')
})

describe('every answer is as the document says', () => {
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false })
  for (const [name, schema] of Object.entries(SCHEMAS)) ajv.addSchema({ ...schema, $id: name })

  const CALLS: readonly (readonly [OperationId, string, object | null])[] = [
    ['getStatus', '/v1/status', null],
    ['getDeployment', '/v1/deployment', null],
    ['getPlan', '/v1/plan?verb=advance', null],
    ['getPlan', '/v1/plan?verb=rollback', null],
    ['getPlan', '/v1/plan?verb=advance&to=cut-over', null],
    ['getCheck', '/v1/check?keyspace=a&keyspace=b', null],
    ['getCheck', '/v1/check?scope=instance&schema=false', null],
    ['getCheck', '/v1/check?scope=nowhere', null],
    ['advance', '/v1/advance', ADVANCE],
    ['advance', '/v1/advance', { to: 'cut-over' }],
    ['rollback', '/v1/rollback', { leave: true }],
    ['align', '/v1/align', { like: 'nobody' }],
    [
      'setRouting',
      '/v1/routing',
      { routing: { primary: 'TARGET', readMode: 'PRIMARY_ONLY', writeMode: 'both' } },
    ],
    [
      'prepareChange',
      '/v1/changes',
      { transition: { verb: 'rollback' }, expectedRevision: 0, revision: 1 },
    ],
    [
      'prepareChange',
      '/v1/changes',
      { transition: { verb: 'rollback' }, expectedRevision: 3, revision: 4 },
    ],
    ['commitChange', '/v1/changes/x/commit', {}],
    ['abortChange', '/v1/changes/x', null],
    ['recordReconciliation', '/v1/reconciliations', {}],
    ['getAudit', '/v1/audit', null],
    ['getMismatches', '/v1/mismatches', null],
    ['getClients', '/v1/clients', null],
    ['getClients', '/v1/clients?scope=nowhere', null],
    ['closeClients', '/v1/clients/close', { address: '10.0.0.7', reason: 'it moved' }],
    ['closeClients', '/v1/clients/close', { address: '10.0.0.7' }],
    ['drain', '/v1/drain', { by: 'ada', reason: 'a new disk', force: true }],
    ['drain', '/v1/drain', { by: 'ada', reason: 'a new disk' }],
    ['getConfig', '/v1/config', null],
    ['getLogLevel', '/v1/log-level', null],
    ['setLogLevel', '/v1/log-level', { level: 'error', component: 'session' }],
    ['setLogLevel', '/v1/log-level', { level: 'error' }],
    ['setLogLevel', '/v1/log-level', { level: 'error', component: 'nobody' }],
  ]

  test.each(CALLS)('%s %s %j', async (id, path, payload) => {
    const operation: Operation = OPERATIONS[id]
    // Before it is written out, too: the serializer leaves out what the schema does not have.
    const sent: unknown[] = []
    const own = testAppWatched(control, sent)
    const { status, body } = await ask(own, operation.method, path, payload ?? undefined)
    const schema = operation.answers[status]?.schema ?? ref('Problem')
    const validate = ajv.compile(schema)
    for (const value of [body, ...sent]) {
      validate(value)
      expect(validate.errors, JSON.stringify(value)).toBeNull()
    }
    expect(status).toBeLessThan(500)
  })

  test('a log level of one component leaves the others alone, and is recorded', async () => {
    const put = (payload: object) => ask(app, 'PUT', '/v1/log-level', payload)
    const { level } = (await ask(app, 'GET', '/v1/log-level')).body as { level: string }
    const own = await put({ level: 'trace', component: 'session', by: 'ada' })
    expect(own.body).toEqual({ level, components: { session: 'trace' } })
    expect(control.audit(1)).toMatchObject([
      { event: 'log-level', by: 'ada', message: `log level of session ${level} → trace` },
    ])
    const all = await put({ level: 'warn' })
    expect(all.body).toEqual({ level: 'warn', components: { session: 'trace' } })
    expect(control.audit(1)).toMatchObject([{ message: `log level ${level} → warn` }])
  })

  test('each operation was asked', () => {
    expect([...new Set(CALLS.map(([id]) => id))].sort()).toEqual(Object.keys(OPERATIONS).sort())
  })

  test('and a path that there is not', async () => {
    expect(await ask(app, 'GET', '/v1/nothing')).toMatchObject({
      status: 404,
      body: { code: 'NOT_FOUND' },
    })
  })
})

const testAppWatched = (own: MigrationControl, sent: unknown[]): FastifyInstance => {
  const watched = testApp(own)
  watched.addHook('preSerialization', async (_request, _reply, payload) => {
    sent.push(JSON.parse(JSON.stringify(payload)))
    return payload
  })
  return watched
}

test('instances are named by where they reach each other, if that is not where clients reach them', () => {
  const settings = {
    ...settingsFor(rig.origin, rig.target),
    proxyTopologyAddresses: ['192.0.2.1', '192.0.2.2'],
    proxyTopologyIndex: 1,
    adminPort: 14_003,
  }
  const namesOf = (adminPeerAddresses: readonly string[]): readonly string[] =>
    startTestControl({ ...settings, adminPeerAddresses }, rig.instance)
      .deployment('test')
      .map(({ name }) => name)
  expect(namesOf([])).toEqual(['http://192.0.2.2:14003', 'http://192.0.2.1:14003'])
  expect(namesOf(['zdm-0.zdm', 'zdm-1.zdm'])).toEqual([
    'http://zdm-1.zdm:14003',
    'http://zdm-0.zdm:14003',
  ])
})
