/** Nothing is left running: what a test has started ends with it, however the test ends. */
import { afterEach } from 'vitest'

const cleanUps: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

/** These run after the test, the last one first. */
export const afterTest = (...added: readonly (() => unknown)[]): void => {
  cleanUps.push(...added)
}
