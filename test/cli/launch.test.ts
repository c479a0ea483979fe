/** The commands as they are installed: what the launcher of both keeps, and that it needs nothing of it. */
import { execFileSync } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readVersion } from '../../src/version.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const ZDM = new URL('../../bin/zdm.js', import.meta.url).pathname
const TIMEOUT_MS = 60_000

const newDirectory = (): string => {
  const directory = temporaryDirectory()
  return directory
}

const version = (environment: Readonly<Record<string, string>>): string =>
  execFileSync(process.execPath, [ZDM, '--version'], { env: environment, encoding: 'utf8' })

test('what was compiled is kept under the cache of the user', { timeout: TIMEOUT_MS }, () => {
  const directory = newDirectory()
  expect(version({ XDG_CACHE_HOME: directory })).toBe(`${readVersion()}\n`)
  const [ofThisNode, ...others] = readdirSync(join(directory, 'zdm-proxy', 'compiled'))
  expect(others).toEqual([])
  const kept = readdirSync(join(directory, 'zdm-proxy', 'compiled', ofThisNode!))
  expect(kept.length).toBeGreaterThan(20)
  expect(version({ XDG_CACHE_HOME: directory })).toBe(`${readVersion()}\n`)
})

test('where nothing can be kept the command runs all the same', { timeout: TIMEOUT_MS }, () => {
  const file = join(newDirectory(), 'a-file')
  writeFileSync(file, '')
  expect(version({ XDG_CACHE_HOME: file })).toBe(`${readVersion()}\n`)
})

test('a directory that the environment names is used', { timeout: TIMEOUT_MS }, () => {
  const directory = newDirectory()
  version({ NODE_COMPILE_CACHE: directory })
  expect(readdirSync(directory)).toHaveLength(1)
})
