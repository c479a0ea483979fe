/** The command as a process: what it prints, its exit status, and signals. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { get } from 'node:https'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { TLSSocket } from 'node:tls'
import { describe, expect, test } from 'vitest'
import { afterTest } from './support/after-test.ts'
import { Authority, Files } from './support/certificates.ts'
import { startCluster } from './support/instance.ts'
import { temporaryDirectory } from './support/temporary-directory.ts'

const MAIN = new URL('../bin/zdm-proxy.js', import.meta.url).pathname
/** A process takes seconds to start where many tests run at once. */
const TIMEOUT_MS = 60_000

type Process = {
  readonly child: ChildProcessByStdio<null, Readable, Readable>
  readonly output: () => string
  readonly log: () => string
  readonly exited: Promise<number | null>
  /** Resolves when the log holds this text so many times. */
  logged(text: string, times?: number): Promise<void>
}

const start = (
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Process => {
  const child = spawn(process.execPath, [MAIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...variables },
  })
  let output = ''
  let log = ''
  const waiting = new Set<() => void>()
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString()
  })
  child.stderr.on('data', (data: Buffer) => {
    log += data.toString()
    for (const look of waiting) look()
  })
  const exited = new Promise<number | null>((resolve) => child.on('close', resolve))
  afterTest(async () => {
    child.kill('SIGKILL')
    await exited
  })
  const logged = (text: string, times = 1): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (log.split(text).length <= times) return
        waiting.delete(look)
        resolve()
      }
      waiting.add(look)
      look()
    })
  return { child, output: () => output, log: () => log, exited, logged }
}

type Given = Readonly<Record<string, string | number | boolean>>

const settingsFile = async (
  more: Given = {},
): Promise<{ readonly path: string; readonly given: Given; write(more: Given): void }> => {
  const origin = await startCluster({ name: 'origin' })
  const nodes = [{ hostId: '00000000-0000-4000-8000-00000000000b' }]
  const target = await startCluster({ name: 'target', nodes })
  const path = join(temporaryDirectory(), 'zdm.yml')
  const allWith = (own: Given): Given => ({
    origin_contact_points: origin.contactPoints[0]!,
    origin_port: origin.port,
    origin_username: 'o',
    origin_password: 'sEcReT',
    target_contact_points: target.contactPoints[0]!,
    target_port: target.port,
    proxy_listen_port: 0,
    metrics_port: 0,
    admin_port: 0,
    data_plane_threads: 1,
    ...own,
  })
  const write = (own: Given): void => {
    writeFileSync(
      path,
      Object.entries(allWith(own))
        .map(([key, value]) => `${key}: ${value}`)
        .join('\n'),
    )
  }
  write(more)
  return { path, given: allWith(more), write }
}

describe('zdm-proxy', { timeout: TIMEOUT_MS }, () => {
  test('--print-config prints every setting in effect with its source, secrets hidden', async () => {
    const { path } = await settingsFile()
    const { output, exited } = start(['--config', path, '--print-config'])
    expect(await exited).toBe(0)
    expect(output()).toContain(`origin_username: "o"  # file ${path}\n`)
    expect(output()).toContain(`origin_password: "(hidden)"  # file ${path}\n`)
    expect(output()).toContain('read_mode: "PRIMARY_ONLY"  # default\n')
    expect(output()).not.toContain('sEcReT')
  })

  test('--print-config names the layer of each value: files, the environment above them, a secret file', async () => {
    const secret = join(temporaryDirectory(), 'password')
    writeFileSync(secret, 'sEcReT\n')
    const { path } = await settingsFile({ origin_password: '""' })
    const site = `${path}.site.yml`
    writeFileSync(site, `origin_password_path: ${secret}\ntarget_port: 1\n`)
    const args = ['--config', path, '--config', site, '--with-environment', '--print-config']
    const { output, exited } = start(args, { ZDM_ORIGIN_PORT: '2' })
    expect(await exited).toBe(0)
    expect(output()).toContain(`origin_username: "o"  # file ${path}\n`)
    expect(output()).toContain(`target_port: 1  # file ${site}\n`)
    expect(output()).toContain('origin_port: 2  # environment\n')
    expect(output()).toContain(`origin_password: "(hidden)"  # secret file ${secret}\n`)
    expect(output()).not.toContain('sEcReT')
  })

  test('with settings from the environment SIGHUP reads the secret files', async () => {
    const secret = join(temporaryDirectory(), 'password')
    writeFileSync(secret, 'sEcReT\n')
    const { given } = await settingsFile({ target_username: '', target_password: '' })
    const { origin_password: _, ...others } = given
    const variables = Object.entries({ ...others, origin_password_path: secret }).map(
      ([key, value]) => [`ZDM_${key.toUpperCase()}`, String(value)],
    )
    const { child, log, logged, exited } = start([], Object.fromEntries(variables))
    await logged('PROXY_READY')
    writeFileSync(secret, 'sEcReT2\n')
    child.kill('SIGHUP')
    await logged('CONFIG_RELOADED')
    expect(log()).toContain('in effect: origin_password')
    expect(log()).not.toContain('sEcReT')
    child.kill('SIGTERM')
    expect(await exited).toBe(0)
  })

  test('--check ends with 1 where something failed, and says what', async () => {
    const { path } = await settingsFile({ origin_local_datacenter: 'nowhere' })
    const { output, exited } = start(['--config', path, '--check'])
    expect(await exited).toBe(1)
    expect(output()).toMatch(/Origin +datacenter +FAILED +there is no "nowhere"/)
  })

  test('--check ends with 0 where nothing failed', async () => {
    const { path } = await settingsFile()
    const { output, exited } = start(['--config', path, '--check'])
    expect(await exited).toBe(0)
    expect(output()).toMatch(/ 0 failed/)
  })

  test.each([[[]], [['--check']]])(
    '%j ends with 255 where the settings are wrong',
    async (flags) => {
      const { path } = await settingsFile({ origin_port: 'x' })
      const { log, exited } = start(['--config', path, ...flags])
      expect(await exited).toBe(255)
      expect(log()).toContain('CONFIG_INVALID')
    },
  )

  test('a token that is replaced is read again, at SIGHUP at once', async () => {
    const files = new Files()
    const [old, next] = ['an-old-token-of-letters', 'a-new-token-of-letters']
    const admin_token_path = await files.write('token', old)
    const { path } = await settingsFile({ admin_token_path })
    const { child, log, logged, exited } = start(['--config', path])
    await logged('PROXY_READY')
    const [, port] = /admin API on http:\/\/127\.0\.0\.1:(\d+)/.exec(log())!
    const status = async (token: string): Promise<number> => {
      const headers = { authorization: `Bearer ${token}` }
      return (await fetch(`http://127.0.0.1:${port}/v1/status`, { headers })).status
    }
    expect([await status(old), await status(next)]).toEqual([200, 401])
    await files.write('token', next)
    child.kill('SIGHUP')
    await logged('TOKENS_RELOADED')
    expect([await status(old), await status(next)]).toEqual([401, 200])
    expect(log()).not.toContain('of-letters')
    child.kill('SIGTERM')
    expect(await exited).toBe(0)
  })

  test('metrics with TLS and a token: renewed files are used without a restart, and their expiry is there', async () => {
    const files = new Files()
    const authority = await Authority.create()
    const pair = await files.writePair('metrics', await authority.issue('first'))
    const metrics_token_path = await files.write('token', 'a-token-of-many-letters')
    const { path } = await settingsFile({
      metrics_tls_cert_path: pair.cert,
      metrics_tls_key_path: pair.key,
      metrics_token_path,
    })
    const { child, log, logged, exited } = start(['--config', path])
    await logged('PROXY_READY')
    const [, port] = /health and metrics on https:\/\/127\.0\.0\.1:(\d+)/.exec(log())!
    const scrape = async (token: string) => {
      const headers = { authorization: `Bearer ${token}` }
      const where = { host: '127.0.0.1', port, path: '/metrics', headers, agent: false as const }
      const sent = get({ ...where, ca: authority.certificate })
      const [response] = (await once(sent, 'response')) as [IncomingMessage]
      const subject = (response.socket as TLSSocket).getPeerX509Certificate()?.subject
      return { status: response.statusCode, subject, body: await text(response) }
    }
    expect((await scrape('a-wrong-one')).status).toBe(401)
    const first = await scrape('a-token-of-many-letters')
    expect([first.status, first.subject]).toEqual([200, 'CN=first'])
    expect(first.body).toMatch(
      /zdm_tls_certificate_expiry_timestamp_seconds\{leg="metrics",role="certificate"\} \d/,
    )
    await files.writePair('metrics', await authority.issue('second'))
    child.kill('SIGHUP')
    await logged('CERTIFICATES_RELOADED')
    expect((await scrape('a-token-of-many-letters')).subject).toBe('CN=second')
    child.kill('SIGTERM')
    expect(await exited).toBe(0)
  })

  test.each([true, false])(
    'a port for metrics that is taken ends it with 1 where that is asked for: %s',
    async (metrics_bind_required) => {
      const taken = createServer().listen(0, '127.0.0.1')
      afterTest(() => taken.close())
      await once(taken, 'listening')
      const metrics_port = (taken.address() as AddressInfo).port
      const { path } = await settingsFile({ metrics_port, metrics_bind_required })
      const { child, log, logged, exited } = start(['--config', path])
      if (!metrics_bind_required) {
        await logged('PROXY_READY')
        child.kill('SIGTERM')
      }
      expect(await exited).toBe(metrics_bind_required ? 1 : 0)
      expect(log()).toContain('HTTP_BIND_FAILED')
      const end = 'the process ends (metrics_bind_required)'
      expect(log().includes(end)).toBe(metrics_bind_required)
    },
  )

  test('a start that waiting will not mend ends with 3 where the settings say so', async () => {
    const { path } = await settingsFile({
      startup_fail_fast: 'true',
      strict_local_datacenter: 'true',
      origin_local_datacenter: 'nowhere',
    })
    const { log, exited } = start(['--config', path])
    expect(await exited).toBe(3)
    expect(log()).toMatch(/START_GIVEN_UP.*no host in the configured local datacenter/)
    expect(log()).toContain('SHUTDOWN_COMPLETE')
  })

  test('a start that takes longer than it may ends with 4', async () => {
    const { path } = await settingsFile({
      origin_local_datacenter: 'nowhere',
      strict_local_datacenter: 'true',
      startup_timeout_ms: 300,
    })
    const { log, exited } = start(['--config', path])
    expect(await exited).toBe(4)
    expect(log()).toMatch(/START_FAILED/)
  })

  test('SIGHUP while it starts does not end it, and is done when it can be', async () => {
    const { path } = await settingsFile()
    // As soon as anything of the proxy is loaded.
    const hook = `import { registerHooks } from 'node:module'
      registerHooks({ load(url, context, next) {
        if (url.endsWith('/src/main.ts')) process.kill(process.pid, 'SIGHUP')
        return next(url, context)
      } })`
    const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(hook)}`
    const { child, logged, exited } = start(['--config', path], { NODE_OPTIONS })
    await logged('STARTING')
    child.kill('SIGHUP')
    await logged('CONFIG_RELOADED')
    await logged('PROXY_READY')
    child.kill('SIGTERM')
    expect(await exited).toBe(0)
  })

  test('SIGHUP reads the file again, a wrong file changes nothing, SIGTERM ends it', async () => {
    const { path, write } = await settingsFile()
    const { child, log, logged, exited } = start(['--config', path])
    await logged('PROXY_READY')
    write({ proxy_request_timeout_ms: 5000, metrics_prefix: 'other' })
    child.kill('SIGHUP')
    await logged('CONFIG_NEEDS_RESTART')
    expect(log()).toContain('in effect: proxy_request_timeout_ms')
    expect(log()).toContain('until a restart: metrics_prefix')
    const [, port] = /admin API on http:\/\/127\.0\.0\.1:(\d+)/.exec(log())!
    const shown = await (await fetch(`http://127.0.0.1:${port}/v1/config`)).text()
    const timeout = { key: 'proxy_request_timeout_ms', value: 5000, source: 'file', path }
    expect(shown).toContain(JSON.stringify(timeout))
    const prefix = { key: 'metrics_prefix', value: 'zdm', source: 'default', path: null }
    expect(shown).toContain(JSON.stringify(prefix))
    write({ proxy_request_timeout_ms: -1 })
    child.kill('SIGHUP')
    await logged('CONFIG_RELOAD_REFUSED')
    write({ proxy_request_timeout_ms: 5000 })
    child.kill('SIGHUP')
    await logged('CONFIG_RELOADED', 2)
    expect(log()).toContain('nothing has changed')
    child.kill('SIGTERM')
    expect(await exited).toBe(0)
  })
})
