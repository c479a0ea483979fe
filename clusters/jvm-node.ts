/**
 * One Cassandra node as a child process: started, stopped, killed, started again. What it needs on
 * disk is written here; that it never outlives us is guarded-process.ts's business.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cassandraYaml, LOGBACK_XML, type NodePlace } from './cassandra-yaml.ts'
import { ClusterError, type ClusterSpec, type RunningNode, type StartOptions } from './cluster.ts'
import { GuardedProcess, logTail } from './guarded-process.ts'
import type { Jars } from './jar-cache.ts'
import { cassandraArguments, type Java } from './java.ts'
import { answersOptions, waitUntil } from './readiness.ts'

const BOOT_TIMEOUT_MS = 180_000
const STOP_TIMEOUT_MS = 20_000

export interface JvmNodeOptions {
  readonly spec: ClusterSpec
  readonly java: Java
  readonly jars: Jars
  /** This node's own; inside the cluster's, which goes if we die before the node. */
  readonly directory: string
  readonly clusterDirectory: string
  readonly address: string
  readonly seed: string
  readonly nativePort: number
  readonly storagePort: number
  readonly onLost?: StartOptions['onNodeLost']
}

export class JvmNode implements RunningNode {
  readonly address: string
  readonly port: number
  readonly #options: JvmNodeOptions
  readonly #logPath: string
  #process: GuardedProcess | undefined
  #isWanted = false

  constructor(options: JvmNodeOptions) {
    this.address = options.address
    this.port = options.nativePort
    this.#options = options
    this.#logPath = join(options.directory, 'system.log')
  }

  async start(signal?: AbortSignal): Promise<void> {
    if (this.#process !== undefined && !this.#process.isOver) return
    const args = await this.#writeFiles()
    signal?.throwIfAborted()
    const { directory, clusterDirectory: remains, java } = this.#options
    const logPath = this.#logPath
    const jvm = new GuardedProcess({ program: java.program, args, directory, remains, logPath })
    this.#process = jvm
    await this.#waitForClients(jvm, signal)
    this.#isWanted = true
    void jvm.exited.then(() => this.#tellIfLost(jvm))
  }

  async stop(): Promise<void> {
    this.#isWanted = false
    await this.#process?.terminate(STOP_TIMEOUT_MS)
  }

  async kill(): Promise<void> {
    this.#isWanted = false
    await this.#process?.kill()
  }

  async #writeFiles(): Promise<string[]> {
    const { spec, java, jars, directory, address, seed, nativePort, storagePort } = this.#options
    const place: NodePlace = { address, seed, nativePort, storagePort, dataDirectory: directory }
    const yamlPath = join(directory, 'cassandra.yaml')
    const logbackPath = join(directory, 'logback.xml')
    await mkdir(join(directory, 'tmp'), { recursive: true })
    await writeFile(yamlPath, cassandraYaml(spec, place))
    await writeFile(logbackPath, LOGBACK_XML)
    const files = {
      jarDirectory: jars.directory,
      jars: jars.names,
      directory,
      yamlPath,
      logbackPath,
      isJoining: address !== seed,
      // Of several nodes one is there to be lost.
      mayForgetSchema: (spec.nodes ?? 1) === 1,
    }
    return cassandraArguments(spec.version, java, files)
  }

  async #waitForClients(jvm: GuardedProcess, signal: AbortSignal | undefined): Promise<void> {
    const gone = new AbortController()
    const tooLong = AbortSignal.timeout(BOOT_TIMEOUT_MS)
    const signals = [gone.signal, tooLong, ...(signal === undefined ? [] : [signal])]
    void jvm.exited.then(() => gone.abort())
    try {
      await waitUntil(
        () => answersOptions(this, this.#options.spec.clientTls),
        AbortSignal.any(signals),
      )
    } catch (error) {
      await this.kill()
      signal?.throwIfAborted()
      throw await this.#describeFailure(tooLong.aborted, error)
    }
  }

  async #tellIfLost(jvm: GuardedProcess): Promise<void> {
    if (!this.#isWanted) return
    this.#isWanted = false
    const what = `ended, and nobody had asked for it (${jvm.ending})`
    this.#options.onLost?.(new ClusterError('NODE_LOST', await this.#describe(what)))
  }

  async #describe(what: string): Promise<string> {
    const { spec, address } = this.#options
    const tail = await logTail(this.#logPath)
    return `Cassandra ${spec.version} (${spec.name}, ${address}) ${what}. The end of its log:\n${tail}`
  }

  async #describeFailure(isTooLate: boolean, cause: unknown): Promise<ClusterError> {
    const { address, nativePort } = this.#options
    const what = isTooLate
      ? `did not answer on ${address}:${nativePort} within ${BOOT_TIMEOUT_MS / 1000} s`
      : 'ended while it started'
    return new ClusterError('NODE_DID_NOT_START', await this.#describe(what), { cause })
  }
}
