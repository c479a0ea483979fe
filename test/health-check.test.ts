import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { afterFile, afterTest } from './support/after-test.ts'
import { Authority } from './support/certificates.ts'
import { MINIMAL_ENVIRONMENT } from './support/minimal-environment.ts'
import { temporaryDirectory } from './support/temporary-directory.ts'

const SCRIPT = join(import.meta.dirname, '../src/health-check.ts')

type Result = { readonly status: number; readonly error: string }

const check = (arguments_: readonly string[], variables: Record<string, string>): Promise<Result> =>
  new Promise((resolve) => {
    execFile(process.execPath, [SCRIPT, ...arguments_], { env: variables }, (error, _, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code), error: stderr })
    })
  })

const answers = new Map<string, number>()
let requested: (string | undefined)[] = []
const server = createServer((request, response) => {
  requested.push(request.url)
  response.writeHead(answers.get(request.url ?? '') ?? 404).end('what it said')
})
let port: string
let directory: string

beforeAll(async () => {
  directory = temporaryDirectory(afterFile)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  port = String((server.address() as AddressInfo).port)
})

afterAll(() => {
  server.close()
})

beforeEach(() => {
  requested = []
  answers.clear()
  answers.set('/health/liveness', 200)
})

describe('the health check', { timeout: 30_000 }, () => {
  test.each(['localhost', '127.0.0.1', '0.0.0.0'])(
    'finds a proxy that listens on %s and is alive',
    async (address) => {
      const variables = {
        ...MINIMAL_ENVIRONMENT,
        ZDM_METRICS_ADDRESS: address,
        ZDM_METRICS_PORT: port,
      }
      expect(await check([], variables)).toEqual({ status: 0, error: '' })
      expect(requested).toEqual(['/health/liveness'])
    },
  )

  test('finds a proxy that serves it with TLS, whatever its certificate names', async () => {
    const authority = await Authority.create()
    const { certificate, key } = await authority.issue('proxy', { names: ['proxy.example'] })
    const secure = createSecureServer({ cert: certificate, key }, (_, response) => response.end())
    afterTest(() => secure.close())
    await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve))
    const variables = {
      ...MINIMAL_ENVIRONMENT,
      ZDM_METRICS_PORT: String((secure.address() as AddressInfo).port),
      ZDM_METRICS_TLS_CERT_PATH: '/cert.pem',
      ZDM_METRICS_TLS_KEY_PATH: '/key.pem',
    }
    expect(await check([], variables)).toEqual({ status: 0, error: '' })
  })

  test('fails and says why where the proxy is not ready', async () => {
    answers.set('/health/readiness', 503)
    const { status, error } = await check(['readiness'], {
      ...MINIMAL_ENVIRONMENT,
      ZDM_METRICS_PORT: port,
    })
    expect(status).toBe(1)
    expect(error).toBe(`127.0.0.1:${port} answers 503: what it said\n`)
  })

  test('fails where nobody listens', async () => {
    const { status, error } = await check([], { ...MINIMAL_ENVIRONMENT, ZDM_METRICS_PORT: '1' })
    expect(status).toBe(1)
    expect(error).toContain('ECONNREFUSED')
  })

  test('takes the port from the same file as the proxy', async () => {
    const path = join(directory, 'zdm.yaml')
    writeFileSync(
      path,
      `origin_contact_points: origin\ntarget_contact_points: target\nmetrics_port: ${port}\n`,
    )
    expect(await check(['--config', path], {})).toEqual({ status: 0, error: '' })
  })

  test('takes several files and the environment above them, as the proxy does', async () => {
    const [base, site] = [join(directory, 'base.yaml'), join(directory, 'site.yaml')]
    writeFileSync(base, 'origin_contact_points: o\ntarget_contact_points: t\nmetrics_port: 1\n')
    writeFileSync(site, `metrics_port: ${port}\nmetrics_address: 192.0.2.1\n`)
    const flags = ['--config', base, '--config', site, '--with-environment']
    const variables = { ZDM_METRICS_ADDRESS: 'localhost' }
    expect(await check(flags, variables)).toEqual({ status: 0, error: '' })
  })

  test('needs no secrets: a file that is being replaced does not make the proxy look dead', async () => {
    const { ZDM_ORIGIN_PASSWORD: _, ...others } = MINIMAL_ENVIRONMENT
    const secret = { ZDM_ORIGIN_PASSWORD_PATH: join(directory, 'not-there') }
    const variables = { ...others, ...secret, ZDM_METRICS_PORT: port }
    expect(await check([], variables)).toEqual({ status: 0, error: '' })
  })

  // As a process the interpreter with its script, or an init in front of it.
  test.each([
    [['/app/src/main.ts', '--config']],
    [['/app/src/main.ts', '-config=']],
    [['node', '/app/bin/zdm-proxy.js', '--strict-config', '--config']],
    [['/main', '--config']],
  ])("takes the file from the proxy's own arguments: %j", async (words) => {
    const path = join(directory, 'own.yaml')
    writeFileSync(
      path,
      `origin_contact_points: origin\ntarget_contact_points: target\nmetrics_port: ${port}\n`,
    )
    const last = words.at(-1)!
    const args = last.endsWith('=') ? words.with(-1, `${last}${path}`) : [...words, path]
    const idle = ['--eval', 'setInterval(() => {}, 1000); console.log(1)', '--', ...args]
    const proxy = spawn(process.execPath, idle, { stdio: ['ignore', 'pipe', 'inherit'] })
    onTestFinished(() => void proxy.kill('SIGKILL'))
    await once(proxy.stdout, 'data')
    const other = { ...MINIMAL_ENVIRONMENT, ZDM_METRICS_PORT: '1' }
    expect(await check(['--proxy', String(proxy.pid)], other)).toEqual({ status: 0, error: '' })
  })

  test("goes by the environment where a process is not the proxy's, or is not there", async () => {
    const variables = { ...MINIMAL_ENVIRONMENT, ZDM_METRICS_PORT: port }
    for (const pid of [String(process.pid), '999999999']) {
      expect(await check(['--proxy', pid], variables)).toEqual({ status: 0, error: '' })
    }
  })

  test('finds a proxy that serves on although its file has become wrong', async () => {
    const path = join(directory, 'edited.yaml')
    writeFileSync(path, `metrics_port: ${port}\nproxy_request_timeout_ms: -1\nread_mode: ALL\n`)
    expect(await check(['--config', path], {})).toEqual({ status: 0, error: '' })
  })

  test('says where it fails what is wrong with the settings', async () => {
    const path = join(directory, 'wrong.yaml')
    writeFileSync(path, 'metrics_port: 1\norigin_port: x\n')
    const { status, error } = await check(['--config', path], {})
    expect(status).toBe(1)
    expect(error).toMatch(/ECONNREFUSED.*\norigin_port /)
  })

  test.each([[['health']], [['liveness', 'readiness']], [['--port', '1']]])(
    'does not take the arguments %j',
    async (arguments_) => {
      const { status, error } = await check(arguments_, {})
      expect(status).toBe(2)
      expect(error).toMatch(/^Usage: /)
    },
  )
})
