/** Prints how many tests passed and failed, from vitest's JSON report; the last line of a run. */
import { existsSync, readFileSync } from 'node:fs'

const path = process.argv[2]
if (existsSync(path)) {
  const { numPassedTests, numFailedTests, numFailedTestSuites } = JSON.parse(
    readFileSync(path, 'utf8'),
  )
  // A file that could not even be loaded has no tests to fail.
  const failed = Math.max(numFailedTests, numFailedTestSuites)
  console.log(`${numPassedTests} passed, ${failed} failed`)
} else {
  console.log('The tests were not run: see above what failed before them.')
  console.log('0 passed, 1 failed')
}
