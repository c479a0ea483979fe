/**
 * The suite's programs in four languages (test/drivers), made ready to run: their drivers come from
 * the ordinary registries into a per-user cache, outside the work tree. A language whose toolchain is
 * not on this machine is told by name, and is an error where `ZDM_TEST_ALL_DRIVERS` is set.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { runCommand } from '../../clusters/command.ts'

export const LANGUAGES = ['python', 'java', 'go', 'node'] as const
export type Language = (typeof LANGUAGES)[number]

/** How a language's program is started; its one argument, the list of runs, is put behind `args`. */
export type DriverProgram = {
  readonly program: string
  readonly args: readonly string[]
  readonly environment: Readonly<Record<string, string>>
}

export type DriverPrograms = Readonly<
  Record<Language, DriverProgram | { readonly unavailable: string }>
>

const SOURCES = resolve(import.meta.dirname, '../drivers')
const LINES_SHOWN = 30

/** What is not there is no failure; anything else that goes wrong is one. */
class ToolchainMissing extends Error {}

export const driverCacheRoot = (environment: NodeJS.ProcessEnv = process.env): string => {
  const own = environment['ZDM_DRIVER_CACHE'] ?? ''
  if (own !== '') return resolve(own)
  const xdg = environment['XDG_CACHE_HOME'] ?? ''
  return join(xdg === '' ? join(homedir(), '.cache') : xdg, 'zdm-proxy', 'drivers')
}

const run = async (
  program: string,
  args: readonly string[],
  options: { readonly directory?: string } = {},
): Promise<readonly string[]> => {
  const result = await runCommand(program, args, options)
  if (result === undefined) throw new ToolchainMissing(`${program} is not installed`)
  if (result.exitCode === 0) return result.lines
  const said = result.lines.slice(-LINES_SHOWN).join('\n')
  throw new Error(`${program} ${args.join(' ')} failed with ${result.exitCode}:\n${said}`)
}

const require = async (program: string, args: readonly string[]): Promise<string> => {
  try {
    return (await run(program, args)).join('\n')
  } catch (error) {
    if (error instanceof ToolchainMissing) throw error
    throw new ToolchainMissing(`${program} does not work: ${String(error)}`)
  }
}

/**
 * The folder `<name>-<digest of key>` of the cache, filled by `fill` if it is not there. It is filled
 * beside its place and renamed, so a folder under its final name is whole; the first one there stays.
 */
const cached = async (
  name: string,
  key: string,
  fill: (directory: string) => Promise<unknown>,
): Promise<string> => {
  const digest = createHash('sha256').update(key).digest('hex').slice(0, 16)
  const final = join(driverCacheRoot(), `${name}-${digest}`)
  if (existsSync(final)) return final
  await mkdir(dirname(final), { recursive: true })
  const partial = await mkdtemp(`${final}.partial-`)
  try {
    await fill(partial)
    await rename(partial, final).catch((error: unknown) => {
      if (!existsSync(final)) throw error
    })
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
  return final
}

const makePython = async (): Promise<DriverProgram> => {
  const version = await require('python3', ['-m', 'pip', '--version'])
  const requirements = join(SOURCES, 'python', 'requirements.txt')
  const key = `${version}\n${await readFile(requirements, 'utf8')}`
  const directory = await cached('python', key, (target) =>
    run('python3', ['-m', 'pip', 'install', '--quiet', '--target', target, '-r', requirements]),
  )
  return {
    program: 'python3',
    args: [join(SOURCES, 'python', 'suite.py')],
    environment: { PYTHONPATH: directory, PYTHONDONTWRITEBYTECODE: '1' },
  }
}

const makeJava = async (): Promise<DriverProgram> => {
  const version = await require('javac', ['-version'])
  await require('mvn', ['--version'])
  const folder = join(SOURCES, 'java')
  const pom = join(folder, 'pom.xml')
  const source = join(folder, 'Suite.java')
  const libraries = await cached('java', await readFile(pom, 'utf8'), (target) =>
    run('mvn', [
      '--batch-mode',
      '--quiet',
      '--strict-checksums',
      '--file',
      pom,
      'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies',
      `-DoutputDirectory=${target}`,
      '-DincludeScope=runtime',
    ]),
  )
  const key = `${version}\n${libraries}\n${await readFile(source, 'utf8')}`
  const classes = await cached('java-suite', key, (target) =>
    run('javac', ['-d', target, '-cp', join(libraries, '*'), source]),
  )
  const classPath = `${classes}:${join(libraries, '*')}`
  const heap = ['-Xmx512M', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']
  return { program: 'java', args: [...heap, '-cp', classPath, 'Suite'], environment: {} }
}

const makeGo = async (): Promise<DriverProgram> => {
  const version = await require('go', ['version'])
  const folder = join(SOURCES, 'go')
  const names = (await readdir(folder)).sort()
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
  const directory = await cached('go', [version, ...texts].join('\n'), (target) =>
    run('go', ['build', '-mod=readonly', '-o', join(target, 'suite'), '.'], { directory: folder }),
  )
  return { program: join(directory, 'suite'), args: [], environment: {} }
}

/** Its driver is a development dependency of this package. */
const makeNode = (): Promise<DriverProgram> =>
  Promise.resolve({
    program: process.execPath,
    args: [join(SOURCES, 'node', 'suite.ts')],
    environment: {},
  })

const MAKERS: Readonly<Record<Language, () => Promise<DriverProgram>>> = {
  python: makePython,
  java: makeJava,
  go: makeGo,
  node: makeNode,
}

/** Makes all programs at once; rejects where one cannot be had for another reason than a toolchain. */
export const makeDriverPrograms = async (
  requiresAll = (process.env['ZDM_TEST_ALL_DRIVERS'] ?? '') !== '',
): Promise<DriverPrograms> => {
  const made = await Promise.all(
    LANGUAGES.map(async (language) => {
      try {
        return [language, await MAKERS[language]()] as const
      } catch (error) {
        if (!(error instanceof ToolchainMissing) || requiresAll) throw error
        return [language, { unavailable: error.message }] as const
      }
    }),
  )
  return Object.fromEntries(made) as DriverPrograms
}
