/** Who may ask for metrics, and over what: token, TLS, mutual TLS. The health paths are open to all. */
import { once } from 'node:events'
import { type Agent, type IncomingHttpHeaders, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { text } from 'node:stream/consumers'
import { type ConnectionOptions, connect } from 'node:tls'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { OPEN, type ServerCredentials } from '../../src/admin/credentials.ts'
import { createHealthApp } from '../../src/admin/health-routes.ts'
import { type HttpServer, listenHttp } from '../../src/admin/http-server.ts'
import { readinessOf } from '../../src/admin/readiness.ts'
import { createLogger } from '../../src/log.ts'
import { listenerContextOptions } from '../../src/net/tls.ts'
import { afterTest } from '../support/after-test.ts'
import { Authority, type Issued } from '../support/certificates.ts'
import { FakeClock } from '../support/fake-clock.ts'

// Certificates and handshakes: a busy machine takes its time.
vi.setConfig({ testTimeout: 30_000 })

const HOST = '127.0.0.1'
const TOKEN = 'a-token-of-many-letters'
const NEXT = 'the-next-token-of-letters'
const HEALTHY = { endpoint: '10.0.0.1:9042', failures: 0 }
const METRICS = { contentType: 'text/plain', body: '# nothing\n' }

let authority: Authority
let stranger: Authority
let server: Issued
let scraper: Issued

beforeAll(async () => {
  authority = await Authority.create()
  stranger = await Authority.create('Stranger')
  server = await authority.issue('metrics')
  scraper = await authority.issue('scraper', { usage: 'client' })
})

const tlsOf = (issued: Issued, clientAuthority: string | null = null): ServerCredentials['tls'] =>
  listenerContextOptions({ ...issued, clientAuthority, crls: [] })

type LogLine = { readonly code: string; readonly msg: string }

/** `credentials` is asked with each request, as the store of files is. */
const serve = async (credentials: () => ServerCredentials) => {
  const clock = new FakeClock()
  const log: LogLine[] = []
  const sink = { write: (line: string): unknown => log.push(JSON.parse(line)) }
  const app = createHealthApp(
    {
      readiness: () => readinessOf('running', HEALTHY, HEALTHY, 1),
      readinessDetails: () => ({ Reason: null, Degraded: [] }),
      metrics: () => Promise.resolve(METRICS),
    },
    createLogger({ level: 'debug', clock, sink }),
    credentials,
  )
  const started = await listenHttp(app, { address: HOST, port: 0, purpose: 'the test' }, clock)
  afterTest(
    () => app.server.closeAllConnections(),
    () => started.close(),
  )
  return { server: started, http: app.server, log }
}

type AskOptions = {
  readonly token?: string
  readonly tls?: ConnectionOptions
  readonly agent?: Agent
  readonly method?: string
}
type Reply = {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

const ask = async (
  { port }: HttpServer,
  path: string,
  { token, tls, method = 'GET' }: AskOptions = {},
): Promise<Reply> => {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const where = { host: HOST, port, path, headers, method, agent: false as const }
  const sent = tls === undefined ? requestHttp(where) : requestHttps({ ...where, ...tls })
  sent.end()
  const [response] = await once(sent, 'response')
  return { status: response.statusCode, headers: response.headers, body: await text(response) }
}

const HEALTH_PATHS = ['/health/liveness', '/health/readiness']

describe('with a token', () => {
  test('metrics are for those who show it, in any method', async () => {
    const { server, log } = await serve(() => ({ ...OPEN, tokens: [TOKEN] }))
    const refused = await ask(server, '/metrics')
    expect([refused.status, refused.headers['www-authenticate']]).toEqual([401, 'Bearer'])
    expect(refused.body).toBe('show a token of metrics_token_path: "authorization: Bearer …"\n')
    expect((await ask(server, '/metrics', { token: 'a-wrong-one' })).status).toBe(401)
    expect((await ask(server, '/metrics', { method: 'POST' })).status).toBe(401)
    expect((await ask(server, '/metrics', { method: 'HEAD' })).status).toBe(401)
    const shown = await ask(server, '/metrics', { token: TOKEN })
    expect([shown.status, shown.body]).toEqual([200, METRICS.body])
    expect((await ask(server, '/metrics', { token: TOKEN, method: 'HEAD' })).status).toBe(200)
    expect(log.map(({ code }) => code)).toEqual(['UNAUTHORIZED'])
    expect(JSON.stringify(log)).not.toContain('a-wrong-one')
  })

  test.each(['/%6detrics', '/metrics?x=1'])('%s is metrics too', async (path) => {
    const { server } = await serve(() => ({ ...OPEN, tokens: [TOKEN] }))
    expect((await ask(server, path)).status).toBe(401)
  })

  test.each(HEALTH_PATHS)('%s needs none', async (path) => {
    const { server } = await serve(() => ({ ...OPEN, tokens: [TOKEN] }))
    expect((await ask(server, path)).status).toBe(200)
  })

  test('while it is replaced both are taken, then the new one alone', async () => {
    let tokens = [TOKEN]
    const { server } = await serve(() => ({ ...OPEN, tokens }))
    const statuses = async (): Promise<readonly number[]> => [
      (await ask(server, '/metrics', { token: TOKEN })).status,
      (await ask(server, '/metrics', { token: NEXT })).status,
    ]
    expect(await statuses()).toEqual([200, 401])
    tokens = [NEXT, TOKEN]
    expect(await statuses()).toEqual([200, 200])
    tokens = [NEXT]
    expect(await statuses()).toEqual([401, 200])
  })
})

describe('with TLS', () => {
  const ca = () => ({ ca: authority.certificate })

  test('all paths are served over it', async () => {
    const { server: http } = await serve(() => ({ ...OPEN, tls: tlsOf(server) }))
    for (const path of ['/metrics', ...HEALTH_PATHS]) {
      expect((await ask(http, path, { tls: ca() })).status).toBe(200)
    }
    await expect(ask(http, '/metrics')).rejects.toThrow()
  })

  test('a new certificate is for the connections that come', async () => {
    const { server: http } = await serve(() => ({ ...OPEN, tls: tlsOf(server) }))
    const subject = async (): Promise<string | undefined> => {
      const socket = connect({ host: HOST, port: http.port, ...ca() })
      await once(socket, 'secureConnect')
      const name = socket.getPeerX509Certificate()?.subject
      socket.destroy()
      return name
    }
    expect(await subject()).toBe('CN=metrics')
    http.setTls(tlsOf(await authority.issue('renewed'))!)
    expect(await subject()).toBe('CN=renewed')
  })

  test('it is bounded in time as it is without', async () => {
    const { http } = await serve(() => ({ ...OPEN, tls: tlsOf(server) }))
    expect({
      headersTimeout: http.headersTimeout,
      requestTimeout: http.requestTimeout,
      inactivityTimeout: http.timeout,
      keepAliveTimeout: http.keepAliveTimeout,
      connections: http.maxConnections,
    }).toEqual({
      headersTimeout: 5000,
      requestTimeout: 10_000,
      inactivityTimeout: 30_000,
      keepAliveTimeout: 75_000,
      connections: 1000,
    })
  })
})

describe('with mutual TLS', () => {
  const mutual = (): ServerCredentials => ({
    tokens: null,
    tls: tlsOf(server, authority.certificate),
    hasMutualTls: true,
  })
  const showing = ({ certificate, key }: Issued): ConnectionOptions => ({
    ca: authority.certificate,
    cert: certificate,
    key,
  })
  const nobody = (): ConnectionOptions => ({ ca: authority.certificate })

  test('metrics are for those who show a certificate of the authority', async () => {
    const { server: http } = await serve(mutual)
    expect((await ask(http, '/metrics', { tls: showing(scraper) })).status).toBe(200)
    const refused = await ask(http, '/metrics', { tls: nobody() })
    expect([refused.status, refused.body]).toEqual([
      403,
      'show a certificate of metrics_tls_client_ca_path\n',
    ])
    const foreign = await stranger.issue('scraper', { usage: 'client' })
    expect((await ask(http, '/metrics', { tls: showing(foreign) })).status).toBe(403)
    const old = await authority.issue('old', { usage: 'client', days: -1 })
    expect((await ask(http, '/metrics', { tls: showing(old) })).status).toBe(403)
  })

  test.each(HEALTH_PATHS)('%s needs none: probes have none', async (path) => {
    const { server: http } = await serve(mutual)
    expect((await ask(http, path, { tls: nobody() })).status).toBe(200)
  })

  test.each<['TLSv1.2' | 'TLSv1.3', 'nobody' | 'stranger']>([
    ['TLSv1.2', 'nobody'],
    ['TLSv1.2', 'stranger'],
    ['TLSv1.3', 'nobody'],
    ['TLSv1.3', 'stranger'],
  ])('a resumed session (%s) makes nobody known: %s', async (version, who) => {
    const { server: http } = await serve(mutual)
    const foreign = await stranger.issue('scraper', { usage: 'client' })
    const tls: ConnectionOptions = {
      ...(who === 'nobody' ? nobody() : showing(foreign)),
      minVersion: version,
      maxVersion: version,
    }
    const first = connect({ host: HOST, port: http.port, ...tls })
    first.write(`GET ${HEALTH_PATHS[0]} HTTP/1.1\r\nhost: x\r\n\r\n`)
    const [session] = await once(first, 'session')
    const [answer] = await once(first, 'data')
    expect(String(answer)).toMatch(/^HTTP\/1.1 200/)
    first.destroy()
    const second = connect({ host: HOST, port: http.port, ...tls, session })
    await once(second, 'secureConnect')
    expect(second.isSessionReused()).toBe(true)
    second.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n')
    const [refusal] = await once(second, 'data')
    second.destroy()
    expect(String(refusal)).toMatch(/^HTTP\/1.1 403/)
  })

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'a session (%s) does not carry over what an authority from before had accepted',
    async (version) => {
      const { server: http } = await serve(mutual)
      const tls = { ...showing(scraper), minVersion: version, maxVersion: version }
      const first = connect({ host: HOST, port: http.port, ...tls })
      first.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n')
      const [session] = await once(first, 'session')
      expect(String((await once(first, 'data'))[0])).toMatch(/^HTTP\/1.1 200/)
      first.destroy()
      http.setTls(tlsOf(server, stranger.certificate)!)
      const second = connect({ host: HOST, port: http.port, ...tls, session })
      second.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n')
      const [refusal] = await once(second, 'data')
      expect(second.isSessionReused()).toBe(false)
      second.destroy()
      expect(String(refusal)).toMatch(/^HTTP\/1.1 403/)
    },
  )

  test('and a token both are asked for', async () => {
    const { server: http } = await serve(() => ({ ...mutual(), tokens: [TOKEN] }))
    expect((await ask(http, '/metrics', { tls: showing(scraper) })).status).toBe(401)
    expect((await ask(http, '/metrics', { tls: nobody(), token: TOKEN })).status).toBe(403)
    expect((await ask(http, '/metrics', { tls: showing(scraper), token: TOKEN })).status).toBe(200)
  })
})
