/** The table of folders in docs/ARCHITECTURE.md is the truth about who imports whom. */
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
const SOURCES = join(ROOT, 'src')
/** In the table: the files of `src/` itself. */
const SHARED = '*.ts'
const PROGRAMS = ['main.ts', 'health-check.ts']

type Row = {
  readonly folder: string
  readonly mayUse: readonly string[]
  /** It may use all that stands above it, and need not. */
  readonly isWhole: boolean
}

/** In the table's order. */
const rows: Row[] = []
for (const line of readFileSync(join(ROOT, 'docs/ARCHITECTURE.md'), 'utf8').split('\n')) {
  const cells = /^\| `src\/([^`]+?)\/?` \|.*\| ([^|]+) \|$/.exec(line)
  if (cells === null) continue
  const [, folder, given] = cells
  const named = [...given!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!)
  const isWhole = given === 'all above'
  const above = rows.map((row) => row.folder)
  rows.push({ folder: folder!, mayUse: isWhole ? above : named, isWhole })
}

const folderOf = (path: string): string => {
  const [first, ...rest] = relative(SOURCES, path).split('/')
  if (rest.length > 0) return first!
  return PROGRAMS.includes(first!) ? first! : SHARED
}

/** Who imports from whom, apart from what everybody may: the shared files. */
const imports = new Map<string, Set<string>>()
for (const name of globSync('**/*.ts', { cwd: SOURCES })) {
  const path = join(SOURCES, name)
  const from = folderOf(path)
  const used = imports.getOrInsertComputed(from, () => new Set())
  for (const [, given] of readFileSync(path, 'utf8').matchAll(/from '(\.[^']+)'/g)) {
    const to = folderOf(join(dirname(path), given!))
    if (to !== from && to !== SHARED) used.add(to)
  }
}

test('every folder has a row', () => {
  expect(rows.map(({ folder }) => folder).sort()).toEqual([...imports.keys()].sort())
})

test('a row names folders above it alone', () => {
  const upward = rows.flatMap(({ folder, mayUse }, at) =>
    mayUse
      .filter((used) => rows.findIndex((row) => row.folder === used) >= at)
      .map((used) => `${folder} → ${used}`),
  )
  expect(upward).toEqual([])
})

test.each(rows)(
  '$folder uses what its row names, and nothing else',
  ({ folder, mayUse, isWhole }) => {
    const used = [...imports.get(folder)!].sort()
    if (isWhole) expect(mayUse).toEqual(expect.arrayContaining(used))
    else expect(used).toEqual([...mayUse].sort())
  },
)
