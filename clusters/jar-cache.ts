/**
 * Cassandra's jars in a per-user cache, one folder per release. A folder under its final name is
 * whole: jars are fetched into a folder beside it, checked, and renamed. A lock file keeps two runs
 * from fetching the same release at once; one whose owner is gone is broken.
 */
import { randomUUID } from 'node:crypto'
import {
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { homedir, hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ClusterError } from './cluster.ts'

/** Names and sizes of the jars: a cleaner that took some of them away is noticed. */
const INVENTORY = 'jars.json'
const PARTIAL = '.partial-'
const LOCK_RENEWAL_MS = 2000
const LOCK_STALE_MS = 20_000
const LOCK_POLL_MS = 250

export interface Jars {
  readonly directory: string
  readonly names: readonly string[]
}

/** Puts a release's jars into an empty directory; rejects if it could not. */
export type FetchJars = (directory: string) => Promise<void>

export interface JarCacheOptions {
  readonly root: string
  readonly release: string
  readonly fetch: FetchJars
  readonly onWait: () => void
  readonly signal: AbortSignal
}

export const cacheRoot = (environment: NodeJS.ProcessEnv = process.env): string => {
  const own = environment['ZDM_CASSANDRA_CACHE']
  if (own !== undefined && own !== '') return resolve(own)
  const xdg = environment['XDG_CACHE_HOME']
  const base = xdg !== undefined && xdg !== '' ? xdg : join(homedir(), '.cache')
  return join(base, 'zdm-proxy', 'cassandra')
}

const isErrno = (error: unknown, ...codes: readonly string[]): boolean =>
  error instanceof Error && 'code' in error && codes.some((code) => code === error.code)

const listJars = async (directory: string): Promise<Record<string, number>> => {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.jar')).sort()
  const sizes = await Promise.all(
    names.map(async (name) => (await stat(join(directory, name))).size),
  )
  return Object.fromEntries(names.map((name, i) => [name, sizes[i]!]))
}

/** The jars in the folder if it is there and has all that was put into it. */
const readWhole = async (directory: string): Promise<Jars | undefined> => {
  try {
    const inventory = await readFile(join(directory, INVENTORY), 'utf8')
    const found = await listJars(directory)
    return inventory === JSON.stringify(found)
      ? { directory, names: Object.keys(found) }
      : undefined
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  }
}

const writeInventory = async (directory: string, release: string): Promise<void> => {
  const found = await listJars(directory)
  const main = `cassandra-all-${release}.jar`
  const empty = Object.keys(found).filter((name) => found[name] === 0)
  if (!(main in found) || empty.length > 0) {
    const wrong = empty.length > 0 ? `${empty.join(', ')} empty` : `no ${main}`
    throw new ClusterError(
      'JARS_INCOMPLETE',
      `Cannot use the jars of Cassandra ${release} that were fetched: ${wrong}. Start again.`,
    )
  }
  await writeFile(join(directory, INVENTORY), JSON.stringify(found))
}

/** `host pid token`: who fetches, and a token that tells two locks of one process apart. */
const lockText = (): string => `${hostname()} ${process.pid} ${randomUUID()}`

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return !isErrno(error, 'ESRCH')
  }
}

/** Its owner renews a lock's time stamp, and on this host we can also see that the owner is gone. */
const isAbandoned = (text: string, mtimeMs: number): boolean => {
  if (Date.now() - mtimeMs > LOCK_STALE_MS) return true
  const [host, pid] = text.split(' ')
  return host === hostname() && !isAlive(Number(pid))
}

/** Moves an abandoned lock away; if it is another one by now, it is put back. */
const breakLock = async (path: string, text: string): Promise<void> => {
  const aside = `${path}.${randomUUID()}`
  await rename(path, aside)
  try {
    if ((await readFile(aside, 'utf8')) !== text) await link(aside, path)
  } finally {
    await rm(aside)
  }
}

const tryLock = async (path: string, text: string): Promise<boolean> => {
  try {
    await writeFile(path, text, { flag: 'wx' })
    return true
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error
  }
  try {
    const [present, { mtimeMs }] = await Promise.all([readFile(path, 'utf8'), stat(path)])
    if (isAbandoned(present, mtimeMs)) await breakLock(path, present)
  } catch (error) {
    // Somebody else was faster.
    if (!isErrno(error, 'ENOENT', 'EEXIST')) throw error
  }
  return false
}

const withLock = async <T>(options: JarCacheOptions, work: () => Promise<T>): Promise<T> => {
  const path = join(options.root, `${options.release}.lock`)
  const text = lockText()
  let toldToWait = false
  while (!(await tryLock(path, text))) {
    if (!toldToWait) options.onWait()
    toldToWait = true
    await delay(LOCK_POLL_MS, undefined, { signal: options.signal })
  }
  const renewal = setInterval(() => {
    const now = new Date()
    // A lock that somebody removed is no reason to fail: folders are renamed into place anyway.
    utimes(path, now, now).catch(() => undefined)
  }, LOCK_RENEWAL_MS)
  try {
    return await work()
  } finally {
    clearInterval(renewal)
    if ((await readFile(path, 'utf8').catch(() => '')) === text) await rm(path, { force: true })
  }
}

/** What a run that was killed left behind; whoever holds the lock is the only one fetching. */
const removeLeftovers = async ({ root, release }: JarCacheOptions): Promise<void> => {
  const names = await readdir(root)
  const leftovers = names.filter((name) => name.startsWith(`${release}${PARTIAL}`))
  await Promise.all(leftovers.map((name) => rm(join(root, name), { recursive: true, force: true })))
}

const fetchInto = async (final: string, options: JarCacheOptions): Promise<Jars> => {
  const { root, release, fetch } = options
  const partial = await mkdtemp(join(root, `${release}${PARTIAL}`))
  try {
    await fetch(partial)
    options.signal.throwIfAborted()
    await writeInventory(partial, release)
    await rm(final, { recursive: true, force: true })
    await rename(partial, final)
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
  const whole = await readWhole(final)
  if (whole !== undefined) return whole
  throw new ClusterError(
    'JARS_INCOMPLETE',
    `Cannot read the jars in ${final} back: somebody changed that folder. Start again.`,
  )
}

/** The release's jars, fetched if they are not there yet. */
export const cachedJars = async (options: JarCacheOptions): Promise<Jars> => {
  const final = join(options.root, options.release)
  const whole = await readWhole(final)
  if (whole !== undefined) return whole
  await mkdir(options.root, { recursive: true })
  return await withLock(options, async () => {
    await removeLeftovers(options)
    return (await readWhole(final)) ?? (await fetchInto(final, options))
  })
}
