/** A node as a process. In Java's place stands a script; what answers for it is a fake cluster. */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { ClusterError } from '../../clusters/cluster.ts'
import { JvmNode } from '../../clusters/jvm-node.ts'
import { afterTest } from '../support/after-test.ts'
import { startCluster } from '../support/instance.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

type Started = {
  readonly node: JvmNode
  /** Of the script. */
  readonly pid: number
  readonly lost: Promise<ClusterError>
  readonly reports: readonly ClusterError[]
}

const start = async (): Promise<Started> => {
  const fake = await startCluster({ name: 'origin' })
  const clusterDirectory = temporaryDirectory()
  const directory = join(clusterDirectory, 'node')
  await mkdir(directory)
  const program = join(clusterDirectory, 'java')
  const pidPath = join(directory, 'pid')
  await writeFile(program, `#!/bin/sh\necho $$ > ${pidPath}\necho out of heap\nexec sleep 1000\n`)
  await chmod(program, 0o755)
  const address = fake.contactPoints[0]!
  const reports: ClusterError[] = []
  const { promise: lost, resolve } = Promise.withResolvers<ClusterError>()
  const node = new JvmNode({
    spec: { name: 'origin', version: '5.0' },
    java: { program, majorVersion: 17 },
    jars: { directory: clusterDirectory, names: [] },
    directory,
    clusterDirectory,
    address,
    seed: address,
    nativePort: fake.port,
    storagePort: 0,
    onLost: (error) => {
      reports.push(error)
      resolve(error)
    },
  })
  afterTest(() => node.kill())
  await node.start()
  const readPid = async (): Promise<string> => readFile(pidPath, 'utf8').catch(() => '')
  await expect.poll(readPid).toMatch(/^\d+\n$/)
  return { node, pid: Number(await readPid()), lost, reports }
}

test('a node that ends by itself is told, with how and the end of its log', async () => {
  const { pid, lost, node } = await start()
  process.kill(pid, 'SIGKILL')
  const { code, message } = await lost
  expect(code).toBe('NODE_LOST')
  expect(message).toBe(
    `Cassandra 5.0 (origin, ${node.address}) ended, and nobody had asked for it (signal SIGKILL). ` +
      'The end of its log:\nout of heap',
  )
})

test.each(['stop', 'kill'] as const)('a node that is ended by %s is not told', async (how) => {
  const { node, reports } = await start()
  await node[how]()
  await node.start()
  await node[how]()
  expect(reports).toEqual([])
})
