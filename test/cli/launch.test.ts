/** The commands as they are installed: what the launcher of both keeps, and that it needs nothing of it. */
import { execFileSync, spawnSync } from 'node:child_process'
import { constants, copyFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readVersion } from '../../src/version.ts'
import { MINIMAL_ENVIRONMENT } from '../support/minimal-environment.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const ZDM = new URL('../../bin/zdm.js', import.meta.url).pathname
const PROXY = new URL('../../bin/zdm-proxy.js', import.meta.url).pathname
const TIMEOUT_MS = 60_000

const version = (environment: Readonly<Record<string, string>>): string =>
  execFileSync(process.execPath, [ZDM, '--version'], { env: environment, encoding: 'utf8' })

test('what was compiled is kept under the cache of the user', { timeout: TIMEOUT_MS }, () => {
  const directory = temporaryDirectory()
  expect(version({ XDG_CACHE_HOME: directory })).toBe(`${readVersion()}\n`)
  const [ofThisNode, ...others] = readdirSync(join(directory, 'zdm-proxy', 'compiled'))
  expect(others).toEqual([])
  const kept = readdirSync(join(directory, 'zdm-proxy', 'compiled', ofThisNode!))
  expect(kept.length).toBeGreaterThan(20)
  expect(version({ XDG_CACHE_HOME: directory })).toBe(`${readVersion()}\n`)
})

test('where nothing can be kept the command runs all the same', { timeout: TIMEOUT_MS }, () => {
  const file = join(temporaryDirectory(), 'a-file')
  writeFileSync(file, '')
  expect(version({ XDG_CACHE_HOME: file })).toBe(`${readVersion()}\n`)
})

test('a directory that the environment names is used', { timeout: TIMEOUT_MS }, () => {
  const directory = temporaryDirectory()
  version({ NODE_COMPILE_CACHE: directory })
  expect(readdirSync(directory)).toHaveLength(1)
})

/** What an older Node is: one that runs no TypeScript. */
const OLDER = '--no-strip-types'

const olderNode = (): string => {
  const path = join(temporaryDirectory(), 'node')
  copyFileSync(process.execPath, path, constants.COPYFILE_FICLONE)
  return path
}

test('an older Node has the one of the package do it', { timeout: TIMEOUT_MS }, () => {
  const run = spawnSync(olderNode(), [OLDER, ZDM, '--version'], { encoding: 'utf8' })
  expect(run).toMatchObject({ status: 0, stdout: `${readVersion()}\n` })
})

test('and passes SIGHUP on when the proxy does not end by it', { timeout: TIMEOUT_MS }, () => {
  // In the child, before anything of ours runs there: long enough for the signal to come back.
  const hook = `if (process.features.typescript) {
    process.kill(process.ppid, 'SIGHUP')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
  }`
  const env = {
    ...process.env,
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(hook)}`,
    ...MINIMAL_ENVIRONMENT,
  }
  const args = [OLDER, PROXY, '--print-config']
  const { status, signal } = spawnSync(olderNode(), args, { encoding: 'utf8', env })
  expect({ status, signal }).toEqual({ status: 0, signal: null })
})

test('the one of the package never starts itself', { timeout: TIMEOUT_MS }, () => {
  const run = spawnSync(process.execPath, [OLDER, ZDM, '--version'], { encoding: 'utf8' })
  expect(run.status).toBe(1)
  expect(run.stderr).toContain('ERR_UNKNOWN_FILE_EXTENSION')
})
