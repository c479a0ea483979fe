import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { cachedJars, cacheRoot, type FetchJars, type Jars } from '../../clusters/jar-cache.ts'
import { afterFile } from '../support/after-test.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const RELEASE = '4.1.10'
const MAIN = `cassandra-all-${RELEASE}.jar`
const temporary = temporaryDirectory(afterFile)
const neverAborted = new AbortController().signal

let caches = 0
const newRoot = (): string => {
  caches += 1
  return join(temporary, `cache-${caches}`)
}

const putJars: FetchJars = async (directory) => {
  await writeFile(join(directory, MAIN), 'main')
  await writeFile(join(directory, 'jamm-0.3.2.jar'), 'agent')
}

const mustNotFetch: FetchJars = () => Promise.reject(new Error('fetched'))

interface Call {
  readonly root: string
  readonly fetch?: FetchJars
  readonly signal?: AbortSignal
  readonly onWait?: () => void
}

const get = ({ root, fetch, signal, onWait }: Call): Promise<Jars> =>
  cachedJars({
    root,
    release: RELEASE,
    fetch: fetch ?? putJars,
    onWait: onWait ?? (() => undefined),
    signal: signal ?? neverAborted,
  })

const writeLock = async (root: string, text: string): Promise<string> => {
  await mkdir(root, { recursive: true })
  const path = join(root, `${RELEASE}.lock`)
  await writeFile(path, text)
  return path
}

const pidThatEnded = async (): Promise<number> => {
  const child = spawn('true')
  await once(child, 'exit')
  return child.pid ?? 0
}

describe('the jar cache', () => {
  test('fetches once, and finds the jars the next time', async () => {
    const root = newRoot()
    const first = await get({ root })
    expect(first.names).toEqual([MAIN, 'jamm-0.3.2.jar'])
    expect(first.directory).toBe(join(root, RELEASE))
    expect(await get({ root, fetch: mustNotFetch })).toEqual(first)
    expect(await readdir(root)).toEqual([RELEASE])
  })

  test.each([
    { what: 'a jar is missing', spoil: (at: string) => rm(join(at, MAIN)) },
    { what: 'a jar was cut off', spoil: (at: string) => writeFile(join(at, MAIN), 'm') },
    { what: 'the inventory is missing', spoil: (at: string) => rm(join(at, 'jars.json')) },
  ])('fetches again if $what', async ({ spoil }) => {
    const root = newRoot()
    const { directory } = await get({ root })
    await spoil(directory)
    const again = await get({ root })
    expect(again.names).toContain(MAIN)
    expect(await readFile(join(again.directory, MAIN), 'utf8')).toBe('main')
  })

  test('uses nothing of a fetch that failed half-way, and leaves nothing of it', async () => {
    const root = newRoot()
    const failing: FetchJars = async (directory) => {
      await putJars(directory)
      throw new Error('the network went away')
    }
    await expect(get({ root, fetch: failing })).rejects.toThrow('the network went away')
    expect(await readdir(root)).toEqual([])
  })

  test.each([
    { what: 'no Cassandra', files: { 'jamm-0.3.2.jar': 'agent' }, wrong: `no ${MAIN}` },
    { what: 'an empty jar', files: { [MAIN]: 'main', 'b.jar': '' }, wrong: 'b.jar empty' },
  ])('refuses a fetch that brought $what', async ({ files, wrong }) => {
    const root = newRoot()
    const fetch: FetchJars = async (directory) => {
      for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text)
    }
    const fetched = get({ root, fetch })
    await expect(fetched).rejects.toMatchObject({ code: 'JARS_INCOMPLETE' })
    await expect(fetched).rejects.toThrow(wrong)
    expect(await readdir(root)).toEqual([])
  })

  test('an abort during the fetch leaves nothing, whatever was there already', async () => {
    const root = newRoot()
    const aborter = new AbortController()
    const fetch: FetchJars = async (directory) => {
      await putJars(directory)
      aborter.abort(new Error('Ctrl-C'))
    }
    await expect(get({ root, fetch, signal: aborter.signal })).rejects.toThrow('Ctrl-C')
    expect(await readdir(root)).toEqual([])
  })

  test('what a killed run left is not used, and goes', async () => {
    const root = newRoot()
    const leftover = join(root, `${RELEASE}.partial-abc123`)
    await mkdir(leftover, { recursive: true })
    await writeFile(join(leftover, MAIN), 'half')
    const jars = await get({ root })
    expect(await readFile(join(jars.directory, MAIN), 'utf8')).toBe('main')
    expect(await readdir(root)).toEqual([RELEASE])
  })
})

describe('two runs at once', () => {
  test('fetch once; the second waits and gets the same jars', async () => {
    const root = newRoot()
    const inFetch = Promise.withResolvers<void>()
    const mayEnd = Promise.withResolvers<void>()
    const slow: FetchJars = async (directory) => {
      inFetch.resolve()
      await mayEnd.promise
      await putJars(directory)
    }
    const first = get({ root, fetch: slow })
    await inFetch.promise
    const second = get({ root, fetch: mustNotFetch, onWait: mayEnd.resolve })
    expect(await second).toEqual(await first)
    expect(await readdir(root)).toEqual([RELEASE])
  })

  test('the second fetches itself if the first fails', async () => {
    const root = newRoot()
    const inFetch = Promise.withResolvers<void>()
    const mayEnd = Promise.withResolvers<void>()
    const failing: FetchJars = async () => {
      inFetch.resolve()
      await mayEnd.promise
      throw new Error('the network went away')
    }
    const first = get({ root, fetch: failing })
    const firstFails = expect(first).rejects.toThrow('the network went away')
    await inFetch.promise
    const second = get({ root, onWait: mayEnd.resolve })
    await firstFails
    expect((await second).names).toContain(MAIN)
  })

  test('an abort ends the wait, and leaves the other run its lock', async () => {
    const root = newRoot()
    const path = await writeLock(root, `${hostname()} ${process.pid} other`)
    const aborter = new AbortController()
    const waiting = get({ root, signal: aborter.signal, onWait: () => aborter.abort() })
    await expect(waiting).rejects.toThrow()
    expect(await readFile(path, 'utf8')).toBe(`${hostname()} ${process.pid} other`)
  })

  test('a lock whose owner is gone is broken at once', async () => {
    const root = newRoot()
    await writeLock(root, `${hostname()} ${await pidThatEnded()} other`)
    expect((await get({ root })).names).toContain(MAIN)
    expect(await readdir(root)).toEqual([RELEASE])
  })

  test('a lock that nobody renewed for long is broken, even of another host', async () => {
    const root = newRoot()
    const path = await writeLock(root, `another-host ${process.pid} other`)
    const longAgo = new Date((await stat(path)).mtimeMs - 60_000)
    await utimes(path, longAgo, longAgo)
    expect((await get({ root })).names).toContain(MAIN)
  })
})

describe('where the cache is', () => {
  test.each([
    { environment: { ZDM_CASSANDRA_CACHE: '/a/b', XDG_CACHE_HOME: '/x' }, root: '/a/b' },
    { environment: { XDG_CACHE_HOME: '/x' }, root: '/x/zdm-proxy/cassandra' },
    {
      environment: { ZDM_CASSANDRA_CACHE: '', XDG_CACHE_HOME: '/x' },
      root: '/x/zdm-proxy/cassandra',
    },
  ])('$environment → $root', ({ environment, root }) => {
    expect(cacheRoot(environment)).toBe(root)
  })

  test('without either it is in the home directory', () => {
    expect(cacheRoot({})).toMatch(/\/\.cache\/zdm-proxy\/cassandra$/)
  })
})
