import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { claimStateFile } from '../../src/control/state-owner.ts'
import { FileStateStore } from '../../src/control/state-store.ts'
import { afterTest } from '../support/after-test.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { stateIn } from './instances.ts'

const newPath = (): string => join(temporaryDirectory(), 'state.json')

/** Another process that has claimed the file and runs. */
const startOwner = async (path: string): Promise<ChildProcess> => {
  const module = new URL('../../src/control/state-owner.ts', import.meta.url)
  const program = `const { claimStateFile } = await import(process.argv[1])
    claimStateFile(process.argv[2]); console.log('claimed'); setInterval(() => {}, 1e6)`
  const argv = ['--input-type=module', '-e', program, module.href, path]
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] })
  afterTest(() => void child.kill('SIGKILL'))
  await once(child.stdout!, 'data')
  return child
}

test('a file that a running process uses is not for another one, until it is gone', async () => {
  const path = newPath()
  const owner = await startOwner(path)
  expect(() => claimStateFile(path)).toThrow(
    `${path} (routing_state_path) is used by another instance too, process ${owner.pid} on ${hostname()}: every instance needs a file of its own`,
  )
  owner.kill('SIGKILL')
  await once(owner, 'exit')
  claimStateFile(path)
  new FileStateStore(path).stage(stateIn('migrate'))
})

test('whoever lost the file to another one refuses to prepare a change', () => {
  const path = newPath()
  claimStateFile(path)
  const store = new FileStateStore(path)
  store.stage(stateIn('migrate'))
  writeFileSync(`${path}.owner`, JSON.stringify({ host: 'b', pid: 1, startTicks: '7' }))
  expect(() => store.stage(stateIn('migrate'))).toThrow('process 1 on b')
})

test.each(['', '{', '7', '{"host":1}'])('what names nobody holds nobody up: %j', (text) => {
  const path = newPath()
  writeFileSync(`${path}.owner`, text)
  claimStateFile(path)
  expect(JSON.parse(readFileSync(`${path}.owner`, 'utf8'))).toMatchObject({ pid: process.pid })
})

test('a directory that is missing is told by the first change', () => {
  claimStateFile(join(newPath(), 'nowhere', 'state.json'))
})
