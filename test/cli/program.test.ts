/** `zdm` from its arguments to its exit status, against an admin API that says what the test wants. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { adminUrl } from '../../src/cli/access.ts'
import type { Phase } from '../../src/control/phase.ts'
import type { InstanceStatus } from '../../src/control/report.ts'
import { afterTest } from '../support/after-test.ts'
import { Authority, Files } from '../support/certificates.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { ZDM_USER, ZDM_VERSION, zdm } from '../support/zdm.ts'
import {
  checkReportOf,
  clientGroupOf,
  clientsOf,
  deploymentOf,
  FAILED,
  mismatchOf,
  planOf,
  reportOf,
  statusOf,
} from './answers.ts'

type Asked = {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: unknown
}
type Answers = Readonly<Record<string, readonly [number, unknown]>>

/** Answers by `METHOD /path`, without the query. */
const startApi = async (answers: Answers): Promise<{ url: string; asked: Asked[] }> => {
  const asked: Asked[] = []
  const server = createServer(async (request, response) => {
    const content = await text(request)
    const { method = '', url = '' } = request
    const body: unknown = content === '' ? null : JSON.parse(content)
    asked.push({ method, path: url, headers: request.headers, body })
    const [status, answer] = answers[`${method} ${url.split('?')[0]}`] ?? [404, { code: 'NONE' }]
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  afterTest(() => new Promise((resolve) => server.close(resolve)))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { url: `http://127.0.0.1:${port}`, asked }
}

const STATUS = { 'GET /v1/status': [200, statusOf()] } as const

const README = new URL('../../README.md', import.meta.url).pathname

describe('arguments', () => {
  test.each([
    [['--version'], 0, ZDM_VERSION],
    [['--help'], 0, 'Exit status'],
    [['advence'], 2, 'Did you mean advance?'],
    [['advance', 'nowhere'], 2, 'Allowed choices'],
    [['plan'], 2, 'missing required argument'],
    [['advance', '--force'], 2, '--force needs --reason'],
    [['status', '--timeout', 'x'], 2, 'timeout'],
    [['set', 'primary', 'BOTH'], 2, 'Allowed choices'],
    [['align'], 2, '--like'],
    [['mismatches', '--limit', '1001'], 2, 'from 1 to 1000'],
    [['drain', '--reason', 'x'], 2, '--this-instance'],
    [['drain', '--this-instance'], 2, '--reason'],
    [['clients', 'close', '10.0.0.7'], 2, '--reason'],
    [['clients', 'close', '--reason', 'x'], 2, 'address'],
    [['audit', '--limit', '2.5'], 2, 'from 1 to 1000'],
    [['audit', '--limit', '0.5'], 2, 'from 1 to 1000'],
    [['reconciled', '--force', '--reason', 'x'], 2, "unknown option '--force'"],
    [['--address', 'http://', 'status'], 2, '--address'],
    [['--token-file', '/does/not/exist', 'status'], 2, '/does/not/exist cannot be read'],
    [['--token-file', '/dev/null', 'status'], 2, '--token-file /dev/null holds no token'],
    [['--address', 'ftp://x', 'status'], 2, '--address ftp://x: an address such as'],
    [['--ca', README, 'status'], 2, `--ca: ${README} holds no certificate`],
    [['--cert', README, '--key', README, 'status'], 2, `--cert: ${README} holds no certificate`],
    [['--cert', README, 'status'], 2, `--cert ${README} needs --key`],
    [['--key', README, 'status'], 2, 'needs --cert'],
    [['plan', 'rollback', 'migrate'], 2, 'a rollback has no phase'],
    [['plan', 'advance', 'migrate', '--to', 'connect'], 2, 'Name one phase'],
    [['plan', 'advance', 'migrate', 'x'], 2, '(zdm plan --help lists'],
    [['status', '--foo'], 2, '(zdm status --help lists'],
    [['set', 'primary', 'nobody'], 2, '(zdm set primary --help lists'],
    [['help', 'nonsense'], 2, "unknown command 'nonsense'"],
    [['help', 'plan'], 0, 'what a change would do'],
  ])('zdm %j ends with %i', async (argv, status, said) => {
    const ran = await zdm(argv)
    expect(ran.out + ran.error).toContain(said)
    expect(ran.status).toBe(status)
  })
})

describe('the address', () => {
  test.each([
    [{}, {}, 'http://127.0.0.1:14003'],
    [{}, { ZDM_ADMIN_ADDRESS: 'localhost', ZDM_ADMIN_PORT: '1' }, 'http://127.0.0.1:1'],
    [{}, { ZDM_ADMIN_ADDRESS: '0.0.0.0' }, 'http://127.0.0.1:14003'],
    [{}, { ZDM_ADMIN_ADDRESS: '::' }, 'http://[::1]:14003'],
    [{}, { ZDM_ADMIN_ADDRESS: '10.0.0.1' }, 'http://10.0.0.1:14003'],
    [{}, { ZDM_ADMIN_TLS_CERT_PATH: 'x.pem' }, 'https://127.0.0.1:14003'],
    [{ address: '10.0.0.2' }, { ZDM_ADMIN_ADDRESS: '10.0.0.1' }, 'http://10.0.0.2:14003'],
    [{ address: '10.0.0.2:99' }, {}, 'http://10.0.0.2:99'],
    [{ address: '::1' }, {}, 'http://[::1]:14003'],
    [{ address: 'https://proxy:14003' }, {}, 'https://proxy:14003'],
    [{ address: 'proxy', ca: 'x' }, {}, 'https://proxy:14003'],
  ])('%o with %o is %s', (options, environment, url) => {
    expect(adminUrl({ timeout: 1, ...options }, environment)).toBe(url)
  })
})

test.each([
  [{ ZDM_ADMIN_PORT: 'abc' }, 'ZDM_ADMIN_PORT=abc: a port from 1 to 65535'],
  [{ ZDM_ADMIN_PORT: '70000' }, 'ZDM_ADMIN_PORT=70000'],
  [{ ZDM_ADMIN_ADDRESS: 'ftp://x' }, 'ZDM_ADMIN_ADDRESS=ftp://x: an address'],
  [{ ZDM_ADMIN_TOKEN_PATH: '/does/not/exist' }, 'ZDM_ADMIN_TOKEN_PATH /does/not/exist cannot be'],
])('what is wrong in the environment is named by its variable: %j', async (environment, said) => {
  expect(await zdm(['status'], environment)).toMatchObject({
    status: 2,
    error: expect.stringContaining(said),
  })
})

test('the key of another certificate is told before anybody is asked', async () => {
  const authority = await Authority.create()
  const files = new Files()
  const one = await files.writePair('one', await authority.issue('one'))
  const other = await files.writePair('other', await authority.issue('other'))
  const ran = await zdm(['--cert', one.cert, '--key', other.key, 'status'])
  expect(ran.status).toBe(2)
  expect(ran.error).toContain(`--key: ${other.key} is not the key of the certificate in`)
})

describe('views', () => {
  test('status shows the deployment', async () => {
    const api = await startApi({ 'GET /v1/deployment': [200, deploymentOf([statusOf()])] })
    const ran = await zdm(['--address', api.url, 'status'])
    expect(ran).toMatchObject({ status: 0, error: '' })
    expect(ran.out).toContain('[dual-read]')
  })

  test('--json writes the answer as it came', async () => {
    const deployment = deploymentOf([statusOf()])
    const api = await startApi({ 'GET /v1/deployment': [200, deployment] })
    const ran = await zdm(['--address', api.url, '--json', 'status'])
    expect(JSON.parse(ran.out)).toEqual(deployment)
  })

  test('an instance that is down makes the status 1 and names it', async () => {
    const ran = await zdm(['--address', 'http://127.0.0.1:1', 'status'])
    expect(ran.status).toBe(1)
    expect(ran.error).toContain('http://127.0.0.1:1 cannot be reached')
    expect(ran.error).toContain('--address http://10.0.0.1:14003, or ZDM_ADMIN_ADDRESS')
  })

  test('https to a port without TLS says so', async () => {
    const api = await startApi({})
    const ran = await zdm(['--address', api.url.replace('http:', 'https:'), 'status'])
    expect(ran.status).toBe(1)
    expect(ran.error).toContain('use --address http://…')
  })

  test.each(['status', 'instances'])('%s ends with 1 where settings differ', async (view) => {
    const different = { ...FAILED, id: 'configuration-equal', instance: null } as const
    const deployment = deploymentOf([statusOf()], { checks: [different] })
    const api = await startApi({ 'GET /v1/deployment': [200, deployment] })
    const ran = await zdm(['--address', api.url, view])
    expect(ran.status).toBe(1)
    expect(ran.out).toContain('✗ configuration-equal')
  })

  test.each([
    [{ notReady: 'no start has succeeded yet', serving: 'starting' }, 1],
    [{ stateFault: 'the disk is full', isStateKept: false }, 1],
    [{ auditFault: 'changes that were made are in no file' }, 1],
    [{ unwritable: { stateFile: null, auditLog: 'it cannot be written' } }, 1],
    // Not to keep the state is somebody's choice.
    [{ isStateKept: false }, 0],
  ] as const)('status with %j ends with %i', async (changes, exit) => {
    const answer = deploymentOf([statusOf(), statusOf(changes)])
    const api = await startApi({ 'GET /v1/deployment': [200, answer] })
    const ran = await zdm(['--address', api.url, 'status'])
    expect(ran.status).toBe(exit)
  })

  test('a plan for a way that there is not ends with 3, as the change does', async () => {
    const problem = { code: 'NO_SUCH_WAY', message: 'there is no way from migrate to cut-over' }
    const api = await startApi({ 'GET /v1/plan': [409, problem] })
    const ran = await zdm(['--address', api.url, 'plan', 'advance', '--to', 'cut-over'])
    expect(ran.status).toBe(3)
    expect(ran.error).toContain('there is no way from migrate to cut-over')
  })

  test('audit tells what was to change, and why it was not', async () => {
    const { state } = statusOf()
    const to = { ...state, routing: { ...state.routing, writeMode: 'target_only' } }
    const common = { at: '2026-01-05T00:00:00.000Z', instance: 'a', changeId: '1', via: '10.0.0.9' }
    const refused = { event: 'refused', verb: 'route', isForced: false, from: state, to }
    const texts = { by: 'ada', reason: 'leaving', message: 'refused: safety-net: misses writes' }
    const entry = { ...common, ...refused, ...texts, checks: [] }
    const api = await startApi({ 'GET /v1/audit': [200, [entry]] })
    const ran = await zdm(['--address', api.url, 'audit'])
    expect(ran.out).toContain('writes both → target_only  ada via 10.0.0.9  leaving\n')
    expect(ran.out).toContain('refused: safety-net: misses writes')
  })

  test.each([['target-reads'], ['--to', 'target-reads'], ['Target-Reads']])(
    'plan advance %s names the phase as advance does',
    async (...phase) => {
      const api = await startApi({ 'GET /v1/plan': [200, planOf()] })
      expect((await zdm(['--address', api.url, 'plan', 'advance', ...phase])).status).toBe(0)
      expect(api.asked[0]?.path).toBe('/v1/plan?verb=advance&to=target-reads')
    },
  )

  test('a plan that is refused ends with 3', async () => {
    const plan = planOf({ isAllowed: false, checks: [FAILED], message: 'A check failed.' })
    const api = await startApi({ 'GET /v1/plan': [200, plan] })
    const ran = await zdm(['--address', api.url, 'plan', 'advance', '--to', 'target-reads'])
    expect(ran.status).toBe(3)
    expect(api.asked[0]?.path).toBe('/v1/plan?verb=advance&to=target-reads')
  })

  const FAILED_ROW = {
    subject: 'Target',
    name: 'TCP',
    verdict: 'fail',
    detail: 'refused',
    remedy: 'start it',
  } as const
  const OTHER = { name: 'http://10.0.0.2:14003', rows: [], error: 'it cannot be reached' }

  test.each([
    ['nothing is wrong', checkReportOf(), 0],
    [
      'a check failed',
      checkReportOf({
        isFeasible: false,
        instances: [{ name: 'x', rows: [FAILED_ROW], error: null }, OTHER],
      }),
      3,
    ],
    [
      'only an instance is away',
      checkReportOf({ isFeasible: false, instances: [...checkReportOf().instances, OTHER] }),
      1,
    ],
  ])('check where %s', async (_, report, status) => {
    const api = await startApi({ 'GET /v1/check': [200, report] })
    const ran = await zdm(['--address', api.url, 'check', '--keyspace', 'a', 'b'])
    expect(ran).toMatchObject({ status, error: '' })
    expect(api.asked[0]?.path).toBe('/v1/check?scope=deployment&keyspace=a&keyspace=b')
    await zdm(['--address', api.url, 'check', '--this-instance'])
    expect(api.asked[1]?.path).toBe('/v1/check?scope=instance')
  })

  test('mismatches shows the samples of the instance that is asked', async () => {
    const report = { instance: 'x', isComparing: true, mismatches: [mismatchOf({ isOrder: true })] }
    const api = await startApi({ 'GET /v1/mismatches': [200, report] })
    const ran = await zdm(['--address', api.url, 'mismatches', '--limit', '5'])
    expect(ran.status).toBe(0)
    expect(ran.out).toContain('shop.orders  the same rows in another order')
    expect(api.asked[0]?.path).toBe('/v1/mismatches?limit=5')
  })

  test.each([
    [[], 'deployment'],
    [['--this-instance'], 'instance'],
  ])('clients %j shows who uses the %s', async (options, scope) => {
    const instances = [clientsOf('a', [clientGroupOf()])]
    const api = await startApi({ 'GET /v1/clients': [200, { instances }] })
    const ran = await zdm(['--address', api.url, 'clients', ...options])
    expect(ran.status).toBe(0)
    expect(ran.out).toContain('a  2 client connections')
    expect(api.asked[0]?.path).toBe(`/v1/clients?scope=${scope}`)
  })

  test('clients ends with 1 where an instance does not answer: somebody may be there', async () => {
    const instances = [clientsOf('a'), { ...clientsOf('b'), error: 'it is gone' }]
    const api = await startApi({ 'GET /v1/clients': [200, { instances }] })
    const ran = await zdm(['--address', api.url, 'clients'])
    expect(ran.status).toBe(1)
    expect(ran.out).toContain('it is gone')
  })

  test.each([
    [[], { user: null, scope: 'deployment' }],
    [['--user', 'orders', '--this-instance'], { user: 'orders', scope: 'instance' }],
  ])('clients close %j says who is meant, by whom and why', async (options, sent) => {
    const instances = [{ name: 'a', closed: 2, error: null }]
    const api = await startApi({ 'POST /v1/clients/close': [200, { instances }] })
    const command = ['clients', 'close', '10.0.0.7', ...options, '--reason', 'it moved']
    const ran = await zdm(['--address', api.url, ...command])
    expect(ran.status).toBe(0)
    expect(ran.out).toContain('2 client connections from 10.0.0.7')
    expect(ran.out).toContain('Nothing keeps them from coming back')
    const body = { address: '10.0.0.7', by: 'ada@ops', reason: 'it moved', ...sent }
    expect(api.asked[0]?.body).toEqual(body)
  })

  const GONE = { name: 'b', closed: null, error: 'it is gone' }
  test.each([
    ['some', 4, [{ name: 'a', closed: 1, error: null }, GONE]],
    ['all', 1, [GONE]],
  ])('clients close: %s did not answer: exit status %i', async (_, status, instances) => {
    const api = await startApi({ 'POST /v1/clients/close': [502, { instances }] })
    const command = ['clients', 'close', '10.0.0.7', '--reason', 'it moved']
    const ran = await zdm(['--address', api.url, ...command])
    expect(ran.out).toContain('b: it is gone; ask again, it is safe')
    expect(ran.status).toBe(status)
  })

  test('clients close of what is no address is refused', async () => {
    const problem = { code: 'ADDRESS_INVALID', message: '"shop" is no IP address' }
    const api = await startApi({ 'POST /v1/clients/close': [400, problem] })
    const ran = await zdm(['--address', api.url, 'clients', 'close', 'shop', '--reason', 'x'])
    expect(ran).toMatchObject({ status: 3, error: 'zdm: "shop" is no IP address\n' })
  })

  test('drain asks the one instance, and says who may start it again', async () => {
    const api = await startApi({ 'POST /v1/drain': [200, { instance: 'http://a' }] })
    const command = ['drain', '--this-instance', '--reason', 'a new disk']
    const ran = await zdm(['--address', api.url, ...command])
    expect(ran.status).toBe(0)
    expect(ran.out).toContain('http://a is leaving')
    expect(ran.out).toContain('Restart=on-failure does not')
    expect(api.asked[0]?.body).toEqual({ by: 'ada@ops', reason: 'a new disk', force: false })
  })

  test('drain of the last instance is refused', async () => {
    const problem = { code: 'LAST_INSTANCE', message: 'no other instance is ready' }
    const api = await startApi({ 'POST /v1/drain': [409, problem] })
    const command = ['drain', '--this-instance', '--reason', 'a new disk']
    expect(await zdm(['--address', api.url, ...command])).toMatchObject({ status: 3 })
  })

  test('the token goes along, and its file may end with a line break', async () => {
    const directory = temporaryDirectory()
    const path = join(directory, 'token')
    writeFileSync(path, 'a-token-of-many-letters\n')
    const api = await startApi({ 'GET /v1/audit': [200, []] })
    const ran = await zdm(['audit'], {
      ZDM_ADMIN_ADDRESS: api.url,
      ZDM_ADMIN_TOKEN_PATH: path,
    })
    expect(ran).toMatchObject({ status: 0, out: 'Nothing has been changed yet.\n' })
    expect(api.asked[0]?.headers.authorization).toBe('Bearer a-token-of-many-letters')
  })

  test('of several tokens in the file, as while one is replaced, the first is shown', async () => {
    const directory = temporaryDirectory()
    const path = join(directory, 'token')
    writeFileSync(path, 'the-new-token-of-letters\nthe-old-token-of-letters\n')
    const api = await startApi({ 'GET /v1/audit': [200, []] })
    await zdm(['--address', api.url, '--token-file', path, 'audit'])
    expect(api.asked[0]?.headers.authorization).toBe('Bearer the-new-token-of-letters')
  })

  test('config shows each setting with where it came from', async () => {
    const entries = [
      { key: 'origin_port', value: 9042, source: 'default', path: null },
      { key: 'target_port', value: 9043, source: 'file', path: '/etc/zdm/site.yml' },
      { key: 'origin_password', value: '(hidden)', source: 'secret file', path: '/run/word' },
      // As an instance of an earlier release tells it.
      { key: 'log_level', value: 'INFO', source: 'environment' },
    ]
    const api = await startApi({ 'GET /v1/config': [200, entries] })
    const ran = await zdm(['--address', api.url, 'config'])
    expect(ran.out.split('\n').map((line) => line.trim().split(/ {2,}/))).toEqual([
      ['origin_port', '9042', 'default'],
      ['target_port', '9043', 'file /etc/zdm/site.yml'],
      ['origin_password', '(hidden)', 'secret file /run/word'],
      ['log_level', 'INFO', 'environment'],
      [''],
    ])
  })

  test("a token that is refused ends with 1 and the API's words", async () => {
    const problem = { code: 'UNAUTHORIZED', message: 'the bearer token is missing or wrong' }
    const api = await startApi({ 'GET /v1/config': [401, problem] })
    const ran = await zdm(['--address', api.url, 'config'])
    expect(ran).toMatchObject({ status: 1 })
    expect(ran.error).toContain('the bearer token is missing or wrong')
    expect(ran.error).toContain('--token-file <path> or ZDM_ADMIN_TOKEN_PATH')
  })

  test.each([
    ['--token-file', (path: string) => ['--token-file', path]],
    ['ZDM_ADMIN_TOKEN_PATH', () => []],
  ])('a wrong token is told as that, with its file: %s', async (setting, options) => {
    const path = join(temporaryDirectory(), 'token')
    writeFileSync(path, 'a-wrong-token-of-letters')
    const problem = { code: 'UNAUTHORIZED', message: 'the token is not accepted' }
    const api = await startApi({ 'GET /v1/config': [401, problem] })
    const argv = ['--address', api.url, ...options(path), 'config']
    const ran = await zdm(argv, { ZDM_ADMIN_TOKEN_PATH: path })
    expect(ran.error).toContain(`The token in ${path} (${setting}) is not accepted: compare it`)
    expect(ran.error).not.toContain('Name the file')
  })
})

const statusIn = (phase: Phase): InstanceStatus =>
  statusOf({ state: { ...statusOf().state, phase, rolledBackFrom: 'target-reads' } })

describe('changes', () => {
  test('advance without a phase asks for the one that follows, by name', async () => {
    const api = await startApi({ ...STATUS, 'POST /v1/advance': [200, reportOf()] })
    const ran = await zdm(['--address', api.url, 'advance', '--reason', 'validated'])
    expect(ran.status).toBe(0)
    expect(api.asked[1]?.body).toEqual({
      to: 'target-reads',
      from: 'dual-read',
      by: ZDM_USER,
      reason: 'validated',
      force: false,
    })
  })

  test('advance gets to cut-over by its name alone, and says from where it was planned', async () => {
    const onTarget = statusIn('target-reads')
    const api = await startApi({
      'GET /v1/status': [200, onTarget],
      'POST /v1/advance': [200, reportOf()],
    })
    const bare = await zdm(['--address', api.url, 'advance'])
    expect(bare.status).toBe(3)
    expect(bare.error).toContain('zdm advance cut-over')
    const way = ['advance', 'cut-over', '--from', 'target-reads']
    expect((await zdm(['--address', api.url, ...way])).status).toBe(0)
    expect(api.asked.at(-1)?.body).toMatchObject({ to: 'cut-over', from: 'target-reads' })
    expect(api.asked.filter(({ path }) => path === '/v1/advance').length).toBe(1)
  })

  test('advance where nothing follows is refused with the way back', async () => {
    const api = await startApi({ 'GET /v1/status': [200, statusIn('cut-over')] })
    const ran = await zdm(['--address', api.url, 'advance'])
    expect(ran.status).toBe(3)
    expect(ran.error).toContain('zdm rollback')
  })

  test('advance after a rollback must be named, for one way forgets the reconciliation', async () => {
    const api = await startApi({ 'GET /v1/status': [200, statusIn('rolled-back')] })
    const ran = await zdm(['--address', api.url, 'advance'])
    expect(ran.status).toBe(3)
    expect(ran.error).toContain('forgets the reconciliation of 2026-01-01T12:00:00.000Z')
    expect(ran.error).toContain('zdm advance target-reads')
    expect(api.asked.length).toBe(1)
  })

  test.each([
    ['done', 200, 0],
    ['unchanged', 200, 0],
    ['refused', 409, 3],
    ['partial', 502, 4],
  ] as const)('a change that is %s (HTTP %i) ends with %i', async (outcome, http, status) => {
    const api = await startApi({ 'POST /v1/rollback': [http, reportOf({ outcome })] })
    const ran = await zdm(['--address', api.url, 'rollback', '--leave'])
    expect(ran.status).toBe(status)
    expect(api.asked[0]?.body).toMatchObject({ leave: true, force: false })
  })

  test('a change that the API cannot take ends with 1 and says why', async () => {
    const problem = { code: 'STATE_NOT_WRITTEN', message: 'the disk is full; nothing has changed' }
    const api = await startApi({ 'POST /v1/rollback': [503, problem] })
    const ran = await zdm(['--address', api.url, 'rollback'])
    expect(ran.status).toBe(1)
    expect(ran.error).toContain('the disk is full')
  })

  test.each([
    ['primary', 'TARGET', { primary: 'TARGET' }],
    ['primary', 'target', { primary: 'TARGET' }],
    ['read-mode', 'PRIMARY_ONLY', { readMode: 'PRIMARY_ONLY' }],
    ['write-mode', 'target_only', { writeMode: 'target_only' }],
  ])('set %s changes that and leaves the rest', async (name, value, changed) => {
    const api = await startApi({ ...STATUS, 'PUT /v1/routing': [200, reportOf()] })
    await zdm(['--address', api.url, 'set', name, value, '--force', '--reason', 'leaving'])
    const { routing } = statusOf().state
    expect(api.asked[1]?.body).toEqual({
      routing: { ...routing, ...changed },
      by: ZDM_USER,
      reason: 'leaving',
      force: true,
    })
  })

  test('reconciled and align say what they are told', async () => {
    const at = '2026-01-05T00:00:00.000Z'
    const answer = { reconciledAt: at, comparisonBegunAt: at, instances: ['a', 'b'] }
    const api = await startApi({
      'POST /v1/reconciliations': [200, answer],
      'POST /v1/align': [200, reportOf()],
    })
    const COMPARISONS = [
      [['--begin'], { step: 'begin' }, `begins at ${at}`],
      [[], { step: 'done', into: 'target', since: null }, `Target has what Origin had at ${at}`],
      [['--since', 'now'], { step: 'done', since: 'now' }, 'Recorded by a, b'],
      [['--into', 'origin'], { step: 'done', into: 'origin' }, 'Origin has what Target had'],
    ] as const
    for (const [words, body, said] of COMPARISONS) {
      const ran = await zdm(['--address', api.url, 'reconciled', '--reason', 'compared', ...words])
      expect(ran.out).toContain(said)
      expect(api.asked.at(-1)?.body).toMatchObject({ ...body, reason: 'compared' })
    }
    await zdm(['--address', api.url, 'align', '--like', 'http://10.0.0.1:14003'])
    expect(api.asked.at(-1)?.body).toMatchObject({ like: 'http://10.0.0.1:14003' })
  })

  test('reconciled without a beginning is refused, with what comes first', async () => {
    const problem = { code: 'RECONCILIATION_REFUSED', message: 'zdm reconciled --begin first' }
    const api = await startApi({ 'POST /v1/reconciliations': [409, problem] })
    const ran = await zdm(['--address', api.url, 'reconciled'])
    expect(ran).toMatchObject({ status: 3, error: 'zdm: zdm reconciled --begin first\n' })
  })

  test('log-level shows and sets', async () => {
    const api = await startApi({
      'GET /v1/log-level': [200, { level: 'info', components: {} }],
      'PUT /v1/log-level': [200, { level: 'debug', components: { http: 'warn' } }],
    })
    const address = ['--address', api.url]
    expect((await zdm([...address, 'log-level'])).out).toBe(`${api.url}: info\n`)
    const set = await zdm([...address, 'log-level', 'debug'])
    expect(set.out).toBe(`${api.url}: debug, http warn\n`)
    expect(api.asked.at(-1)?.body).toMatchObject({ level: 'debug', component: null })
    await zdm([...address, 'log-level', 'debug', '--component', 'session'])
    expect(api.asked.at(-1)?.body).toMatchObject({ level: 'debug', component: 'session' })
  })

  test.each([
    [['log-level', '--component', 'session'], '--component needs a level'],
    [['log-level', 'debug', '--component', 'sessions'], 'instance, control, session'],
  ])('%j is a usage error', async (args, text) => {
    const { status, error } = await zdm(args)
    expect(status).toBe(2)
    expect(error).toContain(text)
  })
})

describe('completion', () => {
  test.each(['bash', 'zsh', 'fish'])('for %s names every command', async (shell) => {
    const { out } = await zdm(['completion', shell])
    for (const command of ['status', 'plan', 'advance', 'rollback', 'set', 'audit', 'check']) {
      expect(out).toContain(command)
    }
    expect(out).toContain('target-reads')
  })

  const LINES: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ['', ['status', 'advance', '--address'], ['ORIGIN', '--force']],
    ['--address http : //10.0.0.1 : 14003', ['status', 'advance'], ['14003']],
    ['--json', ['status'], []],
    ['set', ['primary', 'read-mode', 'write-mode'], ['ORIGIN', '--force']],
    ['set primary', ['ORIGIN', 'TARGET', '--force', '--reason', '--json'], ['read-mode', 'both']],
    ['set primary TARGET', ['--force', '--reason'], ['ORIGIN', 'both']],
    ['plan advance', ['--to'], ['rollback']],
    ['plan advance --to', ['dual-read', 'cut-over'], ['--json']],
    ['--timeout 5 advance', ['migrate', '--by'], ['ORIGIN', 'status']],
    ['rollback', ['--leave', '--reason'], ['--like']],
    ['rollback --reason', [], ['--leave', 'migrate']],
  ]
  test.each(LINES)('in bash, after "zdm %s"', async (line, offered, withheld) => {
    const { out } = await zdm(['completion', 'bash'])
    const words = line === '' ? [] : line.split(' ')
    const script = `${out}
COMP_WORDS=(zdm ${words.map((word) => `'${word}'`).join(' ')} '')
COMP_CWORD=${words.length + 1}
_zdm
printf '%s\\n' "\${COMPREPLY[@]}"`
    const replies = execFileSync('bash', ['-c', script], { encoding: 'utf8' }).split('\n')
    expect(replies).toEqual(expect.arrayContaining([...offered]))
    expect(replies.filter((reply) => withheld.includes(reply))).toEqual([])
  })
})
