import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import type { Report } from '../../bench/report.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const run = promisify(execFile)
const TIMEOUT_MS = 60_000

const bench = (...argv: string[]) => run(process.execPath, ['bench/main.ts', ...argv])

const SHORT =
  '--connections 2 --in-flight 4 --seconds 0.1 --warm-up 0.05 --rounds 2 --no-pin'.split(' ')

it(
  'the bench measures all variants, checks what they did, and prints what it found',
  async () => {
    const jsonFile = join(temporaryDirectory(), 'report.json')
    // The same proxy once more, as a stranger would be started.
    const peer = `exec "${process.execPath}" src/main.ts`
    const { stdout } = await bench(
      ...SHORT,
      '--peer',
      peer,
      '--peer-name',
      'again',
      '--json',
      jsonFile,
    )

    const names = ['direct', 'forwarder', 'proxy', 'again']
    expect(
      stdout
        .split('\n')
        .slice(5, 9)
        .map((line) => line.split(' ')[0]),
    ).toEqual(names)
    const report = JSON.parse(await readFile(jsonFile, 'utf8')) as Report
    expect(report.variants.map(({ name }) => name)).toEqual(names)
    for (const { name, rounds } of report.variants) {
      expect(rounds, name).toHaveLength(2)
      for (const round of rounds) {
        expect(round.requestsPerSecond, name).toBeGreaterThan(0)
        expect(round.cpuUsPerRequest === null, name).toBe(name === 'direct')
        expect(round.rssMib === null, name).toBe(name === 'direct')
      }
    }
  },
  TIMEOUT_MS,
)

it(
  'the bench fails when a variant dies, and shows its last words',
  async () => {
    const peer = 'echo cannot go on; exit 3'
    const argv = [...SHORT, '--without', 'proxy', '--peer', peer]
    await expect(bench(...argv)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/bench failed: peer has ended \(3\).*cannot go on/s),
    })
  },
  TIMEOUT_MS,
)

it('the bench tells with a code of its own that the command line is wrong', async () => {
  await expect(bench('--rounds', 'many')).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--rounds many: expected a whole number'),
  })
})
