/** What happens on a machine without the toolchains; with them the driver suite itself is the test. */
import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { makeDriverPrograms } from './driver-programs.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** A PATH with a shell and nothing else. */
const takeToolchainsAway = async (): Promise<void> => {
  const folder = temporaryDirectory()
  await symlink('/bin/sh', join(folder, 'sh'))
  vi.stubEnv('PATH', folder)
}

afterEach(() => {
  vi.unstubAllEnvs()
})

describe('without toolchains', () => {
  test('each language that cannot be run names what is missing; Node can be run', async () => {
    await takeToolchainsAway()
    const programs = await makeDriverPrograms(false)
    expect(programs.python).toEqual({ unavailable: 'python3 is not installed' })
    expect(programs.java).toEqual({ unavailable: 'javac is not installed' })
    expect(programs.go).toEqual({ unavailable: 'go is not installed' })
    expect(programs.node).toMatchObject({ program: process.execPath })
  })

  test('where all are demanded it is an error', async () => {
    await takeToolchainsAway()
    await expect(makeDriverPrograms(true)).rejects.toThrow(/is not installed/)
  })
})
