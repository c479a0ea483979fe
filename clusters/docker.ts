/**
 * Clusters in containers, where a Docker engine answers on this machine: the official images with
 * our cassandra.yaml, each node published on a loopback address that it also tells its clients.
 * Testcontainers removes the containers even if we end without a word.
 */
import { setTimeout as delay } from 'node:timers/promises'
import {
  type ContainerRuntimeClient,
  GenericContainer,
  getContainerRuntimeClient,
  ImageName,
  type StartedTestContainer,
  Wait,
} from 'testcontainers'
import { unlessAborted } from '../src/unless-aborted.ts'
import { cassandraYaml } from './cassandra-yaml.ts'
import {
  ClusterError,
  type ClusterSpec,
  DATACENTER,
  type RunningCluster,
  type RunningNode,
  type StartOptions,
} from './cluster.ts'
import { FAST_START } from './java.ts'
import { takeLoopbackPlace } from './loopback.ts'
import { acceptsDefaultRole, answersOptions, waitUntil } from './readiness.ts'

const PROBE_TIMEOUT_MS = 5000
const BOOT_TIMEOUT_MS = 180_000
const STOP_TIMEOUT_S = 20
const LOG_TAIL_LINES = 30

/** Ports are published on loopback addresses, so an engine on another host is of no use. */
const LOCAL_HOSTS: readonly string[] = ['localhost', '127.0.0.1', '::1']

export const dockerAnswers = async (): Promise<boolean> => {
  const ask = async () => {
    const client = await getContainerRuntimeClient()
    return LOCAL_HOSTS.includes(client.info.containerRuntime.host)
  }
  const probe = ask().catch(() => false)
  return await Promise.race([probe, delay(PROBE_TIMEOUT_MS, false, { ref: false })])
}

interface Published {
  readonly address: string
  readonly port: number
}

/** Testcontainers publishes on all interfaces; we need one address per node. */
class CassandraContainer extends GenericContainer {
  readonly #published: Published

  constructor(image: string, published: Published) {
    super(image)
    this.#published = published
  }

  protected override beforeContainerCreated(): Promise<void> {
    const { address, port } = this.#published
    const key = `${port}/tcp`
    this.createOpts.ExposedPorts = { [key]: {} }
    this.hostConfig.PortBindings = { [key]: [{ HostIp: address, HostPort: String(port) }] }
    return Promise.resolve()
  }
}

/** The image's entry point fills in the addresses that only the container knows. */
const describeContainer = (
  spec: ClusterSpec,
  published: Published,
  storagePort: number,
  seed: string | undefined,
  onLogLine: (line: string) => void,
): CassandraContainer => {
  const { address, port } = published
  const place = { address, seed: address, nativePort: port, storagePort }
  const yaml = { ...spec.yaml, broadcast_rpc_address: address }
  const content = cassandraYaml({ ...spec, yaml }, { ...place, dataDirectory: DATA_DIRECTORY })
  const container = new CassandraContainer(imageOf(spec), published)
  container
    .withEnvironment({
      CASSANDRA_BROADCAST_RPC_ADDRESS: address,
      ...(seed === undefined ? {} : { CASSANDRA_SEEDS: `${seed}:${storagePort}` }),
      JVM_EXTRA_OPTS: FAST_START.join(' '),
      MAX_HEAP_SIZE: '1G',
      HEAP_NEWSIZE: '256M',
    })
    .withCopyContentToContainer([{ content, target: '/etc/cassandra/cassandra.yaml' }])
    .withLogConsumer((stream) => stream.on('data', (line) => onLogLine(String(line))))
    .withWaitStrategy(Wait.forLogMessage('Starting listening for CQL clients'))
    .withStartupTimeout(BOOT_TIMEOUT_MS)
  return container
}

const DATA_DIRECTORY = '/var/lib/cassandra'

const imageOf = (spec: ClusterSpec): string => `cassandra:${spec.version}`

const describeNode = (
  spec: ClusterSpec,
  client: ContainerRuntimeClient,
  started: StartedTestContainer,
  published: Published,
): RunningNode => {
  const container = client.container.getById(started.getId())
  return {
    ...published,
    stop: async () => {
      await container.stop({ t: STOP_TIMEOUT_S })
    },
    kill: async () => {
      await container.kill()
    },
    start: async () => {
      await container.start()
      const tooLong = AbortSignal.timeout(BOOT_TIMEOUT_MS)
      await waitUntil(() => answersOptions(published, spec.clientTls), tooLong)
    },
  }
}

type Tell = (text: string) => void

class DockerCluster {
  readonly containers: StartedTestContainer[] = []
  readonly nodes: RunningNode[] = []
  readonly #spec: ClusterSpec
  readonly #client: ContainerRuntimeClient
  readonly #signal: AbortSignal

  constructor(spec: ClusterSpec, client: ContainerRuntimeClient, signal: AbortSignal) {
    this.#spec = spec
    this.#client = client
    this.#signal = signal
  }

  async pull(tell: Tell): Promise<void> {
    const image = ImageName.fromString(imageOf(this.#spec))
    if (await this.#client.image.exists(image)) return
    tell(`pulling the image ${image.string}`)
    await unlessAborted(this.#client.image.pull(image), this.#signal)
  }

  async startNode(published: Published, storagePort: number): Promise<void> {
    const first = this.containers[0]
    const seed = first?.getIpAddress(first.getNetworkNames()[0] ?? 'bridge')
    const log: string[] = []
    const onLogLine = (line: string) => {
      log.push(line.trimEnd())
      if (log.length > LOG_TAIL_LINES) log.shift()
    }
    const container = describeContainer(this.#spec, published, storagePort, seed, onLogLine)
    try {
      const started = await unlessAborted(container.start(), this.#signal, (late) => late.stop())
      this.containers.push(started)
      this.nodes.push(describeNode(this.#spec, this.#client, started, published))
    } catch (cause) {
      this.#signal.throwIfAborted()
      const { name, version } = this.#spec
      throw new ClusterError(
        'NODE_DID_NOT_START',
        `Cassandra ${version} (${name}) did not start in Docker: ${String(cause)}. The end of its log:\n${log.join('\n')}`,
        { cause },
      )
    }
    await waitUntil(() => answersOptions(published, this.#spec.clientTls), this.#signal)
  }

  async stop(): Promise<void> {
    await Promise.all(this.containers.splice(0).map((one) => one.stop({ timeout: 0 })))
  }
}

const requireEngine = async (): Promise<ContainerRuntimeClient> => {
  try {
    return await getContainerRuntimeClient()
  } catch (cause) {
    throw new ClusterError(
      'DOCKER_MISSING',
      'Cannot start Cassandra in containers: no Docker engine answers. Start one, or set ZDM_CLUSTERS=jvm to use Java.',
      { cause },
    )
  }
}

export const startOnDocker = async (
  spec: ClusterSpec,
  options: StartOptions = {},
): Promise<RunningCluster> => {
  const signal = options.signal ?? new AbortController().signal
  const tell: Tell = (text) =>
    options.onProgress?.(`${spec.name} ${spec.version}: ${text}`, spec.name)
  signal.throwIfAborted()
  const cluster = new DockerCluster(spec, await requireEngine(), signal)
  const place = await takeLoopbackPlace(spec.nodes ?? 1)
  const port = place.nativePort
  const stop = async () => {
    await cluster.stop()
    await place.release()
  }
  try {
    await cluster.pull(tell)
    for (const address of place.addresses) {
      tell('starting a container')
      await cluster.startNode({ address, port }, place.storagePort)
    }
    const first = cluster.nodes[0]
    if (spec.authentication === true && first !== undefined) {
      const tooLong = AbortSignal.timeout(BOOT_TIMEOUT_MS)
      await waitUntil(
        () => acceptsDefaultRole(first, spec.clientTls),
        AbortSignal.any([signal, tooLong]),
      )
    }
  } catch (error) {
    await stop()
    throw error
  }
  tell('ready')
  const contactPoints = place.addresses.map((address) => ({ address, port }))
  const { name, version } = spec
  return {
    name,
    version,
    contactPoints,
    localDatacenter: DATACENTER,
    nodes: cluster.nodes,
    stop,
  }
}
