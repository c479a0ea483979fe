/** The bill of materials is what `npm ci --omit=dev` installs, package-lock.json being the truth. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Lock, type Sbom, sbomOf } from '../../deploy/sbom.ts'

const ROOT = join(import.meta.dirname, '../..')
const LOCK = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as Lock
const PACKAGE = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  readonly version: string
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}

const named = ({ components }: Sbom): string[] =>
  components.map(({ group, name, version }) =>
    group === undefined ? `${name}@${version}` : `${group}/${name}@${version}`,
  )

const SBOM = sbomOf(LOCK, () => true)

test('it lists the runtime dependencies of the lock file, each once', () => {
  const locked = Object.entries(LOCK.packages)
    .filter(([path, { dev }]) => path !== '' && dev !== true)
    .map(([path, { version }]) => `${path.split('node_modules/').at(-1)}@${version}`)
  expect(named(SBOM).sort()).toEqual([...new Set(locked)].sort())
  expect(SBOM.metadata.component).toMatchObject({ name: 'zdm-proxy', version: PACKAGE.version })
})

test('it has every dependency of package.json, and no development package that nothing else needs', () => {
  const names = named(SBOM)
  for (const [name, version] of Object.entries(PACKAGE.dependencies)) {
    expect(names).toContain(`${name}@${version}`)
  }
  expect(names.filter((name) => /^(?:vitest|typescript|@biomejs)/.test(name))).toEqual([])
})

test('everything in it is reached from the proxy itself', () => {
  const edges = new Map(SBOM.dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]))
  const reached = new Set<string>()
  const reach = (ref: string): void => {
    if (reached.has(ref)) return
    reached.add(ref)
    for (const next of edges.get(ref)!) reach(next)
  }
  reach(SBOM.metadata.component['bom-ref'])
  const refs = SBOM.components.map((component) => component['bom-ref'])
  expect(refs.filter((ref) => !reached.has(ref))).toEqual([])
})

test('every package has a digest and a license, and no address of a registry', () => {
  for (const component of SBOM.components) {
    expect(component.hashes?.[0], component.name).toMatchObject({ alg: 'SHA-512' })
    expect(component.hashes![0]!.content).toMatch(/^[0-9a-f]{128}$/)
    expect(component.licenses, component.name).toHaveLength(1)
  }
  expect(JSON.stringify(SBOM)).not.toMatch(/https?:|registry|localhost/i)
})

test('with --installed it lists what is there', () => {
  const output = execFileSync(process.execPath, ['deploy/sbom.ts', '--installed'], { cwd: ROOT })
  const installed = JSON.parse(String(output)) as Sbom
  expect(named(installed)).toEqual(named(sbomOf(LOCK, (path) => existsSync(join(ROOT, path)))))
  expect(installed.components.length).toBeLessThan(SBOM.components.length)
})
