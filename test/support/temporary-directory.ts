/** Directories for tests, which go with the test or the file of tests that made them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterTest } from './after-test.ts'

/** A new, empty directory; `after` is `afterFile` for one that all tests of a file share. */
export const temporaryDirectory = (after: (remove: () => void) => void = afterTest): string => {
  const directory = mkdtempSync(join(tmpdir(), 'zdm-test-'))
  after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}
