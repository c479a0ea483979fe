import { once } from 'node:events'
import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { acceptsGzip, createHealthApp, type HealthViews } from '../../src/admin/health-routes.ts'
import { createHttpApp, type HttpServer, listenHttp } from '../../src/admin/http-server.ts'
import { type Readiness, readinessOf } from '../../src/admin/readiness.ts'
import { createLogger } from '../../src/log.ts'
import { afterTest } from '../support/after-test.ts'
import { FakeClock } from '../support/fake-clock.ts'

const HOST = '127.0.0.1'
const METRICS = { contentType: 'text/plain; version=0.0.4; charset=utf-8', body: '# nothing\n' }
const HEALTHY = { endpoint: '10.0.0.1:9042', failures: 0 }

type LogLine = { readonly level: string; readonly code: string; readonly msg: string }
type Reply = {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

const serve = async (
  views: Partial<HealthViews> = {},
): Promise<{ server: HttpServer; clock: FakeClock; log: LogLine[] }> => {
  const clock = new FakeClock()
  const log: LogLine[] = []
  const sink = { write: (line: string): unknown => log.push(JSON.parse(line)) }
  const app = createHealthApp(
    {
      readiness: () => readinessOf('running', HEALTHY, HEALTHY, 1),
      readinessDetails: () => ({ Reason: null, Degraded: ['a sentence'] }),
      metrics: () => Promise.resolve(METRICS),
      ...views,
    },
    createLogger({ level: 'debug', clock, sink }),
  )
  const server = await listenHttp(app, { address: HOST, port: 0, purpose: 'the test' }, clock)
  afterTest(
    () => app.server.closeAllConnections(),
    () => server.close(),
  )
  return { server, clock, log }
}

type AskOptions = {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string
  readonly agent?: Agent
}

const ask = async (
  { port }: HttpServer,
  path: string,
  { method = 'GET', headers = {}, body, agent }: AskOptions = {},
): Promise<Reply> => {
  const sent = request({ host: HOST, port, path, method, headers, agent: agent ?? false })
  sent.end(body)
  const [response] = await once(sent, 'response')
  return {
    status: response.statusCode,
    headers: response.headers,
    body: await buffer(response),
  }
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

describe('/health/liveness', () => {
  test.each(METHODS)('answers %s with 200', async (method) => {
    const { server } = await serve()
    const reply = await ask(server, '/health/liveness', { method })
    expect(reply.status).toBe(200)
    expect(reply.headers['content-type']).toBe('text/plain; charset=utf-8')
    expect(reply.body.toString()).toBe(method === 'HEAD' ? '' : 'OK')
  })

  test.each([
    ['application/json', '{"broken'],
    ['image/png', 'bytes'],
    ['text/plain', 'x'.repeat(200_000)],
  ])('does not care for a body of %s', async (type, body) => {
    const { server } = await serve()
    const headers = { 'content-type': type }
    expect((await ask(server, '/health/liveness', { method: 'POST', headers, body })).status).toBe(
      200,
    )
  })
})

describe('/health/readiness', () => {
  const READINESS: readonly { readiness: Readiness; status: number }[] = [
    { readiness: readinessOf('starting', null, null, 1), status: 503 },
    { readiness: readinessOf('running', HEALTHY, HEALTHY, 1), status: 200 },
    { readiness: readinessOf('running', HEALTHY, { ...HEALTHY, failures: 1 }, 1), status: 503 },
    { readiness: readinessOf('draining', HEALTHY, HEALTHY, 1), status: 503 },
  ]

  test.each(READINESS)('says $readiness.Status with $status', async ({ readiness, status }) => {
    const { server } = await serve({ readiness: () => readiness })
    const reply = await ask(server, '/health/readiness')
    expect(reply.status).toBe(status)
    expect(reply.headers['content-type']).toBe('application/json')
    expect(reply.body.toString()).toBe(JSON.stringify(readiness))
  })

  test.each(['?details', '?details=1', '?details&x'])(
    'with %s has two fields more',
    async (query) => {
      const { server } = await serve()
      const plain = await ask(server, '/health/readiness')
      const reply = await ask(server, `/health/readiness${query}`)
      expect(reply.status).toBe(200)
      expect(reply.headers['content-type']).toBe('application/json')
      expect(JSON.parse(reply.body.toString())).toEqual({
        ...JSON.parse(plain.body.toString()),
        Reason: null,
        Degraded: ['a sentence'],
      })
    },
  )

  test('answers HEAD as GET, without the body', async () => {
    const { server } = await serve()
    const head = await ask(server, '/health/readiness', { method: 'HEAD' })
    const get = await ask(server, '/health/readiness')
    expect([head.status, head.headers['content-type'], head.body.length]).toEqual([
      200,
      'application/json',
      0,
    ])
    expect(head.headers['content-length']).toBe(String(get.body.length))
  })

  test.each(METHODS.slice(2))('answers %s with 404', async (method) => {
    const { server } = await serve()
    expect((await ask(server, '/health/readiness', { method })).status).toBe(404)
  })

  test('is asked anew each time', async () => {
    const phases = ['starting', 'running'] as const
    let asked = 0
    const { server } = await serve({
      readiness: () => readinessOf(phases[asked++]!, HEALTHY, HEALTHY, 1),
    })
    const statuses = [
      (await ask(server, '/health/readiness')).status,
      (await ask(server, '/health/readiness')).status,
    ]
    expect(statuses).toEqual([503, 200])
  })
})

describe('/metrics', () => {
  test('is the exposition', async () => {
    const { server } = await serve()
    const reply = await ask(server, '/metrics')
    expect(reply.status).toBe(200)
    expect(reply.headers['content-type']).toBe(METRICS.contentType)
    expect(reply.headers['content-encoding']).toBeUndefined()
    expect(reply.body.toString()).toBe(METRICS.body)
  })

  test('is compressed where that is accepted', async () => {
    const { server } = await serve()
    const reply = await ask(server, '/metrics', { headers: { 'accept-encoding': 'gzip' } })
    expect(reply.headers['content-encoding']).toBe('gzip')
    expect(reply.headers['vary']).toBe('Accept-Encoding')
    expect(reply.headers['content-type']).toBe(METRICS.contentType)
    expect(gunzipSync(reply.body).toString()).toBe(METRICS.body)
  })

  test.each([
    ['starting', 503, 'has not reached both clusters'],
    ['disabled', 404, 'metrics_enabled'],
  ] as const)('%s: answers %d in plain text', async (state, status, text) => {
    const { server } = await serve({ metrics: () => state })
    const reply = await ask(server, '/metrics', { headers: { 'accept-encoding': 'gzip' } })
    expect(reply.status).toBe(status)
    expect(reply.headers['content-type']).toBe('text/plain; charset=utf-8')
    expect(reply.body.toString()).toContain(text)
  })

  test.each(METHODS)('answers %s', async (method) => {
    const { server } = await serve()
    const reply = await ask(server, '/metrics', { method })
    expect(reply.status).toBe(200)
    expect(reply.body.toString()).toBe(method === 'HEAD' ? '' : METRICS.body)
  })

  test('answers 500 when the counters cannot be read, and logs it once a minute', async () => {
    const { server, log, clock } = await serve({
      metrics: () => Promise.reject(new Error('a data plane is stuck')),
    })
    const reply = await ask(server, '/metrics')
    await ask(server, '/metrics')
    expect(reply.status).toBe(500)
    expect(reply.headers['content-type']).toBe('text/plain; charset=utf-8')
    expect(reply.body.toString()).toBe('a data plane is stuck\n')
    clock.advance(60_000)
    await ask(server, '/metrics')
    expect(log).toMatchObject([
      { level: 'error', code: 'HTTP_REQUEST_FAILED', path: '/metrics' },
      { level: 'error', code: 'HTTP_REQUEST_FAILED', suppressed: 1 },
    ])
  })
})

describe('what a client may send', () => {
  test.each(['/', '/health', '/health/liveliness', '/health/readiness/', '/METRICS', '/metrics/x'])(
    '%s is 404',
    async (path) => {
      const { server } = await serve()
      const reply = await ask(server, path)
      expect(reply.status).toBe(404)
      expect(reply.headers['content-type']).toBe('text/plain; charset=utf-8')
    },
  )

  test('a query string changes nothing', async () => {
    const { server } = await serve()
    expect((await ask(server, '/health/readiness?verbose=1')).status).toBe(200)
  })

  test('is bounded in time', () => {
    const clock = new FakeClock()
    const { server } = createHttpApp(createLogger({ level: 'fatal', clock, sink: process.stderr }))
    expect({
      headersTimeout: server.headersTimeout,
      requestTimeout: server.requestTimeout,
      inactivityTimeout: server.timeout,
      keepAliveTimeout: server.keepAliveTimeout,
      connections: server.maxConnections,
    }).toEqual({
      headersTimeout: 5000,
      requestTimeout: 10_000,
      inactivityTimeout: 30_000,
      keepAliveTimeout: 75_000,
      connections: 1000,
    })
  })

  test('a path that cannot be decoded is answered 400 and not logged', async () => {
    const { server, log } = await serve()
    const reply = await ask(server, '/%zz')
    expect(reply.status).toBe(400)
    expect(log).toEqual([])
  })

  test('a body that cannot be read is answered 4xx in plain text and not logged', async () => {
    const clock = new FakeClock()
    const log: string[] = []
    const sink = { write: (line: string): unknown => log.push(line) }
    const app = createHttpApp(createLogger({ level: 'debug', clock, sink }))
    app.post('/change', () => 'done')
    const server = await listenHttp(app, { address: HOST, port: 0, purpose: 'the test' }, clock)
    afterTest(() => server.close())
    const headers = { 'content-type': 'application/json' }
    const post = (body: string): Promise<Reply> =>
      ask(server, '/change', { method: 'POST', headers, body })
    const broken = await post('{"broken')
    expect(broken.status).toBe(400)
    expect(broken.headers['content-type']).toBe('text/plain; charset=utf-8')
    expect((await post(JSON.stringify('x'.repeat(100_000)))).status).toBe(413)
    expect((await post('{}')).body.toString()).toBe('done')
    expect(log).toEqual([])
  })
})

describe('acceptsGzip', () => {
  test.each([
    [undefined, false],
    ['', false],
    ['gzip', true],
    ['GZIP', true],
    ['deflate, gzip;q=0.5', true],
    ['br;q=1.0,gzip;q=0', false],
    ['gzip; q=0.0', false],
    ['identity', false],
    ['notgzip', false],
    ['*', true],
    ['*;q=0', false],
    ['*, gzip;q=0', false],
    ['*;q=0, gzip', true],
  ])('%s: %s', (header, expected) => {
    expect(acceptsGzip(header)).toBe(expected)
  })
})

describe('binding', () => {
  test('a taken port is an error that names address, port and purpose', async () => {
    const { server } = await serve()
    const clock = new FakeClock()
    const app = createHttpApp(createLogger({ level: 'fatal', clock, sink: process.stderr }))
    const purpose = 'health and metrics (metrics_address, metrics_port)'
    await expect(
      listenHttp(app, { address: HOST, port: server.port, purpose }, clock),
    ).rejects.toMatchObject({
      name: 'AdminError',
      code: 'HTTP_BIND_FAILED',
      message: expect.stringMatching(
        `^cannot listen on 127.0.0.1:${server.port} for health and metrics \\(metrics_address, metrics_port\\): .*EADDRINUSE`,
      ),
      cause: expect.objectContaining({ code: 'EADDRINUSE' }),
    })
  })
})

describe('closing', () => {
  const pendingRequest = async (): Promise<{
    server: HttpServer
    clock: FakeClock
    socket: Socket
    answer(): void
  }> => {
    const { promise: asked, resolve: onAsked } = Promise.withResolvers<void>()
    const { promise: metrics, resolve } = Promise.withResolvers<typeof METRICS>()
    const { server, clock } = await serve({
      metrics: () => {
        onAsked()
        return metrics
      },
    })
    const socket = connect(server.port, HOST)
    afterTest(() => socket.destroy())
    socket.write('GET /metrics HTTP/1.1\r\nhost: test\r\n\r\n')
    await asked
    return { server, clock, socket, answer: () => resolve(METRICS) }
  }

  test('ends idle keep-alive connections at once', async () => {
    const { server, clock } = await serve()
    const agent = new Agent({ keepAlive: true })
    afterTest(() => agent.destroy())
    await ask(server, '/health/liveness', { agent })
    await server.close()
    expect(clock.pendingTimers).toBe(0)
    await expect(ask(server, '/health/liveness')).rejects.toThrow('ECONNREFUSED')
  })

  test('lets an answer that has been begun end', async () => {
    const { server, clock, socket, answer } = await pendingRequest()
    const closing = server.close()
    answer()
    expect((await buffer(socket)).toString()).toContain(METRICS.body)
    await closing
    expect(clock.pendingTimers).toBe(0)
  })

  test('cuts an answer off after 5 s', async () => {
    const { server, clock, socket } = await pendingRequest()
    let isClosed = false
    const closing = server.close().then(() => {
      isClosed = true
    })
    const ended = once(socket, 'close')
    clock.advance(4999)
    await new Promise(setImmediate)
    expect(isClosed).toBe(false)
    clock.advance(1)
    await Promise.all([ended, closing])
    expect(clock.pendingTimers).toBe(0)
  })

  test('twice is closing once', async () => {
    const { server } = await serve()
    await Promise.all([server.close(), server.close()])
    await server.close()
  })
})
