import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { downloadedBytes, fetchWithMaven, isMavenThere, pomFor } from '../../clusters/maven.ts'
import { afterFile } from '../support/after-test.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const temporary = temporaryDirectory(afterFile)
const neverAborted = new AbortController().signal

afterEach(() => {
  vi.unstubAllEnvs()
})

/** Puts a shell script named mvn first on the path. It sees the output directory as $OUTPUT. */
const pretendMaven = async (name: string, script: string): Promise<void> => {
  const bin = join(temporary, `${name}-bin`)
  await mkdir(bin)
  const findOutput =
    'for a in "$@"; do case $a in -DoutputDirectory=*) OUTPUT=$(echo "$a" | cut -d= -f2);; esac; done'
  await writeFile(join(bin, 'mvn'), `#!/bin/sh\n${findOutput}\n${script}\n`)
  await chmod(join(bin, 'mvn'), 0o755)
  vi.stubEnv('PATH', `${bin}:${process.env['PATH']}`)
}

const newDirectory = async (name: string): Promise<string> => {
  const directory = join(temporary, name)
  await mkdir(directory)
  return directory
}

describe('how much Maven has downloaded', () => {
  test.each([
    { line: 'Downloaded from central: https://x/a.jar (1.2 MB at 3.4 MB/s)', bytes: 1.2e6 },
    { line: '[INFO] Downloaded from m: https://x/a.pom (14 kB at 1 kB/s)', bytes: 14_000 },
    { line: 'Downloaded from central: https://x/a.jar (812 B at 1 kB/s)', bytes: 812 },
    { line: 'Downloading from central: https://x/a.jar', bytes: 0 },
    { line: '[INFO] BUILD SUCCESS', bytes: 0 },
  ])('$line', ({ line, bytes }) => {
    expect(downloadedBytes(line)).toBeCloseTo(bytes)
  })
})

describe('fetching with Maven', () => {
  test('asks for the release, tells the total, and leaves nothing but jars', async () => {
    const script = `
      grep -q '<version>4.1.10</version>' pom.xml || exit 1
      echo 'Downloaded from c: u/a.jar (2 MB at 1 MB/s)'
      echo 'Downloaded from c: u/b.jar (500 kB at 1 MB/s)'
      touch "$OUTPUT/a.jar"`
    await pretendMaven('good', script)
    const directory = await newDirectory('good')
    const totals: number[] = []
    await fetchWithMaven('4.1.10', directory, neverAborted, (total) => totals.push(total))
    expect(totals).toEqual([2e6, 2.5e6])
    expect(await readdir(directory)).toEqual(['a.jar'])
  })

  test.each([
    {
      what: 'its errors',
      script: 'echo "[ERROR] Unknown host x"; echo "[INFO] bye"',
      shown: /said:\n\[ERROR\] Unknown host x$/,
    },
    { what: 'its last words', script: 'echo one; echo two', shown: /said:\none\ntwo$/ },
  ])('a failure shows $what', async ({ what, script, shown }) => {
    await pretendMaven(what, `${script}; exit 1`)
    const directory = await newDirectory(what)
    await expect(
      fetchWithMaven('4.1.10', directory, neverAborted, () => undefined),
    ).rejects.toMatchObject({
      code: 'MAVEN_FAILED',
      message: expect.stringMatching(shown),
    })
  })

  test('an abort ends Maven', async () => {
    await pretendMaven('slow', 'echo "Downloaded from c: u/a.jar (2 MB at 1 MB/s)"; sleep 60')
    const directory = await newDirectory('slow')
    const aborter = new AbortController()
    const fetching = fetchWithMaven('4.1.10', directory, aborter.signal, () =>
      aborter.abort(new Error('Ctrl-C')),
    )
    await expect(fetching).rejects.toThrow('Ctrl-C')
  })

  test('Maven is not there unless it runs', async () => {
    await pretendMaven('broken', 'exit 1')
    expect(await isMavenThere()).toBe(false)
    await pretendMaven('working', 'exit 0')
    expect(await isMavenThere()).toBe(true)
  })
})

test('the project file is of the release that is asked for', () => {
  expect(pomFor('5.0.6')).toMatch(/<artifactId>cassandra-all<\/artifactId>\s*<version>5\.0\.6</)
})
