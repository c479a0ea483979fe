/** The command as a process: what it prints, its exit status, and signals. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { afterTest } from './support/after-test.ts'
import { startCluster } from './support/instance.ts'

const MAIN = new URL('../src/main.ts', import.meta.url).pathname
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

const start = (args: readonly string[]): Process => {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
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

const settingsFile = async (
  more: Readonly<Record<string, string | number>> = {},
): Promise<{ path: string; write(more: Readonly<Record<string, string | number>>): void }> => {
  const origin = await startCluster({ name: 'origin' })
  const nodes = [{ hostId: '00000000-0000-4000-8000-00000000000b' }]
  const target = await startCluster({ name: 'target', nodes })
  const path = join(mkdtempSync(join(tmpdir(), 'zdm-main-')), 'zdm.yml')
  const write = (own: Readonly<Record<string, string | number>>): void => {
    const all = {
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
    }
    writeFileSync(
      path,
      Object.entries(all)
        .map(([key, value]) => `${key}: ${value}`)
        .join('\n'),
    )
  }
  write(more)
  return { path, write }
}

describe('zdm-proxy', { timeout: TIMEOUT_MS }, () => {
  test('--print-config prints every setting in effect with its source, secrets hidden', async () => {
    const { path } = await settingsFile()
    const { output, exited } = start(['--config', path, '--print-config'])
    expect(await exited).toBe(0)
    expect(output()).toContain('origin_username: "o"  # file\n')
    expect(output()).toContain('origin_password: "(hidden)"  # file\n')
    expect(output()).toContain('read_mode: "PRIMARY_ONLY"  # default\n')
    expect(output()).not.toContain('sEcReT')
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

  test('--check ends with 255 where the settings are wrong', async () => {
    const { path } = await settingsFile({ origin_port: 'x' })
    const { log, exited } = start(['--config', path, '--check'])
    expect(await exited).toBe(255)
    expect(log()).toContain('CONFIG_INVALID')
  })

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
    expect(shown).toContain('{"key":"proxy_request_timeout_ms","value":5000,"source":"file"}')
    expect(shown).toContain('{"key":"metrics_prefix","value":"zdm","source":"default"}')
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
