/**
 * Whose the state file is. Two instances with one file would overwrite each other's state, and find out only
 * when a change is half done: a file beside it names the process that uses it. A process that is gone
 * leaves its name there, which holds nobody up: only one that certainly runs does.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { ControlError, ControlErrorCode } from './errors.ts'

type Owner = {
  readonly host: string
  readonly pid: number
  /** When the process was started, in the kernel's ticks since boot; null where the system does not say. */
  readonly startTicks: string | null
}

const OWNER_ONLY = 0o600
/** In /proc/<pid>/stat, counted behind the name of the program, which may hold anything. */
const START_TIME_FIELD = 19

const ownerPath = (path: string): string => `${path}.owner`

const startTicksOf = (pid: number): string | null => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[START_TIME_FIELD] ?? null
  } catch {
    return null
  }
}

const thisProcess = (): Owner => {
  const { pid } = process
  return { host: hostname(), pid, startTicks: startTicksOf(pid) }
}

/** Null where there is none, or nothing that makes sense. */
const readOwner = (path: string): Owner | null => {
  try {
    const { host, pid, startTicks } = JSON.parse(readFileSync(ownerPath(path), 'utf8'))
    const isSound = typeof host === 'string' && Number.isSafeInteger(pid)
    return isSound
      ? { host, pid, startTicks: typeof startTicks === 'string' ? startTicks : null }
      : null
  } catch {
    return null
  }
}

const isSame = (a: Owner, b: Owner): boolean =>
  a.host === b.host && a.pid === b.pid && a.startTicks === b.startTicks

const isRunning = ({ host, pid, startTicks }: Owner): boolean =>
  host === hostname() && startTicks !== null && startTicksOf(pid) === startTicks

const inUse = (path: string, { host, pid }: Owner): ControlError =>
  new ControlError(
    ControlErrorCode.STATE_IN_USE,
    `${path} (routing_state_path) is used by another instance too, process ${pid} on ${host}: every instance needs a file of its own; set another routing_state_path for one of them and restart it`,
  )

/**
 * This process uses the file from now on. Throws STATE_IN_USE where another one on this machine does so and
 * runs. Where nothing can be written, the first change says so.
 */
export const claimStateFile = (path: string): void => {
  const own = thisProcess()
  const owner = readOwner(path)
  if (owner !== null && !isSame(owner, own) && isRunning(owner)) throw inUse(path, owner)
  try {
    writeFileSync(ownerPath(path), `${JSON.stringify(own)}\n`, { mode: OWNER_ONLY })
  } catch {
    // The directory is missing or read only.
  }
}

/** Throws STATE_IN_USE where another process has claimed the file since. */
export const checkStateFileOwner = (path: string): void => {
  const owner = readOwner(path)
  if (owner !== null && !isSame(owner, thisProcess())) throw inUse(path, owner)
}
