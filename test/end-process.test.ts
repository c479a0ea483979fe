import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'

const END = new URL('../src/end-process.ts', import.meta.url).href

test.each([
  ['with nothing under way', ''],
  [
    'with a look-up under way, which would hold up process.exit()',
    'import("node:dns").then(({ lookup }) => lookup("zdm.invalid", () => {})); await null; await import("node:dns");',
  ],
])('the status is the one that was given, %s', (_when, before) => {
  const script = `const { endProcess } = await import(${JSON.stringify(END)}); ${before} process.stdout.write(String(process.getActiveResourcesInfo().includes('GetAddrInfoReqWrap'))); endProcess(3)`
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', script],
    { encoding: 'utf8' },
  )
  expect(stderr).toBe('')
  expect(stdout).toBe(String(before !== ''))
  expect(status).toBe(3)
})
