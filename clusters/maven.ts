/**
 * Fetches Cassandra and all it needs with Maven, by way of a small generated project file. Maven's
 * own repository is a temporary one: an interrupted Maven leaves half-written files in it, and two
 * at once must not share one.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ClusterError } from './cluster.ts'
import { runCommand } from './command.ts'

const MAVEN = 'mvn'
/** By its full name: what the short one means depends on Maven's version. */
const GOAL = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'
const LINES_SHOWN = 10

export const pomFor = (release: string): string => `<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>zdm-proxy</groupId>
  <artifactId>cassandra-jars</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.cassandra</groupId>
      <artifactId>cassandra-all</artifactId>
      <version>${release}</version>
    </dependency>
  </dependencies>
</project>
`

const BYTES: Readonly<Record<string, number>> = { B: 1, kB: 1e3, MB: 1e6 }

/** The size in a line such as `Downloaded from central: https://…/x.jar (1.2 MB at 3.4 MB/s)`. */
export const downloadedBytes = (line: string): number => {
  const match = /Downloaded from .*\(([\d.]+) (B|kB|MB)/.exec(line)
  if (match === null) return 0
  return Number(match[1]) * (BYTES[match[2] ?? ''] ?? 0)
}

export const isMavenThere = async (): Promise<boolean> =>
  (await runCommand(MAVEN, ['--version']))?.exitCode === 0

/** Its first errors, which have the cause; without any, its last words. */
const summarize = (lines: readonly string[]): string => {
  const errors = lines.filter((line) => /^\[ERROR\] \S/.test(line))
  const shown = errors.length > 0 ? errors.slice(0, LINES_SHOWN) : lines.slice(-LINES_SHOWN)
  return shown.join('\n')
}

/**
 * Resolves when all jars lie in `directory`, which goes if we die meanwhile. `onBytes` is told the
 * total fetched so far.
 */
export const fetchWithMaven = async (
  release: string,
  directory: string,
  signal: AbortSignal,
  onBytes: (total: number) => void,
): Promise<void> => {
  const scratch = join(directory, 'maven')
  await mkdir(scratch)
  await writeFile(join(scratch, 'pom.xml'), pomFor(release))
  let total = 0
  const onLine = (line: string) => {
    const bytes = downloadedBytes(line)
    total += bytes
    if (bytes > 0) onBytes(total)
  }
  const args = [
    '--batch-mode',
    '--strict-checksums',
    `-Dmaven.repo.local=${join(scratch, 'repository')}`,
    GOAL,
    `-DoutputDirectory=${directory}`,
    '-DincludeScope=runtime',
  ]
  const options = { directory: scratch, remains: directory, signal, onLine }
  const result = await runCommand(MAVEN, args, options)
  if (result?.exitCode !== 0) {
    const said = result === undefined ? 'mvn is not installed' : summarize(result.lines)
    throw new ClusterError(
      'MAVEN_FAILED',
      `Cannot fetch Cassandra ${release} with Maven; can this machine reach a Maven repository? Maven said:\n${said}`,
    )
  }
  await rm(scratch, { recursive: true })
}
