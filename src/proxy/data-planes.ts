/**
 * All data planes as one: as many threads as the settings ask for, each listening on the same port,
 * told the same things, drained together (architecture §2.1). With one there is no thread: the plane
 * lives in the control plane's own.
 */
import type { MismatchSample } from '../async/mismatch-samples.ts'
import type { Clock } from '../clock.ts'
import type { ClientGroups, ClientSelection } from '../control/report.ts'
import type { EnvelopeRewrite } from '../cql/envelope-decoder.ts'
import type { Logger } from '../log.ts'
import type { LogLevel, LogLevels } from '../log-levels.ts'
import { messageOf } from '../message-of.ts'
import type { PlaneSeries } from '../metrics/plane-series.ts'
import { formatEndpoint } from '../net/dialer.ts'
import { assertPortIsFree } from '../net/listener.ts'
import type { TlsMaterial } from '../net/tls.ts'
import type { RoutingState } from '../routing/routing-state.ts'
import type { ClientEvent } from '../session/client-events.ts'
import type { Snapshot } from '../session/context.ts'
import type { Quiescence } from '../session/quiescence.ts'
import type { TracedRequest } from '../tracing/traced-request.ts'
import { mergeGroups } from './client-groups.ts'
import type { DataPlaneSettings, SchemaAgreementCall } from './data-plane-options.ts'
import { LocalPlane } from './local-plane.ts'
import type { Plane } from './plane.ts'
import type { NodeStatus } from './plane-messages.ts'
import { makeSharedState } from './shared-state.ts'
import { linkPlanes, WorkerPlane } from './worker-plane.ts'

export type DataPlanesOptions = {
  readonly threads: number
  readonly settings: DataPlaneSettings
  readonly snapshot: Snapshot
  readonly routing: RoutingState
  readonly tls: TlsMaterial
  readonly log: Logger
  readonly logLevel: LogLevel | LogLevels
  readonly clock: Clock
  /** For tests: see `InstanceTools`. */
  readonly rewriteEnvelope?: EnvelopeRewrite | undefined
  readonly schemaAgreement: SchemaAgreementCall
  /** Takes traced requests that are answered. */
  readonly onTraced?: (requests: readonly TracedRequest[]) => void
  /** A thread ended by itself: its clients are gone, and the process cannot serve as it should. */
  onDeath(error: Error): void
}

const CLIENT_COUNT_BYTES = Int32Array.BYTES_PER_ELEMENT

export class DataPlanes {
  readonly #planes: readonly Plane[]
  readonly #clock: Clock
  readonly #listenAddress: string
  readonly #clientCount: Int32Array

  constructor(options: DataPlanesOptions) {
    const { schemaAgreement, onTraced = () => undefined } = options
    const { threads, settings, snapshot, routing, tls, log, logLevel, clock, rewriteEnvelope } =
      options
    const clientCount = new SharedArrayBuffer(CLIENT_COUNT_BYTES)
    const common = { settings, snapshot, routing, tls, clientCount, shared: makeSharedState() }
    this.#clock = clock
    this.#listenAddress = settings.listenAddress
    this.#clientCount = new Int32Array(clientCount)
    this.#planes =
      threads === 1
        ? [new LocalPlane({ ...common, log, clock, rewriteEnvelope, schemaAgreement, onTraced })]
        : linkPlanes(threads).map(
            (peers, index) =>
              new WorkerPlane({ ...common, index, logLevel, peers }, clock, {
                onDeath: (error) => options.onDeath(error),
                schemaAgreement,
                onTraced,
              }),
          )
  }

  /** How many threads do not answer. */
  get stuckThreads(): number {
    return this.#planes.filter((plane) => plane.isStuck).length
  }

  /** Client connections of all planes. */
  get clients(): number {
    return Atomics.load(this.#clientCount, 0)
  }

  get threads(): number {
    return this.#planes.length
  }

  /** Accepts clients on every plane; resolves with the port, the same for all. Rejects where it cannot be had. */
  async listen(port: number): Promise<number> {
    try {
      if (this.#planes.length > 1 && port !== 0) await assertPortIsFree(this.#listenAddress, port)
      let bound = port
      for (const plane of this.#planes) bound = await plane.listen(bound)
      return bound
    } catch (cause) {
      const place = formatEndpoint(this.#listenAddress, port)
      throw new Error(
        `cannot accept clients on ${place} (proxy_listen_address, proxy_listen_port): ${messageOf(cause)}`,
        { cause },
      )
    }
  }

  setSnapshot(snapshot: Snapshot): void {
    for (const plane of this.#planes) plane.setSnapshot(snapshot)
  }

  /**
   * Resolves when no request that was routed before is in flight on any plane, or the wait was given up.
   * Rejects when a thread does not answer; the others route the new way then.
   */
  async setRouting(routing: RoutingState): Promise<Quiescence> {
    const settled = await Promise.allSettled(this.#planes.map((plane) => plane.setRouting(routing)))
    const all = settled.map((result) => {
      if (result.status === 'rejected') throw result.reason
      return result.value
    })
    return {
      inFlight: all.reduce((sum, { inFlight }) => sum + inFlight, 0),
      waitedMs: Math.max(...all.map(({ waitedMs }) => waitedMs)),
      remaining: all.reduce((sum, { remaining }) => sum + remaining, 0),
    }
  }

  setSettings(settings: DataPlaneSettings): void {
    for (const plane of this.#planes) plane.setSettings(settings)
  }

  setLogLevels(levels: LogLevels): void {
    for (const plane of this.#planes) plane.setLogLevels(levels)
  }

  setNodeStatus(status: NodeStatus): void {
    for (const plane of this.#planes) plane.setNodeStatus(status)
  }

  setTls(tls: TlsMaterial): void {
    for (const plane of this.#planes) plane.setTls(tls)
  }

  announce(event: ClientEvent): void {
    for (const plane of this.#planes) plane.announce(event)
  }

  series(): Promise<PlaneSeries[]> {
    return Promise.all(this.#planes.map((plane) => plane.series()))
  }

  /** The last reads of every plane that the clusters have answered differently, the newest first. */
  async mismatches(): Promise<readonly MismatchSample[]> {
    const samples = await Promise.all(this.#planes.map((plane) => plane.mismatches()))
    return samples.flat().sort((a, b) => b.atMs - a.atMs)
  }

  /** Who the clients of all planes are. */
  async clientGroups(): Promise<ClientGroups> {
    return mergeGroups(await Promise.all(this.#planes.map((plane) => plane.clients())))
  }

  /** Lets these clients go, on every plane; resolves with how many they are. */
  async closeClients(selection: ClientSelection): Promise<number> {
    const counts = await Promise.all(this.#planes.map((plane) => plane.closeClients(selection)))
    return counts.reduce((sum, count) => sum + count, 0)
  }

  /**
   * Stops accepting, serves the clients that are there for `announceMs` and lets requests in flight end.
   * Resolves with whether all clients were gone within `timeoutMs`.
   */
  async drain(announceMs: number, timeoutMs: number): Promise<boolean> {
    const { promise: deadline, resolve } = Promise.withResolvers<boolean>()
    const timer = this.#clock.setTimeout(() => resolve(false), timeoutMs)
    const drained = Promise.all(this.#planes.map((plane) => plane.drain(announceMs))).then(
      () => true,
    )
    try {
      return await Promise.race([drained, deadline])
    } finally {
      this.#clock.clearTimeout(timer)
    }
  }

  /** Closes everything now. */
  async close(): Promise<void> {
    await Promise.all(this.#planes.map((plane) => plane.close()))
  }
}
