/** Nothing is left running: what a test or a file of tests has started ends with it, however it ends. */
import { afterAll, afterEach } from 'vitest'

type CleanUp = () => unknown

const ofTest: CleanUp[] = []
const ofFile: CleanUp[] = []
const runAll = async (cleanUps: CleanUp[]): Promise<void> => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
}
afterEach(() => runAll(ofTest))
afterAll(() => runAll(ofFile))

/** These run after the test, the last one first. */
export const afterTest = (...added: readonly CleanUp[]): void => {
  ofTest.push(...added)
}

/** These run when the file is done, the last one first. */
export const afterFile = (...added: readonly CleanUp[]): void => {
  ofFile.push(...added)
}
