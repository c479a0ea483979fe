/**
 * Writes the software bill of materials of what runs, CycloneDX 1.5, to standard output: `npm run sbom`. It is made
 * from package-lock.json, which is what `npm ci` installs: `npm sbom --omit dev` (npm 11) leaves out whatever a
 * development package needs too. With `--installed` packages that are not there are left out: those of other platforms.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { argv, cwd, stdout } from 'node:process'

type LockedPackage = {
  readonly name?: string
  readonly version: string
  readonly integrity?: string
  readonly license?: string
  readonly dev?: boolean
  readonly optional?: boolean
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

export type Lock = { readonly packages: Readonly<Record<string, LockedPackage>> }

type Component = {
  readonly type: 'application' | 'library'
  readonly 'bom-ref': string
  readonly group?: string
  readonly name: string
  readonly version: string
  readonly scope?: 'required' | 'optional'
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[]
  readonly licenses?: readonly object[]
  readonly purl: string
}

export type Sbom = {
  readonly bomFormat: 'CycloneDX'
  readonly specVersion: '1.5'
  readonly version: 1
  readonly metadata: { readonly component: Component }
  readonly components: readonly Component[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[]
}

const FOLDER = 'node_modules/'

/** `node_modules/a/node_modules/@b/c` → `@b/c`. */
const nameAt = (path: string): string => path.slice(path.lastIndexOf(FOLDER) + FOLDER.length)

/** As npm writes a package URL: the `@` of a scope is escaped. */
const purlOf = (name: string, version: string): string =>
  `pkg:npm/${name.replace('@', '%40')}@${version}`

/** Subresource integrity as CycloneDX has it: the algorithm's name in capitals, hexadecimal. */
const hashOf = (integrity: string): { alg: string; content: string } => {
  const [algorithm = '', digest = ''] = integrity.split('-')
  const alg = algorithm.toUpperCase().replace('SHA', 'SHA-')
  return { alg, content: Buffer.from(digest, 'base64').toString('hex') }
}

/** One identifier, or an expression of several. */
const licenseOf = (license: string): object =>
  /[ ()]/.test(license) ? { expression: license } : { license: { id: license } }

const componentOf = (name: string, locked: LockedPackage): Component => {
  const [group, short] = name.includes('/') ? name.split('/') : [undefined, name]
  return {
    type: 'library',
    'bom-ref': purlOf(name, locked.version),
    ...(group !== undefined && { group }),
    name: short!,
    version: locked.version,
    scope: locked.optional === true ? 'optional' : 'required',
    ...(locked.integrity !== undefined && { hashes: [hashOf(locked.integrity)] }),
    ...(locked.license !== undefined && { licenses: [licenseOf(locked.license)] }),
    purl: purlOf(name, locked.version),
  }
}

/** Where the package at `from` finds `name`: in its own folder, or in one above. */
const resolve = (paths: ReadonlySet<string>, from: string, name: string): string | null => {
  for (let at = from; ; at = at.slice(0, Math.max(at.lastIndexOf(`/${FOLDER}`), 0))) {
    const path = `${at === '' ? '' : `${at}/`}${FOLDER}${name}`
    if (paths.has(path)) return path
    if (at === '') return null
  }
}

/** All packages that the lock file has for what runs, or those of them that `isThere` knows, in its order. */
export const sbomOf = ({ packages }: Lock, isThere: (path: string) => boolean): Sbom => {
  const { '': root, ...all } = packages
  const runtime = Object.entries(all).filter(([path, { dev }]) => dev !== true && isThere(path))
  const paths = new Set(runtime.map(([path]) => path))
  const refOf = (path: string): string => purlOf(nameAt(path), all[path]!.version)
  const ownRef = purlOf(root!.name!, root!.version)
  const dependsOn = (from: string, of: LockedPackage): string[] =>
    Object.keys({ ...of.dependencies, ...of.optionalDependencies })
      .map((name) => resolve(paths, from, name))
      .flatMap((path) => (path === null ? [] : refOf(path)))
      .sort()
  const byRef = new Map(runtime.map(([path, locked]) => [refOf(path), { path, locked }]))
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      component: {
        type: 'application',
        'bom-ref': ownRef,
        name: root!.name!,
        version: root!.version,
        licenses: [licenseOf(root!.license!)],
        purl: ownRef,
      },
    },
    components: [...byRef.values()].map(({ path, locked }) => componentOf(nameAt(path), locked)),
    dependencies: [
      { ref: ownRef, dependsOn: dependsOn('', root!) },
      ...[...byRef].map(([ref, { path, locked }]) => ({ ref, dependsOn: dependsOn(path, locked) })),
    ],
  }
}

if (import.meta.main) {
  const isInstalled = (path: string): boolean => existsSync(join(cwd(), path))
  const lock = JSON.parse(readFileSync(join(cwd(), 'package-lock.json'), 'utf8')) as Lock
  const sbom = sbomOf(lock, argv.includes('--installed') ? isInstalled : () => true)
  stdout.write(`${JSON.stringify(sbom, null, 2)}\n`)
}
