import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { GuardedProcess, logTail } from '../../clusters/guarded-process.ts'
import { afterFile } from '../support/after-test.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const temporary = temporaryDirectory(afterFile)

/** Programs connect here: the connection's end tells that they are gone, by whatever way. */
const server = createServer((socket) => socket.on('error', () => undefined))

beforeEach(async () => {
  server.listen({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
})

afterEach(async () => {
  server.close()
  await once(server, 'close')
})

const connectHere = (): string =>
  `require('net').connect(${(server.address() as AddressInfo).port}, '127.0.0.1')`

/** Runs until it is killed; SIGTERM alone is not enough. */
const stubborn = (): string[] => ['-e', `process.on('SIGTERM', () => {}); ${connectHere()}`]

const nextConnection = async (): Promise<Socket> => {
  const [socket] = await once(server, 'connection')
  socket.resume()
  return socket
}

const newDirectory = async (name: string): Promise<string> => {
  const directory = join(temporary, name)
  await mkdir(directory)
  return directory
}

const start = (directory: string, args: readonly string[]): GuardedProcess =>
  new GuardedProcess({
    program: process.execPath,
    args,
    directory,
    logPath: join(directory, 'log'),
  })

/** The program, what it started, or the watcher. */
const isGroupAlive = ({ pid }: GuardedProcess): boolean => {
  try {
    return pid !== undefined && process.kill(-pid, 0)
  } catch {
    return false
  }
}

const groupIsGone = (guarded: GuardedProcess): Promise<void> =>
  expect.poll(() => isGroupAlive(guarded), { timeout: 4000, interval: 10 }).toBe(false)

describe('a guarded process', () => {
  test('leaves its output in the log and its directory alone when it ends by itself', async () => {
    const directory = await newDirectory('ends')
    const guarded = start(directory, ['-e', 'console.log("one"); console.error("two")'])
    await guarded.exited
    expect(guarded.isOver).toBe(true)
    await groupIsGone(guarded)
    expect(await logTail(join(directory, 'log'))).toBe('one\ntwo')
    expect(await readdir(directory)).toEqual(['log'])
  })

  test('is over at once if there is no such program, and the log says so', async () => {
    const directory = await newDirectory('missing')
    const logPath = join(directory, 'log')
    const guarded = new GuardedProcess({
      program: '/no/such/program',
      args: [],
      directory,
      logPath,
    })
    await guarded.exited
    expect(await readFile(logPath, 'utf8')).toContain('/no/such/program')
  })

  test('gets SIGTERM first, and SIGKILL when that does not end it', async () => {
    const directory = await newDirectory('stubborn')
    const connected = nextConnection()
    const guarded = start(directory, stubborn())
    await connected
    await guarded.terminate(50)
    expect(guarded.isOver).toBe(true)
    await groupIsGone(guarded)
    expect(await readdir(directory)).toEqual(['log'])
  })

  test('can be ended twice', async () => {
    const guarded = start(await newDirectory('twice'), stubborn())
    await guarded.kill()
    await guarded.kill()
    await guarded.terminate(50)
    expect(guarded.isOver).toBe(true)
  })
})

describe('when we end before it', () => {
  const startParent = async (name: string, ...command: string[]): Promise<ChildProcess> => {
    const remains = await newDirectory(name)
    const directory = join(remains, 'node')
    await mkdir(directory)
    await writeFile(join(directory, 'data'), 'data')
    const script = join(import.meta.dirname, 'guarded-parent.ts')
    return spawn(process.execPath, [script, directory, remains, ...command])
  }

  test.each(['SIGKILL', 'SIGTERM'] as const)('by %s: it goes, and its remains', async (signal) => {
    const name = `orphan-${signal}`
    const connected = nextConnection()
    const parent = await startParent(name, process.execPath, ...stubborn())
    const socket = await connected
    const gone = once(socket, 'close')
    parent.kill(signal)
    await gone
    await expect.poll(() => readdir(temporary), { timeout: 4000 }).not.toContain(name)
  })

  test('what a wrapper script started goes too', async () => {
    const connected = nextConnection()
    const program = `"${process.execPath}" -e "${connectHere()}"; true`
    const parent = await startParent('wrapper', 'sh', '-c', program)
    const gone = once(await connected, 'close')
    parent.kill('SIGKILL')
    await gone
  })
})
