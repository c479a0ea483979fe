/** A directory per test file that goes with it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'

export const useTemporaryDirectory = (): ((...parts: readonly string[]) => string) => {
  let root = ''
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'zdm-test-'))
  })
  afterAll(async () => {
    await rm(root, { recursive: true, force: true })
  })
  return (...parts) => join(root, ...parts)
}
