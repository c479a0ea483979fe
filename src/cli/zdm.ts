/** The command `zdm` as a process: argv, terminal, user and Ctrl-C. */
import { hostname, userInfo } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { readVersion } from '../version.ts'
import { runZdm } from './program.ts'

const userName = (): string => {
  try {
    return `${userInfo().username}@${hostname()}`
  } catch {
    // A container's user may have no name.
    return hostname()
  }
}

const interrupted = new AbortController()
process.on('SIGINT', () => {
  if (interrupted.signal.aborted) process.exit(130)
  interrupted.abort()
})

process.exitCode = await runZdm(process.argv.slice(2), {
  environment: process.env,
  isTerminal: process.stdout.isTTY === true,
  user: userName(),
  version: readVersion(),
  out: (text) => {
    process.stdout.write(text)
  },
  error: (text) => {
    process.stderr.write(text)
  },
  sleep: (ms) => delay(ms, undefined, { signal: interrupted.signal }).catch(() => undefined),
  signal: interrupted.signal,
})
