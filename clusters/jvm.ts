/**
 * Clusters of Cassandra's own jars on this machine's Java: jars from the cache, an address per node,
 * everything else in a temporary directory that goes with the cluster.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  ClusterError,
  type ClusterSpec,
  DATACENTER,
  RELEASES,
  type RunningCluster,
  type StartOptions,
} from './cluster.ts'
import { cachedJars, cacheRoot, type Jars } from './jar-cache.ts'
import { findJava, INSTALL_JAVA, type Java } from './java.ts'
import { JvmNode } from './jvm-node.ts'
import { type LoopbackPlace, takeLoopbackPlace } from './loopback.ts'
import { fetchWithMaven, isMavenThere } from './maven.ts'
import { acceptsDefaultRole, waitUntil } from './readiness.ts'

const AUTHENTICATION_TIMEOUT_MS = 60_000

const requireJava = async (): Promise<Java> => {
  const java = await findJava()
  if (java !== undefined) return java
  throw new ClusterError(
    'JAVA_MISSING',
    `Cannot start Cassandra: no Docker engine answers and no Java is installed. ${INSTALL_JAVA}`,
  )
}

const requireMaven = async (): Promise<void> => {
  if (await isMavenThere()) return
  throw new ClusterError(
    'MAVEN_MISSING',
    `Cannot fetch Cassandra: no Docker engine answers and no Maven is installed. ${INSTALL_JAVA}`,
  )
}

type Tell = (text: string) => void

const getJars = (spec: ClusterSpec, signal: AbortSignal, tell: Tell): Promise<Jars> => {
  const release = RELEASES[spec.version]
  return cachedJars({
    root: cacheRoot(),
    release,
    signal,
    onWait: () => tell('waiting for another run that fetches the same jars'),
    fetch: async (directory) => {
      await requireMaven()
      tell('fetching jars')
      await fetchWithMaven(release, directory, signal, (total) =>
        tell(`fetching jars: ${Math.floor(total / 1e6)} MB`),
      )
    },
  })
}

const createNodes = async (
  spec: ClusterSpec,
  java: Java,
  jars: Jars,
  place: LoopbackPlace,
  directory: string,
  onLost: StartOptions['onNodeLost'],
): Promise<JvmNode[]> => {
  const { addresses, nativePort, storagePort } = place
  const nodes: JvmNode[] = []
  for (const address of addresses) {
    const own = join(directory, address)
    await mkdir(own)
    const seed = addresses[0] ?? address
    const at = { directory: own, clusterDirectory: directory, address, seed }
    nodes.push(new JvmNode({ spec, java, jars, ...at, nativePort, storagePort, onLost }))
  }
  return nodes
}

const boot = async (
  spec: ClusterSpec,
  nodes: readonly JvmNode[],
  signal: AbortSignal,
  tell: Tell,
): Promise<void> => {
  // One after the other: the first is the seed, and two at once choose tokens without knowing each other.
  for (const [i, node] of nodes.entries()) {
    const which = nodes.length > 1 ? ` node ${i + 1} of ${nodes.length}` : ''
    tell(`starting${which}`)
    await node.start(signal)
  }
  const first = nodes[0]
  if (spec.authentication !== true || first === undefined) return
  tell('waiting for the default role')
  const tooLong = AbortSignal.timeout(AUTHENTICATION_TIMEOUT_MS)
  await waitUntil(
    () => acceptsDefaultRole(first, spec.clientTls),
    AbortSignal.any([signal, tooLong]),
  )
}

export const startOnJvm = async (
  spec: ClusterSpec,
  options: StartOptions = {},
): Promise<RunningCluster> => {
  const signal = options.signal ?? new AbortController().signal
  const tell: Tell = (text) =>
    options.onProgress?.(`${spec.name} ${spec.version}: ${text}`, spec.name)
  signal.throwIfAborted()
  const java = await requireJava()
  const jars = await getJars(spec, signal, tell)
  const place = await takeLoopbackPlace(spec.nodes ?? 1)
  const directory = await mkdtemp(join(tmpdir(), `zdm-cassandra-${spec.name}-`))
  const nodes: JvmNode[] = []
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.kill()))
    await rm(directory, { recursive: true, force: true })
    await place.release()
  }
  try {
    nodes.push(...(await createNodes(spec, java, jars, place, directory, options.onNodeLost)))
    await boot(spec, nodes, signal, tell)
  } catch (error) {
    await stop()
    throw error
  }
  tell('ready')
  const contactPoints = nodes.map(({ address, port }) => ({ address, port }))
  const { name, version } = spec
  return { name, version, contactPoints, localDatacenter: DATACENTER, nodes, stop }
}
